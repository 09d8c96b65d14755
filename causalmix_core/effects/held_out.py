"""Predicts every run by a fit that has not seen it, so that nothing is scored on rows it was fitted to.

Repeated K-fold cross-validation with two rules that are easy to get wrong. Runs that belong together are held
out together: those of one pool where there are several, else those that tried the same mixture in the same
pool state, because a copy that stays behind gives the answer away. And everything that is learned from data
is learned from the runs of a fold that are seen: the scale of the pool states here, shapes, penalties and
hyperparameters in the estimator's own fit, the width of intervals in the left-out errors of that fit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from causalmix_core.effects.conformal import normalised, prediction_quantile
from causalmix_core.effects.estimators import EstimatorInfo, Response
from causalmix_core.effects.sample import Sample
from causalmix_core.probes.runs import RunTable

FOLDS = 5
REPEATS = 2
_SAME = 9
"""Decimals in which mixtures and states agree when one run repeats another."""


@runtime_checkable
class LeavesOut(Protocol):
    """A surface that can say what it would expect of each of its runs without it, at no further fit."""

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Expected outcome and its standard error, noise of the run included, (n, m) each."""
        ...


@dataclass(frozen=True)
class Fold:
    """A part of the runs that is held out, and the rest.

    Attributes:
        repeat: which of the partitions it belongs to, from 0.
        number: its place in that partition, from 0.
        seen: rows that are fitted to.
        held: rows that are predicted.
    """

    repeat: int
    number: int
    seen: np.ndarray
    held: np.ndarray


@dataclass(frozen=True)
class Predicted:
    """What a fit to the seen runs says of the held ones.

    Attributes:
        mean: expected outcomes, shape (h, m).
        at_reference: expected outcomes had the reference been trained on, in the same pool states, (h, m).
        error: standard error of `mean`, (h, m); None where the surface does not know its own.
        noise: standard deviation of one run, (m,); None likewise.
        quantile: how many standard errors half a 95% interval of a run is, judged by the seen runs alone,
            (m,); None where the surface cannot leave its own runs out.
        r_score: for double machine learning, the share of what the pool state does not explain that the
            effects do, (m,); None for others.
        seconds: that the fit took.
    """

    mean: np.ndarray
    at_reference: np.ndarray
    error: np.ndarray | None
    noise: np.ndarray | None
    quantile: np.ndarray | None
    r_score: np.ndarray | None
    seconds: float


def split_runs(together: np.ndarray, folds: int = FOLDS, repeats: int = REPEATS, seed: int = 0) -> list[Fold]:
    """Partition the runs into folds, several times.

    Args:
        together: a label per run, shape (n,); runs with the same one are never separated.
        folds: parts per partition; fewer where there are fewer labels.
        repeats: partitions. One, where every label is a fold: there is only one such partition.
        seed: of the partitions.

    Returns:
        The folds of the first partition, then those of the next; the same for the same arguments.

    Raises:
        ValueError: all runs have one label, so none can be held out.
    """
    _, label, size = np.unique(together, return_inverse=True, return_counts=True)
    label = label.reshape(-1)
    if len(size) < 2:
        raise ValueError("runs that all belong together cannot be held out from each other")
    folds = min(folds, len(size))
    found = []
    for repeat in range(1 if folds == len(size) else repeats):
        shuffled = np.random.default_rng([seed, repeat]).permutation(len(size))
        place, load = np.empty(len(size), dtype=int), np.zeros(folds)
        for one in shuffled[np.argsort(-size[shuffled], kind="stable")]:  # the largest first evens out sizes
            place[one] = np.argmin(load)
            load[place[one]] += size[one]
        fold = place[label]
        found += [Fold(repeat, k, np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]
    return found


def repeated_runs(weights: np.ndarray, state: np.ndarray) -> np.ndarray:
    """A label per run, shape (n,); the same where mixture (n, d) and pool state (n, p) are."""
    both = np.round(np.column_stack([weights, state]), _SAME)
    return np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)


def kept_together(runs: RunTable) -> tuple[np.ndarray, str]:
    """Which runs are held out together, and why in words.

    Returns:
        A label per run, shape (n,), and a sentence for the curator.
    """
    pools = runs.frame["snapshot"].astype(str).to_numpy() if "snapshot" in runs.frame else np.array([])
    if len(set(pools)) > 1:
        return (
            np.unique(pools, return_inverse=True)[1],
            f"The runs come from {len(set(pools))} pools; each pool was predicted by fits to others.",
        )
    label = repeated_runs(runs.weights(), runs.state())
    repeats = len(runs) - len(np.unique(label))
    said = f" {repeats} of them repeat a mixture in the same pool state and were held out with it."
    return label, f"{len(runs)} runs, each predicted by fits to other runs." + (said if repeats else "")


def part(sample: Sample, fold: Fold) -> tuple[Sample, Sample]:
    """The seen and the held runs of a fold, with pool states on the scale of the seen ones.

    A state that does not vary among the seen runs is 0 in both, since nothing can be learned of it.
    """
    seen, held = sample.rows(fold.seen), sample.rows(fold.held)
    centre, spread = seen.state.mean(axis=0), seen.state.std(axis=0)
    scale = np.where(spread > 1e-9, 1 / np.where(spread > 1e-9, spread, 1), 0.0)

    def scaled(runs: Sample) -> Sample:
        return Sample(runs.weights, (runs.state - centre) * scale, runs.modifiers, runs.outcomes)

    return scaled(seen), scaled(held)


def predict_held(
    sample: Sample, info: EstimatorInfo, fold: Fold, seed: int, *, reference: np.ndarray | None = None
) -> Predicted:
    """Fit to the seen runs of a fold and predict the held ones.

    Args:
        sample: all runs.
        info: the estimator.
        fold: which runs are seen.
        seed: of whatever the estimator draws.
        reference: a mixture that predictions are compared with, shape (d,); default: the mean of the seen.
    """
    seen, held = part(sample, fold)
    varies = np.ptp(seen.outcomes, axis=0) > 0
    fitted = seen.with_outcomes(seen.outcomes[:, varies])
    began = time.perf_counter()
    response = info.make().fit(fitted, seed)
    seconds = time.perf_counter() - began
    start = seen.weights.mean(axis=0) if reference is None else reference
    still = np.broadcast_to(start, held.weights.shape)

    def full(values: np.ndarray, constant: np.ndarray) -> np.ndarray:
        """Outcomes that do not vary among the seen runs are expected to stay as they are."""
        every = np.tile(constant, (*values.shape[:-1], 1))
        every[..., varies] = values
        return every.reshape(*values.shape[:-1], len(varies))

    same, nothing = seen.outcomes[0], np.zeros(len(varies))
    error = noise = quantile = r_score = None
    if isinstance(response, Response):
        error = full(response.error(held.weights, held.state), nothing)
        noise = full(response.noise, nothing)
    if isinstance(response, LeavesOut):
        quantile = full(prediction_quantile(normalised(fitted.outcomes, *response.left_out())), nothing)
    if info.orthogonal:
        from causalmix_core.effects.estimators.dml import residual_score

        r_score = full(
            residual_score(fitted, held.with_outcomes(held.outcomes[:, varies]), response), nothing
        )
    return Predicted(
        mean=full(response.mean(held.weights, held.state), same),
        at_reference=full(response.mean(still, held.state), same),
        error=error,
        noise=noise,
        quantile=quantile,
        r_score=r_score,
        seconds=seconds,
    )
