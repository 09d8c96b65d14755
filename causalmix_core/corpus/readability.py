"""Flesch reading ease: how long the sentences are and how many syllables the words have.

    206.835 - 1.015 words / sentences - 84.6 syllables / words        (Flesch 1948)

Words are runs of letters (apostrophes inside belong to them); sentences are counted as `words.py` says.
Syllables are the hyphenation points of pyphen's American English patterns plus one, as textstat counts them
(pyphen itself takes 25 microseconds a word and remembers every word it ever saw, so only its patterns are
used). A word of more than 40 letters is none; it counts a syllable for every three letters begun. The figure
means something for English prose.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from causalmix_core.corpus.text_arrays import TextArrays, character_classes, lower_case, text_arrays

LOWEST = -100.0
"""Lower values, of source code without a full stop for example, are set to this."""

_Table = tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int8], int]


def flesch(arrays: TextArrays) -> NDArray[np.float64]:
    """Flesch reading ease of each text, at least -100; 0 for a text without a word. Shape (n,)."""
    from causalmix_core.corpus import text_kernels

    n = len(arrays.offsets) - 1
    size = len(arrays.characters) // 2 + n + 1
    distinct = np.empty(size, np.uint64)
    spans = np.empty((size, 2), np.int64)
    runs = np.empty(size, np.int32)
    out = np.empty((n, 2))
    found = text_kernels.letter_runs(
        arrays.characters, arrays.offsets, character_classes(), lower_case(), distinct, spans, runs, out
    )
    counted = _syllables(arrays, spans[:found])
    words, sentences = out[:, 0], np.maximum(out[:, 1], 1)
    ends = np.concatenate([[0], np.cumsum(words).astype(np.int64)])
    sums = np.concatenate([[0], np.cumsum(counted[runs[: ends[-1]]])])
    syllables = np.diff(sums[ends])
    ease = 206.835 - 1.015 * words / sentences - 84.6 * syllables / np.maximum(words, 1)
    return np.where(words > 0, np.maximum(ease, LOWEST), 0.0)


def syllables(word: str) -> int:
    """Syllables of one word."""
    return int(_syllables(text_arrays([word]), np.array([[0, len(word)]]))[0])


def _syllables(arrays: TextArrays, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    from causalmix_core.corpus import text_kernels

    counts = np.empty(len(spans), np.int64)
    text_kernels.syllable_counts(
        arrays.characters, character_classes(), lower_case(), spans, *_patterns(), counts
    )
    return counts


@cache
def _patterns() -> _Table:
    import pyphen  # type: ignore[import-untyped]

    from causalmix_core.corpus import text_kernels

    hyphenation = pyphen.Pyphen(lang="en_US").hd
    return *text_kernels.pattern_table(hyphenation.patterns), hyphenation.maxlen
