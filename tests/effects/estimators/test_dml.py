"""Double machine learning: features that bend, effects that differ between states, and confounding."""

import numpy as np
import pytest

from causalmix_core.effects.estimators.dml import RUNS_PER_PARAMETER, DoubleMachineLearning, residual_score
from causalmix_core.effects.estimators.regression import LinearRegression
from causalmix_core.effects.features import (
    EPSILONS,
    CurvedMap,
    LogMap,
    StandardMap,
    choose_curved_map,
    choose_log_map,
)
from causalmix_core.effects.sample import Sample
from causalmix_core.errors import CausalMixError

NONE = np.array([], dtype=int)
VARIANTS = [
    ("linear", "log", "ridge"),
    ("linear", "curved", "ridge"),
    ("forest", "curved", "ridge"),
    ("forest", "log", "boosting"),
]


class Surface:
    """A surface that is known, to be held against fitted ones."""

    def __init__(self, mean):
        self.mean = mean


def without_state(weights, outcomes):
    return Sample(weights, np.empty((len(weights), 0)), NONE, outcomes)


def modified(n, seed, modifiers):
    """One loss of two domains and a third that the graph excludes; only the first of two states modifies."""
    rng = np.random.default_rng(seed)
    weights, state = rng.dirichlet(np.ones(3), n)[:, :2], rng.normal(size=(n, 2))
    slope = -np.array([0.6, 0.2]) * (1 + 0.6 * np.tanh(state[:, :1]))
    loss = 0.5 * state[:, 1] + (np.log(weights + 0.1) * slope).sum(axis=1)
    return Sample(weights, state, modifiers, (loss + 0.02 * rng.normal(size=n))[:, None])


@pytest.mark.parametrize("variant", VARIANTS)
def test_effects_follow_the_truth_and_add_up_to_zero(world, sample_of, effects_of, variant):
    sample = sample_of(world, 72, 1)
    fitted = DoubleMachineLearning(*variant).fit(sample, 0)
    found = effects_of(fitted, world.reference, np.zeros(3))
    truth = world.effects(np.zeros(3), world.reference)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.95
    assert (np.sign(np.diag(found)) == np.sign(np.diag(truth))).all()
    assert np.abs(world.reference @ found).max() < 0.02 * np.abs(found).max()


@pytest.mark.parametrize("variant", VARIANTS)
def test_effects_are_right_where_the_state_decided_the_mixtures(confounded, effects_of, variant):
    fitted = DoubleMachineLearning(*variant).fit(confounded.sample(120, 0), 0)
    middle, state = np.full(3, 1 / 3), np.zeros(2)
    truth = effects_of(Surface(confounded.surface), middle, state)
    off = effects_of(fitted, middle, state) - truth
    assert np.linalg.norm(off) < 0.4 * np.linalg.norm(truth)


@pytest.mark.parametrize("final", ["linear", "forest"])
def test_effects_differ_by_the_modifier_alone(effects_of, final):
    fitted = DoubleMachineLearning(final, "log", "ridge").fit(modified(160, 0, np.array([0])), 0)
    mixture = np.array([0.3, 0.3])

    def effect(first, second):
        return effects_of(fitted, mixture, np.array([first, second]))[0, 0]

    assert fitted.notes == ()
    assert effect(1.0, 0.0) < 0.7 * effect(-1.0, 0.0) < 0
    assert effect(1.0, 2.0) == pytest.approx(effect(1.0, -2.0))


def test_too_few_runs_for_effects_by_state_are_said_and_give_one_effect(effects_of):
    needed = RUNS_PER_PARAMETER * 2 * 2
    few, enough = modified(needed - 1, 0, np.array([0])), modified(needed, 0, np.array([0]))
    fitted = DoubleMachineLearning("linear", "log", "ridge").fit(few, 0)
    assert "One effect for all pool states" in fitted.notes[0]
    assert f"about {needed} runs" in fitted.notes[0]
    assert f"there are {needed - 1}" in fitted.notes[0]
    low, high = (effects_of(fitted, np.full(2, 0.3), np.array([x, 0])) for x in (-1, 1))
    assert low == pytest.approx(high)
    assert DoubleMachineLearning("linear", "log", "ridge").fit(enough, 0).notes == ()


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_a_state_it_is_a_regression_on_bent_weights(variant):
    rng = np.random.default_rng(0)
    weights, fresh = rng.dirichlet(np.ones(3), 40), rng.dirichlet(np.ones(3), 20)

    def losses(w):
        return -np.log(w[:, :2] + 0.1)

    fitted = DoubleMachineLearning(*variant).fit(without_state(weights, losses(weights)), 0)
    found = fitted.mean(fresh, np.empty((20, 0)))
    assert ((found - losses(fresh)) ** 2).mean() < 0.1 * losses(fresh).var()


def test_a_state_that_may_not_modify_is_only_held_fixed(confounded, effects_of):
    sample = confounded.sample(120, 0)
    held = Sample(sample.weights, sample.state, NONE, sample.outcomes)
    fitted = DoubleMachineLearning("forest", "log", "ridge").fit(held, 0)
    middle = np.full(3, 1 / 3)
    truth = effects_of(Surface(confounded.surface), middle, np.zeros(2))
    found = effects_of(fitted, middle, np.zeros(2))
    assert found == pytest.approx(effects_of(fitted, middle, np.array([2, -2])))
    assert np.linalg.norm(found - truth) < 0.4 * np.linalg.norm(truth)


def test_many_mixtures_in_one_state_are_answered_as_one_by_one(confounded):
    sample = confounded.sample(80, 1)
    fitted = DoubleMachineLearning("linear", "curved", "ridge").fit(sample, 0)
    together = fitted.mean(sample.weights[:5], np.tile(sample.state[:1], (5, 1)))
    mixed = fitted.mean(np.vstack([sample.weights[:5], sample.weights[5:6]]), sample.state[[0] * 5 + [5]])
    assert together == pytest.approx(mixed[:5])


def test_outcomes_can_be_picked(world, sample_of):
    sample = sample_of(world, 40, 2)
    fitted = DoubleMachineLearning("linear", "log", "ridge").fit(sample, 0)
    every = fitted.mean(sample.weights, sample.state)
    twice = fitted.restricted([4, 1]).restricted([1])
    assert twice.mean(sample.weights, sample.state) == pytest.approx(every[:, [1]])


def test_the_residual_score_tells_true_effects_from_confounded_ones_and_from_none(confounded):
    train, held = confounded.sample(120, 0), confounded.sample(80, 1)

    def score(response):
        return residual_score(train, held, response)[0]

    fitted = DoubleMachineLearning("linear", "log", "ridge").fit(train, 0)
    assert score(Surface(confounded.surface)) > score(fitted) > 0.6
    assert score(Surface(lambda w, x: 5 * x[:, :1])) == pytest.approx(0)
    assert score(LinearRegression().fit(train, 0)) < 0
    shuffled = train.with_outcomes(np.random.default_rng(0).permutation(train.outcomes))
    nothing = DoubleMachineLearning("linear", "log", "ridge").fit(shuffled, 0)
    assert residual_score(shuffled, held, nothing)[0] < 0.1


@pytest.mark.parametrize("eps", EPSILONS)
def test_the_eps_of_the_truth_is_chosen(eps):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(4), 60)
    outcome = np.log(weights + eps) @ rng.normal(size=(4, 1)) + 0.01 * rng.normal(size=(60, 1))
    assert choose_log_map(weights, np.empty((60, 0)), NONE, outcome).map == LogMap(eps)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("bend", ["square", "entropy"])
def test_the_curvature_of_the_truth_is_chosen(own, bend):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(4), 80)
    bent = weights**2 if bend == "square" else weights * np.log(weights)
    each = np.array([1.0, -2.0, 3.0, 0.5]) if own else np.ones(4)
    outcomes = weights @ rng.normal(size=(4, 8)) + (bent @ each)[:, None] + 0.01 * rng.normal(size=(80, 8))
    assert choose_curved_map(weights, np.empty((80, 0)), NONE, outcomes).map == CurvedMap(bend, own, True)


def test_many_domains_and_few_runs_share_one_curvature():
    rng = np.random.default_rng(0)
    weights, outcome = rng.dirichlet(np.ones(17), 30), rng.normal(size=(30, 1))
    chosen = choose_curved_map(weights, np.empty((30, 0)), NONE, outcome)
    assert not chosen.map.own
    assert chosen.size == 17


def test_weights_are_dropped_only_where_they_sum_to_one_and_bend_at_zero():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 30)
    outcome = (weights**2).sum(axis=1, keepdims=True)
    assert choose_curved_map(weights, np.empty((30, 0)), NONE, outcome).map.drop_last
    assert not choose_curved_map(weights[:, :2], np.empty((30, 0)), NONE, outcome).map.drop_last
    for bend in ("square", "entropy"):
        assert np.isfinite(CurvedMap(bend, True, False).features(np.array([[0.0, 1.0]]))).all()


def test_features_that_never_vary_are_left_out():
    rng = np.random.default_rng(0)
    weights = np.column_stack([rng.dirichlet(np.ones(2), 30), np.zeros(30)])
    standard = StandardMap.of(LogMap(0.1), weights)
    features = standard.features(weights)
    assert standard.size == 2
    assert features.mean(axis=0) == pytest.approx(0)
    assert features.std(axis=0) == pytest.approx(1)
    fitted = DoubleMachineLearning("linear", "log", "ridge").fit(without_state(weights, weights[:, :1]), 0)
    assert np.isfinite(fitted.mean(np.eye(3), np.empty((3, 0)))).all()


def test_runs_of_one_mixture_are_refused():
    same = without_state(np.full((30, 3), 1 / 3), np.random.default_rng(0).normal(size=(30, 1)))
    with pytest.raises(CausalMixError, match="same mixture"):
        DoubleMachineLearning("linear", "log", "ridge").fit(same, 0)
