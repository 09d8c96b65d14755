"""Every policy and baseline side by side, one click from the sliders; and two outcomes against each other."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from causalmix_core.effects import OBJECTIVE
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import POLICIES, PolicyName, Suggestion
from causalmix_core.mixture.badness import badness_sign
from causalmix_core.mixture.limits import listed
from causalmix_core.mixture.store import Asked
from pages.graph_views.plain import plain
from pages.mixture_views import held, limiting
from pages.mixture_views.desk import Desk, answer_of, front_of, outcome_name, quick_policies, sorted_outcomes
from pages.widgets import charts
from pages.widgets.actions import action, outcome
from pages.widgets.mixture_charts import pareto_figure
from pages.widgets.views import turn_to

ACROSS, UPWARDS, SLOW = "pareto_across", "pareto_upwards", "slow_policies"
WIDTHS = [2.7, 2.5, 0.9, 2.2, 2.0, 1.4]
HEADS = ("Policy", "Objective, 95%", "Moves", "Constraints", "Worst hit", "")


def show(desk: Desk) -> None:
    """Lay out the view."""
    limiting.edit(desk)
    try:
        found = _answers(desk)
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/block:")
        return
    _table(desk, found)
    st.subheader("Two outcomes against each other", anchor=False)
    _pareto(desk, {p: s for p, (s, _) in found.items() if s.answered})


def _answers(desk: Desk) -> dict[PolicyName, tuple[Suggestion, Asked]]:
    """All policies that were asked, the slow ones once they were wanted."""
    base = held.asked_for(desk.budget, held.stack_of(desk.question).now).model_copy(update={"step": 1.0})
    wanted = [p for p in POLICIES if p in quick_policies() or p in st.session_state.get(SLOW, ())]
    found = {}
    with st.spinner("Asking the policies ..."):
        for policy in wanted:
            asked = base.model_copy(update={"policy": policy})
            found[policy] = (answer_of(desk, asked), asked)
    return found


def _table(desk: Desk, found: dict[PolicyName, tuple[Suggestion, Asked]]) -> None:
    with st.container(border=True, gap="small", key="policies"):
        for column, head in zip(st.columns(WIDTHS), HEADS, strict=True):
            column.caption(head)
        for policy, info in POLICIES.items():
            columns = st.columns(WIDTHS, vertical_alignment="center")
            columns[0].markdown(
                f"**{plain(info.label)}**", help=f"{plain(info.summary)}\n\nFrom: {plain(info.source)}."
            )
            if policy in found:
                _row(desk, columns, policy, *found[policy])
            else:
                columns[1].caption("not asked yet: it takes a while")
                with columns[5]:
                    action(
                        "Ask it",
                        _ask_slow,
                        policy,
                        key=f"ask_{policy}",
                        icon=":material/hourglass:",
                        type="tertiary",
                    )
    outcome(*(f"put_{p}" for p in POLICIES), *(f"ask_{p}" for p in POLICIES))
    st.caption(
        "Predicted change of the objective from the reference: lower is better, grey cannot be told from "
        "zero. Policies "
        "that look at no interval look better than they are: they pick what was predicted best, luck "
        "included."
    )


def _row(
    desk: Desk, columns: Sequence[DeltaGenerator], policy: PolicyName, found: Suggestion, asked: Asked
) -> None:
    if not found.answered:
        columns[1].caption(plain(POLICIES[policy].no_answer or "no answer"))
        return
    rows = found.change.set_index("outcome")
    goal = rows.loc[OBJECTIVE]
    colour = "gray" if goal["lower"] <= 0 <= goal["upper"] else "green" if goal["change"] < 0 else "red"
    span = f"{goal['lower']:+.4f} to {goal['upper']:+.4f}"
    columns[1].markdown(
        f":{colour}[**{goal['change']:+.4f}**] :small[:gray[{span}]]" if not found.stay else ":gray[stay]"
    )
    columns[2].markdown(f"{100 * found.distance:.1f} pts")
    if found.violations:
        words = listed([v.words for v in found.violations])
        columns[3].markdown(
            ":red[:material/close:] " + f":small[{plain(found.violations[0].words.partition(';')[0])}]",
            help=plain(words),
        )
    else:
        columns[3].markdown(":green[:material/check:] :small[kept]")
    columns[4].markdown(f":small[{plain(_worst(desk, found))}]")
    with columns[5]:
        action(
            "To the sliders",
            _put,
            found,
            asked,
            key=f"put_{policy}",
            icon=":material/tune:",
            type="tertiary",
            help=" ".join(map(plain, found.notes)) or None,
        )


def _worst(desk: Desk, found: Suggestion) -> str:
    """The outcome that is predicted to get worse most, in spreads of the runs."""
    runs = desk.model.runs.frame
    rows = [
        (badness_sign(o) * change / (float(runs[o].std()) or 1.0), o, change)
        for o, change in zip(found.change["outcome"], found.change["change"], strict=True)
        if o != OBJECTIVE
    ]
    size, name, change = max(rows)
    return f"{outcome_name(name)} {change:+.4f}" if size > 1e-9 else "none gets worse"


def _put(found: Suggestion, asked: Asked) -> None:
    held.put_suggestion(found, asked)
    turn_to("sliders", "mix")


def _ask_slow(policy: PolicyName) -> None:
    st.session_state[SLOW] = {*st.session_state.get(SLOW, ()), policy}


def _usual_pair(desk: Desk, outcomes: list[str]) -> tuple[int, int]:
    """Places of the two that are weighed unless told: one that counts, and one that does not if any."""
    counted = [o for o in outcomes[1:] if o in desk.home.objective]
    others = [o for o in outcomes[1:] if o != counted[0] and o not in desk.home.objective]
    second = others[0] if others else next(o for o in outcomes[1:] if o != counted[0])
    return outcomes.index(counted[0]), outcomes.index(second)


def _pareto(desk: Desk, named: dict[PolicyName, Suggestion]) -> None:
    outcomes = sorted_outcomes(desk)
    if len(desk.question.runs.outcomes) < 2:
        st.caption("The runs measure one outcome only, so there is nothing to weigh it against.")
        return
    first, second = _usual_pair(desk, outcomes)
    with st.container(horizontal=True):
        across = st.selectbox(
            "Across",
            outcomes,
            first,
            format_func=outcome_name,
            key=ACROSS,
            width=260,
            persist_state="session",
        )
        upwards = st.selectbox(
            "Upwards",
            outcomes,
            second,
            format_func=outcome_name,
            key=UPWARDS,
            width=260,
            persist_state="session",
        )
    now = held.stack_of(desk.question).now
    try:
        constraints = held.full_constraints(desk.budget, now)
        front = front_of(desk, constraints, across, upwards, now.weights)
    except CausalMixError as error:
        st.caption(plain(str(error)))
        return
    places = {}
    for policy, found in named.items():
        rows = found.change.set_index("outcome")["change"]
        if not found.stay:
            places[POLICIES[policy].label.partition(" (")[0]] = (float(rows[across]), float(rows[upwards]))
    charts.show(pareto_figure(front, across, upwards, places), key="pareto", height=460)
    st.caption(
        "Each small dot is a mixture that the constraints allow. On the line, one outcome can only be "
        "bettered at the "
        "cost of the other, by the predictions; thin bars are 95% intervals, and where they overlap the "
        "runs cannot "
        "tell the mixtures apart."
    )
