"""Two saved mixtures side by side: weights, what they are predicted to do, and what they rest on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.mixture import SavedMixture
from causalmix_core.mixture.comparison import compare_mixtures
from causalmix_core.mixture.record import graph_digest
from pages.graph_views.plain import plain
from pages.mixture_views.desk import Desk, outcome_name
from pages.widgets import charts
from pages.widgets.interval_charts import intervals
from pages.widgets.mixture_charts import two_mixtures

OTHER = "saved_other"


def choose(kept: dict[str, SavedMixture], label: str, key: str, but: str = "") -> SavedMixture:
    """One of the saved mixtures."""
    names = [n for n in kept if n != but]
    if st.session_state.get(key) not in names:
        st.session_state.pop(key, None)
    name = st.selectbox(label, names, key=key, width=320, persist_state="session")
    return kept[name]


def show(desk: Desk, kept: dict[str, SavedMixture], chosen: SavedMixture) -> None:
    """Two saved mixtures side by side."""
    st.subheader("Compare", anchor=False)
    if len(kept) < 2:
        st.caption("Save a second mixture under another name to compare the two.")
        return
    other = choose(kept, f"{chosen.name} with", OTHER, but=chosen.name)
    found = compare_mixtures(chosen, other, desk.model if _by_this_model(desk, chosen) else None)
    if found.distance is not None:
        st.markdown(f"**{100 * found.distance:.1f} points** of weight lie between the two.")
    for note in found.notes:
        st.caption(f":material/info: {plain(note)}")
    left, right = st.columns(2, gap="large")
    with left:
        charts.show(
            two_mixtures(found.weights, chosen.name, other.name),
            key="two-mixtures",
            height=90 + 30 * len(found.weights),
        )
    with right:
        if found.apart is not None:
            rows = found.apart
            charts.show(
                intervals(
                    [outcome_name(o) for o in rows["outcome"]],
                    rows["change"].tolist(),
                    rows["lower"].tolist(),
                    rows["upper"].tolist(),
                    f"change from {chosen.name} to {other.name}",
                    rows["outcome"].tolist(),
                ),
                key="apart",
                height=90 + 30 * len(rows),
            )
            st.caption("By the effects in use on this page. Green is better; grey cannot be told from zero.")
        else:
            st.dataframe(_values(found.predictions, chosen.name, other.name), hide_index=True)
            st.caption("What a new run would measure, with 95% intervals, each by its own effects.")
    if len(found.provenance):
        with st.expander("What they rest on, where it differs", icon=":material/difference:"):
            st.dataframe(
                found.provenance.rename(columns={"what": "What", "first": chosen.name, "second": other.name}),
                hide_index=True,
            )


def _by_this_model(desk: Desk, chosen: SavedMixture) -> bool:
    """Whether the effects in use are those that the saved mixture rests on."""
    return (
        chosen.snapshot == desk.question.pool
        and chosen.estimator == desk.estimator
        and chosen.graph.digest == graph_digest(desk.home.graph)
        and chosen.objective == desk.home.objective
        and len(chosen.runs) == len(desk.home.runs)
    )


def _values(rows: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    table = {"Outcome": [outcome_name(o) for o in rows["outcome"]]}
    for which, name in (("first", first), ("second", second)):
        table[name] = [
            "-" if pd.isna(m) else f"{m:.4f} ({low:.4f} to {high:.4f})"
            for m, low, high in zip(
                rows[f"{which}_mean"], rows[f"{which}_mean_lower"], rows[f"{which}_mean_upper"], strict=True
            )
        ]
    return pd.DataFrame(table)
