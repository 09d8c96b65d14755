"""What the mixture on the sliders is predicted to change, with intervals, and where not to trust that."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE
from causalmix_core.mixture import total_variation
from causalmix_core.mixture.badness import badness_sign
from causalmix_core.mixture.limits import listed, percent
from pages.graph_views.plain import plain
from pages.mixture_views import held
from pages.mixture_views.desk import Desk, change_of, outcome_name, unit_of
from pages.mixture_views.held import Held
from pages.widgets import charts
from pages.widgets.interval_charts import intervals

UNMOVED = 1e-9


def show(desk: Desk, now: Held) -> None:
    """Predicted change of each outcome from the reference, with intervals."""
    st.subheader("Predicted change", anchor=False)
    change = change_of(desk, now.weights)
    goal = change[change["outcome"] == OBJECTIVE].iloc[0]
    moved = total_variation(desk.question.reference, now.weights)
    st.metric(
        "Objective",
        f"{goal['change']:+.4f}{unit_of(desk)}",
        help="Predicted change of the mean of the outcomes that count, from the reference; lower is better.",
    )
    if moved < UNMOVED:
        st.caption("The sliders stand at the reference. Move one, or press Suggest.")
    else:
        sure = "" if goal["upper"] < 0 or goal["lower"] > 0 else " · cannot be told from zero"
        st.caption(
            f"95%: {goal['lower']:+.4f} to {goal['upper']:+.4f}{sure} · {100 * moved:.1f} points moved"
        )
        bars(change, "change from the reference", "predictions")
        st.caption("For proxies of this size; green is better, grey cannot be told from zero. 95% intervals.")
    rows = change[change["outcome"] != OBJECTIVE]
    _harmed(rows)
    _outside(desk, now)


def bars(rows: pd.DataFrame, axis: str, key: str) -> None:
    """Changes of the outcomes, without the objective, with their intervals."""
    rows = rows[rows["outcome"] != OBJECTIVE]
    charts.show(
        intervals(
            [outcome_name(o) for o in rows["outcome"]],
            rows["change"].tolist(),
            rows["lower"].tolist(),
            rows["upper"].tolist(),
            axis,
            rows["outcome"].tolist(),
        ),
        key=key,
        height=80 + (30 if len(rows) > 8 else 38) * len(rows),
    )


def _harmed(rows: pd.DataFrame) -> None:
    """Protected outcomes that may get worse by more than their margin."""
    by_outcome = rows.set_index("outcome")
    over = []
    for name, margin in held.no_harm().items():
        if name in by_outcome.index:
            ends = badness_sign(name) * by_outcome.loc[name, ["lower", "upper"]]
            if ends.max() > margin + 1e-9:
                over.append(f"{outcome_name(name)} (up to {ends.max():.4g} worse, {margin:.4g} allowed)")
    if over:
        st.warning(f"May do harm: {plain(listed(over))}.", icon=":material/health_and_safety:")


def _outside(desk: Desk, now: Held) -> None:
    """Where the prediction is an extrapolation."""
    box = desk.model.domain_box
    outside = [
        f"{d} ({percent(now.weights[d])}; runs {percent(low)} to {percent(high)})"
        for d, low, high in zip(desk.model.domains, box["lower"], box["upper"], strict=True)
        if not low - 1e-9 <= now.weights[d] <= high + 1e-9
    ]
    if outside:
        st.warning(
            f"The probes hardly tried such weights, so this is extrapolated: {plain(listed(outside))}.",
            icon=":material/warning:",
        )
    if said := desk.model.extrapolation(desk.question.state):
        st.warning(plain(said), icon=":material/warning:")
