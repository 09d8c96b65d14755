"""Mixtures drawn around an allowed one, for policies that search."""

from __future__ import annotations

import numpy as np

from causalmix_core.mixture.limits import Limits
from causalmix_core.mixture.room import bring_in

SPREAD = (1.0, 100.0)
"""Range of the Dirichlet concentration per domain: from lopsided to close by."""
SMALLEST_CENTRE = 1e-3
"""A domain at weight 0 would never be drawn."""


def draw_candidates(limits: Limits, centre: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Dirichlet mixtures around an allowed centre, brought into the limits.

    Args:
        limits: what they must keep to; its convex part is kept.
        centre: allowed, shape (K,).
        count: how many.
        seed: of the draw.

    Returns:
        Shape (count, K).
    """
    rng = np.random.default_rng(seed)
    low, high = np.log(SPREAD)
    strength = np.exp(rng.uniform(low, high, size=(count, 1))) * len(centre)
    return bring_in(limits, dirichlet(strength * np.maximum(centre, SMALLEST_CENTRE), rng), centre)


def dirichlet(concentration: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One mixture per row of concentrations (m, K); rows that underflow come out as corners, never as NaN."""
    drawn = np.maximum(rng.standard_gamma(concentration), np.finfo(float).tiny)
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))
