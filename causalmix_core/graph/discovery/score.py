"""The score that BOSS and GES search with, and the search for causes that come earlier in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DETERMINED = 1e-6
"""A variable with less than this share of its variance left is a function of the others."""

_NEARLY = 1e-3
"""A column that is determined by others up to this share of its standard deviation."""


class Score:
    """Gaussian BIC of a variable given parents; higher is better. What causal-learn's trees ask for.

    Unlike causal-learn's own it bears parents that determine each other.

    Args:
        data: standardised, shape (n, p).
        penalty: in units of log(n) per parent.
        required: per variable, the parents that are always counted in, without penalty.
    """

    def __init__(self, data: np.ndarray, penalty: float, required: Sequence[frozenset[int]]) -> None:
        self.data = data
        self.runs = len(data)
        self.penalty = penalty
        self.required = [sorted(r) for r in required]
        self.correlation = data.T @ data / self.runs

    def score_nocache(self, v: int, parents: Sequence[int]) -> float:
        """Score of `v` given `parents` and those that are required."""
        given = [*parents, *self.required[v]]
        left = 1.0
        if given:
            across = self.correlation[given, v]
            left -= float(across @ fit(self.correlation[np.ix_(given, given)], across))
        return self._score(left, len(parents))

    def _score(self, left: float, parents: int) -> float:
        """Score of a variable of whose variance a share `left` is not explained by so many parents."""
        likelihood = -0.5 * self.runs * np.log(max(left, DETERMINED))
        return float(likelihood - self.penalty * np.log(self.runs) * parents)

    def _without_each(self, v: int, parents: list[int]) -> list[float]:
        """Score of `v` given all parents but one, for each of them.

        One inverse says it for all: without parent j the variance left grows by weight_j^2 / inverse_jj.
        """
        given = [*parents, *self.required[v]]
        inner = self.correlation[np.ix_(given, given)]
        if not _solvable(inner):
            return [self.score_nocache(v, [u for u in parents if u != w]) for w in parents]
        across = self.correlation[given, v]
        inverted = np.linalg.inv(inner)
        weights = inverted @ across
        left = 1.0 - float(across @ weights) + weights**2 / np.diag(inverted)
        return [self._score(float(share), len(parents) - 1) for share in left[: len(parents)]]

    def grow(self, v: int, candidates: Sequence[int]) -> tuple[float, list[int]]:
        """Add the candidate that raises the score most until none does; the score and who was added."""
        parents: list[int] = []
        best = self.score_nocache(v, parents)
        rest = list(candidates)
        while rest:
            scores = [self.score_nocache(v, [*parents, u]) for u in rest]
            top = int(np.argmax(scores))
            if scores[top] <= best:
                break
            best = scores[top]
            parents.append(rest.pop(top))
        return best, parents

    def shrink(self, v: int, parents: list[int]) -> tuple[float, list[int]]:
        """Drop one parent after the other while that raises the score; the score and who is left."""
        best = self.score_nocache(v, parents)
        while parents:
            scores = self._without_each(v, parents)
            top = int(np.argmax(scores))
            if scores[top] <= best:
                break
            best, parents = scores[top], parents[:top] + parents[top + 1 :]
        return best, parents


def fit(correlation: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Coefficients of a regression on standardised columns, also where these determine each other.

    Args:
        correlation: of the columns, shape (k, k).
        across: their correlation with what is fitted, shape (k,) or (k, m).
    """
    if _solvable(correlation):
        return np.asarray(np.linalg.solve(correlation, across))
    return np.asarray(inverse(correlation) @ across)


def inverse(correlation: np.ndarray) -> np.ndarray:
    """The inverse, or what comes closest where columns determine each other."""
    return np.asarray(np.linalg.pinv(correlation, rcond=1e-8, hermitian=True))


def _solvable(correlation: np.ndarray) -> bool:
    """Whether no column is nearly a function of those before it, so that solving loses no digits."""
    try:
        factor = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        return False
    return bool(np.diag(factor).min() > _NEARLY)
