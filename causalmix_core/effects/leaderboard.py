"""Which estimator predicts these runs best? All of them and three baselines, scored on runs not seen.

Every estimator predicts the same held-out runs from the same others, and nothing of the held-out runs enters
a fit, a scale, a hyperparameter or the width of an interval. One that cannot be fitted to these runs gets a
row that says why. Further repeats are done while there is time for them; the table says how many each had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from causalmix_core.effects.baselines import BASELINES
from causalmix_core.effects.choice import choose
from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName
from causalmix_core.effects.fitting import OutcomeGroup, Plan, plan_fit
from causalmix_core.effects.held_out import Fold, Predicted, kept_together, predict_held, split_runs
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.leaderboard_result import Leaderboard, LeaderboardSettings, Row
from causalmix_core.effects.leaderboard_table import (
    HeldOutRuns,
    contender,
    in_order,
    unfit,
    with_objective_last,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.discovery.columns import is_randomised
from causalmix_core.graph.model import CausalGraph
from causalmix_core.probes.runs import RunTable
from causalmix_core.worker_pool import cores, work_through

BUDGET_SECONDS = 150.0
"""How long it may take with further repeats; the first is always done."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class _Answer:
    """One fold as an estimator predicted it, or why it could not."""

    predicted: Predicted | None
    failed: str
    seconds: float


@dataclass(frozen=True)
class _Work:
    """Fits one estimator to one fold."""

    groups: tuple[OutcomeGroup, ...]
    folds: tuple[Fold, ...]
    reference: np.ndarray
    seed: int

    def do(self, item: tuple[EstimatorName, int], /) -> _Answer:
        name, fold = item
        began = time.perf_counter()
        try:
            found = [
                predict_held(
                    g.sample,
                    ESTIMATORS[name],
                    self.folds[fold],
                    self.seed,
                    reference=self.reference[g.treatments],
                )
                for g in self.groups
            ]
        except Exception as error:  # any estimator may fail on some runs; the table says so
            said = str(error) if isinstance(error, CausalMixError) else f"{type(error).__name__}: {error}"
            return _Answer(None, said, time.perf_counter() - began)
        return _Answer(_side_by_side(found), "", time.perf_counter() - began)


def leaderboard(
    runs: RunTable,
    graph: CausalGraph,
    objective: Mapping[str, float] | None = None,
    *,
    reference: Mapping[str, float] | None = None,
    settings: LeaderboardSettings | None = None,
    workers: int | None = None,
    budget: float | None = BUDGET_SECONDS,
    progress: Progress | None = None,
) -> Leaderboard:
    """Score all estimators and baselines on held-out runs.

    Args:
        runs: finished probes.
        graph: says which weights reach which outcome and what to hold fixed.
        objective: importance of each outcome, as in `fit_effects`.
        reference: the mixture that `keep_reference` stays at; default: the mean mixture of the runs.
        settings: what is compared, and how runs are held out.
        workers: processes; default: one per core; 0: work in this one.
        budget: seconds that it may take with further repeats; None: all repeats, however long they take.
        progress: called several times a second with the share done and what is being done; raise in it to
            stop: the processes end at once.

    Raises:
        CausalMixError: too few runs, a graph or an objective that does not fit them, no weight that reaches
            the objective, or all runs of one mixture.
    """
    settings = settings or LeaderboardSettings()
    began = time.perf_counter()
    plan = plan_fit(runs, graph, objective)
    if not any(OBJECTIVE in g.outcomes for g in plan.groups):
        raise CausalMixError(
            f"Estimators cannot be compared: {plan.identifications[OBJECTIVE].reason} Draw an edge from a "
            "weight to an outcome of the objective, or choose outcomes that differ between runs."
        )
    together, held_out = kept_together(runs)
    if len(np.unique(together)) < 2:
        raise CausalMixError(
            "All runs tried the same mixture in the same pool state; there is nothing to compare."
        )
    folds = split_runs(together, settings.folds, settings.repeats, settings.seed)
    start = (
        runs.weights().mean(axis=0) if reference is None else np.array([reference[d] for d in runs.domains])
    )
    work = _Work(tuple(plan.groups), tuple(folds), start, settings.seed)
    answers, notes = _all_answers(work, settings, workers, budget, began, progress or (lambda f, text: None))
    return _table(runs, plan, work, settings, answers, held_out, notes, began)


def _side_by_side(found: Sequence[Predicted]) -> Predicted:
    """The predictions of several groups of outcomes as one; what one of them lacks, all lack."""

    def join(name: str) -> np.ndarray | None:
        values = [getattr(p, name) for p in found]
        return None if any(v is None for v in values) else np.concatenate(values, axis=-1)

    mean, at_reference = join("mean"), join("at_reference")
    assert mean is not None
    assert at_reference is not None
    return Predicted(
        mean=mean,
        at_reference=at_reference,
        error=join("error"),
        noise=join("noise"),
        quantile=join("quantile"),
        r_score=join("r_score"),
        seconds=math.fsum(p.seconds for p in found),
    )


def _all_answers(
    work: _Work,
    settings: LeaderboardSettings,
    workers: int | None,
    budget: float | None,
    began: float,
    tell: Progress,
) -> tuple[dict[tuple[EstimatorName, int], _Answer], list[str]]:
    """Every estimator on every fold of the first partition, and of the others while there is time."""
    workers = cores() if workers is None else workers
    fitted = [n for n in settings.estimators if not _is_mean_of_others(n, settings)]
    answers: dict[tuple[EstimatorName, int], _Answer] = {}
    todo = len(fitted) * len(work.folds)
    doing = "Starting to fit"

    def tick() -> None:
        tell(min(len(answers) / todo, 1.0), doing)

    def go_through(items: list[tuple[EstimatorName, int]]) -> None:
        nonlocal doing
        for (name, fold), answer in work_through(work, items, workers, tick):
            answers[name, fold] = answer
            doing = (
                f"Held-out runs predicted by {ESTIMATORS[name].label}, fold {fold + 1} of {len(work.folds)}"
            )
            tick()

    first = [k for k, f in enumerate(work.folds) if f.repeat == 0]
    go_through([(name, k) for name in fitted for k in first])
    cost = {
        name: math.fsum(answers[name, k].seconds for k in first)
        for name in fitted
        if all(answers[name, k].predicted is not None for k in first)
    }
    shortened: list[EstimatorName] = []
    for repeat in range(1, 1 + max(f.repeat for f in work.folds)):
        left = math.inf if budget is None else began + budget - time.perf_counter()
        chosen: list[EstimatorName] = []
        # The default to beat comes first, then whatever is fast.
        for name in sorted(cost, key=lambda n: (n != "gaussian_process", cost[n])):
            seconds = cost[name] / max(workers, 1)
            if seconds <= left:
                left -= seconds
                chosen.append(name)
            else:
                shortened.append(name)
        todo -= (len(fitted) - len(chosen)) * len(first)
        go_through([(n, k) for n in chosen for k, f in enumerate(work.folds) if f.repeat == repeat])
        cost = {name: cost[name] for name in chosen}
    notes = []
    if shortened and budget is not None:
        labels = [ESTIMATORS[n].label for n in dict.fromkeys(shortened)]
        which = "every estimator" if len(labels) == len(fitted) else ", ".join(labels)
        notes.append(f"To stay within {budget:.0f} s, the folds were repeated less often for {which}.")
    return answers | _means(answers, settings), notes


def _is_mean_of_others(name: EstimatorName, settings: LeaderboardSettings) -> bool:
    """Whether an estimator is the mean of two that are compared anyway, so that it costs no further fit."""
    return name == "gp_law" and {"gaussian_process", "mixing_law"} <= set(settings.estimators)


def _means(
    answers: dict[tuple[EstimatorName, int], _Answer], settings: LeaderboardSettings
) -> dict[tuple[EstimatorName, int], _Answer]:
    """What the mean of the Gaussian process and the mixing law predicts, from what both do."""
    found: dict[tuple[EstimatorName, int], _Answer] = {}
    if not any(_is_mean_of_others(n, settings) for n in settings.estimators):
        return found
    for (name, fold), process in answers.items():
        law = answers.get(("mixing_law", fold))
        if name != "gaussian_process" or law is None:
            continue
        a, b, seconds = process.predicted, law.predicted, process.seconds + law.seconds
        if a is None or b is None:
            found["gp_law", fold] = _Answer(None, process.failed or law.failed, seconds)
            continue
        mean = Predicted(
            mean=0.5 * (a.mean + b.mean),
            at_reference=0.5 * (a.at_reference + b.at_reference),
            error=None,
            noise=None,
            quantile=None,
            r_score=None,
            seconds=a.seconds + b.seconds,
        )
        found["gp_law", fold] = _Answer(mean, "", seconds)
    return found


def _table(
    runs: RunTable,
    plan: Plan,
    work: _Work,
    settings: LeaderboardSettings,
    answers: dict[tuple[EstimatorName, int], _Answer],
    held_out: str,
    notes: list[str],
    began: float,
) -> Leaderboard:
    held = HeldOutRuns.of(work.groups, work.folds, work.reference)
    predicted: dict[EstimatorName, list[Predicted]] = {}
    rows = []
    for name in settings.estimators:
        mine = [answers[name, k] for k in range(len(work.folds)) if (name, k) in answers]
        failed = next((a.failed for a in mine if a.failed), "")
        if failed:
            rows.append(Row(name=name, label=ESTIMATORS[name].label, failed=failed))
        else:
            predicted[name] = [a.predicted for a in mine if a.predicted is not None]
    beside = predicted.get("gaussian_process")
    states = [s for s in plan.identifications[OBJECTIVE].held if s in plan.scale.columns]
    randomised = is_randomised(runs)
    for name, found in predicted.items():
        row = held.estimator(name, found, beside)
        rows.append(row.model_copy(update={"unfit": unfit(name, states, randomised)}))
    rows += [held.baseline(name) for name in BASELINES]
    nothing = next(r.errors for r in rows if r.name == "no_effect")
    choice = choose([c for r in rows if (c := contender(r)) is not None], nothing, held.held)
    return Leaderboard(
        rows=in_order([with_objective_last(r, runs.outcomes) for r in rows]),
        chosen=choice.name,
        best=choice.best,
        why=choice.why,
        best_possible=held.best_possible(),
        settings=settings,
        runs=len(runs),
        held_out=held_out,
        notes=tuple(notes),
        seconds=round(time.perf_counter() - began, 2),
        at=datetime.now(UTC),
    )
