"""Another pool, the same effects model: what changed in the pool, what that does to the effects, and why.

This is what pool state is for (CausalMix, arXiv 2607.01104): effects were fitted over many pool states, so a
new or filtered pool gets its mixture without a single new probe, as long as its state lies within what the
probes covered. `moved_question` asks the same runs about another snapshot; `suggest` then answers for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel
    from causalmix_core.question import Question

MOST_EXACT = 8
"""States up to which contributions are computed over all subsets of them; beyond, in two orders only."""
NOTHING = 1e-12
"""Part of a state's size below which it has not changed."""


@dataclass(frozen=True)
class PoolShift:
    """What differs between two pools, as the effects model sees them.

    Attributes:
        states: columns state, before, after, deviations (change in standard deviations of the runs; NaN where
            they never varied it), lowest and highest (of the runs), covered (whether the new value lies
            between them).
        effects: columns domain, outcome, before, before_lower, before_upper, after, after_lower, after_upper,
            difference, difference_lower, difference_upper, distinguishable (the interval of the difference
            does not hold 0): effects per +1 point at one mixture in both pools.
        causes: columns domain, outcome, state, contribution: which state moved which effect; the
            contributions of an effect add up to its difference.
        warning: in words, where the new state lies outside of what the runs covered; None where it does not.
    """

    states: pd.DataFrame
    effects: pd.DataFrame
    causes: pd.DataFrame
    warning: str | None


def moved_question(workspace: Workspace, question: Question, to: str) -> Question:
    """The same runs, graph and objective, asked about another snapshot.

    Args:
        workspace: where the snapshot lies.
        question: about the pool of the runs.
        to: id of the other snapshot, or `current`.

    Returns:
        A question whose state and reference (the weights by size) are those of the other snapshot.

    Raises:
        CausalMixError: there is no such snapshot, its domains are not those of the runs, or a feature of the
            pool state was not measured on it.
    """
    from causalmix_core.corpus import open_snapshot
    from causalmix_core.pools import CURRENT
    from causalmix_core.probes.runs import STATE

    snapshot = open_snapshot(workspace, None if to == CURRENT else to)
    gone = sorted(set(question.runs.domains) - set(snapshot.domains))
    new = sorted(set(snapshot.domains) - set(question.runs.domains))
    if gone or new:
        said = [f"it lacks {', '.join(gone)}"] * bool(gone)
        said += [f"it has {', '.join(new)}, which no run was trained on"] * bool(new)
        raise CausalMixError(
            f"Snapshot {snapshot.id} has other domains than the runs: {' and '.join(said)}. The effects say "
            "nothing of "
            "such a pool. Give renamed domains their old names, or train probes on the new pool."
        )
    features = [s.removeprefix(STATE) for s in question.runs.states]
    return replace(
        question,
        pool=snapshot.id,
        snapshot=snapshot,
        state=snapshot.state(features) if features else {},
        reference=snapshot.weights_by_size(),
        reference_is=f"the weights by size of snapshot {snapshot.id}",
    )


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
    far = model.extrapolation(after)
    old, new = model.effects(before, mixture), model.effects(after, mixture)
    here, there = (np.array([[p[s] for s in model.runs.states]], dtype=float) for p in (before, after))
    apart, half = (values[0].T.ravel() for values in model.effects_apart(here, there, mixture))
    effects = old[["domain", "outcome"]].assign(
        before=old["effect"], before_lower=old["lower"], before_upper=old["upper"],
        after=new["effect"], after_lower=new["lower"], after_upper=new["upper"],
        difference=apart, difference_lower=apart - half, difference_upper=apart + half,
        distinguishable=np.abs(apart) > half,
    )  # fmt: skip
    states = _states(model, before, after)
    return PoolShift(states, effects, _causes(model, before, after, mixture), _warning(states, far))


def shift_sentences(shift: PoolShift, outcome: str) -> list[str]:
    """Which effects on an outcome the other pool changes, by how much and because of which state, in words.

    Effects whose difference can be told from zero come first, the largest at the front; the others are
    counted.
    """
    rows = shift.effects[shift.effects["outcome"] == outcome]
    sure = rows[rows["distinguishable"]]
    said = []
    for row in sure.reindex(sure["difference"].abs().sort_values(ascending=False).index).to_dict("records"):
        because = _because(shift, row["domain"], outcome, row["difference"])
        said.append(
            f"+1 point of {row['domain']}: {row['before']:+.5f} before, {row['after']:+.5f} now "
            f"(difference {row['difference']:+.5f}, 95% {row['difference_lower']:+.5f} to "
            f"{row['difference_upper']:+.5f}){because}."
        )
    if sure.empty:
        said.append("For no effect can the difference between the pools be told from zero.")
    elif rest := len(rows) - len(sure):
        said.append(f"Of the other {rest}, no difference between the pools can be told from zero.")
    return said


def _because(shift: PoolShift, domain: str, outcome: str, difference: float) -> str:
    causes = shift.causes
    mine = causes[(causes["domain"] == domain) & (causes["outcome"] == outcome)]
    mine = mine[np.sign(mine["contribution"]) == np.sign(difference)]
    if mine.empty:
        return ""
    top = mine.loc[mine["contribution"].abs().idxmax()]
    state = shift.states.set_index("state").loc[top["state"]]
    verb = "rose" if state["after"] > state["before"] else "fell"
    name = str(top["state"]).partition("/")[2]
    return (
        f", mostly because {name} {verb} from {state['before']:.4g} to {state['after']:.4g} "
        f"({top['contribution']:+.5f} of it)"
    )


def _states(model: EffectModel, before: Mapping[str, float], after: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for state in model.runs.states:
        values = model.runs.frame[state].to_numpy(float)
        spread, low, high = float(values.std()), float(values.min()), float(values.max())
        tiny = 1e-9 * max(abs(low), abs(high))
        deviations = (after[state] - before[state]) / spread if spread > tiny else math.nan
        covered = low - tiny <= after[state] <= high + tiny
        rows.append((state, before[state], after[state], deviations, low, high, covered))
    return pd.DataFrame(
        rows, columns=["state", "before", "after", "deviations", "lowest", "highest", "covered"]
    )


def _warning(states: pd.DataFrame, far: str | None) -> str | None:
    """What lies outside of the runs' states: taken together, and one by one."""
    said = [far] if far else []
    outside = states[~states["covered"].astype(bool) & states["deviations"].notna()]
    if len(outside):
        listed = ", ".join(
            f"{row['state'].partition('/')[2]} is {row['after']:.4g} (runs: {row['lowest']:.4g} to "
            f"{row['highest']:.4g})"
            for row in outside.to_dict("records")
        )
        said.append(f"Outside of what any run has seen: {listed}.")
    return " ".join(said) or None


def _causes(
    model: EffectModel, before: Mapping[str, float], after: Mapping[str, float], mixture: Mapping[str, float]
) -> pd.DataFrame:
    """Shapley values of the states for the difference of each effect (Shapley 1953)."""
    names = [s for s in model.runs.states if not math.isclose(before[s], after[s], rel_tol=NOTHING)]
    columns = ["domain", "outcome", "state", "contribution"]
    if not names:
        return pd.DataFrame({c: pd.Series(dtype=float if c == "contribution" else str) for c in columns})
    way = _one_by_one if len(names) > MOST_EXACT else _over_subsets
    given = way(model, before, after, mixture, names)
    pairs = pd.MultiIndex.from_product([model.domains, model.outcomes], names=["domain", "outcome"])
    frames = [
        pd.DataFrame({"state": name, "contribution": values.ravel()}, index=pairs).reset_index()
        for name, values in given.items()
    ]
    return pd.concat(frames, ignore_index=True)[columns]


def _effects_with(
    model: EffectModel,
    before: Mapping[str, float],
    after: Mapping[str, float],
    mixture: Mapping[str, float],
    changed: Sequence[tuple[str, ...]],
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
