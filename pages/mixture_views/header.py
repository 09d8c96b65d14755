"""What is asked, above all views: estimator, objective, training run, and which pool it is for."""

from __future__ import annotations

import streamlit as st

from causalmix_core.effects.effect_store import default_estimator
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.outcomes import direction_of
from causalmix_core.probes.runs import pool_words
from causalmix_core.question import Question, choose_objective
from causalmix_core.workspace import Workspace
from pages.graph_views.plain import plain
from pages.mixture_views.desk import FOR_POOL, Desk, outcome_name, question_for
from pages.widgets.actions import action
from pages.widgets.shell import choose_estimator, empty, fitted

MOST_NAMES = 3
_OUTCOMES, _IMPORTANCE, BUDGET = "objective_outcomes", "importance", "token_budget"


def ask(workspace: Workspace, home: Question) -> Desk:
    """Lay out the controls and fit; where it cannot be fitted, that ends the page."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        estimator = choose_estimator(default_estimator(workspace, home)[0])
        _objective(workspace, home)
        budget = _budget(workspace)
    try:
        model = fitted(workspace, home, estimator)
    except CausalMixError as error:  # too few runs, most often; the estimator can be changed above
        empty(plain(str(error)), "probes", "Go to the probes")
    question = question_for(workspace, home)
    desk = Desk(workspace, home, question, estimator, model, budget)
    with st.container():  # always there, so that what comes below keeps its place
        _rests_on(desk)
    return desk


def _objective(workspace: Workspace, home: Question) -> None:
    """Which outcomes count and how much, kept in the workspace."""
    outcomes, chosen = home.runs.outcomes, list(home.objective)
    names = ", ".join(outcome_name(o) for o in chosen)
    some = "all" if len(chosen) == len(outcomes) else f"{len(chosen)} of"
    counted = names if len(chosen) <= MOST_NAMES else f"{some} {len(outcomes)} outcomes"
    uneven = len({round(s, 9) for s in home.objective.values()}) > 1
    with st.popover(f"Objective: {plain(counted)}{', weighted' * uneven}", icon=":material/flag:"):
        key = f"{_OUTCOMES}-{home.pool}"
        st.multiselect(
            "Outcomes that count in the objective",
            outcomes,
            default=chosen,
            format_func=outcome_name,
            key=key,
            width=460,
            on_change=_choose,
            args=(workspace, home, key),
            help="The objective is their mean. Losses are better low and scores better high; scores count "
            "with a "
            "minus sign, so the objective is always better low. What you leave out may get worse, unless you "
            "protect it.",
        )
        if len(chosen) < 2:
            return
        st.caption("How much each counts: twice the number counts twice as much.")
        before = workspace.config().objective
        columns = st.columns(2)
        for i, outcome in enumerate(chosen):
            name = f"{_IMPORTANCE}-{outcome}"
            columns[i % 2].number_input(
                f"{plain(outcome_name(outcome))} · {direction_of(outcome)} is better",
                min_value=0.0,
                value=float(before.get(outcome, 1.0)),
                step=0.5,
                format="%g",
                key=f"{name}-{home.pool}",
                on_change=_choose,
                args=(workspace, home, key),
                width=220,
            )


def _choose(workspace: Workspace, home: Question, key: str) -> None:
    before = workspace.config().objective
    chosen = {
        o: float(st.session_state.get(f"{_IMPORTANCE}-{o}-{home.pool}", before.get(o) or 1.0))
        for o in st.session_state[key]
    }
    if any(chosen.values()):  # none at all would mean all of them, which nobody means by it
        choose_objective(workspace, home.runs, chosen)


def _budget(workspace: Workspace) -> int:
    """Tokens of the training run, kept in the workspace."""
    config = workspace.config()
    millions = st.number_input(
        "Training tokens (millions)",
        min_value=0.001,
        value=config.token_budget / 1e6,
        format="%g",
        key=BUDGET,
        width=210,
        icon=":material/token:",
        help="Of the training run that the mixture is for. Decides how often each domain is read (epochs), "
        "and is written into exports.",
    )
    budget = round(float(millions) * 1e6)
    if budget != config.token_budget:
        workspace.save_config(config.model_copy(update={"token_budget": budget}))
    return budget


def _rests_on(desk: Desk) -> None:
    """Runs, graph and reference; and which pool the mixture is for, where it is another one."""
    home, question = desk.home, desk.question
    graph = question.graph_reference
    drawn = f"{plain(graph.name)}, revision {graph.revision}" if graph.revision else "assumed (none saved)"
    st.caption(f"{len(home.runs):,} probes · graph {drawn} · the reference is {plain(question.reference_is)}")
    if not desk.moved:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":material/swap_horiz: **This mixture is for {plain(pool_words(question.pool))}.** Its "
            "effects were "
            f"learned from runs of {plain(pool_words(home.pool))}."
        )
        action("Back to the pool of the runs", _go_home, key="go_home", type="tertiary")


def _go_home() -> None:
    st.session_state.pop(FOR_POOL, None)
