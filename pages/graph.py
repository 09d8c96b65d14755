"""The causal graph: found in the runs, corrected by people who know better, every revision saved."""

from __future__ import annotations

import streamlit as st

from causalmix_core.errors import CausalMixError
from causalmix_core.pools import graph_of
from causalmix_core.workspace import Workspace
from pages.graph_views import consequences, draft, exchanging, revisions, searching, testing
from pages.widgets import task_panel
from pages.widgets.graph_editor import editor_state, graph_editor
from pages.widgets.shell import empty, next_step, pool_of, run_page, runs_of, title

MEANING = """
- **weight → loss**: the effect of that domain on that loss is estimated. Without a path from a weight to a
  loss the domain has no effect *of its own*; one point more of it still displaces the others, and that
  remains.
- **pool state → loss**: the effect on that loss may depend on this state.
- **pool state → weight**: the mixture was chosen with an eye on the state, so the state is adjusted for. In a
  randomised swarm there is no such edge.
- **a hidden common cause** (double arrow, or a latent) of a weight and a loss: the effect cannot be told from
  what they share, and the page says so.
- Edges among weights (they are one decision) and among losses (measured at the same moment) are not possible.
"""


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title(
        "Graph",
        "What causes what: the pool's state comes first, then the weights you choose, then the losses. "
        "You know things the runs do not; correct it.",
    )
    try:
        pool = pool_of(workspace)
        runs = runs_of(workspace, pool)
    except CausalMixError as error:
        empty(str(error), "probes", "Go to the probes")
    with st.container():  # always there, so that what comes below keeps its state when a task begins
        task_panel.panel(workspace)
    held = draft.draft_of(workspace, runs, graph_of(pool))
    settings = searching.choose(runs)
    for note in held.notes:
        st.caption(f":material/info: {note}")
    drawing, beside = st.columns([7, 3], gap="medium")
    with beside:  # first, since it says what the drawing points at
        selected = editor_state(held.graph, key=draft.EDITOR).selected
        pointed = consequences.show(held.graph, held.desk.base, runs, selected)
    with drawing:
        graph_editor(
            held.graph,
            key=draft.EDITOR,
            do=draft.do,
            revision=held.revision,
            can_undo=held.desk.can_undo,
            can_redo=held.desk.can_redo,
            highlight=pointed.highlight,
            paths_title=pointed.title,
            paths=pointed.paths,
        )
    revisions.saving(workspace, runs, pool)
    halves, methods, tests, exchange, history, meaning = st.tabs(
        [
            "How sure are the edges?",
            "Other methods",
            "Test it",
            "Import and export",
            "Revisions",
            "What edges mean",
        ]
    )
    with halves:
        searching.stability(workspace, pool, runs, settings)
    with methods:
        searching.compare(runs)
        searching.facts()
    with tests:
        testing.show(workspace, held.name, held.desk.parent, runs, held.graph)
    with exchange:
        exchanging.show(runs)
    with history:
        revisions.history(workspace, runs)
    with meaning:
        st.markdown(MEANING)
    next_step("effects", "see what one more point of each domain does")


run_page("graph", render)
