"""What every estimator is compared with: leaving the mixture out, one mixture for all, and not moving at all.

They need no method, so an estimator that does not beat them has learned nothing that a curator can use.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from causalmix_core.effects.sample import Sample

BaselineName = Literal["no_effect", "best_constant", "keep_reference"]

BASELINES: dict[BaselineName, tuple[str, str]] = {
    "no_effect": (
        "No effect",
        "Predicts from the pool state alone, as if the mixture did not matter. Without pool state: the mean.",
    ),
    "best_constant": (
        "Best constant mixture",
        "Always the mixture of the best run so far, whatever the pool; stood for by the held-out runs "
        "nearest to it.",
    ),
    "keep_reference": (
        "Keep the reference",
        "Stays at the reference; stood for by the held-out runs nearest to it.",
    ),
}
"""Name -> label and what it does."""

_PENALTY = 1.0
"""Of the ridge regression on the pool state, in runs: one run's worth of belief that a state does nothing."""


def state_alone(seen: Sample, state: np.ndarray) -> np.ndarray:
    """What the pool state lets expect, whatever the mixture.

    Args:
        seen: the runs that are fitted to, states standardised.
        state: pool states to predict at, shape (r, p).

    Returns:
        Expected outcomes, shape (r, m).
    """
    level = seen.outcomes.mean(axis=0)
    gram = seen.state.T @ seen.state + _PENALTY * np.eye(seen.state.shape[1])
    slopes = np.linalg.solve(gram, seen.state.T @ (seen.outcomes - level))
    return np.asarray(level + state @ slopes)


def best_seen(seen: Sample, outcome: int) -> np.ndarray:
    """The mixture of the seen run that did best for its pool state, shape (d,); lower is better."""
    surplus = seen.outcomes - state_alone(seen, seen.state)
    return np.asarray(seen.weights[np.argmin(surplus[:, outcome])])


def distance(weights: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """How much weight would have to move from each mixture to one, shape (r,): total variation."""
    return np.asarray(0.5 * np.abs(weights - mixture).sum(axis=1))
