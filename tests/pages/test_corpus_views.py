"""What the views of the corpus page work out by themselves: brushes, marks, axes and words."""

from __future__ import annotations

import html
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.corpus import RULES, Search, Selection
from causalmix_core.corpus.filters import (
    Condition,
    DomainCondition,
    DuplicateCondition,
    FeatureCondition,
    LanguageCondition,
    RuleCondition,
    TextCondition,
)
from pages.corpus_views.documents import MOST_SPANS, found, marked
from pages.corpus_views.exploring import _range_of, unseen_conditions
from pages.corpus_views.filtering import words_of
from pages.widgets.corpus_charts import cell_edges, number, picked_bins, round_values

# ---- brushes


@given(st.lists(st.floats(-5, 60), min_size=2, max_size=2), st.integers(1, 50))
def test_a_brush_picks_the_bars_whose_middle_it_covers(box: list[float], count: int) -> None:
    low, high = sorted(box)
    inside = [i for i in range(count) if low <= i <= high]
    assert picked_bins(box, count) == ((inside[0], inside[-1]) if inside else None)


def test_a_range_has_no_bound_where_the_outermost_bin_is_open() -> None:
    lower, upper = [0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]
    assert _range_of(lower, upper, 1, 2) == (1.0, 3.0)
    assert _range_of(lower, upper, 0, 2) == (None, 3.0)
    assert _range_of(lower, upper, 1, 3) == (1.0, None)
    assert _range_of(lower, upper, 0, 3) == (None, None)
    assert _range_of([5.0], [6.0], 0, 0) == (None, None)


@given(st.lists(st.floats(0.01, 1e3), min_size=2, max_size=30), st.sampled_from(["x", "y"]), st.randoms())
def test_edges_of_cells_are_those_of_the_bins(widths: list[float], axis: str, random) -> None:
    edges = np.cumsum([1.0, *widths])
    pairs = list(itertools.pairwise(edges))
    cells = pd.DataFrame(pairs * 2, columns=[f"{axis}_lower", f"{axis}_upper"])
    # Two computations of one edge may differ in the last digit.
    cells[f"{axis}_upper"] *= [1 + random.choice((0, 1e-15)) for _ in range(len(cells))]
    assert cell_edges(cells.sample(frac=1, random_state=0), axis) == pytest.approx(edges, rel=1e-12)


# ---- axes


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 60))
def test_even_axes_have_a_few_values_at_equal_distances(start: float, length: float, bins: int) -> None:
    edges = np.linspace(start, start + length, bins + 1)
    values = round_values(edges)
    assert 2 <= len(values) <= 8
    assert all(edges[0] <= v <= edges[-1] for v in values)
    steps = np.diff(values)
    assert np.allclose(steps, steps[0], rtol=1e-6, atol=1e-9 * max(1.0, abs(start)))
    assert f"{steps[0]:.1e}"[:3] in ("1.0", "2.0", "2.5", "5.0")


@given(st.floats(0.5, 1e3), st.floats(30, 1e7), st.integers(10, 60))
def test_axes_of_ratios_have_powers_of_ten_and_their_parts(low: float, ratio: float, bins: int) -> None:
    edges = np.geomspace(low, low * ratio, bins + 1)
    values = round_values(edges)
    assert len(values) >= 1
    assert values == sorted(set(values))
    for value in values:
        assert edges[0] <= value <= edges[-1]
        assert f"{value:e}"[0] in "125"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"), (0.0341, "0.0341"), (7, "7"), (512.4, "512"), (1500, "1,500"), (15_000, "15 k"),
        (999_999, "1 M"), (1_573_149, "1.57 M"), (2.5e9, "2.5 G"), (-20_000, "-20 k"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float, words: str) -> None:
    assert number(value) == words


# ---- documents

TEXT = st.text(st.sampled_from("ab <>&\"'é\n"), max_size=60)
SPANS = st.lists(
    st.tuples(st.integers(0, 70), st.integers(0, 70), st.sampled_from(["one", "<two>"])), max_size=8
)


@given(TEXT, SPANS)
def test_a_marked_text_says_what_the_text_says(text: str, spans: list[tuple[int, int, str]]) -> None:
    shown = marked(text, spans, height=100)
    assert html.unescape(re.sub(r"<[^>]*>", "", shown)) == text
    inside = {i for start, stop, _ in spans for i in range(start, min(stop, len(text)))}
    marks = re.findall(r"<mark [^>]*>(.*?)</mark>", shown, re.DOTALL)
    assert sum(len(html.unescape(m)) for m in marks) == len(inside)
    assert re.findall(r"<(/?[a-z]+)", shown) == ["pre", *["mark", "/mark"] * len(marks), "/pre"]


def test_a_search_is_found_as_it_was_meant() -> None:
    text = "a.c abc A.C"
    assert found(text, None) == []
    assert found(text, Search(text="a.c")) == [(0, 3, "found"), (8, 11, "found")]
    assert found(text, Search(text="a.c", case=True)) == [(0, 3, "found")]
    assert len(found(text, Search(text="a.c", kind="regex"))) == 3
    assert found(text, Search(text=r"\pN(", kind="regex")) == []  # not one of Python's: nothing is marked
    assert len(found("a" * 10_000, Search(text="a"))) == MOST_SPANS


# ---- words


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (RuleCondition(rule="gopher_short_doc"), "does not break *{rule}*"),
        (RuleCondition(rule="gopher_short_doc", broken=True), "breaks *{rule}*"),
        (FeatureCondition(feature="words", op=">=", value=50), "*Words* at least 50"),
        (FeatureCondition(feature="words", op="!=", value=0.5), "*Words* other than 0.5"),
        (FeatureCondition(feature="gone", op="<", value=-1e-7), "*gone* less than -1e-07"),
        (DuplicateCondition(which="without_near"), "no near-copies"),
        (DuplicateCondition(which="without_exact"), "no exact copies"),
        (DuplicateCondition(which="only_near"), "near-copies only"),
        (LanguageCondition(languages=("en", "de")), "language among en, de"),
        (LanguageCondition(languages=("en",), among=False), "language not among en"),
        (DomainCondition(domains=("web",), among=False), "domain not among web"),
        (TextCondition(search=Search(text="foo")), "contains `foo`"),
        (TextCondition(search=Search(text="fo+", kind="regex"), contains=False), "does not contain `fo+`"),
    ],
)
def test_conditions_in_words(condition: Condition, words: str) -> None:
    said = words_of(condition, {"words": "Words"})
    assert said == words.format(rule=RULES["gopher_short_doc"].label)


def test_conditions_behind_the_button_are_named() -> None:
    assert unseen_conditions(Selection(domains=("web",), search=Search(text="x"))) == []
    rules = list(RULES)[:2]
    selection = Selection(
        breaks_any=tuple(rules),
        breaks_none=(rules[0],),
        duplicates="without_near",
        languages=("en", "de"),
        split="heldout",
    )
    first, second = (RULES[r].label for r in rules)
    assert unseen_conditions(selection) == [
        "without near-duplicates", f"breaks {first} or {second}", f"does not break {first}", "in en or de",
        "held out",
    ]  # fmt: skip
