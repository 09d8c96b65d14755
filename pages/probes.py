"""Swarms of proxies: design one, launch it, watch it train, and look at what came out."""

from __future__ import annotations

from causalmix_core.corpus.snapshot import current_id
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from pages.probe_views import designing, importing, run_table, swarms
from pages.widgets.shell import empty, next_step, pool_of, run_page, runs_key, snapshot_of, title
from pages.widgets.views import choose_view

WORDS = {"swarms": "Swarms", "design": "Design", "runs": "Runs", "import": "Import"}


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Probes", "Small proxy models, each trained on another mixture, show what a mixture does.")
    snapshot = snapshot_of(workspace) if current_id(workspace) else None
    jobs = LocalEngine().jobs(workspace)
    there_are_runs = bool(runs_key(workspace))
    usual = "swarms" if jobs else "runs" if snapshot is None and there_are_runs else "design"
    view = choose_view(WORDS, usual, "shown")
    if view == "import":
        importing.show(workspace, snapshot)
    elif view == "runs":
        run_table.show(workspace, pool_of(workspace) if snapshot or there_are_runs else None)
    elif view == "swarms" and jobs:
        swarms.show(workspace, jobs)
    elif snapshot is None:
        empty(
            "There is no pool to train on yet: read the sources first. Runs that were trained elsewhere can "
            "be imported without any.",
            "corpus",
            "Go to the corpus",
        )
    elif view == "design":
        designing.show(workspace, snapshot, first=not jobs)
    else:
        swarms.show(workspace, jobs)
    if view in ("swarms", "runs") and there_are_runs:
        next_step("graph", "discover which weights and which pool state move which loss")


run_page("probes", render)
