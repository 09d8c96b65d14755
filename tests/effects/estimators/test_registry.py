"""What holds for every estimator: shapes, edges of the data, and that what is said of it is true."""

import pickle

import numpy as np
import pytest

from causalmix_core.effects.estimators import ESTIMATOR_NAMES, ESTIMATORS, Response
from causalmix_core.effects.sample import Sample

NONE = np.array([], dtype=int)
RUNS = 48
REFITTED = [n for n in ESTIMATOR_NAMES if n != "gaussian_process"]
"""The Gaussian process is fitted again as a part of `gp_law`."""


@pytest.fixture(scope="module")
def sample():
    """Three domains, two states of which the second may modify, two outcomes; a third of weights is zero."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(3, 0.7), RUNS)
    weights = np.where(weights < 0.1, 0, weights)
    weights /= weights.sum(axis=1, keepdims=True)
    state = rng.normal(size=(RUNS, 2))
    useful = np.log(weights @ np.array([[1, 0.3], [0.2, 1], [0.1, 0.05]]) + 0.1)
    outcomes = 3 + 0.2 * state[:, :1] - useful * (1 + 0.3 * state[:, 1:])
    return Sample(weights, state, np.array([1]), outcomes + 0.03 * rng.normal(size=outcomes.shape))


@pytest.fixture(scope="module")
def fitted(sample):
    return {name: info.make().fit(sample, 0) for name, info in ESTIMATORS.items()}


def test_every_name_has_words_for_a_curator():
    assert tuple(ESTIMATORS) == ESTIMATOR_NAMES
    assert len({info.label for info in ESTIMATORS.values()}) == len(ESTIMATORS)
    for info in ESTIMATORS.values():
        assert info.source
        assert info.summary.endswith(".")
        assert 0 < info.step <= 0.1


@pytest.mark.parametrize("name", ESTIMATOR_NAMES)
def test_corners_and_zero_weights_have_finite_outcomes(fitted, name):
    found = fitted[name].mean(np.eye(3), np.zeros((3, 2)))
    assert found.shape == (3, 2)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ESTIMATOR_NAMES)
def test_a_domain_helps_the_outcome_that_it_is_useful_for(fitted, effects_of, name):
    info = ESTIMATORS[name]
    found = effects_of(fitted[name], np.full(3, 1 / 3), np.zeros(2), info.step)
    assert found[0, 0] < 0 < found[2, 0]
    assert found[1, 1] < 0 < found[2, 1]


@pytest.mark.parametrize("name", [n for n, i in ESTIMATORS.items() if i.step == 0.01])
def test_smooth_effects_weighted_by_the_mixture_add_up_to_zero(fitted, effects_of, name):
    mixture = np.array([0.5, 0.3, 0.2])
    found = effects_of(fitted[name], mixture, np.array([0.5, -0.5]))
    assert np.abs(mixture @ found).max() < 0.02 * np.abs(found).max()


@pytest.mark.parametrize("name", ESTIMATOR_NAMES)
def test_what_the_registry_says_of_state_and_error_is_true(fitted, name):
    info, response = ESTIMATORS[name], fitted[name]
    mixture, states = np.full((2, 3), 1 / 3), np.array([[-1.0, 0], [1, 0]])
    assert isinstance(response, Response) == info.probabilistic
    assert (np.ptp(response.mean(mixture, states), axis=0) > 0.05).all() == info.uses_state


@pytest.mark.parametrize("name", REFITTED)
def test_the_same_seed_gives_the_same_surface_and_it_can_be_kept(sample, fitted, name):
    few, states = sample.weights[:5], sample.state[:5]
    before = fitted[name].mean(few, states)
    assert ESTIMATORS[name].make().fit(sample, 0).mean(few, states).tolist() == before.tolist()
    assert pickle.loads(pickle.dumps(fitted[name])).mean(few, states).tolist() == before.tolist()


@pytest.mark.parametrize("name", REFITTED)
def test_neither_a_state_nor_all_domains_are_needed(sample, name):
    reduced = Sample(sample.weights[:, :2], np.empty((RUNS, 0)), NONE, sample.outcomes[:, :1])
    found = ESTIMATORS[name].make().fit(reduced, 0).mean(reduced.weights, reduced.state)
    assert found.shape == (RUNS, 1)
    assert np.corrcoef(found[:, 0], reduced.outcomes[:, 0])[0, 1] > 0.5


def test_only_estimators_that_see_the_state_survive_a_state_that_decided_the_mixtures(confounded, effects_of):
    sample, middle, state = confounded.sample(160, 0), np.full(3, 1 / 3), np.zeros(2)

    class Truth:
        mean = staticmethod(confounded.surface)

    truth = effects_of(Truth(), middle, state)
    off = {}
    for name in ("lightgbm", "mixing_law", "linear_dml", "linear_dml_curved", "s_learner"):
        info = ESTIMATORS[name]
        found = effects_of(info.make().fit(sample, 0), middle, state, info.step)
        off[name] = np.linalg.norm(found - truth) / np.linalg.norm(truth)
    assert min(off["lightgbm"], off["mixing_law"]) > 2
    assert max(off["linear_dml"], off["linear_dml_curved"]) < 0.25
    assert off["s_learner"] < 0.8
