"""Which estimator should be the default on these runs, and why, in words.

The one with the smallest held-out error on the objective is hard to tell from the next ones on few runs, and
choosing it would change the estimator with every new probe. So the choice is the first in the order of
simplicity among those whose error is within one standard error of the smallest (the one-standard-error rule:
Breiman, Friedman, Olshen and Stone 1984; Hastie, Tibshirani and Friedman 2009, section 7.10). The standard
error is that of the difference on the same held-out runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName

SIMPLICITY: tuple[EstimatorName, ...] = (
    "gaussian_process",
    "linear_dml",
    "linear_dml_curved",
    "mixing_law",
    "gp_law",
    "s_learner",
    "lightgbm",
    "causal_forest_dml_curved",
    "causal_forest_dml",
    "linear_regression",
)
"""In which order ties are broken. The Gaussian process comes first because it is the default to beat: it won
every comparison on simulated worlds and on RegMix's tables, and its intervals are its own. The rest go by the
number of parts that have to be right."""
BY_CHANCE = 0.005
"""How often an estimator that learned nothing may seem better than leaving the mixture out; with ten of them,
one seems so in 5% of the tables."""


@dataclass(frozen=True)
class Contender:
    """An estimator that was scored.

    Attributes:
        name: which.
        errors: squared error on the objective by fold, as a share of its variance; folds in the same order
            for all, fewer for those with fewer repeats.
        rank: mean rank correlation on the objective.
        unfit: why it may not be chosen, in words; empty where it may.
    """

    name: EstimatorName
    errors: tuple[float, ...]
    rank: float
    unfit: str = ""


@dataclass(frozen=True)
class Choice:
    """The default, the one with the smallest error, and the reason."""

    name: EstimatorName
    best: EstimatorName
    why: str


def choose(contenders: Sequence[Contender], nothing: Sequence[float], held: float) -> Choice:
    """The default on these runs.

    Args:
        contenders: estimators that were scored.
        nothing: errors by fold of predicting from the pool state alone.
        held: held-out runs per seen run, for the standard error.
    """
    fit = sorted((c for c in contenders if not c.unfit), key=lambda c: SIMPLICITY.index(c.name))
    if not fit:
        return Choice(
            "gaussian_process",
            "gaussian_process",
            "No estimator could be fitted to these runs; the Gaussian process stays the default.",
        )
    shared = min(len(c.errors) for c in fit)
    best = min(fit, key=lambda c: float(np.mean(c.errors[:shared])))
    ties = [c for c in fit if c is best or _within(c.errors[:shared], best.errors[:shared], held)]
    if not _beats(best.errors[:shared], nothing[:shared], held):
        return Choice(
            fit[0].name,
            best.name,
            "No estimator predicts held-out runs clearly better than leaving the mixture out, so there is "
            f"nothing to choose by: {_label(fit[0])} stays the default. Stay with the reference, or launch "
            "more probes.",
        )
    return Choice(ties[0].name, best.name, _why(ties[0], best, fit, ties))


def _difference(a: Sequence[float], b: Sequence[float], held: float) -> tuple[float, float]:
    """Mean of a - b over folds, and its standard error; infinite for a single fold."""
    gap = np.array(a) - np.array(b)
    if len(gap) < 2:
        return float(gap.mean()), math.inf
    return float(gap.mean()), math.sqrt(gap.var(ddof=1) * (1 / len(gap) + held))


def _within(worse: Sequence[float], best: Sequence[float], held: float) -> bool:
    """Whether the difference of two errors is at most one standard error of it."""
    gap, error = _difference(worse, best, held)
    return gap <= error


def _beats(errors: Sequence[float], nothing: Sequence[float], held: float) -> bool:
    """Whether errors are smaller than those of leaving the mixture out by more than chance would have it."""
    from scipy.stats import t

    gap, error = _difference(nothing, errors, held)
    return gap > float(t.ppf(1 - BY_CHANCE, max(len(errors) - 1, 1))) * error and float(np.mean(errors)) < 1


def _why(chosen: Contender, best: Contender, fit: Sequence[Contender], ties: Sequence[Contender]) -> str:
    others = [c for c in fit if c is not chosen]
    if not others:
        return f"{_label(chosen)} is the only estimator that could be compared on these runs."
    if chosen is best:
        next_best = min(others, key=lambda c: float(np.mean(c.errors)))
        said = (
            f"{_label(chosen)} predicts held-out runs best: rank correlation {chosen.rank:.2f}, "
            f"R\u00b2 {_r2(chosen):.2f}, against {next_best.rank:.2f} and {_r2(next_best):.2f} of "
            f"{_label(next_best)}, the next best."
        )
    else:
        said = (
            f"{_label(best)} has the smallest held-out error (R\u00b2 {_r2(best):.2f}), but "
            f"{_label(chosen)} ({_r2(chosen):.2f}) is within one standard error of it and comes first in the "
            "order of simplicity."
        )
    near = [_label(c) for c in ties if c is not chosen and c is not best]
    if near:
        said += f" Within noise: {', '.join(near)}."
    return said


def _r2(contender: Contender) -> float:
    return 1 - float(np.mean(contender.errors))


def _label(contender: Contender) -> str:
    return ESTIMATORS[contender.name].label
