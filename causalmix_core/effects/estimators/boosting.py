"""Boosted trees by LightGBM (Ke et al. 2017): RegMix's way, and an S-learner that also sees the pool state.

Trees take no shape for granted, but their surface is made of steps and they need many runs. `RegMixBoosting`
is the method that others use today (RegMix, Liu et al. 2024, arXiv 2407.01492), with the settings of its
published notebook, and is here to be compared with. `StateBoosting` is one model of weights and pool state
together (the S-learner of Künzel et al. 2019) with smaller trees, which need far fewer runs.

RegMix's notebook ends training when the error on the *test* runs stops falling, so its scores have seen the
runs that they are scored on. Nothing is held out here: all iterations are done. Fitted to RegMix's 512 runs
that gives the rank correlation on its 256 test runs that was published, .990, without having seen them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causalmix_core.effects.sample import Sample

if TYPE_CHECKING:
    from lightgbm import LGBMRegressor

REPRODUCIBLE: dict[str, Any] = {
    "n_jobs": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""One thread and one way of counting: with more, sums change their order and ties fall differently."""

REGMIX: dict[str, Any] = {
    "boosting_type": "gbdt",
    "objective": "regression",
    "n_estimators": 1000,
    "learning_rate": 0.01,
    "random_state": 42,
}
"""The settings of RegMix's `regression.ipynb`. All else is LightGBM's default; its smallest leaf of 20 runs
means that nothing at all is learned from fewer than 40."""

SMALL_TREES: dict[str, Any] = {
    "objective": "regression",
    "n_estimators": 400,
    "learning_rate": 0.05,
    "num_leaves": 4,
    "min_child_samples": 3,
    "subsample": 0.8,
    "subsample_freq": 1,
}
"""Four leaves let three variables act together and still leave many runs to each."""


@dataclass(frozen=True)
class BoostedResponse:
    """One boosted model per outcome.

    Attributes:
        models: fitted LightGBM regressors, one per outcome.
        with_state: whether they read the pool state beside the weights.
    """

    models: tuple[LGBMRegressor, ...]
    with_state: bool

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m)."""
        inputs = np.hstack([weights, state]) if self.with_state else weights
        with _quiet():
            return np.column_stack([m.predict(inputs) for m in self.models])

    def restricted(self, outcomes: Sequence[int]) -> BoostedResponse:
        """The models of some of the outcomes only."""
        return BoostedResponse(tuple(self.models[i] for i in outcomes), self.with_state)


class RegMixBoosting:
    """LightGBM on the weights alone, with RegMix's settings."""

    def fit(self, sample: Sample, seed: int) -> BoostedResponse:
        """Fit one model per outcome. The seed is RegMix's own: nothing in its settings is random."""
        return BoostedResponse(_fit(REGMIX, sample.weights, sample.outcomes), with_state=False)


class StateBoosting:
    """LightGBM on weights and pool state together."""

    def fit(self, sample: Sample, seed: int) -> BoostedResponse:
        """Fit one model per outcome; the seed draws the runs that each tree sees."""
        inputs = np.hstack([sample.weights, sample.state])
        return BoostedResponse(_fit({**SMALL_TREES, "random_state": seed}, inputs, sample.outcomes), True)


def _fit(settings: dict[str, Any], inputs: np.ndarray, outcomes: np.ndarray) -> tuple[LGBMRegressor, ...]:
    from lightgbm import LGBMRegressor

    with _quiet():
        return tuple(LGBMRegressor(**settings, **REPRODUCIBLE).fit(inputs, y) for y in outcomes.T)


def _quiet() -> warnings.catch_warnings:
    """scikit-learn warns of inputs without column names; ours never have any."""
    return warnings.catch_warnings(action="ignore")
