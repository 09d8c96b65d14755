"""Policy S of the CausalMix paper (arXiv 2607.01104): the mean of the best of many drawn mixtures.

100,000 Dirichlet mixtures around the reference are ranked by their predicted objective, and the mean of the
best 100 is proposed. It looks at no interval: the best of many predictions is in part the luckiest. Only what
the constraints forbid is kept from it.

A Gaussian process averages over several choices of hyperparameters; 100,000 mixtures are first ranked by the
most probable one, and the best thousand of them by all.
"""

from __future__ import annotations

import numpy as np

from causalmix_core.mixture.policies.candidates import draw_candidates
from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.room import nearest_weights

CANDIDATES = 100_000
BEST = 100
RANKED = 1_000
"""Candidates, best first by the quick ranking, that are ranked in full; the mean of the best 100 does not
change beyond a few hundred."""


def search(problem: Problem) -> np.ndarray:
    """Weights, shape (K,): the mean of the best 100 of 100,000 drawn mixtures, made allowed."""
    drawn = draw_candidates(problem.limits, problem.start, CANDIDATES, problem.seed)
    roughly = problem.model.surface(problem.state, drawn, hurried=True)
    drawn = drawn[np.argsort(roughly, kind="stable")[:RANKED]]
    cost = problem.model.surface(problem.state, drawn) + problem.priced(problem.harm(drawn))
    best = drawn[np.argsort(cost, kind="stable")[:BEST]]
    return nearest_weights(problem.limits, best.mean(axis=0))
