"""What the runs leave of the Gaussian process of one outcome: mean, changes, and how far both may be off.

The mean is that over the choices of hyperparameters that the runs do not rule out. The variance is that of
the most probable choice, times how much wider the others are on average over the runs left out, plus what
their means disagree on: the law of total variance, with a factor in place of a variance per choice, so that
100,000 candidates need one triangular solve and not eight.

A change has its own posterior: the covariance of the difference with the runs, not a difference of two
variances, which would drown a step of one point in rounding.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from causalmix_core.effects.estimators.gp_hyperparameters import Hyperparameters
from causalmix_core.effects.estimators.gp_kernel import (
    LEVEL,
    Features,
    Layout,
    likeness,
    matern,
    squared_distances,
)

RUNS_FOR_ERROR = 1024
"""All runs count for the mean, this many for the error: fewer only widen it, and the factor of 4,000 runs for
each of a dozen outcomes fills a small machine's memory."""
ROUNDING = 1e-8
"""Share of the variance before any run that is always left."""


@dataclass(frozen=True)
class Process:
    """One outcome under one choice of hyperparameters.

    Attributes:
        layout: of the choice.
        theta: the choice.
        features: phi.
        centre: mean of phi over the runs, shape (d,).
        scaled: phi of the runs, centred and in lengths, shape (n, d).
        state: of the runs, shape (n, p).
        alpha: what each run adds to the mean, shape (n,).
        precision: diagonal of the inverse covariance of the runs, shape (n,).
    """

    layout: Layout
    theta: np.ndarray
    features: Features
    centre: np.ndarray
    scaled: np.ndarray
    state: np.ndarray
    alpha: np.ndarray
    precision: np.ndarray

    @classmethod
    def condition(
        cls,
        layout: Layout,
        theta: np.ndarray,
        features: Features,
        weights: np.ndarray,
        state: np.ndarray,
        outcome: np.ndarray,
    ) -> tuple[Process, np.ndarray]:
        """Exact inference (Rasmussen and Williams 2006, algorithm 2.1).

        Returns:
            The process and the lower Cholesky factor of the covariance of its runs.
        """
        from scipy.linalg import lapack

        phi = features.of(weights, theta)
        centre = phi.mean(axis=0)
        scaled = (phi - centre) * np.exp(-theta[layout.weight_lengths])
        blank = cls(layout, theta, features, centre, scaled, state, np.empty(0), np.empty(0))
        lower = factor(blank.covariance(scaled, state), blank.variance("noise"))
        alpha, _ = lapack.dpotrs(lower, outcome, lower=1)
        inverse, _ = lapack.dpotri(lower, lower=1)
        return cls(layout, theta, features, centre, scaled, state, alpha, np.diag(inverse).copy()), lower

    def variance(self, part: str) -> float:
        """Variance of a part of the kernel, or of the noise; 0 where there is no such part."""
        position = self.layout.variances.get(part)
        return 0.0 if position is None else float(np.exp(self.theta[position]))

    def points(self, weights: np.ndarray) -> np.ndarray:
        """Phi of other mixtures, centred and in lengths, shape (r, d)."""
        phi = self.features.of(weights, self.theta) - self.centre
        return np.asarray(phi * np.exp(-self.theta[self.layout.weight_lengths]))

    def linear(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The straight part between points, shape (len(a), len(b))."""
        squared = np.exp(2 * self.theta[self.layout.weight_lengths])
        return np.asarray((a * (self.variance("linear") * squared)) @ b.T)

    def alike(self, points: np.ndarray) -> np.ndarray:
        """A between points and runs, shape (r, n)."""
        return likeness(squared_distances(points, self.scaled), float(self.theta[self.layout.smooth]))

    def strength(self, state: np.ndarray) -> np.ndarray:
        """s_T + s_TX C between states and runs, shape (r, n) or (r, 1)."""
        if not self.layout.modifiers:
            return np.full((len(state), 1), self.variance("weights"))
        chosen = list(self.layout.modifiers)
        short = np.exp(-self.theta[self.layout.modifier_lengths])
        like = matern(squared_distances(state[:, chosen] * short, self.state[:, chosen] * short))
        like *= self.variance("interaction")
        like += self.variance("weights")
        return like

    def level(self, state: np.ndarray) -> np.ndarray:
        """s_X B between states and runs, shape (r, n) or (1, 1)."""
        if not self.layout.states:
            return np.zeros((1, 1))
        short = np.exp(-self.theta[self.layout.state_lengths])
        like = matern(squared_distances(state * short, self.state * short))
        like *= self.variance("state")
        return like

    def covariance(self, points: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The whole kernel between points in states and the runs, shape (r, n)."""
        covariance = self.alike(points)
        covariance *= self.strength(state)
        covariance += self.linear(points, self.scaled)
        if self.layout.states:
            covariance += self.level(state)
        covariance += LEVEL
        return covariance

    def moved(self, begin: np.ndarray, to: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Covariance of the change between points, in one state, with the runs, shape (c, n)."""
        covariance = self.alike(to)
        covariance -= self.alike(begin)
        covariance *= self.strength(state[None])
        covariance += self.linear(to - begin, self.scaled)
        return covariance

    def before(self, points: np.ndarray) -> np.ndarray:
        """Variance at points before any run, shape (r,)."""
        squared = np.exp(2 * self.theta[self.layout.weight_lengths])
        straight = (points**2) @ squared
        rest = LEVEL + sum(self.variance(p) for p in ("weights", "interaction", "state"))
        return np.asarray(rest + self.variance("linear") * straight)

    def before_moving(self, begin: np.ndarray, to: np.ndarray) -> np.ndarray:
        """Variance of changes before any run, shape (c,): the level takes no part in it."""
        step = to - begin
        unlike = 1.0 - likeness((step**2).sum(axis=1), float(self.theta[self.layout.smooth]))
        squared = np.exp(2 * self.theta[self.layout.weight_lengths])
        acting = self.variance("weights") + self.variance("interaction")
        return np.asarray(2 * acting * unlike + self.variance("linear") * ((step**2) @ squared))


def factor(covariance: np.ndarray, noise: float) -> np.ndarray:
    """Lower Cholesky factor of a covariance and noise; more noise where rounding asks for it. Overwrites."""
    from scipy.linalg import lapack

    while True:
        covariance.flat[:: len(covariance) + 1] += noise
        lower, failed = lapack.dpotrf(covariance, lower=1, clean=1)
        if not failed:
            return np.asarray(lower)
        noise = max(10 * noise, 1e-8)


class Surface:
    """One outcome, standardised: the mean over choices of hyperparameters, and its variance."""

    def __init__(
        self,
        layout: Layout,
        chosen: Hyperparameters,
        features: Features,
        weights: np.ndarray,
        state: np.ndarray,
        outcome: np.ndarray,
    ) -> None:
        """Condition every choice on all runs.

        Args:
            layout: of the hyperparameters.
            chosen: the best and the others.
            features: phi.
            weights: shape (n, d).
            state: shape (n, p).
            outcome: shape (n,), mean 0 and variance 1.
        """
        data = (features, weights, state, outcome)
        self.best, self._factor = Process.condition(layout, chosen.best, *data)
        self._rows: slice | np.ndarray = slice(None)
        if len(outcome) > RUNS_FOR_ERROR:
            self._rows = np.linspace(0, len(outcome) - 1, RUNS_FOR_ERROR).astype(int)
            part = self.best.covariance(self.best.scaled[self._rows], state[self._rows])
            self._factor = factor(np.ascontiguousarray(part[:, self._rows]), self.best.variance("noise"))
        self.draws = [Process.condition(layout, theta, *data)[0] for theta in chosen.draws]
        self.shares = chosen.shares
        self.outcome = outcome
        self.noise_variance = self._average([p.variance("noise") for p in self.draws])
        left = self._average([float((1 / p.precision).mean()) for p in self.draws]) - self.noise_variance
        own = float((1 / self.best.precision).mean()) - self.best.variance("noise")
        self._wider = left / own if own > 0 and left > 0 else 1.0

    def most_probable(self) -> Surface:
        """The same surface with its best choice of hyperparameters alone."""
        alone = copy(self)
        alone.draws, alone.shares = [self.best], np.ones(1)
        return alone

    def _average(self, values: list[float]) -> float:
        return float(self.shares @ np.array(values))

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Mean at mixtures in states, shape (r,)."""
        means = np.stack([p.covariance(p.points(weights), state) @ p.alpha for p in self.draws])
        return np.asarray(self.shares @ means)

    def variance(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Variance of the mean, shape (r,), without the noise of a run."""
        means = np.stack([p.covariance(p.points(weights), state) @ p.alpha for p in self.draws])
        points = self.best.points(weights)
        explained = self.explained(self.best.covariance(points, state))
        return self.total(means, self.best.before(points), explained)

    def change(self, start: np.ndarray, end: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Change of the mean from start to end in one state, and its variance, shape (c,) each."""
        means = np.stack([p.moved(p.points(start), p.points(end), state) @ p.alpha for p in self.draws])
        begin, to = self.best.points(start), self.best.points(end)
        explained = self.explained(self.best.moved(begin, to, state))
        return self.shares @ means, self.total(means, self.best.before_moving(begin, to), explained)

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance, noise included, of each run without it.

        In closed form for each choice of hyperparameters (Rasmussen and Williams 2006, eq. 5.12). A choice
        that expects the run counts less without it, by how likely it makes the run (Gelfand, Dey and Chang
        1992): keeping all that was learned from the run would make it look nearer than a new one is.
        """
        means = np.stack([self.outcome - p.alpha / p.precision for p in self.draws])
        variances = np.stack([1 / p.precision for p in self.draws])
        unlikely = 0.5 * (np.log(variances) + (self.outcome - means) ** 2 / variances)
        shares = self.shares[:, None] * np.exp(unlikely - unlikely.max(axis=0))
        shares = shares / shares.sum(axis=0)
        mean = (shares * means).sum(axis=0)
        return mean, (shares * (variances + (means - mean) ** 2)).sum(axis=0)

    def hyperparameters(self) -> dict[str, Any]:
        """The best choice, as plain values; `variance` from the parts of the mean over the runs."""
        best, layout = self.best, self.best.layout
        strength, alike = best.strength(best.state), best.alike(best.scaled)
        acting = best.linear(best.scaled, best.scaled) + alike * best.variance("weights")
        parts = {
            "state": best.level(best.state) * np.ones_like(alike),
            "weights": acting,
            "interaction": alike * (strength - best.variance("weights")),
        }
        variance = {name: float((kernel @ best.alpha).var()) for name, kernel in parts.items()}
        variance["noise"] = best.variance("noise")
        total = sum(variance.values())
        theta = best.theta
        return {
            "exponent": float(np.exp(theta[layout.exponent])),
            "offset": float(np.exp(theta[layout.offset])),
            "smooth": float(1 / (1 + np.exp(-theta[layout.smooth]))),
            "weight_lengths": np.exp(theta[layout.weight_lengths]).tolist(),
            "state_lengths": np.exp(theta[layout.state_lengths]).tolist(),
            "modifier_lengths": np.exp(theta[layout.modifier_lengths]).tolist(),
            "variance": {name: v / total for name, v in variance.items()},
        }

    def explained(self, covariance: np.ndarray) -> np.ndarray:
        """Variance that the runs explain, of rows of covariances with them; overwrites them."""
        from scipy.linalg import lapack

        rows = np.ascontiguousarray(covariance[:, self._rows])
        solved, _ = lapack.dtrtrs(self._factor, rows.T, lower=1, overwrite_b=1)
        return np.asarray(np.einsum("ij,ij->j", solved, solved))

    def total(self, means: np.ndarray, before: np.ndarray, explained: np.ndarray) -> np.ndarray:
        """Variance, (r,), from all means, (choices, r), and what the best choice explains of before, (r,)."""
        within = np.maximum(before - explained, ROUNDING * before)
        apart = self.shares @ (means - self.shares @ means) ** 2
        return np.asarray(self._wider * within + apart)
