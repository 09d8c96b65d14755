"""RegMix's way (Liu et al. 2024, arXiv 2407.01492): boosted trees on the weights, the mean of the top candidates.

LightGBM with RegMix's settings predicts the objective from the weights alone; 100,000 mixtures are drawn from a
Dirichlet distribution around the reference, and the mean of the best 128 is proposed. Neither the pool state nor
intervals nor constraints are looked at.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.fitting import outcome_values
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.sample import Sample
from causalmix_core.mixture.policies.problem import Problem

CANDIDATES = 100_000
BEST = 128


def regmix(problem: Problem) -> np.ndarray:
    """Weights, shape (K,)."""
    return np.array(_proposed(problem.model, tuple(problem.limits.reference.tolist()), problem.seed))


@lru_cache(maxsize=16)
def _proposed(model: EffectModel, prior: tuple[float, ...], seed: int) -> tuple[float, ...]:
    """The same for every pool state and all constraints, so it is fitted once per model (by identity)."""
    runs = model.runs
    objective = outcome_values(runs, model.objective)[[OBJECTIVE]].to_numpy()
    sample = Sample(runs.weights(), np.empty((len(runs), 0)), np.empty(0, dtype=int), objective)
    fitted = ESTIMATORS["lightgbm"].make().fit(sample, seed)
    rng = np.random.default_rng(seed)
    # RegMix draws from Dirichlet(prior times a strength between 0.1 and 5, in log steps), as its swarms do.
    strength = np.exp(rng.uniform(np.log(0.1), np.log(5.0), (CANDIDATES, 1))) * len(prior)
    drawn = rng.standard_gamma(np.maximum(strength * np.array(prior), 1e-3))
    drawn /= np.maximum(drawn.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    predicted = fitted.mean(drawn, np.empty((CANDIDATES, 0)))[:, 0]
    best = drawn[np.argsort(predicted, kind="stable")[:BEST]].mean(axis=0)
    return tuple((best / best.sum()).tolist())
