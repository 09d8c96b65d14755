from __future__ import annotations

import hashlib

import numpy as np
import pytest

from causalmix_core.corpus.near_duplicates import (
    Clusters,
    SignatureArray,
    SignatureFile,
    find_clusters,
    minhash,
)


def clusters_of(texts: list[str]) -> Clusters:
    digests = np.frombuffer(b"".join(hashlib.sha256(t.encode()).digest() for t in texts), np.uint8)
    return find_clusters(digests.reshape(-1, 32), SignatureArray(minhash(texts)))


def words(n: int, seed: int) -> list[str]:
    return [f"w{i}" for i in np.random.default_rng(seed).integers(10_000, size=n)]


def similar_pair(changed: int, seed: int) -> tuple[list[str], list[str], float]:
    """Two documents of 400 words, `changed` of them replaced, and their true Jaccard similarity."""
    a = words(400, seed)
    b = list(a)
    for i in np.linspace(10, 390, changed).astype(int):
        b[i] = f"x{i}"
    sets = [{tuple(d[i : i + 5]) for i in range(len(d) - 4)} for d in (a, b)]
    return a, b, len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_exact_and_near_duplicates_and_strangers():
    base = " ".join(words(200, 1))
    other = " ".join(words(200, 2))
    found = clusters_of(
        [base, other, base + " end", other, base, "three short words", "three  short words\n"]
    )
    assert found.cluster.tolist() == [0, 1, 0, 1, 0, 2, 2]
    assert found.exact_duplicate.tolist() == [False, False, False, True, True, False, False]
    assert found.near_duplicate.tolist() == [False, False, True, True, True, False, True]


@pytest.mark.parametrize(("changed", "joined"), [(3, 40), (6, (30, 40)), (16, (0, 3)), (40, 0)])
def test_pairs_join_above_a_similarity_of_about_four_fifths(changed, joined):
    """3 changes: 0.93; 6: 0.86; 16: 0.67; 40: 0.35."""
    together = 0
    for seed in range(40):
        a, b, jaccard = similar_pair(changed, seed)
        assert (jaccard > 0.8) == (changed <= 6)
        together += len(set(clusters_of([" ".join(a), " ".join(b)]).cluster.tolist())) == 1
    low, high = joined if isinstance(joined, tuple) else (joined, joined)
    assert low <= together <= high


def test_a_chain_of_near_duplicates_is_one_cluster():
    text = words(400, 3)
    chain = [" ".join(text)]
    for step in range(12):
        for i in range(30 * step, 30 * step + 10):
            text[i] = f"y{i}"
        chain.append(" ".join(text))
    assert set(clusters_of(chain).cluster.tolist()) == {0}
    assert len(set(clusters_of([chain[0], chain[-1]]).cluster.tolist())) == 2


def test_a_large_group_of_copies_is_one_cluster_and_ids_follow_first_appearance():
    base = words(300, 4)
    copies = [" ".join([*base, f"copy{i}"]) for i in range(300)]
    strangers = [" ".join(words(60, 100 + i)) for i in range(50)]
    found = clusters_of(strangers[:25] + copies + strangers[25:])
    assert found.cluster.tolist() == [*range(25), *[25] * 300, *range(26, 51)]
    assert found.near_duplicate.sum() == 299
    assert not found.exact_duplicate.any()


def test_grouping_does_not_depend_on_the_order_and_repeats():
    texts = []
    for seed in range(30):
        a, b, _ = similar_pair(4, seed)
        texts += [" ".join(a), " ".join(b)]
    order = np.random.default_rng(0).permutation(len(texts))
    straight, again = clusters_of(texts), clusters_of(texts)
    shuffled = clusters_of([texts[i] for i in order])
    np.testing.assert_array_equal(straight.cluster, again.cluster)
    same = straight.cluster[order][:, None] == straight.cluster[order]
    np.testing.assert_array_equal(same, shuffled.cluster[:, None] == shuffled.cluster)


def test_an_empty_pool_has_no_clusters():
    found = find_clusters(np.empty((0, 32), np.uint8), SignatureArray(minhash([])))
    assert found.cluster.shape == (0,)


def test_signatures_on_disk_give_the_same_clusters(tmp_path):
    texts = [" ".join(similar_pair(4, seed)[side]) for seed in range(20) for side in (0, 1)]
    digests = np.frombuffer(b"".join(hashlib.sha256(t.encode()).digest() for t in texts), np.uint8)
    signatures = minhash(texts)
    signatures.tofile(tmp_path / "signatures.bin")
    stored = SignatureFile(tmp_path / "signatures.bin", len(texts))
    found = find_clusters(digests.reshape(-1, 32), stored)
    np.testing.assert_array_equal(found.cluster, clusters_of(texts).cluster)
    assert found.near_duplicate.sum() == 20


def test_clusters_can_be_numbered_anew():
    found = Clusters.from_keys(np.array([7, 3, 7, 5]), np.array([9, 1, 9, 1]))
    assert found.cluster.tolist() == [0, 1, 0, 1]
    assert found.exact_duplicate.tolist() == [False, False, True, False]
    assert found.near_duplicate.tolist() == [False, False, True, True]
