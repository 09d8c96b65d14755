"""The mixing law on outcomes that follow one, and where there is too little to find it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects.estimators.mixing_law import MixingLaw
from causalmix_core.effects.sample import Sample

NONE = np.array([], dtype=int)
COUNTS = np.array([[1.0, 0.3, 0.05, 0.0], [0.1, 0.0, 1.0, 0.4]])


def law(weights, sign=1.0, exponent=0.4):
    """Two outcomes of four domains."""
    return 2 + sign * 0.5 * (0.05 + weights @ COUNTS[:, : weights.shape[1]].T) ** -exponent


def fit(weights, outcomes):
    return MixingLaw().fit(Sample(weights, np.empty((len(weights), 0)), NONE, outcomes), 0)


def at(fitted, weights):
    return fitted.mean(weights, np.empty((len(weights), 0)))


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(4, 0.7), 64), rng.dirichlet(np.ones(4), 50)


@pytest.fixture(scope="module")
def fitted(drawn):
    return fit(drawn[0], law(drawn[0]))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("exponent", [0.1, 0.4, 1.5])
def test_a_law_is_found_whether_outcomes_fall_or_rise(drawn, effects_of, sign, exponent):
    weights, fresh = drawn
    found = fit(weights, law(weights, sign, exponent))
    truth = law(fresh, sign, exponent)
    assert found.signs.tolist() == [sign, sign]
    assert ((at(found, fresh) - truth) ** 2).mean() < 2e-3 * truth.var()
    mixture = np.array([0.1, 0.2, 0.3, 0.4])
    effects = effects_of(found, mixture, np.empty(0))
    half = 0.005 * (np.eye(4) - mixture)
    true_effects = law(mixture + half, sign, exponent) - law(mixture - half, sign, exponent)
    assert effects == pytest.approx(true_effects, abs=0.1 * np.abs(true_effects).max())
    assert mixture @ effects == pytest.approx(0, abs=1e-3 * np.abs(true_effects).max())


def test_an_exponential_law_is_its_limit(drawn):
    weights, fresh = drawn
    truth = 2 + np.exp(-2 * fresh @ COUNTS.T)
    found = at(fit(weights, 2 + np.exp(-2 * weights @ COUNTS.T)), fresh)
    assert ((found - truth) ** 2).mean() < 1e-2 * truth.var()


def test_weights_that_a_graph_leaves_need_not_sum_to_one(drawn):
    weights, fresh = (w[:, :2] for w in drawn)
    found = at(fit(weights, law(weights)), fresh)
    assert ((found - law(fresh)) ** 2).mean() < 1e-3 * law(fresh).var()


def test_sixteen_runs_of_seventeen_domains_rank_mixtures():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    counts = rng.exponential(size=17) * (rng.uniform(size=17) < 0.3) + 0.01
    weights, fresh = rng.dirichlet(np.full(17, 0.3), 16), rng.dirichlet(np.full(17, 0.3), 100)
    outcomes = 3 - np.log(0.02 + weights @ counts) + 0.02 * rng.normal(size=16)
    found = at(fit(weights, outcomes[:, None]), fresh)[:, 0]
    assert spearmanr(found, fresh @ counts).statistic < -0.8


def test_a_domain_that_no_run_holds_leaves_the_fit_finite(drawn):
    weights = np.column_stack([drawn[0], np.zeros(64)])
    found = at(fit(weights, law(drawn[0])), np.eye(5))
    assert np.isfinite(found).all()
    assert found[:4] == pytest.approx(at(fit(drawn[0], law(drawn[0])), np.eye(4)), rel=0.05)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_more_of_anything_never_raises_a_loss(fitted, weights, more):
    before, after = np.array([weights]), np.array([weights]) + np.array([more])
    assert (at(fitted, after) <= at(fitted, before) + 1e-12).all()


def test_units_of_an_outcome_do_not_matter(drawn, fitted):
    weights, fresh = drawn
    scaled = fit(weights, 1e4 * law(weights) - 7)
    assert at(scaled, fresh) == pytest.approx(1e4 * at(fitted, fresh) - 7, rel=1e-6)


def test_it_is_the_same_every_time_and_does_not_see_the_state(drawn, fitted):
    weights, fresh = drawn
    sample = Sample(weights, np.ones((64, 2)), np.arange(2), law(weights))
    again = MixingLaw().fit(sample, 1)
    assert again.mean(fresh, np.full((50, 2), 9.0)).tolist() == at(fitted, fresh).tolist()
    assert at(fitted.restricted([1]), fresh).tolist() == at(fitted, fresh)[:, [1]].tolist()
