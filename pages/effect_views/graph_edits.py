"""What an edit of the graph did to the effects: two revisions fitted to the same runs, side by side."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from causalmix_core.effects.graph_difference import NOTICEABLE, GraphDifference, graph_difference
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import CausalGraph, describe_changes, list_graphs, load_graph, saturated_graph
from causalmix_core.pools import graph_of
from pages.effect_views.asked import Asked, outcome_name
from pages.graph_views import draft
from pages.graph_views.plain import plain
from pages.widgets.charts import show as show_chart
from pages.widgets.interval_charts import before_after
from pages.widgets.shell import fitted, user
from pages.widgets.tables import table_height

ASSUMED, DRAFT = 0, -1
"""In place of the number of a revision."""
FROM, TO = "effects_before", "effects_after"
MOST_LINES, MOST_DRAWN = 8, 14


def show(asked: Asked) -> None:
    """Lay out the view."""
    st.markdown("An edit in the graph page shows here what it does to the effects, before and after.")
    versions = _versions(asked)
    if len(versions) < 2:
        with st.container(border=True):
            st.markdown(
                "No graph is saved yet: effects assume that every weight and every pool state may matter for "
                "every outcome. Say in the graph what you know; the difference appears here."
            )
            st.page_link("pages/graph.py", label="Go to the graph", icon=":material/arrow_forward:")
        return
    before, after = _choose(versions)
    if before == after:
        st.info("Choose two different versions of the graph.", icon=":material/info:")
        return
    try:
        old, new = (_graph(asked, version) for version in (before, after))
        difference = _difference(asked, old, new)
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    _edits(old, new)
    _effects(difference)


def _versions(asked: Asked) -> dict[int, str]:
    """What can be compared, the oldest first."""
    name = graph_of(asked.question.pool)
    saved = sorted(list_graphs(asked.workspace).get(name, []))
    found = {ASSUMED: "assumed: everything may matter"} | {n: f"revision {n}" for n in saved}
    held = draft.draft_of(asked.workspace, asked.question.runs, name)
    if held.desk.past and draft.unsaved(held):
        found[DRAFT] = "your draft, not saved"
    return found


def _choose(versions: dict[int, str]) -> tuple[int, int]:
    numbers = list(versions)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        before = st.selectbox(
            "Before", numbers, index=len(numbers) - 2, format_func=versions.__getitem__, width=300, key=FROM
        )
        after = st.selectbox(
            "After", numbers, index=len(numbers) - 1, format_func=versions.__getitem__, width=300, key=TO
        )
    return before, after


def _graph(asked: Asked, version: int) -> CausalGraph:
    runs, name = asked.question.runs, graph_of(asked.question.pool)
    if version == ASSUMED:
        return saturated_graph(runs, by=user())
    if version == DRAFT:
        return draft.draft_of(asked.workspace, runs, name).graph
    return load_graph(asked.workspace, name, version).graph


def _difference(asked: Asked, old: CausalGraph, new: CausalGraph) -> GraphDifference:
    """Fit under both, each once for all visitors, and compare.

    Raises:
        CausalMixError: a graph does not fit the runs.
    """
    question = asked.question
    before, after = (
        fitted(asked.workspace, replace(question, graph=graph), asked.estimator) for graph in (old, new)
    )
    return graph_difference(before, after, question.state, question.reference)


def _edits(old: CausalGraph, new: CausalGraph) -> None:
    lines = describe_changes(old, new)
    if not lines:
        st.caption("Both say the same.")
        return
    shown = lines[:MOST_LINES]
    with st.expander(f"The edit: {len(lines)} change{'s' * (len(lines) != 1)}", expanded=len(lines) <= 3):
        more = [f"- and {len(lines) - len(shown)} more"] if len(lines) > len(shown) else []
        st.markdown("\n".join([*(f"- {plain(line)}" for line in shown), *more]))


def _effects(difference: GraphDifference) -> None:
    changed = difference.changed
    total = len(changed) + difference.same + difference.beside
    if changed.empty:
        st.success(f"None of {total} effects has changed.", icon=":material/check:")
    else:
        gone = int((changed["distinguishable_before"] & ~changed["distinguishable_after"]).sum())
        new = int((~changed["distinguishable_before"] & changed["distinguishable_after"]).sum())
        st.markdown(
            f"**{len(changed)} of {total} effects changed** by more than {NOTICEABLE:.0%} of half their "
            f"interval; {new} can be told from zero only now, {gone} no longer."
        )
        drawn = changed.head(MOST_DRAWN)
        show_chart(before_after(drawn), key="before_after", height=110 + 40 * len(drawn), top=36)
        if len(changed) > len(drawn):
            st.caption(f"The {len(drawn)} that changed most are drawn; the table has all of them.")
        _table(changed)
    if difference.beside:
        st.caption(
            f"{difference.beside} effects on other outcomes moved too, by {difference.beside_most:.0%} of "
            "half their interval at most: outcomes that the graph treats alike are fitted together. The edit "
            "says nothing about them."
        )


def _table(changed: pd.DataFrame) -> None:
    restated = changed["basis_before"] != changed["basis_after"]
    st.dataframe(
        pd.DataFrame(
            {
                "Effect of": changed["domain"],
                "on": changed["outcome"].map(outcome_name),
                "Before": _intervals(changed, "before"),
                "After": _intervals(changed, "after"),
                "Told from zero": [
                    TOLD[bool(was), bool(now)]
                    for was, now in zip(
                        changed["distinguishable_before"], changed["distinguishable_after"], strict=True
                    )
                ],
                "It rests on": changed["basis_after"].where(restated, "the same as before"),
            }
        ),
        hide_index=True,
        height=table_height(len(changed)),
        column_config={
            "Effect of": st.column_config.TextColumn(width=110, pinned=True),
            "on": st.column_config.TextColumn(width=110, pinned=True),
            "Before": st.column_config.TextColumn(width=195, help="Per +1 point, with its 95% interval."),
            "After": st.column_config.TextColumn(width=195, help="Per +1 point, with its 95% interval."),
            "Told from zero": st.column_config.TextColumn(width=110),
            "It rests on": st.column_config.TextColumn(width=280),
        },
    )


TOLD = {
    (True, True): "still",
    (True, False): "no longer",
    (False, True): "only now",
    (False, False): "neither",
}
"""Whether an effect could be told from zero before and can now."""


def _intervals(changed: pd.DataFrame, when: str) -> list[str]:
    ends = zip(changed[f"effect_{when}"], changed[f"lower_{when}"], changed[f"upper_{when}"], strict=True)
    return [f"{value:+.4f} ({low:+.4f} to {high:+.4f})" for value, low, high in ends]
