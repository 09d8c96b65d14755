from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from causalmix_core.corpus.held_out import choose_held_out
from causalmix_core.errors import CausalMixError


def digests(n: int, salt: int = 0) -> np.ndarray:
    data = b"".join(hashlib.sha256(f"{salt}/{i}".encode()).digest() for i in range(n))
    return np.frombuffer(data, np.uint8).reshape(-1, 32)


def choose(domain, tokens, cluster, salt=0) -> np.ndarray:
    domain, tokens, cluster = (np.asarray(a, np.int64) for a in (domain, tokens, cluster))
    names = [f"d{i}" for i in range(int(domain.max()) + 1)]
    return choose_held_out(domain, tokens, cluster, digests(len(domain), salt), names)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_clusters_stay_whole_and_every_domain_has_both_parts(data):
    n = data.draw(st.integers(2, 60))
    domain = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    tokens = data.draw(st.lists(st.integers(1, 1000), min_size=n, max_size=n))
    raw = data.draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    domain = np.unique(domain, return_inverse=True)[1]
    cluster = np.unique(raw, return_inverse=True)[1]
    # What no division could satisfy is another test.
    assume(all(len(np.unique(cluster[domain == d])) >= 2 for d in range(domain.max() + 1)))
    try:
        held = choose(domain, tokens, cluster)
    except CausalMixError:
        # Only domains that share clusters can block one another.
        assert any(len(np.unique(domain[cluster == c])) > 1 for c in cluster)
        return
    for c in np.unique(cluster):
        assert len(set(held[cluster == c])) == 1
    for d in range(domain.max() + 1):
        assert set(held[domain == d]) == {True, False}


def test_about_a_tenth_of_each_domain_is_held_out():
    rng = np.random.default_rng(0)
    domain = np.repeat([0, 1, 2], [300, 1000, 3000])
    tokens = rng.integers(50, 2000, len(domain))
    held = choose(domain, tokens, np.arange(len(domain)))
    for d in range(3):
        share = tokens[held & (domain == d)].sum() / tokens[domain == d].sum()
        assert 0.10 <= share <= 0.12


def test_the_choice_does_not_favour_large_clusters():
    """Clusters of 1 and of 8 equal documents must be held out equally often."""
    cluster = np.r_[np.arange(800), np.repeat(np.arange(800, 900), 8)]
    shares = []
    for salt in range(20):
        held = choose(np.zeros(1600), np.full(1600, 100), cluster, salt)
        shares.append((held[:800].mean(), held[800:].mean()))
    singles, groups = np.mean(shares, axis=0)
    assert abs(singles - 0.1) < 0.02
    assert abs(groups - 0.1) < 0.02


def test_a_large_cluster_stays_in_training():
    cluster = np.r_[np.zeros(100, int), np.arange(1, 301)]
    for salt in range(10):
        held = choose(np.zeros(400), np.full(400, 100), cluster, salt)
        assert not held[:100].any()
        assert held[100:].sum() == 40


def test_two_documents_give_one_to_each_part():
    assert sorted(choose([0, 0], [100, 300], [0, 1])) == [False, True]
    assert choose([0, 0], [300, 100], [0, 1]).tolist() == [False, True]


def test_the_order_of_documents_does_not_matter():
    rng = np.random.default_rng(1)
    domain, tokens = rng.integers(0, 3, 400), rng.integers(10, 100, 400)
    cluster, marks = rng.integers(0, 200, 400), digests(400)
    names = ["a", "b", "c"]
    cluster = np.unique(cluster, return_inverse=True)[1]
    held = choose_held_out(domain, tokens, cluster, marks, names)
    order = rng.permutation(400)
    # Clusters are numbered by first appearance, so a shuffled pool numbers them otherwise.
    relabelled = rng.permutation(cluster.max() + 1)[cluster][order]
    shuffled = choose_held_out(domain[order], tokens[order], relabelled, marks[order], names)
    np.testing.assert_array_equal(shuffled, held[order])


@pytest.mark.parametrize("cluster", [[0, 1, 2, 2], [0, 1, 2, 0]])
def test_a_domain_of_one_distinct_document_is_named(cluster):
    with pytest.raises(CausalMixError, match=r"domain d1 .* at least two distinct documents"):
        choose([0, 0, 0, 1] if cluster[3] == 0 else [0, 0, 1, 1], [10, 10, 10, 10], cluster)
