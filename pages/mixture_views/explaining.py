"""Why this mixture: what each move contributes, whether others would have suggested it, and a report."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from causalmix_core.effects import OBJECTIVE
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import mixture_record, total_variation
from causalmix_core.mixture.report import report_html
from causalmix_core.mixture.robustness import Robustness, graph_variants, robustness
from causalmix_core.mixture.store import Asked
from pages.graph_views.plain import plain
from pages.mixture_views import held
from pages.mixture_views.desk import Desk, Key, change_of, outcome_name, parts_of, sorted_outcomes
from pages.mixture_views.held import Held
from pages.widgets import charts
from pages.widgets.actions import action, outcome
from pages.widgets.mixture_charts import UNMOVED, waterfall_figure
from pages.widgets.shell import user
from pages.widgets.tables import table_height
from pages.widgets.views import turn_to

OF, REPORT_NAME = "why_outcome", "report_name"
_WANTED, _REPORT = "robustness_wanted", "report"
VARIED = {"estimator": "estimator", "graph": "graph", "step": "how far", "reach": "reach"}
LISTED = 5


def show(desk: Desk) -> None:
    """Lay out the view."""
    now = held.stack_of(desk.question).now
    if total_variation(desk.question.reference, now.weights) < UNMOVED:
        with st.container(border=True):
            st.markdown(
                "The sliders stand at the reference, so there is nothing to explain yet. Ask for a "
                "suggestion, or "
                "move a slider."
            )
            action("Go to the sliders", turn_to, "sliders", "mix", key="to_sliders", icon=":material/tune:")
        return
    _waterfall(desk, now)
    asked = now.asked if now.asked.policy != "manual" else held.asked_by_hand(desk.budget, now)
    st.subheader("Would another analysis have suggested it?", anchor=False)
    found = _robustness(desk, now, asked)
    st.subheader("A report to send", anchor=False)
    _report(desk, now, asked, found)


def _waterfall(desk: Desk, now: Held) -> None:
    outcome_ = st.selectbox(
        "From the reference to the sliders, on",
        sorted_outcomes(desk),
        format_func=outcome_name,
        key=OF,
        width=320,
        persist_state="session",
    )
    parts = parts_of(desk, now.weights)
    mine = parts[parts["outcome"] == outcome_]
    left, right = st.columns([3, 2], gap="large")
    moved = mine[mine["moved"].abs() >= UNMOVED]
    with left:
        charts.show(waterfall_figure(mine, outcome_), key="waterfall", height=110 + 30 * (len(moved) + 1))
        st.caption("Beside each name: by how many points it moves. The parts add up to the predicted change.")
    with right:
        row = change_of(desk, now.weights).set_index("outcome").loc[outcome_]
        st.metric(
            outcome_name(outcome_).capitalize() if outcome_ == OBJECTIVE else outcome_name(outcome_),
            f"{row['change']:+.4f}",
        )
        st.caption(f"95%: {row['lower']:+.4f} to {row['upper']:+.4f}")
        order = moved.reindex(moved["contribution"].abs().sort_values(ascending=False).index)
        shown = LISTED if len(order) > LISTED + 1 else len(order)
        for line in order.head(shown).to_dict("records"):
            way = "More" if line["moved"] > 0 else "Less"
            moved_by, adds = f"{100 * line['moved']:+.1f} points", f"{line['contribution']:+.4f}"
            st.markdown(f"- **{way} {plain(line['domain'])}** ({moved_by}): {adds}")
        if len(order) > shown:
            rest = order["contribution"].iloc[shown:].sum()
            st.markdown(f"- the other {len(order) - shown} together: {rest:+.4f}")


def _robustness(desk: Desk, now: Held, asked: Asked) -> Robustness | None:
    """The suggestion under other estimators, graphs, steps and reaches; computed once it is wanted."""
    key = (*desk.key, asked.model_dump_json(), tuple(sorted(now.weights.items())))
    if st.session_state.get(_WANTED) != key:
        st.markdown(
            "Everything that could have been decided otherwise is changed, one at a time: the estimator, "
            "edges that "
            "somebody drew, how far to go, how much may move."
        )
        action(
            "Try the alternatives",
            _want,
            key,
            key="robustness",
            icon=":material/experiment:",
            help="Fits other estimators, which takes up to some minutes; the answer is kept.",
        )
        outcome("robustness")
        return None
    try:
        with st.spinner("Fitting the alternatives ..."):
            found = _robust(key, desk, now, asked)
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    st.markdown(f"**{plain(found.summary)}**")
    table = found.table
    rows = table.assign(
        varied=[VARIED.get(v, v) for v in table["varied"]],
        own=[
            _change(*r)
            for r in zip(table["change"], table["lower"], table["upper"], table["problem"], strict=True)
        ],
        ours=[
            _change(*r)
            for r in zip(
                table["ours"], table["ours_lower"], table["ours_upper"], table["problem"], strict=True
            )
        ],
        distance=100 * table["distance"].astype(float),
    )[["varied", "variant", "ours", "own", "distance", "problem"]]
    st.dataframe(
        rows,
        hide_index=True,
        height=table_height(len(rows)),
        column_config={
            "varied": st.column_config.TextColumn("Changed", width=90),
            "variant": st.column_config.TextColumn("To", width=260),
            "ours": st.column_config.TextColumn(
                "Predicts of this mixture", width=230, help="Change of the objective, 95%."
            ),
            "own": st.column_config.TextColumn("Of its own suggestion", width=230),
            "distance": st.column_config.NumberColumn("Between the two", format="%.1f points"),
            "problem": st.column_config.TextColumn("Problem") if rows["problem"].any() else None,
        },
    )
    for note in found.notes:
        st.caption(plain(note))
    return found


def _change(change: float, lower: float, upper: float, problem: str) -> str:
    return "-" if problem else f"{change:+.4f} ({lower:+.4f} to {upper:+.4f})"


def _want(key: Key) -> None:
    st.session_state[_WANTED] = key


@st.cache_data(show_spinner=False, max_entries=8)
def _robust(key: Key, _desk: Desk, _now: Held, _asked: Asked) -> Robustness:
    graphs = graph_variants(_desk.workspace, _desk.question)
    return robustness(_desk.question, _desk.model, _now.weights, _asked, tokens=_desk.tokens, graphs=graphs)


def _report(desk: Desk, now: Held, asked: Asked, found: Robustness | None) -> None:
    """One file, written when it is wanted."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Title", "suggested", key=REPORT_NAME, width=260, persist_state="session")
        key = (
            *desk.key,
            asked.model_dump_json(),
            tuple(sorted(now.weights.items())),
            name,
            found is not None,
        )
        action(
            "Write the report",
            _write,
            desk,
            now,
            asked,
            found,
            key,
            key="write_report",
            icon=":material/description:",
        )
        kept = st.session_state.get(_REPORT)
        if kept and kept[0] == key:
            st.download_button(
                "Download the report",
                kept[1],
                file_name=f"{name}.html",
                mime="text/html",
                key="download_report",
                type="primary",
                icon=":material/download:",
                on_click="ignore",
            )
    outcome("write_report")
    robust = "" if found else " The alternatives above are part of it once they were tried."
    st.caption(
        "One HTML file that opens anywhere and asks the network for nothing; a browser's print makes a PDF "
        "of it." + robust
    )


def _write(desk: Desk, now: Held, asked: Asked, found: Robustness | None, key: Key) -> None:
    name = str(st.session_state[REPORT_NAME])
    record = mixture_record(
        desk.question, desk.model, now.weights, name=name or "mixture", by=user(), asked=asked
    )
    key = (*key[:-2], name, key[-1])
    st.session_state[_REPORT] = (key, report_html(record, replace(desk.question), desk.model, found))
