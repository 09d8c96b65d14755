"""What the runs say to the graph: every claim tested, and the graph against the same graph shuffled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import CausalGraph, Operation, load_graph
from causalmix_core.graph.falsification import GraphTests, Standing, load_tests
from causalmix_core.graph.implications import AskedEdge, EdgeResult, Finding, Implications, check_implications
from causalmix_core.probes import RunTable
from causalmix_core.workspace import Workspace
from jobs import GraphTestTask
from pages.graph_views import draft
from pages.graph_views.plain import plain
from pages.widgets import task_panel
from pages.widgets.actions import action, outcome
from pages.widgets.charts import accent, muted
from pages.widgets.charts import show as show_chart
from pages.widgets.graph_editor import settle
from pages.widgets.shell import pool_of

Do = Callable[[Operation], None]

FINDINGS: dict[Finding, str] = {
    "rejected": "contradicted",
    "holds": "not contradicted",
    "undecidable": "cannot be tested",
}
STANDINGS: dict[Standing, tuple[str, Literal["green", "orange", "gray"]]] = {
    "better than chance": ("better than shuffled graphs", "green"),
    "no better than chance": ("no better than shuffled graphs", "orange"),
    "says too little": ("says too little to be tested", "gray"),
}
MOST_EDGES = 6
ROW, MOST_ROWS = 35, 8


def show(
    workspace: Workspace,
    name: str,
    revision: int | None,
    runs: RunTable,
    graph: CausalGraph,
    do: Do = draft.do,
) -> None:
    """Lay out the view.

    Args:
        workspace: where tests are kept.
        name: of the graph.
        revision: the saved revision that the draft began from; None when nothing is saved.
        runs: what the graph is tested on.
        graph: on the desk.
        do: does one edit; called in a callback.
    """
    try:
        said = _implications(runs, graph)
    except CausalMixError as error:
        st.info(str(error), icon=":material/info:")
        return
    st.markdown(f"**{said.verdict}**")
    for note in said.notes:
        st.caption(plain(note))
    _claims(said)
    outcome(*(f"{kind}-{i}" for kind in ("ask", "drop") for i in range(MOST_EDGES)))
    asks, drops = st.columns(2, gap="large")
    with asks:
        _asked(said.asked, do)
    with drops:
        _unsupported(said.unsupported, do)
    st.divider()
    _shuffling(workspace, name, revision, runs, graph)


def _implications(runs: RunTable, graph: CausalGraph) -> Implications:
    columns = [*runs.states, *runs.weight_columns, *runs.outcomes]
    stamp = int(pd.util.hash_pandas_object(runs.frame[columns], index=False).sum())
    drawn = tuple(sorted(e.arrow for e in graph.edges))
    return _tested((stamp, tuple(columns), tuple(n.id for n in graph.nodes), drawn), runs, graph)


@st.cache_data(show_spinner=False, max_entries=32)
def _tested(key: tuple[object, ...], _runs: RunTable, _graph: CausalGraph) -> Implications:
    # `key` decides: who drew an edge and when makes no difference.
    return check_implications(_runs, _graph)


def _claims(said: Implications) -> None:
    """Every claim with its test, the most contradicted first."""
    if not said.claims:
        return
    st.dataframe(
        pd.DataFrame(
            {
                "Unrelated": [f"{c.claim.a} and {c.claim.b}" for c in said.claims],
                "once fixed": [", ".join(c.claim.given) for c in said.claims],
                "The runs say": [FINDINGS[c.finding] for c in said.claims],
                "Correlation": [c.correlation for c in said.claims],
                "p": [c.p_value for c in said.claims],
                "Adjusted p": [c.adjusted for c in said.claims],
            }
        ),
        hide_index=True,
        height=(1 + min(len(said.claims), MOST_ROWS)) * ROW + 3,
        column_config={
            "Unrelated": st.column_config.TextColumn(
                "The graph says: unrelated are", width=260, help="Two variables without an edge between them."
            ),
            "once fixed": st.column_config.TextColumn(
                "once these are fixed", width=240, help="What causes the later one; the graph says that only "
                "through these can the two go together.",
            ),
            "The runs say": st.column_config.TextColumn(width=120),
            "Correlation": st.column_config.NumberColumn(
                format="%+.2f", width=90, help="Partial correlation: of what is left when the rest is fixed."
            ),
            "p": st.column_config.NumberColumn(format="%.4f", width=75),
            "Adjusted p": st.column_config.NumberColumn(
                format="%.4f", width=95,
                help="Corrected for the number of claims (Benjamini-Hochberg). Below 0.05 the claim counts "
                "as contradicted; of those, about one in twenty may be a false alarm.",
            ),
        },
    )  # fmt: skip


def _asked(edges: tuple[AskedEdge, ...], do: Do) -> None:
    st.markdown("**Edges that the runs ask for**")
    if not edges:
        st.caption("None.")
    for i, edge in enumerate(edges[:MOST_EDGES]):
        with st.container(horizontal=True, vertical_alignment="center"):
            action(
                "Draw", _edit, edge.operation, do, key=f"ask-{i}", icon=":material/add:",
                help="A hidden common cause would explain it as well: draw the edge only if it makes sense.",
            )  # fmt: skip
            st.markdown(plain(edge.words))
    if len(edges) > MOST_EDGES:
        st.caption(f"and {len(edges) - MOST_EDGES} more; the clearest are shown.")


def _unsupported(edges: tuple[EdgeResult, ...], do: Do) -> None:
    st.markdown("**Edges that the runs do without**")
    if not edges:
        st.caption("None.")
    for i, edge in enumerate(edges[:MOST_EDGES]):
        with st.container(horizontal=True, vertical_alignment="center"):
            action(
                "Remove", _edit, edge.operation, do, key=f"drop-{i}", icon=":material/remove:",
                help="Without it its effect is zero by assumption. Few runs miss small effects: keep what "
                "you have reason to believe.",
            )  # fmt: skip
            st.markdown(plain(f"{edge.text}: {edge.words}"))
    if len(edges) > MOST_EDGES:
        st.caption(f"and {len(edges) - MOST_EDGES} more; the least supported are shown.")


def _edit(operation: Operation, do: Do) -> None:
    settle(draft.EDITOR, do)
    do(operation)


def _shuffling(
    workspace: Workspace, name: str, revision: int | None, runs: RunTable, graph: CausalGraph
) -> None:
    """The comparison that is kept with the saved revision, and the button that makes it."""
    st.markdown("**Is it more than a guess?**")
    if revision is None:
        st.caption("Save the graph; then it can be compared with the same graph with its nodes shuffled.")
        return
    try:
        tests = load_tests(workspace, name, revision)
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        tests = None
    if tests is None:
        st.caption(f"Revision {revision} has not been compared with shuffled graphs yet.")
    else:
        _compared(tests, runs)
    if _differs(workspace, name, revision, graph):
        st.caption(f"The comparison is about revision {revision}, without your unsaved changes.")
    action(
        f"Compare revision {revision} with shuffled graphs", _begin, workspace, name, revision,
        key="test_graph", icon=":material/shuffle:",
        help="200 graphs of the same shape, in which pool states, weights and losses change places among "
        "themselves. It runs beside the page and is kept with the revision.",
    )  # fmt: skip
    outcome("test_graph")


def _differs(workspace: Workspace, name: str, revision: int, graph: CausalGraph) -> bool:
    saved = load_graph(workspace, name, revision).graph
    return {e.arrow for e in saved.edges} != {e.arrow for e in graph.edges}


def _begin(workspace: Workspace, name: str, revision: int) -> None:
    task_panel.begin(workspace, GraphTestTask(snapshot=pool_of(workspace), name=name, revision=revision))


def _compared(tests: GraphTests, runs: RunTable) -> None:
    shuffling = tests.shuffling
    if shuffling is not None:
        label, colour = STANDINGS[shuffling.standing]
        st.badge(label, color=colour)
    st.markdown(shuffling.words if shuffling else tests.verdict)
    since = f"; there are {len(runs)} now" if len(runs) != tests.runs else ""
    st.caption(f"Tested on {tests.runs} runs{since} · {tests.tested_at:%Y-%m-%d %H:%M} UTC")
    if shuffling is not None:
        figure = go.Figure(
            go.Histogram(
                x=[100 * s for s in shuffling.shuffled], nbinsx=30, marker={"color": muted()},
                hovertemplate="%{x}% contradicted: %{y} shuffled graphs<extra></extra>",
            )
        )  # fmt: skip
        figure.add_vline(
            x=100 * shuffling.contradicted, line={"color": accent(), "width": 3}, annotation_text="this graph"
        )
        figure.update_xaxes(title_text="claims that the runs contradict (%)", rangemode="tozero")
        figure.update_yaxes(title_text="shuffled graphs")
        show_chart(figure, "shuffled_graphs", 220)
