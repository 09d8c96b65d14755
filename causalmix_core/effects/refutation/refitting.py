"""Effects on runs that were changed on purpose: what is done to them, and how the surface is fitted again.

Every refuter changes all outcomes of a run in the same way, so that an effect can be compared with the surest
of all. What costs time are the fits. Placebo, dummy outcome and random common cause ask what the whole method
makes of other runs, so everything is learned anew, hyperparameters of a Gaussian process included. Subsets,
bootstrap and the hidden cause ask how far an effect leans on single runs or on a part of the outcome; there a
Gaussian process keeps its hyperparameters, which belong to the surface and not to the runs at hand. In a
bootstrap it must: runs that were drawn twice would look like proof that there is no noise.

With many runs the hyperparameters of one shuffled set are as good as those of the next, since all are
shuffled alike; then they are learned once for `BATCH` sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName, PointResponse, Response
from causalmix_core.effects.group_fit import GroupFit
from causalmix_core.effects.refutation.changed_samples import dummy_outcome, placebo, random_common_cause
from causalmix_core.effects.refutation.result import REFUTERS, SUBSET, RefuterName
from causalmix_core.effects.sample import Sample
from causalmix_core.effects.sensitivity import free_variation
from causalmix_core.errors import CausalMixError

ANEW: tuple[RefuterName, ...] = ("placebo", "dummy_outcome", "random_common_cause")
"""Refuters that ask what the whole method makes of other runs."""
LEARNED_ANEW = 128
"""Runs up to which hyperparameters are learned for every changed set by itself."""
BATCH = 5


@runtime_checkable
class KeepsHyperparameters(PointResponse, Protocol):
    """A surface that can be conditioned on other runs without learning its hyperparameters again."""

    def refitted(self, sample: Sample) -> Response:
        """The same covariance, other runs."""
        ...


@dataclass(frozen=True)
class Batch:
    """Changed sets of runs that are fitted one after the other.

    Attributes:
        refuter: what is done to the runs.
        members: numbers of the sets; for the hidden cause, indices of domains.
    """

    refuter: RefuterName
    members: tuple[int, ...]


@dataclass(frozen=True)
class Refitted:
    """Effects and their standard errors in one changed set of runs, by group of outcomes, (K, m) each.

    NaN where the fit was impossible.
    """

    effects: list[np.ndarray]
    errors: list[np.ndarray]


@dataclass
class Refits:
    """All that is needed to fit again; `do` follows from it and the batch alone.

    Attributes:
        groups: the fitted surfaces.
        estimator: what is fitted again.
        weights: mixtures of the runs, shape (n, K).
        state: standardised pool state of the effects, shape (all states,).
        mixture: where the point is added, shape (K,).
        seed: of everything that is drawn.
        strength: of the hidden cause.
    """

    groups: list[GroupFit]
    estimator: EstimatorName
    weights: np.ndarray
    state: np.ndarray
    mixture: np.ndarray
    seed: int
    strength: float
    effects: list[np.ndarray] = field(init=False)
    errors: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        """Read effects and standard errors off the fitted surfaces."""
        found = [g.effects(self.state, self.mixture) for g in self.groups]
        self.effects, self.errors = [f[0] for f in found], [f[1] for f in found]

    def batches(self, refuter: RefuterName, replicates: int) -> list[Batch]:
        """The changed sets of one refuter, those that share hyperparameters together."""
        many = refuter not in ANEW or len(self.weights) > LEARNED_ANEW
        size = BATCH if many else 1
        numbers = range(len(self.mixture) if refuter == "unobserved_confounder" else replicates)
        return [Batch(refuter, tuple(numbers[i : i + size])) for i in range(0, len(numbers), size)]

    def do(self, batch: Batch) -> list[Refitted]:
        """Change the runs and fit again, once for each member of the batch."""
        by_group = [self._group(group, i, batch) for i, group in enumerate(self.groups)]
        return [
            Refitted([found[b][0] for found in by_group], [found[b][1] for found in by_group])
            for b in range(len(batch.members))
        ]

    def _group(self, group: GroupFit, index: int, batch: Batch) -> list[tuple[np.ndarray, np.ndarray]]:
        if batch.refuter == "unobserved_confounder":
            samples = [self._without_hidden_cause(group, index, k) for k in batch.members]
        else:
            samples = [self._changed(group.sample, batch.refuter, b) for b in batch.members]
        if batch.refuter in ANEW:
            first = self._fit(samples[0], None)
            fitted = [first, *(self._fit(sample, first) for sample in samples[1:])]
            return [self._read(group, index, s, f) for s, f in zip(samples, fitted, strict=True)]
        found = [self._read(group, index, s, self._fit(s, group.response)) for s in samples]
        if not isinstance(group.response, KeepsHyperparameters):
            return found
        # One choice of hyperparameters stands for all; what that alone changes is no matter of the runs.
        alone = self._read(group, index, group.sample, group.response.refitted(group.sample))[0]
        return [(effect + self.effects[index] - alone, error) for effect, error in found]

    def _changed(self, sample: Sample, refuter: RefuterName, b: int) -> Sample:
        """Set number b of one refuter; the draws do not depend on the group, so outcomes stay together."""
        rng, n = np.random.default_rng([self.seed, list(REFUTERS).index(refuter), b]), len(sample)
        change: dict[RefuterName, Callable[[], Sample]] = {
            "placebo": lambda: placebo(sample, rng.permutation(n)),
            "dummy_outcome": lambda: dummy_outcome(sample, rng.permutation(n)),
            "random_common_cause": lambda: random_common_cause(sample, rng.normal(size=n)),
            "subset": lambda: sample.rows(np.sort(rng.choice(n, int(SUBSET * n), replace=False))),
            "bootstrap": lambda: sample.rows(np.sort(rng.integers(0, n, n))),
        }
        return change[refuter]()

    def _without_hidden_cause(self, group: GroupFit, index: int, k: int) -> Sample:
        """The outcomes without what a hidden cause of domain k, as bad as it can be, would have added."""
        variation = free_variation(self.weights, group.sample.state, k)
        bias = variation.coefficient_bias(group.response.noise, self.strength, self.strength)
        faked = np.outer(variation.residual, np.sign(self.effects[index][k]) * bias)
        return group.sample.with_outcomes(group.sample.outcomes - faked)

    def _fit(self, sample: Sample, known: PointResponse | None) -> PointResponse | None:
        sample = sample.with_outcomes(_varying(sample.outcomes))
        if isinstance(known, KeepsHyperparameters):
            return known.refitted(sample)
        try:
            return ESTIMATORS[self.estimator].make().fit(sample, self.seed)
        except (CausalMixError, np.linalg.LinAlgError):
            return None

    def _read(
        self, group: GroupFit, index: int, sample: Sample, fitted: PointResponse | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Effects and standard errors off a surface that may know of one state more, at its mean."""
        if fitted is None:
            nothing = np.full_like(self.effects[index], np.nan)
            return nothing, nothing
        added = sample.state.shape[1] - len(group.states)
        at = np.append(self.state, np.zeros(added))
        states = np.append(group.states, len(self.state) + np.arange(added)).astype(int)
        if isinstance(fitted, Response):
            effect, error = replace(group, states=states, response=fitted).effects(at, self.mixture)
        else:
            bare = replace(group, states=states, response=_Bare(fitted))  # type: ignore[arg-type]
            effect = bare.effects(at, self.mixture)[0]
            # Without an error of its own, that of the real fit grows with what is left unexplained.
            grown = _unexplained(fitted, sample) / _unexplained(group.response, group.sample)
            error = self.errors[index] * grown
        moves = np.ptp(sample.outcomes, axis=0) > 0
        return np.where(moves, effect, 0.0), np.where(moves, error, 0.0)


def missing(found: Sequence[Refitted]) -> int:
    """How many fits were impossible."""
    return sum(bool(np.isnan(effect).all()) for one in found for effect in one.effects)


@dataclass(frozen=True)
class _Bare:
    """A surface without errors, read like one that has them."""

    point: PointResponse

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.tile(state, (len(end), 1))
        change = self.point.mean(end, rows) - self.point.mean(np.broadcast_to(start, end.shape), rows)
        return change, np.full_like(change, np.nan)


def _varying(outcomes: np.ndarray) -> np.ndarray:
    """The outcomes with something in the place of those that these runs do not vary, which nothing moves."""
    still = np.ptp(outcomes, axis=0) <= 0
    anything = np.resize([0.0, 1.0], len(outcomes))
    return np.where(still, anything[:, None], outcomes)


def _unexplained(surface: PointResponse, sample: Sample) -> np.ndarray:
    """Standard deviation of what a surface leaves over of its own runs, shape (m,); never zero."""
    left = sample.outcomes - surface.mean(sample.weights, sample.state)
    return np.asarray(np.maximum(left.std(axis=0), 1e-9 * sample.outcomes.std(axis=0)))
