"""The covariance of the Gaussian process: what two runs say about each other.

k(w, x; w', x') = constant + linear(phi, phi') + A(phi, phi') (s_T + s_TX C(x_M, x_M')) + s_X B(x, x')

phi is a power of the weights with a learned exponent, so that a surface that falls steeply where a domain is
missing and flattens where there is plenty looks even. The sum says that pool state moves the level (B), that
weights act the same in every state (A), and that the modifiers change what weights do (A C). Each part has a
variance of its own (Duvenaud, Nickisch and Rasmussen 2011, "Additive Gaussian processes").

B and C are Matern 5/2 with one length scale per column (ARD; Rasmussen and Williams 2006, eq. 4.17 and
5.1). A is a Matern 5/2 and a smooth, longer part (squared exponential) in a learned proportion: losses that
follow a law are smoother than a Matern, whose slopes would then be called less sure than they are; measured
surfaces have both. The constant and the straight line in phi under wide priors are universal kriging: few
runs find a slope long before they find a bend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EXPONENT = 0.4
"""Of phi: where its search starts, and where the columns get their scale."""
OFFSET = 2e-4
"""Added to a weight before its power is taken, so that the slope is bounded where a domain is missing;
learned too, from here on. With ten times as much 16 of RegMix's runs lose .02 of rank correlation."""
LEVEL = 10.0
"""Prior variance of the constant, in variances of the outcome: wide enough to say nothing."""
STRETCH = 4.0
"""Length of the smooth part of A squared, in squared lengths of its Matern part; 1 and 16 did no better."""

_ROOT = 5.0**0.5


@dataclass(frozen=True)
class Layout:
    """Where each hyperparameter stands in the vector that is searched.

    All are natural logarithms, but for the smooth part's proportion of A, which is a logit.

    Attributes:
        domains: columns of the weights, d.
        states: columns of the state, p.
        modifiers: indices of the states that change what weights do.
    """

    domains: int
    states: int
    modifiers: tuple[int, ...]

    exponent = 0
    offset = 1
    smooth = 2

    @property
    def weight_lengths(self) -> slice:
        """Length scales over phi."""
        return slice(3, 3 + self.domains)

    @property
    def state_lengths(self) -> slice:
        """Length scales over all states, of the level."""
        start = 3 + self.domains
        return slice(start, start + self.states)

    @property
    def modifier_lengths(self) -> slice:
        """Length scales over the modifiers, of what weights do."""
        start = 3 + self.domains + self.states
        return slice(start, start + len(self.modifiers))

    @property
    def variances(self) -> dict[str, int]:
        """Positions of the variances: of the parts that there are, and of the noise."""
        names = ["linear", "weights", *["state"] * (self.states > 0), *["interaction"] * bool(self.modifiers)]
        start = self.modifier_lengths.stop
        return {name: start + i for i, name in enumerate([*names, "noise"])}

    @property
    def size(self) -> int:
        """How many hyperparameters there are."""
        return int(self.modifier_lengths.stop) + len(self.variances)


class Features:
    """phi of the weights, scaled so that its columns vary by about one in the runs.

    With g the typical weight of a domain, phi = (g / a) ((w + offset) / g)^a up to a constant: the slope at
    g is one for every exponent a, so that length scales keep their meaning while the exponent is searched.
    """

    def __init__(self, weights: np.ndarray) -> None:
        """Take typical weights and scales from runs, shape (n, d)."""
        self._typical = np.exp(np.log(np.maximum(weights, 0) + OFFSET).mean(axis=0))
        self._scale = np.ones(weights.shape[1])
        spread = self.of(weights, np.log([EXPONENT, OFFSET])).std(axis=0)
        self._scale = np.where(spread > 1e-9, spread, 1.0)

    def of(self, weights: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Phi, shape (r, d); the first two of `theta` are logarithms of exponent and offset."""
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
    apart += np.einsum("ij,ij->i", b, b)
    return np.asarray(np.maximum(apart, 0, out=apart))


def matern(apart: np.ndarray) -> np.ndarray:
    """Matern 5/2 of squared distances that are scaled by the lengths."""
    r = np.sqrt(apart)
    r *= _ROOT
    value = apart * (5.0 / 3.0)
    value += r
    value += 1.0
    np.negative(r, out=r)
    value *= np.exp(r, out=r)
    return value


def matern_slope(apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matern 5/2 and its derivative by the squared distance, -(5/6)(1 + r) exp(-r): finite at zero."""
    r = np.sqrt(apart)
    r *= _ROOT
    decay = np.exp(-r)
    r += 1.0
    slope = np.multiply(r, decay, out=r)
    decay *= apart
    decay *= 5.0 / 3.0
    decay += slope
    slope *= -5.0 / 6.0
    return decay, slope


def likeness(apart: np.ndarray, logit: float) -> np.ndarray:
    """A, of squared scaled distances; `logit` is that of the smooth part's proportion."""
    share = _proportion(logit)
    value = matern(apart)
    value *= 1.0 - share
    smooth = apart * (-0.5 / STRETCH)
    np.exp(smooth, out=smooth)
    smooth *= share
    value += smooth
    return value


def likeness_slope(apart: np.ndarray, logit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, and its derivatives by the squared distance and by the logit."""
    share = _proportion(logit)
    value, slope = matern_slope(apart)
    smooth = apart * (-0.5 / STRETCH)
    np.exp(smooth, out=smooth)
    by_logit = smooth - value
    value += share * by_logit
    by_logit *= share * (1.0 - share)
    slope *= 1.0 - share
    smooth *= 0.5 / STRETCH * share
    slope -= smooth
    return value, slope, by_logit


def _proportion(logit: float) -> float:
    return float(1.0 / (1.0 + np.exp(-logit)))
