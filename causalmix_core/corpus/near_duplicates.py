"""Finds documents that say the same: exact duplicates by hash, near-duplicates by MinHash.

Two documents are near-duplicates when about 80 % of their 5-word shingles are shared (Jaccard similarity).
MinHash (Broder 1997) estimates that from 128 numbers per document, of which the low 16 bits are kept (b-bit
minwise hashing, Li and Koenig 2010: a chance agreement of one number in 65,536 does not matter);
locality-sensitive hashing (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", ch. 3) finds the pairs
worth comparing, and each such pair is verified on all 128 numbers (standard error 0.035 at 0.8). Chains of
near-duplicates form clusters. The whole pool is searched at once, because a copy in another domain leaks into
the held-out text all the same. Signatures of millions of documents stay on disk and are read in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 128
SHINGLE_WORDS = 5
THRESHOLD = 0.8
# 21 bands of 6 rows: a pair at 0.8 becomes a candidate with probability 0.998, one at 0.4 with 0.08.
_BANDS, _ROWS = 21, 6
_SEED = 42
# In a bucket of at most this many documents every pair is compared; in a larger one each document is
# compared with its next ones and with the first, which keeps boilerplate from costing quadratic time.
_WINDOW = 64
_PAIRS_AT_ONCE = 100_000
_ROWS_AT_ONCE = 200_000


@dataclass(frozen=True)
class Clusters:
    """Which documents of a pool say the same.

    Attributes:
        cluster: int64 (n,), numbered from 0 in the order of first appearance.
        exact_duplicate: bool (n,), an earlier document has the same text.
        near_duplicate: bool (n,), not the first document of its cluster; true for exact duplicates too.
    """

    cluster: NDArray[np.int64]
    exact_duplicate: NDArray[np.bool_]
    near_duplicate: NDArray[np.bool_]

    @classmethod
    def from_keys(cls, text: NDArray[np.int64], cluster: NDArray[np.int64]) -> Clusters:
        """Number clusters anew and mark duplicates, given what belongs together.

        Args:
            text: (n,), equal where texts are equal.
            cluster: (n,), equal where documents are near-duplicates.
        """
        order = np.arange(len(text))
        _, first_text, same_text = np.unique(text, return_index=True, return_inverse=True)
        _, first, own = np.unique(cluster, return_index=True, return_inverse=True)
        number = np.empty(len(first), np.int64)
        number[np.argsort(first)] = np.arange(len(first))
        return cls(number[own], first_text[same_text] != order, first[own] != order)


class SignatureFile:
    """Signatures on disk, uint16 (n, 128), read in pieces so that they need not fit into memory."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count

    def columns(self, first: int, stop: int) -> NDArray[np.uint16]:
        """Some columns of all rows, shape (n, stop - first)."""
        out = np.empty((self._count, stop - first), np.uint16)
        with self._path.open("rb") as file:
            for start in range(0, self._count, _ROWS_AT_ONCE):
                rows = min(_ROWS_AT_ONCE, self._count - start)
                block = np.fromfile(file, np.uint16, rows * PERMUTATIONS).reshape(rows, PERMUTATIONS)
                out[start : start + rows] = block[:, first:stop]
        return out

    def rows(self, index: NDArray[np.intp]) -> NDArray[np.uint16]:
        """All columns of some rows."""
        # Mapped anew each time, so that pages once read do not stay in this process.
        mapped = np.memmap(self._path, np.uint16, "r", shape=(self._count, PERMUTATIONS))
        return np.asarray(mapped[index])


class SignatureArray:
    """Signatures in memory, with the same two reads."""

    def __init__(self, values: NDArray[np.uint16]) -> None:
        self._values = values

    def columns(self, first: int, stop: int) -> NDArray[np.uint16]:
        """Some columns of all rows, shape (n, stop - first)."""
        return self._values[:, first:stop]

    def rows(self, index: NDArray[np.intp]) -> NDArray[np.uint16]:
        """All columns of some rows."""
        return self._values[index]


Signatures = SignatureFile | SignatureArray


def minhash(texts: Sequence[str]) -> NDArray[np.uint16]:
    """MinHash signatures, shape (n, 128), of the sets of 5-word shingles.

    A document of fewer than five words counts as one shingle, so it is a near-duplicate only of a document
    with the same words.
    """
    import rensa

    if not texts:
        return np.empty((0, PERMUTATIONS), np.uint16)
    matrix = rensa.RMinHash.digest_matrix_from_token_sets([_shingles(t) for t in texts], PERMUTATIONS, _SEED)
    return np.asarray(matrix.to_rows(), dtype=np.uint32).astype(np.uint16)


def minhash_of_hashes(shingles: NDArray[np.uint64], offsets: NDArray[np.int64]) -> NDArray[np.uint16]:
    """MinHash signatures, shape (n, 128), of sets of shingles that are hashed already.

    Args:
        shingles: hashes of all documents' shingles one after another.
        offsets: where each document begins, and the total: shape (n + 1,).
    """
    import rensa

    if len(offsets) < 2:
        return np.empty((0, PERMUTATIONS), np.uint16)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        np.ascontiguousarray(shingles, np.uint64), offsets.astype(np.uint64), PERMUTATIONS, _SEED
    )
    return np.asarray(matrix.to_rows(), dtype=np.uint32).astype(np.uint16)


def find_clusters(digests: NDArray[np.uint8], signatures: Signatures) -> Clusters:
    """Group the documents of a pool.

    Args:
        digests: sha256 of each text, shape (n, 32).
        signatures: from `minhash`, n rows.

    Returns:
        The clusters; the same input always gives the same numbers.
    """
    text = text_numbers(digests)
    _, first, same_text = np.unique(text, return_index=True, return_inverse=True)
    parent = first[same_text].astype(np.int64)
    _link_similar(np.sort(first), signatures, parent)
    return Clusters.from_keys(text, _roots(parent))


def text_numbers(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A number per text, equal where the first 128 bits of the sha256 are: shape (n,)."""
    if not len(digests):
        return np.empty(0, np.int64)
    high, low = np.ascontiguousarray(digests[:, :16]).view(np.uint64).T
    order = np.lexsort((low, high))
    new = np.r_[False, (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])]
    numbers = np.empty(len(digests), np.int64)
    numbers[order] = np.cumsum(new)
    return numbers


def _shingles(text: str) -> list[str]:
    words = text.split()
    if len(words) < SHINGLE_WORDS:
        return [" ".join(words)]
    return [" ".join(s) for s in zip(*(words[i:] for i in range(SHINGLE_WORDS)), strict=False)]


def _link_similar(members: NDArray[np.intp], signatures: Signatures, parent: NDArray[np.int64]) -> None:
    """Join in `parent` every pair of `members` that shares a band and passes verification."""
    for band in range(_BANDS):
        keys = _mix(signatures.columns(band * _ROWS, (band + 1) * _ROWS)[members])
        order = np.argsort(keys, kind="stable")
        ordered, keys = members[order], keys[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.intp)
        bucket = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(keys)]))
        _link_pairs(ordered[starts[bucket]], ordered, signatures, parent, _roots(parent))
        # After this first round most of a bucket is one cluster, whose pairs need no further look.
        roots = _roots(parent)
        for step in range(1, min(_WINDOW, len(ordered))):
            near = np.flatnonzero(bucket[step:] == bucket[:-step])
            if not len(near):
                break
            _link_pairs(ordered[near], ordered[near + step], signatures, parent, roots)


def _link_pairs(
    left: NDArray[np.intp],
    right: NDArray[np.intp],
    signatures: Signatures,
    parent: NDArray[np.int64],
    roots: NDArray[np.int64],
) -> None:
    apart = roots[left] != roots[right]
    left, right = left[apart], right[apart]
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        a, b = left[start : start + _PAIRS_AT_ONCE], right[start : start + _PAIRS_AT_ONCE]
        similar = (signatures.rows(a) == signatures.rows(b)).mean(axis=1) >= THRESHOLD
        for x, y in zip(a[similar].tolist(), b[similar].tolist(), strict=True):
            _unite(parent, x, y)


def _unite(parent: NDArray[np.int64], x: int, y: int) -> None:
    ends = []
    for node in (x, y):
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        ends.append(node)
    # The earlier document becomes the root, so a cluster is named by its first document.
    parent[max(ends)] = min(ends)


def _roots(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    roots = parent[parent]
    while True:
        further = roots[roots]
        if np.array_equal(further, roots):
            return roots
        roots = further


def _mix(rows: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """One 64-bit key per row; equal rows get equal keys, and a chance collision fails verification."""
    keys = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys
