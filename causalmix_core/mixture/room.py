"""How much room constraints leave: the range of each weight and what ends it, and the nearest allowed mixture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import (
    ROUNDING,
    Limit,
    Limits,
    broken,
    change_words,
    count_words,
    percent,
    reach_words,
)
from causalmix_core.mixture.program import solve
from causalmix_core.mixture.simplex import Mixture, check_mixture


@dataclass(frozen=True)
class Range:
    """Where one weight may lie while the others make room.

    Attributes:
        lowest: least weight.
        highest: most weight.
        lowest_because: the constraint that ends it below, in words; empty where it is 0 anyway.
        highest_because: the constraint that ends it above; empty where it is 1 anyway.
    """

    lowest: float
    highest: float
    lowest_because: str
    highest_because: str


def allowed_ranges(limits: Limits) -> dict[str, Range]:
    """The range of each domain's weight under all constraints together, and what ends it."""
    return {d: _range(limits, i) for i, d in enumerate(limits.domains)}


def nearest(limits: Limits, mixture: Mapping[str, float]) -> Mixture:
    """The allowed mixture nearest to another one.

    Nearest by Euclidean distance, which spreads what has to move over the domains. Where domains may be dropped
    or left alone, which ones is decided first, by the least weight that moves (total variation).

    Raises:
        CausalMixError: not a mixture over these domains.
    """
    wanted = np.array(list(check_mixture(mixture, limits.domains).values()))
    return exact_mixture(nearest_weights(limits, wanted), limits.domains)


def nearest_weights(limits: Limits, wanted: np.ndarray) -> np.ndarray:
    """`nearest` for an array of weights, shape (K,), that sum to one."""
    if not broken(limits, exact_mixture(wanted, limits.domains)):
        return wanted
    face = limits
    if not limits.convex:
        corner = solve(limits, np.zeros(len(wanted)), away_cost=1.0, away=wanted)
        if corner is None:
            raise CausalMixError("No mixture meets all constraints.")
        face = face_of(limits, corner)
    return _project(face, wanted)


def draw_back(limits: Limits, candidates: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Candidates moved towards an allowed centre until they are allowed too.

    Linear constraints and total variation are convex, so what lies between centre and border is allowed; the
    step is the ratio test of linear programming. Constraints that are not convex are not looked at.

    Args:
        limits: what must be kept.
        candidates: shape (m, K).
        centre: allowed, shape (K,).

    Returns:
        Shape (m, K).
    """
    away = candidates - centre
    step = np.ones(len(candidates))
    for limit in limits.limits:
        columns = list(limit.domains)
        at, move = centre[columns].sum(), away[:, columns].sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(move > 0, (limit.highest - at) / move, (limit.lowest - at) / move)
        step = np.minimum(step, np.where(np.abs(move) > ROUNDING, np.maximum(room, 0.0), 1.0))
    if limits.radius is not None:
        at_centre = np.abs(centre - limits.reference).sum() / 2
        far = np.abs(candidates - limits.reference).sum(axis=1) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            room = (limits.radius - at_centre) / (far - at_centre)
        step = np.minimum(step, np.where(far > limits.radius, np.clip(room, 0.0, 1.0), 1.0))
    return np.asarray(centre + step[:, None] * away)


def exact_mixture(weights: np.ndarray, domains: tuple[str, ...] | list[str]) -> Mixture:
    """Weights that sum to exactly 1: their rounding error, some 1e-16, is moved to the largest."""
    values = np.maximum(weights, 0.0)
    largest = int(np.argmax(values))
    # One correction can itself be rounded, so it is repeated until nothing is left.
    while (missing := 1 - math.fsum(values)) and values[largest] + missing != values[largest]:
        values[largest] += missing
    return dict(zip(domains, values.tolist(), strict=True))


def _range(limits: Limits, place: int) -> Range:
    unit = np.zeros(len(limits.domains))
    unit[place] = 1.0
    low, high = solve(limits, unit), solve(limits, -unit)
    if low is None or high is None:
        raise CausalMixError("No mixture meets all constraints.")
    lowest, highest = float(low[place]), float(high[place])
    return Range(
        lowest,
        highest,
        _ended_by(limits, place, lowest, low, "below") if lowest > ROUNDING else "",
        _ended_by(limits, place, highest, high, "above") if highest < 1 - ROUNDING else "",
    )


def _ended_by(limits: Limits, place: int, end: float, at: np.ndarray, side: str) -> str:
    """The constraint without which the range would reach further: the domain's own first, then the others."""
    tight = [x for x in limits.limits if x.domains == (place,) and _tight(x, end)]
    if tight:
        return tight[0].words
    unit = np.zeros(len(limits.domains))
    unit[place] = 1.0 if side == "below" else -1.0
    found = []
    for words, without in _each_lifted(limits):
        further = solve(without, unit)
        if further is not None and abs(float(further[place]) - end) > 1e-7:
            found.append(words)
    if found:
        return found[0] if len(found) == 1 else f"{found[0]} (with {len(found) - 1} more)"
    return "several constraints together"


def _tight(limit: Limit, value: float) -> bool:
    return min(abs(value - limit.lowest), abs(value - limit.highest)) < 1e-7


def _each_lifted(limits: Limits) -> list[tuple[str, Limits]]:
    lifted = [
        (x.words, replace(limits, limits=tuple(y for y in limits.limits if y is not x))) for x in limits.limits
    ]
    if limits.radius is not None:
        lifted.append((reach_words(limits.radius), replace(limits, radius=None)))
    if limits.smallest_change > ROUNDING:
        lifted.append((change_words(limits.smallest_change), replace(limits, smallest_change=0.0)))
    if limits.most_domains is not None:
        lifted.append((count_words(limits.most_domains), replace(limits, most_domains=None)))
    return lifted


def face_of(limits: Limits, corner: np.ndarray) -> Limits:
    """Limits without the yes-or-no constraints, decided as `corner` has them."""
    if limits.convex:
        return limits
    extra = []
    moved = corner - limits.reference
    for i, name in enumerate(limits.domains):
        if limits.most_domains is not None and corner[i] <= ROUNDING:
            extra.append(Limit((i,), 0.0, 0.0, f"{name} dropped"))
        elif limits.smallest_change > ROUNDING:
            here, least = float(limits.reference[i]), limits.smallest_change
            if moved[i] > ROUNDING:
                extra.append(Limit((i,), here + least, 1.0, f"{name} raised by {percent(least)} or more"))
            elif moved[i] < -ROUNDING:
                extra.append(Limit((i,), 0.0, here - least, f"{name} lowered by {percent(least)} or more"))
            else:
                extra.append(Limit((i,), here, here, f"{name} left alone"))
    return replace(limits, limits=(*limits.limits, *extra), smallest_change=0.0, most_domains=None)


def _project(limits: Limits, wanted: np.ndarray) -> np.ndarray:
    """Euclidean projection by cvxpy (a convex quadratic program)."""
    import cvxpy as cp

    w = cp.Variable(len(wanted), nonneg=True)
    kept = [cp.sum(w) == 1]
    for limit in limits.limits:
        total = cp.sum(w[list(limit.domains)])
        kept += [total >= limit.lowest, total <= limit.highest]
    if limits.radius is not None:
        kept.append(cp.norm1(w - limits.reference) <= 2 * limits.radius)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(w - wanted)), kept)
    problem.solve(solver=cp.CLARABEL)
    if w.value is None:
        raise CausalMixError("No mixture meets all constraints.")
    found = np.asarray(w.value)
    # The solver keeps limits to some 1e-8; an end that is met must be met exactly to count as kept.
    inside = np.clip(found, limits.lower, limits.upper)
    return np.asarray(inside / inside.sum()) if abs(inside.sum() - 1) > ROUNDING else inside
