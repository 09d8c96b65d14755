"""DOT, the language of Graphviz: the graphs of dowhy and causal-learn come in it.

An undirected edge is written `[dir=none]` and a bidirected one `[dir=both]`, so that Graphviz draws them
as they are meant. What DOT has no word for (tier, required, stability, note, what is forbidden) stands in
attributes that Graphviz ignores; reasons and history are not written.
"""

from __future__ import annotations

import json
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from causalmix_core.graph.formats.draft import (
    Draft,
    DraftEdge,
    DraftNode,
    DraftRule,
    End,
    GraphFormatError,
    edge_by_ends,
    first_problem,
)
from causalmix_core.graph.formats.syntax import Arrow, Attributes, Document, Named, parse
from causalmix_core.graph.formats.tokens import quoted
from causalmix_core.graph.model import CausalGraph, EdgeStatus, Mark, Tier

_HEADS: dict[str, End] = {"none": "none", "odot": "circle"}
_DIRS: dict[str, tuple[End, End]] = {
    "forward": ("none", "arrow"),
    "back": ("arrow", "none"),
    "both": ("arrow", "arrow"),
    "none": ("none", "none"),
}
_ENDS: dict[str, End] = {"-": "none", "<": "arrow", ">": "arrow", "@": "circle"}
_DIRECTION: dict[Mark, str] = {
    "directed": "",
    "undirected": "dir=none",
    "bidirected": "dir=both, style=dashed",
}
_RULES: TypeAdapter[list[DraftRule]] = TypeAdapter(list[DraftRule])


def read_dot(text: str) -> Draft:
    """What a DOT text says.

    Raises:
        GraphFormatError: it breaks the grammar of DOT; with the line.
    """
    return as_draft(parse(text, ("digraph", "graph")))


def write_dot(graph: CausalGraph) -> str:
    """The graph in DOT."""
    lines = ["digraph causalmix {", "  rankdir=LR;"]
    if graph.forbidden:
        rules = [f.model_dump(mode="json") for f in graph.forbidden]
        lines.append(f"  forbidden={quoted(json.dumps(rules, ensure_ascii=False))};")
    for node in graph.nodes:
        shape = ", shape=box, style=dashed" if node.tier == "latent" else ""
        lines.append(f"  {quoted(node.id)} [tier={node.tier}{shape}];")
    for edge in graph.edges:
        given = [_DIRECTION[edge.mark]] * (edge.mark != "directed")
        given += ["status=required"] * (edge.status == "required")
        given += [] if edge.stability is None else [f'stability="{edge.stability!r}"']
        given += [f"note={quoted(edge.note)}"] * bool(edge.note)
        attributes = f" [{', '.join(given)}]" if given else ""
        lines.append(f"  {quoted(edge.source)} -> {quoted(edge.target)}{attributes};")
    return "\n".join([*lines, "}", ""])


def as_draft(document: Document) -> Draft:
    """What the names, arrows and attributes of a text mean."""
    return Draft(
        nodes=[_node(name, named) for name, named in document.nodes.items()],
        edges=[_edge(arrow) for arrow in document.arrows],
        forbidden=_rules(document.attributes),
    )


def _node(name: str, named: Named) -> DraftNode:
    given = named.attributes
    role: Tier | None = None
    if given.get("tier") in get_args(Tier):
        role = given["tier"]  # type: ignore[assignment]
    elif given.get("observed") == "no" or _is_set(given, "latent") or _is_set(given, "unobserved"):
        role = "latent"
    elif _is_set(given, "outcome"):
        role = "outcome"
    elif _is_set(given, "exposure"):
        role = "weight"
    return DraftNode(name, role, named.line, given.get("label"))


def _is_set(given: Attributes, name: str) -> bool:
    return given.get(name, "no").lower() not in ("no", "false", "0")


def _edge(arrow: Arrow) -> DraftEdge:
    given = arrow.attributes
    left, right = _ENDS[arrow.arrow[0]], _ENDS[arrow.arrow[-1]]
    if given.get("dir", "") in _DIRS:
        left, right = _DIRS[given["dir"]]
    # causal-learn draws `dir=both` on every edge and says by the heads what it means.
    if "arrowtail" in given and left != "none":
        left = _HEADS.get(given["arrowtail"], "arrow")
    if "arrowhead" in given and right != "none":
        right = _HEADS.get(given["arrowhead"], "arrow")
    stability = given.get("stability")
    status: EdgeStatus = "required" if given.get("status") == "required" else "plain"
    try:
        share = None if stability is None else float(stability)
    except ValueError as error:
        raise GraphFormatError(f"The stability {stability!r} is no number", arrow.line) from error
    return edge_by_ends(
        arrow.source, arrow.target, left, right, arrow.line, status, share, given.get("note", "")
    )


def _rules(given: Attributes) -> list[DraftRule]:
    if "forbidden" not in given:
        return []
    try:
        return _RULES.validate_json(given["forbidden"])
    except ValidationError as error:
        raise GraphFormatError(f"The attribute 'forbidden' of the graph: {first_problem(error)}") from error
