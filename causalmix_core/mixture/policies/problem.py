"""What a policy is asked: which effects, in which pool, from which mixture, within which limits.

A policy answers with weights. What is best is said here once: the predicted change of the objective from the
reference, or, cautiously, the bad end of its 95% interval, and a price on every outcome that may not get worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import Limits
from causalmix_core.probes.outcomes import direction_of

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

HARM_PRICE = 100.0
"""What one unit of forbidden harm costs in units of the objective: more than any gain is worth."""


@dataclass(frozen=True)
class Problem:
    """The question that a policy answers.

    Attributes:
        model: fitted effects.
        state: state of the pool that the mixture is for.
        limits: what the mixture must keep to; holds the reference.
        tokens: tokens of the pool by domain; None where the pool is not at hand.
        token_budget: tokens of the training run; None: unknown.
        max_epochs: how often a domain may be read, for policies that spread a budget.
        confidence: whether what counts is the bad end of an interval rather than the prediction.
        no_harm: outcome -> by how much it may get worse, in its own units; what counts is the bad end of the
            interval of its change.
        seed: of whatever is drawn.
    """

    model: EffectModel
    state: Mapping[str, float]
    limits: Limits
    tokens: Mapping[str, int] | None = None
    token_budget: int | None = None
    max_epochs: float | None = None
    confidence: bool = True
    no_harm: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.no_harm) - set(self.model.outcomes)):
            raise CausalMixError(
                f"{', '.join(unknown)} may not get worse, but is no outcome of these runs: "
                f"{', '.join(self.model.outcomes)}."
            )
        if bad := sorted(o for o, margin in self.no_harm.items() if not margin >= 0):
            raise CausalMixError(f"The margin of {', '.join(bad)} is negative; give 0 or more.")

    @property
    def reference(self) -> dict[str, float]:
        """Where changes are counted from, by domain."""
        return dict(zip(self.limits.domains, self.limits.reference.tolist(), strict=True))

    def score(self, candidates: np.ndarray) -> np.ndarray:
        """How bad each mixture is, shape (m,): change of the objective, cautiously or not, and harm."""
        change, error = self.model.changes(self.state, self.reference, candidates)
        total = change + self.model.interval_quantile() * error if self.confidence else change
        return np.asarray(total + HARM_PRICE * self.harm(candidates).sum(axis=1))

    def harm(self, candidates: np.ndarray) -> np.ndarray:
        """By how much each protected outcome exceeds its margin, shape (m, protected)."""
        found = np.zeros((len(candidates), len(self.no_harm)))
        for j, (outcome, margin) in enumerate(self.no_harm.items()):
            change, error = self.model.changes(self.state, self.reference, candidates, outcome)
            worse = -change if outcome != OBJECTIVE and direction_of(outcome) == "higher" else change
            found[:, j] = np.maximum(worse + self.model.interval_quantile(outcome) * error - margin, 0.0)
        return found
