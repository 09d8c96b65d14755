"""What every suggestion has to keep to, and which outcomes it must not harm, said in words, line by line."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from pydantic import ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import Constraints, Group
from causalmix_core.mixture.limits import change_words, count_words, listed, percent, reach_words, times
from causalmix_core.probes.outcomes import direction_of
from pages.graph_views.plain import plain
from pages.mixture_views import held
from pages.mixture_views.desk import Desk, outcome_name
from pages.widgets.actions import action, outcome

REACH, EPOCHS, CHANGE, COUNT = "limit_reach", "limit_epochs", "limit_change", "limit_count"
DOMAINS, LOWEST, HIGHEST, NAME = "limit_domains", "limit_lowest", "limit_highest", "limit_name"
HARMED = "harm_outcomes"


def words_of(constraints: Constraints) -> list[str]:
    """Every constraint as a line, those on domains first."""
    said = [
        *(f"{d} {_span(low, high)}" for d, (low, high) in sorted(constraints.bounds.items())),
        *(f"{g.name} {_span(g.lowest, g.highest)}" for g in constraints.groups),
    ]
    if constraints.radius is not None and constraints.radius < 1:
        said.append(reach_words(constraints.radius))
    if constraints.max_epochs is not None and not isinstance(constraints.max_epochs, dict):
        said.append(f"no domain is read more than {times(constraints.max_epochs)}")
    if constraints.smallest_change:
        said.append(change_words(constraints.smallest_change))
    if constraints.most_domains is not None:
        said.append(count_words(constraints.most_domains))
    return said


def edit(desk: Desk) -> None:
    """The editor, closed until it is wanted."""
    here = held.constraints()
    lines = words_of(here)
    with st.expander(f"Constraints: {plain(listed(lines)) or 'none'}", icon=":material/rule:", key="limits"):
        _everywhere(desk, here)
        _domains(desk, here)
        outcome("add_limit", *(f"drop_{i}" for i in range(len(here.bounds) + len(here.groups) + 1)))


def _everywhere(desk: Desk, here: Constraints) -> None:
    """Limits of the whole mixture."""
    reach, epochs, change, count = st.columns(4)
    reach.number_input(
        "Weight that may move (points)",
        0.1,
        100.0,
        100 * (here.radius or 1.0),
        5.0,
        "%g",
        key=REACH,
        on_change=_set,
        args=(REACH,),
        help="At most this much weight moves away from the reference (half the sum of all changes, total "
        "variation). Predictions are best close to what the probes tried.",
    )
    unknown = desk.tokens is None
    epochs.number_input(
        "Read a domain at most (times)",
        0.01,
        None,
        None if unknown or isinstance(here.max_epochs, dict) else here.max_epochs,
        1.0,
        "%g",
        key=EPOCHS,
        on_change=_set,
        args=(EPOCHS,),
        placeholder="the pool is not at hand" if unknown else "no limit",
        disabled=unknown,
        help="With the tokens of the training run this caps each weight: what a domain has is repeated at "
        "most this "
        "often. About 4 passes are nearly as good as new text (Muennighoff et al. 2023)."
        if not unknown
        else "Only runs of this pool are known, not its text, so nobody knows how often a domain would be "
        "read.",
    )
    change.number_input(
        "Smallest change (points)",
        0.0,
        100.0,
        100 * here.smallest_change or None,
        0.5,
        "%g",
        key=CHANGE,
        on_change=_set,
        args=(CHANGE,),
        placeholder="any",
        help="A domain stays at the reference or moves at least this much: no changes that are not worth "
        "the trouble.",
    )
    count.number_input(
        "Most domains in use",
        1,
        len(desk.model.domains),
        here.most_domains,
        1,
        key=COUNT,
        on_change=_set,
        args=(COUNT,),
        placeholder="all",
        help="All others get no weight.",
    )


def _domains(desk: Desk, here: Constraints) -> None:
    """Limits of domains and of groups of them."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.multiselect(
            "Limit a domain, or several together",
            desk.model.domains,
            key=DOMAINS,
            width=330,
            placeholder="choose domains",
            help="Several domains make a group: the limit is on their sum.",
        )
        st.number_input("At least (%)", 0.0, 100.0, 0.0, 1.0, "%g", key=LOWEST, width=120)
        st.number_input("At most (%)", 0.0, 100.0, 100.0, 1.0, "%g", key=HIGHEST, width=120)
        st.text_input("Name of the group", key=NAME, width=170, placeholder="optional")
        action("Add the limit", _add, desk, key="add_limit", icon=":material/add:")
    rows: list[tuple[str, str | int]] = [
        *((f"{d} {_span(low, high)}", d) for d, (low, high) in sorted(here.bounds.items())),
        *(
            (f"{g.name} ({', '.join(g.domains)}) {_span(g.lowest, g.highest)}", i)
            for i, g in enumerate(here.groups)
        ),
    ]
    for i, (words, which) in enumerate(rows):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            action(
                "", _drop, which, key=f"drop_{i}", icon=":material/close:", type="tertiary", help="Remove it"
            )
            st.markdown(plain(words))


def protect(desk: Desk) -> None:
    """Outcomes that may not get worse, in a popover."""
    kept = held.no_harm()
    label = f"Do no harm: {len(kept)}" if kept else "Do no harm"
    with st.popover(label, icon=":material/health_and_safety:"):
        st.multiselect(
            "Outcomes that may not get worse",
            desk.question.runs.outcomes,
            default=list(kept),
            format_func=outcome_name,
            key=HARMED,
            width=440,
            on_change=_protect,
            help="A suggestion has to keep even the bad end of their 95% intervals within the margin.",
        )
        if kept:
            st.caption("Margin: by how much each may get worse all the same, in its own unit.")
        for name in kept:
            way = "rise" if direction_of(name) == "lower" else "fall"
            st.number_input(
                f"{plain(outcome_name(name))} may {way} by",
                min_value=0.0,
                value=kept[name],
                step=0.005,
                format="%g",
                key=f"harm-{name}",
                on_change=_protect,
                width=240,
            )


def _protect() -> None:
    before = held.no_harm()
    st.session_state[held.NO_HARM] = {
        o: float(st.session_state.get(f"harm-{o}", before.get(o, 0.0))) for o in st.session_state[HARMED]
    }


def _set(key: str) -> None:
    value = st.session_state[key]
    update: dict[str, object] = {
        REACH: {"radius": None if value is None or value >= 100 else value / 100},
        EPOCHS: {"max_epochs": value},
        CHANGE: {"smallest_change": (value or 0) / 100},
        COUNT: {"most_domains": value},
    }[key]
    held.change_constraints(lambda c: c.model_copy(update=update))


def _add(desk: Desk) -> None:
    """Take the limit that stands in the fields.

    Raises:
        CausalMixError: no domain, or no limit.
    """
    domains: Sequence[str] = st.session_state.get(DOMAINS, [])
    low, high = (round((st.session_state[k] or 0.0) / 100, 9) for k in (LOWEST, HIGHEST))
    if not domains:
        raise CausalMixError("Choose the domain that is limited, or several whose sum is.")
    if low <= 0 and high >= 1:
        raise CausalMixError("Say at least or at most how much: 0 to 100% is no limit.")
    if low > high:
        raise CausalMixError(f"At least {percent(low)} and at most {percent(high)} is nothing; swap the two.")
    here = held.constraints()
    changed: dict[str, object]
    try:
        if len(domains) == 1:
            changed = {"bounds": {**here.bounds, domains[0]: (low, high)}}
        else:
            name = str(st.session_state.get(NAME) or " + ".join(domains)).strip()
            kept = [g for g in here.groups if g.name != name]
            changed = {"groups": (*kept, Group(name=name, domains=tuple(domains), lowest=low, highest=high))}
    except ValidationError as error:
        raise CausalMixError(str(error.errors()[0]["msg"])) from error
    held.change_constraints(lambda c: c.model_copy(update=changed))
    st.session_state[DOMAINS], st.session_state[NAME] = [], ""
    st.session_state[LOWEST], st.session_state[HIGHEST] = 0.0, 100.0


def _drop(which: str | int) -> None:
    here = held.constraints()
    update: dict[str, object] = (
        {"bounds": {d: b for d, b in here.bounds.items() if d != which}}
        if isinstance(which, str)
        else {"groups": tuple(g for i, g in enumerate(here.groups) if i != which)}
    )
    held.change_constraints(lambda c: c.model_copy(update=update))


def _span(low: float, high: float) -> str:
    if low <= 0:
        return f"at most {percent(high)}"
    return f"at least {percent(low)}" if high >= 1 else f"{percent(low)} to {percent(high)}"
