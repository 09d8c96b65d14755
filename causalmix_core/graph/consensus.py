"""One graph from many: the edges that enough resamples agree on, and what several methods agree on.

Everything here is a function of results that are there already: a slider can move the threshold, and a
page can lay methods side by side, without searching again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import networkx as nx

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.discovery.arrows import HIDDEN_CAUSE, Arrow, check
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.methods import METHODS
from causalmix_core.graph.discovery.search import said_before
from causalmix_core.graph.model import CausalGraph, Edge, Forbidden, Mark, Node, Provenance, tier_of
from causalmix_core.graph.stability import EdgeShares, Stability

THRESHOLD = 0.5
"""An edge that most resamples find."""


def consensus_graph(
    stability: Stability, threshold: float = THRESHOLD, *, known: CausalGraph | None = None, by: str
) -> CausalGraph:
    """The graph of the pairs that at least a share `threshold` of the resamples links.

    A pair takes the kind of edge that most of these resamples give it; a tie has no direction. Pairs are
    drawn in the order of their shares: one that would close a cycle with those before loses its direction,
    or is left out where it cannot. A higher threshold therefore gives a part of the graph of a lower one.
    Required edges are in it whatever their share, forbidden ones never.

    Args:
        stability: what was found in the resamples.
        threshold: above 0, at most 1.
        known: the graph whose required and forbidden edges the search kept to, so that they stay as their
            curator drew them.
        by: who asks.

    Raises:
        CausalMixError: a threshold out of range.
    """
    if not 0 < threshold <= 1:
        raise CausalMixError(f"The threshold is {threshold}; choose a share above 0 and at most 1.")
    columns = stability.columns
    rules = Rules.over(columns, stability.knowledge, randomised=stability.randomised)
    building = _Building(rules)
    shares = {(s.a, s.b): s for s in stability.shares}
    for s in sorted(stability.shares, key=lambda s: (-s.linked, s.a, s.b)):
        if s.linked >= threshold - 1e-9:
            building.add(s)
    check(building.arrows, rules)
    old = {(e.source, e.target): e for e in known.edges if e.status == "required"} if known else {}
    at = datetime.now(UTC)
    what = f"{stability.settings.text}, {stability.resamples} resamples of {stability.size} runs"
    edges = []
    for arrow in building.arrows:
        source, target = columns[arrow.source], columns[arrow.target]
        share = shares.get((min(source, target), max(source, target)))
        linked = share.linked if share else 0.0
        if (source, target) in old:
            edges.append(old[source, target].model_copy(update={"stability": linked}))
            continue
        required = rules.must(arrow.source, arrow.target)
        said = _words(share, source, target) if share else "not found"
        edges.append(
            Edge(
                source=source,
                target=target,
                mark=arrow.mark,
                provenance=Provenance(kind="discovered", by=by, at=at, detail=f"{what}: {said}"),
                stability=linked,
                note=HIDDEN_CAUSE if _uncertain(stability, arrow, rules) else "",
                status="required" if required else "plain",
            )
        )
    return CausalGraph(
        nodes=tuple(Node(id=c, tier=tier_of(c)) for c in columns),
        edges=tuple(sorted(edges, key=lambda e: (e.source, e.target))),
        forbidden=_forbidden(stability, known, by, at),
        history=said_before(known, columns),
    )


def _uncertain(stability: Stability, arrow: Arrow, rules: Rules) -> bool:
    """Whether the tail of an edge is not certain: the shares do not tell `-->` from `o->` of FCI."""
    if not METHODS[stability.settings.method].finds_hidden or arrow.mark == "bidirected":
        return False
    certain = rules.randomised and rules.tier(arrow.source) == "weight"
    return not certain and not rules.must(arrow.source, arrow.target)


def _forbidden(
    stability: Stability, known: CausalGraph | None, by: str, at: datetime
) -> tuple[Forbidden, ...]:
    said = {(f.source, f.target): f for f in known.forbidden} if known else {}
    pairs = sorted(set(stability.knowledge.forbidden))
    return tuple(said.get(pair) or Forbidden(source=pair[0], target=pair[1], by=by, at=at) for pair in pairs)


def _words(share: EdgeShares, source: str, target: str) -> str:
    """The shares of a pair, seen from the edge that is drawn."""
    forward, backward = share.forward, share.backward
    if source != share.a:
        forward, backward = backward, forward
    parts = [
        f"{value:.0%} {text}"
        for value, text in (
            (forward, f"{source} -> {target}"),
            (backward, f"{target} -> {source}"),
            (share.undirected, "without a direction"),
            (share.bidirected, "hidden common cause"),
        )
        if value > 0
    ]
    return ", ".join(parts) or "not found"


class _Building:
    """A graph that grows and never breaks the rules."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.place = {name: v for v, name in enumerate(rules.names)}
        self.arrows: list[Arrow] = []
        self.dag = nx.DiGraph()
        self.dag.add_nodes_from(range(len(rules.names)))
        self.done: set[frozenset[int]] = set()
        for v, sources in enumerate(rules.required):
            for u in sorted(sources):
                self._draw(u, v, "directed")

    def add(self, share: EdgeShares) -> None:
        """Draw a pair as most resamples have it, as far as the rules allow."""
        a, b = self.place[share.a], self.place[share.b]
        if frozenset((a, b)) in self.done or not self.rules.linked_in_time(a, b):
            return
        for source, target, mark in self._preferences(share, a, b):
            if self._possible(source, target, mark):
                self._draw(source, target, mark)
                return

    def _preferences(self, share: EdgeShares, a: int, b: int) -> Sequence[tuple[int, int, Mark]]:
        ways: list[tuple[float, tuple[int, int, Mark]]] = [
            (share.forward, (a, b, "directed")),
            (share.backward, (b, a, "directed")),
            (share.undirected, (a, b, "undirected")),
            (share.bidirected, (a, b, "bidirected")),
        ]
        most = max(value for value, _ in ways)
        winners = [way for value, way in ways if value >= most - 1e-9]
        neither: tuple[int, int, Mark] = (a, b, "undirected")
        first = winners[0] if len(winners) == 1 else neither
        seen = sorted((w for w in ways if w[0] > 0), key=lambda w: -w[0])
        return [first, neither, *(way for _, way in seen)]

    def _possible(self, source: int, target: int, mark: Mark) -> bool:
        if mark == "bidirected":
            return True
        if mark == "undirected":
            return self.rules.may(source, target) and self.rules.may(target, source)
        return self.rules.may(source, target) and not nx.has_path(self.dag, target, source)

    def _draw(self, source: int, target: int, mark: Mark) -> None:
        self.arrows.append(Arrow(source, target, mark))
        self.done.add(frozenset((source, target)))
        if mark == "directed":
            self.dag.add_edge(source, target)


@dataclass(frozen=True)
class Agreement:
    """What several graphs say about two nodes.

    Attributes:
        a: a node; of the two the earlier in time, else the one with the smaller name.
        b: the other.
        says: for each graph by name: `->`, `<-`, `-`, `<->`, or empty for no edge.
        linked: in how many graphs there is an edge.
        same: in how many graphs the most frequent edge is.
    """

    a: str
    b: str
    says: Mapping[str, str]
    linked: int
    same: int


_SIGNS: dict[Mark, str] = {"directed": "->", "undirected": "-", "bidirected": "<->"}


def agreements(graphs: Mapping[str, CausalGraph]) -> list[Agreement]:
    """Every pair that any of the graphs links, those that most agree on first.

    Args:
        graphs: by the name of their method or whatever tells them apart.
    """
    rank = {"latent": 0, "state": 1, "weight": 2, "outcome": 3}
    pairs = {
        tuple(sorted((e.source, e.target), key=lambda v: (rank[tier_of(v)], v)))
        for graph in graphs.values()
        for e in graph.edges
    }
    found = []
    for a, b in pairs:
        says = {name: _sign(graph, a, b) for name, graph in graphs.items()}
        edges = [sign for sign in says.values() if sign]
        same = max(edges.count(sign) for sign in edges)
        found.append(Agreement(a, b, says, len(edges), same))
    return sorted(found, key=lambda x: (-x.linked, -x.same, rank[tier_of(x.b)], x.b, x.a))


def _sign(graph: CausalGraph, a: str, b: str) -> str:
    signs = []
    for edge in graph.edges:
        if {edge.source, edge.target} == {a, b}:
            signs.append("<-" if edge.mark == "directed" and edge.source == b else _SIGNS[edge.mark])
    return " ".join(sorted(signs))
