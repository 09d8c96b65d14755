"""Every effect at a glance, and those on one outcome in words: how large, how sure, on what they rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.explanation import state_name
from causalmix_core.effects.refutation import RefutedEffect
from pages.effect_views.asked import Asked, effects_of, outcome_name, refutation_of
from pages.effect_views.lights import badge, sign_of
from pages.graph_views.plain import plain
from pages.widgets.actions import action
from pages.widgets.charts import show as show_chart
from pages.widgets.interval_charts import effect_matrix, intervals
from pages.widgets.views import turn_to

OUTCOME = "effects_outcome"
ROW, MOST_NAMES = 34, 6
_Refuted = Mapping[tuple[str, str], RefutedEffect]


def show(asked: Asked) -> None:
    """Lay out the view."""
    effects = effects_of(asked)
    refuted = refutation_of(asked).value
    lights = {(e.domain, e.outcome): e for e in refuted.effects} if refuted else {}
    if warning := asked.model.extrapolation(asked.question.state):
        st.warning(plain(warning), icon=":material/warning:")
    _refuted_line(effects, lights, refuted.summary() if refuted else "")
    _matrix(effects, lights)
    _one_outcome(asked, effects, lights)


def _refuted_line(effects: pd.DataFrame, lights: _Refuted, summary: str) -> None:
    """What the refutations left of the effects, or that there were none yet."""
    if lights:
        st.markdown(plain(summary))
        return
    shown = int(effects["distinguishable"].sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{shown} of {len(effects)} effects can be told from zero. **No refutation has been tried yet:** "
            "whether they survive one is not known."
        )
        action(
            "Try to refute them",
            turn_to,
            "refute",
            "shown",
            key="to_refute",
            icon=":material/gavel:",
            type="tertiary",
        )


def _matrix(effects: pd.DataFrame, lights: _Refuted) -> None:
    """All domains against all outcomes."""
    rows = effects[effects["outcome"] != OBJECTIVE]
    tables = {
        column: rows.pivot(index="domain", columns="outcome", values=column)
        for column in ("effect", "distinguishable")
    }
    marks = rows.assign(
        mark=[
            f" {sign_of(lights[d, o].verdict)}" if clear and (d, o) in lights else ""
            for d, o, clear in zip(rows["domain"], rows["outcome"], rows["distinguishable"], strict=True)
        ]
    ).pivot(index="domain", columns="outcome", values="mark")
    figure, top = effect_matrix(tables["effect"], tables["distinguishable"].astype(bool), marks)
    show_chart(figure, key="matrix", height=top + 12 + ROW * len(marks), top=top)
    signs = " A tick survived every refutation, ~ came out weak, a cross failed." if lights else ""
    st.caption(
        "Change of each outcome per +1 percentage point of a domain, taken from the others in proportion. "
        "Green makes it better, red worse; without colour the effect cannot be told from zero." + signs
    )


def _one_outcome(asked: Asked, effects: pd.DataFrame, lights: _Refuted) -> None:
    """Effects on one outcome with their intervals, and a sentence for each."""
    outcome = st.selectbox(
        "Effects on",
        asked.outcomes,
        format_func=outcome_name,
        width=320,
        key=OUTCOME,
        persist_state="session",
    )
    rows = effects[effects["outcome"] == outcome].sort_values("effect")
    picture, words = st.columns([4, 5], gap="large")
    with picture:
        show_chart(
            intervals(
                rows["domain"].tolist(),
                rows["effect"].tolist(),
                rows["lower"].tolist(),
                rows["upper"].tolist(),
                "change per +1 point, 95% interval",
                rows["outcome"].tolist(),
            ),
            key="one-outcome",
            height=80 + ROW * len(rows),
        )
    with words:
        _in_words(asked, rows, lights)


def _in_words(asked: Asked, rows: pd.DataFrame, lights: _Refuted) -> None:
    clear = rows[rows["distinguishable"]]
    unclear = rows[~rows["distinguishable"]]
    if clear.empty:
        st.info(
            "No effect on this outcome can be told from zero. Stay with the reference, or launch more "
            "probes.",
            icon=":material/info:",
        )
    largest = clear["effect"].abs().sort_values(ascending=False).index
    for _, row in clear.loc[largest].iterrows():
        _sentence(row, badge(lights.get((row["domain"], row["outcome"]))))
    if unclear.empty:
        return
    names = f": {', '.join(unclear['domain'])}" if len(unclear) <= MOST_NAMES else ""
    with st.expander(f"{len(unclear)} that cannot be told from zero{plain(names)}"):
        for _, row in unclear.iterrows():
            _sentence(row, "")
    states = sorted({state_name(s) for s in rows["depends_on"] if s})
    if states:
        st.caption(f"How they depend on {plain(', '.join(states))} is drawn under Explain.")


def _sentence(row: pd.Series[Any], light: str) -> None:
    basis = plain(str(row["basis"]))
    st.markdown(f"{plain(str(row['sentence']))} {light}\n\n:gray[:small[Rests on: {basis}]]")
