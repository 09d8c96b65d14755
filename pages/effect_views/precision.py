"""Whether intervals hold what they say, and how small an effect these runs could show."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.effects.leaderboard_result import Leaderboard
from causalmix_core.effects.power import MoreProbes, detectable_effects, more_probes, power_words
from causalmix_core.errors import CausalMixError
from pages.effect_views.asked import Asked, Key, outcome_name
from pages.graph_views.plain import plain
from pages.widgets import trust_charts
from pages.widgets.charts import show as show_chart
from pages.widgets.tables import table_height

OUTCOME = "power_outcome"


def intervals(asked: Asked, board: Leaderboard | None) -> None:
    """What was promised and what was kept, outcome by outcome."""
    st.markdown(
        "Every interval says 95%. Runs that the fit has not seen tell how often that is so, and intervals "
        "have been corrected by what they tell."
    )
    row = board.row(asked.estimator) if board else None
    table, picture = st.columns(2, gap="large")
    with table:
        st.markdown("**Before the correction, and the correction**")
        _calibration(asked)
    with picture:
        st.markdown("**After the correction**")
        if row is None or not row.outcomes:
            st.caption("Shown once estimators are compared.")
            return
        show_chart(
            trust_charts.outcome_coverage_figure(row),
            key="outcome_coverage",
            height=trust_charts.dots_height(len(row.outcomes)),
        )
        st.caption("On held-out runs that neither the fit nor the correction has seen.")


def _calibration(asked: Asked) -> None:
    rows = [
        (
            outcome_name(o),
            95.0,
            100 * float(c.observed[i]),
            float(c.prediction[i]),
            float(c.effect[i]),
            float(c.change[i]),
            c.n,
        )
        for group in asked.model.groups
        for c in [group.calibration]
        for i, o in enumerate(group.outcomes)
    ]
    order = [outcome_name(o) for o in asked.model.outcomes]
    rows.sort(key=lambda row: order.index(row[0]))
    table = pd.DataFrame(rows, columns=["Outcome", "Says", "Held", "Prediction", "Effect", "Change", "Runs"])
    st.dataframe(
        table,
        hide_index=True,
        height=table_height(len(table)),
        column_config={
            "Says": st.column_config.NumberColumn(format="%.0f%%", width=65),
            "Held": st.column_config.NumberColumn(
                format="%.0f%%", width=65,
                help="Left-out runs inside their 95% interval before anything was corrected.",
            ),
            "Prediction": st.column_config.NumberColumn(
                format="%.2f SE", width=95,
                help="Half an interval of a new run, in standard errors, after the correction (conformal).",
            ),
            "Effect": st.column_config.NumberColumn(
                format="%.2f SE", width=90,
                help="Half an interval of an effect per point, in standard errors, after the correction; "
                "1.96 if nothing were to correct.",
            ),
            "Change": st.column_config.NumberColumn(
                format="%.2f SE", width=90,
                help="Half an interval of a change from one mixture to another, in standard errors.",
            ),
            "Runs": st.column_config.NumberColumn(width=65, help="Left-out runs that this rests on."),
        },
    )  # fmt: skip


def power(asked: Asked) -> None:
    """The smallest effects that could be told from zero, and what more probes would bring."""
    outcome = st.selectbox("Effects on", asked.outcomes, format_func=outcome_name, key=OUTCOME, width=320)
    detectable = _detectable(asked.key, asked)
    rows = detectable[detectable["outcome"] == outcome]
    st.markdown(plain(power_words(detectable, outcome, len(asked.question.runs))))
    if rows.empty:
        return
    sizes, more = st.columns(2, gap="large")
    with sizes:
        show_chart(
            trust_charts.power_figure(detectable, outcome),
            key="power",
            height=trust_charts.dots_height(len(rows)) + 20,
            top=36,
        )
    with more:
        try:
            found = _more(asked.key, asked, outcome)
        except CausalMixError as error:
            st.caption(plain(str(error)))
            return
        show_chart(trust_charts.more_probes_figure(found), key="more_probes", height=300)
        st.markdown(plain(found.words))


@st.cache_data(show_spinner=False, max_entries=16)
def _detectable(key: Key, _asked: Asked) -> pd.DataFrame:
    question = _asked.question
    return detectable_effects(_asked.model, question.state, question.reference)


@st.cache_data(show_spinner="Asking what more probes would bring ...", max_entries=64)
def _more(key: Key, _asked: Asked, outcome: str) -> MoreProbes:
    question = _asked.question
    return more_probes(_asked.model, question.state, question.reference, outcome)
