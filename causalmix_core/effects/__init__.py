"""Effects: what moving a domain's weight would do, given the runs, the graph and the state of the pool.

`identify` says what the graph allows to be estimated and what to hold fixed, `fit_effects` estimates it by
one of `ESTIMATORS`, and the `EffectModel` that comes back answers: effects per percentage point, changes from
one mixture to another, what a new run would measure, and where it should not be trusted. Which estimator to
use, how far to believe it and why it says what it says are rooms of their own: leaderboard, calibration,
refutation, overlap, sensitivity, explanation.
"""

from causalmix_core.effects.estimators import ESTIMATOR_NAMES, ESTIMATORS, EstimatorInfo, EstimatorName
from causalmix_core.effects.fitting import (
    fit_effects,
    minimum_runs,
    objective_shares,
    objective_sign,
    plan_fit,
)
from causalmix_core.effects.identification import OBJECTIVE, Identification, identify
from causalmix_core.effects.model import EffectModel

__all__ = [
    "ESTIMATORS",
    "ESTIMATOR_NAMES",
    "OBJECTIVE",
    "EffectModel",
    "EstimatorInfo",
    "EstimatorName",
    "Identification",
    "fit_effects",
    "identify",
    "minimum_runs",
    "objective_shares",
    "objective_sign",
    "plan_fit",
]
