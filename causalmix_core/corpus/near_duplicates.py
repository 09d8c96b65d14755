"""Finds documents that say the same: exact duplicates by hash, near-duplicates by MinHash.

Two documents are near-duplicates when about 80 % of their 5-word shingles are shared (Jaccard similarity).
MinHash (Broder 1997) estimates that from 128 numbers per document; locality-sensitive hashing (Leskovec,
Rajaraman, Ullman, "Mining of Massive Datasets", ch. 3) finds the pairs worth comparing, and each such pair
is verified on all 128 numbers (standard error 0.035 at 0.8). Chains of near-duplicates form clusters. The
whole pool is searched at once, because a copy in another domain leaks into the held-out text all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def minhash(texts: Sequence[str]) -> NDArray[np.uint32]:
    """MinHash signatures, shape (n, 128), of the sets of 5-word shingles.

    A document of fewer than five words counts as one shingle, so it is a near-duplicate only of a document
    with the same words.
    """
    import rensa

    if not texts:
        return np.empty((0, PERMUTATIONS), np.uint32)
    matrix = rensa.RMinHash.digest_matrix_from_token_sets([_shingles(t) for t in texts], PERMUTATIONS, _SEED)
    return np.asarray(matrix.to_rows(), dtype=np.uint32)


def find_clusters(digests: NDArray[np.uint8], signatures: NDArray[np.uint32]) -> Clusters:
    """Group the documents of a pool.

    Args:
        digests: sha256 of each text, shape (n, 32).
        signatures: from `minhash`, shape (n, 128); may be a memory map.

    Returns:
        The clusters; the same input always gives the same numbers.
    """
    n = len(digests)
    _, first, same_text = np.unique(_as_keys(digests), return_index=True, return_inverse=True)
    earliest = first[same_text]
    parent = earliest.astype(np.int64)
    distinct = np.sort(first)
    _link_similar(distinct, signatures, parent)
    roots = _roots(parent)
    _, cluster = np.unique(roots, return_inverse=True)
    order = np.arange(n)
    return Clusters(cluster.astype(np.int64), earliest != order, roots != order)


def _shingles(text: str) -> list[str]:
    words = text.split()
    if len(words) < SHINGLE_WORDS:
        return [" ".join(words)]
    return [" ".join(s) for s in zip(*(words[i:] for i in range(SHINGLE_WORDS)), strict=False)]


def _as_keys(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    wide = np.ascontiguousarray(digests).view(np.uint64)
    keys: NDArray[np.void] = wide.view([(f"f{i}", np.uint64) for i in range(wide.shape[1])]).ravel()
    return keys


def _link_similar(
    members: NDArray[np.intp], signatures: NDArray[np.uint32], parent: NDArray[np.int64]
) -> None:
    """Join in `parent` every pair of `members` that shares a band and passes verification."""
    for band in range(_BANDS):
        rows = signatures[:, band * _ROWS : (band + 1) * _ROWS][members]
        keys = _mix(rows)
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
    signatures: NDArray[np.uint32],
    parent: NDArray[np.int64],
    roots: NDArray[np.int64],
) -> None:
    apart = roots[left] != roots[right]
    left, right = left[apart], right[apart]
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        a, b = left[start : start + _PAIRS_AT_ONCE], right[start : start + _PAIRS_AT_ONCE]
        similar = (signatures[a] == signatures[b]).mean(axis=1) >= THRESHOLD
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


def _mix(rows: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """One 64-bit key per row; equal rows get equal keys, and a chance collision fails verification."""
    keys = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys
