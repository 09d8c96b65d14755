"""How much room constraints leave: the range of each weight, what ends it, the nearest allowed mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exact import exact_mixture, settle
from causalmix_core.mixture.limits import ROUNDING, Limit, Limits, broken, change_words, count_words, listed
from causalmix_core.mixture.program import Optimum, Program
from causalmix_core.mixture.simplex import Mixture, check_mixture

SWEEPS = 3
"""How often candidates are brought into one group after the other; what is left is drawn back."""

DIGITS = 12
"""Of the end of a range; what follows is rounding."""


@dataclass(frozen=True)
class Range:
    """Where one weight may lie while the others make room.

    Attributes:
        lowest: least weight.
        highest: most weight.
        lowest_because: what ends it below, in words; empty where it is 0 anyway.
        highest_because: what ends it above; empty where it is 1 anyway.
    """

    lowest: float
    highest: float
    lowest_because: str
    highest_because: str


def allowed_ranges(limits: Limits) -> dict[str, Range]:
    """The range of each domain's weight under all constraints together, and what ends it.

    What ends it is read from the dual of the linear program: the constraints named prove together that the
    weight can go no further. Where domains may be dropped or left alone, that holds for what the end has
    decided of them.
    """
    program = Program(limits)
    return {d: _range(limits, program, i) for i, d in enumerate(limits.domains)}


def no_freedom(limits: Limits) -> str | None:
    """Words where the constraints leave exactly one mixture; None where something can move."""
    # Two mixtures that cost the same at irregular prices are one.
    prices = np.sqrt(np.arange(2.0, len(limits.domains) + 2.0))
    program = Program(limits)
    low, high = _best(program, prices), _best(program, -prices)
    if np.abs(low.weights - high.weights).max() > 10 * ROUNDING:
        return None
    locks = [x.words for x in limits.limits if x.kind == "lock"]
    what = listed(locks or [x.words for x in limits.limits] or ["what you ask for"])
    return (
        f"The constraints leave one mixture only, so nothing can move: {what}. Unlock a domain to gain room."
    )


def nearest(limits: Limits, mixture: Mapping[str, float]) -> Mixture:
    """The allowed mixture nearest to another one.

    Nearest by Euclidean distance, which spreads what has to move over the domains. Where domains may be
    dropped or left alone, which ones is decided first, by the least weight that moves (total variation).

    Raises:
        CausalMixError: not a mixture over these domains.
    """
    wanted = np.array(list(check_mixture(mixture, limits.domains).values()))
    return as_mixture(limits, nearest_weights(limits, wanted))


def as_mixture(limits: Limits, weights: np.ndarray) -> Mixture:
    """Weights by name that sum to exactly 1 and keep the ends that they keep within rounding exactly."""
    low, high = limits.lower, limits.upper
    near = np.clip(weights, low, high)
    kept = np.where(np.abs(near - weights) <= 2 * ROUNDING, near, weights)
    return exact_mixture(kept, limits.domains, low, high)


def nearest_weights(limits: Limits, wanted: np.ndarray) -> np.ndarray:
    """`nearest` for an array of weights, shape (K,), that sum to one."""
    if not broken(limits, as_mixture(limits, wanted)):
        return wanted
    if limits.convex:
        return _project(limits, wanted)
    around = Program(limits, around=wanted)
    corner = around.minimise(np.zeros(len(wanted)), distance_cost=1.0)
    if corner is None:
        raise _none_left()
    return _project(face_of(limits, corner.weights), wanted)


def bring_in(limits: Limits, candidates: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Candidates made to keep the convex limits, at little cost for each.

    Ends of weights and then sums of groups are met by sharing out what is missing; whatever still breaks a
    limit is drawn back towards an allowed centre.

    Args:
        limits: what must be kept; constraints that are not convex are not looked at.
        candidates: shape (m, K).
        centre: allowed, shape (K,).

    Returns:
        Shape (m, K).
    """
    low, high = limits.lower, limits.upper
    inside = settle(candidates, low, high)
    groups = [x for x in limits.limits if len(x.domains) > 1]
    for _ in range(SWEEPS if len(groups) > 1 else 1):
        for group in groups:
            mine = np.isin(np.arange(len(centre)), group.domains)
            total = np.clip(inside[:, mine].sum(axis=1), group.lowest, group.highest)
            inside[:, mine] = settle(inside[:, mine], low[mine], high[mine], total)
            if not mine.all():
                inside[:, ~mine] = settle(inside[:, ~mine], low[~mine], high[~mine], 1 - total)
    return draw_back(limits, inside, centre)


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
        room = np.where(move > 0, limit.highest - at, at - limit.lowest)
        over = np.abs(move) > room + ROUNDING / 10
        np.minimum(
            step, np.divide(np.maximum(room, 0.0), np.abs(move), out=np.ones_like(step), where=over), out=step
        )
    if limits.radius is not None:
        at = np.abs(centre - limits.reference).sum() / 2
        far = np.abs(candidates - limits.reference).sum(axis=1) / 2
        over = far > limits.radius
        room = np.full_like(step, max(limits.radius - at, 0.0))
        np.minimum(step, np.divide(room, far - at, out=np.ones_like(step), where=over), out=step)
    return np.asarray(centre + step[:, None] * away)


def face_of(limits: Limits, corner: np.ndarray) -> Limits:
    """Limits without the yes-or-no constraints, decided as an allowed mixture, shape (K,), has them."""
    if limits.convex:
        return limits
    extra = []
    moved = corner - limits.reference
    for i in range(len(limits.domains)):
        if limits.counted and limits.most_domains is not None and corner[i] <= 10 * ROUNDING:
            extra.append(Limit((i,), 0.0, 0.0, count_words(limits.most_domains), "choice"))
        if limits.stepped:
            here, least = float(limits.reference[i]), limits.smallest_change
            low, high = here, here
            if moved[i] > least / 2:
                low, high = here + least, 1.0
            elif moved[i] < -least / 2:
                low, high = 0.0, here - least
            extra.append(Limit((i,), low, high, change_words(least), "choice"))
    return replace(limits, limits=(*limits.limits, *extra), smallest_change=0.0, most_domains=None)


def _range(limits: Limits, program: Program, place: int) -> Range:
    unit = np.zeros(len(limits.domains))
    unit[place] = 1.0
    low, high = _best(program, unit), _best(program, -unit)
    lowest, highest = (round(float(end.weights[place]), DIGITS) for end in (low, high))
    return Range(
        lowest,
        highest,
        _because(limits, low, unit, place) if lowest > ROUNDING else "",
        _because(limits, high, -unit, place) if highest < 1 - ROUNDING else "",
    )


def _because(limits: Limits, end: Optimum, cost: np.ndarray, place: int) -> str:
    """The constraint that ends a range: the domain's own where it has one, else those that prove the end."""
    value = float(end.weights[place])
    for limit in limits.limits:
        side = limit.lowest if cost[place] > 0 else limit.highest
        if limit.domains == (place,) and abs(value - side) < ROUNDING:
            return limit.words
    binding = end.binding
    if not limits.convex:
        decided = Program(face_of(limits, end.weights)).minimise(cost)
        binding = decided.binding if decided else ()
    return listed(binding) or "several constraints together"


def _best(program: Program, cost: np.ndarray) -> Optimum:
    found = program.minimise(cost)
    if found is None:
        raise _none_left()
    return found


def _none_left() -> CausalMixError:
    return CausalMixError("No mixture meets all constraints.")


def _project(limits: Limits, wanted: np.ndarray) -> np.ndarray:
    """Euclidean projection by cvxpy (a convex quadratic program)."""
    import cvxpy as cp

    w = cp.Variable(len(wanted))
    kept = [cp.sum(w) == 1, w >= limits.lower, w <= limits.upper]
    for limit in limits.limits:
        if len(limit.domains) > 1:
            total = cp.sum(w[list(limit.domains)])
            kept += [total >= limit.lowest, total <= limit.highest]
    if limits.radius is not None:
        kept.append(cp.norm1(w - limits.reference) <= 2 * limits.radius)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(w - wanted)), kept)
    problem.solve(solver=cp.CLARABEL, tol_feas=1e-9, tol_gap_abs=1e-10, tol_gap_rel=1e-10)
    if w.value is None:
        raise _none_left()
    return settle(np.asarray(w.value), limits.lower, limits.upper)
