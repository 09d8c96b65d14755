"""From effects to a suggested mixture, or to the advice to stay.

`search` is the paper's policy S (CausalMix, arXiv 2607.01104): 100,000 Dirichlet candidates around the
reference, mean of the best 100. Two things are ours, because the best of many predictions is mostly the
luckiest one: candidates stay within a trust region around the reference and within the weights that the
runs have tried, and they are ranked by the upper end of the 95 % interval of the loss change.

`analytical` is the paper's policy A, w_k = max(theta_k, 0) / sum on the scale where higher is better:
the maximum of sum theta_k log w_k, so exact if that were the truth down to weight 0. It knows neither
intervals nor what the runs have tried and easily drops domains; the result is pulled back into the trust
region.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import Mixture, check_mixture, total_variation

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

Policy = Literal["search", "analytical"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

CANDIDATES = 100_000
BEST = 100
SPREAD = (1.0, 100.0)
"""Range of the Dirichlet concentration per domain of the candidates: from lopsided to close by."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Suggestion:
    """What a policy proposes.

    Attributes:
        mixture: the proposed weights; they sum to exactly one. Where nothing is predicted to be better,
            the reference (or, where the bounds forbid the reference, the nearest allowed mixture).
        policy: how it was found.
        reference: where it starts from.
        change: predicted change from the reference: columns outcome, change, lower, upper (95 %).
        distance: total variation between reference and mixture: the weight that moves.
        stay: nothing better than staying was found.
        notes: what to know about it, in plain words.
    """

    mixture: Mixture
    policy: Policy
    reference: Mixture
    change: pd.DataFrame
    distance: float
    stay: bool
    notes: tuple[str, ...]


def suggest(
    model: EffectModel,
    state: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    radius: float = 0.25,
    policy: Policy = "search",
    bounds: Mapping[str, tuple[float, float]] | None = None,
    confidence: bool = True,
    seed: int = 0,
) -> Suggestion:
    """Propose a mixture with a lower objective than the reference.

    Args:
        model: fitted effects.
        state: state of the pool that the mixture is for.
        reference: where to start.
        radius: the most weight that may move (total variation), above 0 and at most 1.
        policy: `search` or `analytical`.
        bounds: lowest and highest weight by domain; domains without one are free. Equal ends lock.
        confidence: propose only what lowers the objective with 95 % confidence; otherwise what is
            predicted to lower it.
        seed: of the candidates.

    Raises:
        CausalMixError: bounds that cannot be met (the domains are named), a radius that is no share, or
            a state or reference that does not fit the model.
    """
    domains = model.domains
    start = _exact(np.array(list(check_mixture(reference, domains).values())), domains)
    if not 0 < radius <= 1:
        raise CausalMixError(
            f"The radius is {radius:g}; it is the weight that may move, above 0 and up to 1."
        )
    if policy not in POLICIES:
        raise CausalMixError(f"There is no policy {policy!r}; choose one of: {', '.join(POLICIES)}.")
    origin = np.array(list(start.values()))
    lower, upper = _bounds(bounds or {}, domains)
    centre = _into_box(origin[None], lower, upper)[0]
    _check_reach(
        origin,
        centre,
        radius,
        [d for d, a, b, c in zip(domains, lower, origin, upper, strict=True) if not a <= b <= c],
    )
    notes = []
    moved = bool(np.abs(centre - origin).max() > ROUNDING)
    if moved:
        notes.append(
            "The bounds forbid the reference; the policy starts from, and compares with, the nearest mixture "
            "that they allow."
        )
    warning = model.extrapolation(state)
    if warning:
        notes.append(warning)

    def score(candidates: np.ndarray) -> np.ndarray:
        """Change of the objective from the centre: the upper end of its interval, or the prediction."""
        change, error = model.changes(state, dict(zip(domains, centre.tolist(), strict=True)), candidates)
        return change + model.interval_quantile() * error if confidence else change

    if policy == "search":
        inner = _within_runs(model, origin, lower, upper, notes)
        candidates = _candidates(origin, centre, inner, radius, seed)
        order = np.argsort(score(candidates), kind="stable")[:BEST]
        found = candidates[order].mean(axis=0)
    else:
        found = _analytical(model, state, origin, centre, (lower, upper), radius, notes)
    better = bool(score(found[None])[0] < 0)
    if not better:
        notes.append(
            "Stay: no mixture within reach is predicted to be better"
            + (" with 95 % confidence." if confidence else ".")
            + (" More probes narrow the intervals." if confidence else "")
        )
    weights = found if better else centre
    mixture = start if not better and not moved else _exact(np.clip(weights, lower, upper), domains)
    return Suggestion(
        mixture=mixture,
        policy=policy,
        reference=start,
        change=model.change(state, start, mixture),
        distance=total_variation(start, mixture),
        stay=not better,
        notes=tuple(notes),
    )


def _bounds(bounds: Mapping[str, tuple[float, float]], domains: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest weights, shape (K,) each, after checking that some mixture meets them."""
    unknown = sorted(set(bounds) - set(domains))
    if unknown:
        raise CausalMixError(
            f"There are bounds for {', '.join(unknown)}, which is no domain of the model: "
            f"{', '.join(domains)}."
        )
    for domain, (low, high) in bounds.items():
        if not 0 <= low <= high <= 1:
            raise CausalMixError(
                f"The bounds of {domain} are {low:g} to {high:g}; they need 0 <= lowest <= highest <= 1."
            )
    lower = np.array([bounds.get(d, (0.0, 1.0))[0] for d in domains])
    upper = np.array([bounds.get(d, (0.0, 1.0))[1] for d in domains])
    if lower.sum() > 1 + ROUNDING:
        named = ", ".join(f"{d} at least {v:g}" for d, v in zip(domains, lower, strict=True) if v > 0)
        raise CausalMixError(
            f"The lowest weights sum to {lower.sum():.4f}, more than 1: {named}. Lower one of them."
        )
    if upper.sum() < 1 - ROUNDING:
        named = ", ".join(f"{d} at most {v:g}" for d, v in zip(domains, upper, strict=True))
        raise CausalMixError(
            f"The highest weights sum to {upper.sum():.4f}, less than 1: {named}. Raise one of them."
        )
    return lower, upper


def _check_reach(origin: np.ndarray, centre: np.ndarray, radius: float, broken: list[str]) -> None:
    needed = float(np.abs(centre - origin).sum() / 2)
    if needed > radius + ROUNDING:
        raise CausalMixError(
            f"The bounds of {', '.join(broken)} move at least {needed:.3f} of the weight away from the "
            f"reference, more than the radius {radius:g} allows. Widen the radius or these bounds."
        )


def _into_box(weights: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The nearest mixtures, in total variation, within bounds; shape (m, K).

    Weights are clipped, and what is then missing or too much is spread over the domains in proportion
    to the room that they have, which is enough because the bounds admit a mixture.
    """
    clipped = np.clip(weights, lower, upper)
    missing = 1 - clipped.sum(axis=1, keepdims=True)
    room = np.where(missing > 0, upper - clipped, clipped - lower)
    total = room.sum(axis=1, keepdims=True)
    share = np.divide(missing, total, out=np.zeros_like(missing), where=total > 0)
    return np.asarray(clipped + share * room)


def _into_reach(candidates: np.ndarray, origin: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """Candidates drawn back towards the centre until no more than `radius` moves from the origin.

    Total variation is convex, so the step below is short enough.
    """
    at_centre = np.abs(centre - origin).sum() / 2
    away = np.abs(candidates - origin).sum(axis=1) / 2
    step = np.ones(len(candidates))
    far = away > radius
    step[far] = max(radius - at_centre, 0.0) / (away[far] - at_centre)
    return np.asarray(centre + step[:, None] * (candidates - centre))


def _within_runs(
    model: EffectModel, origin: np.ndarray, lower: np.ndarray, upper: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The bounds, narrowed to the range of weights in the runs, widened to hold the reference."""
    box = model.domain_box.loc[model.domains]
    low = np.clip(np.minimum(box["lower"].to_numpy(float), origin), lower, upper)
    high = np.clip(np.maximum(box["upper"].to_numpy(float), origin), lower, upper)
    if low.sum() > 1 + ROUNDING or high.sum() < 1 - ROUNDING:
        notes.append("The bounds lead outside the weights that the runs have tried: this is extrapolated.")
        return lower, upper
    return low, high


def _candidates(
    origin: np.ndarray,
    centre: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    radius: float,
    seed: int,
) -> np.ndarray:
    """Dirichlet mixtures around the centre, within the box and within reach, shape (CANDIDATES, K)."""
    rng = np.random.default_rng(seed)
    low, high = np.log(SPREAD)
    strength = np.exp(rng.uniform(low, high, size=(CANDIDATES, 1))) * len(centre)
    # A domain at weight 0 would never be drawn.
    drawn = rng.standard_gamma(strength * np.maximum(centre, 1e-3))
    drawn = np.maximum(drawn, np.finfo(float).tiny)
    return _into_reach(_into_box(drawn / drawn.sum(axis=1, keepdims=True), *box), origin, centre, radius)


def _analytical(
    model: EffectModel,
    state: Mapping[str, float],
    origin: np.ndarray,
    centre: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    radius: float,
    notes: list[str],
) -> np.ndarray:
    # A loss is better when lower, so what helps has a negative theta.
    helps = np.maximum(-np.array(list(model.own_effects(state).values())), 0)
    if helps.sum() <= 0:
        notes.append("No domain helps by itself at this pool state, so the analytical policy has no answer.")
        return centre
    notes.append(
        "The analytical policy knows neither intervals nor which weights the runs have tried; prefer the "
        "search where the two differ."
    )
    return np.asarray(_into_reach(_into_box((helps / helps.sum())[None], *box), origin, centre, radius)[0])


def _exact(weights: np.ndarray, domains: list[str]) -> Mixture:
    """The weights with their rounding error, some 1e-16, moved to the largest: they sum to exactly 1."""
    values = weights.copy()
    largest = int(np.argmax(values))
    # One correction can itself be rounded, so it is repeated until nothing is left.
    while (missing := 1 - math.fsum(values)) and values[largest] + missing != values[largest]:
        values[largest] += missing
    return dict(zip(domains, values.tolist(), strict=True))
