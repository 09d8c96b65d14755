"""Which domains to drop and which to leave alone, where a curator limits how many there are or how little may
move.

There are too many ways to try all. The likely ones are those of the allowed mixtures nearest to good mixtures
that ignore the rule, and, where only so many domains may be kept, what is left when the domain that is missed
least is dropped, one after the other (backward elimination).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalmix_core.mixture.exact import settle
from causalmix_core.mixture.limits import ROUNDING, Limits
from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.program import Program
from causalmix_core.mixture.room import face_of

TRIED = 3
"""Ways that a policy searches in."""


def likely_choices(
    problem: Problem, limits: Limits, good: Sequence[np.ndarray]
) -> list[tuple[Limits, np.ndarray]]:
    """Ways to decide the yes-or-no constraints.

    Args:
        problem: says which mixtures are better.
        limits: with yes-or-no constraints.
        good: mixtures that keep the other limits, the best first.

    Returns:
        For the most promising ways: limits with the constraints decided, and an allowed mixture to begin
        from.
    """
    wanted = [*good, *([fewer(problem, limits, good[0])] if limits.counted else [])]
    faces: dict[tuple[object, ...], tuple[Limits, np.ndarray]] = {}
    for mixture in wanted:
        allowed = Program(limits, around=mixture).minimise(np.zeros(len(mixture)), distance_cost=1.0)
        if allowed is not None:
            face = face_of(limits, allowed.weights)
            faces.setdefault(tuple(face.limits), (face, allowed.weights))
    found = list(faces.values())
    scores = problem.score(np.array([w for _, w in found]))
    return [found[i] for i in np.argsort(scores, kind="stable")[:TRIED]]


def fewer(problem: Problem, limits: Limits, mixture: np.ndarray) -> np.ndarray:
    """A mixture of at most as many domains as allowed: the one that is missed least goes first."""
    kept, most = mixture.copy(), limits.most_domains or len(mixture)
    while (kept > ROUNDING).sum() > most:
        open_ = np.flatnonzero((kept > ROUNDING) & (limits.lower <= ROUNDING))
        if not len(open_):
            break
        tried = []
        for i in open_:
            high = np.where(kept > ROUNDING, limits.upper, 0.0)
            high[i] = 0.0
            tried.append(settle(kept, limits.lower, high))
        kept = tried[int(np.argmin(problem.score(np.array(tried))))]
    return kept
