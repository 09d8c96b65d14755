"""Reads documents from files, one at a time, and accounts for everything that is not a document.

Nothing is dropped in silence: what a file holds comes out either as a `Document` or as a `Skipped` that says
where and why, and every file gives at least one of them. Files are streamed, and what is longer than the
limit is passed over without being held, so memory is bounded by the longest document that is allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from causalmix_core.corpus.column_files import arrow_documents, column_names, parquet_documents
from causalmix_core.corpus.decompress import (
    BrokenStreamError,
    OtherEncodingError,
    decompressed,
    take,
    without_bom,
)
from causalmix_core.corpus.discover import discover_domains
from causalmix_core.corpus.documents import (
    DEFAULT_MAX_BYTES,
    MISSING,
    REASON_LABELS,
    Document,
    Fields,
    Reason,
    Skipped,
    describe_counts,
    to_document,
)
from causalmix_core.corpus.json_files import field_names, json_documents, json_records
from causalmix_core.corpus.source_files import (
    FILE_TYPES,
    TYPES_IN_WORDS,
    SourceFile,
    file_type,
    source_files,
)
from causalmix_core.errors import CausalMixError

__all__ = [
    "DEFAULT_MAX_BYTES",
    "FILE_TYPES",
    "REASON_LABELS",
    "TYPES_IN_WORDS",
    "Document",
    "Fields",
    "Reason",
    "Skipped",
    "SourceFile",
    "describe_counts",
    "discover_domains",
    "iter_documents",
    "no_document",
    "read_field_names",
    "read_file",
    "source_files",
]


def iter_documents(
    source: str | Path,
    text_field: str = "text",
    *,
    domain_field: str | None = None,
    split: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Iterator[Document | Skipped]:
    """Read all files of a source, in sorted order.

    Args:
        source: absolute path of a file, a folder, or a pattern; see `source_files`.
        text_field: the field or column that holds the text; `meta.text` reaches into objects.
        domain_field: the field or column that names the document's domain; None when there is one domain.
        split: which split is read; see `source_files`.
        max_bytes: longer lines and texts are skipped.

    Raises:
        CausalMixError: at once what `source_files` raises; at the end when there was no document at all.
    """
    files, skipped = source_files(source, split)
    return _read_all(source, files, skipped, Fields(text_field, domain_field), max_bytes)


def read_file(
    file: SourceFile, fields: Fields, max_bytes: int = DEFAULT_MAX_BYTES
) -> Iterator[Document | Skipped]:
    """Read one file: its documents and what is skipped, at least one item in all.

    A truncated or damaged file gives the documents before the damage and one `Skipped("unreadable")` with the
    place; a file that cannot be opened gives that alone, without a place.

    Args:
        file: one of `source_files`.
        fields: where text and domain are.
        max_bytes: a longer line, element, text file or text is skipped. A line counts whole, with its other
            fields.
    """
    empty = True
    try:
        with file.path.open("rb") as stream:
            for item in _read_stream(stream, file, fields, max_bytes):
                empty = False
                yield item
        if empty:
            yield Skipped(file.name, None, "empty")
    except OSError:
        yield Skipped(file.name, None, "unreadable")


def read_field_names(file: SourceFile, records: int = 20) -> list[str]:
    """The fields of a file's first records, or its columns; none for text and for unreadable files."""
    kind = file_type(file.path)
    if kind is None or kind.startswith(".txt"):
        return []
    try:
        with file.path.open("rb") as stream:
            if kind in (".parquet", ".arrow"):
                return column_names(stream, parquet=kind == ".parquet")
            chunks = without_bom(decompressed(stream, kind))
            return field_names(json_records(chunks, _one_per_line(kind), DEFAULT_MAX_BYTES), records)
    except (OSError, OtherEncodingError):
        return []


def _read_all(
    source: str | Path, files: list[SourceFile], passed_over: list[Skipped], fields: Fields, max_bytes: int
) -> Iterator[Document | Skipped]:
    skipped: Counter[Reason] = Counter(item.reason for item in passed_over)
    yield from passed_over
    found = False
    for file in files:
        for item in read_file(file, fields, max_bytes):
            if isinstance(item, Skipped):
                skipped[item.reason] += 1
            else:
                found = True
            yield item
    if not found:
        raise CausalMixError(no_document(source, fields, skipped))


def no_document(source: str | Path, fields: Fields, skipped: Counter[Reason]) -> str:
    """What to tell when a source yields no document: what was skipped, and which field may be wrong."""
    why = f" (skipped: {describe_counts(skipped)})" if skipped else ""
    hint = f" Is {fields.text!r} the field that holds the text?" if skipped["no_text_field"] else ""
    if skipped["no_domain_field"]:
        hint += f" Is {fields.domain!r} the field that names the domain?"
    return (
        f"The domain is empty: {source} yields no document{why}.{hint} "
        f"Put text into it ({TYPES_IN_WORDS}), or remove the domain."
    )


def _read_stream(
    stream: BinaryIO, file: SourceFile, fields: Fields, max_bytes: int
) -> Iterator[Document | Skipped]:
    kind = file_type(file.path)
    if kind is None:
        yield Skipped(file.name, None, "unknown_type")
    elif stream.seek(0, 2) == 0:
        return
    elif kind == ".parquet":
        yield from parquet_documents(stream, file.name, fields, max_bytes)
    elif kind == ".arrow":
        yield from arrow_documents(stream, file.name, fields, max_bytes)
    else:
        stream.seek(0)
        try:
            chunks = without_bom(decompressed(stream, kind))
        except OtherEncodingError:
            yield Skipped(file.name, None, "not_utf8")
            return
        if kind.startswith(".txt"):
            yield _text_document(chunks, file.name, fields, max_bytes)
        else:
            yield from json_documents(chunks, _one_per_line(kind), file.name, fields, max_bytes)


def _one_per_line(kind: str) -> bool:
    return kind.startswith((".jsonl", ".ndjson"))


def _text_document(chunks: Iterator[bytes], name: str, fields: Fields, max_bytes: int) -> Document | Skipped:
    data, rest = take(chunks, lambda _: False, max_bytes)
    if len(data) > max_bytes:
        return Skipped(name, None, "too_long")
    try:
        next(rest, None)  # raises when the stream broke
    except BrokenStreamError:
        return Skipped(name, None, "unreadable")
    return to_document(data, name, None, max_bytes, MISSING, mixed=fields.domain is not None)
