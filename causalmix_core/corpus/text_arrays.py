"""A batch of texts as arrays: code points, where each document starts, and what each character is.

Everything that is measured character by character runs over these arrays in compiled loops
(`text_kernels.py`). What a character is (letter, space, upper case, ...) is looked up in a table with one
entry per code point, filled from Python's own `str` methods, so that the figures agree with plain Python.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

ALPHA = 1 << 0
"""`str.isalpha`: Unicode letters."""
MARK = 1 << 1
"""Unicode marks: they belong to the letters that carry them."""
DIGIT = 1 << 2
"""`str.isdigit`."""
SPACE = 1 << 3
"""`str.isspace`."""
UPPER = 1 << 4
"""`str.isupper`."""
ALNUM = 1 << 5
"""`str.isalnum`."""
PUNCTUATION = 1 << 6
"""In `PUNCTUATION_CHARACTERS`."""
LINE_END = 1 << 7
"""Where `str.splitlines` breaks."""
DECIMAL = 1 << 8
"""`str.isdecimal`, which is what `\\d` means in `re`."""
TERMINAL = 1 << 9
"""Ends a sentence when a space or the end follows."""
WIDE_TERMINAL = 1 << 10
"""Ends a sentence whatever follows: scripts without spaces."""
CLOSING = 1 << 11
"""Quotes and brackets that may follow the end of a sentence."""
SUSPECT = 1 << 12
"""Two of these side by side may be mojibake."""
SUSPECT_ALONE = 1 << 13
"""One of these may be mojibake."""
APOSTROPHE = 1 << 14
"""May stand inside a word."""
OPENING = 1 << 15
"""A word of its own at the start of a stretch between spaces."""
ENDING = 1 << 16
"""A word of its own at the end of a stretch between spaces."""
LINE_CLOSING = 1 << 17
"""Ends a line of prose for C4, besides the full stop."""
CUTTING = 1 << 18
"""A word of its own wherever it stands: the ellipsis, pictures, arrows."""
DASH = 1 << 19
"""A run of up to three of these between a letter or digit and a letter is a word of its own."""
RELATION = 1 << 20
"""A word of its own between a letter or digit and a letter."""
OPERATOR = 1 << 21
"""A word of its own between digits."""

CODE_POINTS = 0x110000
# No character above has been assigned but the tags and variation selectors of plane 14.
_ASSIGNED = (range(0x40000), range(0xE0000, 0xE0200))
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_TERMINALS = ".!?\u2026\u061f\u0964\u0965\u0589\u203c\u203d\u2047\u2048\u2049"
_WIDE_TERMINALS = "\u3002\uff01\uff1f\uff61"
_CLOSINGS = "\"')]}\u2019\u201d\u00bb\u203a\u300d\u300f\uff09"
# What spaCy 3.8 (MIT) cuts off the ends of words of English.
_ENDINGS = (
    "\u2026,:;!?\u00bf\u061f\u00a1()[]{}<>_#*&\u3002\uff1f\uff01\uff0c\u3001\uff1b\uff1a\uff5e\u00b7\u0964\u060c\u06d4\u061b\u066a"
    "'\"\u201d\u201c`\u2018\u00b4\u2019\u201a\u201e\u00bb\u00ab\u300c\u300d\u300e\u300f\uff08\uff09\u3014\u3015\u3010\u3011\u300a\u300b\u3008\u3009"
    "\u2329\u232a\u27e6\u27e7\u2014\u2013"
)
_OPENINGS = _ENDINGS + "\u00a7%=+"

PUNCTUATION_CHARACTERS = frozenset(
    "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
    "᪩？⁈𑩂．꩞𑅃﹗𑂾\u1b7d፧𑅂꡶꘎⁉࠾᪨𑊩𑱂᱿𖩮᥅\U00011f43\U00011f44﹒𑈹𑈸።܂؞꛳\U00010f88𑗍𐩖𑙂\u061d꩟᠉\u1b7e𑗗᰼𑻸؟𑪜꧉𑗉𐽙𖫵𖬷܀꓿᜵"
    "𑗏𑁇𑗓𑥄៖𑥆𑗑𑗒꯫۔𐩗\U00010f86꡷\u2e54｡៕߹⸮.𑇅࠹𛲟꫰꤯𐽗᭞𑜼፨𑃁꣏𑇟𖬸𑪛𑜾࠷𝪈?𑃀𑗃！։꣎॥𑗖᭛᠃!၊𖺘⁇𑗌𑑋𖭄᭟𑅁𑙁⸼꩝𑗋。꧈꫱𑜽𐽖𑂿᙮။꛷"
    "\U00010f89៚᥄𑗕𑗎᪪᭚࠽𑇞𑗊𐽘\u2e53𑗔𖩯𑇍𑻷𐽕𑩃।𑗂𑇆𑁈။᱾𑱁꘏܁᜶‼𑈻‽᪫﹖𑑌𑈼\U00010f87𑗐៙᰻"
    + "".join(map(chr, (*range(9), *range(11, 32), *range(127, 160))))
)
"""The punctuation, sentence ends of many scripts and control characters of datatrove 0.10 (Apache-2.0): a
word that has nothing else is a symbol for the Gopher rules. The line feed is not among them."""


@dataclass(frozen=True)
class TextArrays:
    """Texts laid end to end.

    Attributes:
        characters: uint32, the code points of all texts.
        offsets: int64 (n + 1,), text i is `characters[offsets[i]:offsets[i + 1]]`.
    """

    characters: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    def text(self, start: int, end: int) -> str:
        """The text between two positions."""
        return self.characters[start:end].tobytes().decode("utf-32-le")


def text_arrays(texts: Sequence[str]) -> TextArrays:
    """Lay texts end to end; raises UnicodeEncodeError for lone surrogates, which no UTF-8 file holds."""
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    joined = "".join(texts).encode("utf-32-le")
    return TextArrays(np.frombuffer(joined, np.uint32), offsets)


def slices(texts: Sequence[str], characters: int) -> Iterator[slice]:
    """Cut a batch into runs of texts of about that many characters, so that arrays stay in the cache."""
    start, size = 0, 0
    for i, text in enumerate(texts):
        if size and size + len(text) > characters:
            yield slice(start, i)
            start, size = i, 0
        size += len(text)
    if start < len(texts):
        yield slice(start, len(texts))


@cache
def character_classes() -> NDArray[np.uint32]:
    """What each code point is: uint32 (0x110000,), a sum of the flags of this file."""
    table = np.zeros(CODE_POINTS, np.uint32)
    for points in _ASSIGNED:
        letters = [chr(point) for point in points]
        values = np.zeros(len(letters), np.uint32)
        for flag, test in (
            (ALPHA, str.isalpha),
            (DIGIT, str.isdigit),
            (SPACE, str.isspace),
            (UPPER, str.isupper),
            (ALNUM, str.isalnum),
            (DECIMAL, str.isdecimal),
        ):
            values |= np.fromiter(map(test, letters), bool, len(letters)) * np.uint32(flag)
        kinds = [unicodedata.category(letter) for letter in letters]
        for flags, members in (
            (MARK, {"Mn", "Mc", "Me"}),
            (OPENING | ENDING | CUTTING, {"So"}),
            (OPENING, {"Sc"}),
        ):
            values |= np.fromiter((kind in members for kind in kinds), bool, len(kinds)) * np.uint32(flags)
        table[points.start : points.stop] = values
    alone, together = _mojibake_suspects()
    for flag, chosen in (
        (PUNCTUATION, PUNCTUATION_CHARACTERS),
        (LINE_END, _LINE_ENDS),
        (TERMINAL, _TERMINALS),
        (WIDE_TERMINAL, _WIDE_TERMINALS),
        (CLOSING, _CLOSINGS),
        (APOSTROPHE, "'\u2019"),
        (OPENING, _OPENINGS),
        (ENDING, _ENDINGS),
        (CUTTING, "\u2026"),
        (DASH, "-\u2013\u2014~"),
        (RELATION, ":<>=/"),
        (OPERATOR, "+-*^"),
        (LINE_CLOSING, "!?\"'"),
        (SUSPECT, together),
        (SUSPECT_ALONE, alone),
    ):
        table[[ord(member) for member in chosen]] |= np.uint32(flag)
    return table


@cache
def lower_case() -> NDArray[np.uint32]:
    """The lower case of each code point, where it is one code point (so not of U+0130), else itself."""
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    for point in range(0x1F000):
        lower = chr(point).lower()
        if len(lower) == 1:
            table[point] = ord(lower)
    return table


def _mojibake_suspects() -> tuple[str, str]:
    """Characters without which `ftfy.badness` finds nothing: suspects alone, suspects side by side.

    Every pattern of ftfy holds two neighbours that it names, apart from those for C1 controls, the
    ligature oe and the letters A with tilde or circumflex. Most texts have neither, and skip the search.
    """
    import re

    from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES

    named = re.compile("[" + "".join(MOJIBAKE_CATEGORIES.values()) + "]")
    literal = set(BADNESS_RE.pattern)
    letters = map(chr, range(0x80, 0x10000))
    together = "".join(letter for letter in letters if letter in literal or named.match(letter))
    return "".join(map(chr, range(0x80, 0xA0))) + "\u0152\u0153\u00c3\u00c2", together
