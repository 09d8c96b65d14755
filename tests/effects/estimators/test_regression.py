"""Least squares on weights that sum to one."""

import numpy as np
import pytest

from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.sample import Sample

NONE = np.array([], dtype=int)


def fit(weights, outcomes):
    sample = Sample(weights, np.empty((len(weights), 0)), NONE, outcomes)
    return ESTIMATORS["linear_regression"].make().fit(sample, 0)


def test_a_line_is_found_exactly_and_its_effects_add_up_to_zero(effects_of):
    rng = np.random.default_rng(0)
    weights, slopes = rng.dirichlet(np.ones(4), 20), rng.normal(size=(4, 2))
    fitted = fit(weights, 3 + weights @ slopes)
    fresh = rng.dirichlet(np.ones(4), 5)
    assert fitted.mean(fresh, np.empty((5, 0))) == pytest.approx(3 + fresh @ slopes)
    mixture = np.array([0.1, 0.2, 0.3, 0.4])
    found = effects_of(fitted, mixture, np.empty(0))
    assert found == pytest.approx(0.01 * (slopes - mixture @ slopes))
    assert mixture @ found == pytest.approx(0, abs=1e-12)


def test_weights_of_a_graph_with_exclusions_keep_their_own_slopes():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(4), 20)[:, :2]
    fitted = fit(weights, 1 + weights @ [[2.0], [-5.0]])
    assert fitted.mean(np.array([[0.5, 0], [0, 0.5]]), np.empty((2, 0)))[:, 0] == pytest.approx([2, -1.5])


def test_fewer_runs_than_domains_are_met_without_extremes():
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.ones(17), 12)
    outcomes = weights @ rng.normal(size=(17, 1))
    fitted = fit(weights, outcomes)
    assert fitted.mean(weights, np.empty((12, 0))) == pytest.approx(outcomes)
    assert np.abs(fitted.slopes).max() < 10


def test_outcomes_can_be_picked():
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), 10)
    fitted = fit(weights, rng.normal(size=(10, 3)))
    both, one = fitted.mean(weights, np.empty((10, 0))), fitted.restricted([2, 0])
    assert one.mean(weights, np.empty((10, 0))) == pytest.approx(both[:, [2, 0]])
