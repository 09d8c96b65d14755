"""What is measured about each document, and which measurements make up the pool state.

Counts are computed by DuckDB over a batch at a time; only the compression ratio needs a compressor. Every
feature carries the words that a page shows for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import pyarrow as pa
import zstandard


@dataclass(frozen=True)
class Feature:
    """A number measured on every document.

    Attributes:
        name: column name.
        label: what a page calls it.
        unit: unit of the value; empty for a plain ratio.
        help: what it means, for a curator who is no statistician.
        source: how it is computed.
        scale: how a histogram spaces its bins.
    """

    name: str
    label: str
    unit: str
    help: str
    source: str
    scale: Literal["linear", "log"] = "linear"


# Whitespace as Unicode and `str.isspace` see it; RE2's \s alone knows only ASCII.
_SPACE = r"\s\p{Z}\x0b\x1c-\x1f\x{85}"
# Marks belong to the letters that carry them; without them Indic scripts would look like symbols.
_LETTER = r"\p{L}\p{M}"

_COUNTS = rf"""
WITH counts AS (
    SELECT
        position,
        strlen(text) AS bytes,
        length(text) AS characters,
        len(regexp_extract_all(text, '[^{_SPACE}]+')) AS words,
        length(text) - length(replace(text, chr(10), '')) + (NOT ends_with(text, chr(10)))::INT AS lines,
        length(text) - length(regexp_replace(text, '[{_LETTER}]+', '', 'g')) AS letters,
        length(text) - length(regexp_replace(text, '\p{{Nd}}+', '', 'g')) AS digits,
        length(text) - length(regexp_replace(text, '[{_SPACE}]+', '', 'g')) AS spaces
    FROM batch
)
SELECT
    bytes::BIGINT AS bytes,
    ln(bytes) AS log_bytes,
    characters::BIGINT AS characters,
    words::BIGINT AS words,
    lines::BIGINT AS lines,
    (bytes + 1)::BIGINT AS tokens,
    letters / characters AS alpha_ratio,
    digits / characters AS digit_ratio,
    (characters - letters - digits - spaces) / characters AS symbol_ratio,
    spaces / characters AS whitespace_ratio,
    CASE WHEN words = 0 THEN 0.0 ELSE (characters - spaces) / words END AS mean_word_length
FROM counts ORDER BY position
"""

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "bytes", "Length", "bytes",
            "How long the document is when it is stored as UTF-8. Plain English takes about one byte per "
            "letter, other scripts two or three.",
            "DuckDB: strlen(text)", "log",
        ),
        Feature(
            "log_bytes", "Length (log)", "log bytes",
            "The natural logarithm of the length: each step of 0.7 doubles the document. Averages of it "
            "are not ruled by a few very long documents.",
            "DuckDB: ln(strlen(text))",
        ),
        Feature(
            "characters", "Characters", "characters",
            "How many characters the document has, spaces and line ends included.",
            "DuckDB: length(text)", "log",
        ),
        Feature(
            "words", "Words", "words",
            "How many stretches without a space the document has. Languages written without spaces have "
            "few, long ones.",
            "DuckDB: runs of characters that are not whitespace", "log",
        ),
        Feature(
            "lines", "Lines", "lines",
            "How many lines the document has. Code has many short ones, web text often a few long ones.",
            "DuckDB: line feeds, plus an unfinished last line", "log",
        ),
        Feature(
            "tokens", "Tokens", "tokens",
            "What the document costs in training when every byte is a token: its bytes and one token that "
            "ends it. A subword vocabulary needs three to five times fewer.",
            "DuckDB: strlen(text) + 1", "log",
        ),
        Feature(
            "alpha_ratio", "Letters", "",
            "Share of characters that are letters of any script. Prose has about 0.8; tables, code and "
            "broken text have less.",
            "DuckDB: Unicode letters and marks / characters",
        ),
        Feature(
            "digit_ratio", "Digits", "",
            "Share of characters that are digits. High in tables, logs and data.",
            "DuckDB: Unicode decimal digits / characters",
        ),
        Feature(
            "symbol_ratio", "Symbols", "",
            "Share of characters that are neither letter, digit nor space: punctuation and operators. High "
            "in code and markup.",
            "DuckDB: the remaining characters / characters",
        ),
        Feature(
            "whitespace_ratio", "Spaces", "",
            "Share of characters that are spaces, tabs or line ends. Near zero in minified code, high in "
            "indented code.",
            "DuckDB: Unicode whitespace / characters",
        ),
        Feature(
            "mean_word_length", "Mean word length", "characters",
            "Characters per word. English prose has about 5; very high values mean text that is not made "
            "of words, such as minified code or encoded data.",
            "DuckDB: characters that are not whitespace / words", "log",
        ),
        Feature(
            "compression_ratio", "Compression ratio", "",
            "Size after compression divided by the size before. Low means redundant: the document repeats "
            "itself. Prose of a few kilobytes has about 0.5; a very short document can exceed 1.",
            "zstd level 3: compressed bytes / bytes",
        ),
    )
}  # fmt: skip
"""Every per-document feature, by column name."""

STATE_FEATURES: tuple[str, ...] = ("log_bytes", "compression_ratio", "alpha_ratio")
"""The features whose token-weighted means are the pool state."""


def document_features(texts: Sequence[str]) -> pa.Table:
    """Every feature of every document.

    Args:
        texts: n documents, none empty.

    Returns:
        n rows in the order of `texts`, columns named and ordered as `FEATURES`; counts are int64, the
        rest float64.
    """
    batch = pa.table(
        {"position": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts, pa.string())}
    )
    with duckdb.connect() as con:
        con.register("batch", batch)
        table: pa.Table = con.sql(_COUNTS).to_arrow_table()
    compressor = zstandard.ZstdCompressor(level=3)
    ratios = []
    for text in texts:
        data = text.encode("utf-8")
        ratios.append(len(compressor.compress(data)) / len(data))
    measured: pa.Table = table.append_column("compression_ratio", pa.array(ratios, pa.float64()))
    return measured.select(list(FEATURES))
