"""RegMix's linear regression: a straight line in the weights, for comparison.

Losses bend in the weights, so a line is wrong, and whatever it suggests is a corner of the simplex. It is
here because it is RegMix's own baseline (Liu et al. 2024, arXiv 2407.01492, section 3.2): an estimator that
cannot beat it has learned nothing. It sees weights alone; where the pool state decided the mixtures, its
slopes carry what the state does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.sample import Sample


@dataclass(frozen=True)
class LinearResponse:
    """y = level + (w - centre)' slopes.

    Attributes:
        centre: mean weights of the runs, shape (d,).
        level: mean outcomes of the runs, shape (m,).
        slopes: shape (d, m).
    """

    centre: np.ndarray
    level: np.ndarray
    slopes: np.ndarray

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m); the state plays no part."""
        return np.asarray(self.level + (weights - self.centre) @ self.slopes)

    def restricted(self, outcomes: Sequence[int]) -> LinearResponse:
        """The lines of some of the outcomes only."""
        return LinearResponse(self.centre, self.level[outcomes], self.slopes[:, outcomes])


class LinearRegression:
    """Least squares of the outcomes on the weights."""

    def fit(self, sample: Sample, seed: int) -> LinearResponse:
        """Fit all outcomes at once; nothing is random.

        Weights that sum to one are collinear with the intercept. The solution of smallest norm predicts what
        dropping any one domain would, and does not depend on which. It is also what is left where there are
        fewer runs than domains.
        """
        centre, level = sample.weights.mean(axis=0), sample.outcomes.mean(axis=0)
        slopes = np.linalg.lstsq(sample.weights - centre, sample.outcomes - level, rcond=1e-10)[0]
        return LinearResponse(centre, level, slopes)
