"""The registry of features, and their values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import zstandard

from causalmix_core.corpus.features import (
    FEATURES,
    MODEL_FEATURES,
    NUMERIC_FEATURES,
    POOL_FEATURES,
    STATE_FEATURES,
)
from causalmix_core.corpus.measure import SQL_FEATURES, document_features


def row(text: str) -> dict:
    return document_features([text]).to_pylist()[0]


def test_values_computed_by_hand():
    # 5 + 1 + 3 + 1 + 2 + 1 = 13 characters; the two of `né` take one and two bytes.
    text = "abC12 né!\nx_\n"
    found = row(text)
    assert found["bytes"] == found["tokens"] - 1 == 14
    assert found["characters"] == 13
    assert found["words"] == 3
    assert found["lines"] == 2
    assert found["alpha_ratio"] == pytest.approx(6 / 13)
    assert found["digit_ratio"] == pytest.approx(2 / 13)
    assert found["symbol_ratio"] == pytest.approx(2 / 13)
    assert found["upper_ratio"] == pytest.approx(1 / 13)
    assert found["whitespace_ratio"] == pytest.approx(3 / 13)
    assert found["mean_word_length"] == pytest.approx(10 / 3)
    assert found["mean_line_length"] == pytest.approx(11 / 2)
    assert found["max_line_length"] == 9
    assert found["log_bytes"] == pytest.approx(math.log(14))
    assert found["compression_ratio"] == pytest.approx(
        len(zstandard.ZstdCompressor(level=3).compress(text.encode())) / 14
    )


def test_a_redundant_document_compresses_better():
    redundant, diverse = document_features(["spam " * 400, " ".join(map(str, range(500)))]).to_pylist()
    assert redundant["compression_ratio"] < 0.05 < diverse["compression_ratio"] < 1


def test_an_unfinished_last_line_counts_as_a_line():
    lines = document_features(["one", "one\n", "one\ntwo", "\n\n x"])["lines"].to_pylist()
    assert lines == [1, 1, 2, 3]


def test_repetition_computed_by_hand():
    # the line is repeated twice of three times; 9 of 29 characters each
    found = row("one line.\none line.\none line.")
    assert found["duplicate_line_ratio"] == pytest.approx(2 / 3)
    assert found["duplicate_line_character_ratio"] == pytest.approx(18 / 29)
    # words: one line . one line . one line .: `one line` three times, 8 characters each with its space
    assert found["top_2_gram_ratio"] == pytest.approx(24 / 29)
    # the 5-gram that starts at the fourth word stood at the first: one line . one line, 15 characters
    assert found["duplicate_5_gram_ratio"] == pytest.approx(15 / 29)
    paragraphs = row("a b\n\na b\n\nc")
    assert paragraphs["duplicate_paragraph_ratio"] == pytest.approx(1 / 3)
    assert paragraphs["duplicate_paragraph_character_ratio"] == pytest.approx(3 / 11)


def test_stop_words_are_counted_whatever_their_case_and_punctuation():
    assert row("The cat, (and) THE dog; into: theory")["stop_word_ratio"] == pytest.approx(4 / 7)


def test_language_is_detected_and_scored():
    texts = [
        "The committee decided to postpone the meeting until the following week.",
        "Der Ausschuss beschloss, die Sitzung auf die folgende Woche zu verschieben.",
        "Комитет решил перенести заседание на следующую неделю.",
        " \n ",
    ]
    table = document_features(texts)
    assert table["language"].to_pylist() == ["en", "de", "ru", "und"]
    scores = table["language_score"].to_pylist()
    assert min(scores[:3]) > 0.5
    assert scores[3] == 0


def test_mojibake_is_counted_per_thousand_characters():
    clean, broken, ascii_only = document_features(
        ["Das schöne Mädchen aß — „gut“ — 20 €.", "Das schÃ¶ne MÃ¤dchen aÃŸ â€“ gut", "plain text"]
    )["mojibake"].to_pylist()
    assert clean == ascii_only == 0
    assert broken > 50


def test_flesch_computed_by_hand():
    # 6 words in 2 sentences; syllables: the 1, cat 1, sat 1, ho-li-day 3, be-gan 2 (hyphenation), now 1
    easy = row("The cat sat. Holiday began now!")["flesch"]
    assert easy == pytest.approx(206.835 - 1.015 * 3 - 84.6 * 9 / 6, abs=1e-3)
    assert row("123 456 !?")["flesch"] == 0
    assert row("word " * 5000)["flesch"] == -100


def test_every_feature_is_computed_and_explained():
    table = document_features(["a document", "b"])
    assert table.column_names == list(FEATURES)
    assert set(STATE_FEATURES) <= set(NUMERIC_FEATURES) < set(FEATURES)
    assert {n for n, f in FEATURES.items() if f.computed == "sql"} == set(SQL_FEATURES)
    kinds = [feature.kind for feature in FEATURES.values()]
    assert kinds == sorted(kinds, key=["number", "flag", "text"].index)
    everything = FEATURES | POOL_FEATURES | MODEL_FEATURES
    assert len(everything) == len(FEATURES) + len(POOL_FEATURES) + len(MODEL_FEATURES)
    for name, feature in everything.items():
        assert feature.name == name
        assert feature.label
        assert len(feature.help) > 30
        assert feature.source
        assert feature.definition
        assert "\n" not in feature.definition
    for name, feature in FEATURES.items():
        expected = {"text": "string", "flag": "bool"}.get(feature.kind, "int64" if feature.whole else "float")
        assert str(table.schema.field(name).type) == expected


def test_nothing_is_missing_for_strange_documents():
    strange = ["", " ", "\n", "\0", "x", "\U0010ffff", "…", "\u200d", "a\r\nb", "{" * 3000]
    table = document_features(strange)
    for name in NUMERIC_FEATURES:
        assert np.isfinite(table[name].to_numpy()).all(), name
    assert sum(column.null_count for column in table.columns) == 0
    assert document_features([]).num_rows == 0
