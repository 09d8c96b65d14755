"""Policy S of the CausalMix paper (arXiv 2607.01104): the mean of the best of many drawn mixtures.

100,000 Dirichlet mixtures around the reference are ranked by their predicted objective, and the mean of the best 100
is proposed. It looks at no interval: the best of many predictions is in part the luckiest. Only what the
constraints forbid is kept from it.

A Gaussian process averages over several choices of hyperparameters; 100,000 mixtures are first ranked by the most
probable one, and the best few thousand of them by all.
"""

from __future__ import annotations

import numpy as np

from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.mixture.policies.candidates import draw_candidates
from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.room import nearest_weights

CANDIDATES = 100_000
BEST = 100
RANKED = 3_000
"""Candidates, best first by the quick ranking, that are ranked in full."""
HARM_CHECKED = 1_000
"""Candidates, best first, whose harm to protected outcomes is computed."""


def search(problem: Problem) -> np.ndarray:
    """Weights, shape (K,): the mean of the best 100 of 100,000 drawn mixtures, made allowed."""
    drawn = draw_candidates(problem.limits, problem.start, CANDIDATES, problem.seed)
    drawn = drawn[np.argsort(_quickly(problem, drawn), kind="stable")[:RANKED]]
    predicted = problem.model.surface(problem.state, drawn)
    best = np.argsort(predicted, kind="stable")[: HARM_CHECKED if problem.no_harm else BEST]
    if problem.no_harm:
        cost = predicted[best] + problem.priced(problem.harm(drawn[best]))
        best = best[np.argsort(cost, kind="stable")[:BEST]]
    return nearest_weights(problem.limits, drawn[best].mean(axis=0))


def _quickly(problem: Problem, candidates: np.ndarray) -> np.ndarray:
    """A first ranking, shape (m,)."""
    return problem.model.surface(problem.state, candidates, OBJECTIVE)
