"""The map from weights to treatment features: a logarithm, because more of a domain helps less and less.

A treatment that enters linearly sends every suggestion to a corner of the simplex, so the map has to
bend. The paper behind this project uses log(w + eps) (CausalMix, arXiv 2607.01104). How sharply a
loss bends differs between pools, and eps is exactly that: the weight at which a domain stops
being scarce. A tiny eps also lets the runs with a weight near zero, where the logarithm dives, decide
the whole fit. So eps is not fixed but chosen by leave-one-out error from four values. The smallest is
the size of the smallest weights that a design draws; with the largest the slope still falls fourfold
between a weight of 0 and of 1.

A second, linear feature per domain was tried and left out: on simulated mixing laws of six domains it
doubled the number of parameters, lost a little at 24 runs and gained a sixth of the error at 512.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EPSILONS = (0.01, 0.03, 0.1, 0.3)
"""The weights at which a domain may stop being scarce."""


@dataclass(frozen=True)
class LogMap:
    """phi(w) = log(w + eps), one feature per domain.

    Attributes:
        eps: a weight; finite features at weight 0 need it positive.
    """

    eps: float

    def features(self, weights: np.ndarray) -> np.ndarray:
        """phi, same shape as `weights`."""
        return np.asarray(np.log(weights + self.eps))

    def slope(self, weights: np.ndarray) -> np.ndarray:
        """d phi_k / d w_k, same shape as `weights`; a feature depends on its own weight only."""
        return np.asarray(1 / (weights + self.eps))


def choose_log_map(weights: np.ndarray, state: np.ndarray, outcomes: np.ndarray) -> LogMap:
    """The map whose least-squares fit predicts left-out runs best.

    The leave-one-out errors come from one fit each (the hat matrix), so the choice costs nothing.

    Args:
        weights: mixtures, shape (n, K).
        state: pool states, shape (n, p), p may be 0.
        outcomes: shape (n, m); every outcome counts the same.
    """
    spread = outcomes.std(axis=0)
    scaled = outcomes / np.where(spread > 0, spread, 1)
    errors = {}
    for eps in EPSILONS:
        design = np.column_stack([np.ones(len(weights)), state, LogMap(eps).features(weights)])
        inverse = np.linalg.pinv(design)
        leverage = np.einsum("ij,ji->i", design, inverse)
        residual = scaled - design @ (inverse @ scaled)
        errors[eps] = float(np.mean((residual / np.maximum(1 - leverage, 1e-6)[:, None]) ** 2))
    return LogMap(min(errors, key=lambda eps: errors[eps]))
