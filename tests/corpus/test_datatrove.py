"""Every Gopher and C4 figure and verdict against datatrove's own code, rule by rule."""

from __future__ import annotations

import pydoc_data.topics
import re
import sysconfig
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pytest

from causalmix_core.corpus.measure import document_features
from causalmix_core.corpus.rules import RULES, broken_spans, rule_columns_sql
from causalmix_core.corpus.words import sentence_count, split_words

pytest.importorskip("datatrove", reason="datatrove is not installed (pip install causalmix[test])")

from datatrove.data import Document
from datatrove.pipeline.filters import c4_filters, gopher_quality_filter, gopher_repetition_filter
from datatrove.utils.text import PUNCTUATION_SET, split_into_words

NASTY = [
    "word",
    "\n",
    "\n\n\n",
    " \t ",
    "a\n\n\n\na\n\na\n",
    "...",
    "…",
    "-",
    "•",
    "#" * 9,
    "{",
    "\r\n\r\na\r\nb\rc",
    "x" * 1001 + " is a long word.\nThis line is fine, it really is.",
    "\u2028a\x85b\x1cc\vd\fe.",
    "- one\n - two\n• three\n* four\n  • five...\nsix…  \n",
    "e\u0301a\u0301 \u0915\u094d\u0937 n\u0303o. " * 5,
    "\u6211\u4eec\u5728\u8fd9\u91cc\u3002\u4f60\u597d\u5417\uff1f\u597d\uff01\n" * 4,
    "\U0001f600 \U0001f600\U0001f601 \U0001f469\u200d\U0001f4bb " * 6,
    "!?!? ;;; ((( ))) --- ===\n" * 5,
    "Lorem Ipsum dolor sit amet.\nlorem[3] ipsum is no placeholder here.",
    "Please enable JavaScript in your browser now.\n" * 3 + "We like coffee and tea, don't we?\n" * 2,
    "Read our privacy policy or Terms of Use today.\nThis site uses cookies.\nWe coo\u212aies bake for you.",
    "A sentence here. [1]\nA sentence here.[12]\nAn edit was made.[edit]\nReally?[citation needed]\n"
    "Odd ..[1].\nOdd [x] again.\nOpen [12 bracket.\nEmpty [] here.[]\nDigits [\u0663] here.[\u0663]",
    "the the the the the the the the " * 9,
    "to be or not to be that is the question with and of have\n" * 12,
    "a b c d e a b c d e a b c d e f g h i j k",
    "ab c d e f a bc d e f ab c d e f",
    "#tag #tag2 hello... world… and...... more",
    "it's don't O'Brien's 'quoted' rock'n'roll",
    "3.14 1,000 10:30 os.path snake_case __init__ foo__bar a.b.c. U.S. x,y 1,a",
    "İstanbul ǅ ß ﬁ ½ ² ① Ⅷ",
    "\x00\x01\x7f\x9f",
    "One. Two! Three? \"Four.\" (Five.) 'Six!' Seven... eight. www.example.org 3.5 ok.\n" * 3,
    "same line\nother\n" * 40,
    "para one\n\npara one\n\npara two" * 3,
]


@cache
def documents() -> tuple[str, ...]:
    """Some hundreds of documents: code, prose, licences, help texts, and strange ones."""
    library = Path(sysconfig.get_path("stdlib"))
    code = [path.read_text(errors="replace")[:20_000] for path in sorted(library.glob("*.py"))[:110]]
    site = Path(sysconfig.get_path("purelib"))
    notes = sorted({*site.glob("*.dist-info/**/LICEN*"), *site.glob("*.dist-info/METADATA")})
    notes = [p for p in notes if p.is_file()]
    prose = [p.read_text(errors="replace")[:20_000] for p in notes[:: max(1, len(notes) // 120)]]
    topics = [text for text in pydoc_data.topics.topics.values() if text.strip()]
    unwrapped = [text.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n") for text in topics]
    pieces = [line for text in code[:30] for line in text.split("\n\n") if line.strip()][:200]
    return (*NASTY, *code, *prose, *topics, *unwrapped, *pieces)


@cache
def measured():
    table = document_features(documents())
    con = duckdb.connect()
    con.register("features", table)
    return con.sql(f"SELECT *, {rule_columns_sql()} FROM features").fetchnumpy()


@pytest.fixture
def same_words(monkeypatch):
    """datatrove's filters, cutting texts into words and sentences as we do."""
    for module in (gopher_quality_filter, gopher_repetition_filter):
        monkeypatch.setattr(module, "split_into_words", lambda text, language: split_words(text))
    sentences = lambda text, language: [""] * sentence_count(text)  # noqa: E731
    monkeypatch.setattr(c4_filters, "split_into_sentences", sentences)


NO_QUALITY = {
    "min_doc_words": None, "max_doc_words": None, "min_avg_word_length": None, "max_avg_word_length": None,
    "max_symbol_word_ratio": None, "max_bullet_lines_ratio": None, "max_ellipsis_lines_ratio": None,
    "max_non_alpha_words_ratio": None, "min_stop_words": None,
}  # fmt: skip
QUALITY = {
    "gopher_short_doc": {"min_doc_words": 50},
    "gopher_long_doc": {"max_doc_words": 100_000},
    "gopher_below_avg_threshold": {"min_avg_word_length": 3},
    "gopher_above_avg_threshold": {"max_avg_word_length": 10},
    "gopher_too_many_hashes": {"max_symbol_word_ratio": 0.1},
    "gopher_too_many_ellipsis": {"max_symbol_word_ratio": 0.1},
    "gopher_too_many_bullets": {"max_bullet_lines_ratio": 0.9},
    "gopher_too_many_end_ellipsis": {"max_ellipsis_lines_ratio": 0.3},
    "gopher_below_alpha_threshold": {"max_non_alpha_words_ratio": 0.8},
    "gopher_enough_stop_words": {"min_stop_words": 2},
}
NO_REPETITION = {
    "dup_line_frac": None, "dup_para_frac": None, "dup_line_char_frac": None, "dup_para_char_frac": None,
    "top_n_grams": (), "dup_n_grams": (),
}  # fmt: skip
REPETITION = {
    "gopher_dup_line_frac": {"dup_line_frac": 0.3},
    "gopher_dup_para_frac": {"dup_para_frac": 0.3},
    "gopher_dup_line_char_frac": {"dup_line_char_frac": 0.2},
    "gopher_dup_para_char_frac": {"dup_para_char_frac": 0.2},
    **{f"gopher_top_{n}_gram": {"top_n_grams": ((n, f),)} for n, f in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{f"gopher_duplicated_{n}_n_grams": {"dup_n_grams": ((n, (20 - n) / 100),)} for n in range(5, 11)},
}
NO_C4 = {
    "filter_no_terminal_punct": False, "min_num_sentences": -1, "min_words_per_line": -1,
    "max_word_length": -1, "filter_lorem_ipsum": False, "filter_javascript": False,
    "filter_curly_bracket": False, "filter_policy": False,
}  # fmt: skip
C4 = {
    "c4_lorem_ipsum": {"filter_lorem_ipsum": True},
    "c4_curly_bracket": {"filter_curly_bracket": True},
    "c4_too_few_sentences": {
        "filter_no_terminal_punct": True, "min_num_sentences": 5, "min_words_per_line": 3,
        "max_word_length": 1000, "filter_javascript": True, "filter_policy": True,
    },
}  # fmt: skip


def reason(filter_, text: str) -> str | None:
    """Why datatrove drops a text; None where it keeps it."""
    answer = filter_.filter(Document(text=text, id="0"))
    return None if answer is True else answer[1]


def verdicts(filter_, name: str, texts: Sequence[str]) -> list[bool | None]:
    """Whether datatrove says that each document breaks one rule, all the other rules being off."""
    given: list[bool | None] = []
    for text in texts:
        try:
            why = reason(filter_, text)
        except ZeroDivisionError:  # datatrove divides by the number of words, and blank texts have none
            assert not text.strip()
            given.append(None)
            continue
        # hashes and ellipses share a threshold: the first one hides the second
        given.append(why is not None and name.endswith(why))
    return given


def with_datatrove(name: str, texts: Sequence[str]) -> list[bool | None]:
    with np.errstate(all="ignore"):
        if name in QUALITY:
            options = NO_QUALITY | QUALITY[name]
            return verdicts(gopher_quality_filter.GopherQualityFilter(**options), name, texts)
        if name in REPETITION:
            options = NO_REPETITION | REPETITION[name]
            return verdicts(gopher_repetition_filter.GopherRepetitionFilter(**options), name, texts)
        return verdicts(c4_filters.C4QualityFilter(**NO_C4 | C4[name]), name, texts)


def test_no_rule_is_left_out():
    assert set(RULES) == {*QUALITY, *REPETITION, *C4}
    assert len(documents()) > 400


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("name", RULES)
def test_every_verdict_agrees(name, same_words):
    ours, theirs = measured()[name], with_datatrove(name, documents())
    hidden = name == "gopher_too_many_ellipsis"
    hashes = measured()["gopher_too_many_hashes"]
    compared = [i for i, theirs_ in enumerate(theirs) if theirs_ is not None and not (hidden and hashes[i])]
    assert len(compared) > 400
    wrong = [(documents()[i][:80], ours[i]) for i in compared if ours[i] != theirs[i]]
    assert not wrong
    if name not in ("gopher_long_doc",):
        assert len({bool(ours[i]) for i in compared}) == 2, "the documents do not try both verdicts"


def test_underlying_numbers_of_gopher_quality_agree():
    found = measured()
    for i, text in enumerate(documents()):
        words = split_words(text)
        plain = [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
        lines, n = text.splitlines(), max(len(words), 1)
        expected = {
            "gopher_words": len(plain),
            "gopher_word_length": np.mean([len(w) for w in plain]) if plain else 0,
            "hash_ratio": text.count("#") / n,
            "ellipsis_ratio": (text.count("...") + text.count("…")) / n,
            "bullet_line_ratio": sum(s.lstrip().startswith(("•", "-")) for s in lines) / len(lines),
            "ellipsis_line_ratio": sum(s.rstrip().endswith(("...", "…")) for s in lines) / len(lines),
            "alphabetic_word_ratio": sum(any(c.isalpha() for c in w) for w in words) / n,
            "gopher_stop_words": len(set(gopher_quality_filter.STOP_WORDS) & set(words)),
        }
        for name, value in expected.items():
            assert found[name][i] == np.float32(value), (name, text[:80])


def test_underlying_numbers_of_gopher_repetition_agree():
    trove = gopher_repetition_filter
    own = trove.GopherRepetitionFilter()
    found = measured()
    for i, text in enumerate(documents()):
        lines, paragraphs = own._line_splitter.split(text), own.paragraph_exp.split(text.strip())
        words = split_words(text)
        expected = {}
        for name, pieces in (("line", lines), ("paragraph", paragraphs)):
            count, characters = trove.find_duplicates(pieces)
            expected[f"duplicate_{name}_ratio"] = count / len(pieces)
            expected[f"duplicate_{name}_character_ratio"] = characters / len(text)
        for n in (2, 3, 4):
            ngrams = trove.get_n_grams(words, n)
            top = trove.find_top_duplicate(ngrams) if ngrams else 0
            expected[f"top_{n}_gram_ratio"] = top / len(text)
        for n in range(5, 11):
            expected[f"duplicate_{n}_gram_ratio"] = trove.find_all_duplicate(words, n) / len(text)
        for name, value in expected.items():
            assert found[name][i] == np.float32(value), (name, text[:80])


LINE_FILTERS = {
    "javascript_line_ratio": ("javascript", {"filter_javascript": True}),
    "policy_line_ratio": ("policy", {"filter_policy": True}),
    "unpunctuated_line_ratio": ("no_terminal_punc", {"filter_no_terminal_punct": True}),
    "short_line_ratio": ("too_few_words", {"min_words_per_line": 3}),
    "long_word_line_ratio": ("too_long_word", {"max_word_length": 1000}),
}


@pytest.mark.parametrize("feature", LINE_FILTERS)
def test_lines_dropped_by_c4_agree(feature, monkeypatch):
    event, options = LINE_FILTERS[feature]
    own = c4_filters.C4QualityFilter(**NO_C4 | options)
    events: Counter[str] = Counter()
    monkeypatch.setattr(own, "stat_update", lambda *names: events.update(names))
    for i, text in enumerate(documents()):
        events.clear()
        reason(own, text)
        share = events[f"line-filter-{event}"] / events["line-total"]
        assert measured()[feature][i] == np.float32(share), text[:80]


def test_sentences_kept_by_c4_agree(monkeypatch):
    kept: list[str] = []
    splitter = lambda line, language: kept.append(line) or []  # noqa: E731
    monkeypatch.setattr(c4_filters, "split_into_sentences", splitter)
    own = c4_filters.C4QualityFilter(**NO_C4 | C4["c4_too_few_sentences"])
    for i, text in enumerate(documents()):
        kept.clear()
        reason(own, text)
        assert measured()["c4_sentences"][i] == sum(map(sentence_count, kept)), text[:80]


@pytest.mark.parametrize(
    "name", [n for n in RULES if n.startswith(("gopher_dup", "gopher_top", "gopher_too", "c4"))]
)
def test_a_broken_rule_is_shown_in_the_text(name):
    broken = np.flatnonzero(measured()[name])[:60]
    for i in broken.tolist():
        text = documents()[i]
        spans = broken_spans(text, name)
        if name == "c4_too_few_sentences" and not text.strip():
            continue
        if name in ("c4_too_few_sentences", "c4_lorem_ipsum") and not spans:
            continue  # a short text may break the rule without a bad line
        assert spans or not text.strip(), text[:80]
        assert all(0 <= a < b <= len(text) for a, b in spans)
        assert all(spans[k][1] <= spans[k + 1][0] for k in range(len(spans) - 1))
        if name.startswith("gopher_dup_") and name.endswith("char_frac"):
            share = sum(b - a for a, b in spans) / len(text)
            feature = name.replace("gopher_dup", "duplicate").replace("para_char", "paragraph_char")
            assert np.float32(share) == measured()[feature.replace("char_frac", "character_ratio")][i]


def test_ratios_have_datatroves_values_where_they_have_its_definitions():
    from datatrove.pipeline.stats import DocStats, LineStats

    # made without __init__, which wants packages and an output folder that counting does not need
    doc, line = object.__new__(DocStats), object.__new__(LineStats)
    doc.elipsis_regex = doc.punc_regex = re.compile("x")
    line.short_max_chars, line.long_max_chars, line.ignore_empty_lines = [], [], False
    found = measured()
    for i, text in enumerate(documents()):
        theirs = doc.extract_stats(Document(text=text, id="0"))
        for ours, name in (
            ("characters", "length"),
            ("digit_ratio", "digit_ratio"),
            ("upper_ratio", "uppercase_ratio"),
            ("whitespace_ratio", "white_space_ratio"),
        ):
            assert found[ours][i] == np.float32(theirs[name]), (ours, text[:80])
        marks = sum(unicodedata.category(c)[0] == "M" for c in text) / len(text)
        rest = found["symbol_ratio"][i] + found["whitespace_ratio"][i] + marks
        assert rest == pytest.approx(theirs["non_alpha_digit_ratio"], abs=1e-6)
        lines = line.extract_stats(Document(text=text, id="0", metadata={}))
        assert found["lines"][i] == lines["n_lines"] - text.endswith("\n")
        mean = lines["avg_line_length"] * lines["n_lines"] / found["lines"][i]
        assert found["mean_line_length"][i] == pytest.approx(mean, rel=1e-6)
        assert found["words"][i] == len(text.split())


# What depends on how a text is cut into words or sentences; the rest has been compared above.
BY_WORDS = [
    *(n for n in RULES if n.endswith(("_doc", "_threshold", "_words", "_hashes", "_gram", "_n_grams"))),
    "c4_too_few_sentences",
]


@cache
def spacy_words(text: str) -> list[str]:
    return split_into_words(text, "en")


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("name", BY_WORDS)
def test_datatroves_own_words_hardly_change_a_verdict(name, monkeypatch):
    pytest.importorskip("spacy", reason="spacy, datatrove's English tokenizer, is not installed")
    for module in (gopher_quality_filter, gopher_repetition_filter):
        monkeypatch.setattr(module, "split_into_words", lambda text, language: spacy_words(text))
    chosen = slice(len(NASTY), None, 3)
    ours, theirs = measured()[name][chosen], with_datatrove(name, documents()[chosen])
    assert len(ours) > 150  # how many, and which, depends on what is installed
    same = np.mean([bool(a) == bool(b) for a, b in zip(ours, theirs, strict=True)])
    assert same >= 0.96
