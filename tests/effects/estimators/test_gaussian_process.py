"""The Gaussian process against truths that are known: surfaces, posteriors and runs left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects.estimators import gp_hyperparameters, gp_posterior
from causalmix_core.effects.estimators.averaging import LawAverage
from causalmix_core.effects.estimators.gaussian_process import GaussianProcess
from causalmix_core.effects.estimators.gp_hyperparameters import Evidence, Prior
from causalmix_core.effects.estimators.gp_kernel import Features, Layout
from causalmix_core.effects.estimators.mixing_law import MixingLaw
from causalmix_core.effects.sample import Sample

NORMAL = 1.96


def make_sample(n: int, d: int = 4, p: int = 2, m: int = 1, *, noise: float = 0.05, seed: int = 0) -> Sample:
    """Outcome j falls with the root of domain j, more so where state 0 is high; other domains do nothing."""
    rng = np.random.default_rng(seed)
    weights, state = rng.dirichlet(np.ones(d), n), rng.normal(size=(n, p))
    outcomes = np.stack([surface(weights, state, j) for j in range(m)], axis=1)
    modifiers = np.arange(min(p, 1))
    return Sample(weights, state, modifiers, outcomes + noise * rng.normal(size=(n, m)))


def surface(weights: np.ndarray, state: np.ndarray, outcome: int = 0) -> np.ndarray:
    strength = 1 + 0.5 * np.tanh(state[:, 0]) if state.shape[1] else 1.0
    return 3 - strength * np.sqrt(weights[:, outcome] + 0.05) + 0.2 * state[:, 1:].sum(axis=1)


@pytest.fixture(scope="module")
def fitted() -> tuple[Sample, Any]:
    sample = make_sample(40, m=2)
    return sample, GaussianProcess().fit(sample, 0)


@pytest.mark.parametrize("modifiers", [(), (0, 2)])
@pytest.mark.parametrize("p", [0, 3])
def test_gradients_are_those_of_the_value(p: int, modifiers: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    weights, state, outcome = rng.dirichlet(np.ones(4), 15), rng.normal(size=(15, p)), rng.normal(size=15)
    layout = Layout(4, p, modifiers if p else ())
    prior = Prior.of(layout)
    evidence = Evidence(layout, prior, Features(weights), weights, state, outcome)
    theta = prior.mean + 0.3 * rng.normal(size=layout.size)
    step = 1e-5
    numeric = [
        (evidence(theta + step * e)[0] - evidence(theta - step * e)[0]) / (2 * step)
        for e in np.eye(layout.size)
    ]
    np.testing.assert_allclose(evidence(theta)[1], numeric, rtol=1e-5, atol=1e-5)


def test_evidence_is_the_density_of_the_outcomes() -> None:
    from scipy.stats import multivariate_normal

    sample = make_sample(12)
    layout = Layout(4, 2, (0,))
    prior, features = Prior.of(layout), Features(sample.weights)
    outcome = sample.outcomes[:, 0] - sample.outcomes.mean()
    evidence = Evidence(layout, prior, features, sample.weights, sample.state, outcome)
    data = (features, sample.weights, sample.state, outcome)
    found = []
    for theta in (prior.mean, prior.mean + 0.3):
        process, _ = gp_posterior.Process.condition(layout, theta, *data)
        covariance = process.covariance(process.scaled, sample.state) + process.variance("noise") * np.eye(12)
        density = multivariate_normal(np.zeros(12), covariance).logpdf(outcome)
        found.append(evidence(theta)[0] - prior.value(theta)[0] + density)
    assert found[0] == pytest.approx(found[1], abs=1e-8)


def test_a_known_surface_is_found_and_intervals_hold_it() -> None:
    held, errors = [], []
    for seed in range(4):
        sample = make_sample(48, seed=seed)
        response = GaussianProcess().fit(sample, seed)
        new = make_sample(200, noise=0.0, seed=100 + seed)
        error = response.mean(new.weights, new.state) - new.outcomes
        held.append(np.abs(error) < NORMAL * response.error(new.weights, new.state))
        errors.append((error**2).mean() / new.outcomes.var())
        assert response.noise[0] == pytest.approx(0.05, rel=0.6)
    assert max(errors) < 0.1
    assert 0.85 < np.mean(held) < 0.999


def test_effects_of_simulated_worlds_are_inside_their_intervals(draw_world: Callable[[int], Any]) -> None:
    held, wrong, size = [], [], []
    for seed in range(3):
        world = draw_world(seed)
        runs = world.runs(48, seed)
        sample = Sample(runs.weights(), runs.state(), np.arange(3), runs.frame[runs.outcomes].to_numpy())
        response, state = GaussianProcess().fit(sample, 0), np.array([0.5, -0.5, 0.0])
        toward = np.eye(6) - world.reference
        start, end = world.reference - 0.005 * toward, world.reference + 0.005 * toward
        change, error = response.contrast(start, end, state)
        truth = world.effects(state, world.reference)
        held.append(np.abs(change - truth) < NORMAL * error)
        wrong.append((change - truth) ** 2)
        size.append((truth - truth.mean()) ** 2)
    assert np.mean(wrong) < 0.1 * np.mean(size)
    assert np.mean(held) > 0.85


def test_a_change_is_the_difference_of_means(fitted: tuple[Sample, Any]) -> None:
    sample, response = fitted
    start, end, state = sample.weights[:1], sample.weights[1:6], sample.state[3]
    change, error = response.contrast(start, end, state)
    rows = np.tile(state, (5, 1))
    difference = response.mean(end, rows) - response.mean(start, state[None])
    np.testing.assert_allclose(change, difference, atol=1e-9)
    back, same = response.contrast(end, np.tile(start, (5, 1)), state)
    np.testing.assert_allclose(back, -change, atol=1e-9)
    np.testing.assert_allclose(same, error, rtol=1e-6)
    assert response.contrast(start, start, state)[1] == pytest.approx(0, abs=1e-9)


def test_the_error_of_a_small_step_shrinks_with_the_step(fitted: tuple[Sample, Any]) -> None:
    sample, response = fitted
    middle = sample.weights.mean(axis=0)
    toward = np.eye(4)[:1] - middle
    per_step = [
        (response.contrast(middle[None], middle + h * toward, np.zeros(2))[1] / h).ravel()
        for h in (1e-2, 1e-3, 1e-4, 1e-5)
    ]
    assert np.allclose(per_step, per_step[0], rtol=0.1)


def test_the_error_of_a_change_is_that_of_the_joint_posterior() -> None:
    sample = make_sample(25)
    response = GaussianProcess().fit(sample, 0)
    alone = response.refitted(sample)
    process = alone._surfaces[0].best
    state = np.array([0.3, -1.0])
    pair = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1]])
    everything = np.vstack([sample.weights, pair])
    states = np.vstack([sample.state, state, state])
    whole, _ = gp_posterior.Process.condition(
        process.layout, process.theta, process.features, everything, states, np.zeros(27)
    )
    joint = whole.covariance(whole.scaled, states)
    inner, cross = joint[:25, :25] + process.variance("noise") * np.eye(25), joint[25:, :25]
    left = joint[25:, 25:] - cross @ np.linalg.solve(inner, cross.T)
    expected = np.sqrt(left[0, 0] + left[1, 1] - 2 * left[0, 1]) * sample.outcomes.std()
    # Adding two points moves the centre of the straight part; the constant takes that up, to its wide prior.
    assert alone.contrast(pair[:1], pair[1:], state)[1].item() == pytest.approx(expected, rel=1e-3)


def test_left_out_runs_are_predicted_as_a_fit_without_them_does(fitted: tuple[Sample, Any]) -> None:
    sample, response = fitted
    alone = response.refitted(sample)
    mean, error = alone.left_out()
    for run in (0, 7):
        without = alone.refitted(sample.rows(np.arange(40) != run))
        there = sample.weights[[run]], sample.state[[run]]
        np.testing.assert_allclose(mean[[run]], without.mean(*there), rtol=1e-4)
        np.testing.assert_allclose(error[run], np.hypot(without.error(*there)[0], without.noise), rtol=1e-3)


def test_many_states_at_once_and_differences_between_states(fitted: tuple[Sample, Any]) -> None:
    sample, response = fitted
    start, end = np.tile(sample.weights[:1], (3, 1)), sample.weights[1:4]
    change, error = response.contrast_over(start, end, sample.state[:2], errors=True)
    for i in range(2):
        one, width = response.contrast(start, end, sample.state[i])
        np.testing.assert_allclose(change[i], one, atol=1e-9)
        np.testing.assert_allclose(error[i], width, rtol=1e-6)
    more, apart = response.contrast_apart(start, end, sample.state[0], sample.state[1])
    np.testing.assert_allclose(more, change[1] - change[0], atol=1e-9)
    assert (apart <= error[0] + error[1] + 1e-9).all()


def test_a_state_that_is_no_modifier_only_moves_the_level(fitted: tuple[Sample, Any]) -> None:
    sample, response = fitted
    start, end = sample.weights[:1], sample.weights[1:4]
    here, there = (response.contrast(start, end, np.array([0.4, level]))[0] for level in (-2.0, 2.0))
    np.testing.assert_allclose(here, there, atol=1e-9)
    other = response.contrast(start, end, np.array([-1.5, 0.0]))[0]
    assert np.abs(other - here).max() > 1e-3


def test_the_same_seed_gives_the_same_surface_and_one_outcome_alone_answers_alike(
    fitted: tuple[Sample, Any],
) -> None:
    sample, response = fitted
    again = GaussianProcess().fit(sample, 0)
    rows = sample.weights[:3], sample.state[:3]
    assert (again.mean(*rows) == response.mean(*rows)).all()
    one = response.restricted([1])
    np.testing.assert_allclose(one.mean(*rows)[:, 0], response.mean(*rows)[:, 1], rtol=1e-12)
    np.testing.assert_allclose(one.error(*rows)[:, 0], response.error(*rows)[:, 1], rtol=1e-9)
    assert one.noise == response.noise[[1]]


@settings(max_examples=6, deadline=None)
@given(shift=st.floats(-1e4, 1e4), factor=st.floats(1e-3, 1e3))
def test_units_do_not_matter(shift: float, factor: float) -> None:
    sample = make_sample(20)
    moved = sample.with_outcomes(shift + factor * sample.outcomes)
    one, other = GaussianProcess().fit(sample, 0), GaussianProcess().fit(moved, 0)
    rows = sample.weights[:5], sample.state[:5]
    slack = 0.01 * sample.outcomes.std()
    assert np.abs((other.mean(*rows) - shift) / factor - one.mean(*rows)).max() < slack
    assert np.abs(other.error(*rows) / factor - one.error(*rows)).max() < slack


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(3, 12),
    d=st.integers(1, 4),
    p=st.integers(0, 2),
    copies=st.booleans(),
    constant=st.booleans(),
    spread=st.sampled_from([1e-12, 1.0, 1e9]),
)
def test_anything_that_is_a_sample_gives_finite_numbers(
    n: int, d: int, p: int, copies: bool, constant: bool, spread: float
) -> None:
    rng = np.random.default_rng(n)
    weights, state = rng.dirichlet(np.ones(d), n), rng.normal(size=(n, p))
    if constant:
        weights[:, 0] = weights[0, 0] + 1e-13 * rng.normal(size=n)
    if copies:
        weights[1::2], state[1::2] = weights[0], state[0] if p else 0.0
    sample = Sample(weights, state, np.arange(p), 5 + spread * rng.normal(size=(n, 1)))
    response = GaussianProcess().fit(sample, 0)
    far = np.vstack([np.eye(d), weights[:1]]), np.full((d + 1, p), 9.0)
    change, error = response.contrast(weights[:1], np.eye(d), np.full(p, 9.0))
    found = [response.mean(*far), response.error(*far), change, error, *response.left_out(), response.noise]
    assert all(np.isfinite(a).all() for a in found)
    assert (response.error(*far) >= 0).all()
    json.dumps(response.hyperparameters(), allow_nan=False)


def test_what_was_learned_tells_what_matters() -> None:
    sample = make_sample(60, noise=0.02)
    learned = GaussianProcess().fit(sample, 0).hyperparameters()[0]
    lengths = learned["weight_lengths"]
    assert min(lengths) == lengths[0]
    assert set(learned["variance"]) == {"state", "weights", "interaction", "noise"}
    assert sum(learned["variance"].values()) == pytest.approx(1)
    assert learned["variance"]["noise"] < 0.1


def test_many_runs_are_searched_in_part_and_all_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gp_hyperparameters, "RUNS_TO_SEARCH", 40)
    monkeypatch.setattr(gp_hyperparameters, "RUNS_TO_FINISH", 80)
    sample, new = make_sample(120), make_sample(200, noise=0.0, seed=9)
    all_counted = GaussianProcess().fit(sample, 0)
    monkeypatch.setattr(gp_posterior, "RUNS_FOR_ERROR", 60)
    fewer = GaussianProcess().fit(sample, 0)
    there = new.weights, new.state
    np.testing.assert_allclose(fewer.mean(*there), all_counted.mean(*there), rtol=1e-9)
    wider = fewer.error(*there) / all_counted.error(*there)
    assert (wider > 1 - 1e-9).all()
    assert wider.mean() > 1.05
    error = all_counted.mean(*there) - new.outcomes
    assert (error**2).mean() < 0.03 * new.outcomes.var()


def test_the_average_lies_between_process_and_law_and_says_how_far_they_differ() -> None:
    sample = make_sample(24, p=0)
    both, process = LawAverage().fit(sample, 0), GaussianProcess().fit(sample, 0)
    law = MixingLaw().fit(sample, 0)
    rows = np.eye(4), np.zeros((4, 0))
    own, other = process.mean(*rows), law.mean(*rows)
    np.testing.assert_allclose(both.mean(*rows), (own + other) / 2)
    expected = np.hypot(process.error(*rows), (own - other) / 2)
    np.testing.assert_allclose(both.error(*rows), expected)
