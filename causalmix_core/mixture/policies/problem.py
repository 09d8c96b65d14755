"""What a policy is asked: which effects, in which pool, from which mixture, within which limits.

A policy answers with weights. What is best is said here once: the predicted change of the objective, or,
cautiously, the bad end of its 95% interval, and a price on every outcome that may not get worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.badness import badness_sign
from causalmix_core.mixture.constraints import Constraints, resolve
from causalmix_core.mixture.limits import Limits
from causalmix_core.mixture.room import nearest_weights, no_freedom

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

RADIUS = 0.25
"""Weight that may move where a curator says nothing of constraints."""
HARM_PRICE = 100.0
"""What forbidden harm of one standard deviation of its outcome over the runs costs, in standard deviations of
the objective: more than any gain is worth."""


@dataclass(frozen=True)
class Problem:
    """The question that a policy answers.

    Attributes:
        model: fitted effects.
        state: state of the pool that the mixture is for.
        limits: what the mixture must keep to; holds the reference.
        tokens: tokens of the pool by domain; None where the pool is not at hand.
        token_budget: tokens of the training run; None: unknown.
        max_epochs: how often a domain may be read, by name or for all; for policies that spread a budget.
        confidence: whether what counts is the bad end of an interval rather than the prediction.
        no_harm: outcome -> by how much it may get worse than at the reference, in its own units; what counts
            is the bad end of the interval of its change.
        seed: of whatever is drawn.
    """

    model: EffectModel
    state: Mapping[str, float]
    limits: Limits
    tokens: Mapping[str, int] | None = None
    token_budget: int | None = None
    max_epochs: dict[str, float] | float | None = None
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
        return self._named(self.limits.reference)

    @cached_property
    def start(self) -> np.ndarray:
        """What staying means, shape (K,): the reference, or the nearest mixture that is allowed."""
        return nearest_weights(self.limits, self.limits.reference)

    @cached_property
    def fixed(self) -> str | None:
        """Words where the constraints leave one mixture only; None where something can move."""
        return no_freedom(self.limits)

    @property
    def may_stay(self) -> bool:
        """Whether the constraints allow the reference."""
        return bool(np.abs(self.start - self.limits.reference).max() < 1e-9)

    def score(self, candidates: np.ndarray) -> np.ndarray:
        """How bad each mixture is, shape (m,): its `goal` and the price of the harm that it may do."""
        return np.asarray(self.goal(candidates) + self.priced(self.harm(candidates)))

    def goal(self, candidates: np.ndarray) -> np.ndarray:
        """Change of the objective from the start, (m,): the bad end of its interval, or the prediction."""
        change, error = self.model.changes(self.state, self._named(self.start), candidates)
        return np.asarray(change + self.confidence * self.model.interval_quantile() * error)

    def excess(self, candidates: np.ndarray) -> np.ndarray:
        """How far each protected outcome may get worse, less its margin, in its own units, (m, protected)."""
        found = np.zeros((len(candidates), len(self.no_harm)))
        for j, (outcome, margin) in enumerate(self.no_harm.items()):
            change, error = self.model.changes(self.state, self.reference, candidates, outcome)
            half = self.model.interval_quantile(outcome) * error
            found[:, j] = badness_sign(outcome) * change + half - margin
        return found

    def harm(self, candidates: np.ndarray) -> np.ndarray:
        """What is above zero of `excess`."""
        return np.asarray(np.maximum(self.excess(candidates), 0.0))

    def priced(self, harm: np.ndarray) -> np.ndarray:
        """Harm (m, protected) as cost, in units of the objective, shape (m,)."""
        return np.asarray(harm @ self._prices)

    @cached_property
    def _prices(self) -> np.ndarray:
        from causalmix_core.effects.fitting import outcome_values
        from causalmix_core.effects.identification import OBJECTIVE

        spread = outcome_values(self.model.runs, self.model.objective).std()
        tiny = float(np.finfo(float).tiny)
        return np.array([HARM_PRICE * spread[OBJECTIVE] / max(float(spread[o]), tiny) for o in self.no_harm])

    def _named(self, weights: np.ndarray) -> dict[str, float]:
        return dict(zip(self.limits.domains, weights.tolist(), strict=True))


def pose(
    model: EffectModel,
    state: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    constraints: Constraints | None = None,
    tokens: Mapping[str, int] | None = None,
    confidence: bool = True,
    no_harm: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Problem:
    """A problem from what a curator says; arguments and errors as in `suggest`."""
    asked = Constraints(radius=RADIUS) if constraints is None else constraints
    return Problem(
        model=model,
        state=state,
        limits=resolve(asked, model.domains, tokens, reference),
        tokens=tokens,
        token_budget=asked.token_budget,
        max_epochs=asked.max_epochs,
        confidence=confidence,
        no_harm=dict(no_harm or {}),
        seed=seed,
    )
