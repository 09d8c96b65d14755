"""Learn a causal graph from finished probes, with what is known about time built in.

Two methods: BOSS, a score-based search over orders, and PC, a sequence of independence tests. Both come
from causal-learn and are held to the tiers here (pool state -> weights -> outcomes): an edge against
them is never considered, and only what comes earlier is conditioned on. Two outcomes of one proxy often
stand in for each other so well that conditioning on one would hide what a weight does to the other.

Weights sum to one, so any weight is a function of the others and a test given all others says nothing.
We therefore test `log(weight + eps)`: it bends like diminishing returns do, and it is not collinear, so
that every domain keeps its own node. Where a test is still decided by arithmetic alone, it is ignored.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import CausalGraph, Edge, Mark, Provenance, Tier, nodes_of, tier_of
from causalmix_core.probes import RunTable

if TYPE_CHECKING:
    from causallearn.utils.cit import CIT_Base

DiscoveryMethod = Literal["boss", "pc"]

WEIGHT_OFFSET = 0.03
"""Added to a weight before the logarithm. On simulated logarithmic, exponential and power laws 0.03 to 0.1
recover more edges than 0.003 to 0.01, which let the smallest weights decide, and than the raw weights."""

SPARE_RUNS = 5
"""Runs that must be left over after one per variable, or no test has any power."""

_RESTARTS = 4
_MAX_CONDITION = 3
_DETERMINED = 1e-6
_SAME = 1e-9

_Arrow = tuple[str, str, Mark]


@dataclass(frozen=True)
class Discovery:
    """What a discovery found.

    Attributes:
        graph: over every column of the run table; edges carry the method and its settings.
        notes: what a curator must know to read the graph, in words.
        method: how it was found.
        runs: how many runs it was found from.
    """

    graph: CausalGraph
    notes: list[str]
    method: DiscoveryMethod
    runs: int


def discover(
    runs: RunTable,
    method: DiscoveryMethod = "boss",
    *,
    alpha: float = 0.05,
    penalty: float = 1.0,
    seed: int = 0,
    by: str,
) -> Discovery:
    """Learn a causal graph from finished probes.

    Pool state and outcomes enter as they are, weights as `log(weight + 0.03)`. BOSS (Andrews et al.
    2023, "Fast scalable and accurate discovery of DAGs using the best order score search") searches
    the order of the pool state; weights and outcomes need no order, since none of them causes another
    of its tier. PC (Spirtes and Glymour 1991) tests pairs given up to three earlier variables, as in
    the temporal PC of Petersen et al. (2021). Where every run was assigned at random, no edge into a
    weight is considered: the design excludes it.

    Args:
        runs: the run table, n rows.
        method: `boss` or `pc`.
        alpha: significance level of PC's tests, between 0 and 1.
        penalty: of BOSS, in units of log(n) per edge, above 0. 0.5 is the usual BIC and adds false edges,
            2 misses half of the true ones below 100 noisy runs; 1 does neither.
        seed: of the orders that BOSS starts from; the result depends on nothing else.
        by: who ran the discovery.

    Raises:
        CausalMixError: fewer runs than variables + 5, a value that is missing or not finite, or a
            setting out of range.
    """
    if not 0 < alpha < 1:
        raise CausalMixError(f"alpha is {alpha}; choose a value between 0 and 1, such as 0.05.")
    if not penalty > 0 or not np.isfinite(penalty):
        raise CausalMixError(f"penalty is {penalty}; choose a value above 0, such as 1.")
    columns = [*runs.states, *runs.weight_columns, *runs.outcomes]
    data = _features(runs, columns)
    used, notes = _usable(data, columns)
    needed = len(used) + SPARE_RUNS
    if len(runs) < needed:
        raise CausalMixError(
            f"Discovery over {len(used)} variables needs at least {needed} runs; there are {len(runs)}. "
            "Launch more probes, or use the graph that assumes every effect."
        )
    randomised = _randomised(runs)
    names = [columns[i] for i in used]
    values = _standardised(data[:, used])
    if method == "boss":
        arrows = _boss(values, names, penalty=penalty, seed=seed, randomised=randomised)
        detail = f"BOSS, penalty {penalty:g}, seed {seed}"
    else:
        arrows, clashes = _pc(values, names, alpha=alpha, randomised=randomised)
        detail = f"PC, Fisher z, alpha {alpha:g}"
        notes += clashes
    notes += _reading(runs, arrows, randomised=randomised)
    provenance = Provenance(
        kind="discovered", by=by, at=datetime.now(UTC), detail=f"{detail}, {len(runs)} runs"
    )
    # The model refuses an edge against the tiers, so a search that broke them cannot go unnoticed.
    graph = CausalGraph(
        nodes=nodes_of(runs),
        edges=tuple(
            Edge(source=s, target=t, mark=mark, provenance=provenance) for s, t, mark in sorted(arrows)
        ),
    )
    return Discovery(graph=graph, notes=notes, method=method, runs=len(runs))


def _features(runs: RunTable, columns: list[str]) -> np.ndarray:
    """What is tested, shape (n, number of columns): weights bent by the logarithm, the rest as it is."""
    data = runs.frame[columns].to_numpy(float)
    bad = [c for c, finite in zip(columns, np.isfinite(data).all(axis=0), strict=True) if not finite]
    if bad:
        raise CausalMixError(
            f"Discovery needs complete runs: {', '.join(bad)} is missing or not finite in some rows. "
            "Leave these rows or columns out."
        )
    return np.column_stack(
        [_bent(x) if tier_of(c) == "weight" else x for c, x in zip(columns, data.T, strict=True)]
    )


def _bent(weight: np.ndarray) -> np.ndarray:
    # An imported table may hold -1e-17 for a weight of zero.
    return np.asarray(np.log(np.maximum(weight, 0.0) + WEIGHT_OFFSET))


def _usable(data: np.ndarray, columns: list[str]) -> tuple[list[int], list[str]]:
    """Indices of the columns that a test can use, and a note for each other one.

    Equal outcomes are both kept: outcomes are never conditioned on, so they do not disturb each other.
    """
    used: list[int] = []
    notes: list[str] = []
    for i, name in enumerate(columns):
        x = data[:, i]
        if np.ptp(x) <= _SAME * max(1.0, float(np.abs(x).max())):
            notes.append(
                f"{name} is the same in every run, so nothing can be learned about it: left without edges."
            )
            continue
        twin = next(
            (
                columns[j]
                for j in used
                if tier_of(name) != "outcome" and abs(np.corrcoef(x, data[:, j])[0, 1]) > 1 - _SAME
            ),
            None,
        )
        if twin is not None:
            notes.append(
                f"{name} moves exactly with {twin}, so the runs cannot tell them apart: "
                f"{name} is left without edges and {twin} speaks for both."
            )
            continue
        used.append(i)
    return used, notes


def _randomised(runs: RunTable) -> bool:
    """Whether the table says that every mixture was drawn at random."""
    return "assignment" in runs.frame and bool((runs.frame["assignment"] == "randomised").all())


def _standardised(data: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 per column: the score and the test do not depend on units, rounding does."""
    return np.asarray((data - data.mean(axis=0)) / data.std(axis=0))


def _allowed_causes(name: str, names: list[str], *, randomised: bool) -> set[int]:
    """Indices of the columns that may point to `name`."""
    tiers: dict[Tier, set[Tier]] = {
        "state": {"state"},
        "weight": set() if randomised else {"state"},
        "outcome": {"state", "weight"},
    }
    return {i for i, other in enumerate(names) if other != name and tier_of(other) in tiers[tier_of(name)]}


def _boss(
    values: np.ndarray, names: list[str], *, penalty: float, seed: int, randomised: bool
) -> list[_Arrow]:
    """Best order score search within the tiers.

    A grow-shrink tree per variable gives its best parents among those that come before it. Weights and
    outcomes have all their possible causes before them in any order, so only pool state is permuted.
    """
    from causallearn.search.PermutationBased.gst import GST

    score = _Score(values, penalty)
    causes = [sorted(_allowed_causes(name, names, randomised=randomised)) for name in names]
    trees = []
    for v in range(len(names)):
        tree = GST(v, score)
        tree.set_knowledge([u for u in range(len(names)) if u not in causes[v]], [])
        trees.append(tree)

    def parents(v: int, before: list[int]) -> list[int]:
        grown: list[int] = []
        reached = trees[v].trace(before, grown)
        # Two domains that both help an outcome hide each other while neither is a parent yet, because
        # more of one is less of the other; starting from all causes finds such a pair.
        shrunk, kept = score.shrink(v, [u for u in causes[v] if u in before])
        return kept if shrunk > reached + 1e-6 else grown

    states = [v for v, name in enumerate(names) if tier_of(name) == "state"]
    order = _best_order(states, trees, random.Random(seed))
    state_parents = {v: parents(v, order[:i]) for i, v in enumerate(order)}
    arrows = _pattern(order, state_parents, names)
    for v, name in enumerate(names):
        if tier_of(name) != "state":
            arrows += [(names[u], name, "directed") for u in parents(v, causes[v])]
    return arrows


class _Score:
    """Gaussian BIC of a variable given parents; higher is better. What causal-learn's trees ask for.

    Unlike causal-learn's own it bears parents that determine each other.
    """

    def __init__(self, data: np.ndarray, penalty: float) -> None:
        self.data = data
        self.runs = len(data)
        self.penalty = penalty
        self.correlation = data.T @ data / self.runs

    def score_nocache(self, v: int, parents: Sequence[int]) -> float:
        left = 1.0
        if len(parents):
            across = self.correlation[parents, v]
            left -= float(across @ _inverse(self.correlation[np.ix_(parents, parents)]) @ across)
        fit = -0.5 * self.runs * np.log(max(left, _DETERMINED))
        return float(fit - self.penalty * np.log(self.runs) * len(parents))

    def shrink(self, v: int, parents: list[int]) -> tuple[float, list[int]]:
        """Drop one parent after the other while that raises the score; the score and who is left."""
        best = self.score_nocache(v, parents)
        while parents:
            fewer = [[u for u in parents if u != w] for w in parents]
            scores = [self.score_nocache(v, rest) for rest in fewer]
            top = int(np.argmax(scores))
            if scores[top] <= best:
                break
            best, parents = scores[top], fewer[top]
        return best, parents


def _inverse(correlation: np.ndarray) -> np.ndarray:
    """The inverse, or what comes closest where columns determine each other."""
    return np.asarray(np.linalg.pinv(correlation, rcond=1e-8, hermitian=True))


def _best_order(states: list[int], trees: Sequence[Any], rng: random.Random) -> list[int]:
    """The order of pool state that scores highest: each variable moves to its best place until none gains."""

    def total(order: list[int]) -> float:
        return float(sum(trees[v].trace(order[:i]) for i, v in enumerate(order)))

    best, best_score = list(states), total(states)
    for _ in range(_RESTARTS):
        order = rng.sample(states, len(states))
        current = total(order)
        improved = True
        while improved:
            improved = False
            for v in rng.sample(states, len(states)):
                rest = [u for u in order if u != v]
                places = [[*rest[:i], v, *rest[i:]] for i in range(len(states))]
                scores = [total(place) for place in places]
                top = int(np.argmax(scores))
                if scores[top] > current + 1e-6:
                    order, current, improved = places[top], scores[top], True
        if current > best_score + 1e-6:
            best, best_score = order, current
    return best


def _pattern(order: list[int], parents: dict[int, list[int]], names: list[str]) -> list[_Arrow]:
    """Edges among pool state; those whose direction the data cannot decide lose it.

    What weights and outcomes depend on adds nothing here: they come later, so no collider at one of
    them says anything about the direction of an edge among pool state.
    """
    from causallearn.graph.Dag import Dag
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.DAG2CPDAG import dag2cpdag

    if not any(parents.values()):
        return []
    nodes = [GraphNode(names[v]) for v in order]
    dag = Dag(nodes)
    place = {v: i for i, v in enumerate(order)}
    for v, causes in parents.items():
        for u in causes:
            dag.add_directed_edge(nodes[place[u]], nodes[place[v]])
    return _read_marks(dag2cpdag(dag).graph, [names[v] for v in order])


def _read_marks(marks: np.ndarray, names: list[str]) -> list[_Arrow]:
    """Edges from causal-learn's matrix: `marks[i, j]` is the mark at i, -1 a tail and 1 an arrow head.

    A head at both ends means that two colliders disagree; such an edge is kept without a direction.
    """
    arrows: list[_Arrow] = []
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            at_i, at_j = marks[i, j], marks[j, i]
            if at_i == 0 and at_j == 0:
                continue
            if at_i == at_j:
                arrows.append((names[i], names[j], "undirected"))
            elif at_j == 1:
                arrows.append((names[i], names[j], "directed"))
            else:
                arrows.append((names[j], names[i], "directed"))
    return arrows


def _pc(
    values: np.ndarray, names: list[str], *, alpha: float, randomised: bool
) -> tuple[list[_Arrow], list[str]]:
    """PC within the tiers; the second result notes where its tests contradict each other."""
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.search.ConstraintBased.PC import pc
    from causallearn.utils.cit import register_ci_test
    from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

    register_ci_test(_TEST_NAME, _tiered_fisher_z())
    knowledge = BackgroundKnowledge()
    nodes = [GraphNode(name) for name in names]
    for v, name in enumerate(names):
        allowed = _allowed_causes(name, names, randomised=randomised)
        for u in range(len(names)):
            if u != v and u not in allowed:
                knowledge.add_forbidden_by_node(nodes[u], nodes[v])
    found = pc(
        values,
        alpha,
        _TEST_NAME,
        background_knowledge=knowledge,
        node_names=names,
        max_k=_MAX_CONDITION,
        show_progress=False,
        tiers=[tier_of(name) for name in names],
    )
    arrows: list[_Arrow] = []
    for s, t, mark in _read_marks(found.G.graph, names):
        if tier_of(s) == tier_of(t):
            arrows.append((s, t, mark))
        else:  # time decides, whatever the orientation rules made of it
            first, last = (s, t) if _rank(s) < _rank(t) else (t, s)
            arrows.append((first, last, "directed"))
    return _without_cycles(arrows)


def _rank(name: str) -> int:
    return ("state", "weight", "outcome").index(tier_of(name))


def _without_cycles(arrows: list[_Arrow]) -> tuple[list[_Arrow], list[str]]:
    """Take the direction from the edges of every cycle: finite samples can make PC's tests disagree."""
    dag = nx.DiGraph([(s, t) for s, t, mark in arrows if mark == "directed"])
    loops = [sorted(group) for group in nx.strongly_connected_components(dag) if len(group) > 1]
    if not loops:
        return arrows, []
    member = {v: i for i, group in enumerate(loops) for v in group}
    mended: list[_Arrow] = [
        (s, t, "undirected" if s in member and member.get(s) == member.get(t) else mark)
        for s, t, mark in arrows
    ]
    notes = [
        f"The tests contradict each other about directions among {', '.join(group)}: "
        "their edges are left without a direction."
        for group in sorted(loops)
    ]
    return mended, notes


_TEST_NAME = "causalmix_fisher_z"


def _tiered_fisher_z() -> type[CIT_Base]:
    """The test class for PC, made on first use because causal-learn takes seconds to import."""
    from causallearn.utils.cit import CIT_Base
    from scipy.stats import norm

    class TieredFisherZ(CIT_Base):  # type: ignore[misc]  # causal-learn has no types
        """Partial correlation test that never lets arithmetic or the future delete an edge.

        Returns p = 0, "not independent", where one of the pair is determined by the condition (weights
        sum to one) and where the condition holds a variable that cannot be a cause of either.
        """

        def __init__(self, data: np.ndarray, tiers: list[Tier]) -> None:
            super().__init__(data)
            self.method = _TEST_NAME
            self.tiers = tiers
            self.correlation = np.corrcoef(data.T)

        def __call__(self, x: int, y: int, given: Sequence[int] | None = None) -> float:
            xs, ys, zs, key = self.get_formatted_XYZ_and_cachekey(x, y, given)
            if key not in self.pvalue_cache:
                self.pvalue_cache[key] = self._p_value([*xs, *ys], zs)
            return float(self.pvalue_cache[key])

        def _p_value(self, pair: list[int], given: list[int]) -> float:
            tiers = {self.tiers[v] for v in pair}
            earlier = {"state", "weight"} if "outcome" in tiers else {"state"}
            if any(self.tiers[v] not in earlier for v in given):
                return 0.0
            left = self.correlation[np.ix_(pair, pair)]
            if given:
                across = self.correlation[np.ix_(given, pair)]
                left = left - across.T @ _inverse(self.correlation[np.ix_(given, given)]) @ across
            if min(left[0, 0], left[1, 1]) < _DETERMINED:
                return 0.0
            r = float(np.clip(left[0, 1] / np.sqrt(left[0, 0] * left[1, 1]), -1 + 1e-15, 1 - 1e-15))
            return float(2 * norm.sf(np.sqrt(self.sample_size - len(given) - 3) * abs(np.arctanh(r))))

    return TieredFisherZ


def _reading(runs: RunTable, arrows: list[_Arrow], *, randomised: bool) -> list[str]:
    """Notes on how to read the edges that were found and the ones that were not."""
    notes = []
    if randomised:
        notes.append("Every mixture was drawn at random, so no edge into a weight was considered.")
    elif any(tier_of(t) == "weight" for _, t, _ in arrows):
        notes.append(
            "Weights sum to 1: pool state that moves one domain moves the others too, "
            "so some edges into weights may only mirror another."
        )
    undirected = sum(mark == "undirected" for _, _, mark in arrows)
    if undirected:
        what = "edge" if undirected == 1 else "edges"
        notes.append(
            f"{undirected} {what} among pool state could not be given a direction by the data: "
            "orient by hand what you know."
        )
    untouched = [y for y in runs.outcomes if not any(t == y for _, t, _ in arrows)]
    if untouched:
        notes.append(
            f"Nothing was found to influence {', '.join(untouched)}; "
            f"with {len(runs)} runs a small effect can be missed."
        )
    return notes
