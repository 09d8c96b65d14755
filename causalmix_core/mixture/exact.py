"""Weights that keep what they have to exactly, not to a solver's tolerance: ends, locks and the sum.

A solver returns a lock of 5% as 0.05000000003 and a sum as 0.9999999998. A curator who locked 5% must read
5%, and a trainer that checks the sum must find 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from causalmix_core.mixture.simplex import Mixture

SMALL = 1e-9
"""Room below which a weight is not asked to take up rounding."""

NOTHING = 1e-13
"""A sum as near as this is met; `exact_mixture` does the rest."""


def settle(
    weights: np.ndarray, lower: np.ndarray, upper: np.ndarray, total: np.ndarray | float = 1.0
) -> np.ndarray:
    """Weights within their ends that sum to a total; what is missing is shared out by the room that each has.

    Args:
        weights: shape (m, K) or (K,).
        lower: least of each, shape (K,).
        upper: most of each, shape (K,).
        total: what each row sums to, shape (m,) or one number; reached only where the ends allow it.

    Returns:
        The shape of `weights`.
    """
    inside = np.clip(weights, lower, upper)
    missing = (np.asarray(total) - inside.sum(axis=-1))[..., None]
    missing = np.where(np.abs(missing) < NOTHING, 0.0, missing)
    room = np.where(missing > 0, upper - inside, inside - lower)
    whole = room.sum(axis=-1, keepdims=True)
    share = np.divide(missing, whole, out=np.zeros_like(whole), where=whole > np.abs(missing))
    share = np.where((whole > 0) & (whole <= np.abs(missing)), np.sign(missing), share)
    return np.asarray(np.clip(inside + share * room, lower, upper))


def exact_mixture(
    weights: np.ndarray,
    domains: Sequence[str],
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
) -> Mixture:
    """Weights that sum to exactly 1: their rounding error, some 1e-16, is moved to one of them.

    Args:
        weights: shape (K,), a sum within rounding of 1.
        domains: names, in the order of the weights.
        lower: least of each; None: 0.
        upper: most of each; None: 1. The rounding goes to a weight that lies between its ends.
    """
    values = np.maximum(np.asarray(weights, dtype=float), 0.0)
    low = np.zeros(len(values)) if lower is None else lower
    high = np.ones(len(values)) if upper is None else upper
    free = (values - low > SMALL) & (high - values > SMALL)
    place = int(np.argmax(np.where(free, values, values - 2)))
    # One correction can itself be rounded, so it is repeated until nothing is left.
    while (missing := 1 - math.fsum(values)) and values[place] + missing != values[place]:
        values[place] += missing
    return dict(zip(domains, values.tolist(), strict=True))
