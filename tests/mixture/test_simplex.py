from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import check_mixture, in_units, proportional, total_variation

sizes = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4), st.floats(0, 1e12), min_size=1, max_size=20
).filter(lambda s: sum(s.values()) > 1e-6)


@given(sizes, st.integers(1, 10**12))
def test_units_sum_exactly_and_are_off_by_less_than_one(weights: dict[str, float], total: int) -> None:
    units = in_units(weights, total)
    assert sum(units.values()) == total
    whole = math.fsum(weights.values())
    assert all(abs(units[d] - weights[d] / whole * total) <= 1 + total * 1e-12 for d in weights)


@given(sizes, st.integers(1, 10**6), st.randoms())
def test_the_order_of_names_does_not_matter(weights: dict[str, float], total: int, rng) -> None:
    names = list(weights)
    rng.shuffle(names)
    assert in_units({d: weights[d] for d in names}, total) == in_units(weights, total)


@given(sizes)
def test_proportional_is_a_mixture_and_distance_is_a_metric(values: dict[str, float]) -> None:
    mixture = proportional(values)
    assert check_mixture(mixture, values) == pytest.approx(mixture)
    other = proportional(dict.fromkeys(values, 1.0))
    assert total_variation(mixture, mixture) == 0
    assert total_variation(mixture, other) == pytest.approx(total_variation(other, mixture))
    assert 0 <= total_variation(mixture, other) <= 1


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"a": 0.5}, "no weight for b"),
        ({"a": 0.5, "b": 0.5, "c": 0.0}, "unknown domain c"),
        ({"a": -0.1, "b": 1.1}, "weight of a is -0.1"),
        ({"a": math.nan, "b": 1.0}, "weight of a is nan"),
        ({"a": 0.5, "b": 0.6}, "sum to 1.100000"),
    ],
)
def test_what_is_no_mixture_is_refused(weights: dict[str, float], words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        check_mixture(weights, ["a", "b"])


def test_sizes_must_be_usable() -> None:
    with pytest.raises(CausalMixError, match="every domain"):
        proportional({"a": 0, "b": 0})
    with pytest.raises(CausalMixError, match="b has no usable size"):
        proportional({"a": 1, "b": -1})
