"""econml's double machine learning behind one protocol.

Both estimators fit y = g(x) + theta(x)' phi + noise: cross-fitted nuisance models predict outcome and
treatment features from the pool state, and the residuals are regressed on each other (Chernozhukov et
al. 2018). `linear_dml` lets theta depend linearly on the modifiers, `causal_forest_dml` by a forest
(Athey, Tibshirani and Wager 2019), as in the paper behind this project.

The nuisance models are one and the same ridge regression with a fixed, small penalty. A penalty chosen
by cross-validation comes out differently for outcome and treatments; what of the pool state is left in
the one and not in the other then reads as an effect. With 24 runs of 6 domains that doubled the error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

EstimatorName = Literal["linear_dml", "causal_forest_dml"]

FOLDS = 5
TREES = 100
"""Enough on simulated worlds: more trees did not come closer to the true effects."""
LEAF = 20
"""Smallest leaf of a tree, in runs."""


class EffectEstimator(Protocol):
    """An estimator of theta(x) for m outcomes and d treatment features."""

    def fit(
        self, outcomes: np.ndarray, features: np.ndarray, modifiers: np.ndarray, controls: np.ndarray
    ) -> None:
        """Fit to n runs.

        Args:
            outcomes: shape (n, m).
            features: phi(w), shape (n, d).
            modifiers: states that theta may depend on, shape (n, p); p = 0: theta is constant.
            controls: further states to hold fixed, shape (n, q).
        """

    def theta(self, modifiers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """theta at one state, shape (m, d), and econml's covariance of it, shape (m, d, d)."""

    def predict(self, features: np.ndarray, modifiers: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Predicted outcomes of other runs, shape (r, m)."""


def make_estimator(name: EstimatorName, seed: int, *, covariance: bool) -> EffectEstimator:
    """An unfitted estimator; without `covariance` a forest fits faster, but only predicts."""
    return _Dml(name, seed, covariance)


class _Dml:
    def __init__(self, name: EstimatorName, seed: int, covariance: bool) -> None:
        self.name = name
        self.seed = seed
        self.covariance = covariance
        self._model: Any = None
        self._shape = (0, 0)

    def fit(
        self, outcomes: np.ndarray, features: np.ndarray, modifiers: np.ndarray, controls: np.ndarray
    ) -> None:
        from econml.dml import CausalForestDML, LinearDML

        states = modifiers.shape[1] + controls.shape[1]
        nuisance = {
            "model_y": _nuisance(len(outcomes), states),
            "model_t": _nuisance(len(outcomes), states),
            "cv": FOLDS,
            "random_state": self.seed,
        }
        self._shape = (outcomes.shape[1], features.shape[1])
        if self.name == "linear_dml":
            self._model = LinearDML(**nuisance)
        else:
            self._model = CausalForestDML(
                **nuisance, n_estimators=TREES, min_samples_leaf=LEAF, n_jobs=1, inference=self.covariance
            )
        with _quiet():
            self._model.fit(
                outcomes,
                features,
                X=self._modifiers(modifiers),
                W=controls if controls.shape[1] else None,
            )

    def _modifiers(self, modifiers: np.ndarray) -> np.ndarray | None:
        """econml's X: the forest needs a column even where there is nothing to split on."""
        if modifiers.shape[1]:
            return modifiers
        return None if self.name == "linear_dml" else np.zeros((len(modifiers), 1))

    def theta(self, modifiers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        m, d = self._shape
        row = self._modifiers(np.atleast_2d(modifiers))
        # econml gives variances of contrasts only; those of e_i + e_j hold the covariances.
        pairs = [(i, j) for i in range(d) for j in range(i, d)]
        unit = np.eye(d)
        contrasts = np.array([unit[i] if i == j else unit[i] + unit[j] for i, j in pairs])
        repeated = None if row is None else np.repeat(row, len(pairs), axis=0)
        with _quiet():
            theta = np.asarray(self._model.const_marginal_effect(row)).reshape(m, d)
            inference = self._model.effect_inference(repeated, T0=np.zeros_like(contrasts), T1=contrasts)
            variance = np.asarray(inference.stderr).reshape(len(pairs), m) ** 2
        covariance = np.zeros((m, d, d))
        for (i, j), v in zip(pairs, variance, strict=True):
            covariance[:, i, j] = covariance[:, j, i] = v
        own = np.einsum("mii->mi", covariance).copy()
        for i, j in pairs:
            if i != j:
                shared = (covariance[:, i, j] - own[:, i] - own[:, j]) / 2
                covariance[:, i, j] = covariance[:, j, i] = shared
        # A forest gives each contrast its own variance, so these need not be those of any theta.
        values, vectors = np.linalg.eigh(np.nan_to_num(covariance))
        return theta, np.einsum("mik,mk,mjk->mij", vectors, np.maximum(values, 0), vectors)

    def predict(self, features: np.ndarray, modifiers: np.ndarray, controls: np.ndarray) -> np.ndarray:
        m, d = self._shape
        row = self._modifiers(modifiers)
        parts = [a for a in (row, controls) if a is not None and a.shape[1]]
        state = np.hstack(parts) if parts else np.ones((len(features), 1))
        with _quiet():
            theta = np.asarray(self._model.const_marginal_effect(row)).reshape(-1, m, d)
            baseline = np.mean([f.predict(state).reshape(-1, m) for f in self._model.models_y[0]], axis=0)
            expected = np.mean([f.predict(state).reshape(-1, d) for f in self._model.models_t[0]], axis=0)
        return np.asarray(baseline + ((features - expected)[:, None, :] * theta).sum(axis=2))


def _nuisance(runs: int, states: int) -> Pipeline:
    """Ridge on the standardised states, with their squares and products once there are runs for it."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    quadratic = states * (states + 3) // 2
    if states and runs >= 20 * quadratic:
        return make_pipeline(
            StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(), Ridge(alpha=1.0)
        )
    return make_pipeline(StandardScaler(), Ridge(alpha=1.0))


@contextmanager
def _quiet() -> Iterator[None]:
    """econml warns of a rank it handles and of column vectors it reshapes; none of it is for a curator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
