"""A graph as a file draws it, before it is known to be possible, and how it becomes a graph of ours.

All readers end here, so that a cycle or an edge against the tiers is refused in the same words, with the
line that it stands on, whatever the format.

A file may name things its own way. Where the columns of the runs are known, a name is mapped to the one
column that it can mean (`loss_code`, or `code` as an outcome, is `loss/code`). Where they are not, the
role that the file gives to a node (dagitty's `exposure`, `outcome`, `latent`) decides its tier.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

from pydantic import ValidationError

from causalmix_core.graph.model import (
    LATENT,
    MOST_NODES,
    TIER_RANK,
    TIER_WORDS,
    CausalGraph,
    Edge,
    EdgeStatus,
    Forbidden,
    GraphEditError,
    Mark,
    Node,
    Provenance,
    Tier,
    cycle_of,
    refusal,
    tier_of,
    ways,
)
from causalmix_core.probes import STATE, WEIGHT

End = Literal["none", "arrow", "circle"]
"""What stands at one end of an edge; a circle leaves open which of the two others."""

MOST_SHOWN = 40
"""Names that a message lists."""

_PREFIX: dict[Tier, str] = {"state": STATE, "weight": WEIGHT, "latent": LATENT, "outcome": ""}
_CIRCLE = "The file leaves open whether this is a cause or a latent that causes both (@->)."


class GraphFormatError(GraphEditError):
    """A text that is no graph of ours.

    Attributes:
        line: where in the text, from 1; None where a line says nothing.
        reason: what is wrong there.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        self.line, self.reason = line, reason
        where = "" if line is None else f"Line {line}: "
        super().__init__(f"{where}{reason}{'' if reason.endswith('.') else '.'}")


@dataclass(frozen=True)
class DraftNode:
    """A node as the file names it."""

    name: str
    role: Tier | None = None
    line: int | None = None
    label: str | None = None
    """What the file shows in place of the name."""


@dataclass(frozen=True)
class DraftEdge:
    """An edge as the file draws it, with the names of the file."""

    source: str
    target: str
    mark: Mark = "directed"
    line: int | None = None
    status: EdgeStatus = "plain"
    stability: float | None = None
    note: str = ""


@dataclass(frozen=True)
class DraftRule:
    """An edge that the file forbids."""

    source: str
    target: str
    by: str
    at: datetime
    why: str = ""
    line: int | None = None


@dataclass
class Draft:
    """What one file says."""

    nodes: list[DraftNode] = field(default_factory=list)
    edges: list[DraftEdge] = field(default_factory=list)
    forbidden: list[DraftRule] = field(default_factory=list)


def edge_by_ends(
    source: str, target: str, left: End, right: End, line: int | None, status: EdgeStatus = "plain",
    stability: float | None = None, note: str = "",
) -> DraftEdge:  # fmt: skip
    """The edge with these marks at the side of `source` and of `target`.

    A circle at the tail of an arrow is read as a tail, and the edge gets a note that says so.
    """
    if left == "arrow" and right != "arrow":
        source, target, left, right = target, source, right, left
    mark: Mark = "undirected"
    if right == "arrow":
        mark = "bidirected" if left == "arrow" else "directed"
        note = note or (_CIRCLE if left == "circle" else "")
    return DraftEdge(source, target, mark, line, status, stability, note)


def too_large(nodes: int, line: int | None = None) -> GraphFormatError:
    """What is said of a graph with too many nodes."""
    return GraphFormatError(
        f"The graph has {nodes} nodes; at most {MOST_NODES} are possible. Leave out those that the runs do "
        "not measure",
        line,
    )


def assemble(draft: Draft, *, known: Sequence[str] | None, by: str, detail: str) -> CausalGraph:
    """The graph that a draft means.

    Args:
        draft: what the file says; nodes that only edges name are added.
        known: columns of the runs; those that the file leaves out become nodes without edges. None: the
            names in the file are taken as they are.
        by: who imports it.
        detail: of the provenance, such as the format.

    Raises:
        GraphFormatError: a name is unknown, ambiguous or impossible, an edge stands there twice, runs
            against the tiers or contradicts a rule, the edges form a cycle, or there are too many nodes.
    """
    names = _names(draft)
    if not names:
        raise GraphFormatError("The text draws no node")
    if len(names) > MOST_NODES:
        raise too_large(len(names))
    ids = _ids(names, known)
    order = list(dict.fromkeys([*(known or ()), *ids.values()]))
    if len(order) > MOST_NODES:
        raise too_large(len(order))
    lines = {ids[n.name]: n.line for n in names.values()}
    now = datetime.now(UTC)
    nodes = tuple(_node(v, lines.get(v)) for v in order)
    edges: list[Edge] = []
    seen: dict[tuple[frozenset[str], bool], DraftEdge] = {}
    origin = Provenance(kind="imported", by=by, at=now, detail=detail)
    for drawn in draft.edges:
        edge = _edge(drawn, ids, set(order), origin)
        pair = frozenset((edge.source, edge.target)), edge.mark == "bidirected"
        if pair in seen:
            first = seen[pair]
            where = "" if first.line is None else f" (first on line {first.line})"
            raise GraphFormatError(f"{edge.text}: there are two edges between these nodes{where}", drawn.line)
        seen[pair] = drawn
        edges.append(edge)
    rules = tuple(_rule(r, ids, set(order)) for r in draft.forbidden)
    _refuse_contradictions(edges, rules, seen)
    _refuse_cycle(edges, seen)
    return CausalGraph(nodes=nodes, edges=tuple(edges), forbidden=rules)


def first_problem(error: ValidationError) -> str:
    """The first complaint of pydantic, in words: `edges.3.source: Field required`."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def resolve(name: str, role: Tier | None, known: Sequence[str]) -> list[str]:
    """The columns that a name of a file can mean; none where it means none.

    Args:
        name: in the file.
        role: what the file says it is; decides between columns of several tiers.
        known: columns of the runs.
    """
    if name in known:
        return [name]
    plain = _plain(name)
    for form in (_plain, lambda column: _plain(column.partition("/")[2])):
        fits = [column for column in known if plain and form(column) == plain]
        if fits:
            return [c for c in fits if tier_of(c) == role] or fits
    return []


def _plain(name: str) -> str:
    """A name without what programs cannot write in a name."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def _names(draft: Draft) -> dict[str, DraftNode]:
    """Every node by its name in the file, with the first role that the file gives it; latent beats others."""
    found: dict[str, DraftNode] = {}
    ends = (DraftNode(name, line=e.line) for e in draft.edges for name in (e.source, e.target))
    for node in (*draft.nodes, *ends):
        old = found.get(node.name)
        if old is None or (node.role and (old.role is None or node.role == "latent")):
            found[node.name] = node
    return found


def _ids(names: dict[str, DraftNode], known: Sequence[str] | None) -> dict[str, str]:
    """The id of each node.

    Raises:
        GraphFormatError: a name is unknown or ambiguous, or two names mean the same.
    """
    ids: dict[str, str] = {}
    unknown: list[DraftNode] = []
    for name, node in names.items():
        choice = _choices(node, known)
        if not choice:
            unknown.append(node)
        elif len(choice) > 1:
            raise GraphFormatError(
                f"{name!r} could be {' or '.join(choice)}. Write the name in full", node.line
            )
        else:
            ids[name] = choice[0]
    if unknown:
        raise _unknown(unknown, known or ())
    for same, count in Counter(ids.values()).items():
        if count > 1:
            both = [n for n in names.values() if ids[n.name] == same]
            raise GraphFormatError(
                f"{' and '.join(repr(n.name) for n in both)} both mean {same}", both[-1].line
            )
    return ids


def _choices(node: DraftNode, known: Sequence[str] | None) -> list[str]:
    name, role = node.name, node.role
    tier = tier_of(name)
    if tier == "latent":
        return [name]
    if role == "latent":
        own = [name] * (tier != "outcome" or "/" in name)
        measured = own if known is None else [k for k in known if _plain(k) == _plain(name)]
        if measured:
            raise GraphFormatError(
                f"{measured[0]} is {TIER_WORDS[tier_of(measured[0])]}, but the file calls it latent",
                node.line,
            )
        return [LATENT + name]
    if known is not None:
        return resolve(name, role, known) or (resolve(node.label, role, known) if node.label else [])
    if tier != "outcome" or "/" in name or role == "outcome":
        return [name]
    return [_PREFIX[role or "state"] + name]


def _unknown(nodes: list[DraftNode], known: Sequence[str]) -> GraphFormatError:
    names = ", ".join(repr(n.name) for n in nodes[:MOST_SHOWN])
    close = [c for n in nodes[:MOST_SHOWN] for c in difflib.get_close_matches(n.name, known, n=2)]
    shown = [*dict.fromkeys(close), *(k for k in known if k not in close)]
    more = f" and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
    verb = "is no column" if len(nodes) == 1 else "are no columns"
    return GraphFormatError(
        f"{names} {verb} of the runs, which have: {', '.join(shown[:MOST_SHOWN])}{more}. "
        "Rename, or mark as latent what no run measures",
        nodes[0].line,
    )


def _node(node_id: str, line: int | None) -> Node:
    try:
        return Node(id=node_id, tier=tier_of(node_id))
    except ValidationError as error:
        raise GraphFormatError(f"{node_id[:80]!r} cannot be a node: {first_problem(error)}", line) from error


def _edge(drawn: DraftEdge, ids: dict[str, str], nodes: set[str], origin: Provenance) -> Edge:
    source, target, mark = ids[drawn.source], ids[drawn.target], drawn.mark
    a, b = tier_of(source), tier_of(target)
    if mark == "undirected" and a != b:
        # Time says which of two tiers comes first, so nothing is left open.
        mark = "directed"
        if TIER_RANK[a] > TIER_RANK[b]:
            source, target = target, source
    problem = refusal(nodes, source, target, mark)
    try:
        edge = Edge(
            source=source, target=target, mark=mark, provenance=origin, status=drawn.status,
            stability=drawn.stability, note=drawn.note,
        )  # fmt: skip
    except ValidationError as error:
        raise GraphFormatError(f"{source} to {target}: {first_problem(error)}", drawn.line) from error
    if problem is None and edge.status == "required" and mark != "directed":
        problem = "only an edge with a direction can be required"
    if problem:
        raise GraphFormatError(f"{edge.text}: {problem}", drawn.line)
    return edge


def _rule(rule: DraftRule, ids: dict[str, str], nodes: set[str]) -> Forbidden:
    source, target = (ids.get(name, name) for name in (rule.source, rule.target))
    problem = refusal(nodes, source, target)
    if problem:
        raise GraphFormatError(f"forbidden {source} -> {target}: {problem}", rule.line)
    try:
        return Forbidden(source=source, target=target, by=rule.by, at=rule.at, why=rule.why)
    except ValidationError as error:
        raise GraphFormatError(
            f"forbidden {source} -> {target}: {first_problem(error)}", rule.line
        ) from error


def _refuse_contradictions(
    edges: list[Edge], rules: tuple[Forbidden, ...], drawn: dict[tuple[frozenset[str], bool], DraftEdge]
) -> None:
    barred = Counter((r.source, r.target) for r in rules)
    for (source, target), count in barred.items():
        if count > 1:
            raise GraphFormatError(f"{source} -> {target} is forbidden twice")
    for edge in edges:
        if any(way in barred for way in ways(edge)):
            line = drawn[frozenset((edge.source, edge.target)), False].line
            raise GraphFormatError(f"{edge.text}: the file also forbids this edge", line)


def _refuse_cycle(edges: list[Edge], drawn: dict[tuple[frozenset[str], bool], DraftEdge]) -> None:
    cycle = cycle_of([(e.source, e.target) for e in edges if e.mark == "directed"])
    if not cycle:
        return
    steps = [drawn[frozenset(step), False].line for step in pairwise(cycle)]
    lines = [n for n in steps if n is not None]
    where = f" (lines {', '.join(map(str, lines))})" if len(set(lines)) > 1 else ""
    raise GraphFormatError(
        f"The edges form a cycle: {' -> '.join(cycle)}{where}. Remove or reverse one of them",
        lines[-1] if lines else None,
    )
