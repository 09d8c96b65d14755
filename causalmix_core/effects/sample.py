"""What an estimator is fitted to: the runs, reduced to arrays by what the graph says of some outcomes.

Outcomes that the same weights reach and that the same pool states matter for are fitted together, so an
estimator sees plain matrices and knows nothing of graphs, names or files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """Runs as arrays, all with n rows.

    Attributes:
        weights: shape (n, d), the weights that the graph lets reach the outcomes. With all K domains each row
            sums to one; where the graph excludes a domain its column is missing.
        state: shape (n, p), pool states that are held fixed, in standard deviations from their mean; p may
            be 0.
        modifiers: indices into the columns of `state` that may change what a weight does; may be empty.
        outcomes: shape (n, m), in their own units; none is constant.
    """

    weights: np.ndarray
    state: np.ndarray
    modifiers: np.ndarray
    outcomes: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)

    def rows(self, which: np.ndarray) -> Sample:
        """The runs that a mask or an array of indices picks."""
        return Sample(self.weights[which], self.state[which], self.modifiers, self.outcomes[which])

    def with_outcomes(self, outcomes: np.ndarray) -> Sample:
        """The same runs with other outcomes, shape (n, any)."""
        return Sample(self.weights, self.state, self.modifiers, outcomes)
