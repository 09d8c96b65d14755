"""BOSS within the tiers: a search over the orders of pool state.

Andrews et al. 2023, "Fast scalable and accurate discovery of DAGs using the best order score search and
grow-shrink trees". A tree per variable gives its best parents among those that come before it. Weights
and outcomes have all their possible causes before them in any order, so only pool state is permuted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx
import numpy as np

from causalmix_core.graph.discovery.arrows import Arrow, Found, read_marks
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.methods import DiscoverySettings
from causalmix_core.graph.discovery.score import Score

_RESTARTS = 4


def search_boss(
    values: np.ndarray, rules: Rules, settings: DiscoverySettings, tick: Callable[[], None]
) -> Found:
    """Best order score search.

    Args:
        values: standardised, shape (n, p).
        rules: over the p columns.
        settings: `penalty` and `seed` are read.
        tick: called now and then; what it raises ends the search.
    """
    from causallearn.search.PermutationBased.gst import GST

    score = Score(values, settings.penalty, rules.required)
    p = len(rules.names)
    candidates = [rules.candidates(v) for v in range(p)]
    trees = []
    for v in range(p):
        tree = GST(v, score)
        tree.set_knowledge([u for u in range(p) if u not in candidates[v]], [])
        trees.append(tree)

    def parents(v: int, before: list[int]) -> list[int]:
        tick()
        grown: list[int] = []
        reached = trees[v].trace(before, grown)
        # Two domains that both help an outcome hide each other while neither is a parent yet, because
        # more of one is less of the other; starting from all causes finds such a pair.
        shrunk, kept = score.shrink(v, [u for u in candidates[v] if u in before])
        return [*(kept if shrunk > reached + 1e-6 else grown), *sorted(rules.required[v])]

    states = rules.of_tier("state")
    order = _best_order(states, rules, trees, random.Random(settings.seed), tick)
    arrows = pattern(order, {v: parents(v, order[:i]) for i, v in enumerate(order)}, rules.names)
    for v in range(p):
        if rules.tier(v) != "state":
            arrows += [Arrow(u, v, "directed") for u in parents(v, candidates[v])]
    return Found(arrows)


def _best_order(
    states: list[int], rules: Rules, trees: Sequence[Any], rng: random.Random, tick: Callable[[], None]
) -> list[int]:
    """The order of pool state that scores highest: each variable moves to its best place until none gains.

    Only orders in which every required cause comes before its effect are tried.
    """
    known = nx.DiGraph()
    known.add_nodes_from(states)
    known.add_edges_from((u, v) for v in states for u in rules.required[v])

    def total(order: list[int]) -> float:
        tick()
        return float(sum(trees[v].trace(order[:i]) for i, v in enumerate(order)))

    def keeps(order: list[int]) -> bool:
        place = {v: i for i, v in enumerate(order)}
        return all(place[u] < place[v] for u, v in known.edges)

    def sorted_by(order: list[int]) -> list[int]:
        place = {v: i for i, v in enumerate(order)}
        return list(nx.lexicographical_topological_sort(known, key=place.__getitem__))

    best = sorted_by(states)
    best_score = total(best)
    for _ in range(_RESTARTS):
        order = sorted_by(rng.sample(states, len(states)))
        current = total(order)
        improved = True
        while improved:
            improved = False
            for v in rng.sample(states, len(states)):
                rest = [u for u in order if u != v]
                places = [[*rest[:i], v, *rest[i:]] for i in range(len(states))]
                places = [place for place in places if keeps(place)]
                scores = [total(place) for place in places]
                top = int(np.argmax(scores))
                if scores[top] > current + 1e-6:
                    order, current, improved = places[top], scores[top], True
        if current > best_score + 1e-6:
            best, best_score = order, current
    return best


def pattern(order: list[int], parents: dict[int, list[int]], names: Sequence[str]) -> list[Arrow]:
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
    return read_marks(dag2cpdag(dag).graph, order)
