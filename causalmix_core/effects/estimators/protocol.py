"""What every estimator can do, so that pages, scores and refutations treat all of them alike.

An estimator is fitted to a `Sample` and gives a response surface: the outcomes to expect at any mixture in
any pool state. Effects are differences on that surface. A surface that also knows how far the truth may be
from it is a `Response`; the others become one in discrepancy.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from causalmix_core.effects.sample import Sample


class PointResponse(Protocol):
    """A fitted surface: the expected outcomes of a mixture that is set, in a pool state that is given."""

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes.

        Args:
            weights: shape (r, d), columns as in the sample.
            state: shape (r, p), standardised, columns as in the sample.

        Returns:
            Shape (r, m), in the units of the outcomes.
        """
        ...


@runtime_checkable
class Response(PointResponse, Protocol):
    """A surface that knows how far the truth may be from it.

    Attributes:
        noise: standard deviation of a single run around the surface, shape (m,).
        degrees_of_freedom: of the t distribution that intervals take their width from; infinite: normal.
    """

    noise: np.ndarray
    degrees_of_freedom: float

    def error(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Standard error of `mean`, shape (r, m), without the noise of a new run."""
        ...

    def contrast(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How the mean changes from one mixture to another in one pool state.

        Args:
            start: shape (c, d), or (1, d) for all.
            end: shape (c, d).
            state: shape (p,).

        Returns:
            The change and its standard error, shape (c, m) each.
        """
        ...

    def restricted(self, outcomes: Sequence[int]) -> Response:
        """The same surface of some of the outcomes only, for many questions about few of them."""
        ...


class Estimator(Protocol):
    """A way of learning a surface from runs."""

    def fit(self, sample: Sample, seed: int) -> PointResponse:
        """Fit to a sample; the same seed gives the same surface."""
        ...


@dataclass(frozen=True)
class EstimatorInfo:
    """An estimator and what a curator should know of it.

    Attributes:
        label: its name on a page.
        source: where the method comes from.
        summary: what it assumes, when it is right and when it fails, in plain words.
        make: an unfitted one.
        step: weight over which an effect per point is taken. Surfaces made of steps, such as those of trees,
            have no slope; there the effect is the mean over ten points.
        orthogonal: whether it is double machine learning, which has an R-score.
        uses_state: whether it looks at the pool state at all.
        probabilistic: whether what it fits is a `Response` already.
        few_runs: whether it may be fitted to fewer runs than `minimum_runs`, because what the runs do not say
            widens its intervals.
    """

    label: str
    source: str
    summary: str
    make: Callable[[], Estimator]
    step: float = 0.01
    orthogonal: bool = False
    uses_state: bool = True
    probabilistic: bool = False
    few_runs: bool = False
