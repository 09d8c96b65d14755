"""The maps from weights to treatment features: they bend, because more of a domain helps less and less.

A treatment that enters linearly sends every suggestion to a corner of the simplex, so the map has to bend.
Two kinds do:

*Logarithms.* The paper behind this project uses log(w + eps) (CausalMix, arXiv 2607.01104). How sharply a
loss bends differs between pools, and eps is exactly that: the weight at which a domain stops being scarce.
A tiny eps also lets the runs with a weight near zero, where the logarithm dives, decide the whole fit. The
smallest candidate is the size of the smallest weights that a design draws; with the largest the slope still
falls fourfold between a weight of 0 and of 1.

*Curvature.* The weights themselves and a term that bends: own squares or w log w of each domain, or one sum
of them over all domains where there are too many for a bend of their own. Weights that sum to one are
collinear with the intercept, so one of them is dropped. Its bend is kept.

Which eps and which curvature is chosen by leave-one-out error. It comes from one least-squares fit each (the
hat matrix), so the choice costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

EPSILONS = (0.01, 0.03, 0.1, 0.3)
"""The weights at which a domain may stop being scarce."""
SUM_TOLERANCE = 1e-6

Bend = Literal["square", "entropy"]


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


@dataclass(frozen=True)
class CurvedMap:
    """The weights, less one where they sum to one, and their curvature.

    Attributes:
        bend: w^2, or w log w, which bends most where a domain is scarce.
        own: whether each domain has a curvature of its own.
        drop_last: whether the last weight follows from the others.
    """

    bend: Bend
    own: bool
    drop_last: bool

    def features(self, weights: np.ndarray) -> np.ndarray:
        """Weights, then curvature; shape (r, d or d - 1, plus d or 1)."""
        if self.bend == "square":
            bent = weights**2
        else:
            bent = weights * np.log(np.maximum(weights, np.finfo(float).tiny))
        if not self.own:
            bent = bent.sum(axis=1, keepdims=True)
        straight = weights[:, :-1] if self.drop_last else weights
        return np.hstack([straight, bent])


@dataclass(frozen=True)
class StandardMap:
    """Another map's features in standard deviations from their mean over the runs.

    Features that are the same in all runs are left out: nothing can be learned of them.

    Attributes:
        map: the map.
        mean: of the features that vary.
        spread: their standard deviation.
        varies: which they are.
    """

    map: LogMap | CurvedMap
    mean: np.ndarray
    spread: np.ndarray
    varies: np.ndarray

    @classmethod
    def of(cls, map: LogMap | CurvedMap, weights: np.ndarray) -> StandardMap:
        """Learn mean and spread from the runs' weights (n, d)."""
        features = map.features(weights)
        mean, spread = features.mean(axis=0), features.std(axis=0)
        varies = spread > 1e-9 * np.maximum(np.abs(features).max(axis=0, initial=0), 1e-9)
        return cls(map, mean[varies], spread[varies], varies)

    @property
    def size(self) -> int:
        """How many features vary."""
        return len(self.mean)

    def features(self, weights: np.ndarray) -> np.ndarray:
        """Standardised features, shape (r, size)."""
        return np.asarray((self.map.features(weights)[:, self.varies] - self.mean) / self.spread)


def choose_log_map(
    weights: np.ndarray, state: np.ndarray, modifiers: np.ndarray, outcomes: np.ndarray
) -> StandardMap:
    """The logarithmic map whose least-squares fit predicts left-out runs best.

    Args:
        weights: mixtures, shape (n, d).
        state: pool states, shape (n, p), p may be 0.
        modifiers: indices of the states that the effects depend on.
        outcomes: shape (n, m); every outcome counts the same.
    """
    return _best([LogMap(eps) for eps in EPSILONS], weights, state, modifiers, outcomes)


def choose_curved_map(
    weights: np.ndarray, state: np.ndarray, modifiers: np.ndarray, outcomes: np.ndarray
) -> StandardMap:
    """The curved map whose least-squares fit predicts left-out runs best.

    Args:
        weights: mixtures, shape (n, d).
        state: pool states, shape (n, p), p may be 0.
        modifiers: indices of the states that the effects depend on.
        outcomes: shape (n, m); every outcome counts the same.
    """
    complete = bool(np.allclose(weights.sum(axis=1), 1, atol=SUM_TOLERANCE))
    bends: tuple[Bend, ...] = ("square", "entropy")
    maps = [CurvedMap(bend, own, complete) for own in (False, True) for bend in bends]
    return _best(maps, weights, state, modifiers, outcomes)


def _best(
    maps: Sequence[LogMap | CurvedMap],
    weights: np.ndarray,
    state: np.ndarray,
    modifiers: np.ndarray,
    outcomes: np.ndarray,
) -> StandardMap:
    spread = outcomes.std(axis=0)
    scaled = outcomes / np.where(spread > 0, spread, 1)
    errors = []
    for standard in (StandardMap.of(m, weights) for m in maps):
        features = standard.features(weights)
        products = (features[:, :, None] * state[:, None, modifiers]).reshape(len(features), -1)
        design = np.column_stack([np.ones(len(features)), state, features, products])
        errors.append((_left_out_error(design, scaled), standard))
    return min(errors, key=lambda e: e[0])[1]


def _left_out_error(design: np.ndarray, outcomes: np.ndarray) -> float:
    """Mean squared leave-one-out error of least squares; infinite with as many parameters as runs."""
    inverse = np.linalg.pinv(design)
    leverage = np.einsum("ij,ji->i", design, inverse)
    if len(design) - leverage.sum() < 0.5:
        return float("inf")
    residual = outcomes - design @ (inverse @ outcomes)
    return float(np.mean((residual / np.maximum(1 - leverage, 1e-6)[:, None]) ** 2))
