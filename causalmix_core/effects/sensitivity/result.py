"""What comes of a look at hidden causes: for every effect, the strength that would overturn it."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.overlap import AssignmentKind

Standing = Literal["safe by design", "robust", "fragile", "not shown"]
"""`safe by design`: mixtures drawn at random have no hidden cause. `robust`: no hidden cause of ordinary
strength, or as strong as a measured state, overturns or hides the effect; `fragile`: one does. `not shown`:
it is not distinguishable from zero to begin with."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Benchmark(_Value):
    """A hidden cause as strong as a state that was measured.

    Attributes:
        state: the measured state.
        weight_r2: share of what is left of the weight that the state explains.
        outcome_r2: share of what is left of the outcome that it explains.
        bias: what a hidden cause of the same strength would add to the effect or take from it, per point.
        overturns: whether that is the whole effect.
        hides: whether it makes the effect indistinguishable from zero.
    """

    state: str
    weight_r2: float
    outcome_r2: float
    bias: float
    overturns: bool
    hides: bool


class EffectSensitivity(_Value):
    """One effect and the hidden causes that would overturn it.

    Attributes:
        domain: whose weight moves.
        outcome: which outcome.
        effect: per +1 point.
        half: half its 95% interval.
        robustness: strength that brings the effect to zero, 0 to 1.
        robustness_distinguishable: strength that makes it indistinguishable; 0 where it is not
            distinguishable.
        benchmarks: by measured state, the most dangerous first.
        standing: all of it in a word.
        words: the same in a sentence.
    """

    domain: str
    outcome: str
    effect: float
    half: float
    robustness: float
    robustness_distinguishable: float
    benchmarks: tuple[Benchmark, ...]
    standing: Standing
    words: str


class Sensitivity(_Value):
    """How sensitive every effect at one state and mixture is to causes that nobody measured.

    Attributes:
        state: of the effects.
        mixture: of the effects.
        assignment: how the mixtures of the runs came about.
        by_design: nothing hidden can have caused the mixtures, because they were drawn at random.
        effects: by outcome and domain.
        sentences: what to make of it.
    """

    state: dict[str, float]
    mixture: dict[str, float]
    assignment: AssignmentKind | None
    by_design: bool
    effects: tuple[EffectSensitivity, ...]
    sentences: tuple[str, ...]

    def of(self, outcome: str = OBJECTIVE) -> tuple[EffectSensitivity, ...]:
        """The effects on one outcome, by domain."""
        return tuple(e for e in self.effects if e.outcome == outcome)

    def table(self) -> pd.DataFrame:
        """The attributes of each effect but its interval; `benchmark` is the most dangerous state."""
        return pd.DataFrame(
            [
                {
                    **e.model_dump(exclude={"benchmarks", "half"}),
                    "benchmark": e.benchmarks[0].state if e.benchmarks else None,
                }
                for e in self.effects
            ]
        )
