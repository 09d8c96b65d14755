"""Shows two texts side by side: which parts are the same and which are not.

Near-duplicates share most of their words, so what is the same at both ends is cut off first and what is left
is compared word by word, or line by line where that would take too long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORD = re.compile(r"\s+|\w+|[^\w\s]+")
_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
MOST_WORDS = 3_000
"""Of the parts that differ, both texts together: so many words are compared in some tenths of a second."""
MOST_LINES = 3_000
_WORD_CHARACTERS = 40  # longer words on average are no words; such texts are not even split


@dataclass(frozen=True)
class Differences:
    """What two texts do not share.

    Attributes:
        left: parts (first character, one after the last) of the first text that the second does not have
            there; in order, none empty, none touching the next.
        right: the same of the second text. What both leave is the same text.
        complete: compared word by word; else by whole lines, or not at all, because that would take too long.
    """

    left: list[tuple[int, int]]
    right: list[tuple[int, int]]
    complete: bool


def diff_spans(a: str, b: str) -> Differences:
    """What differs between two texts, in bounded time.

    Texts that differ in more than some thousand words are compared by lines, and where they differ in more
    than some thousand lines, everything between their common beginning and end counts as different.
    """
    head = _common(a, b)
    tail = _common(a[head:][::-1], b[head:][::-1])
    parts, complete = _parts(a[head : len(a) - tail], b[head : len(b) - tail])
    left: list[tuple[int, int]] = []
    right: list[tuple[int, int]] = []
    at_a = at_b = head
    if parts is None:
        left, right = [(head, len(a) - tail)], [(head, len(b) - tail)]
    else:
        lengths = [[len(part) for part in side] for side in parts]
        # With autojunk, so that a text of one repeated word does not take quadratic time.
        matcher = SequenceMatcher(None, *parts, autojunk=True)
        for kind, a_from, a_to, b_from, b_to in matcher.get_opcodes():
            to_a, to_b = at_a + sum(lengths[0][a_from:a_to]), at_b + sum(lengths[1][b_from:b_to])
            if kind != "equal":
                left.append((at_a, to_a))
                right.append((at_b, to_b))
            at_a, at_b = to_a, to_b
    left, right = ([(start, stop) for start, stop in side if start < stop] for side in (left, right))
    return Differences(left, right, complete)


def _common(a: str, b: str) -> int:
    """Length of the longest common beginning, found by halving, since comparing slices is fast."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _parts(a: str, b: str) -> tuple[tuple[Sequence[str], Sequence[str]] | None, bool]:
    """The words of two texts, or their lines; None where they are too many even of these."""
    if len(a) + len(b) <= _WORD_CHARACTERS * MOST_WORDS:
        words = _WORD.findall(a), _WORD.findall(b)
        if len(words[0]) + len(words[1]) <= MOST_WORDS:
            return words, True
    lines = _LINE.findall(a), _LINE.findall(b)
    return (lines if len(lines[0]) + len(lines[1]) <= MOST_LINES else None), False
