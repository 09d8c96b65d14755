"""Reads documents from files, one at a time, and accounts for every line that is not a document.

Nothing is dropped in silence: what a file holds comes out either as a `Document` or as a `Skipped` that
says where and why. Files are streamed, so memory is bounded by the longest document, not by the file.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, check_name

FILE_TYPES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".txt")

Reason = Literal["not_utf8", "not_json", "no_text_field", "text_not_string", "empty", "unreadable"]

REASON_LABELS: dict[Reason, str] = {
    "not_utf8": "not UTF-8",
    "not_json": "not JSON",
    "no_text_field": "without the text field",
    "text_not_string": "text is not a string",
    "empty": "empty",
    "unreadable": "broken from here on",
}

_CHUNK = 64 << 10
_PARQUET_ROWS = 256
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a domain.

    Attributes:
        text: valid Unicode, not blank.
        origin: `file:line` (1-based; the row in Parquet, the bare file for `.txt`), relative to the source.
    """

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line, row or file that is not a document.

    Attributes:
        file: relative to the source.
        line: 1-based line or row; None when the whole file is meant.
        reason: why; see `REASON_LABELS`.
    """

    file: str
    line: int | None
    reason: Reason


class _BrokenStreamError(Exception):
    """A compressed stream ends early or is damaged; what came before it is good."""


def iter_documents(source: Path, text_field: str) -> Iterator[Document | Skipped]:
    """Read a file, or every file below a folder in sorted order.

    Hidden files are ignored; a folder reached twice through symbolic links is read once. A truncated or
    damaged file gives the documents before the damage and one `Skipped("unreadable")`.

    Args:
        source: a file of a type in `FILE_TYPES`, or a folder of such files.
        text_field: the field (`.jsonl`) or column (`.parquet`) that holds the text.

    Raises:
        CausalMixError: at once when the source is missing or a file's type is unknown; while reading
            when a file cannot be opened; at the end when there was no document at all.
    """
    return _read_all(source, source_files(source), text_field)


def source_files(source: Path) -> list[Path]:
    """The files that `iter_documents` reads, in its order.

    Raises:
        CausalMixError: the source is missing, or a file is of unknown type.
    """
    if source.is_file():
        files = [source]
    elif source.is_dir():
        files = sorted(_walk(source, set()), key=lambda path: path.relative_to(source).parts)
    else:
        raise CausalMixError(f"There is no file or folder {source}. Correct the path of the domain.")
    for file in files:
        _file_type(file)
    return files


def discover_domains(folder: Path) -> dict[str, DomainSource]:
    """One domain per subfolder and per file directly inside, named without its type's suffix.

    Raises:
        CausalMixError: not a folder, nothing in it, a file of unknown type, a name that cannot name a
            domain, or two domains of the same name (upper and lower case do not tell names apart).
    """
    if not folder.is_dir():
        raise CausalMixError(
            f"{folder} is not a folder. Give a folder with one subfolder or file per domain."
        )
    domains: dict[str, DomainSource] = {}
    taken: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        name = path.name if path.is_dir() else path.name[: -len(_file_type(path))]
        try:
            check_name(name)
        except ValueError as error:
            raise CausalMixError(f"{path}: {error}. Rename it.") from error
        other = taken.setdefault(name.casefold(), path)
        if other is not path:
            raise CausalMixError(
                f"{other} and {path} would both be the domain {name!r}. Rename one of them, or put both "
                "into one folder."
            )
        domains[name] = DomainSource(path=str(path.absolute()))
    if not domains:
        raise CausalMixError(f"{folder} is empty. Put one subfolder or file per domain into it.")
    return domains


def describe_counts(reasons: dict[Reason, int]) -> str:
    """Skipped lines in words, such as `2 not JSON, 1 not UTF-8`."""
    return ", ".join(f"{count:,} {REASON_LABELS[reason]}" for reason, count in reasons.items())


def _read_all(source: Path, files: list[Path], text_field: str) -> Iterator[Document | Skipped]:
    skipped: Counter[Reason] = Counter()
    found = False
    for file in files:
        name = file.name if file == source else file.relative_to(source).as_posix()
        for item in _read_file(file, name, text_field):
            if isinstance(item, Skipped):
                skipped[item.reason] += 1
            else:
                found = True
            yield item
    if not found:
        why = f" (skipped: {describe_counts(dict(skipped))})" if skipped else ""
        hint = f" Is {text_field!r} the field that holds the text?" if skipped["no_text_field"] else ""
        raise CausalMixError(
            f"The domain is empty: {source} yields no document{why}.{hint} "
            f"Put text into it ({', '.join(FILE_TYPES)}), or remove the domain."
        )


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise CausalMixError(f"Cannot read the folder {folder}: {error.strerror}.") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, seen)
        else:
            yield entry


def _file_type(file: Path) -> str:
    # The longest type first, so that `.jsonl.gz` is not taken for an unknown `.gz`.
    for suffix in sorted(FILE_TYPES, key=len, reverse=True):
        if file.name.lower().endswith(suffix) and len(file.name) > len(suffix):
            return suffix
    raise CausalMixError(
        f"{file} is of a type that cannot be read. Supported are {', '.join(FILE_TYPES)}; "
        "convert the file, or move it out of the folder."
    )


def _read_file(file: Path, name: str, text_field: str) -> Iterator[Document | Skipped]:
    kind = _file_type(file)
    try:
        if kind == ".parquet":
            yield from _read_parquet(file, name, text_field)
        elif kind == ".txt":
            yield from _checked(file.read_bytes().removeprefix(_BOM), name, None)
        else:
            yield from _read_jsonl(file, name, text_field, kind)
    except OSError as error:
        raise CausalMixError(
            f"Cannot read {file}: {error.strerror or error}. Check the file and its permissions."
        ) from error


def _read_jsonl(file: Path, name: str, text_field: str, kind: str) -> Iterator[Document | Skipped]:
    number = 0
    try:
        for number, line in enumerate(_lines(_chunks(file, kind)), start=1):
            yield _parse(line.removeprefix(_BOM) if number == 1 else line, name, number, text_field)
    except _BrokenStreamError:
        yield Skipped(name, number + 1, "unreadable")


def _parse(line: bytes, name: str, number: int, text_field: str) -> Document | Skipped:
    if not line.strip():
        return Skipped(name, number, "empty")
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return Skipped(name, number, "not_utf8")
    except (ValueError, RecursionError):  # a number of thousands of digits, or brackets without end
        return Skipped(name, number, "not_json")
    if not isinstance(record, dict) or text_field not in record:
        return Skipped(name, number, "no_text_field")
    text = record[text_field]
    if not isinstance(text, str):
        return Skipped(name, number, "text_not_string")
    if not text.strip():
        return Skipped(name, number, "empty")
    try:
        # JSON may spell half of a surrogate pair, which no UTF-8 file can hold.
        text.encode("utf-8")
    except UnicodeEncodeError:
        return Skipped(name, number, "not_utf8")
    return Document(text, f"{name}:{number}")


def _checked(data: bytes, name: str, number: int | None) -> Iterator[Document | Skipped]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield Skipped(name, number, "not_utf8")
        return
    if text.strip():
        yield Document(text, name if number is None else f"{name}:{number}")
    else:
        yield Skipped(name, number, "empty")


def _read_parquet(file: Path, name: str, text_field: str) -> Iterator[Document | Skipped]:
    row = 0
    with file.open("rb") as stream:
        try:
            table = pq.ParquetFile(stream)
            if text_field not in table.schema_arrow.names:
                for number in range(1, table.metadata.num_rows + 1):
                    yield Skipped(name, number, "no_text_field")
                return
            for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=[text_field]):
                for value in _as_bytes(batch.column(0)):
                    row += 1
                    if isinstance(value, bytes):
                        yield from _checked(value, name, row)
                    else:
                        yield Skipped(name, row, "text_not_string")
        # Arrow reports a damaged file as an OSError without an errno.
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            yield Skipped(name, row + 1 if row else None, "unreadable")


def _as_bytes(column: pa.Array) -> list[bytes | None]:
    """Strings as their bytes: Arrow does not check that a Parquet string is UTF-8, so we do."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    kind = column.type
    textual = (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
    if not textual:
        return [None] * len(column)
    values: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return values


def _chunks(file: Path, kind: str) -> Iterator[bytes]:
    """Decompressed pieces of a file.

    Raises:
        _BrokenStreamError: the compressed stream is truncated or damaged.
    """
    with file.open("rb") as stream:
        pieces = iter(lambda: stream.read(_CHUNK), b"")
        if kind == ".jsonl.gz":
            yield from _gunzip(pieces)
        elif kind == ".jsonl.zst":
            yield from _unzstd(pieces)
        else:
            yield from pieces


def _gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    fed = False
    for piece in pieces:
        while piece:
            if decoder.eof:  # several gzip members in one file, as `cat a.gz b.gz` makes them
                piece = piece.lstrip(b"\0")  # padding between or after members
                if not piece:
                    break
                decoder = zlib.decompressobj(wbits=31)
            fed = True
            try:
                yield decoder.decompress(piece, _CHUNK)
            except zlib.error as error:
                raise _BrokenStreamError from error
            piece = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if fed and not decoder.eof:
        raise _BrokenStreamError


def _unzstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    # zstandard's own stream reader ends a truncated frame without a word, so the frames are fed by hand.
    # Level 19 with --long=31 needs a window of 2 GiB.
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    decoder = unpacker.decompressobj()
    fed = False
    for piece in pieces:
        while piece:
            if decoder.eof:
                decoder = unpacker.decompressobj()
            fed = True
            try:
                yield decoder.decompress(piece)
            except zstandard.ZstdError as error:
                raise _BrokenStreamError from error
            piece = decoder.unused_data if decoder.eof else b""
    if fed and not decoder.eof:
        raise _BrokenStreamError


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines without their end; only `\\n` ends a line, as JSON text may hold every other separator."""
    rest: list[bytes] = []
    for chunk in chunks:
        *whole, tail = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*rest, line])
            rest = []
        if tail:
            rest.append(tail)
    if rest:
        yield b"".join(rest)
