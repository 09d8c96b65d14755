"""Rows of Parquet files and of the Arrow files that `datasets` writes, a batch at a time.

Only the columns asked for are read. Arrow checks neither that a string is UTF-8 nor, in its own files, that
offsets stay inside their buffer, so both are checked here before a value is touched.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from causalmix_core.corpus.documents import MISSING, Document, Fields, Skipped, to_document

_MOST_ROWS = 1024
_BATCH_BYTES = 4 << 20
_BUFFER = 1 << 20
# What Arrow raises for damaged files: its own errors, OSError for a truncated page, ValueError for a name
# that is not UTF-8, MemoryError and OverflowError for a size that cannot be.
DAMAGE = (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError, LookupError)


def parquet_documents(
    stream: BinaryIO, name: str, fields: Fields, max_bytes: int
) -> Iterator[Document | Skipped]:
    """The rows of a Parquet file; damage gives the rows before it and one `unreadable`.

    Args:
        stream: the open file.
        name: the file, relative to the source.
        fields: where text and domain are.
        max_bytes: the longest text.
    """
    row = 0
    try:
        # Without these settings whole row groups would be held in memory.
        table = pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True)
        rows = _rows(table.metadata)
        schema = table.schema_arrow
        if _column_type(schema, fields.text) is None:
            for row in range(1, rows + 1):
                yield Skipped(name, row, "no_text_field")
            return
        wanted = [path for path in (fields.text, fields.domain) if path and _column_type(schema, path)]
        size = _batch_rows(table.metadata, rows)
        for group in range(table.num_row_groups):  # one by one, or a batch would lose rows of sound ones
            for batch in table.iter_batches(size, row_groups=[group], columns=wanted):
                for item in _batch_documents(batch, row, name, fields, max_bytes):
                    row += 1
                    yield item
        if row != rows:
            yield Skipped(name, row + 1, "unreadable")
    except DAMAGE:
        yield Skipped(name, row + 1 if row else None, "unreadable")


def arrow_documents(
    stream: BinaryIO, name: str, fields: Fields, max_bytes: int
) -> Iterator[Document | Skipped]:
    """The rows of an Arrow file, of the stream format or the file format; damage as in Parquet.

    Args:
        stream: the open file; it is mapped into memory, so that only what is looked at is loaded.
        name: the file, relative to the source.
        fields: where text and domain are.
        max_bytes: the longest text.
    """
    row = 0
    try:
        for batch in _arrow_batches(stream):
            for item in _batch_documents(batch, row, name, fields, max_bytes):
                row += 1
                yield item
    except DAMAGE:
        yield Skipped(name, row + 1 if row else None, "unreadable")


def column_names(stream: BinaryIO, parquet: bool) -> list[str]:
    """The columns of a file, those inside structs as dotted paths; empty when it is damaged."""
    try:
        schema = pq.ParquetFile(stream).schema_arrow if parquet else _arrow_reader(_mapped(stream)).schema
        names: list[str] = []
        for field in schema:
            names.append(field.name)
            if pa.types.is_struct(field.type):
                names.extend(f"{field.name}.{field.type.field(i).name}" for i in range(field.type.num_fields))
        return names
    except DAMAGE:
        return []


def _rows(metadata: pq.FileMetaData) -> int:
    """The number of rows; a damaged file may claim any, so its parts must agree."""
    parts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    if min(parts, default=0) < 0 or sum(parts) != metadata.num_rows:
        raise pa.ArrowInvalid("the row groups do not add up")
    return int(metadata.num_rows)


def _batch_rows(metadata: pq.FileMetaData, rows: int) -> int:
    """So many rows that a batch of average ones has about 4 MiB."""
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return int(max(1, min(_MOST_ROWS, _BATCH_BYTES * rows // max(size, 1))))


def _mapped(stream: BinaryIO) -> pa.Buffer:
    return pa.py_buffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _arrow_reader(data: pa.Buffer) -> pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader:
    if data[:6].to_pybytes() == b"ARROW1":
        return pa.ipc.open_file(pa.BufferReader(data))
    return pa.ipc.open_stream(pa.BufferReader(data))


def _arrow_batches(stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    reader = _arrow_reader(_mapped(stream))
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)
    else:
        yield from reader


def _batch_documents(
    batch: pa.RecordBatch, before: int, name: str, fields: Fields, max_bytes: int
) -> Iterator[Document | Skipped]:
    """The rows of a batch that follows `before` rows."""
    mixed = fields.domain is not None
    batch.validate()
    for start in range(0, batch.num_rows, _MOST_ROWS):
        part = batch.slice(start, _MOST_ROWS)
        texts = _values(part, fields.text)
        domains = _values(part, fields.domain) if fields.domain is not None else [None] * part.num_rows
        for line, (text, domain) in enumerate(zip(texts, domains, strict=True), start=before + start + 1):
            # A number in the text column is as little a text as null is.
            value = text if text is MISSING or isinstance(text, bytes) else None
            yield to_document(value, name, line, max_bytes, domain, mixed=mixed)


def _column_type(schema: pa.Schema, path: str) -> pa.DataType | None:
    """The type of a column, or of a field inside structs; None when there is none."""
    if path in schema.names:
        return schema.field(schema.names.index(path)).type
    head, *rest = path.split(".")
    kind = schema.field(schema.names.index(head)).type if head in schema.names else None
    for part in rest:
        if kind is None or not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            return None
        kind = kind.field(kind.get_field_index(part)).type
    return kind


def _values(batch: pa.RecordBatch, path: str) -> list[Any]:
    """One value per row, as `_plain` has them; `MISSING` without the column."""
    if _column_type(batch.schema, path) is None:
        return [MISSING] * batch.num_rows
    if path in batch.schema.names:
        return _plain(batch.column(batch.schema.names.index(path)))
    head, *rest = path.split(".")
    column = batch.column(batch.schema.names.index(head))
    column.validate()
    for part in rest:
        column = pc.struct_field(column, [column.type.get_field_index(part)])
    return _plain(column)


def _plain(column: pa.Array) -> list[Any]:
    """Values as bytes or whole numbers; False stands for a value of another type, None for null."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if not isinstance(column, pa.DictionaryArray):
        entries = _sound(column)
    elif (entries := _sound(column.dictionary)) is not None:
        column.indices.validate(full=True)
        entries = entries.take(column.indices)  # raises for an index outside of the dictionary
    values: list[Any] = [False] * len(column) if entries is None else entries.to_pylist()
    return values


def _sound(column: pa.Array) -> pa.Array | None:
    """Strings as bytes, or whole numbers, safe to look at; None for other types.

    As bytes, since one string that is not UTF-8 would fail the whole column.
    """
    if not pa.types.is_integer(column.type):
        view = _binary_view(column.type)
        if view is None:
            return None
        column = column.view(view)
    column.validate(full=True)
    return column


def _binary_view(kind: pa.DataType) -> pa.DataType | None:
    """The type of bytes with the layout of a type of strings; None when it is neither."""
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pa.binary()
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return pa.large_binary()
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pa.binary_view()
    return None
