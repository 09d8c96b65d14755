"""GML, the Graph Modelling Language: nodes have a number and a label, edges two numbers.

Characters outside ASCII are written as `&#number;`, as networkx does, which reads these files too. What
GML has no word for (mark, tier, required, stability, note, what is forbidden) stands in keys of ours;
reasons and history are not written.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from causalmix_core.graph.formats.draft import Draft, DraftEdge, DraftNode, DraftRule, GraphFormatError
from causalmix_core.graph.model import CausalGraph, Mark, Tier

DEEPEST = 20
"""Lists within lists."""

_TOKEN = re.compile(
    r"""
    (?P<space>[\s\ufeff]+)
    |(?P<string>"[^"]*")
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<key>[A-Za-z_][0-9A-Za-z_]*)
    |(?P<bracket>[\[\]])
    """,
    re.VERBOSE,
)
_COMMENT = re.compile(r"^[ \t]*\#[^\n]*", re.MULTILINE)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


@dataclass
class _List:
    """What stands between two brackets."""

    line: int
    pairs: list[tuple[str, str | float | _List, int]]

    def lists(self, key: str) -> list[_List]:
        """The values of a key that are lists.

        Raises:
            GraphFormatError: one is not.
        """
        found: list[_List] = []
        for name, value, line in self.pairs:
            if name == key:
                if not isinstance(value, _List):
                    raise GraphFormatError(f"Expected '[' after '{key}'", line)
                found.append(value)
        return found

    def text(self, key: str) -> str | None:
        """The last value of a key as text; None where it is missing or a list."""
        value = next((v for k, v, _ in reversed(self.pairs) if k == key), None)
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() else repr(value)
        return value if isinstance(value, str) else None

    def needed(self, key: str, of: str) -> str:
        """The value of a key that must be there.

        Raises:
            GraphFormatError: it is not.
        """
        value = self.text(key)
        if value is None:
            raise GraphFormatError(f"The {of} lacks its {key}", self.line)
        return value


def read_gml(text: str) -> Draft:
    """What a GML text says.

    Raises:
        GraphFormatError: it breaks the grammar, a node has no number, or an edge names none; with the line.
    """
    top = _pairs(_tokens(text), None, 0)
    graphs = top.lists("graph")
    if len(graphs) != 1:
        raise GraphFormatError(f"Expected one 'graph [ ... ]', found {len(graphs)}")
    graph = graphs[0]
    names: dict[str, str] = {}
    labels: set[str] = set()
    nodes: list[DraftNode] = []
    for item in graph.lists("node"):
        number = item.needed("id", "node")
        if number in names:
            raise GraphFormatError(f"There are two nodes with the id {number}", item.line)
        label = item.text("label")
        names[number] = number if label is None else label
        if names[number] in labels:
            raise GraphFormatError(f"There are two nodes with the label {names[number]!r}", item.line)
        labels.add(names[number])
        nodes.append(DraftNode(names[number], _role(item), item.line))
    directed = graph.text("directed") == "1"
    return Draft(
        nodes=nodes,
        edges=[_edge(item, names, directed) for item in graph.lists("edge")],
        forbidden=[_rule(item) for item in graph.lists("forbidden")],
    )


def write_gml(graph: CausalGraph) -> str:
    """The graph in GML."""
    number = {node.id: i for i, node in enumerate(graph.nodes)}
    lines = ["graph [", "  directed 1"]
    if len({frozenset((e.source, e.target)) for e in graph.edges}) < len(graph.edges):
        lines.append("  multigraph 1")
    for rule in graph.forbidden:
        lines += ["  forbidden ["]
        lines += [f"    {k} {_quoted(v)}" for k, v in rule.model_dump(mode="json").items()]
        lines += ["  ]"]
    for node in graph.nodes:
        lines += ["  node [", f"    id {number[node.id]}", f"    label {_quoted(node.id)}"]
        lines += [f'    tier "{node.tier}"', "  ]"]
    for edge in graph.edges:
        lines += ["  edge [", f"    source {number[edge.source]}", f"    target {number[edge.target]}"]
        lines += [f'    mark "{edge.mark}"'] * (edge.mark != "directed")
        lines += ['    status "required"'] * (edge.status == "required")
        lines += [] if edge.stability is None else [f'    stability "{edge.stability!r}"']
        lines += [f"    note {_quoted(edge.note)}"] * bool(edge.note)
        lines += ["  ]"]
    return "\n".join([*lines, "]", ""])


def _quoted(text: str) -> str:
    return '"' + re.sub(r'[^ -~]|[&"]', lambda m: f"&#{ord(m[0])};", text) + '"'


def _unquoted(inside: str) -> str:
    """Text with `&#233;` and `&eacute;` replaced by the character; numbers that are none stay."""

    def character(match: re.Match[str]) -> str:
        digits = match[1]
        code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else match[0]

    # html.unescape alone would turn `&#128;` to `&#159;` and control characters into others.
    pieces = re.split(r"(&#(?:[xX][0-9a-fA-F]{1,6}|\d{1,7});)", inside)
    return "".join(
        re.sub(r"&#([xX]?[0-9a-fA-F]+);", character, p) if i % 2 else html.unescape(p)
        for i, p in enumerate(pieces)
    )


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        if text[at] == "#" and (comment := _COMMENT.match(text, text.rfind("\n", 0, at) + 1)):
            at = comment.end()
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] == '"':
                raise GraphFormatError("A quoted text begins here and does not end", line)
            raise GraphFormatError(f"Unexpected {text[at]!r}", line)
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match[0], line)
        line += match[0].count("\n")
        at = match.end()
    yield _Token("end", "the end of the text", line)


def _pairs(found: Iterator[_Token], opened: int | None, depth: int) -> _List:
    """Keys and values up to the closing bracket, or to the end of the text where none was opened."""
    if depth > DEEPEST:
        raise GraphFormatError(f"Lists stand more than {DEEPEST} deep in each other", opened)
    pairs: list[tuple[str, str | float | _List, int]] = []
    for token in found:
        if token.kind == "end":
            if opened is not None:
                raise GraphFormatError(f"The '[' of line {opened} is not closed with ']'", token.line)
            break
        if token.text == "]" and opened is not None:
            break
        if token.kind != "key":
            raise GraphFormatError(f"Expected a key, found {token.text[:40]}", token.line)
        value = next(found)
        if value.kind == "string":
            pairs.append((token.text, _unquoted(value.text[1:-1]), token.line))
        elif value.kind == "number":
            pairs.append((token.text, float(value.text), token.line))
        elif value.text == "[":
            pairs.append((token.text, _pairs(found, value.line, depth + 1), token.line))
        else:
            raise GraphFormatError(
                f"Expected a number, a quoted text or '[' after '{token.text}', found {value.text}",
                value.line,
            )
    return _List(opened or 1, pairs)


def _role(item: _List) -> Tier | None:
    tier = item.text("tier")
    if tier in get_args(Tier):
        return tier  # type: ignore[return-value]
    return "latent" if item.text("observed") == "no" else None


def _edge(item: _List, names: dict[str, str], directed: bool) -> DraftEdge:
    ends = [item.needed(key, "edge") for key in ("source", "target")]
    for end in ends:
        if end not in names:
            raise GraphFormatError(f"The edge names the node {end}, which the graph does not have", item.line)
    mark = item.text("mark") or ("directed" if directed else "undirected")
    if mark not in get_args(Mark):
        raise GraphFormatError(f"The mark {mark!r} is none of {', '.join(get_args(Mark))}", item.line)
    stability = item.text("stability")
    try:
        share = None if stability is None else float(stability)
    except ValueError as error:
        raise GraphFormatError(f"The stability {stability!r} is no number", item.line) from error
    return DraftEdge(
        names[ends[0]], names[ends[1]], mark, item.line,  # type: ignore[arg-type]
        "required" if item.text("status") == "required" else "plain", share, item.text("note") or "",
    )  # fmt: skip


def _rule(item: _List) -> DraftRule:
    given = {key: item.needed(key, "rule") for key in ("source", "target", "by", "at")}
    try:
        at = datetime.fromisoformat(given["at"])
    except ValueError as error:
        raise GraphFormatError(f"The date {given['at']!r} cannot be read", item.line) from error
    return DraftRule(given["source"], given["target"], given["by"], at, item.text("why") or "", item.line)
