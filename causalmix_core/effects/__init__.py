"""Effects: what moving a domain's weight would do, given the runs, the graph and the state of the pool.

`identify` says what the graph allows to be estimated and what to adjust for, `fit_effects` estimates it
by double machine learning, and the `EffectModel` that comes back answers: effects per percentage point,
changes from one mixture to another, how well held-out runs were predicted, and where it should not be
trusted.
"""

from causalmix_core.effects.estimators import EstimatorName
from causalmix_core.effects.features import LogMap
from causalmix_core.effects.fitting import fit_effects, minimum_runs, objective_shares
from causalmix_core.effects.identification import OBJECTIVE, Identification, identify
from causalmix_core.effects.model import EffectModel

__all__ = [
    "OBJECTIVE",
    "EffectModel",
    "EstimatorName",
    "Identification",
    "LogMap",
    "fit_effects",
    "identify",
    "minimum_runs",
    "objective_shares",
]
