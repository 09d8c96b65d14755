"""Arithmetic of mixtures: non-negative weights by domain name that sum to one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from causalmix_core.errors import CausalMixError

Mixture = dict[str, float]
"""Domain name -> weight; weights are non-negative and sum to one."""

SUM_TOLERANCE = 1e-6


def check_mixture(weights: Mapping[str, float], domains: Iterable[str]) -> Mixture:
    """Return `weights` as a mixture over exactly `domains`, in that order.

    A sum within 1e-6 of one is rounding and is divided out; anything further off is refused.

    Raises:
        CausalMixError: a domain is missing or unknown, a weight is negative or not finite, or the sum
            is not one. Never renormalises such input silently.
    """
    wanted = list(domains)
    missing = [d for d in wanted if d not in weights]
    unknown = [d for d in weights if d not in set(wanted)]
    if missing or unknown:
        parts = []
        if missing:
            parts.append(f"no weight for {', '.join(missing)}")
        if unknown:
            parts.append(f"unknown domain {', '.join(unknown)}")
        raise CausalMixError(
            f"The mixture does not fit the domains: {'; '.join(parts)}. "
            f"Give one weight to each of: {', '.join(wanted)}."
        )
    for name in wanted:
        value = weights[name]
        if not math.isfinite(value) or value < 0:
            raise CausalMixError(f"The weight of {name} is {value}; weights are finite and not negative.")
    total = math.fsum(weights[d] for d in wanted)
    if abs(total - 1) > SUM_TOLERANCE:
        raise CausalMixError(f"The weights sum to {total:.6f}, not to 1. Change them so that they sum to 1.")
    return {d: weights[d] / total for d in wanted}


def proportional(sizes: Mapping[str, float]) -> Mixture:
    """The mixture proportional to `sizes`, such as tokens per domain.

    Raises:
        CausalMixError: a size is negative or not finite, or all are zero.
    """
    bad = [d for d, s in sizes.items() if not math.isfinite(s) or s < 0]
    total = math.fsum(sizes.values())
    if bad or total <= 0:
        raise CausalMixError(
            f"Cannot weight domains by size: {', '.join(bad) or 'every domain'} has no usable size."
        )
    return {d: s / total for d, s in sizes.items()}


def total_variation(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Half the sum of absolute differences: the weight that has to move to turn `a` into `b`."""
    return 0.5 * math.fsum(abs(a.get(d, 0.0) - b.get(d, 0.0)) for d in a.keys() | b.keys())


def in_units(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Share out `total` whole units by weight with an exact sum (largest remainder).

    Ties go to the name that sorts first, so the order of `weights` does not matter.
    """
    scale = total / math.fsum(weights.values())
    units = {d: math.floor(w * scale) for d, w in weights.items()}
    by_remainder = sorted(weights, key=lambda d: (units[d] - weights[d] * scale, d))
    for d in by_remainder[: total - sum(units.values())]:
        units[d] += 1
    return units
