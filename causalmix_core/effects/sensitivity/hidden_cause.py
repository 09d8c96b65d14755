"""What a hidden common cause of given strength can fake, and how strong the measured states are.

How much of an effect a cause that nobody measured could fake depends on two numbers only: the share of what
is left of the weight, and of the outcome, that it explains (partial R2; Cinelli and Hazlett 2020, "Making
sense of sensitivity", JRSS B 82; Chernozhukov et al. 2022, "Long story short", for flexible fits). With s_y
the noise of the outcome around the surface and s_d what is left of the weight once pool state and the
proportions of the other domains are held fixed,

    |bias| <= sqrt(r_y r_d / (1 - r_d)) s_y / s_d.

Weights enter as log(w + 0.03), as in the tests of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.state_terms import orthonormal, state_terms

OFFSET = 0.03
LARGEST = 0.999
"""A share of variance is kept below one."""


@dataclass(frozen=True)
class FreeVariation:
    """What is left of log(w_k + 0.03) once pool state and the proportions of the others are held fixed.

    Attributes:
        residual: shape (n,).
        spread: its standard deviation, parameters allowed for.
    """

    residual: np.ndarray
    spread: float

    def unit(self, noise: np.ndarray) -> np.ndarray:
        """s_y / s_d of the module's formula, shape (m,): noise (m,) of the outcomes over this spread."""
        return np.asarray(noise / self.spread) if self.spread > 0 else np.full_like(noise, np.inf)

    def coefficient_bias(self, noise: np.ndarray, outcome_r2: float, weight_r2: float) -> np.ndarray:
        """The most that a hidden cause can add to the coefficient of log(w_k + 0.03), shape (m,).

        Args:
            noise: standard deviation of the outcomes around the surface, shape (m,).
            outcome_r2: share of that noise that the hidden cause explains.
            weight_r2: share of this variation that it explains.
        """
        return np.asarray(np.sqrt(outcome_r2 * weight_r2 / (1 - weight_r2)) * self.unit(noise))


def free_variation(weights: np.ndarray, state: np.ndarray, domain: int) -> FreeVariation:
    """How much the runs vary one weight by itself.

    Args:
        weights: shape (n, K).
        state: shape (n, p), standardised, what is held fixed.
        domain: index of the weight.
    """
    terms = np.column_stack([state_terms(state), _proportions(weights, domain)])
    left, freedom = _left(terms, np.log(weights[:, [domain]] + OFFSET))
    return FreeVariation(left[:, 0], float(np.sqrt((left**2).sum() / freedom)))


def robustness_value(ratio: float) -> float:
    """Strength r with r / sqrt(1 - r) = ratio (Cinelli and Hazlett 2020, section 4.2)."""
    squared = ratio**2
    return float(0.5 * (np.sqrt(squared**2 + 4 * squared) - squared)) if np.isfinite(ratio) else 1.0


def as_strong_as(weight_r2: float, outcome_r2: float) -> tuple[float, float]:
    """Strength of a hidden cause that relates to weight and outcome as a measured state does.

    Cinelli and Hazlett 2020, section 4.4, with k = 1: the hidden cause is independent of the state, so what
    it explains is counted after the state has taken its part.

    Args:
        weight_r2: partial R2 of the state with the weight, 0 to 1.
        outcome_r2: partial R2 of the state with the outcome.

    Returns:
        r_d and r_y of the module's formula.
    """
    weight_r2, outcome_r2 = min(weight_r2, 0.49), min(outcome_r2, LARGEST)
    shared = (weight_r2 / (1 - weight_r2)) ** 2
    on_outcome = (1 + np.sqrt(shared)) ** 2 / (1 - shared) * outcome_r2 / (1 - outcome_r2)
    return min(weight_r2 / (1 - weight_r2), LARGEST), min(float(on_outcome), 1.0)


def _proportions(weights: np.ndarray, domain: int) -> np.ndarray:
    """log of the proportions of the other domains among themselves, shape (n, K - 1); one K = 2: empty."""
    others = np.delete(weights, domain, axis=1)
    if others.shape[1] < 2:
        return np.empty((len(weights), 0))
    total = others.sum(axis=1, keepdims=True)
    even = np.full_like(others, 1 / others.shape[1])
    return np.asarray(np.log(np.divide(others, total, out=even, where=total > 0) + OFFSET))


def _left(terms: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, int]:
    """What the terms do not explain of each column, and its degrees of freedom (at least one)."""
    basis = orthonormal(terms)
    return np.asarray(values - basis @ (basis.T @ values)), max(len(terms) - basis.shape[1], 1)


def _partial_r2(full: np.ndarray, reduced: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share of what `reduced` leaves that `full` explains, adjusted for the number of terms, per column."""
    left, freedom = _left(full, values)
    before, freedom_before = _left(reduced, values)
    ratio = ((left**2).sum(axis=0) / freedom) / ((before**2).sum(axis=0) / freedom_before)
    return np.asarray(np.clip(1 - ratio, 0, LARGEST))


def explained_weight(weights: np.ndarray, state: np.ndarray, domain: int) -> np.ndarray:
    """Partial R2 of each state with one weight, the proportions of the others held fixed, shape (p,)."""
    values, rest = np.log(weights[:, [domain]] + OFFSET), _proportions(weights, domain)
    if np.ptp(values) <= 0:
        return np.zeros(state.shape[1])
    full = np.column_stack([state_terms(state), rest])
    return np.array(
        [
            _partial_r2(full, np.column_stack([state_terms(state, without=[j]), rest]), values)[0]
            for j in range(state.shape[1])
        ]
    )


def explained_outcome(weights: np.ndarray, state: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Partial R2 of each state with each outcome, the mixture held fixed, shape (p, m)."""
    rest = np.log(weights + OFFSET)
    full = np.column_stack([state_terms(state), rest])
    found = [
        _partial_r2(full, np.column_stack([state_terms(state, without=[j]), rest]), outcomes)
        for j in range(state.shape[1])
    ]
    return np.array(found).reshape(state.shape[1], outcomes.shape[1])
