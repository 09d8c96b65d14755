"""Policy T: the mixture whose gain is surest, within reach of the reference and all constraints.

It minimises the bad end of the 95% interval of the objective's change. The surface is smooth but not convex, so it
is minimised by sequential linear programming: the surface is replaced by its slope at the present mixture, the
linear program with all constraints is solved within a small step, and the step grows or shrinks by whether the
surface agreed (Fletcher and Sainz de la Maza 1989). It begins at the reference and at the best of some thousand
mixtures drawn around it. Where domains may be dropped or left alone, the best drawn mixture says which.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalmix_core.mixture.constraints import ROUNDING, Limits
from causalmix_core.mixture.policies.candidates import draw_candidates
from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.program import solve
from causalmix_core.mixture.room import face_of, nearest_weights

DRAWN = 3_000
STARTS = 2
STEPS = 25
FIRST_STEP = 0.05
"""Weight that the first linear program may move."""
SMALLEST_STEP = 1e-3
SLOPE = 0.005
"""Half the weight over which a slope is taken."""


def trust_region(problem: Problem) -> np.ndarray:
    """Weights, shape (K,), with the lowest bad end of the predicted change."""
    limits = within_runs(problem)
    centre = nearest_weights(limits, limits.reference)
    drawn = draw_candidates(limits, centre, DRAWN, problem.seed)
    if not limits.convex:
        drawn = np.array([nearest_weights(limits, w) for w in drawn[:: DRAWN // 50]])
    scores = problem.score(drawn)
    starts = [centre, *drawn[np.argsort(scores, kind="stable")[: STARTS - 1]]]
    found = [_descend(problem, face_of(limits, start), start) for start in starts]
    return found[int(np.argmin(problem.score(np.array(found))))]


def within_runs(problem: Problem) -> Limits:
    """The limits, narrowed to the weights that 98% of the runs have tried, widened to hold the reference.

    Outside of what the runs have tried a surface is guessed; searched there, its errors are what is found
    (in simulated worlds regret was three times as high). Where nothing would be left, the limits stay.
    """
    limits, box = problem.limits, problem.model.domain_box.loc[list(problem.limits.domains)]
    low = np.minimum(box["lower"].to_numpy(float), limits.reference)
    high = np.maximum(box["upper"].to_numpy(float), limits.reference)
    narrowed = limits.narrowed(low, high)
    return narrowed if solve(narrowed, np.zeros(len(low))) is not None else limits


def _descend(problem: Problem, limits: Limits, start: np.ndarray) -> np.ndarray:
    """Sequential linear programming from an allowed mixture."""
    here, value, step = start, float(problem.score(start[None])[0]), FIRST_STEP
    slope = _slope(problem, here)
    for _ in range(STEPS):
        there = solve(limits, slope, away=here, near_radius=step)
        if there is None or np.abs(there - here).max() < ROUNDING:
            break
        # The linear program ends in a corner of the step; the best point may lie before it.
        tried = here + np.array([[0.25], [0.5], [1.0]]) * (there - here)
        scores = problem.score(tried)
        best = int(np.argmin(scores))
        if scores[best] < value - 1e-12:
            here, value = tried[best], float(scores[best])
            step = min(step * (1.5 if best == 2 else 1.0 if best == 1 else 0.5), 0.25)
            slope = _slope(problem, here)
        else:
            step /= 4
        if step < SMALLEST_STEP:
            break
    return here


def _slope(problem: Problem, here: np.ndarray) -> np.ndarray:
    """Slope of the score along e_k - w for each domain, shape (K,); usable as cost of a linear program.

    Costs that differ by a constant rank mixtures alike, because weights sum to one.
    """
    direction = np.eye(len(here)) - here
    back = np.minimum(SLOPE, here)[:, None]
    ends = problem.score(np.vstack([here + SLOPE * direction, here - back * direction]))
    up, down = ends[: len(here)], ends[len(here) :]
    return np.asarray((up - down) / (SLOPE + back[:, 0]))


def step_towards(limits: Limits, weights: np.ndarray, fraction: float) -> np.ndarray:
    """The mixture that goes only a part of the way from the reference, kept within the convex limits."""
    moved = limits.reference + fraction * (weights - limits.reference)
    return nearest_weights(replace(limits, smallest_change=0.0), moved)
