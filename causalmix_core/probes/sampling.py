"""Draws on the simplex: arrays of mixtures between a lower and an upper weight of each domain.

Three ways: around a centre (Dirichlet, after RegMix, arXiv 2407.01492), evenly over everything that is
allowed (scrambled Sobol points), and on a grid. All are pure functions of their arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
SLACK = 1e-12
"""Rounding that a weight may lie above its upper bound."""


@dataclass(frozen=True)
class Bounds:
    """The least and the largest weight of each domain, shape (K,); some mixture lies between them."""

    lower: Array
    upper: Array

    @property
    def free(self) -> float:
        """The weight that is left to share out once every domain has its least."""
        return float(1 - self.lower.sum())

    def lift(self, shares: Array) -> Array:
        """Shares of the free weight, rows that sum to one, as mixtures above `lower`."""
        lifted: Array = self.lower + self.free * shares
        return lifted

    def admits(self, weights: Array) -> bool:
        """Whether a mixture, shape (K,), stays below `upper`."""
        return bool((weights <= self.upper + SLACK).all())

    def capped(self, weights: Array) -> Array:
        """A mixture brought below `upper`: what is too much goes to the other domains in proportion."""
        out: Array = weights.astype(float)
        full = np.zeros(len(out), dtype=bool)
        while (over := (out > self.upper) & ~full).any() and not (full | over).all():
            full |= over
            rest = 1 - self.upper[full].sum()
            share = out[~full] if out[~full].sum() > 0 else self.upper[~full]
            out[full] = self.upper[full]
            out[~full] = share * rest / share.sum()
        capped: Array = out / out.sum()
        return capped


class DirichletSampler:
    """Mixtures around a centre, some close to it and some far out, each unlike all before it.

    After RegMix's sampler: the concentration of the Dirichlet distribution is itself random, evenly on a
    log scale, and a draw that breaks a bound or nearly repeats an earlier mixture is drawn again. RegMix
    draws a hundred times too many at once and picks from those that are left. Here each mixture has its own
    stream of draws and is compared with earlier ones only, so that a longer series begins with the same
    mixtures.
    """

    def __init__(
        self,
        centre: Array,
        bounds: Bounds,
        strength: tuple[float, float],
        *,
        most: int,
        draws: int,
        apart: float,
    ) -> None:
        """Start a series.

        Args:
            centre: mean of the Dirichlet distribution, shape (K,), positive, sums to one.
            bounds: every mixture lies between them.
            strength: range of the concentration per domain.
            most: how many mixtures are asked for at most.
            draws: how often a mixture is drawn at most.
            apart: least L1 distance from every earlier mixture.
        """
        self.centre, self.bounds, self.draws, self.apart = centre, bounds, draws, apart
        self.log_strength = np.log(strength)
        self.mixtures = np.empty((most, len(centre)))
        self.number = 0

    def next(self, seed: int, rng: np.random.Generator) -> Array:
        """The next mixture of the series, shape (K,).

        Where none of the draws fits, the one farthest from the earlier mixtures is kept, brought below
        the upper bounds.

        Args:
            seed: of the series; decides the draws after the first.
            rng: makes the first draw, and is left where that ends: what the caller draws from it next
                does not depend on how many draws were needed.
        """
        number = self.number
        before = self.mixtures[:number]
        best, best_key = None, (False, -1.0)
        for attempt in range(self.draws):
            weights = self._draw(np.random.default_rng([seed, number, attempt]) if attempt else rng)
            fits = self.bounds.admits(weights)
            distance = (
                float(np.abs(before - weights).sum(axis=1).min()) if self.apart and number else math.inf
            )
            if best is None or (fits, distance) > best_key:
                best, best_key = weights, (fits, distance)
            if fits and distance >= self.apart:
                break
        assert best is not None
        chosen = best if best_key[0] else self.bounds.capped(best)
        self.mixtures[number] = chosen
        self.number += 1
        return chosen

    def _draw(self, rng: np.random.Generator) -> Array:
        low, high = self.log_strength
        strength = np.exp(rng.uniform(low, high))
        return self.bounds.lift(rng.dirichlet(self.centre * strength * len(self.centre)))


def sobol_mixtures(count: int, seed: int, bounds: Bounds) -> Array:
    """Mixtures that fill what the bounds allow evenly, shape (count, K); a longer series begins alike.

    Points of a Sobol sequence (scrambled with the seed; Owen 1998) go through the inverse of the
    conditional distributions of a uniform draw on the simplex, one domain after another (Fang and Wang,
    Number-theoretic Methods in Statistics, 1994, chapter 1.5): the k-th domain takes a Beta(1, K - k)
    part of what is left. That map is one-to-one from K - 1 dimensions, so points stay spread out;
    normalised exponentials and sorted uniforms, both common, leave them closer together.

    Upper bounds truncate the conditional distributions, the tightest domain first. Without upper bounds
    the mixtures are exactly uniform above `lower`; with several tight ones only nearly so, but no point is
    thrown away.
    """
    from scipy.stats import qmc

    domains = len(bounds.lower)
    engine = qmc.Sobol(domains - 1, scramble=True, rng=np.random.default_rng(seed))
    points = engine.random_base2(math.ceil(math.log2(max(count, 2))))[:count]
    order = np.argsort(bounds.upper, kind="stable")
    # All in parts of the free weight from here on.
    caps = np.minimum((bounds.upper - bounds.lower) / bounds.free, 1.0)[order]
    shares = np.empty((count, domains))
    rest = np.ones(count)
    for k in range(domains - 1):
        others = domains - 1 - k
        left = np.maximum(rest, SLACK)
        low = np.clip((left - caps[k + 1 :].sum()) / left, 0, 1)
        high = np.maximum(np.minimum(caps[k] / left, 1.0), low)
        # 1 - F(v) = (1 - v) ** others: F is truncated to [low, high] and inverted.
        tail_low, tail_high = (1 - low) ** others, (1 - high) ** others
        part = 1 - (tail_low - points[:, k] * (tail_low - tail_high)) ** (1 / others)
        shares[:, k] = rest * part
        rest = rest - shares[:, k]
    shares[:, -1] = rest
    out = np.empty_like(shares)
    out[:, order] = np.clip(shares, 0, None)
    return bounds.lift(out / out.sum(axis=1, keepdims=True))


def grid_size(domains: int, steps: int) -> int:
    """Points of a grid on the simplex before bounds: the ways to share `steps` units among `domains`."""
    return math.comb(steps + domains - 1, domains - 1)


def grid_mixtures(steps: int, bounds: Bounds) -> Array:
    """The centred grid of `steps` units per axis, shape (points, K), from the centre outwards.

    The simplex lattice of Scheffe (1958) has weights a / steps. It is shrunk towards the centre to
    (a + 1/K) / (steps + 1), so that no weight is zero and each point stands for an equal part of the
    simplex. Points above an upper bound are left out.
    """
    domains = len(bounds.lower)
    counts = np.array(sorted(_compositions(steps, domains), key=lambda a: (sum(x * x for x in a), a)))
    mixtures = bounds.lift((counts + 1 / domains) / (steps + 1))
    inside: Array = mixtures[(mixtures <= bounds.upper + SLACK).all(axis=1)]
    return inside


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `total` as an ordered sum of `parts` whole numbers, zero allowed."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
