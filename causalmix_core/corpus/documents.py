"""What reading yields: documents, and what is not one, with the reason.

Every value that a file holds passes through `to_document`, whatever the format, so that the rules for a good
document (valid Unicode, not blank, no NUL, not too long) are the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from causalmix_core.workspace import check_name

Reason = Literal[
    "not_utf8",
    "nul",
    "not_json",
    "no_text_field",
    "text_not_string",
    "no_domain_field",
    "bad_domain",
    "empty",
    "too_long",
    "unreadable",
    "unknown_type",
    "other_split",
]

REASON_LABELS: dict[Reason, str] = {
    "not_utf8": "not UTF-8",
    "nul": "with NUL bytes",
    "not_json": "not JSON",
    "no_text_field": "without the text field",
    "text_not_string": "text is not a string",
    "no_domain_field": "without the domain field",
    "bad_domain": "cannot name a domain",
    "empty": "empty",
    "too_long": "too long",
    "unreadable": "broken from here on",
    "unknown_type": "of unknown type",
    "other_split": "of another split",
}

DEFAULT_MAX_BYTES: Final = 32 << 20
"""Longest document in bytes, unless the workspace says otherwise."""

MISSING: Final = object()
"""Stands for a field that a record does not have, as null is a value."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a domain.

    Attributes:
        text: valid Unicode, not blank, without NUL.
        origin: `file:line`, relative to the source. The line is 1-based; it is the row in Parquet and Arrow
            and the element in an array of JSON. The bare file when the file is one document.
        domain: the name of the document's domain, when a field was asked for it.
    """

    text: str
    origin: str
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line, row or file that is not a document.

    Attributes:
        file: relative to the source.
        line: 1-based line, row or element; None when the whole file is meant.
        reason: why; see `REASON_LABELS`.
    """

    file: str
    line: int | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a record holds what is read from it.

    A dotted path such as `meta.source` reaches into objects and structs; a field that is spelled exactly so,
    with its dot, comes first.

    Attributes:
        text: the field or column of the text.
        domain: the field or column that names the document's domain; None when the source is one domain.
    """

    text: str = "text"
    domain: str | None = None


def describe_counts(reasons: Mapping[Reason, int]) -> str:
    """Skipped lines in words, such as `2 not JSON, 1 not UTF-8`."""
    return ", ".join(f"{count:,} {REASON_LABELS[reason]}" for reason, count in reasons.items())


def find_field(record: Mapping[str, Any], path: str) -> object:
    """The value at `path` of a record, or `MISSING`."""
    if path in record:
        return record[path]
    value: object = record
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def to_document(
    text: object, name: str, line: int | None, max_bytes: int, domain: object = None, mixed: bool = False
) -> Document | Skipped:
    """Judge one value that should be the text of a document.

    Args:
        text: a string, UTF-8 bytes, something else, or `MISSING`.
        name: the file, relative to the source.
        line: 1-based line, row or element; None when the file is one document.
        max_bytes: the longest text in UTF-8 that is kept.
        domain: the value of the domain field, or `MISSING`; looked at only when `mixed`.
        mixed: whether the document names its domain itself.
    """
    if isinstance(text, bytes):
        if len(text) > max_bytes:
            return Skipped(name, line, "too_long")
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            return Skipped(name, line, "not_utf8")
    if not isinstance(text, str):
        return Skipped(name, line, "no_text_field" if text is MISSING else "text_not_string")
    reason = _text_fault(text, max_bytes)
    if reason is not None:
        return Skipped(name, line, reason)
    origin = name if line is None else f"{name}:{line}"
    if not mixed:
        return Document(text, origin)
    if domain is MISSING or domain is None:
        return Skipped(name, line, "no_domain_field")
    named = _domain_name(domain)
    return Skipped(name, line, "bad_domain") if named is None else Document(text, origin, named)


def _text_fault(text: str, max_bytes: int) -> Reason | None:
    if not text or text.isspace():
        return "empty"
    if "\0" in text:
        return "nul"
    if len(text) > max_bytes:
        return "too_long"
    if not text.isascii():
        try:
            # JSON may spell half of a surrogate pair, which no UTF-8 file can hold.
            if len(text.encode("utf-8")) > max_bytes:
                return "too_long"
        except UnicodeEncodeError:
            return "not_utf8"
    return None


def _domain_name(value: object) -> str | None:
    """The value as the name of a domain; None when it is not a string or whole number that can be one."""
    if isinstance(value, bool) or not isinstance(value, str | bytes | int):
        return None
    try:
        return check_name(value.decode("utf-8") if isinstance(value, bytes) else str(value))
    except ValueError:  # includes bytes that are not UTF-8 and numbers of thousands of digits
        return None
