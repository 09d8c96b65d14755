"""Policy A of the CausalMix paper (arXiv 2607.01104): weights proportional to what each domain does of its
own.

w_k = max(theta_k, 0) / sum max(theta, 0) on the scale where higher is better: the maximum of sum_k theta_k
log w_k, exact if that were the truth down to weight 0. It knows neither intervals nor what the runs have
tried, and drops domains easily. Constraints and protected outcomes are not the paper's: its answer is moved
to the nearest mixture that the constraints allow.
"""

from __future__ import annotations

import numpy as np

from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.room import nearest_weights


def analytical(problem: Problem) -> np.ndarray | None:
    """Weights, shape (K,), made allowed; None where no domain helps of its own."""
    own = problem.model.own_effects(problem.state)
    # The objective is better when lower, so what helps has a negative theta.
    helps = np.maximum(-np.array([own[d] for d in problem.limits.domains]), 0)
    if helps.sum() <= 0:
        return None
    return nearest_weights(problem.limits, helps / helps.sum())
