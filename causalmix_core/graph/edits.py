"""How a curator changes a graph: each edit is a function from graph to graph, or a refusal in words.

An edit checks what could make the new graph invalid before it makes it, because the curator needs to
hear which edge of the cycle to remove, or who forbade the edge and why, and not that a value is invalid.
Each edit is kept in the graph's history with who did it and the reason that they gave.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import networkx as nx

from causalmix_core.graph.model import (
    BIDIRECTED,
    LATENT,
    LONGEST_ID,
    MOST_NODES,
    CausalGraph,
    Edge,
    Edit,
    EditAction,
    Forbidden,
    GraphEditError,
    Mark,
    Node,
    Provenance,
    ProvenanceKind,
    refusal,
    ways,
)

_Verb = Literal["add", "remove", "reverse", "orient", "require", "forbid", "note"]


def add_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph with `source -> target`.

    An undirected edge between the two gets this direction.

    Raises:
        GraphEditError: a node is unknown, the tiers or a curator forbid the edge, there is one already,
            or it would close a cycle (the message gives the path).
    """
    _refuse_impossible(graph, source, target, "add")
    old = _link(graph, source, target)
    if old is not None and old.mark == "directed":
        hint = "" if old.source == source else " Reverse it instead."
        raise GraphEditError(
            f"Cannot add {source} -> {target}: the graph already has the edge {old.text}.{hint}"
        )
    _refuse_forbidden(graph, source, target, "add")
    _refuse_cycle(graph, source, target, "add")
    if old is not None:
        return _turned(graph, old, source, target, "oriented", by=by, why=why)
    return _added(graph, source, target, "added", by=by, why=why)


def delete_edge(
    graph: CausalGraph, source: str, target: str, *, mark: Mark | None = None, by: str, why: str = ""
) -> CausalGraph:
    """The graph without `source -> target`; an undirected or bidirected edge is named in either order.

    Args:
        graph: what to edit.
        source: the cause, or either end.
        target: the effect, or the other end.
        mark: which edge, where a bidirected one runs beside another; None: the other one.
        by: who edits.
        why: the reason.

    Raises:
        GraphEditError: there is no such edge, or it is required.
    """
    old = _existing(graph, source, target, "remove", mark)
    _refuse_required(old, "remove")
    edges = tuple(e for e in graph.edges if e is not old)
    return _edited(graph, "removed", old.source, old.target, mark=old.mark, by=by, why=why, edges=edges)


def reverse_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph with `target -> source` in place of `source -> target`.

    An undirected edge between the two becomes `target -> source` as well.

    Raises:
        GraphEditError: there is no such edge, it is required, the tiers or a curator forbid the other
            direction, or it would close a cycle (the message gives the path).
    """
    old = _existing(graph, source, target, "reverse")
    if old.mark == "bidirected":
        raise GraphEditError(f"Cannot reverse {old.text}: it has no direction; a latent causes both.")
    _refuse_required(old, "reverse")
    _refuse_impossible(graph, target, source, "reverse")
    _refuse_forbidden(graph, target, source, "reverse")
    without = graph.model_copy(update={"edges": tuple(e for e in graph.edges if e is not old)})
    _refuse_cycle(without, target, source, "reverse")
    action: Literal["reversed", "oriented"] = "reversed" if old.mark == "directed" else "oriented"
    return _turned(graph, old, target, source, action, by=by, why=why)


def orient_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph with `source -> target` in place of the undirected edge between the two.

    Raises:
        GraphEditError: there is no undirected edge between them, or the direction would close a cycle
            (the message gives the path).
    """
    old = _link(graph, source, target)
    if old is None:
        raise GraphEditError(
            f"Cannot orient {source} -> {target}: there is no edge without a direction between them."
        )
    if old.mark == "directed":
        hint = "" if old.source == source else " Reverse it instead."
        raise GraphEditError(
            f"Cannot orient {source} -> {target}: it has a direction already, {old.text}.{hint}"
        )
    _refuse_cycle(graph, source, target, "orient")
    return _turned(graph, old, source, target, "oriented", by=by, why=why)


def require_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph with `source -> target` as an edge that must stay, in every later discovery too.

    An edge that is missing is added, and one without a direction gets this one.

    Raises:
        GraphEditError: it is required already, it runs the other way, or it could not be added.
    """
    old = _link(graph, source, target)
    if old is not None and old.mark == "directed":
        if old.source != source:
            raise GraphEditError(
                f"Cannot require {source} -> {target}: the graph has {old.text}. Reverse it first."
            )
        if old.status == "required":
            raise GraphEditError(f"{old.text} is required already.")
        with_edge = graph
    else:
        _refuse_impossible(graph, source, target, "require")
        _refuse_forbidden(graph, source, target, "require")
        _refuse_cycle(graph, source, target, "require")
        with_edge = add_edge(graph, source, target, by=by, why=why)
    edges = tuple(
        e.model_copy(update={"status": "required"}) if e.arrow == (source, target, "directed") else e
        for e in with_edge.edges
    )
    return _edited(graph, "required", source, target, by=by, why=why, edges=edges)


def forbid_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph in which `source -> target` may not be, in every later discovery too.

    The edge itself, or one without a direction between the two, is removed. `target -> source` and a
    bidirected edge stay.

    Raises:
        GraphEditError: it is forbidden already, it is required, or the tiers forbid it anyway.
    """
    if rule := graph.prohibition(source, target):
        raise GraphEditError(f"{rule.text} is forbidden already{_said(rule.by, rule.why)}.")
    problem = refusal({n.id for n in graph.nodes}, source, target)
    if problem:
        raise GraphEditError(f"{source} -> {target} needs no forbidding, it cannot be: {problem}.")
    hit = [e for e in graph.edges if (source, target) in ways(e)]
    for edge in hit:
        _refuse_required(edge, "forbid")
    rule = Forbidden(source=source, target=target, by=by, at=datetime.now(UTC), why=why)
    return _edited(
        graph, "forbidden", source, target, by=by, why=why,
        edges=tuple(e for e in graph.edges if e not in hit),
        forbidden=(*graph.forbidden, rule),
    )  # fmt: skip


def allow_edge(graph: CausalGraph, source: str, target: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph in which `source -> target` is neither forbidden nor required.

    An edge that forbidding removed does not come back by itself.

    Raises:
        GraphEditError: it is neither.
    """
    if graph.prohibition(source, target):
        rules = tuple(f for f in graph.forbidden if (f.source, f.target) != (source, target))
        return _edited(graph, "allowed", source, target, by=by, why=why, forbidden=rules)
    if (source, target) not in graph.required():
        raise GraphEditError(f"{source} -> {target} is neither forbidden nor required.")
    edges = tuple(
        e.model_copy(update={"status": "plain"}) if e.arrow == (source, target, "directed") else e
        for e in graph.edges
    )
    return _edited(graph, "allowed", source, target, by=by, why=why, edges=edges)


def note_edge(
    graph: CausalGraph, source: str, target: str, note: str, *, mark: Mark | None = None, by: str
) -> CausalGraph:
    """The graph with `note` written on an edge; an empty one wipes it.

    Args:
        graph: what to edit.
        source: the cause, or either end.
        target: the effect, or the other end.
        note: replaces what was written there.
        mark: which edge, where a bidirected one runs beside another; None: the other one.
        by: who writes.

    Raises:
        GraphEditError: there is no such edge, or it says so already.
    """
    old = _existing(graph, source, target, "note", mark)
    note = note.strip()
    if note == old.note:
        raise GraphEditError(f"{old.text} has this note already." if note else f"{old.text} has no note.")
    edges = tuple(e.model_copy(update={"note": note}) if e is old else e for e in graph.edges)
    return _edited(graph, "noted", old.source, old.target, mark=old.mark, by=by, why=note, edges=edges)


def add_bidirected(graph: CausalGraph, a: str, b: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph with `a <-> b`: something that no run measures causes both.

    Raises:
        GraphEditError: a node is unknown or a latent, both are weights, or the edge is there already.
    """
    problem = refusal({n.id for n in graph.nodes}, a, b, "bidirected")
    if problem:
        raise GraphEditError(f"Cannot add {a} <-> {b}: {problem}.")
    if old := graph.edge_between(a, b, "bidirected"):
        raise GraphEditError(f"Cannot add {a} <-> {b}: the graph already has the edge {old.text}.")
    return _added(graph, a, b, "added", mark="bidirected", by=by, why=why)


def add_latent(
    graph: CausalGraph, name: str, effects: Iterable[str] = (), *, by: str, why: str = ""
) -> CausalGraph:
    """The graph with a node for a cause that no run measures, and an edge from it to each effect.

    Args:
        graph: what to edit.
        name: with or without `latent/` in front.
        effects: ids of the nodes that it causes.
        by: who edits.
        why: the reason.

    Raises:
        GraphEditError: the name is empty, too long, taken or holds control characters, an effect is
            unknown, a latent or named twice, or the graph is full.
    """
    node = LATENT + name.strip().removeprefix(LATENT).strip()
    problem = _name_problem(graph, node)
    if problem:
        raise GraphEditError(f"Cannot add the latent {name.strip()!r}: {problem}.")
    chosen = list(effects)
    twice = sorted({e for e in chosen if chosen.count(e) > 1})
    if twice:
        raise GraphEditError(f"Cannot add {node}: {', '.join(twice)} is named twice among its effects.")
    known = {node, *(n.id for n in graph.nodes)}
    for effect in chosen:
        if problem := refusal(known, node, effect):
            raise GraphEditError(f"Cannot add {node} -> {effect}: {problem}.")
    origin = Provenance(kind="added", by=by, at=datetime.now(UTC), why=why)
    return _edited(
        graph, "added latent", node, "", by=by, why=why,
        nodes=(*graph.nodes, Node(id=node, tier="latent")),
        edges=(*graph.edges, *(Edge(source=node, target=e, provenance=origin) for e in chosen)),
    )  # fmt: skip


def delete_latent(graph: CausalGraph, node: str, *, by: str, why: str = "") -> CausalGraph:
    """The graph without a latent, its edges and what was forbidden about it.

    Raises:
        GraphEditError: there is no such latent, or one of its edges is required.
    """
    if node not in graph.tier("latent"):
        there = ", ".join(graph.tier("latent")) or "none"
        raise GraphEditError(f"Cannot remove {node}: it is no latent of the graph. Latents: {there}.")
    for edge in graph.edges:
        if edge.source == node:
            _refuse_required(edge, "remove")
    return _edited(
        graph, "removed latent", node, "", by=by, why=why,
        nodes=tuple(n for n in graph.nodes if n.id != node),
        edges=tuple(e for e in graph.edges if e.source != node),
        forbidden=tuple(f for f in graph.forbidden if f.source != node),
    )  # fmt: skip


def _name_problem(graph: CausalGraph, node: str) -> str | None:
    """Why no latent may have this id in the graph; None if one may."""
    if node == LATENT:
        return "it needs a name"
    if len(node) > LONGEST_ID:
        return f"the name may have at most {LONGEST_ID - len(LATENT)} characters"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in node):
        return "the name holds control characters, such as a line break"
    if BIDIRECTED in node:
        return f"a name cannot hold '{BIDIRECTED}', which stands for an edge"
    if any(n.id == node for n in graph.nodes):
        return f"the graph already has {node}"
    if len(graph.nodes) >= MOST_NODES:
        return f"the graph has {len(graph.nodes)} nodes, and {MOST_NODES} is the most"
    return None


def _link(graph: CausalGraph, a: str, b: str) -> Edge | None:
    """The directed or undirected edge between two nodes, whichever way it runs."""
    edge = graph.edge_between(a, b)
    return None if edge is None or edge.mark == "bidirected" else edge


def _existing(graph: CausalGraph, source: str, target: str, verb: _Verb, mark: Mark | None = None) -> Edge:
    edge = graph.edge_between(source, target, mark)
    if edge is None:
        raise GraphEditError(f"Cannot {verb} {source} -> {target}: the graph has no such edge.")
    if edge.mark == "directed" and edge.source != source:
        raise GraphEditError(f"Cannot {verb} {source} -> {target}: the edge runs the other way, {edge.text}.")
    return edge


def _said(by: str, why: str) -> str:
    return f" (by {by}: {why!r})" if why else f" (by {by})"


def _refuse_required(edge: Edge, verb: _Verb) -> None:
    if edge.status == "required":
        raise GraphEditError(f"Cannot {verb} {edge.text}: it is required. Make it plain again first.")


def _refuse_forbidden(graph: CausalGraph, source: str, target: str, verb: _Verb) -> None:
    if rule := graph.prohibition(source, target):
        raise GraphEditError(
            f"Cannot {verb} {_named(source, target, verb)}: {rule.text} is forbidden"
            f"{_said(rule.by, rule.why)}. Allow it first."
        )


def _refuse_impossible(graph: CausalGraph, source: str, target: str, verb: _Verb) -> None:
    problem = refusal({n.id for n in graph.nodes}, source, target)
    if problem:
        raise GraphEditError(f"Cannot {verb} {_named(source, target, verb)}: {problem}.")


def _refuse_cycle(graph: CausalGraph, source: str, target: str, verb: _Verb) -> None:
    dag = nx.DiGraph(sorted(graph.directed()))
    if source in dag and target in dag and nx.has_path(dag, target, source):
        path = [source, *nx.shortest_path(dag, target, source)]
        raise GraphEditError(
            f"Cannot {verb} {_named(source, target, verb)}: it would close the cycle {' -> '.join(path)}. "
            "Remove or reverse another edge of it first."
        )


def _named(source: str, target: str, verb: _Verb) -> str:
    """The edge that the curator named: reversing `a -> b` makes `b -> a`."""
    return f"{target} -> {source}" if verb == "reverse" else f"{source} -> {target}"


def _added(
    graph: CausalGraph, source: str, target: str, kind: ProvenanceKind, *, mark: Mark = "directed", by: str,
    why: str,
) -> CausalGraph:  # fmt: skip
    origin = Provenance(kind=kind, by=by, at=datetime.now(UTC), why=why)
    edge = Edge(source=source, target=target, mark=mark, provenance=origin)
    return _edited(graph, "added", source, target, mark=mark, by=by, why=why, edges=(*graph.edges, edge))


def _turned(
    graph: CausalGraph, old: Edge, source: str, target: str, action: Literal["reversed", "oriented"], *,
    by: str, why: str,
) -> CausalGraph:  # fmt: skip
    """The graph with `old` replaced, in its place, by `source -> target`.

    The note stays; the stability goes, since it spoke of the edge as it was found.
    """
    before = old.provenance
    detail = f"before: {old.text}, {before.kind} by {before.by}"
    if before.detail:
        detail += f" ({before.detail})"
    origin = Provenance(kind=action, by=by, at=datetime.now(UTC), why=why, detail=detail)
    edge = Edge(source=source, target=target, provenance=origin, note=old.note)
    edges = tuple(edge if e is old else e for e in graph.edges)
    return _edited(graph, action, source, target, by=by, why=why, edges=edges)


def _edited(
    graph: CausalGraph,
    action: EditAction,
    source: str,
    target: str,
    *,
    by: str,
    why: str,
    mark: Mark = "directed",
    nodes: tuple[Node, ...] | None = None,
    edges: tuple[Edge, ...] | None = None,
    forbidden: tuple[Forbidden, ...] | None = None,
) -> CausalGraph:
    """The graph with what is given replaced, and the edit added to its history."""
    edit = Edit(action=action, source=source, target=target, mark=mark, by=by, at=datetime.now(UTC), why=why)
    return CausalGraph(
        nodes=graph.nodes if nodes is None else nodes,
        edges=graph.edges if edges is None else edges,
        forbidden=graph.forbidden if forbidden is None else forbidden,
        history=(*graph.history, edit),
    )
