from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy import DomainTokens, TokenPool, heldout_windows
from causalmix_core.proxy.pool import KEPT
from causalmix_core.proxy.spec import END_OF_DOCUMENT
from causalmix_core.proxy.tokens import ByteTokens


def pool(documents: int = 200, seed: int = 0) -> TokenPool:
    rng = np.random.default_rng(1)
    domains = {}
    for letter in "ab":
        texts = [letter * int(n) for n in rng.integers(5, 60, documents)]
        frame = pd.DataFrame(
            {"text": texts, "size": [float(len(t)) for t in texts], "luck": rng.normal(size=documents)}
        )
        domains[letter] = DomainTokens.from_frame(frame, ["size", "luck"])
    return TokenPool(domains, {}, ("size", "luck"), seed)


def test_bytes_and_the_end_of_a_document() -> None:
    (document,) = ByteTokens().documents(["é"])
    assert document.ids.tolist() == [0xC3, 0xA9, END_OF_DOCUMENT]
    assert document.sizes.tolist() == [1, 1, 0]


def test_a_tilt_moves_its_feature_and_no_other() -> None:
    flat, up, down = (pool().sub_pool({"size": t}).state for t in (0.0, 1.5, -1.5))
    assert down["size"] < flat["size"] - 3
    assert up["size"] > flat["size"] + 3
    assert abs(up["luck"] - down["luck"]) < 0.3
    assert pool().sub_pool({"luck": 2.0}).state["luck"] > flat["luck"] + 0.3


def test_a_sub_pool_keeps_about_half_of_the_tokens() -> None:
    p = pool()
    for domain, order in p.sub_pool({"size": 1.0}).order.items():
        docs = p.train[domain]
        assert len(set(order.tolist())) == len(order)
        kept = docs.lengths[order].sum() / docs.lengths.sum()
        assert KEPT <= kept < KEPT + 0.02


def test_the_random_part_is_shared_and_the_seed_changes_it() -> None:
    a, b = pool().sub_pool({}), pool().sub_pool({"size": 0.2})
    common = np.intersect1d(a.order["a"], b.order["a"])
    # the documents that two sub-pools share are read in the same order
    assert len(common) > 0.7 * len(a.order["a"])
    in_a = [i for i in a.order["a"].tolist() if i in set(common.tolist())]
    in_b = [i for i in b.order["a"].tolist() if i in set(common.tolist())]
    assert in_a == in_b
    assert pool(seed=1).sub_pool({}).order["a"].tolist() != a.order["a"].tolist()


@settings(deadline=None)  # a busy machine is no fault
@given(st.floats(0, 1), st.integers(1, 400))
def test_realised_weights_follow_the_mixture(weight: float, count: int) -> None:
    p = pool(documents=20)
    rows = p.sequences(p.sub_pool({}), {"a": weight, "b": 1 - weight}, count, 16)
    assert rows.shape == (count, 16)
    from_a = (rows == ord("a")).sum(axis=1) > (rows == ord("b")).sum(axis=1)
    assert abs(from_a.sum() - weight * count) <= 3  # low discrepancy: within a few sequences at any length


def test_a_domain_without_weight_is_never_read() -> None:
    p = pool(documents=20)
    rows = p.sequences(p.sub_pool({}), {"a": 0.0, "b": 1.0}, 50, 16)
    assert not (rows == ord("a")).any()


def test_a_small_domain_repeats() -> None:
    p = pool(documents=4)
    rows = p.sequences(p.sub_pool({}), {"a": 1.0, "b": 0.0}, 100, 32)
    first = rows.ravel()
    period = int(p.train["a"].lengths[p.sub_pool({}).order["a"]].sum())
    assert (first[:period] == first[period : 2 * period]).all()


def test_documents_without_a_value_neither_tilt_nor_count() -> None:
    texts = pd.DataFrame({"text": ["x" * 9] * 40, "x": [float("nan")] * 10 + [1.0] * 15 + [3.0] * 15})
    p = TokenPool({"a": DomainTokens.from_frame(texts, ("x",))}, {}, ("x",), 0)
    kept = p.sub_pool({})
    values = texts["x"][kept.order["a"]].dropna()
    assert len(values) < len(kept.order["a"])
    assert kept.state["x"] == pytest.approx(values.mean())
    assert p.sub_pool({"x": 5.0}).state["x"] > kept.state["x"] + 0.5


def test_heldout_windows_are_fixed_and_spread() -> None:
    frame = pd.DataFrame({"text": ["x" * 1000, "y" * 1000]})
    windows = heldout_windows(frame, 50, 10)
    assert windows.shape == (10, 50)
    assert (windows[0] == ord("x")).all()
    assert ord("y") in windows[-1]
    with pytest.raises(CausalMixError, match="fewer than one sequence of 5000"):
        heldout_windows(frame, 5000, 10)
