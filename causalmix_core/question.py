"""The question that effects answer: which runs, under which graph, for which pool and which objective.

Gathered once from the workspace by the pages and the command line alike, so that both ask the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from causalmix_core.corpus import Snapshot, open_snapshot
from causalmix_core.effects import objective_shares
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import CausalGraph, list_graphs, load_graph, saturated_graph
from causalmix_core.mixture.simplex import Mixture
from causalmix_core.mixture.store import GraphReference
from causalmix_core.pools import graph_of, resolve_pool
from causalmix_core.probes import IMPORT, STATE, RunTable, read_runs
from causalmix_core.probes.runs import columns_on_disk
from causalmix_core.workspace import Workspace


@dataclass(frozen=True)
class Question:
    """Everything an estimate depends on.

    Attributes:
        pool: the pool that effects are wanted for: the id of a snapshot, or `import-<name>`.
        snapshot: its text; None for an import, of which only runs are known.
        runs: finished probes on that pool.
        graph: the causal graph; where none is saved, every weight and every state variable is assumed
            to matter for every outcome.
        graph_reference: its name and revision; revision None when assumed.
        objective: outcome -> importance, summing to one.
        state: the pool state of the snapshot, in the features that the runs varied; of an import, the mean
            of its runs.
        reference: the mixture that effects start from: proportional to the tokens of the domains; of an
            import, the mean mixture of its runs.
        reference_is: in words, what the reference and the state are.
    """

    pool: str
    snapshot: Snapshot | None
    runs: RunTable
    graph: CausalGraph
    graph_reference: GraphReference
    objective: dict[str, float]
    state: dict[str, float]
    reference: Mixture
    reference_is: str = "the weights by size"


def gather(
    workspace: Workspace,
    graph_name: str | None = None,
    revision: int | None = None,
    pool: str | None = None,
) -> Question:
    """Read a pool, its runs, a graph and the objective.

    Args:
        workspace: where all of it lies.
        graph_name: a saved graph; None: the one that the pool uses by default, assumed where none is saved.
        revision: of the graph; None: the newest.
        pool: as `resolve_pool` takes it; None: the snapshot in use where it has runs, else the newest
            import.

    Raises:
        CausalMixError: no such pool, no finished probe, a graph or revision that does not exist, a graph
            over other variables than the runs, or an objective that names an unknown outcome.
    """
    chosen = resolve_pool(workspace, pool)
    snapshot = None if chosen.startswith(IMPORT) else open_snapshot(workspace, chosen)
    runs = read_runs(workspace.runs, chosen)
    usual = graph_of(chosen)
    name = usual if graph_name is None else graph_name
    if name in list_graphs(workspace) or revision is not None or name != usual:
        found = load_graph(workspace, name, revision)
        graph, reference = found.graph, GraphReference(name=name, revision=found.revision)
        _check_graph(graph, runs, name)
    else:
        graph = saturated_graph(runs, by="causalmix")
        reference = GraphReference(name="assumed", revision=None)
    return Question(
        pool=chosen,
        snapshot=snapshot,
        runs=runs,
        graph=graph,
        graph_reference=reference,
        objective=objective_of(workspace, runs),
        state=_mean_state(runs) if snapshot is None else _state_of(snapshot, runs),
        reference=_mean_mixture(runs) if snapshot is None else snapshot.weights_by_size(),
        reference_is=f"the mean of {len(runs):,} runs" if snapshot is None else "the weights by size",
    )


def _state_of(snapshot: Snapshot, runs: RunTable) -> dict[str, float]:
    return snapshot.state([s.removeprefix(STATE) for s in runs.states])


def _mean_state(runs: RunTable) -> dict[str, float]:
    return dict(zip(runs.states, runs.state().mean(axis=0).tolist(), strict=True))


def _mean_mixture(runs: RunTable) -> Mixture:
    mean = runs.weights().mean(axis=0)
    return dict(zip(runs.domains, (mean / mean.sum()).tolist(), strict=True))


def objective_of(workspace: Workspace, runs: RunTable) -> dict[str, float]:
    """The outcomes that the workspace's objective counts, with shares that sum to one.

    One objective serves all pools of a workspace: outcomes that only runs of other pools have are passed
    over, and where none is left all outcomes count the same, as where none was chosen.

    Raises:
        CausalMixError: the objective names an outcome that no run has, or only some of these, or all are
            zero.
    """
    wanted = workspace.config().objective
    if foreign := set(wanted) - set(runs.frame.columns):
        foreign &= columns_on_disk(workspace.runs)
        wanted = {o: share for o, share in wanted.items() if o not in foreign}
        wanted = wanted if any(wanted.values()) else {}
    try:
        shares = objective_shares(wanted, runs.outcomes)
    except CausalMixError as error:
        raise CausalMixError(f"{workspace.config_path}: {error}") from error
    return {outcome: share for outcome, share in shares.items() if share > 0}


def choose_objective(workspace: Workspace, runs: RunTable, importance: Mapping[str, float]) -> None:
    """Keep in the workspace which outcomes of these runs count; what it says of other runs' outcomes stays.

    Args:
        workspace: whose settings are changed.
        runs: whose outcomes were chosen among.
        importance: outcome -> importance.
    """
    config = workspace.config()
    others = {o: share for o, share in config.objective.items() if o not in runs.outcomes}
    workspace.save_config(config.model_copy(update={"objective": others | dict(importance)}))


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
