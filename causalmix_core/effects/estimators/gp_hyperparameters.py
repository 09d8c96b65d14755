"""Which covariance the runs speak for: hyperparameters by their posterior, with exact gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.estimators.gp_kernel import (
    EXPONENT,
    LEVEL,
    OFFSET,
    Features,
    Layout,
    matern,
    squared_distances,
)

LENGTH_SPREAD = 1.0
SMALLEST, LARGEST = -14.0, 8.0


@dataclass(frozen=True)
class Prior:
    """Independent normal distributions of the logarithms."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, layout: Layout) -> Prior:
        mean, spread = np.zeros(layout.size), np.full(layout.size, LENGTH_SPREAD)
        mean[0], spread[0] = np.log(EXPONENT), 0.5
        mean[1], spread[1] = np.log(OFFSET), 1.0
        mean[layout.weight_lengths] = 0.5 * np.log(max(layout.domains, 1)) + 0.7
        mean[layout.state_lengths] = 0.5 * np.log(max(layout.states, 1)) + 0.7
        mean[layout.modifier_lengths] = 0.5 * np.log(max(len(layout.modifiers), 1)) + 0.7
        guess = {"linear": -3.0, "weights": 0.0, "state": -1.0, "interaction": -2.0, "noise": -4.0}
        for name, position in layout.variances.items():
            mean[position], spread[position] = guess[name], 2.0
        mean[layout.variances["linear"]] = -np.log(max(layout.domains, 1)) - 3
        return cls(mean, spread)

    def value(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative logarithm of the density, up to a constant, and its gradient."""
        z = (theta - self.mean) / self.spread
        return 0.5 * float(z @ z), z / self.spread


class Evidence:
    """The negative log posterior of hyperparameters for one outcome."""

    def __init__(
        self,
        layout: Layout,
        prior: Prior,
        features: Features,
        weights: np.ndarray,
        state: np.ndarray,
        outcome: np.ndarray,
    ) -> None:
        self._layout, self._prior, self._features = layout, prior, features
        self._weights, self._state, self._outcome = weights, state, outcome

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (Rasmussen and Williams 2006, eq. 5.9)."""
        from scipy.linalg import lapack

        layout, where = self._layout, self._layout.variances
        variance = {name: float(np.exp(theta[i])) for name, i in where.items()}
        phi = self._features.of(self._weights, theta)
        centred = phi - phi.mean(axis=0)
        scaled = centred * np.exp(-theta[layout.weight_lengths])
        value_a, slope_a = matern(squared_distances(scaled, scaled))
        inner: np.ndarray | float = variance["weights"]
        linear = centred @ centred.T
        if layout.modifiers:
            moved = self._state[:, list(layout.modifiers)] * np.exp(-theta[layout.modifier_lengths])
            value_c, slope_c = matern(squared_distances(moved, moved))
            inner = inner + variance["interaction"] * value_c
        covariance = value_a * inner
        covariance += variance["linear"] * linear
        covariance += LEVEL
        if layout.states:
            stated = self._state * np.exp(-theta[layout.state_lengths])
            value_b, slope_b = matern(squared_distances(stated, stated))
            covariance += variance["state"] * value_b
        n = len(covariance)
        covariance.flat[:: n + 1] += variance["noise"]
        lower, failed = lapack.dpotrf(covariance, lower=1, clean=1)
        value, gradient = self._prior.value(theta)
        if failed:
            return 1e10, gradient
        inverse, _ = lapack.dpotri(lower, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        alpha = inverse @ self._outcome
        value += 0.5 * float(self._outcome @ alpha) + float(np.log(np.diag(lower)).sum())
        pull = 0.5 * (inverse - np.outer(alpha, alpha))

        gradient[where["noise"]] += variance["noise"] * np.trace(pull)
        gradient[where["linear"]] += variance["linear"] * float((pull * linear).sum())
        to_phi = 2 * variance["linear"] * (pull @ centred)
        by_a = pull * value_a
        gradient[where["weights"]] += variance["weights"] * float(by_a.sum())
        if layout.modifiers:
            gradient[where["interaction"]] += variance["interaction"] * float((by_a * value_c).sum())
            to_moved = _to_points(by_a * slope_c, moved) * variance["interaction"]
            gradient[layout.modifier_lengths] -= (to_moved * moved).sum(axis=0)
        to_scaled = _to_points(pull * slope_a * inner, scaled)
        gradient[layout.weight_lengths] -= (to_scaled * scaled).sum(axis=0)
        to_phi += to_scaled * np.exp(-theta[layout.weight_lengths])
        for i, slope in enumerate(self._features.slopes(self._weights, theta)):
            gradient[i] += float((to_phi * (slope - slope.mean(axis=0))).sum())
        if layout.states:
            gradient[where["state"]] += variance["state"] * float((pull * value_b).sum())
            to_stated = _to_points(pull * slope_b, stated) * variance["state"]
            gradient[layout.state_lengths] -= (to_stated * stated).sum(axis=0)
        return value, gradient


def _to_points(by_distance: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Gradient by the points, from that by their squared distances (symmetric)."""
    return np.asarray(4 * (by_distance.sum(axis=1)[:, None] * points - by_distance @ points))


def search(evidence: Evidence, prior: Prior, start: np.ndarray, steps: int) -> tuple[np.ndarray, float]:
    """The most probable hyperparameters from one start, by L-BFGS, and their negative log posterior."""
    from scipy.optimize import minimize

    low = np.full(len(start), SMALLEST)
    high = np.full(len(start), LARGEST)
    low[:2], high[:2] = np.log([0.05, 1e-5]), np.log([1.5, 0.3])
    found = minimize(
        evidence,
        np.clip(start, low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": steps, "maxfun": 2 * steps},
    )
    return np.asarray(found.x), float(found.fun)


def spread_around(
    evidence: Evidence, best: np.ndarray, prior: Prior, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws from the normal distribution that the posterior looks like at its top (Laplace)."""
    size, step = len(best), 1e-4
    curvature = np.empty((size, size))
    for i in range(size):
        move = np.zeros(size)
        move[i] = step
        curvature[i] = (evidence(best + move)[1] - evidence(best - move)[1]) / (2 * step)
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    values = np.maximum(values, 1 / prior.spread.max() ** 2)
    draws = rng.normal(size=((count + 1) // 2, size))
    draws = np.concatenate([draws, -draws])[:count]
    points = best + (draws / np.sqrt(values)) @ vectors.T
    top = evidence(best)[0]
    log = np.array([top - evidence(p)[0] + 0.5 * z @ z for p, z in zip(points, draws, strict=True)])
    weight = np.exp(TEMPER * np.minimum(log, 0))
    return points, weight / weight.sum()


TEMPER = 1.0
