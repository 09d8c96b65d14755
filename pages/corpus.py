"""The pool: what it holds, domain by domain and document by document, and what is made of it."""

from __future__ import annotations

import streamlit as st

from causalmix_core.corpus import Snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from pages.corpus_views import comparing, exploring, filtering, overview, questions, sources
from pages.widgets import task_panel
from pages.widgets.shell import next_step, run_page, snapshot_of, title
from pages.widgets.views import choose_view

WORDS = {
    "overview": "Overview",
    "explore": "Explore",
    "compare": "Compare",
    "filter": "Filter",
    "sql": "SQL",
    "sources": "Sources",
}


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Corpus", "What the pool holds, domain by domain. Everything later builds on these documents.")
    task_panel.panel(workspace)
    try:
        snapshot: Snapshot = snapshot_of(workspace)
    except CausalMixError as error:
        st.info(str(error), icon=":material/info:")
        sources.show(workspace, None)
        return
    derived = snapshot.manifest.derived
    if derived:
        st.caption(
            f":material/filter_alt: Snapshot {snapshot.id}: what the filter **{derived.filter}** keeps of "
            f"{derived.snapshot}."
        )
    view = choose_view(WORDS, "overview")
    if view == "overview":
        overview.show(workspace, snapshot)
        next_step("probes", "train proxies on many mixtures of these domains")
    elif view == "explore":
        exploring.show(snapshot)
    elif view == "compare":
        comparing.show(workspace, snapshot)
    elif view == "filter":
        filtering.show(workspace, snapshot)
    elif view == "sql":
        questions.show(snapshot)
    else:
        sources.show(workspace, snapshot)


run_page("corpus", render)
