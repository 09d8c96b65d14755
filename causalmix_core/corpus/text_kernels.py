"""Compiled loops over the characters of a batch: counts, words, lines, repetition, sentences, n-grams.

Plain loops in Python would take milliseconds per document and array expressions need dozens of passes and a
sort per n-gram length; numba compiles these loops once per installation (it keeps the machine code beside
this file or in the user's cache) and they take some microseconds per document. Only `measure.py`,
`words.py` and `readability.py` import this file, when they are first used: numba takes half a second.

Sequences of characters are compared by 64-bit polynomial hashes (modulo 2^64, odd base). The hash of two
sequences joined follows from their hashes, so n-grams cost one multiplication each. Two different n-grams
of one document get the same hash with a probability of about 10^-13 in a document of 1,000 words.

Every kernel takes `characters` uint32, `offsets` int64 (n + 1,) and `classes` uint32 (0x110000,) as
`text_arrays.py` makes them, and fills one row per document of a float64 array `out`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from causalmix_core.corpus.text_arrays import (
    ALNUM,
    ALPHA,
    APOSTROPHE,
    CLOSING,
    CUTTING,
    DASH,
    DECIMAL,
    DIGIT,
    ENDING,
    LINE_CLOSING,
    LINE_END,
    MARK,
    OPENING,
    OPERATOR,
    PUNCTUATION,
    RELATION,
    SPACE,
    SUSPECT,
    SUSPECT_ALONE,
    TERMINAL,
    UPPER,
    WIDE_TERMINAL,
)

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def _compiled(function: _Kernel) -> _Kernel:
    """Compile with numba; keep the machine code where a folder can be written."""
    try:
        return cast(_Kernel, numba.njit(cache=True)(function))
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return cast(_Kernel, numba.njit(function))


Characters = NDArray[np.uint32]
Offsets = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Out = NDArray[np.float64]

_WORD = ALNUM | MARK
_LETTER = ALPHA | MARK
_BASE = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_SEPARATOR = np.uint64(33)
_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
_DOT, _COMMA, _COLON, _SLASH, _HYPHEN, _PLUS, _PERCENT = 0x2E, 0x2C, 0x3A, 0x2F, 0x2D, 0x2B, 0x25
_LETTER_S, _LETTER_W, _TO_LOWER = 0x73, 0x77, 0x20
_ELLIPSIS, _BULLET, _HASH, _NEWLINE, _RETURN, _BRACKET = 0x2026, 0x2022, 0x23, 0x0A, 0x0D, 0x5B
_CLOSE_BRACKET = 0x5D
MIN_LINE_WORDS = 3
MAX_WORD_LENGTH = 1000
REPETITION_LENGTH = 10
SHINGLE_WORDS = 5
MAX_SYLLABLE_LETTERS = 40
REPETITION_CHARACTERS = 1_000_000


@_compiled
def _mixed(value: np.uint64) -> np.uint64:
    value ^= value >> _SHIFT
    value *= _SPREAD
    value ^= value >> _SHIFT
    return value


@_compiled
def _table_size(entries: int) -> int:
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@_compiled
def _find(keys: Hashes, stamps: NDArray[np.int32], size: int, key: np.uint64, stamp: int) -> np.int64:
    """The slot of a key in an open-addressing table, or the free slot where it belongs."""
    slot = np.int64(_mixed(key) & np.uint64(size - 1))
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & (size - 1)
    return slot


@_compiled
def _longest(offsets: Offsets) -> int:
    longest = 0
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    return longest


@_compiled
def character_counts(characters: Characters, offsets: Offsets, classes: Characters, out: Out) -> None:
    """Letters with marks, digits, spaces, upper-case letters, longest line, mojibake suspects (0 or 1)."""
    for d in range(len(offsets) - 1):
        letters = digits = spaces = uppers = line = longest = suspect = 0
        before = False
        for i in range(offsets[d], offsets[d + 1]):
            c = characters[i]
            kind = classes[c]
            letters += (kind & _LETTER) != 0
            digits += (kind & DIGIT) != 0
            spaces += (kind & SPACE) != 0
            uppers += (kind & UPPER) != 0
            if c == _NEWLINE:
                longest = max(longest, line)
                line = 0
            else:
                line += 1
            if c >= 0x80:
                here = (kind & SUSPECT) != 0
                if (here and before) or (kind & SUSPECT_ALONE) != 0:
                    suspect = 1
                before = here
            else:
                before = False
        out[d, 0] = letters
        out[d, 1] = digits
        out[d, 2] = spaces
        out[d, 3] = uppers
        out[d, 4] = max(longest, line)
        out[d, 5] = suspect


@_compiled
def spaced_words(
    characters: Characters,
    offsets: Offsets,
    classes: Characters,
    lower: Characters,
    stop_words: Hashes,
    shingles: Hashes,
    ends: Offsets,
    out: Out,
) -> None:
    """Words between spaces, English stop words among them, share of repeated 10-grams of words.

    For the last two a word is lower-cased and stripped of what is neither letter, mark nor digit.

    Args:
        characters: code points.
        offsets: where documents start.
        classes: what each code point is.
        lower: lower case of each code point.
        stop_words: hashes of the stop words, sorted.
        shingles: filled with the hashes of the runs of 5 words of each document (of the whole document,
            where it has fewer words).
        ends: (n + 1,), filled with where the shingles of each document begin.
        out: columns: words, stop words, share of repeated 10-grams.
    """
    longest = _longest(offsets)
    hashes = np.empty(longest // 2 + 2, np.uint64)
    size = _table_size(longest // 2 + 2)
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.int32)
    counts = np.empty(size, np.int32)
    high = _ONE
    for _ in range(REPETITION_LENGTH):
        high *= _BASE
    recent = np.zeros(SHINGLE_WORDS, np.uint64)
    oldest = _ONE
    for _ in range(SHINGLE_WORDS):
        oldest *= _BASE
    total = 0
    ends[0] = 0
    for d in range(len(offsets) - 1):
        words = stops = kept = 0
        recent[:] = _ZERO
        shingle = _ZERO
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            if (classes[characters[i]] & SPACE) != 0:
                i += 1
                continue
            a = i
            value = _ZERO
            while i < end and (classes[characters[i]] & SPACE) == 0:
                value = value * _BASE + np.uint64(characters[i] + 1)
                i += 1
            value = _mixed(value)
            place = words % SHINGLE_WORDS
            shingle = shingle * _BASE + value - recent[place] * oldest
            recent[place] = value
            words += 1
            if words >= SHINGLE_WORDS:
                shingles[total] = _mixed(shingle)
                total += 1
            b = i
            while a < b and (classes[characters[a]] & _WORD) == 0:
                a += 1
            while a < b and (classes[characters[b - 1]] & _WORD) == 0:
                b -= 1
            if a == b:
                continue
            value = _ZERO
            for j in range(a, b):
                value = value * _BASE + np.uint64(lower[characters[j]] + 1)
            if b - a < 12:
                found: Any = np.searchsorted(stop_words, value)
                if found < len(stop_words) and stop_words[found] == value:
                    stops += 1
            hashes[kept] = _mixed(value)
            kept += 1
        if words < SHINGLE_WORDS:
            shingles[total] = _mixed(shingle)
            total += 1
        ends[d + 1] = total
        repeated = 0
        if kept > REPETITION_LENGTH:
            size = _table_size(kept)
            value = _ZERO
            for w in range(kept):
                value = value * _BASE + hashes[w]
                if w >= REPETITION_LENGTH:
                    value -= hashes[w - REPETITION_LENGTH] * high
                if w >= REPETITION_LENGTH - 1:
                    slot = _find(keys, stamps, size, value, d + 1)
                    if stamps[slot] == d + 1:
                        counts[slot] += 1
                        repeated += 2 if counts[slot] == 2 else 1
                    else:
                        stamps[slot] = d + 1
                        keys[slot] = value
                        counts[slot] = 1
        out[d, 0] = words
        out[d, 1] = stops
        out[d, 2] = repeated / max(kept - REPETITION_LENGTH + 1, 1)


@_compiled
def repeated_characters(characters: Characters, offsets: Offsets, out: Out) -> None:
    """Share of the most frequent 10-grams of characters among all, in the first million characters."""
    longest = min(_longest(offsets), REPETITION_CHARACTERS)
    size = _table_size(longest)
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.int32)
    counts = np.empty(size, np.int32)
    repeated = np.empty(longest // 2 + 1, np.int64)
    high = _ONE
    for _ in range(REPETITION_LENGTH):
        high *= _BASE
    for d in range(len(offsets) - 1):
        start, end = offsets[d], min(offsets[d + 1], offsets[d] + REPETITION_CHARACTERS)
        total = end - start - REPETITION_LENGTH + 1
        if total < 2:
            out[d, 0] = 0.0
            continue
        size = _table_size(total)
        distinct = again = 0
        value = _ZERO
        for i in range(start, end):
            value = value * _BASE + np.uint64(characters[i] + 1)
            if i - start >= REPETITION_LENGTH:
                value -= np.uint64(characters[i - REPETITION_LENGTH] + 1) * high
            if i - start >= REPETITION_LENGTH - 1:
                slot = _find(keys, stamps, size, value, d + 1)
                if stamps[slot] == d + 1:
                    counts[slot] += 1
                    if counts[slot] == 2:
                        repeated[again] = slot
                        again += 1
                else:
                    stamps[slot] = d + 1
                    keys[slot] = value
                    counts[slot] = 1
                    distinct += 1
        top = min(int(np.sqrt(distinct)), again)
        sums = 0
        if top:
            frequencies = np.empty(again, np.int64)
            for k in range(again):
                frequencies[k] = counts[repeated[k]]
            frequencies.sort()
            for k in range(again - top, again):
                sums += frequencies[k]
        out[d, 0] = sums / total


@_compiled
def _dots(characters: Characters, i: int, end: int) -> int:
    """How many full stops follow one another at i."""
    j = i
    while j < end and characters[j] == _DOT:
        j += 1
    return j - i


@_compiled
def _opens(characters: Characters, classes: Characters, i: int, end: int) -> int:
    """How many characters at the start of a stretch are a word of their own."""
    dots = _dots(characters, i, end)
    if dots > 1:
        return dots
    if (classes[characters[i]] & OPENING) == 0:
        return 0
    number = characters[i] == _PLUS and i + 1 < end and (classes[characters[i + 1]] & DIGIT) != 0
    return 0 if number else 1


@_compiled
def _ends(characters: Characters, classes: Characters, start: int, end: int) -> int:
    """How many characters at the end of a stretch are a word of their own."""
    c = characters[end - 1]
    if c == _DOT:
        i = end
        while i > start and characters[i - 1] == _DOT:
            i -= 1
        if end - i > 1:
            return end - i
        if i == start:
            return 0
        kind = classes[characters[i - 1]]
        single = i - 1 == start or characters[i - 2] == _DOT
        if single and (kind & _LETTER) != 0:
            return 0
        if (kind & UPPER) != 0:
            return 1 if i - 1 > start and (classes[characters[i - 2]] & UPPER) != 0 else 0
        before = characters[i - 1]
        sign = before in (_PERCENT, _HYPHEN, _PLUS)
        return 1 if sign or (kind & (_LETTER | DIGIT | ENDING)) != 0 else 0
    if (classes[c] & ENDING) != 0:
        return 1
    if end - start < 3:
        return 0
    kind = classes[characters[end - 2]]
    if (c | _TO_LOWER) == _LETTER_S and (kind & APOSTROPHE) != 0:
        return 2
    return 1 if c == _PLUS and (kind & DIGIT) != 0 else 0


@_compiled
def _cuts(characters: Characters, classes: Characters, i: int, start: int, end: int) -> int:
    """How many characters inside a stretch are a word of their own; -1 where a new word starts at i."""
    c = characters[i]
    kind = classes[c]
    dots = _dots(characters, i, end)
    if dots > 1:
        return dots
    if (kind & CUTTING) != 0:
        return 1
    if i == start or i + 1 >= end:
        return 0
    before, after = classes[characters[i - 1]], classes[characters[i + 1]]
    if c == _DOT:
        low = (before & _LETTER) != 0 and (before & UPPER) == 0
        return 1 if low and (after & UPPER) != 0 else 0
    if (kind & APOSTROPHE) != 0:
        short = end - i < 4 and (after & _LETTER) != 0 and (classes[characters[end - 1]] & _LETTER) != 0
        return -1 if short and (before & _LETTER) != 0 else 0
    if c == _COMMA:
        return 1 if (before & _LETTER) != 0 and (after & _LETTER) != 0 else 0
    numbers = (before & DIGIT) != 0 and ((after & DIGIT) != 0 or characters[i + 1] == _HYPHEN)
    if numbers and (kind & OPERATOR) != 0:
        return 1
    if (kind & RELATION) != 0:
        return 1 if (before & (_LETTER | DIGIT)) != 0 and (after & _LETTER) != 0 else 0
    if (kind & DASH) != 0 and (before & (_LETTER | DIGIT)) != 0:
        j = i + 1
        while j < end and j - i < 3 and (classes[characters[j]] & DASH) != 0:
            j += 1
        return j - i if j < end and (classes[characters[j]] & _LETTER) != 0 else 0
    return 0


@_compiled
def _is_address(characters: Characters, start: int, end: int) -> bool:
    """Whether a stretch is an address of the web: it holds `://` or starts with `www.`."""
    www = end - start > 4 and characters[start + 3] == _DOT
    for i in range(start, min(start + 3, end)):
        www = www and (characters[i] | _TO_LOWER) == _LETTER_W
    if www:
        return True
    for i in range(start, end - 2):
        if characters[i] == _COLON and characters[i + 1] == _SLASH and characters[i + 2] == _SLASH:
            return True
    return False


@_compiled
def word_spans(
    characters: Characters,
    classes: Characters,
    start: int,
    end: int,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> int:
    """Write where the words of one document start and end, as `words.py` says; returns how many."""
    count = 0
    i = start
    while i < end:
        if (classes[characters[i]] & SPACE) != 0:
            i += 1
            continue
        a = i
        while i < end and (classes[characters[i]] & SPACE) == 0:
            i += 1
        b = i
        size = 1
        while a < b and size:
            size = _opens(characters, classes, a, b)
            if size:
                starts[count] = a
                a += size
                ends[count] = a
                count += 1
        size = 1
        while a < b and size:
            size = _ends(characters, classes, a, b)
            b -= size
        if a < b:
            starts[count] = a
            j = b if _is_address(characters, a, b) else a
            while j < b:
                size = 0
                if (classes[characters[j]] & (_LETTER | DIGIT)) == 0:
                    size = _cuts(characters, classes, j, a, b)
                if size == 0:
                    j += 1
                    continue
                if starts[count] < j:
                    ends[count] = j
                    count += 1
                    starts[count] = j
                if size > 0:
                    j += size
                    ends[count] = j
                    count += 1
                    starts[count] = j
                else:
                    j += 1
            if starts[count] < b:
                ends[count] = b
                count += 1
        while b < i:
            size = max(_dots(characters, b, i), 1)
            if (classes[characters[b]] & APOSTROPHE) != 0 and b + 1 < i:
                size += (classes[characters[b + 1]] & _LETTER) != 0
            starts[count] = b
            b += size
            ends[count] = b
            count += 1
    return count


@_compiled
def word_rules(
    characters: Characters,
    offsets: Offsets,
    classes: Characters,
    lower: Characters,
    stop_words: Hashes,
    ngrams: NDArray[np.int64],
    out: Out,
) -> None:
    """What the Gopher rules say about words, and hashed uni- and bigrams of the batch.

    Columns: words, words that are no symbols, their mean length, hash signs per word, ellipses per word,
    share of words with a letter, distinct stop words (`stop_words`, at most 64, sorted), top 2-, 3- and
    4-gram share of characters, duplicate 5- to 10-gram share of characters. `ngrams` gains the counts.
    """
    longest = _longest(offsets)
    starts = np.empty(longest + 2, np.int64)
    ends = np.empty(longest + 2, np.int64)
    hashes = np.empty(longest + 1, np.uint64)
    powers = np.empty(longest + 1, np.uint64)
    spaced = np.empty(longest + 1, np.uint64)
    joined = np.empty(longest + 1, np.uint64)
    lengths = np.empty(longest + 2, np.int64)
    size = _table_size(longest)
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.int32)
    counts = np.empty(size, np.int32)
    firsts = np.empty(size, np.int32)
    buckets = np.uint64(len(ngrams))
    stamp = 0
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        n = word_spans(characters, classes, start, end, starts, ends)
        plain = plain_length = alphabetic = 0
        found = _ZERO
        before = _ZERO
        lengths[0] = 0
        for w in range(n):
            value = _ZERO
            small = _ZERO
            power = _ONE
            symbol = True
            letter = False
            for i in range(starts[w], ends[w]):
                c = characters[i]
                kind = classes[c]
                value = value * _BASE + np.uint64(c + 1)
                small = small * _BASE + np.uint64(lower[c] + 1)
                power *= _BASE
                if (kind & PUNCTUATION) == 0:
                    symbol = False
                if (kind & ALPHA) != 0:
                    letter = True
            length = ends[w] - starts[w]
            lengths[w + 1] = lengths[w] + length
            hashes[w] = value
            powers[w] = power
            spaced[w] = value
            joined[w] = value
            if not symbol:
                plain += 1
                plain_length += length
            alphabetic += letter
            if length < 6:
                place: Any = np.searchsorted(stop_words, value)
                if place < len(stop_words) and stop_words[place] == value:
                    found |= _ONE << np.uint64(place)
            small = _mixed(small)
            ngrams[np.int64(small % buckets)] += 1
            if w:
                ngrams[np.int64(_mixed(before * _BASE + small) % buckets)] += 1
            before = small
        signs = ellipses = 0
        i = start
        while i < end:
            c = characters[i]
            if c == _HASH:
                signs += 1
            elif c == _ELLIPSIS:
                ellipses += 1
            elif c == _DOT and i + 2 < end and characters[i + 1] == _DOT and characters[i + 2] == _DOT:
                ellipses += 1
                i += 2
            i += 1
        stops = 0
        while found:
            stops += 1
            found &= found - _ONE
        out[d, 0] = n
        out[d, 1] = plain
        out[d, 2] = plain_length / max(plain, 1)
        out[d, 3] = signs / max(n, 1)
        out[d, 4] = ellipses / max(n, 1)
        out[d, 5] = alphabetic / max(n, 1)
        out[d, 6] = stops
        size = _table_size(n)
        total = max(end - start, 1)
        for length in range(2, 5):
            stamp += 1
            best = best_first = 0
            for w in range(n - length + 1):
                last = w + length - 1
                key = (spaced[w] * _BASE + _SEPARATOR) * powers[last] + hashes[last]
                spaced[w] = key
                slot = _find(keys, stamps, size, key, stamp)
                if stamps[slot] == stamp:
                    counts[slot] += 1
                else:
                    stamps[slot] = stamp
                    keys[slot] = key
                    counts[slot] = 1
                    firsts[slot] = w
                if counts[slot] > best or (counts[slot] == best and firsts[slot] < best_first):
                    best = counts[slot]
                    best_first = firsts[slot]
            top = 0
            if best:
                top = best * (lengths[best_first + length] - lengths[best_first] + length - 1)
            out[d, 5 + length] = top / total
        for length in range(2, 11):
            stamp += 1
            repeated = 0
            w = skip = 0
            for w in range(n - length + 1):
                last = w + length - 1
                key = joined[w] * powers[last] + hashes[last]
                joined[w] = key
                if length < 5 or w < skip:
                    continue
                slot = _find(keys, stamps, size, key, stamp)
                if stamps[slot] == stamp:
                    repeated += lengths[w + length] - lengths[w]
                    skip = w + length
                else:
                    stamps[slot] = stamp
                    keys[slot] = key
            if length >= 5:
                out[d, 5 + length] = repeated / total


@_compiled
def repeated_lines(characters: Characters, offsets: Offsets, classes: Characters, out: Out) -> None:
    """Duplicate lines and their characters, duplicate paragraphs and their characters, as shares."""
    longest = _longest(offsets)
    size = _table_size(longest + 1)
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.int32)
    stamp = 0
    for d in range(len(offsets) - 1):
        for paragraphs in range(2):
            start, end = offsets[d], offsets[d + 1]
            total = max(end - start, 1)
            if paragraphs:
                while start < end and (classes[characters[start]] & SPACE) != 0:
                    start += 1
                while start < end and (classes[characters[end - 1]] & SPACE) != 0:
                    end -= 1
            pieces = 1
            for i in range(start, end):
                pieces += characters[i] == _NEWLINE
            size = _table_size(pieces)
            stamp += 1
            pieces = again = length = repeated = 0
            value = _ZERO
            i = start
            while i <= end:
                gap = 0
                while i + gap < end and characters[i + gap] == _NEWLINE:
                    gap += 1
                if i == end or gap > paragraphs:
                    slot = _find(keys, stamps, size, value, stamp)
                    if stamps[slot] == stamp:
                        again += 1
                        repeated += length
                    else:
                        stamps[slot] = stamp
                        keys[slot] = value
                    pieces += 1
                    length = 0
                    value = _ZERO
                    i += max(gap, 1)
                    # After a break at the very end an empty piece follows, as `re.split` has it.
                    if gap and i == end:
                        continue
                else:
                    value = value * _BASE + np.uint64(characters[i] + 1)
                    length += 1
                    i += 1
            out[d, 2 * paragraphs] = again / pieces
            out[d, 2 * paragraphs + 1] = repeated / total


@_compiled
def count_sentences(characters: Characters, classes: Characters, start: int, end: int) -> int:
    """Sentences between two positions; the rule is described in `words.py`."""
    count = 0
    content = False
    i = start
    while i < end:
        c = characters[i]
        kind = classes[c]
        if (kind & (TERMINAL | WIDE_TERMINAL)) != 0:
            ends = (kind & WIDE_TERMINAL) != 0
            i += 1
            while i < end and (classes[characters[i]] & (TERMINAL | WIDE_TERMINAL)) != 0:
                ends = ends or (classes[characters[i]] & WIDE_TERMINAL) != 0
                i += 1
            while i < end and (classes[characters[i]] & CLOSING) != 0:
                i += 1
            if content and (ends or i == end or (classes[characters[i]] & SPACE) != 0):
                count += 1
                content = False
            continue
        if c == _NEWLINE:
            i += 1
            while i < end and (classes[characters[i]] & SPACE) != 0:
                if characters[i] == _NEWLINE and content:
                    count += 1
                    content = False
                i += 1
            continue
        if (kind & ALNUM) != 0:
            content = True
        i += 1
    return count + content


@_compiled
def _starts_with(text: Characters, i: int, end: int, pattern: Characters, length: int) -> bool:
    if i + length > end:
        return False
    same = True
    for k in range(length):
        same = same and text[i + k] == pattern[k]
        if not same:
            break
    return same


@_compiled
def _without_citations(
    characters: Characters, classes: Characters, citations: Characters, start: int, end: int, line: Characters
) -> int:
    """Copy a line without `[edit]`, `[citation needed]` and `[12]`; returns its new length."""
    size = 0
    i = start
    while i < end:
        c = characters[i]
        if c == _BRACKET:
            j = i + 1
            while j < end and (classes[characters[j]] & DECIMAL) != 0:
                j += 1
            if j < end and characters[j] == _CLOSE_BRACKET:
                i = j + 1
                continue
            skipped = False
            for p in range(len(citations)):
                length: Any = np.int64(citations[p, 0])
                if _starts_with(characters, i, end, citations[p, 1:], length):
                    i += length
                    skipped = True
                    break
            if skipped:
                continue
        line[size] = c
        size += 1
        i += 1
    return size


@_compiled
def line_rules(
    characters: Characters,
    offsets: Offsets,
    classes: Characters,
    lower: Characters,
    citations: Characters,
    patterns: Characters,
    out: Out,
) -> None:
    """What the Gopher and C4 rules say about lines (as `str.splitlines` cuts them).

    `citations` and `patterns` hold one phrase a row, its length first; of the patterns the first is lorem
    ipsum, the second javascript, the rest belong to policies. Columns: share of lines that start with a
    bullet, that end with an ellipsis, lorem ipsum (0 or 1), share of lines with javascript, with a policy
    phrase, without terminal punctuation, with fewer than 3 words, with a word of more than 1000
    characters; sentences in the lines that pass all of C4's rules for lines.
    """
    line = np.empty(_longest(offsets) + 1, np.uint32)
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        lines = bullets = ellipses = lorem = javascripts = policies = unended = shorts = longs = 0
        sentences = 0
        i = offsets[d]
        while i < end:
            a = i
            while i < end and (classes[characters[i]] & LINE_END) == 0:
                i += 1
            b = i
            if i < end:
                i += 2 if characters[i] == _RETURN and i + 1 < end and characters[i + 1] == _NEWLINE else 1
            lines += 1
            while a < b and (classes[characters[a]] & SPACE) != 0:
                a += 1
            while a < b and (classes[characters[b - 1]] & SPACE) != 0:
                b -= 1
            words = longest = length = 0
            brackets = False
            for j in range(a, b):
                c = characters[j]
                if (classes[c] & SPACE) != 0:
                    length = 0
                else:
                    words += length == 0
                    length += 1
                    longest = max(longest, length)
                    brackets = brackets or c == _BRACKET
            if a < b:
                bullets += characters[a] == _BULLET or characters[a] == _HYPHEN
                c = characters[b - 1]
                dots = c == _DOT and b - a > 2 and characters[b - 2] == _DOT and characters[b - 3] == _DOT
                ellipses += dots or c == _ELLIPSIS
            if brackets:
                size = _without_citations(characters, classes, citations, a, b, line)
            else:
                size = b - a
                for j in range(size):
                    line[j] = characters[a + j]
            c = line[size - 1] if size else np.uint32(0)
            ended = (classes[c] & LINE_CLOSING) != 0
            if c == _DOT:
                ended = not (size > 2 and line[size - 2] == _DOT and line[size - 3] == _DOT)
            drop = not ended or words < MIN_LINE_WORDS or longest > MAX_WORD_LENGTH
            unended += not ended
            shorts += words < MIN_LINE_WORDS
            longs += longest > MAX_WORD_LENGTH
            sentence_count = 0
            if not drop:
                sentence_count = count_sentences(line, classes, 0, size)
            javascript = policy = False
            for j in range(size):
                line[j] = lower[line[j]]
            for j in range(size):
                c = line[j]
                for p in range(len(patterns)):
                    if c == patterns[p, 1] and _starts_with(line, j, size, patterns[p, 1:], patterns[p, 0]):
                        if p == 0:
                            lorem = 1
                        elif p == 1:
                            javascript = True
                        else:
                            policy = True
            javascripts += javascript
            policies += policy
            if not (drop or javascript or policy):
                sentences += sentence_count
        total = max(lines, 1)
        out[d, 0] = bullets / total
        out[d, 1] = ellipses / total
        out[d, 2] = lorem
        out[d, 3] = javascripts / total
        out[d, 4] = policies / total
        out[d, 5] = unended / total
        out[d, 6] = shorts / total
        out[d, 7] = longs / total
        out[d, 8] = sentences


@_compiled
def letter_runs(
    characters: Characters,
    offsets: Offsets,
    classes: Characters,
    lower: Characters,
    distinct: Hashes,
    spans: NDArray[np.int64],
    runs: NDArray[np.int32],
    out: Out,
) -> int:
    """Words of letters and the sentences of each document, for readability.

    Args:
        characters: code points.
        offsets: where documents start.
        classes: what each code point is.
        lower: lower case of each code point.
        distinct: filled with the hash of each distinct lower-cased word of the batch.
        spans: (m, 2), filled with where that word first occurs.
        runs: filled with the number of the distinct word, for every word in turn.
        out: columns: words, sentences.

    Returns:
        How many distinct words there are.
    """
    size = _table_size(len(runs))
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.int32)
    numbers = np.empty(size, np.int32)
    count = total = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        words = 0
        while i < end:
            if (classes[characters[i]] & _LETTER) == 0:
                i += 1
                continue
            start = i
            value = _ZERO
            while i < end:
                c = characters[i]
                if (classes[c] & _LETTER) == 0:
                    inner = (classes[c] & APOSTROPHE) != 0 and i + 1 < end
                    if not inner or (classes[characters[i + 1]] & _LETTER) == 0:
                        break
                value = value * _BASE + np.uint64(lower[c] + 1)
                i += 1
            slot = _find(keys, stamps, size, value, 1)
            if stamps[slot] != 1:
                stamps[slot] = 1
                keys[slot] = value
                numbers[slot] = count
                distinct[count] = value
                spans[count, 0] = start
                spans[count, 1] = i
                count += 1
            runs[total] = numbers[slot]
            total += 1
            words += 1
        out[d, 0] = words
        out[d, 1] = count_sentences(characters, classes, offsets[d], end)
    return count


@_compiled
def syllable_counts(
    characters: Characters,
    classes: Characters,
    lower: Characters,
    spans: NDArray[np.int64],
    keys: Hashes,
    places: NDArray[np.int32],
    points: NDArray[np.int8],
    longest: int,
    out: NDArray[np.int64],
) -> None:
    """Syllables of words: where they can be hyphenated (Liang 1983), at least 2 letters from the ends, + 1.

    Args:
        characters: code points.
        classes: what each code point is.
        lower: lower case of each code point.
        spans: (n, 2), where each word starts and ends; apostrophes inside are left out.
        keys: open-addressing table of the hashes of the patterns; 0 is free.
        places: where the points of the pattern in each slot start in `points`.
        points: of each pattern: its offset, how many values follow, the values.
        longest: length of the longest pattern.
        out: (n,), filled.
    """
    word = np.empty(MAX_SYLLABLE_LETTERS + 2, np.uint32)
    values = np.empty(MAX_SYLLABLE_LETTERS + 4, np.int8)
    size = len(keys)
    word[0] = _DOT
    for w in range(len(out)):
        letters = 0
        for i in range(spans[w, 0], spans[w, 1]):
            if (classes[characters[i]] & APOSTROPHE) == 0:
                letters += 1
                if letters <= MAX_SYLLABLE_LETTERS:
                    word[letters] = lower[characters[i]]
        if letters > MAX_SYLLABLE_LETTERS:
            out[w] = (letters + 2) // 3
            continue
        word[letters + 1] = _DOT
        values[: letters + 3] = 0
        for i in range(letters + 1):
            value = _ZERO
            for j in range(i, min(i + longest, letters + 2)):
                value = value * _BASE + np.uint64(word[j] + 1)
                slot = np.int64(_mixed(value) & np.uint64(size - 1))
                while keys[slot] != _ZERO and keys[slot] != value:
                    slot = (slot + 1) & (size - 1)
                if keys[slot] == value:
                    place = places[slot]
                    for k in range(points[place + 1]):
                        at = i + points[place] + k
                        values[at] = max(values[at], points[place + 2 + k])
        count = 1
        # value i stands before letter i - 1 of the word
        for i in range(3, letters):
            count += values[i] % 2
        out[w] = count


def pattern_table(
    patterns: Mapping[str, tuple[int, Sequence[int]]],
) -> tuple[Hashes, NDArray[np.int32], NDArray[np.int8]]:
    """Hyphenation patterns (text: offset, values) as `syllable_counts` wants them."""
    size = 1 << (4 * len(patterns) - 1).bit_length()
    keys, places = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    points: list[int] = []
    for text, (offset, values) in patterns.items():
        key = sequence_hash(text)
        slot = int(_mixed(key)) & (size - 1)
        while keys[slot]:
            slot = (slot + 1) & (size - 1)
        keys[slot], places[slot] = key, len(points)
        points += [offset, len(values), *values]
    return keys, places, np.array(points, np.int8)


def sequence_hash(text: str) -> np.uint64:
    """The hash that the kernels give to a word, to look words up in a list."""
    value, base = 0, int(_BASE)
    for character in text:
        value = (value * base + ord(character) + 1) % (1 << 64)
    return np.uint64(value)


def sorted_hashes(words: frozenset[str]) -> Hashes:
    """The hashes of a list of words, sorted."""
    return np.sort(np.array([sequence_hash(word) for word in words], np.uint64))


def phrase_rows(phrases: tuple[str, ...]) -> Characters:
    """Phrases as rows of code points, each row with its phrase's length first."""
    rows = np.zeros((len(phrases), 1 + max(map(len, phrases))), np.uint32)
    for row, phrase in zip(rows, phrases, strict=True):
        row[0] = len(phrase)
        row[1 : 1 + len(phrase)] = [ord(character) for character in phrase]
    return rows
