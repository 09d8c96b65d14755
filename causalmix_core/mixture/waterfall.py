"""Which domain's move contributes what to a predicted change, from the reference to a mixture.

The change of an outcome is the integral of its slope along the straight way from one mixture to the other.
Slope along a domain is its effect, so a domain contributes what its weight moves times its mean effect on the
way (Aumann and Shapley 1974; integrated gradients, Sundararajan et al. 2017). The contributions add up to the
change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalmix_core.mixture.simplex import check_mixture

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

NODES = 8
"""Places on the way where effects are taken (Gauss-Legendre): exact for polynomials up to degree 15."""
POINTS = 100.0
"""Percentage points in a whole: effects are per point, weights are parts of one."""


def contributions(
    model: EffectModel,
    state: Mapping[str, float],
    reference: Mapping[str, float],
    mixture: Mapping[str, float],
) -> pd.DataFrame:
    """What each domain's move contributes to the predicted change of every outcome.

    Args:
        model: fitted effects.
        state: pool state by column.
        reference: where the way begins.
        mixture: where it ends.

    Returns:
        Columns domain, outcome, moved (weight, its sign says in which direction), contribution (units of the
        outcome). The contributions to an outcome add up to its predicted change; what is lost between the
        nodes is shared out by the size of the moves.

    Raises:
        CausalMixError: the state or a mixture does not fit the runs.
    """
    start = np.array(list(check_mixture(reference, model.domains).values()))
    end = np.array(list(check_mixture(mixture, model.domains).values()))
    moved = end - start
    places, shares = np.polynomial.legendre.leggauss(NODES)
    row = np.array([[state[c] for c in model.runs.states]], dtype=float)
    found = np.zeros((len(model.domains), len(model.outcomes)))
    for place, share in zip((places + 1) / 2, shares / 2, strict=True):
        here = dict(zip(model.domains, (start + place * moved).tolist(), strict=True))
        found += share * model.effects_over(row, here)[0][0] * POINTS
    found *= moved[:, None]
    change = model.change(state, reference, mixture)["change"].to_numpy(float)
    size = np.abs(moved)
    if size.sum() > 0:
        found += np.outer(size / size.sum(), change - found.sum(axis=0))
    return pd.DataFrame(
        {
            "domain": [d for d in model.domains for _ in model.outcomes],
            "outcome": [o for _ in model.domains for o in model.outcomes],
            "moved": np.repeat(moved, len(model.outcomes)),
            "contribution": found.ravel(),
        }
    )
