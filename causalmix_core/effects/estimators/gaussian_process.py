"""The default estimator: a Gaussian process over mixture and pool state, which knows how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from causalmix_core.effects.estimators.gp_hyperparameters import Evidence, Prior, search, spread_around
from causalmix_core.effects.estimators.gp_kernel import (
    LEVEL,
    Features,
    Layout,
    matern_value,
    squared_distances,
)
from causalmix_core.effects.sample import Sample

MOST_TO_LEARN = 256
"""Runs that hyperparameters are learned from; all runs then count for the surface."""
STEPS = 150
DRAWS = 8
QUANTILE = True
CHUNK = 1024


class GaussianProcess:
    """Gaussian process with an additive kernel over weights and pool state."""

    def fit(self, sample: Sample, seed: int) -> GaussianProcessResponse:
        """Learn hyperparameters per outcome and condition on all runs."""
        n = len(sample)
        layout = Layout(sample.weights.shape[1], sample.state.shape[1], tuple(int(i) for i in sample.modifiers))
        features = Features(sample.weights)
        prior = Prior.of(layout)
        level, scale = sample.outcomes.mean(axis=0), sample.outcomes.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        standard = (sample.outcomes - level) / scale
        rows = np.arange(n)
        if n > MOST_TO_LEARN:
            rows = np.sort(np.random.default_rng(seed).choice(n, MOST_TO_LEARN, replace=False))
        surfaces = []
        for j in range(standard.shape[1]):
            evidence = Evidence(
                layout, prior, features, sample.weights[rows], sample.state[rows], standard[rows, j]
            )
            theta, _ = search(evidence, prior, prior.mean, STEPS)
            thetas, shares = theta[None], np.ones(1)
            if DRAWS:
                thetas, shares = spread_around(evidence, theta, prior, DRAWS, np.random.default_rng(seed))
            surfaces.append(
                Surface.condition(
                    layout, features, thetas, shares, sample.weights, sample.state, standard[:, j]
                )
            )
        return GaussianProcessResponse(surfaces, level, scale)


@dataclass(frozen=True)
class Posterior:
    """One outcome under one set of hyperparameters, conditioned on all runs."""

    layout: Layout
    features: Features
    theta: np.ndarray
    weights: np.ndarray
    state: np.ndarray
    outcome: np.ndarray
    alpha: np.ndarray
    root: np.ndarray
    """Inverse of the lower Cholesky factor, (n, n)."""

    @classmethod
    def condition(
        cls,
        layout: Layout,
        features: Features,
        theta: np.ndarray,
        weights: np.ndarray,
        state: np.ndarray,
        outcome: np.ndarray,
    ) -> Posterior:
        """Exact inference (Rasmussen and Williams 2006, algorithm 2.1)."""
        from scipy.linalg import lapack

        empty = np.empty(0)
        self = cls(layout, features, theta, weights, state, outcome, empty, empty)
        covariance = self._covariance(weights, state)
        covariance.flat[:: len(covariance) + 1] += self.variance("noise")
        lower, failed = lapack.dpotrf(covariance, lower=1, clean=1)
        if failed:
            covariance.flat[:: len(covariance) + 1] += 1e-6
            lower, failed = lapack.dpotrf(covariance, lower=1, clean=1)
        root, _ = lapack.dtrtri(lower, lower=1)
        root = np.tril(root)
        return cls(layout, features, theta, weights, state, outcome, root.T @ (root @ outcome), root)

    def variance(self, part: str) -> float:
        """Variance of a part of the kernel, or the noise."""
        position = self.layout.variances.get(part)
        return 0.0 if position is None else float(np.exp(self.theta[position]))

    def _phi(self, weights: np.ndarray) -> np.ndarray:
        return self.features.of(weights, self.theta) - self.features.of(self.weights, self.theta).mean(axis=0)

    def _inner(self, state: np.ndarray) -> np.ndarray | float:
        """s_T + s_TX C(x, runs), shape (r, n)."""
        if not self.layout.modifiers:
            return self.variance("weights")
        length = np.exp(-self.theta[self.layout.modifier_lengths])
        chosen = list(self.layout.modifiers)
        like = matern_value(squared_distances(state[:, chosen] * length, self.state[:, chosen] * length))
        like *= self.variance("interaction")
        like += self.variance("weights")
        return like

    def _like(self, phi: np.ndarray) -> np.ndarray:
        """A(phi, runs)."""
        length = np.exp(-self.theta[self.layout.weight_lengths])
        return matern_value(squared_distances(phi * length, self._phi(self.weights) * length))

    def _covariance(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        phi = self._phi(weights)
        covariance = self._like(phi)
        covariance *= self._inner(state)
        covariance += LEVEL + self.variance("linear") * (phi @ self._phi(self.weights).T)
        if self.layout.states:
            length = np.exp(-self.theta[self.layout.state_lengths])
            covariance += self.variance("state") * matern_value(
                squared_distances(state * length, self.state * length)
            )
        return covariance

    def predict(self, weights: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance, (r,) each."""
        covariance = self._covariance(weights, state)
        phi = self._phi(weights)
        before = (
            LEVEL
            + self.variance("linear") * (phi**2).sum(axis=1)
            + self.variance("weights")
            + self.variance("interaction")
            + self.variance("state")
        )
        explained = covariance @ self.root.T
        return covariance @ self.alpha, np.maximum(before - (explained**2).sum(axis=1), 1e-9)

    def change(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of the mean and its variance, (c,) each; k_X takes no part in it."""
        length = np.exp(-self.theta[self.layout.weight_lengths])
        begin, to = self._phi(start), self._phi(end)
        moved = self._like(to) - self._like(begin)
        moved *= self._inner(state[None])
        step = to - begin
        moved += self.variance("linear") * (step @ self._phi(self.weights).T)
        apart = ((step * length) ** 2).sum(axis=1)
        before = 2 * (1 - matern_value(apart.copy())) * (
            self.variance("weights") + self.variance("interaction")
        ) + self.variance("linear") * (step**2).sum(axis=1)
        explained = moved @ self.root.T
        return moved @ self.alpha, np.maximum(before - (explained**2).sum(axis=1), 1e-8 * before)

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Rasmussen and Williams 2006, eq. 5.12."""
        precision = (self.root**2).sum(axis=0)
        return self.outcome - self.alpha / precision, 1 / precision


@dataclass(frozen=True)
class Surface:
    """One outcome under several sets of hyperparameters, with their weights."""

    parts: list[Posterior]
    shares: np.ndarray

    @classmethod
    def condition(
        cls, layout: Layout, features: Features, thetas: np.ndarray, shares: np.ndarray, *data: np.ndarray
    ) -> Surface:
        """Condition under each."""
        return cls([Posterior.condition(layout, features, t, *data) for t in thetas], shares)

    def mix(self, answers: list[tuple[np.ndarray, np.ndarray]], noise: bool=False) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the mixture."""
        from scipy.special import ndtr
        means = np.stack([a[0] for a in answers])
        variances = np.stack([a[1] for a in answers])
        mean = self.shares @ means
        if len(means) == 1: return mean, variances[0]
        if noise: variances = variances + np.array([p.variance("noise") for p in self.parts])[:, None]
        off = np.abs(means - mean)
        sd = np.sqrt(variances)
        total = self.shares @ (variances + off ** 2)
        if not QUANTILE: return mean, total
        half = 1.96 * np.sqrt(total)
        for _ in range(6):
            up, down = (half - off) / sd, (-half - off) / sd
            inside = self.shares @ (ndtr(up) - ndtr(down))
            density = self.shares @ ((np.exp(-0.5 * up**2) + np.exp(-0.5 * down**2)) / sd) / np.sqrt(2 * np.pi)
            half = np.clip(half - (inside - 0.95) / np.maximum(density, 1e-12), 0.5 * half, 2 * half)
        return mean, (half / 1.96)**2

    @property
    def noise(self) -> float:
        """Variance of the noise."""
        return float(sum(s * p.variance("noise") for s, p in zip(self.shares, self.parts, strict=True)))


class GaussianProcessResponse:
    """The fitted surface of several outcomes."""

    def __init__(self, surfaces: list[Surface], level: np.ndarray, scale: np.ndarray) -> None:
        self._surfaces, self._level, self._scale = surfaces, level, scale
        self.noise = scale * np.sqrt([s.noise for s in surfaces])
        self.degrees_of_freedom = float("inf")

    def restricted(self, outcomes: Sequence[int]) -> GaussianProcessResponse:
        """The same surface for some of the outcomes only, which answers faster."""
        chosen = list(outcomes)
        return GaussianProcessResponse(
            [self._surfaces[j] for j in chosen], self._level[chosen], self._scale[chosen]
        )

    def _predict(self, weights: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(weights), len(self._surfaces))
        mean, variance = np.empty(shape), np.empty(shape)
        for first in range(0, len(weights), CHUNK):
            rows = slice(first, first + CHUNK)
            for j, surface in enumerate(self._surfaces):
                answers = [p.predict(weights[rows], state[rows]) for p in surface.parts]
                mean[rows, j], variance[rows, j] = surface.mix(answers)
        return self._level + self._scale * mean, self._scale * np.sqrt(variance)

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m)."""
        return self._predict(weights, state)[0]

    def error(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Standard error of the mean, shape (r, m)."""
        return self._predict(weights, state)[1]

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change from start to end and its standard error, shape (c, m) each."""
        shape = (len(end), len(self._surfaces))
        change, variance = np.empty(shape), np.empty(shape)
        for first in range(0, len(end), CHUNK):
            rows = slice(first, first + CHUNK)
            begin = start if len(start) == 1 else start[rows]
            for j, surface in enumerate(self._surfaces):
                answers = [p.change(begin, end[rows], state) for p in surface.parts]
                change[rows, j], variance[rows, j] = surface.mix(answers)
        return self._scale * change, self._scale * np.sqrt(variance)

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """What each run's outcome would have been expected to be without it, and the error, noise included.

        Returns:
            Two arrays of shape (n, m).
        """
        answers = [s.mix([p.left_out() for p in s.parts]) for s in self._surfaces]
        mean = np.column_stack([a[0] for a in answers])
        error = np.sqrt(np.column_stack([a[1] for a in answers]))
        return self._level + self._scale * mean, self._scale * error

    def hyperparameters(self) -> list[dict[str, Any]]:
        """What was learned, per outcome, as plain values."""
        return [{} for _ in self._surfaces]
