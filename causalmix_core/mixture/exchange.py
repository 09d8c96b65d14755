"""What one percentage point of one domain, taken from another, does to each outcome.

The effect that sliders show takes a point from all others in proportion; here the donor is picked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

POINT = 0.01
SMALLEST = 1e-4
"""Less weight than this in the donor is nothing to take from."""


def exchange_effect(
    model: EffectModel, state: Mapping[str, float], mixture: Mapping[str, float], gain: str, give: str
) -> pd.DataFrame:
    """Effect of +1 percentage point of `gain` from `give`.

    The step lies around the mixture, and is as long as the estimator's effects need (`EstimatorInfo.step`),
    but never takes more than there is; what is reported is per point.

    Args:
        model: fitted effects.
        state: pool state by column.
        mixture: where the point moves.
        gain: the domain that gets it.
        give: the domain that loses it.

    Returns:
        Columns outcome, effect, lower, upper (95%), distinguishable (the interval does not hold 0).

    Raises:
        CausalMixError: an unknown domain, the same one twice, or nothing in `give` to take.
    """
    from causalmix_core.effects.estimators import ESTIMATORS

    here = check_mixture(mixture, model.domains)
    if unknown := [d for d in (gain, give) if d not in here]:
        raise CausalMixError(
            f"There is no domain {', '.join(unknown)} in this model; it has: {', '.join(model.domains)}."
        )
    if gain == give:
        raise CausalMixError(f"{gain} cannot give to itself; pick another domain to take from.")
    if here[give] < SMALLEST:
        raise CausalMixError(f"There is no {give} in this mixture to take from; pick another domain.")
    half = ESTIMATORS[model.estimator].step / 2
    back = min(half, here[gain])
    ahead = min(2 * half - back, here[give])
    start = {**here, gain: here[gain] - back, give: here[give] + back}
    end = {**here, gain: here[gain] + ahead, give: here[give] - ahead}
    found = model.change(state, start, end).rename(columns={"change": "effect"})
    columns = ["effect", "lower", "upper"]
    found[columns] *= POINT / (back + ahead)
    found["distinguishable"] = (found["lower"] > 0) | (found["upper"] < 0)
    return found
