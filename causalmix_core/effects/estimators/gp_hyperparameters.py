"""Which covariance the runs speak for, and which others they do not rule out.

Hyperparameters have weak priors, or 16 runs of 17 domains would fit anything. The most probable ones are
found by L-BFGS on the posterior with exact gradients. One best choice would be too sure of itself: with two
dozen runs an interval of 95 % then covers 80 to 90 %. So some other choices are drawn around it, from the
normal distribution that the posterior looks like at its top (Laplace's method), and count by their
posterior. A surface is a mean over them, and what they disagree on widens its intervals.

With many runs the search takes a part of them, and a few last steps take more, in coordinates in which the
posterior is round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.estimators.gp_kernel import (
    EXPONENT,
    LEVEL,
    OFFSET,
    Features,
    Layout,
    likeness_slope,
    matern_slope,
    squared_distances,
)

RUNS_TO_SEARCH, RUNS_TO_FINISH = 192, 512
"""Runs that the search looks at, and that its last steps look at."""
STEPS, LAST_STEPS = 120, 10
DRAWS, FEWER_DRAWS = 8, 4
"""Other choices that count: with as many runs as the search looks at, and with more, which leave less."""
RUNS_THAT_SETTLE = 1024
"""With more runs the best choice stands alone: others hardly differ, and each would take seconds."""
FAILED = 1e10


@dataclass(frozen=True)
class Prior:
    """Independent normal distributions of the hyperparameters, in the order of the layout.

    Lengths are about twice the root of the number of columns (after Hvarfner, Hellsten and Nardi 2024,
    "Vanilla Bayesian optimization performs great in high dimensions"): a priori no domain matters much.
    Variances are in variances of the outcome.
    """

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, layout: Layout) -> Prior:
        """The prior for so many domains and states."""
        mean, spread = np.zeros(layout.size), np.ones(layout.size)
        mean[layout.exponent], spread[layout.exponent] = np.log(EXPONENT), 0.5
        mean[layout.offset] = np.log(OFFSET)
        mean[layout.smooth], spread[layout.smooth] = 0.8, 2.0
        for lengths in (layout.weight_lengths, layout.state_lengths, layout.modifier_lengths):
            mean[lengths] = np.log(2.0) + 0.5 * np.log(max(lengths.stop - lengths.start, 1))
        guess = {
            "linear": -3.0 - np.log(max(layout.domains, 1)),
            "weights": 0.0,
            "state": -1.0,
            "interaction": -1.0,
            "noise": -4.0,
        }
        for name, position in layout.variances.items():
            mean[position], spread[position] = guess[name], 2.0
        return cls(mean, spread)

    def bounds(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Within these everything stays finite; the prior makes them all but unreachable."""
        low, high = np.full(layout.size, -14.0), np.full(layout.size, 8.0)
        low[:3], high[:3] = [np.log(0.05), np.log(1e-5), -8.0], [np.log(1.5), np.log(0.3), 8.0]
        return low, high

    def value(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative logarithm of the density, up to a constant, and its gradient."""
        z = (theta - self.mean) / self.spread
        return 0.5 * float(z @ z), z / self.spread


@dataclass(frozen=True)
class Evidence:
    """Negative log posterior of the hyperparameters of one outcome, up to a constant.

    Attributes:
        layout: of the vector.
        prior: over it.
        features: phi.
        weights: shape (n, d).
        state: shape (n, p).
        outcome: shape (n,), standardised.
    """

    layout: Layout
    prior: Prior
    features: Features
    weights: np.ndarray
    state: np.ndarray
    outcome: np.ndarray

    def rows(self, which: np.ndarray) -> Evidence:
        """Of some of the runs."""
        return Evidence(
            self.layout,
            self.prior,
            self.features,
            self.weights[which],
            self.state[which],
            self.outcome[which],
        )

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (Rasmussen and Williams 2006, eq. 5.8 and 5.9)."""
        from scipy.linalg import lapack

        layout, where = self.layout, self.layout.variances
        variance = {name: float(np.exp(theta[i])) for name, i in where.items()}
        phi = self.features.of(self.weights, theta)
        phi -= phi.mean(axis=0)
        shrink = np.exp(-theta[layout.weight_lengths])
        scaled = phi * shrink
        by_weights, slope_a, by_smooth = likeness_slope(
            squared_distances(scaled, scaled), float(theta[layout.smooth])
        )
        linear = phi @ phi.T
        inner: np.ndarray | float = variance["weights"]
        if layout.modifiers:
            moved = self.state[:, list(layout.modifiers)] * np.exp(-theta[layout.modifier_lengths])
            by_modifier, slope_c = matern_slope(squared_distances(moved, moved))
            inner = inner + variance["interaction"] * by_modifier
        covariance = by_weights * inner
        covariance += variance["linear"] * linear + LEVEL
        if layout.states:
            stated = self.state * np.exp(-theta[layout.state_lengths])
            by_state, slope_b = matern_slope(squared_distances(stated, stated))
            covariance += variance["state"] * by_state
        n = len(covariance)
        covariance.flat[:: n + 1] += variance["noise"]
        value, gradient = self.prior.value(theta)
        lower, failed = lapack.dpotrf(covariance, lower=1, clean=1)
        if failed:
            return FAILED, gradient
        pull, _ = lapack.dpotri(lower, lower=1)
        pull += np.tril(pull, -1).T
        alpha = pull @ self.outcome
        value += 0.5 * float(self.outcome @ alpha) + float(np.log(np.diag(lower)).sum())
        pull -= np.outer(alpha, alpha)
        pull *= 0.5

        gradient[where["noise"]] += variance["noise"] * float(np.trace(pull))
        gradient[where["linear"]] += variance["linear"] * _sum(pull, linear)
        to_phi = (2 * variance["linear"]) * (pull @ phi)
        by_smooth *= inner
        gradient[layout.smooth] += _sum(pull, by_smooth)
        by_weights *= pull
        gradient[where["weights"]] += variance["weights"] * float(by_weights.sum())
        if layout.modifiers:
            gradient[where["interaction"]] += variance["interaction"] * _sum(by_weights, by_modifier)
            slope_c *= by_weights
            to_moved = variance["interaction"] * _to_points(slope_c, moved)
            gradient[layout.modifier_lengths] -= (to_moved * moved).sum(axis=0)
        slope_a *= inner
        slope_a *= pull
        to_scaled = _to_points(slope_a, scaled)
        gradient[layout.weight_lengths] -= (to_scaled * scaled).sum(axis=0)
        to_phi += to_scaled * shrink
        to_phi -= to_phi.mean(axis=0)
        slopes = self.features.slopes(self.weights, theta)
        gradient[[layout.exponent, layout.offset]] += [_sum(to_phi, s) for s in slopes]
        if layout.states:
            gradient[where["state"]] += variance["state"] * _sum(pull, by_state)
            slope_b *= pull
            to_stated = variance["state"] * _to_points(slope_b, stated)
            gradient[layout.state_lengths] -= (to_stated * stated).sum(axis=0)
        return value, gradient


def _sum(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", a, b))


def _to_points(by_distance: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Gradient by the points, from the symmetric one by their squared distances."""
    return np.asarray(4 * (by_distance.sum(axis=1)[:, None] * points - by_distance @ points))


@dataclass(frozen=True)
class Hyperparameters:
    """The most probable choice and others that the runs do not rule out.

    Attributes:
        best: shape (size,).
        draws: shape (s, size).
        shares: how much each draw counts, shape (s,); they sum to one.
    """

    best: np.ndarray
    draws: np.ndarray
    shares: np.ndarray


def learn(evidence: Evidence, rng: np.random.Generator) -> Hyperparameters:
    """Search the posterior of one outcome's hyperparameters.

    Args:
        evidence: of all runs.
        rng: picks the runs to look at where there are many, and the draws.

    Returns:
        The best choice and the draws around it.
    """
    n, layout, prior = len(evidence.outcome), evidence.layout, evidence.prior
    order = rng.permutation(n)
    few = evidence.rows(np.sort(order[:RUNS_TO_SEARCH]))
    low, high = prior.bounds(layout)
    best = _minimise(few, prior.mean, low, high, STEPS)
    curvature = _curvature(few, best)
    many = min(n, RUNS_TO_FINISH)
    if many > RUNS_TO_SEARCH:
        # What the runs say grows with their number, what the prior says does not.
        from_prior = np.diag(prior.spread**-2.0)
        curvature = (curvature - from_prior) * (many / RUNS_TO_SEARCH) + from_prior
    values, vectors = np.linalg.eigh(curvature)
    # No direction is less certain than the prior leaves it; a negative curvature is no peak.
    root = vectors / np.sqrt(np.maximum(values, prior.spread.max() ** -2.0))
    if many > RUNS_TO_SEARCH:
        full = evidence.rows(np.sort(order[:many]))
        middle = best

        def rounded(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = full(np.clip(middle + root @ z, low, high))
            return value, root.T @ gradient

        wide = np.full(layout.size, 4.0)
        best = np.clip(
            middle + root @ _minimise(rounded, np.zeros(layout.size), -wide, wide, LAST_STEPS), low, high
        )
    if n > RUNS_THAT_SETTLE:
        return Hyperparameters(best, best[None], np.ones(1))
    count = FEWER_DRAWS if many > RUNS_TO_SEARCH else DRAWS
    z = rng.normal(size=(count // 2, layout.size))
    z = np.concatenate([z, -z])
    draws = np.clip(best + z @ root.T, low, high)
    if many > RUNS_TO_SEARCH:
        return Hyperparameters(best, draws, np.full(count, 1 / count))
    # A draw where the posterior is lower than the normal distribution has it counts less; none counts more.
    top = few(best)[0]
    shares = np.exp(
        [min(top - few(draw)[0] + 0.5 * float(u @ u), 0.0) for draw, u in zip(draws, z, strict=True)]
    )
    if shares.sum() < 1e-3:
        return Hyperparameters(best, best[None], np.ones(1))
    return Hyperparameters(best, draws, shares / shares.sum())


def _minimise(
    target: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    steps: int,
) -> np.ndarray:
    """L-BFGS within bounds, from one start."""
    from scipy.optimize import minimize

    found = minimize(
        target,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": steps, "maxfun": 2 * steps},
    )
    return np.asarray(found.x)


def _curvature(target: Evidence, at: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Second derivatives, from differences of the exact first ones."""
    moved = at + step * np.eye(len(at))
    rows = np.array([target(point)[1] for point in moved]) - target(at)[1]
    return np.asarray((rows + rows.T) / (2 * step))
