"""The rules as SQL over the features, and where a document breaks them."""

from __future__ import annotations

from itertools import pairwise

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.corpus.features import FEATURES, MODEL_FEATURES, POOL_FEATURES
from causalmix_core.corpus.measure import document_features
from causalmix_core.corpus.rules import RULES, broken_spans, rule_columns_sql
from causalmix_core.corpus.words import split_words
from causalmix_core.errors import CausalMixError

PROSE = "\n".join(f"The {n} of the town came to see what was left of it, and they stayed." for n in
                  ("mayor", "baker", "judge", "smith", "nurse", "clerk"))  # fmt: skip


def broken(text: str) -> set[str]:
    con = duckdb.connect()
    con.register("features", document_features([text]))
    row = con.sql(f"SELECT {rule_columns_sql()} FROM features").fetchnumpy()
    return {name for name in RULES if row[name][0]}


def shown(text: str, rule: str) -> list[str]:
    return [text[a:b] for a, b in broken_spans(text, rule)]


def test_rules_are_named_and_explained():
    taken = {*FEATURES, *POOL_FEATURES, *MODEL_FEATURES}
    for name, rule in RULES.items():
        assert rule.name == name
        assert name.startswith("c4_" if rule.family == "c4" else "gopher_")
        assert name not in taken
        assert rule.label
        assert len(rule.help) > 20
        assert rule.source
    assert len(RULES) == 10 + 13 + 3


def test_a_verdict_is_never_null():
    con = duckdb.connect()
    con.register("features", document_features(["", " ", "x", "…", "# # #", "word " * 60, PROSE]))
    table = con.sql(f"SELECT {rule_columns_sql()} FROM features").to_arrow_table()
    assert table.column_names == list(RULES)
    assert {str(field.type) for field in table.schema} == {"bool"}
    assert sum(column.null_count for column in table.columns) == 0


def test_prose_breaks_no_rule_but_those_about_repetition():
    assert not {name for name in broken(PROSE) if RULES[name].family != "gopher_repetition"}


def test_a_value_on_the_threshold_keeps_the_rule():
    # 3 of 10 lines repeat an earlier one, which is not more than 0.3
    at = "\n".join([*"abcdefg", "a", "b", "c"])
    assert "gopher_dup_line_frac" not in broken(at)
    assert "gopher_dup_line_frac" in broken(at + "\nd")
    # 1 hash sign in 10 words
    assert "gopher_too_many_hashes" not in broken("# one two three four five six seven eight nine")
    assert "gopher_too_many_hashes" in broken("# one two three four five six seven eight")
    assert "gopher_short_doc" not in broken("word " * 50)
    assert "gopher_short_doc" in broken("word " * 49 + "! ! !")


def test_repeated_lines_and_paragraphs_are_shown():
    text = "menu\nmenu\n\ntext\nmenu"
    spans = broken_spans(text, "gopher_dup_line_frac")
    assert spans == [(5, 9), (16, 20)]
    assert broken_spans(text, "gopher_dup_line_char_frac") == spans
    paragraphs = "\n\n a b\nc\n\nd\n\n\na b\nc\n"
    assert shown(paragraphs, "gopher_dup_para_frac") == ["a b\nc"]
    assert broken_spans(paragraphs, "gopher_dup_para_char_frac")[0][0] == 14


def test_ngrams_are_shown():
    text = "buy now! and buy now! or buy now later"
    assert shown(text, "gopher_top_2_gram") == ["buy now"] * 3
    assert shown("aa aa aa aa", "gopher_top_2_gram") == ["aa aa aa aa"]
    text = "a b c d e x a b c d e"
    assert broken_spans(text, "gopher_duplicated_5_n_grams") == [(12, 21)]
    assert shown(text, "gopher_duplicated_6_n_grams") == []


def test_signs_and_lines_are_shown():
    assert broken_spans("#a #b", "gopher_too_many_hashes") == [(0, 1), (3, 4)]
    assert shown("so.... and …", "gopher_too_many_ellipsis") == ["...", "…"]
    assert shown(" - one\nno\n\u2022 two ", "gopher_too_many_bullets") == ["- one", "\u2022 two"]
    assert shown("cut...\nwhole.\noff… ", "gopher_too_many_end_ellipsis") == ["cut...", "off…"]
    assert shown("in 1999 (approx.)", "gopher_below_alpha_threshold") == ["1999", "(", ".", ")"]
    assert shown("a Lorem IPSUM b", "c4_lorem_ipsum") == ["Lorem IPSUM"]
    assert broken_spans("if (x) { y }", "c4_curly_bracket") == [(7, 8)]


def test_lines_that_c4_drops_are_shown():
    kept = "This line is a whole sentence.\nAnd this one too, dear reader! [12]\n"
    dropped = [
        "Home | About | Contact", "Two words.", "Please enable JavaScript to go on.",
        "We wrote a privacy policy for you.", "It went on and on...", "x" * 1001 + " is a word.",
    ]  # fmt: skip
    # a citation at the end leaves a space behind it, which is no punctuation
    assert shown(kept + "\n".join(dropped), "c4_too_few_sentences") == [
        "And this one too, dear reader! [12]",
        *dropped,
    ]


def test_a_rule_about_the_whole_document_shows_nothing():
    for rule in (
        "gopher_short_doc",
        "gopher_long_doc",
        "gopher_above_avg_threshold",
        "gopher_enough_stop_words",
    ):
        assert broken_spans("word", rule) == []


def test_an_unknown_rule_is_refused_in_words():
    with pytest.raises(CausalMixError, match="There is no rule 'gopher_tall_doc'"):
        broken_spans("text", "gopher_tall_doc")


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("ab. \n#-…{1•"), max_size=80), st.sampled_from(sorted(RULES)))
def test_spans_lie_in_order_inside_the_text(text, rule):
    spans = broken_spans(text, rule)
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(b <= c for (_, b), (c, _) in pairwise(spans))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["a", "b", "c,", "d.e", "(f", "\n"]), max_size=60), st.integers(5, 10))
def test_shown_ngrams_have_the_length_that_was_measured(pieces, n):
    text = " ".join(pieces) or "x"
    letters = sum(len("".join(split_words(part))) for part in shown(text, f"gopher_duplicated_{n}_n_grams"))
    value = document_features([text])[f"duplicate_{n}_gram_ratio"][0].as_py()
    assert value == pytest.approx(letters / len(text), rel=1e-6)
