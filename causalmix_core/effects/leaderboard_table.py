"""From predictions of held-out runs to the rows of the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.baselines import BASELINES, BaselineName, best_seen, distance, state_alone
from causalmix_core.effects.choice import Contender
from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName
from causalmix_core.effects.fitting import OutcomeGroup, objective_sign
from causalmix_core.effects.held_out import Fold, Predicted, part
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.leaderboard_result import OutcomeScore, Row
from causalmix_core.effects.scoring import (
    FoldScores,
    Score,
    Truth,
    average,
    score_estimator,
    score_ranking,
    worth,
)


@dataclass(frozen=True)
class HeldOutRuns:
    """The folds as they were measured, and what the baselines say of them; columns are `outcomes`.

    Attributes:
        outcomes: names, in the order of the groups.
        truths: one per fold.
        state_alone: what the pool state lets expect, (h, m) per fold.
        to_best: distance of each held-out mixture from the best seen one, (h, m) per fold; larger where the
            outcome should be worse.
        to_reference: likewise from the reference.
        held: mean number of held-out runs per seen run.
    """

    outcomes: list[str]
    truths: list[Truth]
    state_alone: list[np.ndarray]
    to_best: list[np.ndarray]
    to_reference: list[np.ndarray]
    held: float

    @classmethod
    def of(cls, groups: Sequence[OutcomeGroup], folds: Sequence[Fold], reference: np.ndarray) -> HeldOutRuns:
        """Read the folds.

        Args:
            groups: what was fitted.
            folds: how runs were held out.
            reference: mixture, shape (K,).
        """
        names = [o for g in groups for o in g.outcomes]
        self = cls(names, [], [], [], [], float(np.mean([len(f.held) / len(f.seen) for f in folds])))
        sign = np.array([objective_sign(o) for o in names])
        for fold in folds:
            outcomes, level, alone, to_best, to_reference = [], [], [], [], []
            for group in groups:
                seen, held = part(group.sample, fold)
                outcomes.append(held.outcomes)
                level.append(seen.outcomes.mean(axis=0))
                alone.append(state_alone(seen, held.state))
                signs = np.array([objective_sign(o) for o in group.outcomes])
                to_best += [
                    distance(held.weights, best_seen(seen.with_outcomes(seen.outcomes * signs), j))
                    for j in range(len(signs))
                ]
                to_reference += [distance(held.weights, reference[group.treatments])] * len(signs)
            measured, expected = np.hstack(outcomes), np.hstack(alone)
            surplus = (measured - expected)[:, names.index(OBJECTIVE)]
            self.truths.append(Truth(measured, np.concatenate(level), surplus, fold.repeat))
            self.state_alone.append(expected)
            self.to_best.append(np.column_stack(to_best) * sign)
            self.to_reference.append(np.column_stack(to_reference) * sign)
        return self

    @property
    def objective(self) -> int:
        """Column of the objective."""
        return self.outcomes.index(OBJECTIVE)

    @property
    def variance(self) -> np.ndarray:
        """Mean squared distance of held-out runs from the mean of the seen ones, (m,)."""
        return np.asarray(np.mean([((t.outcomes - t.level) ** 2).mean(axis=0) for t in self.truths], axis=0))

    def best_possible(self) -> Score:
        """Worth of choosing the held-out runs that turned out best."""
        return average([worth(t.surplus, t.surplus) for t in self.truths], self.held)

    def baseline(self, name: BaselineName) -> Row:
        """The row of a baseline."""
        if name == "no_effect":
            same = [np.zeros_like(a) for a in self.state_alone]
            scores = score_ranking(self.truths, same, self.state_alone, self.objective)
        else:
            ranking = self.to_best if name == "best_constant" else self.to_reference
            scores = score_ranking(self.truths, ranking, None, self.objective)
        return self._row(name, BASELINES[name][0], scores)

    def estimator(
        self, name: EstimatorName, predicted: Sequence[Predicted], beside: Sequence[Predicted] | None
    ) -> Row:
        """The row of an estimator.

        Args:
            name: which.
            predicted: for each fold; fewer where it had fewer repeats.
            beside: what the Gaussian process predicted, for errors of those that do not know their own.
        """
        truths = self.truths[: len(predicted)]
        row = self._row(
            name, ESTIMATORS[name].label, score_estimator(truths, predicted, beside, self.objective)
        )
        r_scores = [math.nan if p.r_score is None else float(p.r_score[self.objective]) for p in predicted]
        return row.model_copy(
            update={
                "r_score": average(r_scores, self.held),
                "seconds": round(float(np.mean([p.seconds for p in predicted])), 4),
            }
        )

    def _row(self, name: EstimatorName | BaselineName, label: str, scores: Sequence[FoldScores]) -> Row:
        relative = np.array([s.squared for s in scores]) / self.variance
        outcomes = {}
        for j, outcome in enumerate(self.outcomes):
            r2 = average(1 - relative[:, j], self.held)
            outcomes[outcome] = OutcomeScore(
                rank=average([s.rank[j] for s in scores], self.held),
                r2=r2,
                rmse=None if r2.mean is None else float(np.sqrt((1 - r2.mean) * self.variance[j])),
                coverage=average([s.inside[j] for s in scores], self.held),
                width=average([s.width[j] for s in scores], self.held).mean,
            )
        errors = relative[:, self.objective]
        return Row(
            name=name,
            label=label,
            outcomes=outcomes,
            worth=average([s.chosen for s in scores], self.held),
            errors=tuple(errors.tolist()) if np.isfinite(errors).all() else (),
            repeats=1 + max(t.repeat for t in self.truths[: len(scores)]),
        )


def unfit(name: EstimatorName, held: Sequence[str], randomised: bool) -> str:
    """Why an estimator may not be the default, however well it predicts; empty where it may.

    Args:
        name: which.
        held: the pool states that the graph has an estimate of the objective hold fixed.
        randomised: whether every mixture was drawn at random.
    """
    if name == "linear_regression":
        return "for comparison only: it has no bend, so all it suggests are corners"
    if held and not randomised and not ESTIMATORS[name].uses_state:
        return (
            f"ignores the pool state, but mixtures were not drawn at random and {', '.join(held)} must be "
            "held fixed; it may predict well and still mistake what the state does for an effect"
        )
    return ""


def contender(row: Row) -> Contender | None:
    """What the choice of the default looks at; None for a row without scores, or of a baseline."""
    if row.failed or row.baseline or not row.errors:
        return None
    rank = row.outcomes[OBJECTIVE].rank.mean
    return Contender(row.name, row.errors, rank or 0.0, row.unfit)  # type: ignore[arg-type]


def in_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Estimators with the smallest error on the objective first, then baselines, then those that failed."""

    def key(row: Row) -> tuple[int, float]:
        return (
            2 if row.failed else 1 if row.baseline else 0,
            float(np.mean(row.errors)) if row.errors else 0.0,
        )

    return tuple(sorted(rows, key=key))


def with_objective_last(row: Row, runs: Sequence[str]) -> Row:
    """The row with its outcomes in the order of the runs, the objective last."""
    order: Mapping[str, int] = {o: i for i, o in enumerate(runs)}
    return row.model_copy(
        update={"outcomes": dict(sorted(row.outcomes.items(), key=lambda o: order.get(o[0], len(order))))}
    )
