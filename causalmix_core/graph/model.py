"""The causal graph: which pool state, weight and outcome causes which.

Nodes stand in three tiers, pool state -> weights -> outcomes, because that is the order in which they
come about: the pool exists, the mixture is chosen, the proxy is measured. Before them stand latents:
causes that a curator knows of and that no run measures. A graph is a value: the edit functions (`edits`)
return a new graph or refuse, so a graph that exists is always acyclic and respects the tiers.

Edges among weights are forbidden because the weights are one decision (their sum is 1), and edges
among outcomes because these are measured at the same moment of the same proxy; what they share is the
mixture and the pool state, or a latent. Only edges among pool state can therefore lack a direction.

A bidirected edge `a <-> b` is a latent that causes both and is not drawn as a node. It says something
else than `a -> b`, so both may stand between the same two nodes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, Self

import networkx as nx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.orientation import extension, orders
from causalmix_core.probes import STATE, WEIGHT, RunTable

Tier = Literal["state", "weight", "outcome", "latent"]
Mark = Literal["directed", "undirected", "bidirected"]
EdgeStatus = Literal["plain", "required"]
ProvenanceKind = Literal["discovered", "assumed", "added", "reversed", "oriented", "imported"]
EditAction = Literal[
    "added", "removed", "reversed", "oriented", "required", "forbidden", "allowed", "noted",
    "added latent", "removed latent",
]  # fmt: skip

LATENT = "latent/"
"""How the id of a latent begins."""
MOST_NODES = 200
"""A larger graph can neither be drawn so that somebody reads it nor discovered from the runs of a swarm."""
LONGEST_ID = 200
"""Characters of a node's id."""

TIER_RANK: dict[Tier, int] = {"latent": -1, "state": 0, "weight": 1, "outcome": 2}
"""Position of each tier in time; causes never come later than what they cause."""

TIER_WORDS: dict[Tier, str] = {
    "state": "pool state", "weight": "a weight", "outcome": "an outcome", "latent": "a latent",
}  # fmt: skip

BIDIRECTED = "<->"
"""Stands in no id, so that the latent of a bidirected edge has a name of its own in `to_networkx`."""

_ARROWS: dict[Mark, str] = {"directed": "->", "undirected": "-", "bidirected": BIDIRECTED}


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
        id: its column in the run table: `state/<feature>`, `weight/<domain>`, `loss/<domain>`; or
            `latent/<name>`, which no run measures.
        tier: when it comes about; follows from the id.
    """

    id: str = Field(min_length=1, max_length=LONGEST_ID)
    tier: Tier

    @model_validator(mode="after")
    def _tier_fits_id(self) -> Self:
        if self.tier != tier_of(self.id):
            raise ValueError(f"node {self.id} is {TIER_WORDS[tier_of(self.id)]}, not {self.tier!r}")
        if BIDIRECTED in self.id:
            raise ValueError(f"node {self.id}: a name cannot hold '{BIDIRECTED}', which stands for an edge")
        return self


class Edge(_Value):
    """A cause and its effect, two states linked without a known direction, or two nodes that share a latent.

    Attributes:
        source: the cause; of an undirected or bidirected edge, either end.
        target: the effect; the other end.
        mark: whether it has a direction.
        provenance: where it comes from.
        stability: share of resamples of the runs in which discovery found it again, 0 to 1; None: not
            measured.
        status: a required edge stays until it is made plain again; discovery must keep it.
        note: what a curator wrote on it.
    """

    source: str
    target: str
    mark: Mark = "directed"
    provenance: Provenance
    stability: float | None = Field(default=None, ge=0, le=1)
    status: EdgeStatus = "plain"
    note: str = ""

    @property
    def text(self) -> str:
        """`a -> b`, `a - b` without a direction, `a <-> b` for a latent that causes both."""
        return f"{self.source} {_ARROWS[self.mark]} {self.target}"

    @property
    def arrow(self) -> tuple[str, str, Mark]:
        """What the edge says: equal for `a - b` and `b - a`, and for `a <-> b` and `b <-> a`."""
        if self.mark == "directed":
            return self.source, self.target, self.mark
        a, b = sorted((self.source, self.target))
        return a, b, self.mark


class Forbidden(_Value):
    """An edge that may not be: by the knowledge of a curator, `source` does not cause `target` directly."""

    source: str
    target: str
    by: str
    at: AwareDatetime
    why: str = ""

    @property
    def text(self) -> str:
        """`a -> b`."""
        return f"{self.source} -> {self.target}"


class Edit(_Value):
    """One change by hand; kept with the graph so that a removed edge keeps its reason too."""

    action: EditAction
    source: str
    target: str
    """Empty where the edit is about a latent, which is then the source."""
    mark: Mark = "directed"
    by: str
    at: AwareDatetime
    why: str = ""


class CausalGraph(_Value):
    """A causal graph over the columns of a run table, and latents.

    Attributes:
        nodes: unique, at most `MOST_NODES`.
        edges: at most one directed or undirected and one bidirected per pair of nodes; directed ones
            point to the same or a later tier and form no cycle; undirected ones link pool state;
            required ones are directed.
        forbidden: directed edges that may not be; no edge contradicts them.
        history: the edits by hand since discovery or assumption, oldest first.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    forbidden: tuple[Forbidden, ...] = ()
    history: tuple[Edit, ...] = ()

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        if len(self.nodes) > MOST_NODES:
            raise ValueError(f"the graph has {len(self.nodes)} nodes; at most {MOST_NODES} are possible")
        seen: set[str] = set()
        for node in self.nodes:
            if node.id in seen:
                raise ValueError(f"node {node.id} stands in the graph twice")
            seen.add(node.id)
        barred: set[tuple[str, str]] = set()
        for rule in self.forbidden:
            if problem := refusal(seen, rule.source, rule.target):
                raise ValueError(f"forbidden {rule.text}: {problem}")
            if (rule.source, rule.target) in barred:
                raise ValueError(f"{rule.text} is forbidden twice")
            barred.add((rule.source, rule.target))
        pairs: set[tuple[frozenset[str], bool]] = set()
        for edge in self.edges:
            if problem := refusal(seen, edge.source, edge.target, edge.mark):
                raise ValueError(f"{edge.text}: {problem}")
            pair = frozenset((edge.source, edge.target)), edge.mark == "bidirected"
            if pair in pairs:
                raise ValueError(f"{edge.text}: there are two edges between these nodes")
            pairs.add(pair)
            if barred & set(ways(edge)):
                raise ValueError(f"{edge.text}: the edge is forbidden")
            if edge.status == "required" and edge.mark != "directed":
                raise ValueError(f"{edge.text}: only an edge with a direction can be required")
        cycle = cycle_of(self.directed())
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

    def edge_between(self, a: str, b: str, mark: Mark | None = None) -> Edge | None:
        """The edge between two nodes, whichever way it runs.

        Args:
            a: a node.
            b: another node.
            mark: of the edge; None: the directed or undirected one, and where there is none the
                bidirected one.
        """
        pair = {a, b}
        found = [e for e in self.edges if {e.source, e.target} == pair and mark in (None, e.mark)]
        return min(found, key=lambda e: e.mark == "bidirected", default=None)

    def directed(self) -> list[tuple[str, str]]:
        """(source, target) of the directed edges, in the order of `edges`."""
        return [(e.source, e.target) for e in self.edges if e.mark == "directed"]

    def undirected(self) -> list[tuple[str, str]]:
        """The pairs that are linked without a direction, in the order of `edges`."""
        return [(e.source, e.target) for e in self.edges if e.mark == "undirected"]

    def bidirected(self) -> list[tuple[str, str]]:
        """The pairs that share a latent which is not drawn as a node, in the order of `edges`."""
        return [(e.source, e.target) for e in self.edges if e.mark == "bidirected"]

    def required(self) -> list[tuple[str, str]]:
        """(source, target) of the edges that must stay, in the order of `edges`."""
        return [(e.source, e.target) for e in self.edges if e.status == "required"]

    def prohibition(self, source: str, target: str) -> Forbidden | None:
        """The rule that forbids `source -> target`, if there is one."""
        return next((f for f in self.forbidden if (f.source, f.target) == (source, target)), None)

    def observed(self) -> list[str]:
        """Ids of the nodes that runs can measure: all but latents, in the order of `nodes`."""
        return [n.id for n in self.nodes if n.tier != "latent"]

    def unobserved(self) -> list[str]:
        """Ids of the nodes of `to_networkx` that no run measures, sorted.

        These are the latents and one more, `latent/a <-> b`, for each bidirected edge.
        """
        return sorted([*self.tier("latent"), *(hidden for hidden, _ in self._hidden())])

    def _hidden(self) -> list[tuple[str, tuple[str, str]]]:
        """For each bidirected edge, the id of the latent that it stands for and the two that it causes."""
        pairs = sorted((min(pair), max(pair)) for pair in self.bidirected())
        return [(f"{LATENT}{a} {BIDIRECTED} {b}", (a, b)) for a, b in pairs]

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
        cannot be ruled out. A bidirected edge is no path: neither end causes the other. No path means no
        effect under this graph. A node has a path to itself.

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
        causes = [
            *self.directed(),
            *((hidden, end) for hidden, ends in self._hidden() for end in ends),
        ]
        inside = [(s, t) for s, t in causes if tier_of(t) == "state"]
        nodes = sorted({*self.tier("state"), *(s for s, _ in inside)})
        chosen = extension(nodes, inside, self.undirected())
        return sorted(orders(nodes, inside, self.undirected()) if chosen is None else chosen)

    def to_networkx(self) -> nx.DiGraph:
        """The graph as a DAG that dowhy reads.

        Undirected edges get the direction of `oriented_by_convention`. A bidirected edge becomes a node
        `latent/a <-> b` that causes both ends. Nodes carry dowhy's attribute `observed`, `yes` or `no`.
        Nodes and edges are inserted in sorted order, so that nothing depends on the order in which the
        graph was built.
        """
        hidden = [(node, end) for node, ends in self._hidden() for end in ends]
        dag = nx.DiGraph()
        dag.add_nodes_from(
            sorted(
                [*((v, {"observed": "yes"}) for v in self.observed()),
                 *((v, {"observed": "no"}) for v in self.unobserved())],
                key=lambda pair: pair[0],
            )
        )  # fmt: skip
        dag.add_edges_from(sorted([*self.directed(), *self.oriented_by_convention(), *hidden]))
        return dag


def tier_of(node_id: str) -> Tier:
    """The tier that a column of the run table, or a latent, belongs to."""
    if node_id.startswith(LATENT):
        return "latent"
    if node_id.startswith(STATE):
        return "state"
    return "weight" if node_id.startswith(WEIGHT) else "outcome"


def nodes_of(runs: RunTable) -> tuple[Node, ...]:
    """One node per pool state, weight and outcome of the run table, in that order."""
    columns = [*runs.states, *runs.weight_columns, *runs.outcomes]
    return tuple(Node(id=c, tier=tier_of(c)) for c in columns)


def saturated_graph(runs: RunTable, by: str) -> CausalGraph:
    """What one assumes without discovery: every outcome depends on everything.

    Every pool state and every weight points to every outcome. Where some mixtures were not drawn at random,
    whoever chose them may have looked at the pool, so every pool state also points to every weight.

    Args:
        runs: the run table; its columns matter, and whether its rows say that a mixture was chosen.
        by: who assumes it.
    """
    chosen = "assignment" in runs.frame and bool(runs.frame["assignment"].dropna().ne("randomised").any())
    why = (
        "Some mixtures were chosen, perhaps with an eye on the pool, and any outcome may depend on all."
        if chosen
        else "Mixtures were drawn at random, so nothing causes a weight, and any outcome may depend on all."
    )
    provenance = Provenance(kind="assumed", by=by, at=datetime.now(UTC), why=why)
    pairs = [(cause, y) for cause in [*runs.states, *runs.weight_columns] for y in runs.outcomes]
    if chosen:
        pairs += [(state, weight) for state in runs.states for weight in runs.weight_columns]
    return CausalGraph(
        nodes=nodes_of(runs),
        edges=tuple(Edge(source=a, target=b, provenance=provenance) for a, b in pairs),
    )


def ways(edge: Edge) -> tuple[tuple[str, str], ...]:
    """The (cause, effect) pairs that an edge may stand for: two without a direction, none if bidirected."""
    if edge.mark == "bidirected":
        return ()
    forth = (edge.source, edge.target)
    return (forth,) if edge.mark == "directed" else (forth, forth[::-1])


def refusal(nodes: set[str], source: str, target: str, mark: Mark = "directed") -> str | None:
    """Why no such edge may run from `source` to `target` in any graph over `nodes`; None if it may."""
    unknown = [v for v in dict.fromkeys((source, target)) if v not in nodes]
    if unknown:
        return f"there is no node {' and no node '.join(unknown)}"
    if source == target:
        return "an edge needs two different nodes"
    a, b = tier_of(source), tier_of(target)
    if mark == "undirected":
        only = "only an edge between pool states can lack a direction"
        return None if a == b == "state" else only
    if a == b == "weight":
        return "the weights are one decision (their sum is 1), so none of them causes another"
    if mark == "bidirected":
        latents = [v for v in (source, target) if tier_of(v) == "latent"]
        if latents:
            return f"{latents[0]} is a latent; draw an edge from it to what it causes instead"
        return None
    if a == b == "outcome":
        return "outcomes are measured at the same moment of the same proxy, so none of them causes another"
    if b == "latent":
        return f"{target} is a latent, and what causes a latent is left out of the graph"
    if TIER_RANK[a] > TIER_RANK[b]:
        return (
            f"{source} is {TIER_WORDS[a]} and {target} is {TIER_WORDS[b]}, and causes come first "
            "(pool state, then weights, then outcomes)"
        )
    return None


def cycle_of(directed: list[tuple[str, str]]) -> list[str]:
    """A directed cycle as a path that returns to its start; empty if there is none."""
    try:
        found = nx.find_cycle(nx.DiGraph(sorted(directed)))
    except nx.NetworkXNoCycle:
        return []
    return [found[0][0], *(edge[1] for edge in found)]
