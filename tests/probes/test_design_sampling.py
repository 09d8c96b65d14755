from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kstest

from causalmix_core.probes.sampling import Bounds, grid_mixtures, grid_size, sobol_mixtures


def open_bounds(domains: int, least: float = 0.0) -> Bounds:
    return Bounds(np.full(domains, least), np.ones(domains))


def spacing(weights: np.ndarray) -> float:
    return float((squareform(pdist(weights, "cityblock")) + 9 * np.eye(len(weights))).min(axis=1).mean())


@pytest.mark.parametrize("domains", [2, 3, 6])
def test_sobol_mixtures_are_uniform_on_the_simplex(domains: int) -> None:
    weights = sobol_mixtures(1024, 3, open_bounds(domains))
    # each weight of a uniform draw is Beta(1, K - 1); low discrepancy is far closer than chance
    for column in weights.T:
        assert kstest(column, "beta", args=(1, domains - 1)).statistic < 0.02
    assert weights.sum(axis=1) == pytest.approx(1)


def test_sobol_mixtures_lie_further_apart_than_random_ones() -> None:
    ours = np.mean([spacing(sobol_mixtures(64, seed, open_bounds(4))) for seed in range(5)])
    rng = np.random.default_rng(0)
    random = np.mean([spacing(rng.dirichlet(np.ones(4), 64)) for _ in range(20)])
    assert ours > 1.1 * random
    assert (sobol_mixtures(64, 0, open_bounds(4)) != sobol_mixtures(64, 1, open_bounds(4))).any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_sobol_mixtures_keep_any_bounds_that_can_be_met(data: st.DataObject) -> None:
    domains = data.draw(st.integers(2, 7))
    least = data.draw(st.floats(0, 0.99 / domains))
    upper = np.array(data.draw(st.lists(st.floats(least, 1), min_size=domains, max_size=domains)))
    if upper.sum() <= 1.001:
        upper = np.minimum(1, upper + (1.002 - upper.sum()) / domains)
    bounds = Bounds(np.full(domains, least), upper)
    weights = sobol_mixtures(20, 1, bounds)
    assert weights.sum(axis=1) == pytest.approx(1, abs=1e-9)
    assert (weights >= bounds.lower - 1e-9).all()
    assert (weights <= bounds.upper + 1e-9).all()


@given(st.integers(2, 5), st.integers(1, 5))
def test_a_grid_has_every_composition_once(domains: int, steps: int) -> None:
    grid = grid_mixtures(steps, open_bounds(domains))
    assert len(grid) == grid_size(domains, steps) == len(np.unique(grid.round(9), axis=0))
    units = grid * (steps + 1) - 1 / domains
    assert units == pytest.approx(units.round(), abs=1e-9)
    assert grid.sum(axis=1) == pytest.approx(1)
    assert grid.mean(axis=0) == pytest.approx(1 / domains)


@given(
    st.lists(st.floats(0.001, 1), min_size=2, max_size=6),
    st.lists(st.floats(0.01, 1), min_size=6, max_size=6),
)
def test_capping_keeps_the_sum_and_the_ratios_of_the_others(parts: list[float], caps: list[float]) -> None:
    weights = np.array(parts) / sum(parts)
    upper = np.array(caps[: len(parts)])
    upper = np.minimum(1, upper / min(1, upper.sum() / 1.1))
    if upper.sum() <= 1:
        return
    capped = Bounds(np.zeros(len(parts)), upper).capped(weights)
    assert capped.sum() == pytest.approx(1)
    assert (capped <= upper + 1e-9).all()
    free = capped < upper - 1e-9
    if free.any():
        ratio = capped[free] / weights[free]
        assert ratio == pytest.approx(ratio[0])
        assert ratio[0] >= 1 - 1e-9
