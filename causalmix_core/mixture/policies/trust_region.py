"""Policy T: the mixture whose gain is surest, within reach of the reference and all constraints.

It minimises the bad end of the 95% interval of the objective's change. The surface is smooth but not convex,
so it is minimised by sequential linear programming: the surface, and what protected outcomes may lose, are
replaced by their slopes at the present mixture, the linear program with all constraints is solved within a
small step, and the step grows or shrinks by whether the surface agreed (Fletcher and Sainz de la Maza 1989).
It begins at the reference and at the best of some hundred mixtures drawn around it. Where domains may be
dropped or left alone, it goes down once without that rule, and then again in the most promising of the ways
to decide it (choices.py).
"""

from __future__ import annotations

import numpy as np

from causalmix_core.mixture.limits import ROUNDING, Limits, broken
from causalmix_core.mixture.policies.candidates import draw_candidates
from causalmix_core.mixture.policies.choices import likely_choices
from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.program import Program, allows
from causalmix_core.mixture.room import as_mixture, nearest_weights

DRAWN = 600
STEPS = 30
FIRST_STEP = 0.05
"""Weight that the first linear program may move."""
LARGEST_STEP = 0.25
SMALLEST_STEP = 1e-3
SLOPE = 0.005
"""Half the weight over which a slope is taken."""
PARTS = np.array([0.25, 0.5, 1.0])
"""Of the way to the linear program's answer, which is a corner; the best point may lie before it."""


def trust_region(problem: Problem) -> np.ndarray:
    """Weights, shape (K,), with the lowest bad end of the predicted change."""
    limits = within_runs(problem)
    relaxed = limits.relaxed
    start = nearest_weights(limits, problem.start)
    drawn = draw_candidates(relaxed, start, DRAWN, problem.seed)
    order = np.argsort(problem.score(drawn), kind="stable")
    found = [_descend(problem, relaxed, begin) for begin in (start, drawn[order[0]])]
    best = found[int(np.argmin(problem.score(np.array(found))))]
    if not limits.convex:
        ways = likely_choices(problem, limits, [best, *drawn[order[:5]], start])
        found = [start, *(_descend(problem, face, begin) for face, begin in ways)]
        best = found[int(np.argmin(problem.score(np.array(found))))]
    return _unharmed(problem, limits, start, best)


def within_runs(problem: Problem) -> Limits:
    """The limits, narrowed to the weights that runs have tried, widened to hold the reference.

    Outside of what the runs have tried a surface is guessed, and searched there, its errors are found. Within
    it the interval keeps the policy from where few runs are; the range of 98% of the runs, in place of all,
    left a third more regret in simulated worlds whose best mixture is far. Where nothing would be left, the
    limits stay.
    """
    limits, tried = problem.limits, problem.model.runs.weights()
    low = np.minimum(np.minimum(tried.min(axis=0), limits.reference), limits.upper)
    high = np.maximum(np.maximum(tried.max(axis=0), limits.reference), limits.lower)
    narrowed = limits.narrowed(low, high)
    return narrowed if allows(narrowed) else limits


def _descend(problem: Problem, limits: Limits, start: np.ndarray) -> np.ndarray:
    """Sequential linear programming from an allowed mixture under convex limits."""
    here, value, step = start, float(problem.score(start[None])[0]), FIRST_STEP
    slope, rows = _slopes(problem, here)
    for _ in range(STEPS):
        corner = Program(limits, here, step, rows).minimise(slope)
        if corner is None:  # protected outcomes cannot all be kept within this step; then their price decides
            corner = Program(limits, here, step).minimise(slope)
        if corner is None or np.abs(corner.weights - here).max() < ROUNDING:
            step /= 4
        else:
            tried = here + PARTS[:, None] * (corner.weights - here)
            scores = problem.score(tried)
            best = int(np.argmin(scores))
            if scores[best] < value:
                here, value = tried[best], float(scores[best])
                step = min(step * (0.5, 1.0, 1.5)[best], LARGEST_STEP)
                slope, rows = _slopes(problem, here)
            else:
                step /= 4
        if step < SMALLEST_STEP:
            break
    return here


def _slopes(problem: Problem, here: np.ndarray) -> tuple[np.ndarray, list[tuple[np.ndarray, float]]]:
    """Slopes along e_k - w of the goal, and a row per protected outcome for the linear program.

    Costs that differ by a constant rank mixtures alike, because weights sum to one; and along e_k - w the
    slopes sum to zero over the mixture, so that slope times weights is how far the surface moves from here.
    """
    direction = np.eye(len(here)) - here
    back = np.minimum(SLOPE, here)[:, None]
    ends = np.vstack([here + SLOPE * direction, here - back * direction])
    span = SLOPE + back[:, 0]

    def along(values: np.ndarray) -> np.ndarray:
        return np.asarray((values[: len(here)] - values[len(here) :]) / span)

    rows = []
    if problem.no_harm:
        now, at_ends = problem.excess(here[None])[0], problem.excess(ends)
        for j, excess in enumerate(now):
            factors = along(at_ends[:, j])
            rows.append((factors, float(factors @ here - excess)))
    return along(problem.goal(ends)), rows


def _unharmed(problem: Problem, limits: Limits, start: np.ndarray, found: np.ndarray) -> np.ndarray:
    """What was found, or the best mixture on the way to it that harms nothing protected, if there is one."""
    if problem.harm(found[None]).sum() <= 0:
        return found
    way = start + np.linspace(0, 1, 101)[:, None] * (found - start)
    kept = [w for w in way[problem.harm(way).sum(axis=1) <= 0] if not broken(limits, as_mixture(limits, w))]
    choice = np.array(kept or [start, found])
    return np.asarray(choice[int(np.argmin(problem.score(choice)))])
