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

    def restricted(self, outcomes: Sequence[int]) -> PointResponse:
        """The same surface of some of the outcomes only, for many questions about few of them."""
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


@runtime_checkable
class ComparesStates(Protocol):
    """A surface that knows how errors in two pool states go together.

    Without it, the error of a difference between two states is taken to be the sum of both errors, which it
    never exceeds.
    """

    def contrast_apart(
        self, start: np.ndarray, end: np.ndarray, state: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How much larger a change of the mean is in another pool state.

        Args:
            start: shape (c, d), or (1, d) for all.
            end: shape (c, d).
            state: shape (p,).
            other: shape (p,).

        Returns:
            The change in `other` less the change in `state`, and its standard error, shape (c, m) each.
        """
        ...


@runtime_checkable
class AnswersManyStates(Protocol):
    """A surface that answers for many pool states at once, much faster than for one after the other."""

    def contrast_over(
        self, start: np.ndarray, end: np.ndarray, states: np.ndarray, *, errors: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """How the mean changes from one mixture to another in each of many pool states.

        Args:
            start: shape (c, d).
            end: shape (c, d).
            states: shape (s, p).
            errors: whether to give standard errors too.

        Returns:
            The change and its standard error or None, shape (s, c, m) each.
        """
        ...


@runtime_checkable
class Hurries(Protocol):
    """A surface that is asked about many mixtures in one pool state: `mean` takes one state for all, shape
    (1, p).

    It also has a rougher mean to offer in a fraction of the time, for a first ranking.
    """

    def most_probable(self) -> PointResponse:
        """The rougher surface."""
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
