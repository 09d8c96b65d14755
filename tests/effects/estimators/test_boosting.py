"""Boosted trees: RegMix's settings, and the S-learner that sees the pool state."""

import numpy as np
import pytest

from causalmix_core.effects.estimators.boosting import RegMixBoosting, StateBoosting
from causalmix_core.effects.sample import Sample

STEP = 0.10


def mixtures(n, seed, outcomes=1):
    """Losses that fall with the first weight, most where the first state is high."""
    rng = np.random.default_rng(seed)
    weights, state = rng.dirichlet(np.ones(3), n), rng.normal(size=(n, 2))
    losses = -np.log(weights[:, [0]] + 0.1) * (1 + 0.5 * np.tanh(state[:, [0]]))
    return Sample(weights, state, np.arange(2), losses * np.arange(1, outcomes + 1))


def rank_correlation(found, truth):
    from scipy.stats import spearmanr

    return spearmanr(found[:, 0], truth[:, 0]).statistic


def test_regmix_s_settings_learn_nothing_from_fewer_than_40_runs():
    few, enough, fresh = mixtures(39, 0), mixtures(150, 0), mixtures(50, 1)
    assert np.ptp(RegMixBoosting().fit(few, 0).mean(fresh.weights, fresh.state)) < 1e-12
    found = RegMixBoosting().fit(enough, 0).mean(fresh.weights, fresh.state)
    assert rank_correlation(found, fresh.outcomes) > 0.8


def test_small_trees_learn_from_32_runs():
    sample, fresh = mixtures(32, 0), mixtures(50, 1)
    found = StateBoosting().fit(sample, 0).mean(fresh.weights, fresh.state)
    assert rank_correlation(found, fresh.outcomes) > 0.75


def test_only_the_s_learner_looks_at_the_state_and_sees_where_effects_are_larger(effects_of):
    sample, middle = mixtures(200, 2), np.full(3, 1 / 3)
    low, high = np.array([-1.5, 0]), np.array([1.5, 0])
    blind, seeing = RegMixBoosting().fit(sample, 0), StateBoosting().fit(sample, 0)
    assert effects_of(blind, middle, low, STEP).tolist() == effects_of(blind, middle, high, STEP).tolist()
    there, here = (effects_of(seeing, middle, x, STEP)[0, 0] for x in (high, low))
    assert there < here < 0


def test_the_seed_draws_the_runs_of_each_tree_and_nothing_else_is_random():
    sample = mixtures(48, 3)
    first, again, other = (
        StateBoosting().fit(sample, seed).mean(sample.weights, sample.state) for seed in (0, 0, 1)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    one, two = (RegMixBoosting().fit(sample, s).mean(sample.weights, sample.state) for s in (0, 1))
    assert one.tolist() == two.tolist()


def test_outcomes_can_be_picked():
    sample = mixtures(48, 4, outcomes=3)
    fitted = StateBoosting().fit(sample, 0)
    every = fitted.mean(sample.weights, sample.state)
    assert fitted.restricted([2, 0]).mean(sample.weights, sample.state) == pytest.approx(every[:, [2, 0]])
