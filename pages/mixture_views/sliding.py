"""The sliders, what each of them does, and what the mixture on them is predicted to change."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import (
    POLICIES,
    Limits,
    Range,
    broken,
    exchange_effect,
    nearest,
)
from causalmix_core.mixture.limits import listed
from pages.graph_views.plain import plain
from pages.mixture_views import held, limiting, predicting
from pages.mixture_views.desk import (
    Desk,
    answer_of,
    effects_on,
    limits_of,
    ranges_of,
    unit_of,
)
from pages.mixture_views.held import Held, Stack
from pages.widgets.actions import action, outcome
from pages.widgets.mixture_sliders import UNIT, SliderRow, Tone, mixture_sliders, to_units

GAIN, GIVE = "exchange_gain", "exchange_give"
POINT = 0.01
TENTH = UNIT // 10
UNMOVED = 1e-9
ROUNDING = 1e-3
"""Of units: the end of a range may lie between two, and the outer one then counts as allowed."""


@st.fragment
def show(desk: Desk) -> None:
    """Lay out the view; a slider that is let go runs only this again."""
    stack = held.stack_of(desk.question)
    now = stack.now
    # What comes and goes has a container that stays: the sliders would be built anew, and lose the focus, if
    # the number of elements above them changed.
    with st.container():
        _acting(desk, stack)
    with st.container():
        limiting.edit(desk)
    with st.container():
        limits, ranges = _room(desk, now)
    with st.container():
        _said(now)
    left, right = st.columns([5, 2], gap="medium")
    with right:  # first, because it is what a released slider is waited for
        predicting.show(desk, now)
    with left:
        _sliders(desk, stack, ranges)
        if limits is not None:
            _broken(limits, now)
        _exchange(desk, now)


def _acting(desk: Desk, stack: Stack) -> None:
    """What moves the sliders."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        action(
            "Suggest",
            _suggest,
            desk,
            key="suggest",
            type="primary",
            icon=":material/auto_fix_high:",
            help=f"{POLICIES['trust_region'].label}. {POLICIES['trust_region'].summary} It keeps the "
            "constraints and "
            "the locked sliders. Other policies stand in the next view.",
        )
        st.slider(
            "How far to go",
            5,
            100,
            100,
            step=5,
            format="%d%%",
            width=210,
            key=held.STEP,
            persist_state="session",
            on_change=_again,
            args=(desk,),
            help="How much of the way from the reference to what the policy proposes. It moves the sliders "
            "along "
            "while a suggestion is on them.",
        )
        limiting.protect(desk)
        st.toggle(
            "Sure gains only",
            value=True,
            key=held.SURE,
            persist_state="session",
            help="On: a suggestion must gain at the bad end of the 95% interval, or the advice is to stay. "
            "Off: the "
            "prediction itself counts, which goes further and is wrong more often.",
        )
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="bottom"):
            action(
                "Undo",
                held.undo,
                key="undo",
                icon=":material/undo:",
                type="tertiary",
                disabled=not stack.past,
            )
            action(
                "Redo",
                held.redo,
                key="redo",
                icon=":material/redo:",
                type="tertiary",
                disabled=not stack.future,
            )
    outcome("suggest", "undo", "redo")


def _suggest(desk: Desk) -> None:
    asked = held.asked_for(desk.budget, held.now())
    held.put_suggestion(answer_of(desk, asked), asked)


def _again(desk: Desk) -> None:
    """Go another part of the way, where a suggestion is on the sliders."""
    now = held.now()
    if now.asked.policy == "manual":
        return
    asked = now.asked.model_copy(update={"step": held.step()})
    held.put_suggestion(answer_of(desk, asked), asked)


def _room(desk: Desk, now: Held) -> tuple[Limits | None, dict[str, Range]]:
    """What the constraints leave, or words where they clash."""
    asked = held.full_constraints(desk.budget, now)
    try:
        limits = limits_of(desk, asked)
        # A lock is the curator's own wish and moves with every release; ranges are those without it.
        return limits, ranges_of(desk, asked.model_copy(update={"locked": {}}))
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/block:")
    return None, {}


def _said(now: Held) -> None:
    """What the policy said of what is on the sliders."""
    if now.source:
        st.caption(f":material/input: {plain(now.source)}")
    if now.asked.policy == "manual":
        return
    if now.stay and now.notes:
        st.info(plain(" ".join(now.notes)), icon=":material/pan_tool:")
        return
    label = POLICIES[now.asked.policy].label
    far = f", {now.asked.step:.0%} of the way" if now.asked.step < 1 else ""
    st.caption(" ".join([f":material/auto_fix_high: By {plain(label)}{far}.", *map(plain, now.notes)]))


def _sliders(desk: Desk, stack: Stack, ranges: dict[str, Range]) -> None:
    """One slider per domain."""
    now, question = stack.now, desk.question
    effects = dict(
        zip(desk.model.domains, effects_on(desk, now.weights).to_numpy(float).tolist(), strict=True)
    )
    units, reference, tokens = to_units(now.weights), to_units(question.reference), desk.tokens
    rows = []
    for domain in question.runs.domains:
        effect, lower, upper = effects[domain]
        tone: Tone = "unclear" if lower <= 0 <= upper else "better" if effect < 0 else "worse"
        room = ranges.get(domain, Range(0.0, 1.0, "", ""))
        rows.append(
            SliderRow(
                domain=domain,
                units=units[domain],
                reference_units=reference[domain],
                effect=_signed(effect),
                interval=f"{_signed(lower)} to {_signed(upper)}",
                tone=tone,
                epochs=desk.budget / tokens[domain] if tokens else None,
                lowest=math.floor(room.lowest * UNIT + ROUNDING),
                highest=math.ceil(room.highest * UNIT - ROUNDING),
                lowest_because=room.lowest_because,
                highest_because=room.highest_because,
                locked=domain in now.locked,
            )
        )
    mixture_sliders(rows, key=held.SLIDERS, revision=stack.revision, top=_scale(rows))
    band = " The pale band is what the constraints allow; point at it to see which." if ranges else ""
    missing = "" if tokens else " Only runs of this pool are known, not its text, so there are no epochs."
    st.caption(
        "Effect: what +1 point of the domain, taken from the others in proportion, does to the objective "
        "at this "
        "mixture, with its 95% interval; unclear: it cannot be told from zero." + band + missing
    )


def _scale(rows: list[SliderRow]) -> int:
    """Where the tracks end: at the next ten percent beyond all that is allowed and all that is there."""
    most = max(max(r.highest, r.units, r.reference_units) for r in rows)
    return min(UNIT, math.ceil(most / TENTH) * TENTH)


def _signed(value: float) -> str:
    """An effect; what rounds to zero has no sign."""
    text = f"{value:+.4f}"
    return text if float(text) else "0.0000"


def _broken(limits: Limits, now: Held) -> None:
    """Which constraints the sliders break, and the way back."""
    found = broken(limits, now.weights)
    if not found:
        return
    st.warning(
        f"Outside of the constraints: {plain(listed([v.words for v in found]))}.", icon=":material/rule:"
    )
    action(
        "Move to the nearest allowed mixture",
        _bring_back,
        limits,
        key="bring_back",
        icon=":material/vertical_align_center:",
        help="The mixture that changes least and keeps all constraints.",
    )
    outcome("bring_back")


def _bring_back(limits: Limits) -> None:
    held.put(Held(nearest(limits, held.now().weights)))


def _exchange(desk: Desk, now: Held) -> None:
    """One point of one domain from another."""
    domains = desk.model.domains
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            gain = st.selectbox(
                "+1 point of",
                domains,
                key=GAIN,
                width=190,
                persist_state="session",
                help="The effect beside a slider takes the point from all others in proportion. Here you "
                "pick the "
                "donor: a contrast between two mixtures.",
            )
            give = st.selectbox(
                "taken from", domains, min(1, len(domains) - 1), key=GIVE, width=190, persist_state="session"
            )
            action("Move the point", _move_point, key="move_point", icon=":material/swap_horiz:")
        outcome("move_point")
        try:
            found = exchange_effect(desk.model, desk.question.state, now.weights, gain, give)
        except CausalMixError as error:
            st.caption(plain(str(error)))
            return
        goal = found[found["outcome"] == OBJECTIVE].iloc[0]
        st.markdown(_sentence(gain, give, goal, unit_of(desk)))
        with st.expander("On each outcome"):
            predicting.bars(found.rename(columns={"effect": "change"}), "change per point", "exchange")


def _sentence(gain: str, give: str, goal: pd.Series, unit: str) -> str:
    span = f"95%: {goal['lower']:+.4f} to {goal['upper']:+.4f}"
    verdict = "cannot be told from zero"
    if goal["distinguishable"]:
        verdict = ":green[better]" if goal["effect"] < 0 else ":red[worse]"
    return (
        f"One point of **{plain(gain)}** from **{plain(give)}** changes the objective by "
        f"**{goal['effect']:+.4f}{unit}** "
        f"({span}): {verdict}."
    )


def _move_point() -> None:
    """Move up to one point.

    Raises:
        CausalMixError: the same domain twice, or nothing to take.
    """
    gain, give = str(st.session_state[GAIN]), str(st.session_state[GIVE])
    weights = dict(held.now().weights)
    if gain == give:
        raise CausalMixError(f"{gain} cannot give to itself; pick another domain to take from.")
    point = min(POINT, weights[give])
    if point <= 0:
        raise CausalMixError(f"There is no {give} in this mixture to take from; pick another domain.")
    weights[gain] += point
    weights[give] -= point
    held.put(Held(weights))
