"""What the pool state predicts, by the plainest regression that can bend: squares and products of states.

Diagnostics need a prediction that has no settings to choose, refits in closed form thousands of times and
does not overfit a swarm of 48 runs.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

RUNS_PER_TERM = 10
"""Squares and products are left out where there are fewer runs for each term."""


def state_terms(state: np.ndarray, without: Collection[int] = ()) -> np.ndarray:
    """One, the states, and their squares and products where there are runs for them.

    Args:
        state: shape (n, p), standardised.
        without: states whose terms are all left out. Whether there are squares does not depend on it.

    Returns:
        Shape (n, terms).
    """
    n, p = state.shape
    left = [i for i in range(p) if i not in without]
    terms = [np.ones(n), *(state[:, i] for i in left)]
    if n >= RUNS_PER_TERM * (1 + p + p * (p + 1) // 2):
        terms += [state[:, i] * state[:, j] for i in left for j in left if i <= j]
    return np.column_stack(terms)


def fitted_values(terms: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least-squares fit of each column.

    Args:
        terms: shape (n, t).
        values: shape (n,) or (n, m).

    Returns:
        The shape of `values`.
    """
    return np.asarray(terms @ np.linalg.lstsq(terms, values, rcond=None)[0])


def held_out_r2(terms: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share of the variance of each column that is predicted in runs left out one at a time.

    Args:
        terms: shape (n, t), the first column one.
        values: shape (n, m); none constant.

    Returns:
        Shape (m,); at most 1, and below 0 where the mean of the other runs would have predicted better.
    """
    basis = orthonormal(terms)
    n = len(terms)
    leverage = np.minimum((basis**2).sum(axis=1), 1 - 1e-9)[:, None]
    missed = (values - basis @ (basis.T @ values)) / (1 - leverage)
    by_mean = (values - values.mean(axis=0)) * n / (n - 1)
    return np.asarray(1 - (missed**2).sum(axis=0) / (by_mean**2).sum(axis=0))


def orthonormal(terms: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the columns span, shape (n, rank)."""
    left, values, _ = np.linalg.svd(terms, full_matrices=False)
    return np.asarray(left[:, values > values[0] * 1e-9])
