"""Finding a graph in the runs: one search, several side by side, and how often halves of the runs agree."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    METHODS,
    CausalGraph,
    DiscoveryMethod,
    DiscoverySettings,
    Knowledge,
    Stability,
    agreements,
    consensus_graph,
    discover,
    load_stability,
    stability_key,
)
from causalmix_core.probes import RunTable
from causalmix_core.workspace import Workspace
from jobs import StabilityTask
from pages.graph_views import draft
from pages.widgets import task_panel
from pages.widgets.actions import action, outcome
from pages.widgets.graph_editor import settle
from pages.widgets.shell import guard, user, warm_imports

RESAMPLES = [20, 50, 100, 200, 500]
SEED = 0
QUICK: tuple[DiscoveryMethod, ...] = ("boss", "ges", "pc", "fci", "lingam")
"""Methods that answer in seconds, to be laid side by side."""


def choose(runs: RunTable) -> DiscoverySettings:
    """Ask for the method and what it reads; draw the button that searches."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.selectbox(
            "Method", list(METHODS), format_func=lambda m: METHODS[m].label, width=250, key="graph_method",
            help="How the runs are searched. "
            + " ".join(f"**{facts.label}** {facts.idea}." for facts in METHODS.values()),
        )  # fmt: skip
        fields: dict[str, float] = {}
        if "alpha" in METHODS[method].uses:
            fields["alpha"] = st.number_input(
                "Level", 0.001, 0.5, 0.05, step=0.01, width=120, key="graph_alpha",
                help="The level of each test; higher keeps more edges.",
            )  # fmt: skip
        if "penalty" in METHODS[method].uses:
            fields["penalty"] = st.number_input(
                "Penalty", 0.1, 10.0, 1.0, step=0.5, width=120, key="graph_penalty",
                help="What an edge must earn to be drawn; higher keeps fewer edges.",
            )  # fmt: skip
        settings = DiscoverySettings(method=method, **fields)
        action(
            "Discover from the probes", _search, runs, settings,
            key="discover", type="primary", icon=":material/search:",
            help="Required and forbidden edges of the graph below are kept to.",
        )  # fmt: skip
        action(
            "Assume all", draft.assume, runs, key="assume", icon=":material/all_inclusive:",
            help="Every weight and every pool state may matter for every outcome: the cautious choice "
            "on few, randomised runs.",
        )  # fmt: skip
    outcome("discover", "assume")
    return settings


def _search(runs: RunTable, settings: DiscoverySettings) -> None:
    settle(draft.EDITOR, draft.do)
    found = _found(runs, settings, draft.current().graph)
    draft.current().lay(found[0], found[1])


def _found(runs: RunTable, settings: DiscoverySettings, known: CausalGraph) -> tuple[CausalGraph, list[str]]:
    with st.spinner("Searching the runs for a graph ..."):
        warm_imports().join()
        found = discover(
            runs, settings.method, alpha=settings.alpha, penalty=settings.penalty, seed=settings.seed,
            known=known, by=user(),
        )  # fmt: skip
    return found.graph, found.notes


def facts() -> None:
    """What each method honours, as a table."""
    with st.expander("What the methods can be told", icon=":material/rule:"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Method": [m.label for m in METHODS.values()],
                    "Idea": [m.idea for m in METHODS.values()],
                    "Order in time": [m.tiers for m in METHODS.values()],
                    "Forbidden edges": [m.forbidden for m in METHODS.values()],
                    "Required edges": [m.required for m in METHODS.values()],
                    "Hidden causes": ["yes" if m.finds_hidden else "no" for m in METHODS.values()],
                }
            ),
            hide_index=True,
            row_height=70,
        )
        st.caption("Whatever a method does, its result is held to the rules before it is shown.")


def stability(workspace: Workspace, pool: str, runs: RunTable, settings: DiscoverySettings) -> None:
    """How often each edge comes back in halves of the runs, and the graph that enough halves agree on."""
    knowledge = Knowledge.of(draft.current().graph)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        resamples = st.select_slider(
            "Resamples", RESAMPLES, value=100, width=260, key="graph_resamples",
            help="Random halves of the runs that are searched, each like the whole, by the method above.",
        )  # fmt: skip
        if st.button("Search the halves", icon=":material/repeat:", key="resample"):
            task_panel.start(
                workspace,
                StabilityTask(
                    snapshot=pool,
                    settings=settings,
                    knowledge=knowledge,
                    resamples=resamples,
                    seed=SEED,
                ),
            )
    with guard():
        key = stability_key(runs, settings, knowledge, resamples, SEED)
        result = load_stability(workspace, key)
    if result is None:
        st.caption(
            "Not searched yet with this method, these runs and these rules. It takes seconds to minutes."
        )
        return
    _consensus(result)


def _consensus(result: Stability) -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        threshold = st.slider(
            "Keep an edge that at least so many halves find", 5, 100, 50, step=5, format="%d%%",
            key="graph_threshold",
        )  # fmt: skip
        graph = consensus_graph(result, threshold / 100, known=draft.current().graph, by=user())
        st.caption(f"{len(graph.edges)} edges of {len(result.shares)} that any half found.")
        action(
            "Put it on the desk", _lay_consensus, result, key="lay_consensus", type="primary",
            icon=":material/draw:",
        )  # fmt: skip
        outcome("lay_consensus")
    with right:
        shares = sorted(result.shares, key=lambda s: -s.linked)
        st.dataframe(
            pd.DataFrame(
                {
                    "Between": [f"{s.a} and {s.b}" for s in shares],
                    "linked": [100 * s.linked for s in shares],
                    "first → second": [100 * s.forward for s in shares],
                    "second → first": [100 * s.backward for s in shares],
                    "no direction": [100 * s.undirected for s in shares],
                    "hidden cause": [100 * s.bidirected for s in shares],
                }
            ),
            hide_index=True,
            height=260,
            column_config={
                "linked": st.column_config.ProgressColumn(
                    "Found in", format="%.0f%%", min_value=0, max_value=100
                ),
                **{
                    c: st.column_config.NumberColumn(format="%.0f%%")
                    for c in ("first → second", "second → first", "no direction", "hidden cause")
                },
            },
        )


def _lay_consensus(result: Stability) -> None:
    settle(draft.EDITOR, draft.do)
    threshold = int(st.session_state["graph_threshold"])
    held = draft.current()
    graph = consensus_graph(result, threshold / 100, known=held.graph, by=user())
    held.lay(graph, [f"Edges that at least {threshold}% of {result.resamples} halves of the runs find."])


def compare(runs: RunTable) -> None:
    """Several methods side by side: where they agree and where not."""
    graph = draft.current().graph
    wanted = st.button(
        "Search with every quick method", icon=":material/compare_arrows:", key="compare_methods",
        help="PC with kernel tests takes minutes and is left out.",
    )  # fmt: skip
    asked = (tuple(runs.frame["run"]), Knowledge.of(graph))
    if wanted:
        st.session_state["graph_compared"] = (asked, _all_methods(runs, graph))
    kept: tuple[object, Mapping[str, CausalGraph]] | None = st.session_state.get("graph_compared")
    # What was found in other runs, or under other rules, is no answer any more.
    found = kept[1] if kept is not None and kept[0] == asked else None
    if not found:
        st.caption("Methods rest on different assumptions; what all of them find stands on more than one.")
        return
    rows = agreements(found)
    table = pd.DataFrame(
        {
            "From": [r.a for r in rows],
            "To": [r.b for r in rows],
            "Agree": [r.linked for r in rows],
            **{name: [r.says[name] for r in rows] for name in found},
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height=min(420, 38 + 35 * max(1, len(rows))),
        column_config={
            "Agree": st.column_config.ProgressColumn(
                "Linked by", format="%d", min_value=0, max_value=len(found)
            )
        },
    )


def _all_methods(runs: RunTable, known: CausalGraph) -> dict[str, CausalGraph]:
    found: dict[str, CausalGraph] = {}
    for method in QUICK:
        try:
            graph, _ = _found(runs, DiscoverySettings(method=method), known)
        except CausalMixError as error:
            st.warning(f"{METHODS[method].label}: {error}", icon=":material/warning:")
            continue
        found[METHODS[method].label.partition(" (")[0]] = graph
    return found
