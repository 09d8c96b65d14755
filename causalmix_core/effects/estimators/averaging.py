"""The mean of the Gaussian process and the mixing law."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalmix_core.effects.estimators.gaussian_process import GaussianProcess, GaussianProcessResponse
from causalmix_core.effects.estimators.protocol import PointResponse
from causalmix_core.effects.sample import Sample


class LawAverage:
    """Mean of `GaussianProcess` and `MixingLaw`."""

    def fit(self, sample: Sample, seed: int) -> LawAverageResponse:
        """Fit both to the same runs."""
        from causalmix_core.effects.estimators.mixing_law import MixingLaw

        return LawAverageResponse(GaussianProcess().fit(sample, seed), MixingLaw().fit(sample, seed))


class LawAverageResponse:
    """The mean of two surfaces, as wrong as the Gaussian process thinks it may be."""

    def __init__(self, process: GaussianProcessResponse, law: PointResponse) -> None:
        self._process, self._law = process, law
        self.noise = process.noise
        self.degrees_of_freedom = process.degrees_of_freedom

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m)."""
        return 0.5 * (self._process.mean(weights, state) + self._law.mean(weights, state))

    def error(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Standard error of the mean, shape (r, m)."""
        return np.asarray(np.hypot(self._process.error(weights, state), 0.5 * np.abs(
            self._process.mean(weights, state) - self._law.mean(weights, state))))

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change from start to end and its standard error, shape (c, m) each."""
        change, error = self._process.contrast(start, end, state)
        rows = np.tile(state, (len(end), 1))
        law = self._law.mean(end, rows) - self._law.mean(np.broadcast_to(start, end.shape), rows)
        return 0.5 * (change + law), np.asarray(np.hypot(error, 0.5 * np.abs(change - law)))
