from __future__ import annotations

import math
import unicodedata

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.corpus.features import FEATURES, STATE_FEATURES, document_features


def test_values_computed_by_hand():
    # 5 + 1 + 3 + 1 + 2 + 1 = 13 characters; the two of `né` take one and two bytes.
    text = "abc12 né!\nx_\n"
    row = document_features([text]).to_pylist()[0]
    assert row["bytes"] == row["tokens"] - 1 == 14
    assert row["characters"] == 13
    assert row["words"] == 3
    assert row["lines"] == 2
    assert row["alpha_ratio"] == pytest.approx(6 / 13)
    assert row["digit_ratio"] == pytest.approx(2 / 13)
    assert row["symbol_ratio"] == pytest.approx(2 / 13)
    assert row["whitespace_ratio"] == pytest.approx(3 / 13)
    assert row["mean_word_length"] == pytest.approx(10 / 3)
    assert row["log_bytes"] == pytest.approx(math.log(14))
    assert row["compression_ratio"] == pytest.approx(
        len(zstandard.ZstdCompressor(level=3).compress(text.encode())) / 14
    )


def test_a_redundant_document_compresses_better():
    redundant, diverse = document_features(["spam " * 400, " ".join(map(str, range(500)))]).to_pylist()
    assert redundant["compression_ratio"] < 0.05 < diverse["compression_ratio"] < 1


def test_an_unfinished_last_line_counts_as_a_line():
    lines = document_features(["one", "one\n", "one\ntwo", "\n\n x"])["lines"].to_pylist()
    assert lines == [1, 1, 2, 3]


def old(character: str) -> bool:
    """Assigned long ago, so that every library's tables agree on it."""
    return ord(character) < 0x3000 and unicodedata.category(character) not in ("Cn", "Co", "Cs")


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.text(st.characters(max_codepoint=0x2FFF).filter(old), min_size=1), min_size=1, max_size=20)
)
def test_counts_agree_with_python(texts):
    for text, row in zip(texts, document_features(texts).to_pylist(), strict=True):
        letters = sum(unicodedata.category(c)[0] in "LM" for c in text)
        digits = sum(unicodedata.category(c) == "Nd" for c in text)
        spaces = sum(c.isspace() for c in text)
        n = len(text)
        assert row["bytes"] == len(text.encode())
        assert row["characters"] == n
        assert row["words"] == len(text.split())
        assert row["lines"] == text.count("\n") + (not text.endswith("\n"))
        assert row["alpha_ratio"] == pytest.approx(letters / n)
        assert row["digit_ratio"] == pytest.approx(digits / n)
        assert row["whitespace_ratio"] == pytest.approx(spaces / n)
        assert row["symbol_ratio"] == pytest.approx((n - letters - digits - spaces) / n)


def test_every_feature_is_computed_and_explained():
    table = document_features(["a document", "b"])
    assert table.column_names == list(FEATURES)
    assert set(STATE_FEATURES) <= set(FEATURES)
    for name, feature in FEATURES.items():
        assert feature.name == name
        assert feature.label
        assert len(feature.help) > 40
        assert feature.source
