"""What one more point of a domain does to each outcome, how far to trust it, what it survived, and why."""

from __future__ import annotations

import streamlit as st

from causalmix_core.workspace import Workspace
from pages.effect_views import explaining, graph_edits, header, overview, refuting, trusting
from pages.widgets import task_panel
from pages.widgets.shell import next_step, question_of, run_page, title
from pages.widgets.views import choose_view

WORDS = {
    "effects": "Effects",
    "trust": "Trust",
    "refute": "Refute",
    "explain": "Explain",
    "edits": "Graph edits",
}


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Effects", "What one more percentage point of a domain does to each outcome, in this pool.")
    question = question_of(workspace)
    view = choose_view(WORDS, "effects", "shown")
    with st.container():  # always there, so that what comes below keeps its state when a task begins
        task_panel.panel(workspace)
    asked = header.ask(workspace, question, why=view != "trust")
    if view == "trust":
        trusting.show(asked)
    elif view == "refute":
        refuting.show(asked)
    elif view == "explain":
        explaining.show(asked)
    elif view == "edits":
        graph_edits.show(asked)
    else:
        overview.show(asked)
    next_step("mixture", "let the effects move the mixture")


run_page("effects", render)
