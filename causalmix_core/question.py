"""The question that effects answer: which runs, under which graph, for which pool and which objective.

Gathered once from the workspace by the pages and the command line alike, so that both ask the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.corpus import Snapshot, open_snapshot
from causalmix_core.effects import objective_shares
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import CausalGraph, list_graphs, load_graph, saturated_graph
from causalmix_core.mixture.simplex import Mixture
from causalmix_core.mixture.store import GraphReference
from causalmix_core.probes import STATE, RunTable, read_runs
from causalmix_core.workspace import Workspace

DEFAULT_GRAPH = "main"


@dataclass(frozen=True)
class Question:
    """Everything an estimate depends on.

    Attributes:
        snapshot: the pool that effects are wanted for.
        runs: finished probes on that snapshot.
        graph: the causal graph; where none is saved, every weight and every state variable is assumed
            to matter for every outcome.
        graph_reference: its name and revision; revision None when assumed.
        objective: outcome -> importance, summing to one.
        state: the pool state of the snapshot, in the features that the runs varied.
        reference: the mixture that effects start from: proportional to the tokens of the domains.
    """

    snapshot: Snapshot
    runs: RunTable
    graph: CausalGraph
    graph_reference: GraphReference
    objective: dict[str, float]
    state: dict[str, float]
    reference: Mixture


def gather(workspace: Workspace, graph_name: str = DEFAULT_GRAPH, revision: int | None = None) -> Question:
    """Read the current snapshot, its runs, a graph and the objective.

    Raises:
        CausalMixError: no snapshot, no finished probe, a graph or revision that does not exist, a graph
            over other variables than the runs, or an objective that names an unknown outcome.
    """
    snapshot = open_snapshot(workspace)
    runs = read_runs(workspace.runs, snapshot.id)
    saved = list_graphs(workspace)
    if graph_name in saved or revision is not None or graph_name != DEFAULT_GRAPH:
        found = load_graph(workspace, graph_name, revision)
        graph, reference = found.graph, GraphReference(name=graph_name, revision=found.revision)
        _check_graph(graph, runs, graph_name)
    else:
        graph = saturated_graph(runs, by="causalmix")
        reference = GraphReference(name="assumed", revision=None)
    return Question(
        snapshot=snapshot,
        runs=runs,
        graph=graph,
        graph_reference=reference,
        objective=objective_of(workspace, runs.outcomes),
        state=snapshot.state([s.removeprefix(STATE) for s in runs.states]),
        reference=snapshot.weights_by_size(),
    )


def objective_of(workspace: Workspace, outcomes: list[str]) -> dict[str, float]:
    """The outcomes that the workspace's objective counts, with shares that sum to one.

    Raises:
        CausalMixError: the objective names an outcome that was not measured, or all are zero.
    """
    try:
        shares = objective_shares(workspace.config().objective, outcomes)
    except CausalMixError as error:
        raise CausalMixError(f"{workspace.config_path}: {error}") from error
    return {outcome: share for outcome, share in shares.items() if share > 0}


def _check_graph(graph: CausalGraph, runs: RunTable, name: str) -> None:
    wanted = {*runs.weight_columns, *runs.states, *runs.outcomes}
    have = set(graph.observed())
    if missing := sorted(wanted - have):
        raise CausalMixError(
            f"Graph {name} was made for other runs: it lacks {', '.join(missing)}. "
            "Discover a new graph for these runs."
        )
    if unknown := sorted(have - wanted):
        raise CausalMixError(
            f"Graph {name} speaks of {', '.join(unknown)}, which these runs do not measure. "
            "Discover a new graph for these runs."
        )
