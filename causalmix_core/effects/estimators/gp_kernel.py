"""The covariance of the Gaussian process: what two runs say about each other.

k(w, x; w', x') = constant + linear(phi, phi') + A(phi, phi') (s_T + s_TX C(x_M, x_M')) + s_X B(x, x')

phi is a power of the weights with a learned exponent, so that a surface that falls steeply where a domain is
missing and flattens where there is plenty looks even. A, B and C are Matern 5/2 with one length scale per
column (ARD; Rasmussen and Williams 2006, eq. 4.17). The sum says that pool state moves the level (B), that
weights act the same everywhere (A) and that the modifiers change what weights do (A C); each part has a
variance of its own (Duvenaud, Nickisch and Rasmussen 2011, "Additive Gaussian processes"). A straight line in
phi under a wide prior is universal kriging: few runs find a slope long before they find a bend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OFFSET = 0.0002
"""Added to a weight before its power is taken: bounds the slope where a domain is missing."""
LEVEL = 10.0
"""Prior variance of the level, in variances of the outcome: wide enough to say nothing."""
EXPONENT = 0.4
"""Where the search for the exponent starts, and the scale of the columns is set."""


@dataclass(frozen=True)
class Layout:
    """Where each hyperparameter stands in the vector that the search moves; all are logarithms.

    Attributes:
        domains: columns of the weights, d.
        states: columns of the state, p.
        modifiers: indices of the states that change what weights do.
    """

    domains: int
    states: int
    modifiers: tuple[int, ...]

    @property
    def weight_lengths(self) -> slice:
        """Length scales over phi."""
        return slice(2, 2 + self.domains)

    @property
    def state_lengths(self) -> slice:
        """Length scales over all states, of the level."""
        return slice(2 + self.domains, 2 + self.domains + self.states)

    @property
    def modifier_lengths(self) -> slice:
        """Length scales over the modifiers, of what weights do."""
        start = 2 + self.domains + self.states
        return slice(start, start + len(self.modifiers))

    @property
    def variances(self) -> dict[str, int]:
        """Positions of the variances of the parts, and of the noise."""
        names = ["linear", "weights"]
        names += ["state"] if self.states else []
        names += ["interaction"] if self.modifiers else []
        start = 2 + self.domains + self.states + len(self.modifiers)
        return {name: start + i for i, name in enumerate([*names, "noise"])}

    @property
    def size(self) -> int:
        """How many hyperparameters there are."""
        return 2 + self.domains + self.states + len(self.modifiers) + len(self.variances)


class Features:
    """phi of the weights, scaled so that its columns vary by about one in the runs.

    With g the typical weight of a domain, phi = (g / a) ((w + offset) / g)^a: the slope at g is one for every
    exponent a, so that length scales keep their meaning while the exponent is searched.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self._typical = np.exp(np.log(weights + OFFSET).mean(axis=0))
        self._scale = np.ones(weights.shape[1])
        spread = self.of(weights, np.log([EXPONENT, OFFSET])).std(axis=0)
        self._scale = np.where(spread > 1e-9, spread, 1.0)

    def of(self, weights: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """phi, shape (r, d)."""
        exponent, offset = np.exp(theta[:2])
        ratio = (np.maximum(weights, 0) + offset) / self._typical
        return np.asarray(self._typical / self._scale * (ratio**exponent - 1) / exponent)

    def slopes(self, weights: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of phi by the logarithms of exponent and offset, shape (r, d) each."""
        exponent, offset = np.exp(theta[:2])
        ratio = (np.maximum(weights, 0) + offset) / self._typical
        log = np.log(ratio)
        power = np.exp(exponent * log)
        by_exponent = self._typical * (power * log - (power - 1) / exponent) / self._scale
        return by_exponent, offset * power / ratio / self._scale


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of rows, shape (len(a), len(b))."""
    apart = a @ (-2.0 * b.T)
    apart += np.einsum("ij,ij->i", a, a)[:, None]
    apart += np.einsum("ij,ij->i", b, b)[None]
    return np.maximum(apart, 0, out=apart)


def matern(apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matern 5/2 of squared scaled distances, and its derivative by them.

    Rasmussen and Williams 2006, eq. 4.17, with the derivative -(5/6)(1 + r) exp(-r), finite at zero.
    """
    r = np.sqrt(5.0 * apart)
    decay = np.exp(-r)
    slope = (1.0 + r) * decay
    value = slope + (5.0 / 3.0) * apart * decay
    slope *= -5.0 / 6.0
    return value, slope


def matern_value(apart: np.ndarray) -> np.ndarray:
    """Matern 5/2 alone; overwrites its argument."""
    apart *= 5.0
    r = np.sqrt(apart)
    apart *= 1.0 / 3.0
    apart += r
    apart += 1.0
    np.negative(r, out=r)
    np.exp(r, out=r)
    apart *= r
    return apart
