"""The mixture: sliders that effects move, policies, another pool, why it is this one, saved mixtures and
exports."""

from __future__ import annotations

from causalmix_core.workspace import Workspace
from pages.mixture_views import comparing_policies, explaining, exporting, header, saving, shifting, sliding
from pages.widgets.shell import question_of, run_page, title
from pages.widgets.views import choose_view

WORDS = {
    "sliders": "Sliders",
    "policies": "Policies",
    "shift": "Pool shift",
    "why": "Why",
    "saved": "Saved",
    "export": "Export",
}


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Mixture", "Set the weights; the effects say what each move does, and suggest one.")
    home = question_of(workspace)
    view = choose_view(WORDS, "sliders", "mix")
    desk = header.ask(workspace, home)
    if view == "policies":
        comparing_policies.show(desk)
    elif view == "shift":
        shifting.show(desk)
    elif view == "why":
        explaining.show(desk)
    elif view == "saved":
        saving.show(desk)
    elif view == "export":
        exporting.show(desk)
    else:
        sliding.show(desk)


run_page("mixture", render)
