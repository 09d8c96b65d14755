"""Constraints as arrays over the domains, in which every end knows its reason, and how each is said.

`Limits` is what programs, ranges and policies work with; `resolve` (constraints.py) makes them of what a
curator says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from causalmix_core.mixture.simplex import check_mixture

ROUNDING = 1e-7
"""Differences of weights below this, a hundred thousandth of a percentage point, are rounding: solvers keep
sums to some 1e-8. Ends and locks of single weights are kept exactly all the same (exact.py)."""
LISTED = 4
"""Names or constraints that a sentence lists before it counts the rest."""

Kind = Literal["bound", "lock", "repetition", "group", "choice"]


@dataclass(frozen=True)
class Limit:
    """One linear constraint: lowest <= sum of some weights <= highest, and how to say it.

    Attributes:
        domains: indices of the weights that are summed.
        lowest: of the sum.
        highest: of the sum.
        words: the constraint as a curator would say it.
        kind: what it comes from; `choice`: a yes-or-no constraint, decided.
    """

    domains: tuple[int, ...]
    lowest: float
    highest: float
    words: str
    kind: Kind = "bound"


@dataclass(frozen=True)
class Limits:
    """Constraints over the domains of a question, known to admit a mixture.

    Attributes:
        domains: names, in the order of every array here.
        reference: weights that changes are counted from, shape (K,).
        limits: linear constraints on one weight or on a sum of them.
        smallest_change: see `Constraints`.
        most_domains: see `Constraints`.
        radius: see `Constraints`.
        notes: what could not be applied and why, in plain words.
    """

    domains: tuple[str, ...]
    reference: np.ndarray
    limits: tuple[Limit, ...] = ()
    smallest_change: float = 0.0
    most_domains: int | None = None
    radius: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether the number of domains above zero is limited."""
        return self.most_domains is not None and self.most_domains < len(self.domains)

    @property
    def stepped(self) -> bool:
        """Whether small changes are forbidden."""
        return self.smallest_change > ROUNDING

    @property
    def convex(self) -> bool:
        """Whether a mixture between two allowed ones is always allowed."""
        return not (self.counted or self.stepped)

    @property
    def relaxed(self) -> Limits:
        """Without the constraints that are not convex."""
        return self if self.convex else replace(self, smallest_change=0.0, most_domains=None)

    @cached_property
    def lower(self) -> np.ndarray:
        """Lowest weight of each domain by the constraints on it alone, shape (K,)."""
        low = np.zeros(len(self.domains))
        for limit in self.limits:
            if len(limit.domains) == 1:
                low[limit.domains[0]] = max(low[limit.domains[0]], limit.lowest)
        return low

    @cached_property
    def upper(self) -> np.ndarray:
        """Highest weight of each domain by the constraints on it alone, shape (K,)."""
        high = np.ones(len(self.domains))
        for limit in self.limits:
            if len(limit.domains) == 1:
                high[limit.domains[0]] = min(high[limit.domains[0]], limit.highest)
        return high

    def narrowed(self, low: np.ndarray, high: np.ndarray) -> Limits:
        """With lowest and highest weights on top, (K,) each; nobody has checked that a mixture is left."""
        box = tuple(
            Limit((i,), float(a), float(b), f"{name} between {percent(a)} and {percent(b)}")
            for i, (name, a, b) in enumerate(zip(self.domains, low, high, strict=True))
        )
        return replace(self, limits=(*self.limits, *box))


@dataclass(frozen=True)
class Violation:
    """A constraint that a mixture breaks.

    Attributes:
        words: the constraint, and what the mixture does instead.
        by: by how much weight, or by how many domains.
    """

    words: str
    by: float


def broken(limits: Limits, mixture: Mapping[str, float]) -> list[Violation]:
    """Which constraints a mixture breaks, the worst first; empty when it keeps all.

    Raises:
        CausalMixError: the mixture is not one over these domains.
    """
    w = np.array(list(check_mixture(mixture, limits.domains).values()))
    found = []
    for limit in limits.limits:
        total = float(w[list(limit.domains)].sum())
        by = max(limit.lowest - total, total - limit.highest)
        if by > ROUNDING:
            found.append(Violation(f"{limit.words}; the mixture has {percent(total)}", by))
    moved = np.abs(w - limits.reference)
    if limits.radius is not None and moved.sum() / 2 > limits.radius + ROUNDING:
        found.append(
            Violation(
                f"{reach_words(limits.radius)}; the mixture moves {percent(moved.sum() / 2)}",
                float(moved.sum() / 2 - limits.radius),
            )
        )
    small = limits.stepped & (moved > ROUNDING) & (moved < limits.smallest_change - ROUNDING)
    for i in np.flatnonzero(small):
        found.append(
            Violation(
                f"{change_words(limits.smallest_change)}; {limits.domains[i]} moves {percent(moved[i])}",
                float(limits.smallest_change - moved[i]),
            )
        )
    used = int((w > ROUNDING).sum())
    if limits.most_domains is not None and used > limits.most_domains:
        found.append(
            Violation(
                f"{count_words(limits.most_domains)}; the mixture has {used}", used - limits.most_domains
            )
        )
    return sorted(found, key=lambda v: -v.by)


def percent(weight: float) -> str:
    """A weight as a curator reads it: `30%`, `2.5%`."""
    return f"{100 * weight:.4g}%"


def change_words(least: float) -> str:
    """How the smallest change is said."""
    return f"a domain stays or moves at least {percent(least)}"


def count_words(most: int) -> str:
    """How the largest number of domains is said."""
    return f"at most {most} domains above zero" if most > 1 else "at most one domain above zero"


def reach_words(radius: float) -> str:
    """How the reach is said."""
    return f"at most {percent(radius)} of the weight moves away from the reference"


def listed(parts: Sequence[str], separator: str = "; ") -> str:
    """The first few parts, and how many more there are."""
    if len(parts) <= LISTED + 1:
        return separator.join(parts)
    return f"{separator.join(parts[:LISTED])}{separator}and {len(parts) - LISTED} more"


def times(count: float) -> str:
    """`once`, `4 times`."""
    return "once" if count == 1 else f"{count:g} times"


def amount(tokens: float) -> str:
    """A number of tokens as a curator reads it: `1.2M`, `20B`."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"
