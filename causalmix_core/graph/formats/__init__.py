"""Graphs from and for other programs: DOT (Graphviz, dowhy), dagitty, GML (networkx, Gephi) and JSON.

`read_graph` and `write_graph` are the whole of it. DOT, GML and JSON keep nodes, edges, notes and rules;
dagitty keeps nodes and edges; our JSON alone keeps reasons and history.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from causalmix_core.graph.formats.dagitty import KEYWORDS, read_dagitty, write_dagitty
from causalmix_core.graph.formats.dot import read_dot, write_dot
from causalmix_core.graph.formats.draft import Draft, GraphFormatError, assemble
from causalmix_core.graph.formats.gml import read_gml, write_gml
from causalmix_core.graph.formats.jsons import read_json, write_json
from causalmix_core.graph.model import CausalGraph

GraphFormat = Literal["dot", "dagitty", "gml", "json"]

FORMAT_NAMES: dict[GraphFormat, str] = {"dot": "DOT", "dagitty": "dagitty", "gml": "GML", "json": "JSON"}
LONGEST_FILE = 5_000_000
"""Characters; a graph of the most nodes with all its edges and a history takes less."""

_READERS: dict[GraphFormat, Callable[[str], Draft]] = {
    "dot": read_dot,
    "dagitty": read_dagitty,
    "gml": read_gml,
}
_WRITERS: dict[GraphFormat, Callable[[CausalGraph], str]] = {
    "dot": write_dot,
    "dagitty": write_dagitty,
    "gml": write_gml,
    "json": write_json,
}
_NOISE = re.compile(r"(?:[\s\ufeff]+|//[^\n]*\n?|/\*.*?\*/|\#[^\n]*\n?)*", re.DOTALL)

__all__ = ["FORMAT_NAMES", "GraphFormat", "GraphFormatError", "read_graph", "recognise", "write_graph"]


def read_graph(
    text: str, format: GraphFormat | None = None, *, known: Sequence[str] | None = None, by: str = "import"
) -> CausalGraph:
    """The graph that a text draws.

    Args:
        text: of the whole file.
        format: what it is written in; None: recognised by its beginning.
        known: columns of the runs. Names are mapped to them where only one fits, and columns that the
            text leaves out become nodes without edges. None: names are taken as they are; the role that
            the text gives to a node, or pool state, is its tier.
        by: who imports it.

    Raises:
        GraphFormatError: the text breaks the format, or the graph cannot be; with line and reason.
    """
    if len(text) > LONGEST_FILE:
        raise GraphFormatError(f"The text has {len(text):,} characters; at most {LONGEST_FILE:,} are read")
    chosen = format or recognise(text)
    if chosen == "json":
        read = read_json(text, known)
        if isinstance(read, CausalGraph):
            return read
    else:
        read = _READERS[chosen](text)
    return assemble(read, known=known, by=by, detail=f"from {FORMAT_NAMES[chosen]}")


def write_graph(graph: CausalGraph, format: GraphFormat) -> str:
    """The graph as the text of a file."""
    return _WRITERS[format](graph)


def recognise(text: str) -> GraphFormat:
    """What a text is written in, by its beginning.

    Raises:
        GraphFormatError: it begins like none of the formats.
    """
    start = _NOISE.match(text)
    body = text[start.end() if start else 0 :]
    if not body:
        raise GraphFormatError("The text is empty")
    if body[0] in "{[":
        return "json"
    word = re.match(r"\w*", body)
    first = word[0].lower() if word else ""
    if first in KEYWORDS:
        return "dagitty"
    if first in ("strict", "digraph", "graph") and not re.match(r"graph\s*\[", body):
        return "dot"
    if re.search(r"^\s*graph\s*\[", body, re.MULTILINE):
        return "gml"
    raise GraphFormatError(
        "The text is none of DOT (begins with 'digraph'), dagitty ('dag'), GML ('graph [') and JSON ('{')",
        text.count("\n", 0, len(text) - len(body)) + 1,
    )
