"""Streams of bytes from files: decompressed, without a byte order mark, cut into lines of bounded length."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO

import zstandard

CHUNK = 64 << 10

_BOM = b"\xef\xbb\xbf"
# UTF-16 and UTF-32 in both byte orders; the mark of UTF-32 (little) starts with that of UTF-16.
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
# One block of zstd is up to 128 KiB from 4 bytes, so this much input makes 8 MiB at most.
_ZSTD_FEED = 256


class BrokenStreamError(Exception):
    """A stream ends early or is damaged; what came before it is good."""


class OtherEncodingError(Exception):
    """A byte order mark says that the file is UTF-16 or UTF-32."""


def decompressed(stream: BinaryIO, suffix: str) -> Iterator[bytes]:
    """The content of an open file, in pieces.

    Args:
        stream: the file, at its start.
        suffix: the file's type; `.gz` and `.zst` at its end are unpacked.

    Raises:
        BrokenStreamError: while iterating, when the stream is truncated, damaged or cannot be read on.
    """
    pieces = _pieces(stream)
    if suffix.endswith(".gz"):
        return _gunzip(pieces)
    return _unzstd(pieces) if suffix.endswith(".zst") else pieces


def without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes without the mark of UTF-8 at the start.

    Raises:
        OtherEncodingError: at once, when the mark is that of another encoding.
    """
    head, rest = take(chunks, lambda part: len(part) >= 4, limit=4)
    if head.startswith(_OTHER_BOMS):
        raise OtherEncodingError
    return chain([head.removeprefix(_BOM)], rest)


def take(
    chunks: Iterator[bytes], enough: Callable[[bytes], bool], limit: int
) -> tuple[bytes, Iterator[bytes]]:
    """Read ahead until a piece satisfies `enough`, more than `limit` bytes were read, or the end.

    A break in the stream is not raised here but by the returned rest, so that what precedes it is kept.

    Returns:
        What was read, and an iterator over the rest.
    """
    parts: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if enough(chunk) or size > limit:
                break
    except BrokenStreamError as error:
        return b"".join(parts), _raising(error)
    return b"".join(parts), chunks


def lines(chunks: Iterator[bytes], limit: int) -> Iterator[bytes | None]:
    r"""Lines without their end; None stands for a line of more than `limit` bytes, which is not held.

    Only `\n` ends a line, as JSON text may hold every other separator.
    """
    rest: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, tail = chunk.split(b"\n")
        for line in whole:
            size += len(line)
            if size > limit:
                yield None
            else:
                yield b"".join([*rest, line]) if rest else line
            rest, size = [], 0
        size += len(tail)
        if size > limit:
            rest = []
        elif tail:
            rest.append(tail)
    if size > limit:
        yield None
    elif rest:
        yield b"".join(rest)


def _raising(error: BrokenStreamError) -> Iterator[bytes]:
    yield from ()
    raise error


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    try:
        yield from iter(lambda: stream.read(CHUNK), b"")
    except OSError as error:
        raise BrokenStreamError from error


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
                yield decoder.decompress(piece, CHUNK)
            except zlib.error as error:
                raise BrokenStreamError from error
            piece = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if fed and not decoder.eof:
        raise BrokenStreamError


def _unzstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    # zstandard's own stream reader ends a truncated frame without a word, so the frames are fed by hand.
    # Level 19 with --long=31 needs a window of 2 GiB.
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    decoder = unpacker.decompressobj()
    fed = False
    ready: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            for start in range(0, len(piece), _ZSTD_FEED):
                part = piece[start : start + _ZSTD_FEED]
                while part:
                    if decoder.eof:
                        decoder = unpacker.decompressobj()
                    fed = True
                    ready.append(decoder.decompress(part))
                    size += len(ready[-1])
                    part = decoder.unused_data if decoder.eof else b""
                if size >= CHUNK:
                    yield b"".join(ready)
                    ready, size = [], 0
    except (zstandard.ZstdError, MemoryError, BrokenStreamError) as error:
        yield b"".join(ready)
        raise BrokenStreamError from error
    yield b"".join(ready)
    if fed and not decoder.eof:
        raise BrokenStreamError
