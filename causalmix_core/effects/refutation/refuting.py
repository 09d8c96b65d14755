"""Fits the effects, has them fitted again to changed runs, and collects the verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName
from causalmix_core.effects.fitting import fit_effects
from causalmix_core.effects.group_fit import StateScale
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.overlap import assignment_report
from causalmix_core.effects.refutation.judging import (
    FEWEST_REPLICATES_TO_PASS,
    Estimate,
    Replicates,
    judge_bootstrap,
    judge_confounded,
    judge_movement,
    judge_null,
    judge_subsets,
    overall,
)
from causalmix_core.effects.refutation.refitting import LEARNED_ANEW, Batch, Refits, Refitted, missing
from causalmix_core.effects.refutation.result import (
    REFUTERS,
    REPLICATES,
    STRENGTH,
    Check,
    Refutation,
    RefutationSettings,
    RefutedEffect,
    RefuterName,
)
from causalmix_core.graph.model import CausalGraph
from causalmix_core.probes.runs import RunTable
from causalmix_core.worker_pool import cores, work_through

Progress = Callable[[float, str], None]
FEWEST_FITTED = 3
"""Changed sets of runs that must have been fitted for a refuter to say anything."""
FITTED = 0.05
"""Share of the progress that the first fit is given."""


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
    workers: int | None = None,
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
        replicates: changed sets of runs per refuter; with fewer than 19 nothing can pass placebo.
        seed: of everything that is drawn.
        strength: of the simulated hidden cause: the share of what is left of weight and outcome that it
            explains.
        workers: processes to fit in; 0: this one; None: one per core where there are many runs. The result
            does not depend on it.
        progress: called with the fraction done and what is being done; what it raises ends the refutation.

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
    frame = model.effects(settings.state, settings.mixture)
    scale = StateScale.of(runs)
    refits = Refits(
        groups=model.groups,
        estimator=estimator,
        weights=runs.weights(),
        state=scale.standardise(np.array([state[c] for c in scale.columns], dtype=float)),
        mixture=np.array([mixture[d] for d in model.domains], dtype=float),
        seed=seed,
        strength=strength,
    )
    report = assignment_report(runs)
    by_design = report.kind == "randomised" and not report.doubted
    asked = [
        refuter
        for refuter in REFUTERS
        if not (refuter == "random_common_cause" and not ESTIMATORS[estimator].uses_state)
        and not (refuter == "unobserved_confounder" and by_design)
    ]
    if workers is None:
        workers = cores() if len(runs) > LEARNED_ANEW and cores() > 1 else 0
    found = _fit_again(refits, asked, replicates, workers, say)
    estimate = Estimate(
        effect=frame["effect"].to_numpy(),
        error=_gather(model, refits.errors),
        half=(frame["upper"] - frame["lower"]).to_numpy() / 2,
        outcome=np.repeat(np.arange(len(model.outcomes)), len(model.domains)),
    )
    checks = {refuter: _judge(refuter, estimate, found[refuter], model, strength) for refuter in asked}
    say(1.0, "Refutation is ready")
    return Refutation(
        settings=settings,
        runs=len(runs),
        assignment=report.kind,
        effects=tuple(_collect(model, frame, estimate, checks)),
        notes=tuple(_notes(model, replicates, report.doubted, sum(missing(f) for f in found.values()))),
        seconds=time.perf_counter() - began,
    )


def _fit_again(
    refits: Refits, asked: list[RefuterName], replicates: int, workers: int, say: Progress
) -> dict[RefuterName, list[Refitted]]:
    """All changed sets of all refuters, in order."""
    batches = [batch for refuter in asked for batch in refits.batches(refuter, replicates)]
    total, done, doing = sum(len(b.members) for b in batches), 0, ""
    answers: dict[Batch, list[Refitted]] = {}

    def tick() -> None:
        say(FITTED + (1 - FITTED) * done / total, doing or "Changing the runs")

    for batch, answer in work_through(refits, batches, workers, tick):
        answers[batch] = answer
        done += len(batch.members)
        doing = f"{REFUTERS[batch.refuter].label}, set {batch.members[-1] + 1}"
        tick()
    return {
        refuter: [one for batch in batches if batch.refuter == refuter for one in answers[batch]]
        for refuter in asked
    }


def _gather(model: EffectModel, by_group: list[np.ndarray]) -> np.ndarray:
    """Values per group, (K, m) each, in the order of the effect table; zero where nothing is fitted."""
    values = np.zeros((len(model.outcomes), len(model.domains)))
    for group, value in zip(model.groups, by_group, strict=True):
        values[[model.outcomes.index(o) for o in group.outcomes]] = value.T
    return values.ravel()


def _judge(
    refuter: RefuterName, estimate: Estimate, found: list[Refitted], model: EffectModel, strength: float
) -> list[Check]:
    effects = np.array([_gather(model, one.effects) for one in found])
    if refuter == "unobserved_confounder":
        # Fit number k took out the cause of domain k, and speaks of this domain alone.
        domains, outcomes = len(model.domains), len(model.outcomes)
        own = effects.reshape(domains, outcomes, domains)[np.arange(domains), :, np.arange(domains)]
        own = np.where(np.isfinite(own), own, 0.0)
        return judge_confounded(estimate, own.T.ravel(), strength)
    errors = np.array([_gather(model, one.errors) for one in found])
    possible = np.isfinite(effects).all(axis=1)
    if possible.sum() < FEWEST_FITTED:
        words = (
            f"{ESTIMATORS[model.estimator].label} could not be fitted to the changed runs: they are too few."
        )
        return [Check(refuter=refuter, verdict="does not apply", words=words)] * len(estimate.effect)
    replicates = Replicates(effects[possible], errors[possible])
    if refuter == "random_common_cause":
        return judge_movement(estimate, replicates)
    if refuter == "subset":
        return judge_subsets(estimate, replicates)
    if refuter == "bootstrap":
        return judge_bootstrap(estimate, replicates)
    return judge_null(refuter, estimate, replicates)


def _collect(
    model: EffectModel,
    frame: pd.DataFrame,
    estimate: Estimate,
    checks: Mapping[RefuterName, list[Check]],
) -> list[RefutedEffect]:
    """Every row of the effect table with its checks and what they come to."""
    effects = []
    for i, (domain, outcome) in enumerate(zip(frame["domain"], frame["outcome"], strict=True)):
        shown = bool(estimate.shown[i])
        own = tuple(
            _one(refuter, checks[refuter][i] if refuter in checks else None, shown, model.estimator)
            for refuter in REFUTERS
        )
        verdict, words = overall(own)
        if verdict == "passed" and not model.identifications[outcome].identified:
            verdict = "weak"
            words += " But it is association: the graph has a cause that nobody measured."
        effects.append(
            RefutedEffect(
                domain=domain,
                outcome=outcome,
                effect=float(estimate.effect[i]),
                lower=float(estimate.effect[i] - estimate.half[i]),
                upper=float(estimate.effect[i] + estimate.half[i]),
                checks=own,
                verdict=verdict,
                words=words,
            )
        )
    return effects


def _one(refuter: RefuterName, check: Check | None, shown: bool, estimator: EstimatorName) -> Check:
    if check is None:
        why = (
            "The mixtures were drawn at random: nothing hidden can have caused them."
            if refuter == "unobserved_confounder"
            else f"{ESTIMATORS[estimator].label} does not look at the pool state, so nothing there moves it."
        )
        return Check(refuter=refuter, verdict="does not apply", words=why)
    if not shown and check.verdict != "does not apply":
        words = "Not distinguishable from zero in the first place."
        return check.model_copy(update={"verdict": "not shown", "words": words})
    return check


def _notes(model: EffectModel, replicates: int, doubted: bool, impossible: int) -> list[str]:
    notes = []
    if replicates < FEWEST_REPLICATES_TO_PASS:
        notes.append(
            f"With {replicates} sets of runs per refuter nothing can pass placebo and dummy outcome: that "
            f"takes {FEWEST_REPLICATES_TO_PASS}."
        )
    if doubted:
        notes.append(
            "The runs are labelled randomised, but the pool state predicts their mixtures; so a hidden "
            "common cause is simulated all the same."
        )
    open_ = [o for o, found in model.identifications.items() if not found.identified]
    if open_:
        notes.append(
            f"Under the graph the effects on {', '.join(open_)} do not follow from what was measured: what "
            "survives there is a stable association, not yet an effect."
        )
    if impossible:
        notes.append(
            f"{impossible} fits to changed runs were impossible, mostly because the runs were too few; they "
            "are left out."
        )
    return notes
