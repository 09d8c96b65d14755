"""Effects as curves: against each pool state, and the outcome against the weight of one domain.

A curve moves one thing and holds everything else where the pool is. It carries where the runs were, because
outside of them it is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalmix_core.effects.explanation.asking import HIGH, LOW, changing_states, check_asked, pool_state
from causalmix_core.effects.model import EffectModel
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture

POINTS = 25
"""Points along a curve."""


@dataclass(frozen=True)
class EffectCurve:
    """The effect of a domain on an outcome against one pool state, all others as they are in the pool.

    Attributes:
        domain: whose weight moves.
        outcome: what it changes.
        state: column of the pool state along the curve.
        values: the state, in its own unit, shape (g,), increasing.
        effect: per +1 percentage point, shape (g,).
        lower: low end of the 95% band, shape (g,).
        upper: high end.
        runs: the state of each run, shape (n,).
        now: the state of the pool.
    """

    domain: str
    outcome: str
    state: str
    values: np.ndarray
    effect: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    runs: np.ndarray
    now: float


@dataclass(frozen=True)
class ResponseCurve:
    """An outcome against the weight of one domain, the others sharing the rest in proportion.

    Attributes:
        domain: whose weight moves.
        outcome: what is predicted.
        weights: from 0 to 1, shape (g,), increasing.
        change: of the outcome from where the mixture is now, shape (g,); 0 at the present weight.
        lower: low end of the 95% band of that change, shape (g,).
        upper: high end.
        level: the outcome that is expected of a run at the present mixture.
        runs: the weight in each run, shape (n,).
        now: the present weight.
    """

    domain: str
    outcome: str
    weights: np.ndarray
    change: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    level: float
    runs: np.ndarray
    now: float


def effect_curves(
    model: EffectModel,
    domain: str,
    outcome: str,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
) -> list[EffectCurve]:
    """The effect against each pool state that may change it; none where none may (see `why_none`).

    Args:
        model: fitted effects.
        domain: whose weight moves.
        outcome: what it changes.
        state: of the pool; all states of the runs.
        mixture: where the point is added.

    Raises:
        CausalMixError: unknown domain or outcome; the state or the mixture does not fit the runs.
    """
    check_asked(model, domain, outcome)
    names, here = changing_states(model, outcome), pool_state(model, state)
    if not names:
        return []
    ranges = [_grid(_column(model, name), state[name]) for name in names]
    rows = np.concatenate(
        [_moved(here, model.runs.states.index(n), v) for n, v in zip(names, ranges, strict=True)]
    )
    effects, halves = model.effects_over(rows, mixture, domains=[domain], outcomes=[outcome], errors=True)
    assert halves is not None
    curves, first = [], 0
    for name, values in zip(names, ranges, strict=True):
        part = slice(first, first + len(values))
        effect, half = effects[part, 0, 0], halves[part, 0, 0]
        curves.append(
            EffectCurve(
                domain, outcome, name, values, effect, effect - half, effect + half, _column(model, name),
                float(state[name]),
            )
        )  # fmt: skip
        first += len(values)
    return curves


def dependence(
    model: EffectModel,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
    domains: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Effects where each pool state is low and where it is high, all others as they are in the pool.

    Low and high are the 5% and the 95% quantile of the runs. The difference has an interval of its own: most
    of what is unknown about an effect is unknown in both states alike.

    Args:
        model: fitted effects.
        state: of the pool; all states of the runs.
        mixture: where the point is added.
        domains: which; None: all.
        outcomes: which; None: all, the objective included.

    Returns:
        Columns domain, outcome, state, low, high (values of the state), low_effect, low_lower, low_upper,
        high_effect, high_lower, high_upper, difference (high less low), difference_lower, difference_upper,
        distinguishable. One row for each state that may change the effect.

    Raises:
        CausalMixError: unknown domain or outcome; the state or the mixture does not fit the runs.
    """
    wanted = list(model.outcomes if outcomes is None else outcomes)
    for outcome in wanted:
        check_asked(model, None, outcome)
    chosen, here = list(model.domains if domains is None else domains), pool_state(model, state)
    may = {o: changing_states(model, o) for o in wanted}
    names = [s for s in model.runs.states if any(s in m for m in may.values())]
    columns = ["domain", "outcome", "state", "low", "high"]
    columns += [f"{end}_{part}" for end in ("low", "high") for part in ("effect", "lower", "upper")]
    columns += ["difference", "difference_lower", "difference_upper"]
    if not names:
        return pd.DataFrame(columns=[*columns, "distinguishable"])
    ends = {n: np.quantile(_column(model, n), [LOW, HIGH]) for n in names}
    at = np.concatenate([_moved(here, model.runs.states.index(n), ends[n]) for n in names])
    effects, halves = model.effects_over(at, mixture, domains=chosen, outcomes=wanted, errors=True)
    assert halves is not None
    apart, wide = model.effects_apart(at[::2], at[1::2], mixture, domains=chosen, outcomes=wanted)
    rows = []
    for i, name in enumerate(names):
        for k, domain in enumerate(chosen):
            for m, outcome in enumerate(wanted):
                if name in may[outcome]:
                    row: list[object] = [domain, outcome, name, *ends[name].tolist()]
                    for end in (2 * i, 2 * i + 1):
                        value, half = float(effects[end, k, m]), float(halves[end, k, m])
                        row += [value, value - half, value + half]
                    value, half = float(apart[i, k, m]), float(wide[i, k, m])
                    row += [value, value - half, value + half]
                    rows.append(row)
    frame = pd.DataFrame(rows, columns=columns)
    clear = (frame["difference_lower"] > 0) | (frame["difference_upper"] < 0)
    return frame.assign(distinguishable=clear)


def response_curve(
    model: EffectModel,
    domain: str,
    outcome: str,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
) -> ResponseCurve:
    """The outcome while one domain gains or gives up weight, over the weights that the runs tried.

    Args:
        model: fitted effects.
        domain: whose weight moves.
        outcome: what is predicted.
        state: of the pool; all states of the runs.
        mixture: where the curve passes.

    Raises:
        CausalMixError: unknown domain or outcome; the state or the mixture does not fit the runs; the domain
            has all the weight.
    """
    check_asked(model, domain, outcome)
    start = np.array(list(check_mixture(mixture, model.domains).values()))
    k = model.domains.index(domain)
    if start[k] >= 1:
        raise CausalMixError(
            f"{domain} has all the weight, so there are no other domains to share the rest in proportion. "
            "Start from a mixture with some weight elsewhere."
        )
    tried = model.runs.weights()[:, k]
    weights = _grid(tried, float(start[k]))
    candidates = start * ((1 - weights) / (1 - start[k]))[:, None]
    candidates[:, k] = weights
    change, error = model.changes(state, mixture, candidates, outcome)
    moved = weights != start[k]
    change = np.where(moved, change, 0.0)
    half = np.where(moved, error * model.interval_quantile(outcome), 0.0)
    level = model.predict(start[None], pool_state(model, state)[None], [outcome])["mean"].iloc[0]
    return ResponseCurve(
        domain, outcome, weights, change, change - half, change + half, float(level), tried, float(start[k])
    )


def _column(model: EffectModel, state: str) -> np.ndarray:
    return np.asarray(model.runs.frame[state].to_numpy(float))


def _grid(seen: np.ndarray, now: float) -> np.ndarray:
    """Values from the lowest to the highest, with the present one among them."""
    ends = [*seen.tolist(), now]
    return np.unique(np.append(np.linspace(min(ends), max(ends), POINTS), now))


def _moved(here: np.ndarray, column: int, values: np.ndarray) -> np.ndarray:
    rows = np.tile(here, (len(values), 1))
    rows[:, column] = values
    return rows
