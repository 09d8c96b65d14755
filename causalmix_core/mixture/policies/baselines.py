"""Mixtures that need no effects: what a curator would do without them, to compare suggestions with."""

from __future__ import annotations

import numpy as np

from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.simplex import proportional as by_size

UNIMAX_EPOCHS = 4.0
"""How often UniMax reads a domain at most where nothing else is said; its authors try 1 to 10."""


def proportional(problem: Problem) -> np.ndarray | None:
    """Weights by the tokens of the pool; None where the pool is not at hand."""
    if problem.tokens is None:
        return None
    sizes = by_size({d: float(problem.tokens[d]) for d in problem.limits.domains})
    return np.array(list(sizes.values()))


def uniform(problem: Problem) -> np.ndarray:
    """The same weight for every domain."""
    return np.full(len(problem.limits.domains), 1 / len(problem.limits.domains))


def unimax(problem: Problem) -> np.ndarray | None:
    """UniMax (Chung et al. 2023, arXiv 2304.09151): even, but no domain is read more than so many times.

    From the domain that can give least on, each gets an equal part of what is left of the budget, or all that
    it can give. None where tokens or the budget are unknown, or the budget is more than all domains can give.
    """
    if problem.tokens is None or problem.token_budget is None:
        return None
    domains, epochs = problem.limits.domains, problem.max_epochs
    most = epochs if isinstance(epochs, dict) else dict.fromkeys(domains, epochs or UNIMAX_EPOCHS)
    readable = np.array([most.get(d, UNIMAX_EPOCHS) * problem.tokens[d] for d in domains])
    left, given = float(problem.token_budget), np.zeros(len(domains))
    for done, i in enumerate(np.argsort(readable, kind="stable")):
        given[i] = min(left / (len(domains) - done), readable[i])
        left -= given[i]
    if left > 1e-6 * problem.token_budget:
        return None
    return np.asarray(given / given.sum())


def best_probe(problem: Problem) -> np.ndarray:
    """The mixture of the run with the best measured objective: a lucky one, in part."""
    from causalmix_core.effects.fitting import outcome_values
    from causalmix_core.effects.identification import OBJECTIVE

    measured = outcome_values(problem.model.runs, problem.model.objective)[OBJECTIVE].to_numpy()
    weights = problem.model.runs.weights()[int(np.argmin(measured))]
    return np.asarray(weights / weights.sum())
