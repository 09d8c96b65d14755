"""RegMix's way (Liu et al. 2024, arXiv 2407.01492): boosted trees on the weights, the mean of the top
candidates.

LightGBM with RegMix's settings predicts the objective from the weights alone; 100,000 mixtures are drawn from
a Dirichlet distribution whose parameters are the reference, and the mean of the best 128 is proposed, as in
RegMix's own code. Neither the pool state nor intervals nor constraints are looked at.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from causalmix_core.mixture.policies.candidates import SMALLEST_CENTRE, dirichlet
from causalmix_core.mixture.policies.problem import Problem

CANDIDATES = 100_000
BEST = 128


def regmix(problem: Problem) -> np.ndarray:
    """Weights, shape (K,)."""
    from causalmix_core.effects.fitting import outcome_values
    from causalmix_core.effects.identification import OBJECTIVE

    runs = problem.model.runs
    objective = outcome_values(runs, problem.model.objective)[OBJECTIVE].to_numpy(dtype=float)
    weights = np.ascontiguousarray(runs.weights(), dtype=float)
    return np.array(
        _proposed(weights.tobytes(), objective.tobytes(), problem.limits.reference.tobytes(), problem.seed)
    )


@lru_cache(maxsize=32)
def _proposed(weights: bytes, objective: bytes, prior: bytes, seed: int) -> tuple[float, ...]:
    """The same for every pool state and all constraints, and seconds of work: kept by what it is made of."""
    from causalmix_core.effects.estimators import ESTIMATORS
    from causalmix_core.effects.sample import Sample

    centre, measured = np.frombuffer(prior), np.frombuffer(objective)
    runs = np.frombuffer(weights).reshape(len(measured), len(centre))
    sample = Sample(runs, np.empty((len(runs), 0)), np.empty(0, dtype=int), measured[:, None])
    fitted = ESTIMATORS["lightgbm"].make().fit(sample, seed)
    concentration = np.broadcast_to(np.maximum(centre, SMALLEST_CENTRE), (CANDIDATES, len(centre)))
    drawn = dirichlet(concentration, np.random.default_rng(seed))
    predicted = fitted.mean(drawn, np.empty((CANDIDATES, 0)))[:, 0]
    best = drawn[np.argsort(predicted, kind="stable")[:BEST]].mean(axis=0)
    return tuple((best / best.sum()).tolist())
