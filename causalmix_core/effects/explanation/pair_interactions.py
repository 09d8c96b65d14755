"""How strongly each pair of domains interacts: what both do beyond the sum of what each does alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.explanation.asking import check_asked
from causalmix_core.effects.model import EffectModel
from causalmix_core.mixture.simplex import check_mixture

TOGETHER = 0.05
"""Weight that both domains of a pair gain."""
SLACK = 1e-9


def interactions(
    model: EffectModel, outcome: str, state: Mapping[str, float], mixture: Mapping[str, float]
) -> pd.DataFrame:
    """How much more, or less, two domains do together than the sum of what each does alone.

    The second difference `y(both) - y(first) - y(second) + y(neither)`, where a domain gains five points of
    weight (ten where the surface is made of steps) from all others in proportion. 0 means that they add up.

    Args:
        model: fitted effects.
        outcome: what they act on.
        state: of the pool; all states of the runs.
        mixture: where the weight is added.

    Returns:
        Columns first, second, interaction (units of the outcome), lower, upper (95%), distinguishable, inside
        (whether the runs tried such weights), step (weight that each gains); the largest interaction first.

    Raises:
        CausalMixError: unknown outcome, or the state or the mixture does not fit the runs.
    """
    check_asked(model, None, outcome)
    start = np.array(list(check_mixture(mixture, model.domains).values()))
    step = max(TOGETHER, ESTIMATORS[model.estimator].step)
    moves = step * (np.eye(len(start)) - start)
    pairs = list(combinations(range(len(start)), 2))
    alone, both = start + moves, np.array([start + moves[a] + moves[b] for a, b in pairs])
    value, spread = second_differences(model, state, mixture, alone, both, pairs, outcome)
    half = spread * model.interval_quantile(outcome)
    box = model.domain_box
    inside = ((both >= box["lower"].to_numpy() - SLACK) & (both <= box["upper"].to_numpy() + SLACK)).all(
        axis=1
    )
    table = pd.DataFrame(
        {
            "first": [model.domains[a] for a, _ in pairs],
            "second": [model.domains[b] for _, b in pairs],
            "interaction": value,
            "lower": value - half,
            "upper": value + half,
            "distinguishable": np.abs(value) > half,
            "inside": inside,
            "step": step,
        }
    )
    return table.sort_values("interaction", key=np.abs, ascending=False, ignore_index=True)


def second_differences(
    model: EffectModel,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
    alone: np.ndarray,
    both: np.ndarray,
    pairs: list[tuple[int, int]],
    outcome: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Second differences and their standard errors, from variances of simple differences.

    For coefficients c that sum to zero, Var(sum_i c_i f_i) = - sum_{i<j} c_i c_j Var(f_i - f_j), and
    `EffectModel.changes` gives each Var(f_i - f_j). So the part of the error that all four mixtures share
    drops out, which adding up four intervals would not allow.
    """
    count = len(alone)
    from_start, error = model.changes(state, mixture, np.concatenate([alone, both]), outcome)
    single, double = from_start[:count], from_start[count:]
    variance = -(error[count:] ** 2)
    for a in range(count):
        mine = [i for i, pair in enumerate(pairs) if a in pair]
        begin = dict(zip(model.domains, alone[a].tolist(), strict=True))
        _, error_to = model.changes(state, begin, np.concatenate([alone, both[mine]]), outcome)
        for at, i in enumerate(mine):
            first, second = pairs[i]
            variance[i] += error[a] ** 2 + error_to[count + at] ** 2
            if a == first:
                variance[i] -= error_to[second] ** 2
    value = np.array([double[i] - single[a] - single[b] for i, (a, b) in enumerate(pairs)])
    return value, np.sqrt(np.maximum(variance, 0))
