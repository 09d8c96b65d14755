"""How wide an interval has to be so that it holds what it should as often as it says.

placeholder
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.estimators import EstimatorInfo, Response
from causalmix_core.effects.sample import Sample

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Calibration:
    """How many standard errors half a 95% interval is.

    Attributes:
        prediction: for what a new run would measure, shape (m,).
        effect: for effects and changes, shape (m,).
        observed: share of left-out runs inside their interval before calibration, shape (m,); NaN: not looked at.
        n: left-out runs that this rests on; 0: none.
    """

    prediction: np.ndarray
    effect: np.ndarray
    observed: np.ndarray
    n: int


def uncalibrated(response: Response) -> Calibration:
    """The surface's own quantile, as it stands."""
    own = np.full(len(response.noise), _quantile(response))
    return Calibration(own, own, np.full(len(own), np.nan), 0)


def calibrate(sample: Sample, info: EstimatorInfo, response: Response, seed: int) -> Calibration:
    """Calibrate the intervals of a surface on runs that it has not seen."""
    return uncalibrated(response)


def _quantile(response: Response) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, response.degrees_of_freedom))
