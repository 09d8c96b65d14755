"""Decides which documents are kept from training, so that a proxy is scored on text it has not seen.

Whole clusters of near-duplicates move together: a held-out document whose near-copy is trained on would
measure memory. The choice follows from hashes of the texts, so it does not depend on a seed or on the
order of the files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from causalmix_core.errors import CausalMixError

HELD_OUT_SHARE = 0.10
LARGEST_CLUSTER_SHARE = 0.05


def choose_held_out(
    domain: NDArray[np.int64],
    tokens: NDArray[np.int64],
    cluster: NDArray[np.int64],
    digests: NDArray[np.uint8],
    names: Sequence[str],
) -> NDArray[np.bool_]:
    """Mark about 10 % of each domain's tokens as held out, in whole clusters.

    Clusters are taken in the order of a hash until each domain has its share. A cluster with more than
    5 % of the tokens of one of its domains stays in training, unless a domain would have nothing held out.

    Args:
        domain: index into `names` per document, shape (n,).
        tokens: tokens per document, shape (n,).
        cluster: near-duplicate cluster per document, shape (n,), numbered from 0 without gaps.
        digests: sha256 of each text, shape (n, 32).
        names: domain names, for messages.

    Returns:
        bool (n,): held out.

    Raises:
        CausalMixError: a domain cannot have both a held-out and a training document.
    """
    count, k = int(cluster.max()) + 1, len(names)
    # Tokens by (cluster, domain), as a sparse table in the order of the cluster.
    cells, inverse = np.unique(cluster * k + domain, return_inverse=True)
    amounts = np.bincount(inverse, weights=tokens).astype(np.int64)
    cell_cluster, cell_domain = cells // k, cells % k
    starts = np.searchsorted(cell_cluster, np.arange(count + 1))
    totals = np.bincount(domain, weights=tokens, minlength=k)

    small = np.ones(count, bool)
    np.logical_and.at(small, cell_cluster, amounts <= LARGEST_CLUSTER_SHARE * totals[cell_domain])
    order = np.lexsort((np.arange(count), _cluster_hash(cluster, digests, count)))

    held_tokens = np.zeros(k)
    held_clusters = np.zeros(k, int)
    clusters_of = np.bincount(cell_domain, minlength=k)
    taken = np.zeros(count, bool)

    def take(c: int) -> None:
        taken[c] = True
        for i in range(starts[c], starts[c + 1]):
            held_tokens[cell_domain[i]] += amounts[i]
            held_clusters[cell_domain[i]] += 1

    target = HELD_OUT_SHARE * totals
    for c in order[small[order]].tolist():
        touched = cell_domain[starts[c] : starts[c + 1]]
        if (held_tokens[touched] < target[touched]).all():
            take(c)

    for d in range(k):
        if held_clusters[d]:
            continue
        own = np.flatnonzero(cell_domain == d)
        for i in own[np.argsort(amounts[own], kind="stable")].tolist():
            c = int(cell_cluster[i])
            touched = cell_domain[starts[c] : starts[c + 1]]
            if (held_clusters[touched] + 1 < clusters_of[touched]).all():
                take(c)
                break
        else:
            raise CausalMixError(
                f"The domain {names[d]} cannot be divided into a training and a held-out part: it needs at "
                "least two distinct documents, and near-duplicates count as one. Add documents to it, or "
                "remove the domain."
            )
    return taken[cluster]


def _cluster_hash(cluster: NDArray[np.int64], digests: NDArray[np.uint8], count: int) -> NDArray[np.uint64]:
    """A number per cluster that depends only on its texts, not on where or in which order they stand."""
    head = np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)
    smallest = np.full(count, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, cluster, head)
    # The smallest of many hashes is small: without mixing again (splitmix64's finaliser, Steele et al.
    # 2014), large clusters would be held out more often.
    mixed = (smallest ^ (smallest >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
