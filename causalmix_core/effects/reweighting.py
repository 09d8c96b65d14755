"""Another objective for effects that are fitted already: only the objective's surface is fitted again.

A curator who weighs the outcomes differently has to wait for one surface and not for a dozen. It is the same
surface that a fit from scratch would give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from causalmix_core.effects.calibration import calibrate
from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.fitting import (
    fit_response,
    objective_identification,
    objective_shares,
    outcome_group,
    outcome_values,
    varies,
)
from causalmix_core.effects.group_fit import GroupFit, StateScale
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel


def with_objective(model: EffectModel, shares: Mapping[str, float], *, seed: int = 0) -> EffectModel:
    """The same effects under another objective.

    Args:
        model: fitted effects; they stay as they are.
        shares: importance of each outcome, as the `objective` of `fit_effects`.
        seed: of whatever the estimator draws.

    Raises:
        CausalMixError: an unknown outcome, an importance that is negative or not finite, or only zeros.
    """
    objective = objective_shares(shares, model.runs.outcomes)
    found = dict(model.identifications)
    said = objective_identification([found[o] for o, share in objective.items() if share > 0])
    values = outcome_values(model.runs, objective)[[OBJECTIVE]]
    scale = StateScale.of(model.runs)
    groups = [kept for g in model.groups if (kept := _without_objective(g)) is not None]
    if said.treatments and varies(values[OBJECTIVE].to_numpy()):
        planned = outcome_group(model.runs, scale, said, values)
        info = ESTIMATORS[model.estimator]
        response = fit_response(planned.sample, model.estimator, seed)
        groups.append(
            GroupFit(
                outcomes=planned.outcomes,
                treatments=planned.treatments,
                states=planned.states,
                sample=planned.sample,
                response=response,
                calibration=calibrate(planned.sample, info, response, seed),
                step=info.step,
            )
        )
    return EffectModel(
        estimator=model.estimator,
        objective=objective,
        identifications={**found, OBJECTIVE: said},
        runs=model.runs,
        scale=scale,
        groups=groups,
        notes=model.notes,
    )


def _without_objective(group: GroupFit) -> GroupFit | None:
    """The group's other outcomes; None where it has none."""
    kept = [i for i, o in enumerate(group.outcomes) if o != OBJECTIVE]
    if len(kept) == len(group.outcomes) or not kept:
        return group if kept else None
    values: dict[str, Any] = {f.name: getattr(group.calibration, f.name) for f in fields(group.calibration)}
    per_outcome = {name: v[kept] for name, v in values.items() if isinstance(v, np.ndarray)}
    return replace(
        group,
        outcomes=[group.outcomes[i] for i in kept],
        sample=group.sample.with_outcomes(group.sample.outcomes[:, kept]),
        response=group.response.restricted(kept),
        calibration=replace(group.calibration, **per_outcome),  # type: ignore[arg-type]
    )
