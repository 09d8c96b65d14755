"""The grammar that DOT and dagitty share: `digraph { a -> {b c} [dir=both]; }`, `dag { a [latent] a <-> b }`.

Read into names, arrows and attributes without asking what they mean. Commas and semicolons may be left
out in both, and a group `{a b}` or a subgraph can stand for a node.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from causalmix_core.graph.formats.draft import GraphFormatError, too_large
from causalmix_core.graph.formats.tokens import Token, TokenKind, tokens
from causalmix_core.graph.model import MOST_NODES

DEEPEST = 20
"""Groups within groups."""

Attributes = dict[str, str]
"""An attribute without a value, such as `latent`, has the value `true`."""


@dataclass
class Named:
    """A node that a statement names."""

    line: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Arrow:
    """Two ends of one arrow of a statement."""

    source: str
    arrow: str
    target: str
    attributes: Attributes
    line: int


@dataclass
class Document:
    """What the text of one file says.

    Attributes:
        keyword: what it begins with, in lower case: `digraph`, `graph`, `dag`, `pdag`, `mag` or `pag`.
        attributes: of the graph.
        nodes: by name, in the order in which they are named.
        arrows: in the order in which they are drawn.
    """

    keyword: str
    attributes: Attributes = field(default_factory=dict)
    nodes: dict[str, Named] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)


def parse(text: str, keywords: tuple[str, ...]) -> Document:
    """Read a text.

    Args:
        text: of the whole file.
        keywords: what it may begin with.

    Raises:
        GraphFormatError: it breaks the grammar; with the line.
    """
    return _Parser(tokens(text)).document(keywords)


@dataclass(frozen=True)
class _Scope:
    """Attributes that nodes and edges of this group get without being asked."""

    node: Attributes = field(default_factory=dict)
    edge: Attributes = field(default_factory=dict)
    depth: int = 0


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens, self._at = found, 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _sees(self, text: str, kind: TokenKind = "sign", ahead: int = 0) -> bool:
        token = self._tokens[min(self._at + ahead, len(self._tokens) - 1)]
        return token.kind == kind and token.text == text

    def _skip(self, *signs: str) -> bool:
        before = self._at
        while self._next.kind == "sign" and self._next.text in signs:
            self._at += 1
        return self._at > before

    def _expect(self, sign: str, why: str) -> Token:
        if not self._sees(sign):
            raise GraphFormatError(f"Expected '{sign}' {why}, found {self._next}", self._next.line)
        return self._take()

    def document(self, keywords: tuple[str, ...]) -> Document:
        if self._next.kind == "word" and self._next.text.lower() == "strict":
            self._take()
        first = self._take()
        keyword = first.text.lower()
        if first.kind != "word" or keyword not in keywords:
            choice = " or ".join(repr(k) for k in keywords)
            raise GraphFormatError(f"The text must begin with {choice}, not with {first}", first.line)
        self._document = Document(keyword)
        if self._next.kind in ("word", "string"):
            self._take()
        self._expect("{", "after the name of the graph")
        self._statements(_Scope(), first.line)
        if self._next.kind != "end":
            raise GraphFormatError(f"The graph ends with '}}', but {self._next} follows", self._next.line)
        return self._document

    def _statements(self, scope: _Scope, opened: int) -> list[str]:
        """Read up to the closing brace; returns the names that stand in the group."""
        if scope.depth > DEEPEST:
            raise GraphFormatError(f"Groups stand more than {DEEPEST} deep in each other", opened)
        names: dict[str, None] = {}
        while not self._skip_closing():
            if self._next.kind == "end":
                raise GraphFormatError(
                    f"The text ends before the '{{' of line {opened} is closed with '}}'", self._next.line
                )
            scope, found = self._statement(scope)
            names.update(dict.fromkeys(found))
        return list(names)

    def _skip_closing(self) -> bool:
        self._skip(";", ",")
        if self._sees("}"):
            self._take()
            return True
        return False

    def _statement(self, scope: _Scope) -> tuple[_Scope, list[str]]:
        """Read one statement; returns the scope of those that follow and the names that it names."""
        token = self._next
        if (
            token.kind == "word"
            and token.text.lower() in ("node", "edge", "graph")
            and self._sees("[", ahead=1)
        ):
            self._take()
            given = self._attributes()
            kind = token.text.lower()
            if kind == "graph":
                self._graph_attributes(scope, given)
                return scope, []
            if kind == "node":
                return replace(scope, node=scope.node | given), []
            return replace(scope, edge=scope.edge | given), []
        if token.kind in ("word", "string") and self._sees("=", ahead=1):
            self._take()
            self._take()
            self._graph_attributes(scope, {token.text: self._value()})
            return scope, []
        ends, lines = [self._end(scope)], [token.line]
        arrows: list[Token] = []
        while self._next.kind == "arrow":
            arrows.append(self._take())
            lines.append(self._next.line)
            ends.append(self._end(scope))
        given = self._attributes()
        for before, arrow, after, line in zip(ends, arrows, ends[1:], lines[1:], strict=False):
            self._draw(before, arrow.text, after, scope.edge | given, line)
        if not arrows:
            for name in ends[0]:
                self._document.nodes[name].attributes.update(given)
        return scope, [name for end in ends for name in end]

    def _graph_attributes(self, scope: _Scope, given: Attributes) -> None:
        if scope.depth == 0:
            self._document.attributes.update(given)

    def _draw(self, before: list[str], arrow: str, after: list[str], given: Attributes, line: int) -> None:
        for names in (before, after):
            if len(names) > MOST_NODES:
                raise too_large(len(names), line)
        self._document.arrows += [Arrow(s, arrow, t, given, line) for s in before for t in after]
        if len(self._document.arrows) > 2 * MOST_NODES**2:
            raise GraphFormatError("The text draws more edges than a graph can have", line)

    def _end(self, scope: _Scope) -> list[str]:
        """A node, a group or a subgraph: the names that an arrow can start from or point to."""
        token = self._next
        named = self._tokens[min(self._at + 1, len(self._tokens) - 1)].kind in ("word", "string")
        if self._sees("subgraph", "word") and self._sees("{", ahead=2 if named else 1):
            self._take()
            if not self._sees("{"):
                self._take()
        if self._sees("{"):
            opened = self._take().line
            return self._statements(replace(scope, depth=scope.depth + 1), opened)
        if token.kind not in ("word", "string"):
            raise GraphFormatError(f"Expected the name of a node, found {token}", token.line)
        name = self._name()
        while self._sees(":"):
            self._take()
            self._value()
        if not name:
            raise GraphFormatError("A node needs a name", token.line)
        if name not in self._document.nodes:
            self._document.nodes[name] = Named(token.line, dict(scope.node))
        return [name]

    def _name(self) -> str:
        """A name; quoted pieces joined by `+` are one."""
        name = self._take().text
        while self._sees("+"):
            self._take()
            name += self._value()
        return name

    def _value(self) -> str:
        if self._next.kind not in ("word", "string"):
            raise GraphFormatError(f"Expected a name or a value, found {self._next}", self._next.line)
        return self._name()

    def _attributes(self) -> Attributes:
        """Any number of lists in brackets; empty if there is none."""
        given: Attributes = {}
        while self._sees("["):
            opened = self._take()
            while not self._sees("]"):
                if self._skip(",", ";"):
                    continue
                if self._next.kind not in ("word", "string"):
                    raise GraphFormatError(
                        f"Expected ']' to close the '[' of line {opened.line}, found {self._next}",
                        self._next.line,
                    )
                key = self._value()
                given[key] = "true"
                if self._sees("="):
                    self._take()
                    given[key] = self._value()
            self._take()
        return given
