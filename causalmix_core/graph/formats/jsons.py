"""JSON: a graph with all that it carries, as it is saved; and the node-link JSON of networkx and d3.

Only our own JSON keeps who drew an edge, why and when, and the history of edits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from causalmix_core.graph.formats.draft import (
    Draft,
    DraftEdge,
    DraftNode,
    GraphFormatError,
    first_problem,
    resolve,
    too_large,
)
from causalmix_core.graph.model import (
    MOST_NODES,
    CausalGraph,
    Edge,
    Edit,
    Forbidden,
    Mark,
    Node,
    Tier,
    tier_of,
)

_Drawn = TypeVar("_Drawn", Edge, Forbidden, Edit)


def read_json(text: str, known: Sequence[str] | None) -> CausalGraph | Draft:
    """A graph of ours, or what a node-link JSON says.

    Args:
        text: a graph, a saved revision of one, or node-link JSON.
        known: columns of the runs. The names of a graph of ours are mapped to them; columns that it
            lacks become nodes without edges.

    Raises:
        GraphFormatError: it is no JSON (with the line), or JSON of something else.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise GraphFormatError(f"No valid JSON: {error.msg} (column {error.colno})", error.lineno) from error
    except (RecursionError, ValueError) as error:
        raise GraphFormatError(
            "No JSON that can be read: it is nested too deep or holds too long a number"
        ) from error
    if isinstance(value, dict) and isinstance(value.get("graph"), dict) and "revision" in value:
        value = value["graph"]
    if not isinstance(value, dict) or not isinstance(value.get("nodes"), list):
        raise GraphFormatError("The JSON is no graph: it needs a list 'nodes' and a list 'edges'")
    if not value["nodes"]:
        raise GraphFormatError("The JSON draws no node")
    if len(value["nodes"]) > MOST_NODES:
        raise too_large(len(value["nodes"]))
    if not _is_ours(value):
        return _node_link(value)
    try:
        graph = CausalGraph.model_validate_json(json.dumps(value))
    except (ValidationError, ValueError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise GraphFormatError(f"The JSON is no valid graph: {problem}") from error
    return graph if known is None else _fitted(graph, known)


def write_json(graph: CausalGraph) -> str:
    """The graph with all that it carries."""
    return graph.model_dump_json(indent=1) + "\n"


def _is_ours(value: dict[str, Any]) -> bool:
    items = [*value["nodes"], *(value["edges"] if isinstance(value.get("edges"), list) else [])]
    return all(isinstance(i, dict) and ("tier" in i or "provenance" in i) for i in items)


def _fitted(graph: CausalGraph, known: Sequence[str]) -> CausalGraph:
    """The graph over the known columns, with names that differ only in their spelling mapped.

    Raises:
        GraphFormatError: it speaks of a column that there is not.
    """
    names: dict[str, str] = {}
    for node in graph.observed():
        choice = resolve(node, tier_of(node), known)
        if len(choice) != 1:
            raise GraphFormatError(
                f"{node} is no column of the runs, which have: {', '.join(known)}"
                if not choice
                else f"{node} could be {' or '.join(choice)}"
            )
        names[node] = choice[0]
    ids = dict.fromkeys([*known, *names.values(), *graph.tier("latent")])

    def renamed(drawn: _Drawn) -> _Drawn:
        ends = {"source": drawn.source, "target": drawn.target}
        return drawn.model_copy(update={end: names.get(name, name) for end, name in ends.items()})

    try:
        return CausalGraph(
            nodes=tuple(Node(id=i, tier=tier_of(i)) for i in ids),
            edges=tuple(renamed(e) for e in graph.edges),
            forbidden=tuple(renamed(f) for f in graph.forbidden),
            history=tuple(renamed(e) for e in graph.history),
        )
    except ValidationError as error:
        raise GraphFormatError(f"The graph does not fit the runs: {first_problem(error)}") from error


def _node_link(value: dict[str, Any]) -> Draft:
    nodes = [_node(item, i) for i, item in enumerate(value["nodes"])]
    links = value.get("edges", value.get("links", []))
    if not isinstance(links, list):
        raise GraphFormatError("'edges' is no list")
    mark: Mark = "undirected" if value.get("directed") is False else "directed"
    return Draft(nodes=nodes, edges=[_edge(item, i, mark) for i, item in enumerate(links)])


def _node(item: object, place: int) -> DraftNode:
    given: dict[str, Any] = item if isinstance(item, dict) else {"id": item}
    name = given.get("id")
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise GraphFormatError(f"nodes.{place}: the node has no id")
    tier = given.get("tier")
    role: Tier | None = tier if tier in get_args(Tier) else None
    if given.get("observed") in ("no", False) or given.get("latent") is True:
        role = "latent"
    label = given.get("label")
    return DraftNode(str(name), role, label=label if isinstance(label, str) else None)


def _edge(item: object, place: int, mark: Mark) -> DraftEdge:
    given = item if isinstance(item, dict) else {}
    if isinstance(item, list) and len(item) == 2:
        given = {"source": item[0], "target": item[1]}
    ends = [given.get("source"), given.get("target")]
    if any(isinstance(e, bool) or not isinstance(e, str | int) for e in ends):
        raise GraphFormatError(f"edges.{place}: the edge has no source or no target")
    said = given.get("mark", mark)
    if said not in get_args(Mark):
        raise GraphFormatError(f"edges.{place}: the mark {said!r} is none of {', '.join(get_args(Mark))}")
    note = given.get("note", "")
    return DraftEdge(str(ends[0]), str(ends[1]), said, note=note if isinstance(note, str) else "")
