"""docs/FEATURES.md names every feature and rule, with its definition, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from causalmix_core.corpus.features import FEATURES, MODEL_FEATURES, POOL_FEATURES
from causalmix_core.corpus.rules import RULES
from causalmix_core.corpus.words import GOPHER_STOP_WORDS, STOP_WORDS

TEXT = (Path(__file__).parents[1] / "docs" / "FEATURES.md").read_text(encoding="utf-8")
EVERYTHING = FEATURES | POOL_FEATURES | MODEL_FEATURES
ROWS = {
    found[1]: found[0]
    for line in TEXT.splitlines()
    if (found := re.match(r"\| `(\w+)` \|.*", line))
}  # fmt: skip


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def test_the_tables_name_what_exists_and_nothing_else():
    assert set(ROWS) == {*EVERYTHING, *RULES}


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_feature_is_described_as_it_is_registered(name):
    feature = EVERYTHING[name]
    cells = [c.strip() for c in re.split(r"(?<!\\)\|", ROWS[name])[2:-1]]
    unit = feature.unit or feature.kind.replace("number", "")
    assert cells == [cell(feature.definition), unit, feature.computed, cell(feature.source)]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_described_as_it_is_registered(name):
    rule = RULES[name]
    cells = [c.strip() for c in re.split(r"(?<!\\)\|", ROWS[name])[2:-1]]
    assert cells == [rule.label, f"`{rule.predicate}`"]


def test_the_lists_of_words_are_stated():
    assert set(TEXT.split("```")[1].split()) == STOP_WORDS
    assert ", ".join(GOPHER_STOP_WORDS) in TEXT
