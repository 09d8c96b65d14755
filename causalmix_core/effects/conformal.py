"""How wide an interval has to be, judged by runs that the fit has not seen, without assuming a distribution.

With n left-out runs whose normalised errors are exchangeable with that of a new one, an interval of the
ceil((n + 1) (1 - alpha))-th smallest of them holds the new run with probability at least 1 - alpha and at
most 1 - alpha + 1 / (n + 1) (split conformal prediction: Vovk, Gammerman and Shafer 2005; Lei et al. 2018,
theorem 2.2). Errors are divided by what the surface itself expects of them, so the interval stays wider where
the runs are far away. Left-out errors come from folds or from leaving out one run at a time (cross-conformal
prediction, Vovk 2015; jackknife+, Barber et al. 2021).
"""

from __future__ import annotations

import math

import numpy as np

CONFIDENCE = 0.95
OWN_QUANTILE = 1.96
"""Standard errors that half a 95% interval is where errors are normal and as large as a surface says."""
_FLOOR = 1e-12
"""Least expected error: a surface that claims none is held to its word without a division by zero."""


def normalised(truth: np.ndarray, mean: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Errors of left-out runs in the standard errors that were expected of them, shape (n, m).

    Args:
        truth: measured outcomes, (n, m).
        mean: what was expected, (n, m).
        error: standard error of that, noise of a run included, (n, m).
    """
    return np.asarray(np.abs(truth - mean) / np.maximum(error, _FLOOR * (1 + np.abs(truth))))


def conformal_quantile(scores: np.ndarray, confidence: float = CONFIDENCE) -> np.ndarray:
    """How many standard errors half an interval has to be.

    Args:
        scores: normalised errors of left-out runs, shape (n, m), n > 0.
        confidence: how often the interval should hold a new run.

    Returns:
        Shape (m,). Below 19 runs no finite interval is sure to hold 95% of new runs; then the largest error
        is widened in proportion to what is missing.
    """
    n = len(scores)
    rank = math.ceil((n + 1) * confidence)
    if rank <= n:
        return np.asarray(np.sort(scores, axis=0)[rank - 1])
    return np.asarray(scores.max(axis=0) * rank / n)


def prediction_quantile(scores: np.ndarray, own: float = OWN_QUANTILE) -> np.ndarray:
    """The conformal quantile, but never less than the surface's own.

    Where one run is left out at a time, a part of what was learned of the covariance from that run stays.
    With two dozen runs this makes left-out errors smaller than those of new ones, and the quantile alone held
    86 to 92% of new runs at a nominal 95% in simulated worlds.

    Args:
        scores: normalised errors of left-out runs, (n, m).
        own: standard errors that half the interval is by the surface's own account.

    Returns:
        Shape (m,).
    """
    return np.asarray(np.maximum(own, conformal_quantile(scores)))
