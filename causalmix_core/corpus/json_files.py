"""Records of JSON: one per line, the elements of one array, or one object that is the whole file.

Arrays are cut into the bytes of their elements and each element is parsed on its own. So a bad element costs
one document, not the rest of the file, an element that is too long is passed over without being held, and an
element is judged exactly as a line is. (`ijson` was measured against this: its fast parser turns half of a
surrogate pair into `?` without a word, and stops for good at the first byte that is not UTF-8.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import orjson

from causalmix_core.corpus.decompress import BrokenStreamError, lines, take
from causalmix_core.corpus.documents import Document, Fields, Reason, Skipped, find_field, to_document

_SPACE = b" \t\r\n"
_LOOK_AHEAD = 1 << 20  # bytes within which the second line must begin, or the file is taken as one per line
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_AT_TOP = re.compile(rb'["\[\]{},]')
_DEEPER = re.compile(rb'["\[\]{}]')


class Record(NamedTuple):
    """One JSON value, or why there is none.

    Attributes:
        line: 1-based line or element; None when the value is the whole file.
        value: what was parsed, or a reason.
        fault: True when `value` is a `Reason`.
    """

    line: int | None
    value: Any
    fault: bool = False


def json_documents(
    chunks: Iterator[bytes], per_line: bool, name: str, fields: Fields, max_bytes: int
) -> Iterator[Document | Skipped]:
    """The documents of a file of JSON.

    Args:
        chunks: the content, decompressed and without a byte order mark.
        per_line: every line is a record; otherwise the content decides, see `json_records`.
        name: the file, relative to the source.
        fields: where text and domain are.
        max_bytes: longest line or element, and longest text.
    """
    for line, value, fault in json_records(chunks, per_line, max_bytes):
        if fault:
            yield Skipped(name, line, value)
        elif not isinstance(value, dict):
            yield Skipped(name, line, "no_text_field")
        else:
            domain = None if fields.domain is None else find_field(value, fields.domain)
            yield to_document(
                find_field(value, fields.text), name, line, max_bytes, domain, mixed=fields.domain is not None
            )


def json_records(chunks: Iterator[bytes], per_line: bool, max_bytes: int) -> Iterator[Record]:
    """The values of a file of JSON, each with its place.

    Without `per_line` the content decides: `[` opens an array of records; a first line that is a whole value
    is followed by more such lines, as the files of C4 are; else the file is one object that spans lines.
    """
    if per_line:
        return _line_records(chunks, max_bytes)
    head, rest = take(chunks, lambda part: bool(part.strip(_SPACE)), max_bytes)
    start = head.lstrip(_SPACE)
    if start.startswith(b"["):
        return _array_records(chain([start[1:]], rest), max_bytes)
    return _lines_or_object(chain([head], rest), max_bytes)


def _line_records(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Record]:
    number = 0
    try:
        for number, line in enumerate(lines(chunks, max_bytes), start=1):
            yield Record(number, "too_long", True) if line is None else _parse(line, number)
    except BrokenStreamError:
        yield Record(number + 1, "unreadable", True)


def _lines_or_object(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Record]:
    """Records of a file that starts with something else than `[`."""
    seen = bytearray()

    def enough(part: bytes) -> bool:
        seen.extend(part)
        return len(seen) >= _LOOK_AHEAD or (b"\n" in part and len(_filled_lines(seen)) > 1)

    head, rest = take(chunks, enough, max_bytes)
    filled = _filled_lines(seen)
    spans_lines = len(filled) > 1 and not filled[1].startswith(b"{") and _parse(filled[0], 1).fault
    if not spans_lines:
        yield from _line_records(chain([head], rest), max_bytes)
        return
    more, rest = take(rest, lambda _: False, max_bytes - len(head))
    if len(head) + len(more) > max_bytes:
        yield Record(None, "too_long", True)
        return
    try:
        next(rest, None)  # raises when the stream broke
        yield _parse(head + more, None)
    except BrokenStreamError:
        yield Record(None, "unreadable", True)


def _filled_lines(data: bytes | bytearray) -> list[bytes]:
    """The first two lines that are not blank, without the spaces around them."""
    found = (line.strip(_SPACE) for line in bytes(data).split(b"\n"))
    return [line for line in found if line][:2]


def _parse(data: bytes, line: int | None) -> Record:
    try:
        return Record(line, orjson.loads(data))
    except orjson.JSONDecodeError:
        return _parse_slowly(data, line)


def _parse_slowly(data: bytes, line: int | None) -> Record:
    """Why `orjson` refused. Python's own parser takes what Python's own writer makes, such as NaN."""
    reason: Reason = "not_json"
    if not data.strip():
        reason = "empty"
    else:
        try:
            return Record(line, json.loads(data.decode("utf-8")))
        except UnicodeDecodeError:
            reason = "not_utf8"
        except (ValueError, RecursionError):  # a number of thousands of digits, or brackets without end
            if b"\0" in data:
                reason = "nul"
    return Record(line, reason, True)


def _array_records(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Record]:
    """The elements of an array; `chunks` start behind its `[`.

    An array that is not closed gives its whole elements and then one `unreadable`.
    """
    number = 0
    cutter = _ArrayCutter(max_bytes)
    try:
        for chunk in chunks:
            for element in cutter.feed(chunk):
                number += 1
                yield Record(number, "too_long", True) if element is None else _parse(element, number)
    except BrokenStreamError:
        yield Record(number + 1, "unreadable", True)
        return
    if cutter.trailing:
        yield Record(number + 1, "not_json", True)
    elif not cutter.closed:
        rest = cutter.rest()
        if rest is not None:
            number += 1
            yield _parse(rest, number)
        yield Record(number + 1, "unreadable", True)


class _ArrayCutter:
    """Finds where the elements of an array end, without parsing them.

    Attributes:
        closed: the array's `]` was seen.
        trailing: something but spaces follows it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.closed = False
        self.trailing = False

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """The elements that end in the next piece of the file; None is one of more than `limit` bytes."""
        position = start = 0
        while not self.closed:
            if self._in_string:
                position = self._skip_string(chunk, position)
                if self._in_string:
                    break
            found = (_DEEPER if self._depth else _AT_TOP).search(chunk, position)
            if found is None:
                break
            position = found.end()
            mark = found.group()
            if mark == b'"':
                self._in_string = True
            elif mark in b"[{":
                self._depth += 1
            elif self._depth:
                self._depth -= 1
            else:  # a comma or a closing bracket of the array itself; `}` is a fault that parsing will find
                if mark == b"}":
                    continue
                self._add(chunk[start : found.start()])
                start = position
                self.closed = mark == b"]"
                element = self._end()
                # `[]` has no element, and `[1,]` has one.
                if not (self.closed and element is not None and not element.strip(_SPACE)):
                    yield element
        if self.closed:
            self.trailing = self.trailing or bool(chunk[start:].strip(_SPACE))
        else:
            self._add(chunk[start:])

    def rest(self) -> bytes | None:
        """The last element when the file ends behind it, though the array is open; None when it is cut."""
        if self._depth or self._in_string or self._size > self._limit:
            return None
        element = self._end()
        return element if element and element.strip(_SPACE) else None

    def _skip_string(self, chunk: bytes, position: int) -> int:
        """Move to behind the end of the string, or to the end of the chunk."""
        if self._escaped and position < len(chunk):
            position += 1
            self._escaped = False
        match = _STRING_REST.match(chunk, position)
        position = match.end() if match else position
        if position < len(chunk):
            if chunk[position] == ord('"'):
                self._in_string = False
            else:  # a backslash at the very end: what it escapes is in the next chunk
                self._escaped = True
            position += 1
        return position

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts = []
        elif part:
            self._parts.append(part)

    def _end(self) -> bytes | None:
        element = None if self._size > self._limit else b"".join(self._parts)
        self._parts, self._size = [], 0
        return element


def field_names(records: Iterator[Record], records_at_most: int) -> list[str]:
    """The fields of the first records, those inside objects as dotted paths, in order of appearance."""
    names: dict[str, None] = {}
    for number, (_, value, fault) in enumerate(records):
        if number == records_at_most:
            break
        if not fault and isinstance(value, dict):
            for key, inner in value.items():
                names[key] = None
                if isinstance(inner, dict):
                    names.update((f"{key}.{name}", None) for name in inner)
    return list(names)
