"""Policy S of the CausalMix paper (arXiv 2607.01104): the mean of the best of many drawn mixtures.

100,000 Dirichlet mixtures around the reference are ranked by their predicted objective, and the mean of the best 100
is proposed. It looks at no interval: the best of many predictions is in part the luckiest. Only what the
constraints forbid is kept from it.
"""

from __future__ import annotations

import numpy as np

from causalmix_core.mixture.policies.candidates import draw_candidates
from causalmix_core.mixture.policies.problem import HARM_PRICE, Problem
from causalmix_core.mixture.room import nearest_weights

CANDIDATES = 100_000
BEST = 100
HARM_CHECKED = 2_000
"""Candidates, best first, whose harm to protected outcomes is computed."""


def search(problem: Problem) -> np.ndarray:
    """Weights, shape (K,): the mean of the best 100 of 100,000 drawn mixtures, made allowed."""
    centre = nearest_weights(problem.limits, problem.limits.reference)
    drawn = draw_candidates(problem.limits, centre, CANDIDATES, problem.seed)
    predicted = problem.model.surface(problem.state, drawn)
    best = np.argsort(predicted, kind="stable")[: HARM_CHECKED if problem.no_harm else BEST]
    if problem.no_harm:
        cost = predicted[best] + HARM_PRICE * problem.harm(drawn[best]).sum(axis=1)
        best = best[np.argsort(cost, kind="stable")[:BEST]]
    return nearest_weights(problem.limits, drawn[best].mean(axis=0))
