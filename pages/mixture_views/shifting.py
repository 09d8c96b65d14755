"""Another pool: its mixture from the effects at hand, without a new probe, and what changed on the way."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.corpus import Snapshot, list_snapshots
from causalmix_core.corpus.snapshot import current_id
from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.explanation import state_name
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import Suggestion
from causalmix_core.mixture.shift import PoolShift, moved_question, pool_shift, shift_sentences
from causalmix_core.mixture.store import Asked
from causalmix_core.probes.runs import pool_words
from causalmix_core.workspace import Workspace
from pages.graph_views.plain import plain
from pages.mixture_views import held
from pages.mixture_views.desk import FOR_POOL, Desk, Key, answer_of, outcome_name, sorted_outcomes, unit_of
from pages.widgets import charts
from pages.widgets.actions import action, outcome
from pages.widgets.mixture_charts import two_mixtures
from pages.widgets.shift_charts import moved_states, two_effects
from pages.widgets.views import turn_to

TO, OF = "shift_to", "shift_outcome"


def show(desk: Desk) -> None:
    """Lay out the view."""
    st.markdown(
        "Effects were learned over many pool states. So a new or filtered pool gets its mixture from them, "
        "without a "
        "single new probe, as long as it lies within what the probes covered."
    )
    others = [s for s in list_snapshots(desk.workspace) if s.id != desk.home.pool]
    if not others:
        with st.container(border=True):
            st.markdown(
                "There is no other snapshot yet. Filter the pool or read changed sources: each gives a new "
                "snapshot, "
                "which can be chosen here."
            )
            st.page_link("pages/corpus.py", label="Go to the corpus", icon=":material/arrow_forward:")
        return
    labels = {s.id: _label(desk.workspace, s) for s in others}
    if st.session_state.get(TO) not in labels:
        st.session_state[TO] = (
            st.session_state.get(FOR_POOL) if st.session_state.get(FOR_POOL) in labels else others[0].id
        )
    to = st.selectbox(
        "Pool that the mixture is for",
        list(labels),
        format_func=labels.__getitem__,
        key=TO,
        width=520,
        persist_state="session",
    )
    try:
        there = Desk(
            desk.workspace,
            desk.home,
            moved_question(desk.workspace, desk.home, to),
            desk.estimator,
            desk.model,
            desk.budget,
        )
        found = _shift((*there.key, tuple(sorted(desk.home.state.items()))), desk, there)
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/block:")
        return
    if not desk.model.runs.states:
        st.warning(
            "The runs carry no pool state: all were trained on the same pool, so effects cannot differ "
            "between pools. "
            "Only the sizes of the domains, and with them the reference, are others here.",
            icon=":material/info:",
        )
    if found.warning:
        st.warning(plain(found.warning), icon=":material/warning:")
    _suggestion(desk, there)
    if desk.model.runs.states:
        _states(desk, there, found)
        _effects(desk, there, found)


@st.cache_data(show_spinner="Comparing the pools ...", max_entries=16)
def _shift(key: Key, _desk: Desk, _there: Desk) -> PoolShift:
    home = _desk.home
    return pool_shift(_desk.model, home.state, _there.question.state, home.reference)


def _label(workspace: Workspace, snapshot: Snapshot) -> str:
    manifest = snapshot.manifest
    current = " · in use" if snapshot.id == current_id(workspace) else ""
    derived = " · filtered" if manifest.derived else ""
    size = f"{sum(snapshot.tokens().values()) / 1e6:,.1f}M tokens"
    return f"{snapshot.id} · {manifest.created_at:%d %b %Y, %H:%M} · {size}{derived}{current}"


def _suggestion(desk: Desk, there: Desk) -> None:
    """The mixture for the other pool, beside that for the pool of the runs."""
    now = held.stack_of(desk.question).now
    asked = held.asked_for(desk.budget, held.Held(now.weights))
    try:
        new = answer_of(there, asked)
        old = answer_of(
            Desk(desk.workspace, desk.home, desk.home, desk.estimator, desk.model, desk.budget), asked
        )
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/block:")
        return
    st.subheader("Its mixture", anchor=False)
    left, right = st.columns([3, 2], gap="large")
    with left:
        weights = pd.DataFrame(
            {
                "domain": list(new.mixture),
                "first": list(old.mixture.values()),
                "second": list(new.mixture.values()),
            }
        )
        charts.show(
            two_mixtures(weights, "suggested for the pool of the runs", "suggested for this pool"),
            key="shifted",
            height=100 + 30 * len(weights),
        )
    with right:
        goal = new.change.set_index("outcome").loc[OBJECTIVE]
        st.metric(
            "Objective, from this pool's own weights by size",
            f"{goal['change']:+.4f}{unit_of(desk)}",
            help="Predicted for a run on this pool; lower is better.",
        )
        sure = "" if goal["upper"] < 0 or goal["lower"] > 0 else " · cannot be told from zero"
        st.caption(
            f"95%: {goal['lower']:+.4f} to {goal['upper']:+.4f}{sure} · {100 * new.distance:.1f} points moved"
        )
        for note in new.notes:
            st.caption(f":material/info: {plain(note)}")
        action(
            "Put it on the sliders",
            _put,
            there.question.pool,
            new,
            asked,
            key="put_shift",
            type="primary",
            icon=":material/tune:",
            help="All views then speak of this pool until you go back.",
        )
        outcome("put_shift")


def _put(pool: str, found: Suggestion, asked: Asked) -> None:
    st.session_state[FOR_POOL] = pool
    held.put_suggestion(found, asked)
    turn_to("sliders", "mix")


def _states(desk: Desk, there: Desk, found: PoolShift) -> None:
    st.subheader("What changed in the pool", anchor=False)
    varied = found.states[found.states["deviations"].notna()]
    names = (pool_words(desk.home.pool), pool_words(there.question.pool))
    left, right = st.columns([3, 2], gap="large")
    with left:
        charts.show(moved_states(varied, names), key="states", height=90 + 36 * len(varied))
        st.caption("The band spans the runs. What lies outside of it, in red, is extrapolated.")
    with right:
        st.dataframe(
            pd.DataFrame(
                {
                    "Pool state": [state_name(s) for s in found.states["state"]],
                    "Runs' pool": found.states["before"].map("{:.4g}".format),
                    "This pool": found.states["after"].map("{:.4g}".format),
                    "Change": found.states["deviations"].map(lambda d: "-" if pd.isna(d) else f"{d:+.2f} sd"),
                }
            ),
            hide_index=True,
            column_config={
                "Change": st.column_config.TextColumn(help="In standard deviations of the runs' states.")
            },
        )


def _effects(desk: Desk, there: Desk, found: PoolShift) -> None:
    st.subheader("What that does to the effects, and why", anchor=False)
    chosen = st.selectbox(
        "Effects on",
        sorted_outcomes(desk),
        format_func=outcome_name,
        key=OF,
        width=320,
        persist_state="session",
    )
    rows = found.effects[found.effects["outcome"] == chosen]
    before, after = (
        rows.rename(columns={c: "effect", f"{c}_lower": "lower", f"{c}_upper": "upper"})[
            ["effect", "lower", "upper"]
        ]
        for c in ("before", "after")
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        names = (pool_words(desk.home.pool), pool_words(there.question.pool))
        charts.show(
            two_effects(rows["domain"].tolist(), before, after, chosen, names),
            key="two-effects",
            height=100 + 40 * len(rows),
        )
    with right:
        for sentence in shift_sentences(found, chosen):
            st.markdown(f"- {plain(sentence)}")
    causes = found.causes[found.causes["outcome"] == chosen]
    if len(causes):
        with st.expander("Which pool state moved which effect"):
            table = causes.pivot(index="domain", columns="state", values="contribution")
            st.dataframe(table.rename(columns=state_name).style.format("{:+.5f}"))
            st.caption(
                "The contributions of the states to an effect add up to its difference (Shapley values)."
            )
