"""What is asked, above all views: the estimator and why, the objective, and what the effects rest on."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from causalmix_core.effects.effect_store import default_estimator
from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.overlap import AssignmentKind, AssignmentReport
from causalmix_core.errors import CausalMixError
from causalmix_core.question import Question, choose_objective
from causalmix_core.workspace import Workspace
from pages.effect_views.asked import Asked, assignment_of, outcome_name
from pages.graph_views.plain import plain
from pages.widgets.shell import choose_estimator, empty, fitted

OBJECTIVE_FIELD = "objective_outcomes"
MOST_NAMES = 3
ASSIGNMENTS: dict[AssignmentKind | None, tuple[str, Literal["green", "orange", "gray"], str]] = {
    "randomised": ("randomised mixtures", "green", ":material/shuffle:"),
    "adaptive": ("adaptive mixtures", "orange", ":material/route:"),
    "observational": ("observational mixtures", "orange", ":material/visibility:"),
    "mixed": ("mixtures of mixed origin", "orange", ":material/call_merge:"),
    None: ("origin of mixtures not recorded", "orange", ":material/question_mark:"),
}


def ask(workspace: Workspace, question: Question, *, why: bool = True) -> Asked:
    """Lay out the controls, fit, and say what the answer rests on; where it cannot be fitted, that ends it.

    Args:
        workspace: where all of it lies.
        question: what is asked.
        why: whether to say why the estimator is the default; not where the view itself does.
    """
    default, reason = default_estimator(workspace, question)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        estimator = choose_estimator(default)
        _objective(workspace, question)
    if estimator != default:
        st.caption(f"Your choice. By default it would be {ESTIMATORS[default].label}. {plain(reason)}")
    elif why:
        st.caption(plain(reason.partition(". ")[0].rstrip(".")) + ".")
    try:
        model = fitted(workspace, question, estimator)
    except CausalMixError as error:  # too few runs, most often; the estimator can be changed above
        empty(plain(str(error)), "probes", "Go to the probes")
    asked = Asked(workspace, question, estimator, model)
    _rests_on(asked)
    return asked


def _objective(workspace: Workspace, question: Question) -> None:
    """Which outcomes count, kept in the workspace."""
    outcomes, chosen = question.runs.outcomes, list(question.objective)
    names = ", ".join(outcome_name(o) for o in chosen)
    some = "all" if len(chosen) == len(outcomes) else f"{len(chosen)} of"
    counted = names if len(chosen) <= MOST_NAMES else f"{some} {len(outcomes)} outcomes"
    with st.popover(f"Objective: {plain(counted)}", icon=":material/flag:"):
        key = f"{OBJECTIVE_FIELD}-{question.pool}"
        st.multiselect(
            "Outcomes that count in the objective",
            outcomes,
            default=chosen,
            format_func=outcome_name,
            key=key,
            width=420,
            on_change=_choose,
            args=(workspace, question, key),
            help="The objective is their mean, where losses are better low and scores better high. The "
            "suggestion improves it; what you leave out may get worse.",
        )


def _choose(workspace: Workspace, question: Question, key: str) -> None:
    if chosen := st.session_state[key]:  # none at all would mean all of them, which nobody means by it
        choose_objective(workspace, question.runs, dict.fromkeys(chosen, 1.0))


def _rests_on(asked: Asked) -> None:
    """Runs, graph, starting point, and how the mixtures came about."""
    question = asked.question
    graph = question.graph_reference
    report = assignment_of(asked)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{len(question.runs):,} probes** · graph "
            + (
                f"{plain(graph.name)}, revision {graph.revision}"
                if graph.revision
                else "assumed (none saved)"
            )
            + f" · at {question.reference_is}"
        )
        _badge(report)
    if report.doubted:
        st.warning(plain(report.sentences[1]), icon=":material/warning:")
    elif report.kind != "randomised":
        st.warning(plain(report.sentences[0]), icon=":material/warning:")


def _badge(report: AssignmentReport) -> None:
    label, colour, icon = ASSIGNMENTS[report.kind]
    if report.doubted:
        label, colour = "randomised, but in doubt", "orange"
    st.badge(label, color=colour, icon=icon, help="\n\n".join(plain(s) for s in report.sentences))
