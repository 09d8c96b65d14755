"""Swarms of proxies: design one, launch it, watch it train, and look at what came out."""

from __future__ import annotations

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from pages.probe_views import designing, run_table, swarms
from pages.widgets.shell import empty, next_step, run_page, runs_key, snapshot_of, title
from pages.widgets.views import choose_view

WORDS = {"swarms": "Swarms", "design": "Design", "runs": "Runs"}


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Probes", "Small proxy models, each trained on another mixture, show what a mixture does.")
    try:
        snapshot = snapshot_of(workspace)
    except CausalMixError:
        empty("There is no pool to train on yet: read the sources first.", "corpus", "Go to the corpus")
    jobs = LocalEngine().jobs(workspace)
    view = choose_view(WORDS, "swarms" if jobs else "design", "shown")
    if view == "design":
        designing.show(workspace, snapshot, first=not jobs)
    elif view == "runs":
        run_table.show(workspace, snapshot)
    else:
        swarms.show(workspace, jobs)
    if view != "design" and runs_key(workspace):
        next_step("graph", "discover which weights and which pool state move which loss")


run_page("probes", render)
