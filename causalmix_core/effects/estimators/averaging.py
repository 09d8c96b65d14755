"""The mean of the Gaussian process and the mixing law.

The law knows the shape of such surfaces and nothing else; the process knows nothing and learns the shape.
From few runs their mean ranks mixtures better than either (benchmarks/regmix_accuracy.py), and a law
carries over to larger models where a free surface may not. From many runs of one size the process alone is
better. The law does not see the pool state, so with states that matter the mean is half as sensitive to
them as it should be. Half and half is not tuned to any runs.

The error is that of discrepancy.py: how far the process takes the truth to be from the mean of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.estimators.discrepancy import WithError, with_error
from causalmix_core.effects.estimators.gaussian_process import GaussianProcess
from causalmix_core.effects.estimators.mixing_law import MixingLaw
from causalmix_core.effects.estimators.protocol import PointResponse
from causalmix_core.effects.sample import Sample


class LawAverage:
    """Mean of `GaussianProcess` and `MixingLaw`, fitted to the same runs."""

    def fit(self, sample: Sample, seed: int) -> WithError:
        """Fit both; the same seed gives the same surface."""
        process = GaussianProcess().fit(sample, seed)
        return with_error(Mean(process, MixingLaw().fit(sample, seed)), process)


@dataclass(frozen=True)
class Mean:
    """The mean of two surfaces."""

    one: PointResponse
    other: PointResponse

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m)."""
        return np.asarray(0.5 * (self.one.mean(weights, state) + self.other.mean(weights, state)))

    def restricted(self, outcomes: Sequence[int]) -> Mean:
        """The same surface of some of the outcomes only."""
        return Mean(self.one.restricted(outcomes), self.other.restricted(outcomes))
