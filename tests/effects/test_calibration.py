"""Intervals are as wide as left-out runs ask for, and effects are never surer than their surface says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from causalmix_core.effects.calibration import EFFECT_QUANTILE, calibrate, uncalibrated
from causalmix_core.effects.conformal import conformal_quantile, normalised
from causalmix_core.effects.estimators import ESTIMATORS, EstimatorInfo, with_error
from causalmix_core.effects.sample import Sample


@dataclass
class Claims:
    """A surface that is right on average and claims an error of its own choice."""

    outcomes: np.ndarray
    off: np.ndarray
    claimed: float
    degrees_of_freedom: float = float("inf")

    @property
    def noise(self) -> np.ndarray:
        return np.full(self.outcomes.shape[1], self.claimed)

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        return np.zeros((len(weights), self.outcomes.shape[1]))

    def error(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        return np.zeros((len(weights), self.outcomes.shape[1]))

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.mean(end, state), self.error(end, state)

    def restricted(self, outcomes: Sequence[int]) -> Claims:
        return Claims(self.outcomes[:, list(outcomes)], self.off[:, list(outcomes)], self.claimed)

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        return self.outcomes - self.off, np.full_like(self.outcomes, self.claimed)


def claims(truth: float, claimed: float, n: int = 400) -> tuple[Sample, Claims]:
    rng = np.random.default_rng(0)
    sample = Sample(rng.dirichlet(np.ones(3), n), np.empty((n, 0)), np.array([], int), np.zeros((n, 1)))
    return sample, Claims(sample.outcomes, truth * rng.normal(size=(n, 1)), claimed)


@pytest.mark.parametrize("n", [20, 39, 100])
def test_a_conformal_interval_holds_a_new_run_as_often_as_it_says(n):
    rng = np.random.default_rng(0)
    draws = np.abs(rng.standard_t(2, size=(n + 1, 20_000)))  # nothing like a normal distribution
    held = draws[-1] <= conformal_quantile(draws[:-1])
    assert 0.95 - 0.006 <= held.mean() <= 0.95 + 1 / (n + 1) + 0.006


def test_with_few_runs_the_interval_is_wider_than_all_errors():
    scores = np.linspace(0, 2, 10)[:, None]
    assert conformal_quantile(scores)[0] > 2


def test_a_surface_without_any_error_of_its_own_is_not_divided_by_zero():
    scores = normalised(np.ones((3, 1)), np.zeros((3, 1)), np.zeros((3, 1)))
    assert np.isfinite(scores).all()


def test_an_overconfident_surface_is_widened_for_predictions_and_effects():
    sample, response = claims(truth=2.0, claimed=1.0)
    found = calibrate(sample, ESTIMATORS["gaussian_process"], response, 0)
    assert found.n == 400
    assert found.prediction[0] == pytest.approx(2 * 1.96, rel=0.15)
    assert found.effect[0] == pytest.approx(2 * EFFECT_QUANTILE, rel=0.1)
    assert found.observed[0] == pytest.approx(0.67, abs=0.06)


def test_a_surface_that_doubts_itself_too_much_keeps_its_intervals():
    sample, response = claims(truth=1.0, claimed=3.0)
    found = calibrate(sample, ESTIMATORS["gaussian_process"], response, 0)
    assert found.prediction[0] == pytest.approx(1.96, rel=1e-3)
    assert found.effect[0] == pytest.approx(EFFECT_QUANTILE, rel=1e-3)
    assert found.observed[0] == 1.0


def test_copies_of_runs_are_not_left_out_alone():
    sample, response = claims(truth=2.0, claimed=1.0, n=60)
    weights = sample.weights.copy()
    weights[30:] = weights[:30]  # every run has a copy, which would give it away
    twice = Sample(weights, sample.state, sample.modifiers, response.off)
    flat = EstimatorInfo(label="", source="", summary="", make=Constant)
    found = calibrate(twice, flat, response, 0)
    assert found.n == 60
    assert found.prediction[0] > 3


class Constant:
    """Expects 0 of every run and claims an error of 1."""

    def fit(self, sample: Sample, seed: int) -> Claims:
        return Claims(sample.outcomes, sample.outcomes, 1.0)


def test_too_few_runs_leave_the_surface_as_it_is():
    sample, response = claims(truth=5.0, claimed=1.0, n=8)
    found = calibrate(sample, ESTIMATORS["gaussian_process"], response, 0)
    assert found.n == 0
    assert np.isnan(found.observed).all()
    assert found.effect[0] == uncalibrated(response).effect[0] == pytest.approx(1.96, abs=0.001)


def test_a_surface_that_borrows_its_errors_is_judged_by_fits_that_left_runs_out():
    rng = np.random.default_rng(1)
    n = 80
    weights = rng.dirichlet(np.ones(3), n)
    bend = (weights[:, :1] - 0.3) ** 2 * 5
    sample = Sample(weights, np.empty((n, 0)), np.array([], int), bend + 0.02 * rng.normal(size=(n, 1)))
    info = ESTIMATORS["linear_regression"]
    point = info.make().fit(sample, 0)
    # The process that speaks for it knows the truth; the straight line is off by its bend.
    process = Claims(sample.outcomes, sample.outcomes - bend, 0.02)
    process.mean = lambda w, s: (w[:, :1] - 0.3) ** 2 * 5  # type: ignore[method-assign]
    found = calibrate(sample, info, with_error(point, process), 0)
    assert found.n == n
    assert found.observed[0] > 0.95
    assert 1.9 < found.prediction[0] < 2.2
