"""What comes of a refutation: a verdict for each effect by each refuter, as values that go into a file.

The rows of the table are effects (a domain on an outcome), its columns are the refuters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from causalmix_core.effects.estimators import EstimatorName
from causalmix_core.probes.runs import Assignment

RefuterName = Literal[
    "placebo", "dummy_outcome", "random_common_cause", "subset", "bootstrap", "unobserved_confounder"
]
Verdict = Literal["passed", "weak", "failed", "not shown", "does not apply"]
"""`not shown`: the effect is not distinguishable from zero in the first place, so there is nothing to refute.
`does not apply`: the refuter has nothing to say of these runs or this estimator."""

REPLICATES = 20
"""Changed sets of runs per refuter: the fewest with which 5% can be reached is 19."""
FEWEST_REPLICATES = 5
MOST_REPLICATES = 1000
STRENGTH = 0.10
"""Strength of the simulated hidden cause: the share of what is left of the weight, and of the outcome, that
it explains (partial R2)."""
SUBSET = 0.8
"""Share of the runs in a subset."""


@dataclass(frozen=True)
class RefuterInfo:
    """A refuter in words.

    Attributes:
        label: the head of its column.
        does: what is done to the runs.
        expects: what must happen if the effect is real.
    """

    label: str
    does: str
    expects: str


REFUTERS: dict[RefuterName, RefuterInfo] = {
    "placebo": RefuterInfo(
        "Placebo mixtures",
        "The mixtures are exchanged among the runs at random, so that none has caused its outcomes.",
        "Effects must vanish, and the one found must be surer than any of those that chance makes.",
    ),
    "dummy_outcome": RefuterInfo(
        "Dummy outcome",
        "The outcome is replaced by what the pool state predicts of it and shuffled noise; the mixtures and "
        "their dependence on the pool state stay.",
        "Effects must vanish. Where they do not, the pool state is not adjusted for well enough.",
    ),
    "random_common_cause": RefuterInfo(
        "Random common cause",
        "A pool state of pure noise is added to those that are held fixed.",
        "Effects must stay where they are.",
    ),
    "subset": RefuterInfo(
        "Subsets of the runs",
        f"Only {SUBSET:.0%} of the runs are used, each time others.",
        "Effects must keep their sign, and move no more than their interval allows.",
    ),
    "bootstrap": RefuterInfo(
        "Bootstrap",
        "As many runs are drawn again from the runs, some of them twice, some never.",
        "Effects must vary no more than their interval says, and not reach zero.",
    ),
    "unobserved_confounder": RefuterInfo(
        "Hidden common cause",
        "A hidden cause of a stated strength, pushing as hard against the effect as it can, is taken out of "
        "the outcomes.",
        "The effect must keep its sign and stay distinguishable from zero.",
    ),
}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RefutationSettings(_Value):
    """What was refuted, and how; the same settings on the same runs give the same result.

    Attributes:
        estimator: what was fitted, and fitted again.
        objective: importance of each outcome; empty: all losses the same.
        state: pool state of the effects, by column.
        mixture: mixture of the effects, by domain.
        replicates: changed sets of runs per refuter.
        seed: of everything that is drawn.
        strength: of the simulated hidden cause, a partial R2 with weight and outcome.
    """

    estimator: EstimatorName
    objective: dict[str, float]
    state: dict[str, float]
    mixture: dict[str, float]
    replicates: int = Field(default=REPLICATES, ge=FEWEST_REPLICATES, le=MOST_REPLICATES)
    seed: int = 0
    strength: float = Field(default=STRENGTH, gt=0, lt=1)


class Check(_Value):
    """One refuter on one effect.

    Attributes:
        refuter: which.
        verdict: how the effect came out of it.
        words: why, with the numbers, in one sentence.
        mean: mean of the effect over the changed runs, in units of the outcome per point; None where nothing
            was fitted.
        spread: its standard deviation over the changed runs; None for fewer than two.
        p_value: for `placebo` and `dummy_outcome`, the share of all effects on this outcome in all changed
            runs that are as sure as this one (it counted in); None for the others.
        ratio: the number that the verdict rests on beside it: for `placebo` and `dummy_outcome` the share of
            the sets of changed runs (the real one counted in) whose surest effect is as sure; for
            `random_common_cause` and `subset` the movement, for `bootstrap` the spread, in standard errors;
            for `unobserved_confounder` the share of the effect that is left. None where nothing was fitted.
    """

    refuter: RefuterName
    verdict: Verdict
    words: str
    mean: float | None = None
    spread: float | None = None
    p_value: float | None = None
    ratio: float | None = None


class RefutedEffect(_Value):
    """An effect and how it came out of every refuter.

    Attributes:
        domain: whose weight moves by +1 point.
        outcome: which outcome, the objective included.
        effect: per +1 point, in units of the outcome.
        lower: of its 95% interval.
        upper: likewise.
        checks: by refuter, in the order of `REFUTERS`.
        verdict: all of them together.
        words: the same in a sentence.
    """

    domain: str
    outcome: str
    effect: float
    lower: float
    upper: float
    checks: tuple[Check, ...]
    verdict: Verdict
    words: str

    def check(self, refuter: RefuterName) -> Check:
        """What one refuter says of this effect."""
        return next(c for c in self.checks if c.refuter == refuter)


class Refutation(_Value):
    """Every effect at one state and mixture, and what is left of it.

    Attributes:
        settings: what was refuted, and how.
        runs: how many runs the effects rest on.
        assignment: how their mixtures came about; None: not said.
        effects: by outcome and domain, in the order of the effect table.
        notes: what to know of the whole.
        seconds: how long it took.
    """

    settings: RefutationSettings
    runs: int
    assignment: Assignment | Literal["mixed"] | None
    effects: tuple[RefutedEffect, ...]
    notes: tuple[str, ...]
    seconds: float

    def table(self) -> pd.DataFrame:
        """The traffic lights: domain, outcome, effect, lower, upper, a column per refuter, verdict, words."""
        return pd.DataFrame(
            [
                {
                    "domain": e.domain,
                    "outcome": e.outcome,
                    "effect": e.effect,
                    "lower": e.lower,
                    "upper": e.upper,
                    **{c.refuter: c.verdict for c in e.checks},
                    "verdict": e.verdict,
                    "words": e.words,
                }
                for e in self.effects
            ]
        )

    def numbers(self) -> pd.DataFrame:
        """One row per effect and refuter with the numbers behind its verdict."""
        return pd.DataFrame(
            [
                {"domain": e.domain, "outcome": e.outcome, "effect": e.effect, **c.model_dump()}
                for e in self.effects
                for c in e.checks
            ]
        )

    def summary(self) -> str:
        """How many effects there are, were distinguishable, and survived."""
        count = {v: sum(e.verdict == v for e in self.effects) for v in ("passed", "weak", "failed")}
        shown = sum(count.values())
        return (
            f"{shown} of {len(self.effects)} effects are distinguishable from zero; of these "
            f"{count['passed']} passed every refutation, {count['weak']} came out weak and {count['failed']} "
            "failed."
        )
