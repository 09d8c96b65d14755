"""How many standard errors an interval needs so that it holds what it should as often as it says.

A surface states its errors under its own assumptions. Runs that it has not seen tell whether to believe it.
The Gaussian process leaves out each run in closed form. A surface that borrows its errors from the process is
fitted to four fifths of the runs at a time, and the process beside it leaves out one run at a time.

- *Predictions* get the conformal quantile of the left-out errors (conformal.py), which holds a new run in
  95% of the cases whatever the distribution of the errors, and never less than the surface's own quantile.
- *Effects* are never measured, so no left-out error is like theirs. How many standard errors hold them was
  measured where the truth is known: in simulated worlds of three kinds of laws, randomised and confounded,
  with 24 to 512 runs. The errors of the process turned out too wide for slopes by a sixth, because its
  prior allows for rougher surfaces than laws of mixing are. On top of that they are widened by as much as
  left-out runs of the curator's own were further off than expected, in the root of the mean square.
- *Changes* from one mixture to another go farther than a point, and what a rough prior adds to a slope evens
  out on the way: they get the surface's own quantile, widened in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.conformal import CONFIDENCE, OWN_QUANTILE, normalised, prediction_quantile
from causalmix_core.effects.estimators import ESTIMATORS, EstimatorInfo, Response
from causalmix_core.effects.estimators.averaging import Mean
from causalmix_core.effects.estimators.discrepancy import WithError
from causalmix_core.effects.held_out import FOLDS, LeavesOut, predict_held, repeated_runs, split_runs
from causalmix_core.effects.sample import Sample

EFFECT_QUANTILE = 1.65
"""Standard errors that held 95% of true effects in simulated worlds (benchmarks/interval_coverage.py)."""
FEWEST = 12
"""Left-out runs below which nothing is concluded from them."""


@dataclass(frozen=True)
class Calibration:
    """How many standard errors half a 95% interval is.

    Attributes:
        prediction: for what a new run would measure, shape (m,).
        effect: for effects per point, shape (m,).
        change: for changes from one mixture to another, shape (m,).
        observed: share of left-out runs inside their interval before calibration, shape (m,); NaN where
            nothing was left out.
        n: left-out runs that this rests on; 0: none.
    """

    prediction: np.ndarray
    effect: np.ndarray
    change: np.ndarray
    observed: np.ndarray
    n: int


def uncalibrated(response: Response) -> Calibration:
    """The surface's own quantile, as it stands."""
    own = np.full(len(response.noise), _quantile(response))
    return Calibration(own, own, own, np.full(len(own), np.nan), 0)


def calibrate(sample: Sample, info: EstimatorInfo, response: Response, seed: int) -> Calibration:
    """Calibrate the intervals of a surface on runs that it has not seen.

    Args:
        sample: what the surface was fitted to.
        info: the estimator.
        response: its surface.
        seed: of the folds, and of whatever the estimator draws.
    """
    own = uncalibrated(response)
    scores = left_out_scores(sample, info, response, seed)
    if len(scores) < FEWEST:
        return own
    off = np.sqrt((scores**2).mean(axis=0))
    return Calibration(
        prediction=prediction_quantile(scores, _quantile(response)),
        effect=EFFECT_QUANTILE / OWN_QUANTILE * own.effect * np.maximum(1.0, off),
        change=own.change * np.maximum(1.0, off),
        observed=(scores <= own.prediction).mean(axis=0),
        n=len(scores),
    )


def left_out_scores(sample: Sample, info: EstimatorInfo, response: Response, seed: int) -> np.ndarray:
    """Errors of left-out runs in the standard errors expected of them, shape (n or fewer, m).

    Runs that repeat another are passed over where one run is left out at a time: the copy gives it away.
    """
    label = repeated_runs(sample.weights, sample.state)
    alone = np.bincount(label)[label] == 1
    if isinstance(response, LeavesOut) and alone.sum() >= FEWEST:
        return np.asarray(normalised(sample.outcomes, *response.left_out())[alone])
    if len(np.unique(label)) < FEWEST:
        return np.empty((0, sample.outcomes.shape[1]))
    if isinstance(response, WithError) and isinstance(response.reference, LeavesOut):
        expected, spread = response.reference.left_out()
        if isinstance(response.point, Mean):  # of that process and a law
            mean = 0.5 * (expected + _without(sample, ESTIMATORS["mixing_law"], label, seed)[0])
        else:
            mean, _ = _without(sample, info, label, seed)
        return np.asarray(normalised(sample.outcomes, mean, np.hypot(spread, expected - mean))[alone])
    mean, error = _without(sample, info, label, seed)
    return normalised(sample.outcomes, mean, error) if np.isfinite(error).all() else mean[:0]


def _without(
    sample: Sample, info: EstimatorInfo, label: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """What fits to other runs expect of each, and their error, NaN where they do not say it, (n, m) each."""
    mean, error = (np.full_like(sample.outcomes, np.nan) for _ in range(2))
    for fold in split_runs(label, FOLDS, repeats=1, seed=seed):
        found = predict_held(sample, info, fold, seed)
        mean[fold.held] = found.mean
        if found.error is not None and found.noise is not None:
            error[fold.held] = np.hypot(found.error, found.noise)
    return mean, error


def _quantile(response: Response) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, response.degrees_of_freedom))
