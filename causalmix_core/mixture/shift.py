"""Another pool, the same effects model: what changed in the pool, what that does to the effects, and why.

This is what pool state is for (CausalMix, arXiv 2607.01104): effects were fitted over many pool states, so a new or
filtered pool gets its mixture without a single new probe, as long as its state lies within what the probes
covered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

MOST_EXACT = 8
"""States up to which contributions are computed over all subsets of them; beyond, one state at a time."""


@dataclass(frozen=True)
class PoolShift:
    """What differs between two pools, as the effects model sees them.

    Attributes:
        states: columns state, before, after, deviations (change in standard deviations of the runs), lowest and
            highest (of the runs), covered (whether the new value lies between them).
        effects: columns domain, outcome, before, before_lower, before_upper, after, after_lower, after_upper,
            difference: effects per +1 point at one mixture in both pools.
        causes: columns domain, outcome, state, contribution: which state moved which effect; the contributions
            of an effect add up to its difference.
        warning: in words, where the new state lies outside of what the runs covered; None where it does not.
    """

    states: pd.DataFrame
    effects: pd.DataFrame
    causes: pd.DataFrame
    warning: str | None


def pool_shift(
    model: EffectModel,
    before: Mapping[str, float],
    after: Mapping[str, float],
    mixture: Mapping[str, float],
) -> PoolShift:
    """Compare what effects do in two pools.

    Args:
        model: fitted effects.
        before: state of the pool at hand, by column.
        after: state of the other pool.
        mixture: where effects are taken, the same in both pools.

    Raises:
        CausalMixError: a state lacks what the runs have, or the mixture does not fit the runs.
    """
    warning = model.extrapolation(after)
    old, new = model.effects(before, mixture), model.effects(after, mixture)
    effects = old[["domain", "outcome"]].assign(
        before=old["effect"], before_lower=old["lower"], before_upper=old["upper"],
        after=new["effect"], after_lower=new["lower"], after_upper=new["upper"],
        difference=new["effect"] - old["effect"],
    )  # fmt: skip
    return PoolShift(_states(model, before, after), effects, _causes(model, before, after, mixture), warning)


def _states(model: EffectModel, before: Mapping[str, float], after: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for state in model.runs.states:
        values = model.runs.frame[state].to_numpy(float)
        spread, low, high = float(values.std()), float(values.min()), float(values.max())
        change = after[state] - before[state]
        deviations = change / spread if spread > 0 else math.nan
        rows.append(
            (state, before[state], after[state], deviations, low, high, low <= after[state] <= high)
        )
    return pd.DataFrame(
        rows, columns=["state", "before", "after", "deviations", "lowest", "highest", "covered"]
    )


def _causes(
    model: EffectModel, before: Mapping[str, float], after: Mapping[str, float], mixture: Mapping[str, float]
) -> pd.DataFrame:
    """Shapley values of the states for the difference of each effect (Shapley 1953)."""
    names = [s for s in model.runs.states if before[s] != after[s]]
    columns = ["domain", "outcome", "state", "contribution"]
    if not names:
        return pd.DataFrame([], columns=columns)
    if len(names) > MOST_EXACT:
        given = _one_by_one(model, before, after, mixture, names)
    else:
        given = _over_subsets(model, before, after, mixture, names)
    frames = []
    for name, values in given.items():
        frames.append(
            pd.DataFrame(
                {
                    "domain": [d for d in model.domains for _ in model.outcomes],
                    "outcome": [o for _ in model.domains for o in model.outcomes],
                    "state": name,
                    "contribution": values.ravel(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)[columns]


def _effects_with(
    model: EffectModel,
    before: Mapping[str, float],
    after: Mapping[str, float],
    mixture: Mapping[str, float],
    changed: list[tuple[str, ...]],
) -> np.ndarray:
    """Effects in pools of which only some states have changed, shape (len(changed), K, m)."""
    rows = [[(after if s in some else before)[s] for s in model.runs.states] for some in changed]
    return model.effects_over(np.array(rows, dtype=float), mixture)[0]


def _over_subsets(
    model: EffectModel,
    before: Mapping[str, float],
    after: Mapping[str, float],
    mixture: Mapping[str, float],
    names: list[str],
) -> dict[str, np.ndarray]:
    sets = [c for size in range(len(names) + 1) for c in combinations(names, size)]
    value = dict(zip(sets, _effects_with(model, before, after, mixture, sets), strict=True))
    found = {}
    for name in names:
        total = np.zeros_like(value[()])
        for some in sets:
            if name not in some:
                joined = tuple(n for n in names if n in some or n == name)
                weight = (
                    math.factorial(len(some)) * math.factorial(len(names) - len(some) - 1)
                ) / math.factorial(len(names))
                total += weight * (value[joined] - value[some])
        found[name] = total
    return found


def _one_by_one(
    model: EffectModel,
    before: Mapping[str, float],
    after: Mapping[str, float],
    mixture: Mapping[str, float],
    names: list[str],
) -> dict[str, np.ndarray]:
    """The mean of changing the states in their order and in the reverse: adds up, exact for pairs."""
    found = {name: np.zeros((len(model.domains), len(model.outcomes))) for name in names}
    for order in (names, names[::-1]):
        steps = [tuple(order[:i]) for i in range(len(order) + 1)]
        values = _effects_with(model, before, after, mixture, steps)
        for i, name in enumerate(order):
            found[name] += (values[i + 1] - values[i]) / 2
    return found
