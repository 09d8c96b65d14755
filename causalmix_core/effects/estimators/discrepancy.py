"""How far the truth may be from a surface that does not know it itself.

Forests, boosted trees and laws give a number and no honest error: econml's intervals held the true effect
in half to three quarters of the cases at a nominal 95 %, because they count noise and take the shape of the
surface for the truth. The Gaussian process fitted to the same runs takes no shape for granted. Where it
puts the truth within `gp.mean` +- `gp.error`, a surface that lies elsewhere is wrong by about

    error^2 = gp.error^2 + (gp.mean - own.mean)^2

which is the mean squared distance of this surface from the truth under the posterior of the Gaussian
process. So no estimator can look surer than the runs allow, and one that disagrees with them gets a wide
interval instead of a confident one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.estimators.protocol import PointResponse, Response


@dataclass(frozen=True)
class WithError:
    """A surface with the errors that a Gaussian process sees in it.

    Attributes:
        point: the surface.
        reference: the Gaussian process fitted to the same sample.
    """

    point: PointResponse
    reference: Response

    @property
    def noise(self) -> np.ndarray:
        """Standard deviation of one run, shape (m,): that of the Gaussian process."""
        return self.reference.noise

    @property
    def degrees_of_freedom(self) -> float:
        """Those of the Gaussian process."""
        return self.reference.degrees_of_freedom

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes by the surface itself, shape (r, m)."""
        return self.point.mean(weights, state)

    def error(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Root of the mean squared distance from the truth, shape (r, m)."""
        apart = self.reference.mean(weights, state) - self.point.mean(weights, state)
        return np.hypot(self.reference.error(weights, state), apart)

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The change by the surface itself and its error, shape (c, m) each.

        Args:
            start: shape (c, d), or (1, d) for all.
            end: shape (c, d).
            state: shape (p,).
        """
        change = self._at(end, state) - self._at(start, state)
        expected, error = self.reference.contrast(start, end, state)
        return change, np.hypot(error, expected - change)

    def _at(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        return self.point.mean(weights, np.tile(state, (len(weights), 1)))


def with_error(point: PointResponse, gp: Response) -> WithError:
    """Make a surface know how wrong it may be.

    Args:
        point: a surface fitted to some runs.
        gp: the Gaussian process fitted to the same runs.

    Returns:
        A `Response` whose mean is that of `point`.
    """
    return WithError(point, gp)
