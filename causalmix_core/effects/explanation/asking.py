"""What every explanation asks first: which pool states may change an effect, and where the runs were.

Only states that varied in the runs and that the graph lets reach the outcome can change an effect on it.
Where there are none, an explanation says why instead of drawing a flat line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.model import EffectModel
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.runs import STATE

LOW, HIGH = 0.05, 0.95
"""Quantiles of the runs' states that count as a low and a high value."""
NEGLIGIBLE = 1e-9
"""Spread of a state, relative to its size, that is rounding."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval."""

    value: float
    lower: float
    upper: float

    @property
    def clear(self) -> bool:
        """Whether it can be told from zero."""
        return self.lower > 0 or self.upper < 0

    @property
    def sign(self) -> int:
        """-1, 0 or 1, of the value."""
        return int(np.sign(self.value))


def check_asked(model: EffectModel, domain: str | None, outcome: str) -> None:
    """Refuse what the model does not know.

    Raises:
        CausalMixError: unknown domain or outcome.
    """
    if domain is not None and domain not in model.domains:
        raise CausalMixError(
            f"There is no domain {domain} in this model; it has: {', '.join(model.domains)}."
        )
    if outcome not in model.outcomes:
        raise CausalMixError(
            f"There is no outcome {outcome} in this model; it has: {', '.join(model.outcomes)}."
        )


def changing_states(model: EffectModel, outcome: str) -> list[str]:
    """The pool states that may change an effect on `outcome`, in the order of the runs; may be empty."""
    if not ESTIMATORS[model.estimator].uses_state or not _fitted(model, outcome):
        return []
    allowed = set(model.identifications[outcome].modifiers)
    return [s for s in _varying(model) if s in allowed]


def why_none(model: EffectModel, outcome: str) -> str:
    """Why no pool state can change an effect on `outcome`, in words, where `changing_states` is empty."""
    if not model.identifications[outcome].treatments:
        return f"Under this graph no mixture changes {outcome}, so there is no effect to explain."
    if not _fitted(model, outcome):
        return f"{outcome} has the same value in every run, so no effect can be seen."
    if not model.runs.states:
        return "The runs carry no pool state, so there is nothing that the effect could depend on."
    if not _varying(model):
        return "The pool state is the same in every run: how the effect depends on it is unknown."
    if not ESTIMATORS[model.estimator].uses_state:
        return (
            f"{ESTIMATORS[model.estimator].label} looks at the weights alone: it sees one effect for all "
            "pool states."
        )
    return f"In the graph no pool state has a path to {outcome}, so none may change an effect on it."


def state_name(column: str) -> str:
    """`state/duplication` as it is read aloud."""
    return column.removeprefix(STATE).replace("_", " ")


def pool_state(model: EffectModel, state: Mapping[str, float]) -> np.ndarray:
    """A pool state as one row in the order of `runs.states`.

    Raises:
        CausalMixError: a state of the runs is missing or not finite.
    """
    missing = [s for s in model.runs.states if s not in state or not np.isfinite(state[s])]
    if missing:
        raise CausalMixError(
            f"The pool state has no finite value of {', '.join(missing)}, which the runs have. Give one for "
            f"each of: {', '.join(model.runs.states)}."
        )
    return np.array([state[s] for s in model.runs.states], dtype=float)


def run_states(model: EffectModel, most: int) -> np.ndarray:
    """Pool states of the runs, each once, shape (s, p); `most` of them at random, always the same."""
    states = np.unique(model.runs.state(), axis=0)
    if len(states) > most:
        states = states[np.sort(np.random.default_rng(0).choice(len(states), most, replace=False))]
    return states


def _varying(model: EffectModel) -> list[str]:
    values = model.runs.state()
    size = np.abs(values).max(axis=0, initial=0.0)
    varies = np.ptp(values, axis=0) > NEGLIGIBLE * size if len(values) else size > 0
    return [s for s, v in zip(model.runs.states, varies, strict=True) if v]


def _fitted(model: EffectModel, outcome: str) -> bool:
    return any(outcome in group.outcomes for group in model.groups)
