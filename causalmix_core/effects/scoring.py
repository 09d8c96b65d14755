"""What a prediction of held-out runs was worth, fold by fold, and how sure the mean over folds is.

Folds share most of the runs that they are fitted to, so their scores are not independent, and the usual
standard error over folds is too small. It is widened by the share of held-out runs (Nadeau and Bengio 2003,
"Inference for the generalization error", eq. 7), which makes ties visible as ties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from causalmix_core.effects.conformal import normalised, prediction_quantile
from causalmix_core.effects.held_out import Predicted

BEST_SHARE = 0.1
"""The held-out runs that an estimator ranks best, as a share of the fold: what it would have chosen."""


class Score(BaseModel):
    """A mean over folds and its standard error, None where it is not defined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Truth:
    """What the held-out runs of a fold measured, shape (h, m), and what they are judged against.

    Attributes:
        outcomes: measured.
        level: mean of the seen runs, (m,).
        surplus: measured objective less what the pool state alone lets expect, (h,); lower is better.
        repeat: which partition the fold belongs to.
    """

    outcomes: np.ndarray
    level: np.ndarray
    surplus: np.ndarray
    repeat: int


@dataclass(frozen=True)
class FoldScores:
    """How one fold was predicted.

    Attributes:
        rank: Spearman correlation with the measured outcomes, (m,); 0 where all predictions are the same.
        squared: mean squared error, (m,); NaN where nothing is predicted, only ranked.
        inside: share of runs inside their 95% interval, (m,); NaN without intervals.
        width: mean half width of these intervals, (m,); NaN likewise.
        chosen: mean surplus of the runs ranked best; see `worth`.
    """

    rank: np.ndarray
    squared: np.ndarray
    inside: np.ndarray
    width: np.ndarray
    chosen: float


def score_estimator(
    truths: Sequence[Truth],
    predicted: Sequence[Predicted],
    beside: Sequence[Predicted] | None,
    objective: int,
) -> list[FoldScores]:
    """How an estimator predicted the held-out runs, fold by fold.

    An estimator that does not know its errors has those that a Gaussian process sees in it, fitted to the
    same runs (discrepancy.py). Where a surface cannot leave its own runs out, the width of its intervals in
    one fold is judged by the held-out runs of the other folds.

    Args:
        truths: the folds.
        predicted: for each fold.
        beside: what the Gaussian process predicted, for fewer folds where it had fewer repeats; None: it
            could not be fitted.
        objective: column of the objective.
    """
    known = [] if beside is None else beside
    errors = [_error(p, known[i] if i < len(known) else None) for i, p in enumerate(predicted)]
    found = []
    for i, (truth, p, error) in enumerate(zip(truths, predicted, errors, strict=True)):
        inside = width = np.full(truth.outcomes.shape[1], np.nan)
        if error is not None:
            quantile = p.quantile
            if quantile is None:
                others = [
                    normalised(t.outcomes, q.mean, e)
                    for j, (t, q, e) in enumerate(zip(truths, predicted, errors, strict=True))
                    if j != i and t.repeat == truth.repeat and e is not None
                ]
                quantile = prediction_quantile(np.vstack(others))
            inside = (np.abs(truth.outcomes - p.mean) <= quantile * error).mean(axis=0)
            width = (quantile * error).mean(axis=0)
        found.append(
            FoldScores(
                rank=rank_correlation(p.mean, truth.outcomes),
                squared=((truth.outcomes - p.mean) ** 2).mean(axis=0),
                inside=inside,
                width=width,
                chosen=worth((p.mean - p.at_reference)[:, objective], truth.surplus),
            )
        )
    return found


def score_ranking(
    truths: Sequence[Truth],
    rankings: Sequence[np.ndarray],
    means: Sequence[np.ndarray] | None,
    objective: int,
) -> list[FoldScores]:
    """How a baseline did: it ranks runs, lower first, (h, m) per fold, and may have means for them."""
    found = []
    for i, (truth, ranking) in enumerate(zip(truths, rankings, strict=True)):
        nothing = np.full(truth.outcomes.shape[1], np.nan)
        squared = nothing if means is None else ((truth.outcomes - means[i]) ** 2).mean(axis=0)
        found.append(
            FoldScores(
                rank=rank_correlation(ranking if means is None else means[i], truth.outcomes),
                squared=squared,
                inside=nothing,
                width=nothing,
                chosen=worth(ranking[:, objective], truth.surplus),
            )
        )
    return found


def _error(predicted: Predicted, beside: Predicted | None) -> np.ndarray | None:
    """Standard error of a new run, (h, m); None where nothing is known of it."""
    if predicted.error is not None and predicted.noise is not None:
        return np.asarray(np.hypot(predicted.error, predicted.noise))
    if beside is None or beside.error is None or beside.noise is None:
        return None
    apart = beside.mean - predicted.mean
    return np.asarray(np.sqrt(beside.error**2 + apart**2 + beside.noise**2))


def rank_correlation(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation column by column, (m,); 0 where a column of `predicted` is constant.

    A constant prediction ranks nothing, which is worth as much as ranking at random.
    """
    from scipy.stats import spearmanr

    found = np.zeros(truth.shape[1])
    for j in range(len(found)):
        if np.ptp(predicted[:, j]) > 0 and np.ptp(truth[:, j]) > 0:
            found[j] = spearmanr(predicted[:, j], truth[:, j]).statistic
    return found


def worth(ranking: np.ndarray, surplus: np.ndarray) -> float:
    """What choosing by a ranking got: the mean surplus of the tenth of the runs that it ranks best.

    Args:
        ranking: what the choice is made by, lower is better, shape (h,). Runs that tie at the edge count in
            proportion, so a ranking that is constant is worth the mean.
        surplus: measured objective less what the pool state alone lets expect, (h,). A curator chooses a
            mixture, not a pool state, so choosing runs with a lucky state must not count.
    """
    many = max(1, math.ceil(BEST_SHARE * len(ranking)))
    edge = np.sort(ranking)[many - 1]
    better, ties = ranking < edge, ranking == edge
    missing = many - int(better.sum())
    return float((surplus[better].sum() + missing * surplus[ties].mean()) / many)


def average(values: Sequence[float], held: float) -> Score:
    """Mean over folds with its standard error.

    Args:
        values: one per fold; NaN where not defined.
        held: mean number of held-out runs per seen run, 1 / (K - 1) for K folds.
    """
    known = np.array([v for v in values if math.isfinite(v)])
    if len(known) == 0:
        return Score()
    if len(known) == 1:
        return Score(mean=float(known[0]))
    variance = known.var(ddof=1) * (1 / len(known) + held)
    return Score(mean=float(known.mean()), error=float(math.sqrt(variance)))
