"""How far the truth may be from a surface that does not know it itself.

Forests, boosted trees and laws give a number and no honest error: econml's intervals held the true effect in
half to three quarters of the cases at a nominal 95%, because they count noise and take the shape of the
surface for the truth. The Gaussian process fitted to the same runs takes less for granted. Where it expects
the truth at `gp.mean`, give or take `gp.error`, another surface is wrong by about

    error^2 = gp.error^2 + (gp.mean - own.mean)^2,

the mean squared distance of that surface from the truth as the Gaussian process sees it. So no estimator
looks surer than the runs allow, and one that disagrees with them gets a wide interval instead of a confident
one. Where the Gaussian process itself is wrong, these intervals are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalmix_core.effects.estimators.protocol import (
    AnswersManyStates,
    ComparesStates,
    PointResponse,
    Response,
)


class WithError:
    """A surface with the errors that the Gaussian process sees in it.

    Attributes:
        point: the surface.
        reference: the Gaussian process fitted to the same sample.
        noise: standard deviation of one run, shape (m,): that of the Gaussian process.
        degrees_of_freedom: those of the Gaussian process.
        notes: what the fit of the surface has to say, in sentences.
    """

    def __init__(self, point: PointResponse, reference: Response) -> None:
        self.point, self.reference = point, reference
        self.noise = reference.noise
        self.degrees_of_freedom = reference.degrees_of_freedom
        self.notes: tuple[str, ...] = getattr(point, "notes", ())

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes by the surface itself, shape (r, m)."""
        return self.point.mean(weights, state)

    def error(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Root of the mean squared distance from the truth, shape (r, m)."""
        apart = self.reference.mean(weights, state) - self.point.mean(weights, state)
        return np.asarray(np.hypot(self.reference.error(weights, state), apart))

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The change by the surface itself and its error, shape (c, m) each; arguments as in `Response`."""
        change = self._change(start, end, state)
        expected, error = self.reference.contrast(start, end, state)
        return change, np.asarray(np.hypot(error, expected - change))

    def contrast_apart(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How much larger the change is in another state, and its error; arguments as in `ComparesStates`."""
        more = self._change(start, end, other) - self._change(start, end, state)
        if isinstance(self.reference, ComparesStates):
            expected, error = self.reference.contrast_apart(start, end, state, other)
        else:
            here, there = (self.reference.contrast(start, end, x) for x in (state, other))
            expected, error = there[0] - here[0], here[1] + there[1]
        return more, np.asarray(np.hypot(error, expected - more))

    def contrast_over(
        self, start: np.ndarray, end: np.ndarray, states: np.ndarray, *, errors: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`contrast` in many states at once; arguments as in `AnswersManyStates`."""
        rows = np.repeat(states, len(end), axis=0)
        before, after = (self.point.mean(np.tile(w, (len(states), 1)), rows) for w in (start, end))
        change = (after - before).reshape(len(states), len(end), -1)
        if not errors:
            return change, None
        if isinstance(self.reference, AnswersManyStates):
            expected, error = self.reference.contrast_over(start, end, states, errors=True)
            assert error is not None
        else:
            found = [self.reference.contrast(start, end, x) for x in states]
            expected, error = (np.stack([f[i] for f in found]) for i in (0, 1))
        return change, np.asarray(np.hypot(error, expected - change))

    def restricted(self, outcomes: Sequence[int]) -> WithError:
        """The same surface of some of the outcomes only."""
        return WithError(self.point.restricted(outcomes), self.reference.restricted(outcomes))

    def _change(self, start: np.ndarray, end: np.ndarray, state: np.ndarray) -> np.ndarray:
        before, after = (self.point.mean(w, np.tile(state, (len(w), 1))) for w in (start, end))
        return np.asarray(after - before)


def with_error(point: PointResponse, gp: Response) -> WithError:
    """Make a surface know how wrong it may be.

    Args:
        point: a surface fitted to some runs.
        gp: the Gaussian process fitted to the same runs.

    Returns:
        A `Response` whose mean is that of `point`.
    """
    return WithError(point, gp)
