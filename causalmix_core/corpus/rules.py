"""The rules by which Gopher and C4 drop documents, as SQL over the features.

Thresholds and names are those of datatrove's filters (GopherQualityFilter, GopherRepetitionFilter,
C4QualityFilter), each name with its family in front. A rule is a predicate, so verdicts are never stored and
a curator may move a threshold by writing the same comparison with another number.

Thresholds are compared as FLOAT because the ratios are stored so: 0.3 as FLOAT is not above 0.3.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from causalmix_core.corpus.words import CITATIONS, JAVASCRIPT, LOREM_IPSUM, POLICY_PHRASES, word_spans
from causalmix_core.errors import CausalMixError

RuleFamily = Literal["gopher_quality", "gopher_repetition", "c4"]
Span = tuple[int, int]


@dataclass(frozen=True)
class Rule:
    """A reason to drop a document.

    Attributes:
        name: column of the verdict: datatrove's reason with the family in front.
        family: which set of rules it belongs to.
        label: what a page calls it.
        help: what it means, for a curator.
        source: where it comes from.
        predicate: DuckDB SQL over the feature columns; true where the document breaks the rule, never NULL.
    """

    name: str
    family: RuleFamily
    label: str
    help: str
    source: str
    predicate: str


_QUALITY = "datatrove GopherQualityFilter; Rae et al. 2021, appendix A1"
_REPETITION = "datatrove GopherRepetitionFilter; Rae et al. 2021, table A1"
_C4 = "datatrove C4QualityFilter; Raffel et al. 2020, section 2.2"


def _quality(name: str, label: str, help: str, predicate: str) -> Rule:
    return Rule(name, "gopher_quality", label, help, _QUALITY, predicate)


def _repetition(name: str, label: str, help: str, feature: str, threshold: str) -> Rule:
    predicate = f"{feature} > {threshold}::FLOAT"
    return Rule(name, "gopher_repetition", label, help, _REPETITION, predicate)


_RULES = (
    _quality(
        "gopher_short_doc", "Fewer than 50 words",
        "Too short to say much: fewer than 50 words, punctuation not counted.", "gopher_words < 50",
    ),
    _quality(
        "gopher_long_doc", "More than 100,000 words",
        "So long that it is more likely a dump than a document.", "gopher_words > 100000",
    ),
    _quality(
        "gopher_below_avg_threshold", "Very short words",
        "Words of fewer than 3 characters on average: often formulas, tables or single letters.",
        "gopher_words > 0 AND gopher_word_length < 3",
    ),
    _quality(
        "gopher_above_avg_threshold", "Very long words",
        "Words of more than 10 characters on average: encoded data, identifiers, scripts without spaces.",
        "gopher_word_length > 10",
    ),
    _quality(
        "gopher_too_many_hashes", "Many hash signs",
        "More than one hash sign for ten words, as in tags or comments.", "hash_ratio > 0.1::FLOAT",
    ),
    _quality(
        "gopher_too_many_ellipsis", "Many ellipses",
        "More than one ellipsis for ten words, as where texts are cut off.", "ellipsis_ratio > 0.1::FLOAT",
    ),
    _quality(
        "gopher_too_many_bullets", "Mostly bullet points",
        "More than 90 % of the lines start with a bullet or hyphen.", "bullet_line_ratio > 0.9::FLOAT",
    ),
    _quality(
        "gopher_too_many_end_ellipsis", "Lines that break off",
        "More than 30 % of the lines end with an ellipsis.", "ellipsis_line_ratio > 0.3::FLOAT",
    ),
    _quality(
        "gopher_below_alpha_threshold", "Few words with letters",
        "Fewer than 80 % of words and symbols hold a letter: numbers, code, tables.",
        "alphabetic_word_ratio < 0.8::FLOAT",
    ),
    _quality(
        "gopher_enough_stop_words", "No English sentences",
        "Fewer than two of: the, be, to, of, and, that, have, with. Other languages break this rule too.",
        "gopher_stop_words < 2",
    ),
    _repetition(
        "gopher_dup_line_frac", "Repeated lines", "More than 30 % of the lines repeat an earlier one.",
        "duplicate_line_ratio", "0.3",
    ),
    _repetition(
        "gopher_dup_line_char_frac", "Text in repeated lines",
        "More than 20 % of the text is in lines that repeat an earlier one.",
        "duplicate_line_character_ratio", "0.2",
    ),
    _repetition(
        "gopher_dup_para_frac", "Repeated paragraphs",
        "More than 30 % of the paragraphs repeat an earlier one.", "duplicate_paragraph_ratio", "0.3",
    ),
    _repetition(
        "gopher_dup_para_char_frac", "Text in repeated paragraphs",
        "More than 20 % of the text is in paragraphs that repeat an earlier one.",
        "duplicate_paragraph_character_ratio", "0.2",
    ),
    *(
        _repetition(
            f"gopher_top_{n}_gram", f"One {n}-gram dominates",
            f"More than {round(100 * float(threshold))} % of the text is one sequence of {n} words. Very "
            "short texts break this rule too.",
            f"top_{n}_gram_ratio", threshold,
        )
        for n, threshold in ((2, "0.2"), (3, "0.18"), (4, "0.16"))
    ),
    *(
        _repetition(
            f"gopher_duplicated_{n}_n_grams", f"Repeated {n}-grams",
            f"More than {20 - n} % of the text repeats an earlier sequence of {n} words.",
            f"duplicate_{n}_gram_ratio", f"0.{20 - n}",
        )
        for n in range(5, 11)
    ),
    Rule(
        "c4_lorem_ipsum", "c4", "Lorem ipsum", "The document holds placeholder text.", _C4, "lorem_ipsum",
    ),
    Rule(
        "c4_curly_bracket", "c4", "Curly bracket",
        "The document holds an opening curly bracket: C4 takes it for code. All code breaks this rule.",
        _C4, "curly_bracket",
    ),
    Rule(
        "c4_too_few_sentences", "c4", "Fewer than 5 sentences",
        "Fewer than five sentences are left when lines that do not look like prose are dropped. Prose whose "
        "lines were wrapped, code and short notes break this rule.",
        _C4, "c4_sentences < 5",
    ),
)  # fmt: skip

RULES: dict[str, Rule] = {rule.name: rule for rule in _RULES}
"""Every rule, by name."""


def rule_columns_sql() -> str:
    """All rules as a list of SQL columns: `gopher_words < 50 AS gopher_short_doc, ...`."""
    return ", ".join(f"({rule.predicate}) AS {rule.name}" for rule in RULES.values())


def broken_spans(text: str, rule: str) -> list[Span]:
    """Where a document breaks a rule, to highlight it.

    Args:
        text: the document.
        rule: name of a rule.

    Returns:
        Character spans, in order, without overlap: the repeated lines or n-grams, the lines that C4 drops,
        the brackets, and so on. Empty where a rule is about the document as a whole, such as its length.

    Raises:
        CausalMixError: there is no such rule.
    """
    if rule not in RULES:
        raise CausalMixError(f"There is no rule {rule!r}. The rules are: {', '.join(RULES)}.")
    if rule in _PATTERNS:
        return [found.span() for found in _PATTERNS[rule].finditer(text)]
    if rule.startswith("gopher_dup_line"):
        return _repeated(text, _pieces(text, 0, len(text), r"\n+"))
    if rule.startswith("gopher_dup_para"):
        start = len(text) - len(text.lstrip())
        return _repeated(text, _pieces(text, start, start + len(text.strip()), r"\n{2,}"))
    if found := re.fullmatch(r"gopher_top_(\d)_gram", rule):
        return _top_ngram(text, int(found[1]))
    if found := re.fullmatch(r"gopher_duplicated_(\d+)_n_grams", rule):
        return _duplicate_ngrams(text, int(found[1]))
    if rule == "gopher_below_alpha_threshold":
        return [(a, b) for a, b in word_spans(text) if not any(map(str.isalpha, text[a:b]))]
    if rule in _LINES:
        return [(a, b) for a, b in _lines(text) if _LINES[rule](text[a:b])]
    return []


_PATTERNS = {
    "gopher_too_many_hashes": re.compile("#"),
    "gopher_too_many_ellipsis": re.compile(r"\.\.\.|\u2026"),
    "c4_lorem_ipsum": re.compile(LOREM_IPSUM, re.IGNORECASE),
    "c4_curly_bracket": re.compile("{"),
}
_CITATION = re.compile(r"\[\d*]|" + "|".join(map(re.escape, CITATIONS)))


def _is_bullet(line: str) -> bool:
    return line.startswith(("\u2022", "-"))


def _breaks_off(line: str) -> bool:
    return line.endswith(("...", "\u2026"))


def dropped_by_c4(line: str) -> bool:
    """Whether C4 drops a line (stripped of spaces around it) from a document."""
    words = line.split()
    if len(words) < 3 or any(len(word) > 1000 for word in words):
        return True
    kept = _CITATION.sub("", line)
    if not kept.endswith((".", "?", "!", '"', "'")) or kept.endswith("..."):
        return True
    lower = kept.lower()
    return JAVASCRIPT in lower or any(phrase in lower for phrase in POLICY_PHRASES)


_LINES = {
    "gopher_too_many_bullets": _is_bullet,
    "gopher_too_many_end_ellipsis": _breaks_off,
    "c4_too_few_sentences": dropped_by_c4,
}


def _lines(text: str) -> Iterator[Span]:
    """Where each line that is not blank starts and ends, without the spaces around it."""
    start = 0
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if stripped:
            a = start + line.index(stripped)
            yield a, a + len(stripped)
        start += len(line)


def _pieces(text: str, start: int, end: int, gap: str) -> Iterator[Span]:
    for found in re.compile(gap).finditer(text, start, end):
        yield start, found.start()
        start = found.end()
    yield start, end


def _repeated(text: str, spans: Iterator[Span]) -> list[Span]:
    seen: set[str] = set()
    repeated = []
    for a, b in spans:
        if text[a:b] in seen and a < b:
            repeated.append((a, b))
        seen.add(text[a:b])
    return repeated


def _top_ngram(text: str, n: int) -> list[Span]:
    spans = word_spans(text)
    words = [text[a:b] for a, b in spans]
    ngrams = list(zip(*(words[i:] for i in range(n)), strict=False))
    if not ngrams:
        return []
    top = Counter(ngrams).most_common(1)[0][0]
    found: list[Span] = []
    for i, ngram in enumerate(ngrams):
        if ngram == top:
            a, b = spans[i][0], spans[i + n - 1][1]
            if found and a < found[-1][1]:
                found[-1] = (found[-1][0], b)
            else:
                found.append((a, b))
    return found


def _duplicate_ngrams(text: str, n: int) -> list[Span]:
    spans = word_spans(text)
    seen: set[str] = set()
    found = []
    i = 0
    while i + n <= len(spans):
        ngram = "".join(text[a:b] for a, b in spans[i : i + n])
        if ngram in seen:
            found.append((spans[i][0], spans[i + n - 1][1]))
            i += n
        else:
            seen.add(ngram)
            i += 1
    return found
