"""The causal graph: which pool state, weight and outcome causes which, and how a curator edits it.

Nodes stand in three tiers, pool state -> weights -> outcomes, because that is the order in which they
come about: the pool exists, the mixture is chosen, the proxy is measured. A graph is a value: the edit
functions return a new graph or refuse, so a graph that exists is always acyclic and respects the tiers.

Edges among weights are forbidden because the weights are one decision (their sum is 1), and edges
among outcomes because these are measured at the same moment of the same proxy; what they share is the
mixture and the pool state. Only edges among pool state can therefore lack a direction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, Self

import networkx as nx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import STATE, WEIGHT, RunTable

Tier = Literal["state", "weight", "outcome"]
Mark = Literal["directed", "undirected"]
ProvenanceKind = Literal["discovered", "assumed", "added", "reversed"]
EditAction = Literal["added", "removed", "reversed"]

TIER_RANK: dict[Tier, int] = {"state": 0, "weight": 1, "outcome": 2}
"""Position of each tier in time; causes never come later than what they cause."""

_TIER_WORDS: dict[Tier, str] = {"state": "pool state", "weight": "a weight", "outcome": "an outcome"}


class GraphEditError(CausalMixError):
    """An edit that would not leave a valid graph; the graph is unchanged."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(_Value):
    """Where an edge comes from."""

    kind: ProvenanceKind
    by: str
    """Who ran the discovery, made the assumption or did the edit."""
    at: AwareDatetime
    why: str = ""
    """The reason in the words of whoever did it."""
    detail: str = ""
    """Algorithm and settings of a discovery; for a reversed edge, what it was before."""


class Node(_Value):
    """A variable of the graph.

    Attributes:
        id: its column in the run table: `state/<feature>`, `weight/<domain>`, `loss/<domain>`.
        tier: when it comes about; follows from the id.
    """

    id: str = Field(min_length=1)
    tier: Tier

    @model_validator(mode="after")
    def _tier_fits_id(self) -> Self:
        if self.tier != tier_of(self.id):
            raise ValueError(f"node {self.id} is {_TIER_WORDS[tier_of(self.id)]}, not {self.tier!r}")
        return self


class Edge(_Value):
    """A cause and its effect, or two pool-state nodes that are linked without a known direction."""

    source: str
    target: str
    mark: Mark = "directed"
    provenance: Provenance

    @property
    def text(self) -> str:
        """`a -> b`, or `a - b` without a direction."""
        return f"{self.source} {'->' if self.mark == 'directed' else '-'} {self.target}"


class Edit(_Value):
    """One change by hand; kept with the graph so that a removed edge keeps its reason too."""

    action: EditAction
    source: str
    target: str
    by: str
    at: AwareDatetime
    why: str = ""


class CausalGraph(_Value):
    """A causal graph over the columns of a run table.

    Attributes:
        nodes: unique.
        edges: at most one per pair of nodes; directed ones point to the same or a later tier and form
            no cycle; undirected ones link pool state.
        history: the edits by hand since discovery or assumption, oldest first.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    history: tuple[Edit, ...] = ()

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        seen: set[str] = set()
        for node in self.nodes:
            if node.id in seen:
                raise ValueError(f"node {node.id} stands in the graph twice")
            seen.add(node.id)
        pairs: set[frozenset[str]] = set()
        for edge in self.edges:
            refusal = _refusal(seen, edge.source, edge.target)
            if refusal:
                raise ValueError(f"{edge.text}: {refusal}")
            if edge.mark == "undirected" and {tier_of(edge.source), tier_of(edge.target)} != {"state"}:
                raise ValueError(f"{edge.text}: only an edge between pool states can lack a direction")
            pair = frozenset((edge.source, edge.target))
            if pair in pairs:
                raise ValueError(f"{edge.text}: there are two edges between these nodes")
            pairs.add(pair)
        cycle = _cycle(self.directed())
        if cycle:
            raise ValueError(f"the edges form a cycle: {' -> '.join(cycle)}")
        return self

    def node(self, node_id: str) -> Node:
        """The node with this id.

        Raises:
            CausalMixError: there is none.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise CausalMixError(f"There is no node {node_id} in the graph.")

    def tier(self, tier: Tier) -> list[str]:
        """Ids of the nodes of one tier, in the order of `nodes`."""
        return [n.id for n in self.nodes if n.tier == tier]

    def edge_between(self, a: str, b: str) -> Edge | None:
        """The edge between two nodes, whatever its direction."""
        pair = {a, b}
        return next((e for e in self.edges if {e.source, e.target} == pair), None)

    def directed(self) -> list[tuple[str, str]]:
        """(source, target) of the directed edges, in the order of `edges`."""
        return [(e.source, e.target) for e in self.edges if e.mark == "directed"]

    def undirected(self) -> list[tuple[str, str]]:
        """The pairs that are linked without a direction, in the order of `edges`."""
        return [(e.source, e.target) for e in self.edges if e.mark == "undirected"]

    def parents(self, node_id: str) -> list[str]:
        """Direct causes of a node along directed edges, sorted.

        Raises:
            CausalMixError: there is no such node.
        """
        self.node(node_id)
        return sorted(s for s, t in self.directed() if t == node_id)

    def has_path(self, a: str, b: str) -> bool:
        """Whether `a` may be a cause of `b`, directly or through others.

        An undirected edge may be walked both ways: its direction is not known, so a path along it
        cannot be ruled out. No path means no effect under this graph. A node has a path to itself.

        Raises:
            CausalMixError: one of the nodes does not exist.
        """
        self.node(a)
        self.node(b)
        walk = nx.DiGraph()
        walk.add_nodes_from(n.id for n in self.nodes)
        walk.add_edges_from(self.directed())
        walk.add_edges_from(self.undirected())
        walk.add_edges_from((t, s) for s, t in self.undirected())
        return bool(nx.has_path(walk, a, b))

    def oriented_by_convention(self) -> list[tuple[str, str]]:
        """The direction that `to_networkx` gives to each undirected edge, sorted.

        The data does not decide it. Where one exists it is the extension that creates no new collider
        (Dor and Tarsi 1992), and so implies the same independences; after edits by hand there may be
        none, and then a topological order of the directed edges decides. Ties go by name.
        """
        if not self.undirected():
            return []
        states = sorted(self.tier("state"))
        inside = [(s, t) for s, t in self.directed() if tier_of(t) == "state"]
        chosen = _extension(states, inside, self.undirected())
        if chosen is None:
            order = nx.DiGraph()
            order.add_nodes_from(states)
            order.add_edges_from(inside)
            rank = {v: i for i, v in enumerate(nx.lexicographical_topological_sort(order))}
            chosen = [(s, t) if rank[s] < rank[t] else (t, s) for s, t in self.undirected()]
        return sorted(chosen)

    def to_networkx(self) -> nx.DiGraph:
        """The graph as a DAG that dowhy reads.

        Undirected edges get the direction of `oriented_by_convention`. Nodes and edges are inserted
        in sorted order, so that nothing depends on the order in which the graph was built.
        """
        dag = nx.DiGraph()
        dag.add_nodes_from(sorted(n.id for n in self.nodes))
        dag.add_edges_from(sorted([*self.directed(), *self.oriented_by_convention()]))
        return dag


def tier_of(node_id: str) -> Tier:
    """The tier that a column of the run table belongs to."""
    if node_id.startswith(STATE):
        return "state"
    return "weight" if node_id.startswith(WEIGHT) else "outcome"


def nodes_of(runs: RunTable) -> tuple[Node, ...]:
    """One node per pool state, weight and outcome of the run table, in that order."""
    columns = [*runs.states, *runs.weight_columns, *runs.outcomes]
    return tuple(Node(id=c, tier=tier_of(c)) for c in columns)


def saturated_graph(runs: RunTable, by: str) -> CausalGraph:
    """What one assumes without discovery on randomised runs: every outcome depends on everything.

    Every pool state and every weight points to every outcome; there is no other edge, because the
    mixtures were drawn independently of the pool.

    Args:
        runs: the run table; only its columns matter.
        by: who assumes it.
    """
    provenance = Provenance(
        kind="assumed",
        by=by,
        at=datetime.now(UTC),
        why="Mixtures were drawn at random, so nothing causes a weight, and any outcome may depend on all.",
    )
    return CausalGraph(
        nodes=nodes_of(runs),
        edges=tuple(
            Edge(source=cause, target=outcome, provenance=provenance)
            for cause in [*runs.states, *runs.weight_columns]
            for outcome in runs.outcomes
        ),
    )


def add_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph with `source -> target`.

    An undirected edge between the two gets this direction.

    Raises:
        GraphEditError: a node is unknown, the tiers forbid the edge, there is one already, or it
            would close a cycle (the message gives the path).
    """
    refusal = _refusal({n.id for n in graph.nodes}, source, target)
    if refusal:
        raise GraphEditError(f"Cannot add {source} -> {target}: {refusal}.")
    old = graph.edge_between(source, target)
    if old is not None and old.mark == "directed":
        hint = "" if old.source == source else " Reverse it instead."
        raise GraphEditError(
            f"Cannot add {source} -> {target}: the graph already has the edge {old.text}.{hint}"
        )
    _refuse_cycle(graph, source, target, "add")
    if old is not None:
        return _oriented(graph, old, source, target, by=by, why=why)
    now = datetime.now(UTC)
    edge = Edge(source=source, target=target, provenance=Provenance(kind="added", by=by, at=now, why=why))
    return _edited(graph, (*graph.edges, edge), "added", source, target, by=by, at=now, why=why)


def delete_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph without `source -> target`; an undirected edge is named in either order.

    Raises:
        GraphEditError: there is no such edge.
    """
    old = _existing(graph, source, target, "remove")
    edges = tuple(e for e in graph.edges if e is not old)
    return _edited(graph, edges, "removed", old.source, old.target, by=by, at=datetime.now(UTC), why=why)


def reverse_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph with `target -> source` in place of `source -> target`.

    An undirected edge between the two becomes `target -> source` as well.

    Raises:
        GraphEditError: there is no such edge, the tiers forbid the other direction, or it would close
            a cycle (the message gives the path).
    """
    old = _existing(graph, source, target, "reverse")
    refusal = _refusal({n.id for n in graph.nodes}, target, source)
    if refusal:
        raise GraphEditError(f"Cannot reverse {source} -> {target}: {refusal}.")
    without = graph.model_copy(update={"edges": tuple(e for e in graph.edges if e is not old)})
    _refuse_cycle(without, target, source, "reverse")
    return _oriented(graph, old, target, source, by=by, why=why)


def describe_changes(old: CausalGraph, new: CausalGraph) -> list[str]:
    """What differs from `old` to `new`, one change per line, such as `removed weight/code -> loss/math`.

    Empty when both have the same nodes and edges; who drew an edge and when is not compared.
    """
    before, after = {n.id for n in old.nodes}, {n.id for n in new.nodes}
    lines = [f"removed node {i}" for i in sorted(before - after)]
    lines += [f"added node {i}" for i in sorted(after - before)]
    was, now = _by_pair(old.edges), _by_pair(new.edges)
    for pair in sorted(was.keys() | now.keys()):
        a, b = was.get(pair), now.get(pair)
        if b is None and a is not None:
            lines.append(f"removed {a.text}")
        elif a is None and b is not None:
            lines.append(f"added {b.text}")
        elif a is not None and b is not None and _arrow(a) != _arrow(b):
            if "undirected" not in (a.mark, b.mark):
                lines.append(f"reversed {a.text} to {b.text}")
            elif b.mark == "directed":
                lines.append(f"oriented {a.text} as {b.text}")
            else:
                lines.append(f"removed the direction of {a.text}")
    return lines


def _by_pair(edges: Iterable[Edge]) -> dict[tuple[str, ...], Edge]:
    return {tuple(sorted((e.source, e.target))): e for e in edges}


def _arrow(edge: Edge) -> tuple[str, ...]:
    """What makes two edges of one pair the same: an undirected edge has no first node."""
    return (edge.source, edge.target) if edge.mark == "directed" else ()


def _refusal(nodes: set[str], source: str, target: str) -> str | None:
    """Why no edge may run from `source` to `target` in any graph over `nodes`; None if it may."""
    unknown = [v for v in (source, target) if v not in nodes]
    if unknown:
        return f"there is no node {' and no node '.join(unknown)}"
    if source == target:
        return "an edge needs two different nodes"
    a, b = tier_of(source), tier_of(target)
    if a == b == "weight":
        return "the weights are one decision (their sum is 1), so none of them causes another"
    if a == b == "outcome":
        return "outcomes are measured at the same moment of the same proxy, so none of them causes another"
    if TIER_RANK[a] > TIER_RANK[b]:
        return (
            f"{source} is {_TIER_WORDS[a]} and {target} is {_TIER_WORDS[b]}, and causes come first "
            "(pool state, then weights, then outcomes)"
        )
    return None


def _refuse_cycle(graph: CausalGraph, source: str, target: str, verb: Literal["add", "reverse"]) -> None:
    dag = nx.DiGraph(sorted(graph.directed()))
    if source in dag and target in dag and nx.has_path(dag, target, source):
        path = [source, *nx.shortest_path(dag, target, source)]
        edge = f"{source} -> {target}" if verb == "add" else f"{target} -> {source}"
        raise GraphEditError(
            f"Cannot {verb} {edge}: it would close the cycle {' -> '.join(path)}. "
            "Remove or reverse another edge of it first."
        )


def _existing(graph: CausalGraph, source: str, target: str, verb: Literal["remove", "reverse"]) -> Edge:
    edge = graph.edge_between(source, target)
    if edge is None:
        raise GraphEditError(f"Cannot {verb} {source} -> {target}: the graph has no such edge.")
    if edge.mark == "directed" and edge.source != source:
        raise GraphEditError(f"Cannot {verb} {source} -> {target}: the edge runs the other way, {edge.text}.")
    return edge


def _oriented(graph: CausalGraph, old: Edge, source: str, target: str, *, by: str, why: str) -> CausalGraph:
    """The graph with `old` replaced, in its place, by `source -> target`."""
    now = datetime.now(UTC)
    before = old.provenance
    detail = f"before: {old.text}, {before.kind} by {before.by}"
    if before.detail:
        detail += f" ({before.detail})"
    edge = Edge(
        source=source,
        target=target,
        provenance=Provenance(kind="reversed", by=by, at=now, why=why, detail=detail),
    )
    edges = tuple(edge if e is old else e for e in graph.edges)
    return _edited(graph, edges, "reversed", source, target, by=by, at=now, why=why)


def _edited(
    graph: CausalGraph,
    edges: tuple[Edge, ...],
    action: EditAction,
    source: str,
    target: str,
    *,
    by: str,
    at: datetime,
    why: str,
) -> CausalGraph:
    edit = Edit(action=action, source=source, target=target, by=by, at=at, why=why)
    return CausalGraph(nodes=graph.nodes, edges=edges, history=(*graph.history, edit))


def _cycle(directed: list[tuple[str, str]]) -> list[str]:
    """A directed cycle as a path that returns to its start; empty if there is none."""
    try:
        found = nx.find_cycle(nx.DiGraph(sorted(directed)))
    except nx.NetworkXNoCycle:
        return []
    return [found[0][0], *(edge[1] for edge in found)]


def _extension(
    nodes: list[str], directed: list[tuple[str, str]], undirected: list[tuple[str, str]]
) -> list[tuple[str, str]] | None:
    """Directions for `undirected` that give a DAG without new colliders; None if there are none.

    Dor and Tarsi (1992): repeatedly take a node that has no arrow out of it and whose undirected
    neighbours are linked to all its other neighbours, point its undirected edges at it, and set it
    aside.

    Args:
        nodes: in the order in which they are tried.
        directed: (source, target) pairs, acyclic.
        undirected: pairs without a direction.
    """
    into = {v: {s for s, t in directed if t == v} for v in nodes}
    out = {v: {t for s, t in directed if s == v} for v in nodes}
    free: dict[str, set[str]] = {v: set() for v in nodes}
    for s, t in undirected:
        free[s].add(t)
        free[t].add(s)
    near = {v: into[v] | out[v] | free[v] for v in nodes}
    left = list(nodes)
    chosen: list[tuple[str, str]] = []
    while left:
        sink = next(
            (v for v in left if not out[v] and all(near[v] - {u} <= near[u] for u in free[v])),
            None,
        )
        if sink is None:
            return None
        chosen += [(u, sink) for u in free[sink]]
        left.remove(sink)
        for u in near[sink]:
            out[u].discard(sink)
            free[u].discard(sink)
            near[u].discard(sink)
    return chosen
