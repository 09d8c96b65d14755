"""Fits effects to the runs under a graph, and scores them on runs that they have not seen.

Each outcome gets its own features: the weights that the graph lets reach it. Outcomes with the same
weights and modifiers are fitted together. The objective, a weighted mean of the losses, is fitted as
one more outcome, because the interval of a mean does not follow from the intervals of its parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from causalmix_core.effects.estimators import EstimatorName
from causalmix_core.effects.identification import OBJECTIVE, Identification, identify
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.outcome_fit import OutcomeFit, StateScale
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import CausalGraph
from causalmix_core.probes.runs import RunTable

HELD_OUT_FOLDS = 5
RUNS_PER_PARAMETER = 10
"""Below this, effects that differ between pool states are noise and one effect for all states is fitted."""
RUNS_PER_DOMAIN = 50
"""Below this per domain, effects that differ between pool states hardly beat staying put."""

Progress = Callable[[float, str], None]


def minimum_runs(domains: int) -> int:
    """The fewest finished probes that effects are fitted to: three per domain and six more.

    One parameter per domain, an intercept and some pool state then leave more than half of the runs to
    judge the fit by. Intervals are wide at this size; 50 to 100 runs per domain are comfortable.
    """
    return 3 * domains + 6


def fit_effects(
    runs: RunTable,
    graph: CausalGraph,
    *,
    estimator: EstimatorName = "linear_dml",
    objective: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> EffectModel:
    """Estimate the effects of the mixture on every outcome and on the objective.

    Args:
        runs: finished probes.
        graph: says which weights reach which outcome and what to adjust for.
        estimator: `linear_dml` or `causal_forest_dml`.
        objective: importance of each outcome; None or empty: all the same.
        seed: of cross-fitting, folds and trees.
        progress: called with the fraction done and what is being done.

    Raises:
        CausalMixError: too few runs, a graph or an objective that does not fit them.
    """
    say = progress or (lambda fraction, text: None)
    _check(runs, graph)
    shares = objective_shares(objective or {}, runs.outcomes)
    identifications: dict[str, Identification] = {}
    for i, outcome in enumerate(runs.outcomes):
        say(0.2 * i / len(runs.outcomes), f"Identifying effects on {outcome}")
        identifications[outcome] = identify(graph, outcome, runs.states)
    identifications[OBJECTIVE] = _objective_identification(
        [identifications[o] for o, share in shares.items() if share > 0]
    )
    scale = StateScale.of(runs)
    weights, state = runs.weights(), scale.standardise(runs.state(scale.columns))
    outcomes = runs.frame[runs.outcomes].astype(float)
    outcomes = outcomes.assign(**{OBJECTIVE: outcomes.to_numpy() @ np.array(list(shares.values()))})
    notes: list[str] = []
    fits = _plan(runs, outcomes, identifications, scale, estimator, seed, notes)
    for i, fit in enumerate(fits):
        say(0.2 + 0.3 * i / len(fits), "Fitting " + ", ".join(fit.outcomes))
        fit.fit(weights, state, outcomes[fit.outcomes].to_numpy(), intervals=True)
    scores = _scores(fits, weights, state, outcomes, seed, lambda f, text: say(0.5 + 0.5 * f, text))
    notes = [*_notes(runs, identifications, scale), *notes]
    say(1.0, "Effects are ready")
    return EffectModel(
        estimator=estimator,
        objective=shares,
        identifications=identifications,
        runs=runs,
        scale=scale,
        fits=fits,
        scores=scores,
        notes=notes,
    )


def _check(runs: RunTable, graph: CausalGraph) -> None:
    needed = max(minimum_runs(len(runs.domains)), 2 * (1 + len(runs.domains) + len(runs.states)))
    if len(runs.domains) < 2:
        raise CausalMixError("Effects need at least two domains: with one, no weight can move.")
    if len(runs) < needed:
        raise CausalMixError(
            f"There are {len(runs)} finished probes, but effects of {len(runs.domains)} domains and "
            f"{len(runs.states)} pool states need at least {needed}. Launch {needed - len(runs)} more."
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


def objective_shares(objective: Mapping[str, float], outcomes: list[str]) -> dict[str, float]:
    """Importance of each outcome as shares that sum to one, in the order of `outcomes`.

    Args:
        objective: outcome -> importance; empty: all the same.
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
    total = math.fsum(objective.values())
    if objective and total <= 0:
        raise CausalMixError("Every outcome of the objective has importance 0. Give one of them more.")
    if not objective:
        return {o: 1 / len(outcomes) for o in outcomes}
    return {o: objective.get(o, 0.0) / total for o in outcomes}


def _objective_identification(parts: list[Identification]) -> Identification:
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
        identified=not open_,
        reason=reason,
    )


def _plan(
    runs: RunTable,
    outcomes: pd.DataFrame,
    identifications: dict[str, Identification],
    scale: StateScale,
    estimator: EstimatorName,
    seed: int,
    notes: list[str],
) -> list[OutcomeFit]:
    """Unfitted fits, one for each set of weights and modifiers; adds to `notes`."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    too_few = 0
    for outcome, found in identifications.items():
        values = outcomes[outcome].to_numpy()
        if found.treatments and np.ptp(values) <= 1e-12 * max(np.abs(values).max(), 1e-300):
            notes.append(f"{outcome} has the same value in every run: its effects are shown as 0.")
            continue
        if not found.treatments:
            continue
        modifiers = tuple(m for m in found.modifiers if m in scale.columns)
        needed = RUNS_PER_PARAMETER * len(found.treatments) * (1 + len(modifiers))
        if modifiers and len(runs) < needed:
            too_few = max(too_few, needed)
            modifiers = ()
        groups.setdefault((found.treatments, modifiers), []).append(outcome)
    if too_few:
        notes.append(
            f"One effect for all pool states: effects that depend on the state need about {too_few} runs "
            f"({RUNS_PER_PARAMETER} per parameter), and there are {len(runs)}. The intervals allow for it."
        )
    return [
        OutcomeFit(
            outcomes=names,
            treatments=np.array([runs.weight_columns.index(t) for t in treatments]),
            modifiers=np.array([scale.columns.index(m) for m in modifiers], dtype=int),
            seed=seed,
            name=estimator,
        )
        for (treatments, modifiers), names in groups.items()
    ]


def _scores(
    fits: list[OutcomeFit],
    weights: np.ndarray,
    state: np.ndarray,
    outcomes: pd.DataFrame,
    seed: int,
    say: Progress,
) -> pd.DataFrame:
    """Predict every run by a fit that has not seen it; choice of eps and nuisances included."""
    from scipy.stats import spearmanr

    n = len(outcomes)
    fold = np.random.default_rng(seed).permutation(n) % HELD_OUT_FOLDS
    rows = []
    for i, fit in enumerate(fits):
        truth = outcomes[fit.outcomes].to_numpy()
        predicted, constant = np.empty_like(truth), np.empty_like(truth)
        for k in range(HELD_OUT_FOLDS):
            say((i + k / HELD_OUT_FOLDS) / len(fits), f"Scoring on held-out runs, fold {k + 1}")
            seen, held = fold != k, fold == k
            part = OutcomeFit(fit.outcomes, fit.treatments, fit.modifiers, seed, fit.name)
            part.fit(weights[seen], state[seen], truth[seen], intervals=False)
            predicted[held] = part.predict(weights[held], state[held])
            constant[held] = truth[seen].mean(axis=0)
        error = ((truth - predicted) ** 2).sum(axis=0) / ((truth - constant) ** 2).sum(axis=0)
        for j, outcome in enumerate(fit.outcomes):
            varies = np.ptp(predicted[:, j]) > 0
            rank = float(spearmanr(predicted[:, j], truth[:, j]).statistic) if varies else math.nan
            rows.append((outcome, rank, float(1 - error[j]), 0.0, n))
    done = {row[0] for row in rows}
    rows += [(o, math.nan, 0.0, 0.0, n) for o in outcomes.columns if o not in done]
    order = {o: i for i, o in enumerate(outcomes.columns)}
    rows.sort(key=lambda row: order[row[0]])
    return pd.DataFrame(rows, columns=["outcome", "spearman", "r2", "baseline", "n"])


def _notes(runs: RunTable, identifications: dict[str, Identification], scale: StateScale) -> list[str]:
    notes = []
    assignment = set(runs.frame["assignment"].dropna()) if "assignment" in runs.frame else set()
    if assignment == {"randomised"}:
        notes.append(
            "The mixtures of all runs were drawn at random: nothing confounds them, and double machine "
            "learning mainly reduces noise here. A plain regression would say much the same."
        )
    elif assignment:
        notes.append(
            f"Some runs are {' and '.join(sorted(assignment - {'randomised'}))}: their mixtures were "
            "chosen knowing something. The effects are as good as the adjustment that the graph asks for."
        )
    comfortable = RUNS_PER_DOMAIN * len(runs.domains)
    if len(runs) < comfortable:
        notes.append(
            f"{len(runs)} runs for {len(runs.domains)} domains are few: 50 to 100 per domain "
            f"({comfortable} to {2 * comfortable}) are needed to see how effects depend on the pool state. "
            "With fewer, expect wide intervals."
        )
    if scale.constant:
        notes.append(
            f"{', '.join(scale.constant)} is the same in every run: how effects depend on it is unknown."
        )
    if not runs.states:
        notes.append("The runs carry no pool state: effects hold for the pool that they were trained on.")
    notes += [f"{o}: {f.reason}" for o, f in identifications.items() if not f.identified and o != OBJECTIVE]
    return notes
