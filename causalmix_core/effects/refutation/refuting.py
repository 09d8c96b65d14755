"""Fits the effects, breaks the runs on purpose, fits again, and collects the verdicts.

Every refuter changes all outcomes of a run in the same way, so that effects can be compared with the surest of
all of them. What is expensive is the fits: placebo, dummy outcome and random common cause ask what the whole
method makes of other data, so everything is learned anew. Subsets, bootstrap and the hidden cause ask how much
an effect leans on single runs or on a part of the outcome; there a Gaussian process keeps its hyperparameters,
which are properties of the surface and not of the runs at hand. In a bootstrap it must: runs that were
drawn twice would look like proof that there is no noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName, PointResponse, Response
from causalmix_core.effects.fitting import fit_effects
from causalmix_core.effects.group_fit import GroupFit, StateScale
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.overlap import assignment_report
from causalmix_core.effects.refutation.changed_samples import dummy_outcome, placebo, random_common_cause
from causalmix_core.effects.refutation.judging import (
    Estimate,
    Replicates,
    judge_bootstrap,
    judge_confounded,
    judge_movement,
    judge_null,
    judge_subsets,
    overall,
)
from causalmix_core.effects.refutation.result import (
    REFUTERS,
    REPLICATES,
    STRENGTH,
    SUBSET,
    Check,
    Refutation,
    RefutationSettings,
    RefutedEffect,
    RefuterName,
)
from causalmix_core.effects.sample import Sample
from causalmix_core.effects.sensitivity import free_variation
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import CausalGraph
from causalmix_core.probes.runs import RunTable

Progress = Callable[[float, str], None]
FITTED = 0.05
"""Share of the progress that the first fit is given."""


@runtime_checkable
class KeepsHyperparameters(Protocol):
    """A surface that can be conditioned on other runs without learning its hyperparameters anew."""

    def refitted(self, sample: Sample) -> Response:
        """The same covariance, other runs."""
        ...


def refute(
    runs: RunTable,
    graph: CausalGraph,
    *,
    estimator: EstimatorName = "gaussian_process",
    objective: Mapping[str, float] | None = None,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
    replicates: int = REPLICATES,
    seed: int = 0,
    strength: float = STRENGTH,
    progress: Progress | None = None,
) -> Refutation:
    """Try to refute the effect of every domain on every outcome.

    Args:
        runs: finished probes.
        graph: says which weights reach which outcome and what to hold fixed.
        estimator: one of `ESTIMATORS`.
        objective: importance of each outcome; None or empty: all losses the same.
        state: pool state of the effects, by column; all states of the runs.
        mixture: where the point is added, by domain.
        replicates: changed sets of runs per refuter; 19 are needed for a p-value of 0.05.
        seed: of everything that is drawn.
        strength: of the simulated hidden cause: the share of what is left of weight and outcome that it
            explains.
        progress: called with the fraction done and what is being done.

    Returns:
        A verdict for each effect by each refuter.

    Raises:
        CausalMixError: as `fit_effects`, or a state or mixture that does not fit the runs.
    """
    began = time.perf_counter()
    say = progress or (lambda fraction, text: None)
    settings = RefutationSettings(
        estimator=estimator,
        objective=dict(objective or {}),
        state=dict(state),
        mixture=dict(mixture),
        replicates=replicates,
        seed=seed,
        strength=strength,
    )
    model = fit_effects(
        runs,
        graph,
        estimator=estimator,
        objective=objective,
        seed=seed,
        progress=lambda fraction, text: say(FITTED * fraction, text),
    )
    return _Refuting(model, settings, say).run(began)


@dataclass(frozen=True)
class _Without:
    """A surface without errors of its own, so that effects can be read off it like off any other."""

    point: PointResponse

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.tile(state, (len(end), 1))
        change = self.point.mean(end, rows) - self.point.mean(np.broadcast_to(start, end.shape), rows)
        return change, np.full_like(change, np.nan)


class _Refuting:
    """One refutation under way: the model, where its effects are asked for, and how to fit again."""

    def __init__(self, model: EffectModel, settings: RefutationSettings, say: Progress) -> None:
        self._model, self._settings, self._say = model, settings, say
        self._info = ESTIMATORS[settings.estimator]
        self._frame = model.effects(settings.state, settings.mixture)
        scale = StateScale.of(model.runs)
        self._x = scale.standardise(np.array([settings.state[c] for c in scale.columns], dtype=float))
        self._w = np.array([settings.mixture[d] for d in model.domains], dtype=float)
        self._n = len(model.runs)
        self._errors = [g.effects(self._x, self._w)[1] for g in model.groups]
        self._residuals = [_residual(g.response, g.sample) for g in model.groups]
        self._done, self._fits = 0, 1
        self._failures = 0

    def run(self, began: float) -> Refutation:
        """All refuters on all effects."""
        settings, model = self._settings, self._model
        report = assignment_report(model.runs)
        asked: list[RefuterName] = ["placebo", "dummy_outcome", "subset", "bootstrap"]
        if self._info.uses_state:
            asked.insert(2, "random_common_cause")
        confounded = report.kind != "randomised" or report.doubted
        self._fits = settings.replicates * len(asked) + confounded * len(model.domains)
        estimate = self._estimate()
        checks: dict[RefuterName, list[Check]] = {}
        for refuter in asked:
            found = self._replicates(refuter)
            checks[refuter] = _judge(refuter, estimate, found)
        if confounded:
            checks["unobserved_confounder"] = judge_confounded(
                estimate, self._without_hidden_cause(estimate), settings.strength
            )
        self._say(1.0, "Refutation is ready")
        return Refutation(
            settings=settings,
            runs=self._n,
            assignment=report.kind,
            effects=tuple(self._collect(estimate, checks)),
            notes=tuple(self._notes(report.doubted)),
            seconds=time.perf_counter() - began,
        )

    def _estimate(self) -> Estimate:
        half = (self._frame["upper"] - self._frame["lower"]).to_numpy() / 2
        error = self._gather(self._errors)
        return Estimate(self._frame["effect"].to_numpy(), error, half)

    def _gather(self, by_group: list[np.ndarray]) -> np.ndarray:
        """Values per group, (K, m) each, in the order of the effect table; zero where nothing is fitted."""
        outcomes = self._model.outcomes
        values = np.zeros((len(outcomes), len(self._model.domains)))
        for group, value in zip(self._model.groups, by_group, strict=True):
            values[[outcomes.index(o) for o in group.outcomes]] = value.T
        return values.ravel()

    def _replicates(self, refuter: RefuterName) -> Replicates:
        effects, errors = [], []
        for b in range(self._settings.replicates):
            self._say(
                FITTED + (1 - FITTED) * self._done / self._fits,
                f"{REFUTERS[refuter].label}, {b + 1} of {self._settings.replicates}",
            )
            self._done += 1
            rng = np.random.default_rng([self._settings.seed, list(REFUTERS).index(refuter), b])
            change, keeps = self._change(refuter, rng)
            found = [self._fit(i, change(g.sample), keeps) for i, g in enumerate(self._model.groups)]
            effects.append(self._gather([f[0] for f in found]))
            errors.append(self._gather([f[1] for f in found]))
        return Replicates(np.array(effects), np.array(errors))

    def _change(
        self, refuter: RefuterName, rng: np.random.Generator
    ) -> tuple[Callable[[Sample], Sample], bool]:
        """What is done to each sample in one replicate, and whether hyperparameters are kept."""
        if refuter == "placebo":
            order = rng.permutation(self._n)
            return lambda sample: placebo(sample, order), False
        if refuter == "dummy_outcome":
            order = rng.permutation(self._n)
            return lambda sample: dummy_outcome(sample, order), False
        if refuter == "random_common_cause":
            noise = rng.normal(size=self._n)
            return lambda sample: random_common_cause(sample, noise), False
        if refuter == "subset":
            rows = np.sort(rng.choice(self._n, int(SUBSET * self._n), replace=False))
            return lambda sample: sample.rows(rows), True
        rows = np.sort(rng.integers(0, self._n, self._n))
        return lambda sample: sample.rows(rows), True

    def _fit(self, index: int, sample: Sample, keeps: bool) -> tuple[np.ndarray, np.ndarray]:
        """Effects and standard errors of one group on other runs, (K, m) each; NaN where it cannot be."""
        group = self._model.groups[index]
        added = sample.state.shape[1] - len(group.states)
        x = np.append(self._x, np.zeros(added))
        states = np.append(group.states, len(self._x) + np.arange(added)).astype(int)
        nothing = np.full((len(self._w), len(group.outcomes)), np.nan)
        if (np.ptp(sample.outcomes, axis=0) <= 0).any():
            self._failures += 1
            return nothing, nothing
        fitted: PointResponse
        if keeps and isinstance(group.response, KeepsHyperparameters):
            fitted = group.response.refitted(sample)
        else:
            try:
                fitted = self._info.make().fit(sample, self._settings.seed)
            except (CausalMixError, np.linalg.LinAlgError):
                self._failures += 1
                return nothing, nothing
        if isinstance(fitted, Response):
            return replace(group, states=states, sample=sample, response=fitted).effects(x, self._w)
        bare: GroupFit = replace(group, states=states, sample=sample, response=_Without(fitted))  # type: ignore[arg-type]
        effect = bare.effects(x, self._w)[0]
        # Without an error of its own, that of the real fit grows with what is left unexplained.
        return effect, self._errors[index] * _residual(fitted, sample) / self._residuals[index]

    def _without_hidden_cause(self, estimate: Estimate) -> np.ndarray:
        """Effects once a hidden cause of the stated strength, as bad as it can be, is taken out.

        A confounder that explains a share of what is left of weight k and of the outcome biases the
        coefficient of log(w_k) by at most `OmittedBias`; the outcomes lose that much of it per unit of what
        is left of the weight.
        """
        model, settings = self._model, self._settings
        adjusted = estimate.effect.reshape(len(model.outcomes), len(model.domains)).copy()
        for k, domain in enumerate(model.domains):
            self._say(FITTED + (1 - FITTED) * self._done / self._fits, f"Hidden common cause of {domain}")
            self._done += 1
            for i, group in enumerate(model.groups):
                variation = free_variation(model.runs.weights(), group.sample.state, k)
                effect = self._frame["effect"].to_numpy().reshape(adjusted.shape)
                rows = [model.outcomes.index(o) for o in group.outcomes]
                bias = variation.coefficient_bias(group.response.noise, settings.strength, settings.strength)
                shift = np.outer(variation.residual, np.sign(effect[rows, k]) * bias)
                found, _ = self._fit(i, group.sample.with_outcomes(group.sample.outcomes - shift), True)
                adjusted[rows, k] = found[k]
        return adjusted.ravel()

    def _collect(self, estimate: Estimate, checks: dict[RefuterName, list[Check]]) -> list[RefutedEffect]:
        found = []
        for i, row in enumerate(self._frame.itertuples(index=False)):
            own = tuple(
                self._one(refuter, checks[refuter][i] if refuter in checks else None, bool(estimate.shown[i]))
                for refuter in REFUTERS
            )
            verdict, words = overall(own)
            found.append(
                RefutedEffect(
                    domain=row.domain,
                    outcome=row.outcome,
                    effect=row.effect,
                    lower=row.lower,
                    upper=row.upper,
                    checks=own,
                    verdict=verdict,
                    words=words,
                )
            )
        return found

    def _one(self, refuter: RefuterName, check: Check | None, shown: bool) -> Check:
        if check is None:
            why = (
                "The mixtures were drawn at random: nothing hidden can have caused them."
                if refuter == "unobserved_confounder"
                else f"{self._info.label} does not look at the pool state, so nothing there can move it."
            )
            return Check(refuter=refuter, verdict="does not apply", words=why)
        if not shown:
            words = "Not distinguishable from zero in the first place."
            return check.model_copy(update={"verdict": "not shown", "words": words})
        return check

    def _notes(self, doubted: bool) -> list[str]:
        notes = []
        b = self._settings.replicates
        if b < 19:
            notes.append(
                f"{b} sets of runs per refuter cannot give a p-value below {1 / (b + 1):.2f}: nothing can pass "
                "placebo and dummy outcome. 19 or more can."
            )
        if doubted:
            notes.append(
                "The runs are labelled randomised, but the pool state predicts their mixtures; so a hidden "
                "common cause is simulated all the same."
            )
        if self._failures:
            notes.append(
                f"{self._failures} of the fits to changed runs were impossible (too few runs or an outcome "
                "that did not vary) and are left out."
            )
        return notes


def _judge(refuter: RefuterName, estimate: Estimate, found: Replicates) -> list[Check]:
    if refuter in ("placebo", "dummy_outcome"):
        return judge_null(refuter, estimate, found)
    if refuter == "random_common_cause":
        return judge_movement(estimate, found)
    return judge_subsets(estimate, found) if refuter == "subset" else judge_bootstrap(estimate, found)


def _residual(response: PointResponse, sample: Sample) -> np.ndarray:
    """Standard deviation of what the surface leaves over, shape (m,)."""
    left = sample.outcomes - response.mean(sample.weights, sample.state)
    return np.asarray(np.maximum(left.std(axis=0), 1e-12 * sample.outcomes.std(axis=0)))
