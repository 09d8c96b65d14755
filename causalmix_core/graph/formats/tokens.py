"""Cuts the text of a DOT or dagitty file into tokens that know their line.

Both languages write names the same way: bare where they are plain, else in quotes. dagitty adds arrows
(`<->`, `@->`) and drops some commas. A general parser library would know DOT only, and not say on which
line an edge stands that closes a cycle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from causalmix_core.graph.formats.draft import GraphFormatError

TokenKind = Literal["word", "string", "arrow", "sign", "end"]

_TOKEN = re.compile(
    r"""
    (?P<space>[\s\ufeff]+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<arrow><->|<-@|<-|->|--@|--|@->|@-@|@--)
    |(?P<word>(?:[\w.]|[^\x00-\x7f\s\ufeff])+|-\.?\d[\d.]*)
    |(?P<sign>[{}\[\];,=:+])
    """,
    re.VERBOSE | re.DOTALL,
)
_PREPROCESSOR = re.compile(r"^[ \t]*\#[^\n]*", re.MULTILINE)
_ESCAPE = re.compile(r'\\(\r?\n|["\\])')


@dataclass(frozen=True)
class Token:
    """One word or sign of the text."""

    kind: TokenKind
    text: str
    """What it means: without quotes and escapes."""
    line: int

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else repr(self.text)


def tokens(text: str) -> list[Token]:
    """The tokens of a text, an end token last.

    Raises:
        GraphFormatError: a quote or comment does not end, or a character cannot stand where it stands.
    """
    found: list[Token] = []
    at, line = 0, 1
    while at < len(text):
        if text[at] == "#" and (comment := _PREPROCESSOR.match(text, text.rfind("\n", 0, at) + 1)):
            at = comment.end()
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            piece = _markup(text, at, line)
            found.append(Token("string", piece, line))
        else:
            piece = match[0]
            if match.lastgroup == "string":
                found.append(Token("string", unquoted(piece[1:-1]), line))
            elif match.lastgroup in ("arrow", "word", "sign"):
                found.append(Token(match.lastgroup, piece, line))  # type: ignore[arg-type]
        line += piece.count("\n")
        at += len(piece)
    return [*found, Token("end", "", line)]


def quoted(name: str) -> str:
    """A name in quotes, as `tokens` reads it back."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(inside: str) -> str:
    """What stands between quotes, without escapes; a backslash at the end of a line joins two lines."""
    return _ESCAPE.sub(lambda m: m[1] if m[1] in '"\\' else "", inside)


def _markup(text: str, at: int, line: int) -> str:
    """The name `<b>...</b>` that begins here, as DOT allows; its angle brackets must match."""
    if text[at] == "<":
        depth = 0
        for bracket in re.compile("[<>]").finditer(text, at):
            depth += 1 if bracket[0] == "<" else -1
            if depth == 0:
                return text[at : bracket.end()]
        raise GraphFormatError("'<' begins a name in markup that does not end", line)
    if text[at] == '"':
        raise GraphFormatError("A quoted name begins here and does not end", line)
    if text.startswith("/*", at):
        raise GraphFormatError("A comment begins here and does not end", line)
    raise GraphFormatError(
        f"Unexpected {text[at]!r}. Put a name with special characters in double quotes", line
    )
