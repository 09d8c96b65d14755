"""The default estimator: a Gaussian process over mixture and pool state, which knows how sure it is.

After 64 of RegMix's runs it ranks mixtures as well as RegMix's boosted trees after 256, and it ranks after
16, where these do not at all (benchmarks/regmix_accuracy.py). Exact inference, one process per outcome, in
numpy: a dozen outcomes of a few hundred runs take seconds. The kernel stands in gp_kernel.py, how it is
learned in gp_hyperparameters.py, what the runs leave of it in gp_posterior.py.

Limits: time and memory grow with the cube and the square of the runs: 4,000 runs take some seconds and 700
MB per outcome while they are fitted. One set of length scales for all mixtures, so a surface that is calm
here and wild there gets one middle width. Far from all runs it returns to its mean with a wide interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from causalmix_core.effects.estimators.gp_hyperparameters import Evidence, Hyperparameters, Prior, learn
from causalmix_core.effects.estimators.gp_kernel import Features, Layout
from causalmix_core.effects.estimators.gp_posterior import Surface
from causalmix_core.effects.estimators.gp_states import change_apart, changes_over
from causalmix_core.effects.sample import Sample
from causalmix_core.effects.threads import side_by_side

CHUNK = 2**17
"""Numbers in a matrix of mixtures by runs: it then stays in the processor's cache, which halves the time."""


class GaussianProcess:
    """Gaussian process with an additive kernel over weights and pool state."""

    def fit(self, sample: Sample, seed: int) -> GaussianProcessResponse:
        """Learn hyperparameters per outcome and condition on all runs.

        Args:
            sample: the runs; three are the fewest.
            seed: of the choices of hyperparameters that count beside the best one, and of the runs that they
                are learned from where there are many.

        Returns:
            The surface; the same seed gives the same.
        """
        modifiers = tuple(int(i) for i in sample.modifiers)
        layout = Layout(sample.weights.shape[1], sample.state.shape[1], modifiers)
        features, prior = Features(sample.weights), Prior.of(layout)
        level, scale = sample.outcomes.mean(axis=0), sample.outcomes.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        standard = ((sample.outcomes - level) / scale).T

        def learned(j: int) -> Surface:
            evidence = Evidence(layout, prior, features, sample.weights, sample.state, standard[j])
            chosen = learn(evidence, np.random.default_rng([seed, j]))
            return Surface(layout, chosen, features, sample.weights, sample.state, standard[j])

        return GaussianProcessResponse(side_by_side(learned, len(standard)), level, scale)


class GaussianProcessResponse:
    """The fitted surfaces of all outcomes.

    Attributes:
        noise: standard deviation of a single run around the surface, shape (m,).
        degrees_of_freedom: infinite; that hyperparameters are uncertain is in the error already.
    """

    def __init__(self, surfaces: list[Surface], level: np.ndarray, scale: np.ndarray) -> None:
        self._surfaces, self._level, self._scale = surfaces, level, scale
        self.noise: np.ndarray = scale * np.sqrt([s.noise_variance for s in surfaces])
        self.degrees_of_freedom = float("inf")

    def restricted(self, outcomes: Sequence[int]) -> GaussianProcessResponse:
        """The same surfaces for some of the outcomes only; answers for 100,000 mixtures then take seconds."""
        chosen = list(outcomes)
        return GaussianProcessResponse(
            [self._surfaces[j] for j in chosen], self._level[chosen], self._scale[chosen]
        )

    def most_probable(self) -> GaussianProcessResponse:
        """Only the most probable hyperparameters: a rougher mean in a fraction of the time; see `Hurries`."""
        return GaussianProcessResponse([s.most_probable() for s in self._surfaces], self._level, self._scale)

    def refitted(self, sample: Sample) -> GaussianProcessResponse:
        """The most probable covariance, conditioned on other runs: no search, a hundredth of the time.

        Args:
            sample: other runs or outcomes, in the columns of the sample that was fitted.
        """
        outcomes = ((sample.outcomes - self._level) / self._scale).T
        surfaces = []
        for surface, outcome in zip(self._surfaces, outcomes, strict=True):
            best = surface.best
            kept = Hyperparameters(best.theta, best.theta[None], np.ones(1))
            surfaces.append(Surface(best.layout, kept, best.features, sample.weights, sample.state, outcome))
        return GaussianProcessResponse(surfaces, self._level, self._scale)

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m), of mixtures (r, d) in states (r, p), or in one, (1, p)."""
        same = len(state) == 1
        found = self._in_chunks(
            len(weights), lambda s, rows: (s.mean(weights[rows], state if same else state[rows]),)
        )
        return np.asarray(self._level + self._scale * found[0])

    def error(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Standard error of the mean, shape (r, m), without the noise of a new run."""
        found = self._in_chunks(len(weights), lambda s, rows: (s.variance(weights[rows], state[rows]),))
        return np.asarray(self._scale * np.sqrt(found[0]))

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of the mean and its standard error, shape (c, m) each.

        Args:
            start: shape (c, d), or (1, d) for all.
            end: shape (c, d).
            state: shape (p,).
        """
        same = len(start) == 1
        change, variance = self._in_chunks(
            len(end), lambda s, rows: s.change(start if same else start[rows], end[rows], state)
        )
        return self._scale * change, self._scale * np.sqrt(variance)

    def contrast_over(
        self, start: np.ndarray, end: np.ndarray, states: np.ndarray, *, errors: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`contrast` in many states at once, shape (s, c, m) each; see `AnswersManyStates`."""
        found = [changes_over(s, start, end, states, errors=errors) for s in self._surfaces]
        change = self._scale * np.stack([f[0] for f in found], axis=-1)
        variances = [f[1] for f in found if f[1] is not None]
        return change, self._scale * np.sqrt(np.stack(variances, axis=-1)) if errors else None

    def contrast_apart(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How much larger the change is in another state, shape (c, m) each; see `ComparesStates`."""
        found = [change_apart(s, start, end, state, other) for s in self._surfaces]
        change, variance = (np.stack(a, axis=-1) for a in zip(*found, strict=True))
        return self._scale * change, self._scale * np.sqrt(variance)

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """What would have been expected of each run without it, and the error, noise included.

        In closed form: hyperparameters are those of all runs.

        Returns:
            Two arrays of shape (n, m).
        """
        mean, variance = (
            np.stack(a, axis=1) for a in zip(*(s.left_out() for s in self._surfaces), strict=True)
        )
        return self._level + self._scale * mean, self._scale * np.sqrt(variance)

    def hyperparameters(self) -> list[dict[str, Any]]:
        """What was learned of each outcome, as plain values.

        Returns:
            Per outcome: `exponent` and `offset` of phi; `smooth`, the proportion of A's smooth part;
            lengths per domain (`weight_lengths`, in standard deviations of phi), per state
            (`state_lengths`) and per modifier (`modifier_lengths`), where long means that it matters
            little; `variance`, the shares of the runs' variance that the surface puts down to `state`,
            `weights`, `interaction` and `noise`; `noise`, in units of the outcome.
        """
        return [
            {**s.hyperparameters(), "noise": float(noise)}
            for s, noise in zip(self._surfaces, self.noise, strict=True)
        ]

    def _in_chunks(
        self, length: int, answer: Callable[[Surface, slice], tuple[np.ndarray, ...]]
    ) -> np.ndarray:
        """Answers of every surface, in pieces of the rows; shape (answers, length, m)."""
        size = max(CHUNK // max(len(s.outcome) for s in self._surfaces), 16)
        parts = [
            np.stack([np.stack(answer(s, slice(i, i + size))) for s in self._surfaces], axis=-1)
            for i in range(0, max(length, 1), size)
        ]
        return np.concatenate(parts, axis=1)
