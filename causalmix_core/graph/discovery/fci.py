"""FCI within the tiers: which edges stay if some common causes are not in the table.

Spirtes et al. 1995; Zhang 2008 for the rules. The skeleton and the rules are causal-learn's. Its own driver
is not used for three reasons. It turns every tier into "this tail is certain", though time only makes heads
certain: what comes later does not cause what comes earlier, but both may have a hidden cause. It reads
colliders from edges that knowledge removed. And its second round of tests tries every subset, which for
twenty variables does not end. Here only sets of up to three earlier variables are tried. The rules for
selection (R5 to R7) are left out: which runs are in the table does not depend on what came of them.

Outcomes of one proxy share its noise and are never linked. Where mixtures were drawn at random, nothing
causes a weight, neither in the table nor hidden: the tail of its edges is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from causalmix_core.graph.discovery.arrows import Found, read_pag
from causalmix_core.graph.discovery.independence import MAX_CONDITION, make_test
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.methods import DiscoverySettings
from causalmix_core.graph.model import TIER_RANK

if TYPE_CHECKING:
    from causallearn.graph.Endpoint import Endpoint

_Test = Callable[[int, int, Sequence[int] | None], float]
_Separators = dict[tuple[int, int], set[int]]


def search_fci(
    values: np.ndarray, rules: Rules, settings: DiscoverySettings, tick: Callable[[], None]
) -> Found:
    """The FCI algorithm.

    Args:
        values: standardised, shape (n, p).
        rules: over the p columns.
        settings: `alpha` is read.
        tick: called at every test; what it raises ends the search.
    """
    search = _Search(values, rules, settings.alpha, make_test(values, rules, "fisher_z", tick))
    search.skeleton()
    search.heads()
    search.second_round()
    search.heads()
    search.follow()
    return Found(read_pag(search.graph.graph, range(len(rules.names))))


class _Search:
    def __init__(self, values: np.ndarray, rules: Rules, alpha: float, test: _Test) -> None:
        from causallearn.graph.GraphNode import GraphNode

        self.values, self.rules, self.alpha, self.test = values, rules, alpha, test
        self.nodes = [GraphNode(name) for name in rules.names]
        for v, node in enumerate(self.nodes):
            node.add_attribute("id", v)
        self.graph: Any = None
        self.separators: _Separators = {}

    def _place(self, node: object) -> int:
        place: int = self.graph.node_map[node]
        return place

    def skeleton(self) -> None:
        """Remove every edge that a test of up to three earlier neighbours allows to remove."""
        from causallearn.utils.FAS import fas
        from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

        impossible = BackgroundKnowledge()
        pairs = [
            (u, v) for u, v in combinations(range(len(self.nodes)), 2) if not self.rules.linked_in_time(u, v)
        ]
        for u, v in pairs:
            impossible.add_forbidden_by_node(self.nodes[u], self.nodes[v])
            impossible.add_forbidden_by_node(self.nodes[v], self.nodes[u])
        self.graph, separators, _ = fas(
            self.values,
            self.nodes,
            independence_test_method=self.test,
            alpha=float(self.alpha),
            knowledge=impossible,
            depth=MAX_CONDITION,
            verbose=False,
            show_progress=False,
        )
        # What knowledge removed was never separated, so it says nothing about colliders.
        untested = {*pairs, *((v, u) for u, v in pairs)}
        self.separators = {pair: s for pair, s in separators.items() if pair not in untested}

    def second_round(self) -> None:
        """Remove edges that only variables further away can separate (the sets Possible-D-SEP)."""
        for edge in list(self.graph.get_graph_edges()):
            a, b = edge.get_node1(), edge.get_node2()
            if any(self._certain_cause(self._place(v)) for v in (a, b)):
                continue  # a randomised weight shares no hidden cause, so its neighbours were enough
            i, j = self._place(a), self._place(b)
            near = [set(self._around(v)) for v in (i, j)]
            for x, y in ((i, j), (j, i)):
                separator = self._separator(i, j, self._possibly_separating(x, y), near)
                if separator is not None:
                    self.graph.remove_edge(edge)
                    self.separators[i, j] = self.separators[j, i] = separator
                    break

    def _possibly_separating(self, x: int, y: int) -> list[int]:
        """Possible-D-SEP of x: who is reached over paths of colliders and triangles.

        causal-learn's own goes through sets of nodes, so that its answer changes with Python's hash seed.
        """
        from causallearn.graph.Endpoint import Endpoint

        waiting = [(x, v) for v in self._around(x) if v != y]
        seen = set(waiting)
        while waiting:
            a, b = waiting.pop()
            for c in self._around(b):
                if c in (a, x, y) or (b, c) in seen:
                    continue
                collider = self._end(a, b) == self._end(c, b) == Endpoint.ARROW
                if collider or self.graph.is_adjacent_to(self.nodes[a], self.nodes[c]):
                    seen.add((b, c))
                    waiting.append((b, c))
        return sorted({v for _, v in seen})

    def _around(self, v: int) -> list[int]:
        return sorted(self._place(n) for n in self.graph.get_adjacent_nodes(self.nodes[v]))

    def _separator(self, x: int, y: int, far: list[int], near: list[set[int]]) -> set[int] | None:
        for size in range(1, MAX_CONDITION + 1):
            for given in combinations(far, size):
                if any(set(given) <= known for known in near):
                    continue  # was tried in the first round
                if self.test(x, y, given) > self.alpha:
                    return set(given)
        return None

    def heads(self) -> None:
        """Mark what is certain before any rule: time, design, required edges, then colliders."""
        from causallearn.graph.Endpoint import Endpoint

        rank = [TIER_RANK[self.rules.tier(v)] for v in range(len(self.nodes))]
        for edge in list(self.graph.get_graph_edges()):
            a, b = self._place(edge.get_node1()), self._place(edge.get_node2())
            if rank[a] > rank[b] or self.rules.must(b, a):
                a, b = b, a
            certain = self._certain_cause(a) or self.rules.must(a, b)
            if rank[a] == rank[b] and not certain:
                ends = (Endpoint.CIRCLE, Endpoint.CIRCLE)
            else:
                ends = (Endpoint.TAIL if certain else Endpoint.CIRCLE, Endpoint.ARROW)
            self._mark(a, b, *ends)
        for b in range(len(self.nodes)):
            for a, c in combinations(self._around(b), 2):
                if self.graph.is_adjacent_to(self.nodes[a], self.nodes[c]):
                    continue
                separator = self.separators.get((a, c))
                if separator is None or b in separator:
                    continue
                if Endpoint.TAIL in (self._end(a, b), self._end(c, b)):
                    continue
                for v in (a, c):
                    self._mark(v, b, self._end(b, v), Endpoint.ARROW)

    def follow(self) -> None:
        """Apply the rules R1 to R4 and R8 to R10 until none says more."""
        from causallearn.search.ConstraintBased.FCI import (
            rule8,
            rule9,
            rule10,
            ruleR3,
            ruleR4B,
            rulesR1R2cycle,
        )

        changed = True
        while changed:
            changed = rulesR1R2cycle(self.graph, None, False)
            changed = ruleR3(self.graph, self.separators, None, changed)
            changed = ruleR4B(
                self.graph, -1, self.values, self.test, self.alpha, self.separators, changed, None
            )
            changed = rule8(self.graph, self.graph.get_nodes(), changed)
            changed = rule9(self.graph, self.graph.get_nodes(), changed)
            changed = rule10(self.graph, changed)

    def _certain_cause(self, v: int) -> bool:
        return self.rules.randomised and self.rules.tier(v) == "weight"

    def _end(self, a: int, b: int) -> Endpoint:
        """The mark at `b` of the edge between the two."""
        end: Endpoint = self.graph.get_endpoint(self.nodes[a], self.nodes[b])
        return end

    def _mark(self, a: int, b: int, at_a: Endpoint, at_b: Endpoint) -> None:
        from causallearn.graph.Edge import Edge

        self.graph.remove_edge(self.graph.get_edge(self.nodes[a], self.nodes[b]))
        self.graph.add_edge(Edge(self.nodes[a], self.nodes[b], at_a, at_b))
