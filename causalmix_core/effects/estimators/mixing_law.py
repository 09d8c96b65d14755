"""A law of mixing: each outcome is a power of the useful part of the mixture.

    y = c + s (b + a'w)^-alpha,   a >= 0, b > 0, alpha > 0

after the laws of Ye et al. 2024 (Data Mixing Laws, arXiv 2403.16952: c + k exp(t'w), the limit of a large
alpha with a large b) and the log-linear law (the limit of a small alpha). `a` says how much a token of each
domain counts for this outcome, `c` is the level that no mixture passes, `b` is what counts whatever the
mixture. `s` is negative for outcomes that rise with useful data, such as benchmarks; which sign holds is read
off the runs. Where the graph excludes domains, the weights that are left need not sum to one.

So few numbers are learned from few runs, and what they mean carries over to larger models. The law is wrong
where domains work against each other (a < 0), and it does not see the pool state: where the state decided the
mixtures, it is biased.

The fit is nonlinear least squares by Levenberg and Marquardt, for all outcomes and starts at once, with a
normal prior on every parameter, or on its logarithm. The prior is wide in `a` (a domain may count a thousand
times as much as another) and prefers a small alpha; both were chosen on RegMix's runs of 1M proxies. Nothing
is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.sample import Sample

LEVEL, SIZE, EXPONENT, OFFSET, FIRST = range(5)
"""Places of c, log |s|, log alpha, log b and the first log a in a row of parameters."""

PRIOR_MEAN = (0.0, 0.0, np.log(0.05), np.log(0.1))
PRIOR_SPREAD = (3.0, 1.0, 0.5, 3.0)
"""Of the first four, where outcomes are in standard deviations."""
USEFUL_MEAN, USEFUL_SPREAD = np.log(0.1), 3.0
"""Of each log a."""
NOISE = 0.3
"""How far runs may lie from the law, in standard deviations of the outcome: what the prior weighs against
them. Choosing it by leave-one-out error gained nothing from 32 runs on and lost a little below."""
CAUTION = 2.0
"""Where runs lie nearer than that, the prior weighs as if they were so many times as far as they are: the fit
has used up part of the distance."""
LEAST_NOISE = 1e-3
STARTS = (0.05, 1.0)
"""Values of alpha to start from."""
STEPS = 60
LONGEST_STEP = 1.5
CONVERGED = 1e-6
BOUND = 15.0
"""Logarithms of parameters stay within this of zero, so that nothing overflows."""


@dataclass(frozen=True)
class LawResponse:
    """One law per outcome.

    Attributes:
        laws: rows of parameters, shape (m, 4 + d).
        signs: 1 where the outcome falls with useful data, -1 where it rises, shape (m,).
        level: what c = 0 stands for in each outcome, shape (m,).
        spread: what s = 1 stands for, shape (m,).
    """

    laws: np.ndarray
    signs: np.ndarray
    level: np.ndarray
    spread: np.ndarray

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m); the state plays no part."""
        return np.asarray(self.level + self.spread * _values(self.laws, self.signs, weights).T)

    def restricted(self, outcomes: Sequence[int]) -> LawResponse:
        """The laws of some of the outcomes only."""
        return LawResponse(
            self.laws[outcomes], self.signs[outcomes], self.level[outcomes], self.spread[outcomes]
        )


class MixingLaw:
    """The mixing law on the weights alone."""

    def fit(self, sample: Sample, seed: int) -> LawResponse:
        """Fit one law per outcome; the seed is not used."""
        level, spread = sample.outcomes.mean(axis=0), sample.outcomes.std(axis=0)
        targets = ((sample.outcomes - level) / spread).T
        m, d = len(targets), sample.weights.shape[1]
        starts, signs = _starts(sample.weights, targets)
        count = len(starts)
        laws, costs = _improve(
            starts.reshape(count * m, FIRST + d),
            signs.ravel(),
            sample.weights,
            np.tile(targets, (count, 1)),
            np.full(count * m, NOISE),
        )
        best, each = costs.reshape(count, m).argmin(axis=0), np.arange(m)
        laws, signs = laws.reshape(count, m, FIRST + d)[best, each], signs[best, each]
        residual = targets - _values(laws, signs, sample.weights)
        noise = np.clip(CAUTION * np.sqrt((residual**2).mean(axis=1)), LEAST_NOISE, NOISE)
        laws, _ = _improve(laws, signs, sample.weights, targets, noise)
        return LawResponse(laws, signs, level, spread)


def _starts(weights: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Laws to start from, shape (starts, m, 4 + d), and their signs, shape (starts, m)."""
    m, d = len(targets), weights.shape[1]
    centred = weights - weights.mean(axis=0)
    ridge = centred.T @ centred + 1e-2 * max(np.trace(centred.T @ centred) / d, 1e-12) * np.eye(d)
    slopes = np.linalg.solve(ridge, centred.T @ targets.T).T
    starts, signs = [], []
    for sign in (1, -1):
        # What counts is what lowers the outcome, or raises it; the scale is that of the largest.
        counts = -sign * slopes
        counts = counts - counts.min(axis=1, keepdims=True)
        counts = counts / np.maximum(counts.max(axis=1, keepdims=True), 1e-12)
        for useful in (np.full((m, d), USEFUL_MEAN), np.log(np.maximum(counts, 0.05))):
            for alpha in STARTS:
                start = np.tile(_prior(d)[0], (m, 1))
                start[:, EXPONENT] = np.log(alpha)
                start[:, FIRST:] = useful
                start[:, LEVEL] = -_values(start, np.full(m, sign), weights).mean(axis=1)
                starts.append(start)
                signs.append(np.full(m, sign))
    return np.stack(starts), np.stack(signs)


def _prior(domains: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each parameter, shape (4 + domains,)."""
    mean = np.append(PRIOR_MEAN, np.full(domains, USEFUL_MEAN))
    return mean, np.append(PRIOR_SPREAD, np.full(domains, USEFUL_SPREAD))


def _values(laws: np.ndarray, signs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standardised outcomes of each law at each mixture, shape (laws, mixtures)."""
    useful = np.exp(laws[:, [OFFSET]]) + np.exp(laws[:, FIRST:]) @ weights.T
    size = signs[:, None] * np.exp(laws[:, [SIZE]])
    return np.asarray(laws[:, [LEVEL]] + size * useful ** -np.exp(laws[:, [EXPONENT]]))


def _jacobian(laws: np.ndarray, signs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Derivatives of `_values` by the parameters, shape (laws, mixtures, parameters)."""
    offset, counts = np.exp(laws[:, [OFFSET]]), np.exp(laws[:, FIRST:])
    exponent = np.exp(laws[:, [EXPONENT]])
    useful = offset + counts @ weights.T
    power = signs[:, None] * np.exp(laws[:, [SIZE]]) * useful**-exponent
    by_useful = -exponent * power / useful
    result = np.empty((*power.shape, laws.shape[1]))
    result[:, :, LEVEL] = 1
    result[:, :, SIZE] = power
    result[:, :, EXPONENT] = -exponent * power * np.log(useful)
    result[:, :, OFFSET] = by_useful * offset
    result[:, :, FIRST:] = by_useful[:, :, None] * counts[:, None] * weights
    return result


def _improve(
    laws: np.ndarray, signs: np.ndarray, weights: np.ndarray, targets: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg and Marquardt's descent of many laws at once.

    Args:
        laws: where to start, shape (laws, parameters).
        signs: shape (laws,).
        weights: shape (n, d).
        targets: standardised outcomes of each law, shape (laws, n).
        noise: how far runs may lie from each law, shape (laws,).

    Returns:
        Better laws, and their squared residuals plus the prior's, shape (laws,).
    """
    mean, spread = _prior(weights.shape[1])
    precision = (noise[:, None] / spread) ** 2

    def cost(laws: np.ndarray) -> np.ndarray:
        residual = targets - _values(laws, signs, weights)
        return np.asarray((residual**2).sum(axis=1) + (precision * (laws - mean) ** 2).sum(axis=1))

    diagonal = np.arange(laws.shape[1])
    damping = np.full(len(laws), 1e-2)
    with np.errstate(over="ignore", invalid="ignore"):
        now = cost(laws)
        for _ in range(STEPS):
            jacobian = _jacobian(laws, signs, weights)
            residual = targets - _values(laws, signs, weights)
            curvature = np.swapaxes(jacobian, 1, 2) @ jacobian
            curvature[:, diagonal, diagonal] += precision
            curvature[:, diagonal, diagonal] *= 1 + damping[:, None]
            uphill = np.einsum("bnq,bn->bq", jacobian, residual) - precision * (laws - mean)
            step = np.linalg.solve(curvature, uphill[:, :, None])[:, :, 0]
            trial = np.clip(laws + np.clip(step, -LONGEST_STEP, LONGEST_STEP), -BOUND, BOUND)
            then = cost(trial)
            better = then < now
            gained = np.where(better, (now - then) / now, 0)
            settled = np.where(better, gained < CONVERGED, damping > 1e4)
            laws, now = np.where(better[:, None], trial, laws), np.where(better, then, now)
            damping = np.clip(np.where(better, 0.3 * damping, 4 * damping), 1e-9, 1e6)
            if settled.all():
                break
    return laws, now
