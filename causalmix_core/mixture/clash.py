"""Which constraints clash, when no mixture meets all of them.

The smallest clash is found by deletion: a constraint without which there is still no mixture is not needed to
explain it (Chinneck and Dravnieks 1991). What is left is irreducible: every one of them could be loosened to
make room. Several orders are tried and the shortest answer is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import (
    ROUNDING,
    Limit,
    Limits,
    change_words,
    count_words,
    percent,
    reach_words,
)


@dataclass(frozen=True)
class _Part:
    """A constraint that can be left out."""

    words: str
    limit: Limit | None
    lift: Callable[[Limits], Limits] | None = None


def check_clash(limits: Limits) -> None:
    """Refuse constraints that no mixture meets.

    Raises:
        CausalMixError: names the smallest set of constraints that clashes.
    """
    clash = smallest_clash(limits)
    if not clash:
        return
    if len(clash) == 1:
        raise CausalMixError(f"No mixture meets this constraint: {clash[0]}. Loosen it.")
    raise CausalMixError(
        f"No mixture meets all constraints. These {len(clash)} clash: {'; '.join(clash)}. Loosen one of them."
    )


def smallest_clash(limits: Limits) -> list[str]:
    """The constraints that clash, in words; empty when some mixture meets all of them."""
    from causalmix_core.mixture.program import solve

    def possible(parts: list[_Part]) -> bool:
        import numpy as np

        return solve(_only(limits, parts), np.zeros(len(limits.domains))) is not None

    parts = _parts(limits)
    if possible(parts):
        return []
    answers = []
    for order in (parts, parts[::-1], sorted(parts, key=lambda p: p.words)):
        kept = list(order)
        for part in order:
            without = [p for p in kept if p is not part]
            if not possible(without):
                kept = without
        answers.append(sorted(p.words for p in kept))
    words = min(answers, key=lambda a: (len(a), a))
    return [_with_sums(limits, w) for w in words]


def _parts(limits: Limits) -> list[_Part]:
    parts = [_Part(limit.words, limit) for limit in limits.limits]
    if limits.radius is not None:
        parts.append(_Part(reach_words(limits.radius), None, lambda x: replace(x, radius=None)))
    if limits.smallest_change > ROUNDING:
        parts.append(
            _Part(change_words(limits.smallest_change), None, lambda x: replace(x, smallest_change=0.0))
        )
    if limits.most_domains is not None:
        parts.append(_Part(count_words(limits.most_domains), None, lambda x: replace(x, most_domains=None)))
    return parts


def _only(limits: Limits, parts: list[_Part]) -> Limits:
    """The limits with nothing but these parts."""
    kept = replace(limits, limits=tuple(p.limit for p in parts if p.limit is not None))
    present = {p.words for p in parts}
    for part in _parts(limits):
        if part.lift is not None and part.words not in present:
            kept = part.lift(kept)
    return kept


def _with_sums(limits: Limits, words: str) -> str:
    """Reach is easier to mend when one sees where the reference stands."""
    for limit in limits.limits:
        if limit.words == words and limits.radius is not None:
            here = float(limits.reference[list(limit.domains)].sum())
            if here < limit.lowest - ROUNDING or here > limit.highest + ROUNDING:
                return f"{words} (the reference has {percent(here)})"
    return words
