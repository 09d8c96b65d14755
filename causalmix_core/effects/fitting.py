"""Fits effects to the runs under a graph.

Each outcome gets its own arrays: the weights that the graph lets reach it, and the pool states that have to
be held fixed or may change the effect. Outcomes with the same of both are fitted together. The objective, a
weighted mean of the outcomes, is fitted as one more outcome, because the interval of a mean does not follow
from the intervals of its parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalmix_core.effects.calibration import calibrate, uncalibrated
from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName, Response, with_error
from causalmix_core.effects.group_fit import GroupFit, StateScale
from causalmix_core.effects.identification import OBJECTIVE, Identification, identify
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.sample import Sample
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import CausalGraph
from causalmix_core.probes.outcomes import LOSS, direction_of
from causalmix_core.probes.runs import RunTable

RUNS_PER_DOMAIN = 50
"""Below this per domain, effects that differ between pool states hardly beat staying put."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class OutcomeGroup:
    """Outcomes that the graph treats alike, and the arrays that an estimator of them sees."""

    outcomes: list[str]
    treatments: np.ndarray
    states: np.ndarray
    sample: Sample


@dataclass(frozen=True)
class Plan:
    """The runs as the graph has them read: what there is to fit, before anything is fitted.

    Attributes:
        shares: share of each outcome in the objective.
        identifications: what the graph says, by outcome, the objective included.
        scale: how pool states are standardised.
        groups: what is fitted together; outcomes that nothing reaches or that do not vary are in none.
        notes: what was left out and why.
    """

    shares: dict[str, float]
    identifications: dict[str, Identification]
    scale: StateScale
    groups: list[OutcomeGroup]
    notes: list[str]


FEWEST_RUNS = 8
"""Below this no interval means anything, whatever the estimator."""


def minimum_runs(domains: int) -> int:
    """The fewest finished probes that regressions are fitted to: three per domain and six more.

    One parameter per domain, an intercept and some pool state then leave more than half of the runs to
    judge the fit by. Intervals are wide at this size; 50 to 100 runs per domain are comfortable. A Gaussian
    process may be fitted to fewer; a note then says so.
    """
    return 3 * domains + 6


def fit_effects(
    runs: RunTable,
    graph: CausalGraph,
    *,
    estimator: EstimatorName = "gaussian_process",
    objective: Mapping[str, float] | None = None,
    seed: int = 0,
    calibrated: bool = True,
    progress: Progress | None = None,
) -> EffectModel:
    """Estimate the effects of the mixture on every outcome and on the objective.

    Args:
        runs: finished probes.
        graph: says which weights reach which outcome and what to hold fixed.
        estimator: one of `ESTIMATORS`.
        objective: importance of each outcome; None or empty: all losses the same.
        seed: of whatever the estimator draws.
        calibrated: whether intervals are widened to what held-out runs ask for; takes some refits.
        progress: called with the fraction done and what is being done.

    Raises:
        CausalMixError: too few runs, a graph or an objective that does not fit them.
    """
    say = progress or (lambda fraction, text: None)
    say(0.0, "Asking the graph what reaches what")
    info = ESTIMATORS[estimator]
    plan = plan_fit(runs, graph, objective)
    _check_number(runs, estimator)
    groups = []
    for i, group in enumerate(plan.groups):
        say(0.1 + 0.9 * i / len(plan.groups), f"Fitting {info.label} to " + ", ".join(group.outcomes))
        response = fit_response(group.sample, estimator, seed)
        groups.append(
            GroupFit(
                outcomes=group.outcomes,
                treatments=group.treatments,
                states=group.states,
                sample=group.sample,
                response=response,
                calibration=calibrate(group.sample, info, response, seed)
                if calibrated
                else uncalibrated(response),
                step=info.step,
            )
        )
    said = dict.fromkeys(n for g in groups for n in getattr(g.response, "notes", ()))
    say(1.0, "Effects are ready")
    return EffectModel(
        estimator=estimator,
        objective=plan.shares,
        identifications=plan.identifications,
        runs=runs,
        scale=plan.scale,
        groups=groups,
        notes=[*_notes(runs, plan), *plan.notes, *said],
    )


def fit_response(sample: Sample, estimator: EstimatorName, seed: int) -> Response:
    """Fit an estimator as a surface that knows its errors.

    Where the estimator has no posterior of its own, a Gaussian process says how far off it may be.
    """
    fitted = ESTIMATORS[estimator].make().fit(sample, seed)
    if isinstance(fitted, Response):
        return fitted
    beside = ESTIMATORS["gaussian_process"].make().fit(sample, seed)
    assert isinstance(beside, Response)
    return with_error(fitted, beside)


def plan_fit(runs: RunTable, graph: CausalGraph, objective: Mapping[str, float] | None = None) -> Plan:
    """Read the runs as the graph says.

    Raises:
        CausalMixError: as `fit_effects`.
    """
    _check(runs, graph)
    shares = objective_shares(objective or {}, runs.outcomes)
    found = {outcome: identify(graph, outcome, runs.states) for outcome in runs.outcomes}
    found[OBJECTIVE] = objective_identification([found[o] for o, share in shares.items() if share > 0])
    scale = StateScale.of(runs)
    outcomes = outcome_values(runs, shares)
    notes: list[str] = []
    alike: dict[tuple[object, ...], list[str]] = {}
    for outcome, said in found.items():
        values = outcomes[outcome].to_numpy()
        if not said.treatments:
            continue
        if not varies(values):
            notes.append(f"{outcome} has the same value in every run: its effects are shown as 0.")
            continue
        held = tuple(s for s in said.held if s in scale.columns)
        modifiers = tuple(s for s in said.modifiers if s in held)
        # The objective stands alone: under another one only it is fitted again (reweighting.py), to the same.
        alone = outcome == OBJECTIVE
        alike.setdefault((said.treatments, held, modifiers, alone), []).append(outcome)
    groups = [outcome_group(runs, scale, found[names[0]], outcomes[names]) for names in alike.values()]
    return Plan(shares, found, scale, groups, notes)


def outcome_group(
    runs: RunTable, scale: StateScale, said: Identification, outcomes: pd.DataFrame
) -> OutcomeGroup:
    """What an estimator sees of outcomes, one per column, of which the graph says the same."""
    held = [s for s in said.held if s in scale.columns]
    columns = np.array([runs.weight_columns.index(t) for t in said.treatments])
    states = np.array([scale.columns.index(s) for s in held], dtype=int)
    sample = Sample(
        weights=runs.weights()[:, columns],
        state=scale.standardise(runs.state(scale.columns))[:, states],
        modifiers=np.array([i for i, s in enumerate(held) if s in said.modifiers], dtype=int),
        outcomes=outcomes.to_numpy(),
    )
    return OutcomeGroup(list(outcomes.columns), columns, states, sample)


def outcome_values(runs: RunTable, shares: Mapping[str, float]) -> pd.DataFrame:
    """Every outcome and, last, the objective; better is lower in the objective, whatever its parts."""
    outcomes = runs.frame[runs.outcomes].astype(float)
    signed = np.array([share * objective_sign(o) for o, share in shares.items()])
    return outcomes.assign(**{OBJECTIVE: outcomes[list(shares)].to_numpy() @ signed})


def varies(values: np.ndarray) -> bool:
    """Whether an outcome is anything but the same number with rounding."""
    return bool(np.ptp(values) > 1e-12 * max(np.abs(values).max(), 1e-300))


def objective_sign(outcome: str) -> int:
    """How an outcome enters the objective, which is better when lower."""
    return -1 if direction_of(outcome) == "higher" else 1


def objective_shares(objective: Mapping[str, float], outcomes: list[str]) -> dict[str, float]:
    """Importance of each outcome as shares that sum to one, in the order of `outcomes`.

    Args:
        objective: outcome -> importance; empty: all losses the same, or all outcomes where none is a loss.
        outcomes: what the runs measured.

    Raises:
        CausalMixError: an unknown outcome, an importance that is negative or not finite, or only zeros.
    """
    unknown = sorted(set(objective) - set(outcomes))
    bad = sorted(o for o, v in objective.items() if not math.isfinite(v) or v < 0)
    if unknown or bad:
        problem = (
            f"{', '.join(unknown)} is no outcome of the runs"
            if unknown
            else f"the importance of {', '.join(bad)} is negative or not finite"
        )
        raise CausalMixError(f"The objective does not fit: {problem}. Outcomes: {', '.join(outcomes)}.")
    if not objective:
        losses = [o for o in outcomes if o.startswith(LOSS)] or outcomes
        objective = dict.fromkeys(losses, 1.0)
    total = math.fsum(objective.values())
    if total <= 0:
        raise CausalMixError("Every outcome of the objective has importance 0. Give one of them more.")
    return {o: objective.get(o, 0.0) / total for o in outcomes}


def _check_number(runs: RunTable, estimator: EstimatorName) -> None:
    comfortable = max(minimum_runs(len(runs.domains)), 2 * (1 + len(runs.domains) + len(runs.states)))
    needed = FEWEST_RUNS if ESTIMATORS[estimator].few_runs else comfortable
    if len(runs) < needed:
        raise CausalMixError(
            f"There are {len(runs)} finished probes, but effects of {len(runs.domains)} domains and "
            f"{len(runs.states)} pool states by {ESTIMATORS[estimator].label} need at least {needed}. "
            f"Launch {needed - len(runs)} more"
            + (", or choose the Gaussian process." if len(runs) >= FEWEST_RUNS else ".")
        )


def _check(runs: RunTable, graph: CausalGraph) -> None:
    if len(runs.domains) < 2:
        raise CausalMixError("Effects need at least two domains: with one, no weight can move.")
    if len(runs) and np.ptp(runs.weights(), axis=0).max() < 1e-6:
        raise CausalMixError(
            "All runs have the same mixture, so nothing can be said of what another one would do. "
            "Use runs whose mixtures differ."
        )
    nodes = {n.id for n in graph.nodes}
    missing = [c for c in [*runs.weight_columns, *runs.outcomes] if c not in nodes]
    strange = sorted(n.id for n in graph.nodes if n.tier == "weight" and n.id not in runs.weight_columns)
    if missing or strange:
        raise CausalMixError(
            "The graph is not one of these runs: "
            + "; ".join(
                [f"it lacks {', '.join(missing)}"] * bool(missing)
                + [f"the runs lack {', '.join(strange)}"] * bool(strange)
            )
            + ". Discover the graph again from these runs."
        )


def objective_identification(parts: list[Identification]) -> Identification:
    """What holds for a mean of outcomes: it can be reached by whatever reaches one of them."""
    treatments = sorted({t for p in parts for t in p.treatments})
    weights = sorted({w for p in parts for w in (*p.treatments, *p.excluded)})
    adjustment = sorted({a for p in parts for a in p.adjustment})
    open_ = [p for p in parts if not p.identified]
    if open_:
        reason = open_[0].reason
    elif not treatments:
        reason = "No weight has a path to any outcome of the objective, so its effect is 0."
    else:
        held = f"{', '.join(adjustment)} held fixed" if adjustment else "nothing to adjust for"
        reason = f"The objective is reached by whatever reaches one of its outcomes; {held}."
    return Identification(
        outcome=OBJECTIVE,
        treatments=tuple(treatments),
        excluded=tuple(w for w in weights if w not in treatments),
        adjustment=tuple(adjustment),
        modifiers=tuple(sorted({m for p in parts for m in p.modifiers})),
        held=tuple(sorted({h for p in parts for h in p.held})),
        identified=not open_,
        reason=reason,
    )


def _notes(runs: RunTable, plan: Plan) -> list[str]:
    notes = []
    comfortable = RUNS_PER_DOMAIN * len(runs.domains)
    if len(runs) < minimum_runs(len(runs.domains)):
        notes.append(
            f"{len(runs)} runs are fewer than the {minimum_runs(len(runs.domains))} that {len(runs.domains)} "
            "domains ask for: this is a first impression. Most effects will not be told from zero."
        )
    elif len(runs) < comfortable:
        notes.append(
            f"{len(runs)} runs for {len(runs.domains)} domains are few: 50 to 100 per domain "
            f"({comfortable} to {2 * comfortable}) are needed to see how effects depend on the pool state. "
            "With fewer, expect wide intervals."
        )
    if plan.scale.constant:
        notes.append(
            f"{', '.join(plan.scale.constant)} is the same in every run: how effects depend on it is unknown."
        )
    if not runs.states:
        notes.append("The runs carry no pool state: effects hold for the pool that they were trained on.")
    notes += [
        f"{o}: {f.reason}" for o, f in plan.identifications.items() if not f.identified and o != OBJECTIVE
    ]
    return notes
