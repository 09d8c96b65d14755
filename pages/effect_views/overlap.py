"""How the mixtures of the runs came about, and where there are runs to go by at all."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.effects.overlap.support import FEW_WITH
from pages.effect_views.asked import Asked, assignment_of, overlap_of
from pages.effect_views.header import ASSIGNMENTS
from pages.graph_views.plain import plain
from pages.widgets import trust_charts
from pages.widgets.charts import show as show_chart
from pages.widgets.tables import table_height

ROW = 35


def show(asked: Asked) -> None:
    """Lay out the view."""
    report, overlap = assignment_of(asked), overlap_of(asked)
    label, colour, icon = ASSIGNMENTS[report.kind]
    st.badge(label, color=colour, icon=icon)
    for sentence in report.sentences:
        st.markdown(plain(sentence))
    for warning in overlap.warnings:
        st.warning(plain(warning), icon=":material/warning:")
    domains, regions = st.columns(2, gap="large") if overlap.regions else (st.container(), None)
    with domains:
        st.markdown("**Runs behind each domain**")
        table = overlap.domain_table()
        st.dataframe(
            pd.DataFrame(
                {
                    "Domain": table["domain"],
                    "Low": 100 * table["lower"],
                    "High": 100 * table["upper"],
                    "With": table["runs_with"],
                    "Effective": table["effective_runs"],
                }
            ),
            hide_index=True,
            height=table_height(len(table)),
            column_config={
                "Low": st.column_config.NumberColumn("From", format="%.1f%%", width=70, help="1% lie below."),
                "High": st.column_config.NumberColumn("to", format="%.1f%%", width=70, help="1% lie above."),
                "With": st.column_config.NumberColumn(
                    "Runs with", width=85, help="Runs that hold more than one point of it."
                ),
                "Effective": st.column_config.NumberColumn(
                    format="%.0f", width=85,
                    help="So many runs with equal weights of it would hold as much (Kish's effective size). "
                    "Far below the number of runs: a few runs with much of it decide.",
                ),
            },
        )  # fmt: skip
    if regions is None:
        return
    with regions:
        st.markdown("**Runs with each domain, by pool state**")
        show_chart(trust_charts.overlap_figure(overlap), key="overlap", height=80 + ROW * len(table), top=56)
        st.caption(
            "Runs that hold more than a point of the domain, in the lowest, middle and highest third of "
            f"each pool state. Fewer than {FEW_WITH} stand out: effects there are hardly known."
        )
