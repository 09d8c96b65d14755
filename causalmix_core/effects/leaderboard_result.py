"""The leaderboard as a value: rows, the default that follows from them, and what it was computed from.

It is kept in the workspace as JSON, so it holds plain numbers, and None where one is not defined.
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from causalmix_core.effects.baselines import BASELINES, BaselineName
from causalmix_core.effects.estimators import ESTIMATOR_NAMES, EstimatorName
from causalmix_core.effects.held_out import FOLDS, REPEATS
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.scoring import Score


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LeaderboardSettings(_Value):
    """How runs are held out.

    Attributes:
        estimators: which are compared; baselines always are.
        folds: parts of the runs that are held out in turn.
        repeats: how often the runs are parted anew, where time allows.
        seed: of the parts, and of whatever estimators draw.
    """

    estimators: tuple[EstimatorName, ...] = Field(default=ESTIMATOR_NAMES, min_length=1)
    folds: int = Field(default=FOLDS, ge=2, le=20)
    repeats: int = Field(default=REPEATS, ge=1, le=20)
    seed: int = 0


class OutcomeScore(_Value):
    """How one outcome was predicted on held-out runs.

    Attributes:
        rank: Spearman's correlation of predicted and measured, mean over folds.
        r2: share of the variance explained, against the mean of the seen runs; empty for what only ranks.
        rmse: root of the mean squared error, in units of the outcome.
        coverage: share of held-out runs inside the 95% interval, calibrated on the seen runs.
        width: mean half width of that interval, in units of the outcome.
    """

    rank: Score
    r2: Score
    rmse: float | None
    coverage: Score
    width: float | None


class Row(_Value):
    """An estimator or a baseline in the table.

    Attributes:
        name: which.
        label: its name on a page.
        outcomes: scores by outcome, the objective last; empty where it failed.
        worth: what choosing by it got: the measured objective, less what the pool state alone lets expect, of
            the tenth of the held-out runs that it ranks best; lower is better, 0 is no choice at all.
        r_score: of double machine learning, on the objective.
        errors: squared error on the objective by fold, as a share of its variance.
        seconds: of one fit to all outcomes.
        repeats: how often the runs were parted anew.
        failed: why it could not be scored, in words.
        unfit: why it may not be the default, in words.
    """

    name: EstimatorName | BaselineName
    label: str
    outcomes: dict[str, OutcomeScore] = {}
    worth: Score = Score()
    r_score: Score = Score()
    errors: tuple[float, ...] = ()
    seconds: float | None = None
    repeats: int = 0
    failed: str = ""
    unfit: str = ""

    @property
    def baseline(self) -> bool:
        """Whether it is there to be beaten."""
        return self.name in BASELINES

    @property
    def objective(self) -> OutcomeScore | None:
        """Scores on the objective."""
        return self.outcomes.get(OBJECTIVE)


class Leaderboard(_Value):
    """The table, and what it was computed from.

    Attributes:
        rows: estimators, best held-out error on the objective first, then baselines.
        chosen: the default on these runs.
        best: the one with the smallest error, which may be another.
        why: the reason for the choice.
        best_possible: worth of choosing the held-out runs that turned out best.
        settings: how runs were held out.
        runs: how many there are.
        held_out: what was kept together, in words.
        notes: what was shortened or left out.
        seconds: it took.
        at: when it was done.
    """

    rows: tuple[Row, ...]
    chosen: EstimatorName
    best: EstimatorName
    why: str
    best_possible: Score
    settings: LeaderboardSettings
    runs: int
    held_out: str
    notes: tuple[str, ...]
    seconds: float
    at: AwareDatetime

    def row(self, name: EstimatorName | BaselineName) -> Row | None:
        """The row of an estimator or a baseline."""
        return next((r for r in self.rows if r.name == name), None)
