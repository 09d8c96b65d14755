"""Which constraints clash, when no mixture meets all of them, and how to say it.

The smallest clash is found by deletion: a constraint without which there is still no mixture is not needed to
explain it (Chinneck and Dravnieks 1991). What is left is irreducible: without any one of them there is a
mixture. Several orders are tried and the shortest answer is kept. Where ends of many weights clash, what
matters is their sum, so that is what is said, and not a line for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.limits import (
    ROUNDING,
    Limit,
    Limits,
    change_words,
    count_words,
    listed,
    percent,
    reach_words,
)
from causalmix_core.mixture.program import allows


@dataclass(frozen=True)
class Part:
    """A constraint that can be left out: a limit, or one of the fields of `Limits`.

    Attributes:
        words: the constraint.
        limit: the limit, where it is one.
        field: the field, where it is one.
    """

    words: str
    limit: Limit | None = None
    field: Literal["radius", "smallest_change", "most_domains"] | None = None


def check_clash(limits: Limits) -> None:
    """Refuse constraints that no mixture meets.

    Raises:
        CausalMixError: names the smallest set of constraints that clashes.
    """
    if clash := smallest_clash(limits):
        raise CausalMixError(clash_words(limits, clash))


def smallest_clash(limits: Limits) -> list[Part]:
    """The constraints that clash; empty when some mixture meets all of them."""
    parts = parts_of(limits)
    if allows(limits):
        return []
    answers = []
    for order in (parts, parts[::-1], sorted(parts, key=lambda p: p.words)):
        kept = list(order)
        for part in order:
            without = [p for p in kept if p is not part]
            if not allows(only(limits, without)):
                kept = without
        answers.append(sorted(kept, key=lambda p: p.words))
    return min(answers, key=lambda a: (len(a), [p.words for p in a]))


def parts_of(limits: Limits) -> list[Part]:
    """Everything in the limits that can be left out."""
    parts = [Part(limit.words, limit=limit) for limit in limits.limits]
    if limits.radius is not None:
        parts.append(Part(reach_words(limits.radius), field="radius"))
    if limits.stepped:
        parts.append(Part(change_words(limits.smallest_change), field="smallest_change"))
    if limits.counted and limits.most_domains is not None:
        parts.append(Part(count_words(limits.most_domains), field="most_domains"))
    return parts


def only(limits: Limits, parts: Sequence[Part]) -> Limits:
    """The limits with nothing but these parts."""
    fields = {p.field for p in parts}
    return replace(
        limits,
        limits=tuple(p.limit for p in parts if p.limit is not None),
        radius=limits.radius if "radius" in fields else None,
        smallest_change=limits.smallest_change if "smallest_change" in fields else 0.0,
        most_domains=limits.most_domains if "most_domains" in fields else None,
    )


def clash_words(limits: Limits, clash: Sequence[Part]) -> str:
    """A clash in words, and what to do."""
    if len(clash) == 1:
        return f"No mixture meets this constraint: {_with_reference(limits, clash[0])}. Loosen it."
    own = [p.limit for p in clash if p.limit is not None]
    fields = {p.field for p in clash} - {None}
    places = [i for limit in own for i in limit.domains]
    if fields == {"most_domains"} and limits.most_domains is not None and len(places) == len(limits.domains):
        most = sum(sorted((x.highest for x in own), reverse=True)[: limits.most_domains])
        if len(own) == len(places) and most < 1 - ROUNDING:
            what = f"With {count_words(limits.most_domains)}, the highest weights"
            return _sum_words(
                own, f"{what} sum to {percent(most)}, less than 100%", "Allow more domains or weight."
            )
    if not fields and len(places) == len(set(places)):
        least, most = sum(x.lowest for x in own), sum(x.highest for x in own)
        locked = all(x.kind == "lock" for x in own)
        if least > 1 + ROUNDING:
            what = "locked weights" if locked else "lowest weights"
            return _sum_words(
                own, f"The {what} sum to {percent(least)}, more than 100%", "Lower some of them."
            )
        if most < 1 - ROUNDING and len(places) == len(limits.domains):
            what = "locked weights" if locked else "highest weights"
            return _sum_words(
                own, f"The {what} sum to {percent(most)}, less than 100%", "Raise some of them."
            )
    said = listed([_with_reference(limits, p) for p in clash])
    return f"No mixture meets all constraints. These {len(clash)} clash: {said}. Loosen one of them."


def _sum_words(limits: Sequence[Limit], sums: str, advice: str) -> str:
    largest = sorted(limits, key=lambda x: (-x.highest, x.words))
    return f"No mixture meets all constraints. {sums}: {listed([x.words for x in largest])}. {advice}"


def _with_reference(limits: Limits, part: Part) -> str:
    """Reach is easier to mend when one sees where the reference stands."""
    if limits.radius is not None and part.field == "most_domains" and limits.most_domains is not None:
        dropped = float(np.sort(limits.reference)[: -limits.most_domains].sum())
        return f"{part.words} (to get there from the reference moves at least {percent(dropped)})"
    if part.limit is None or limits.radius is None:
        return part.words
    here = float(limits.reference[list(part.limit.domains)].sum())
    if part.limit.lowest - ROUNDING <= here <= part.limit.highest + ROUNDING:
        return part.words
    return f"{part.words} (the reference has {percent(here)})"
