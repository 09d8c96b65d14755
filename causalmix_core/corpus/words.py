"""How a text is cut into words and sentences, and the lists of words and phrases that rules look for.

A *word* (apart from the column `words`, which counts stretches between spaces) is what the Gopher rules
and the n-grams count. The rules are spaCy's for English without its lists of exceptions:

- A stretch between spaces loses the punctuation, quotes and symbols at both its ends, each a word of its own
  (at the start also currency signs and `% = +`, but not the plus of `+1`); a run of full stops is one word; a
  full stop at the end stays with a single letter (`A.`, `e.g.`); `'s` at the end is a word.
- What is left is cut at a comma between letters; at `: < > = /` and at one to three dashes between a letter
  or digit and a letter; at `+ - * ^` between digits; at a full stop between a small and a capital letter; at
  two full stops or more, ellipses and symbols such as emoji: these are words of their own.
- An apostrophe between letters starts a new word when one or two letters are left (`don't` is `don`, `'t`).
- An address of the web (it holds `://` or starts with `www.`) is one word.

A *sentence* ends at full stops, exclamation marks, question marks or ellipses (of any script), and the
quotes and brackets that close after them, when a space or the end follows (after CJK full stops whatever
follows); at an empty line; and at the end of the text. It holds at least one letter or digit.
"""

from __future__ import annotations

import numpy as np

from causalmix_core.corpus.text_arrays import character_classes, text_arrays

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Of these a document of English prose has at least two (Rae et al. 2021)."""

STOP_WORDS = frozenset(
    """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves what which who whom this that these those am is
    are was were be been being have has had having do does did doing a an the and but if or because as until
    while of at by for with about against between into through during before after above below to from up
    down in out on off over under again further then once here there when where why how all any both each few
    more most other some such no nor not only own same so than too very s t can will just don should now
    """.split()  # noqa: SIM905
)
"""The 127 English stop words of NLTK's and Porter's list."""

CITATIONS = ("[edit]", "[citation needed]")
"""What C4 takes out of a line, besides `[12]` and `[]`."""

LOREM_IPSUM, JAVASCRIPT = "lorem ipsum", "javascript"
POLICY_PHRASES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip
"""Lines with one of these are dropped by C4."""


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text start and end."""
    from causalmix_core.corpus import text_kernels

    arrays = text_arrays([text])
    starts, ends = np.empty(len(text) + 1, np.int64), np.empty(len(text) + 1, np.int64)
    count = text_kernels.word_spans(arrays.characters, character_classes(), 0, len(text), starts, ends)
    return list(zip(starts[:count].tolist(), ends[:count].tolist(), strict=True))


def split_words(text: str) -> list[str]:
    """The words of a text."""
    return [text[start:end] for start, end in word_spans(text)]


def sentence_count(text: str) -> int:
    """How many sentences a text has."""
    from causalmix_core.corpus import text_kernels

    arrays = text_arrays([text])
    return text_kernels.count_sentences(arrays.characters, character_classes(), 0, len(text))
