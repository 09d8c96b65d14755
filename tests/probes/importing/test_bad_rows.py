"""Bad input: every row that cannot be used is named with file and line, and nothing is repaired silently."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing import IMPORTERS, SourceFile, make_draft, read_files
from causalmix_core.probes.importing.checking import SUM_TOLERANCE
from causalmix_core.probes.importing.mapping import checked
from causalmix_core.probes.importing.names import clean_name, direction_in, short_names
from tests.probes.importing.conftest import Draft, regmix_texts, replace_line


@pytest.mark.parametrize(
    ("role", "line", "new", "words"),
    [
        ("mixtures", 3, "2,0.5,0.2,0.2", "mixtures.csv, line 3: the weights sum to 0.9000, not to 1."),
        ("mixtures", 3, "2,50,20,30", "the weights sum to 100.0000, not to 1. Give weights from 0 to 1"),
        ("mixtures", 3, "2,-0.5,0.7,0.8", "train_the_pile_arxiv is -0.5; a weight is a number"),
        ("mixtures", 3, "2,nan,0.5,0.5", "train_the_pile_arxiv is nan; a weight is a number"),
        ("mixtures", 3, "2,,0.5,0.5", "train_the_pile_arxiv is empty: no weight of arxiv."),
        ("mixtures", 3, "2,0.5,0.5", "mixtures.csv, line 3: 3 fields, but the header has 4 columns."),
        ("outcomes", 4, "3,inf,4", "outcomes.csv, line 4: metric/the_pile_arxiv_val_loss is inf; an outcome"),
        ("outcomes", 4, "3,NaN,4", "the_pile_arxiv_val_loss is NaN; an outcome is a finite number."),
        ("outcomes", 4, "3,,4", "the_pile_arxiv_val_loss is empty; an outcome is a finite number."),
        ("outcomes", 4, "3,high,4", "the_pile_arxiv_val_loss is high; an outcome is a finite number."),
        ("outcomes", 4, "2,4,4", "outcomes.csv, line 4: run 2 is on line 3 already."),
        ("outcomes", 4, "77,4,4", "outcomes.csv, line 4: run 77 is not in mixtures.csv."),
        ("outcomes", 4, "77,4,4", "mixtures.csv, line 4: run 3 is not in outcomes.csv."),
    ],
)
def test_a_bad_row_is_named_and_left_out_only_on_request(
    draft: Draft, role: str, line: int, new: str, words: str
) -> None:
    texts = regmix_texts()
    found = draft("regmix", texts | {role: replace_line(texts[role], line, new)})
    assert words in "\n".join(map(str, found.problems))
    with pytest.raises(CausalMixError, match="rows cannot be used"):
        found.usable()
    kept = found.usable(skip_bad_rows=True)
    assert len(kept.frame) == 5
    assert "bad rows were skipped" in kept.notices[-1]
    whole = draft("regmix", texts).usable().frame
    bad = "2" if role == "mixtures" else "3"
    pd.testing.assert_frame_equal(
        kept.frame, whole[whole["source_run"] != bad].reset_index(drop=True), check_exact=True
    )


def test_a_run_that_repeats_another_is_named(draft: Draft) -> None:
    texts = regmix_texts()
    for role in texts:
        first = texts[role].splitlines()[1]
        texts[role] += "7" + first[1:] + "\n"
    found = draft("regmix", texts)
    assert [str(p) for p in found.problems] == [
        "outcomes.csv, line 8: repeats line 2: the same mixture, pool state and outcomes."
    ]
    other = texts | {"outcomes": replace_line(texts["outcomes"], 8, "7,4.5,4.5")}
    assert not draft("regmix", other).problems, "another loss is another seed, and tells something new"


def test_runs_that_disagree_on_domains_need_a_word(draft: Draft) -> None:
    text = "run,weight/a,weight/b,weight/c,loss/a\n1,0.5,0.5,,3\n2,0.2,,0.8,2\n3,0.2,0.3,0.5,1\n"
    found = draft("table", {"table": text})
    assert [p.line for p in found.problems] == [2, 3]
    assert "weight/c is empty: no weight of c." in str(found.problems[0])
    assert any("disagree on domains: b, c" in n for n in found.notices)
    filled = draft("table", {"table": text}, missing_is_zero=True)
    assert not filled.problems
    assert filled.frame["weight/c"].tolist() == [0.0, 0.8, 0.5]
    assert "2 empty weights of b, c were read as zero." in filled.notices


def test_a_benchmark_may_be_missing_but_a_loss_may_not(draft: Draft) -> None:
    text = "run,weight/a,weight/b,loss/a,benchmark/arc\n"
    text += "1,0.5,0.5,3,\n2,0.2,0.8,2,0.5\n3,0.3,0.7,1,0.6\n4,.1,.9,,1\n"
    found = draft("table", {"table": text})
    assert [p.line for p in found.problems] == [5]
    assert any("benchmark/arc is empty in 1 rows" in n for n in found.notices)
    assert math.isnan(found.frame["benchmark/arc"][0])


def test_what_will_disappoint_is_said(draft: Draft) -> None:
    text = "run,weight/a,weight/b,weight/c,state/s,loss/a\n1,0.5,0.5,0,1,3\n2,0.2,0.8,0,1,3\n"
    said = " ".join(draft("table", {"table": text}).notices)
    assert "state/s is the same in every run, so nothing can be learned of it" in said
    assert "loss/a is the same in every run, so no effect on it can be seen" in said
    assert "weight/c has the same weight in every run" in said
    assert "2 runs are no more than the 4 weights and pool states" in said


def test_a_table_without_mixtures_or_outcomes_is_refused(draft: Draft) -> None:
    found = draft("table", {"table": "run,x,y\n1,5,6\n2,7,8\n"})
    said = " ".join(found.refusals)
    assert "No mixtures were found" in said
    assert "No outcome was found" in said
    mapping = found.mapping.model_copy(update={"columns": {"table": {"gone": "weight/a"}}})
    assert "table.csv has no column gone." in draft("table", {"table": "x\n1\n"}, mapping).refusals


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": "loss"}, "'x' cannot become 'loss'"),
        ({"x": "bpb/code"}, "cannot become 'bpb/code'"),
        ({"x": "weight/a b"}, "cannot be a name"),
        ({"x": "weight/a", "y": "weight/a"}, "x and y of the table cannot both become weight/a"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(columns: dict[str, str], words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        checked({"columns": {"table": columns}})


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), min_size=2, max_size=5),
    st.lists(st.floats(-0.02, 0.02), min_size=5, max_size=5),
)
def test_weights_near_one_are_divided_and_others_refused(raw: list[list[float]], errors: list[float]) -> None:
    rows = np.array(raw)
    totals = 1 + np.array(errors[: len(rows)])
    rows = rows / rows.sum(axis=1, keepdims=True) * totals[:, None]
    text = "weight/a,weight/b,weight/c,loss/a\n"
    text += "\n".join(",".join(map(repr, [*row.tolist(), float(i)])) for i, row in enumerate(rows))
    tables = read_files("table", {"table": SourceFile("t.csv", text.encode())})
    found = make_draft("table", tables, IMPORTERS["table"].guess(tables))
    near = np.abs(totals - 1)
    clear = np.abs(near - SUM_TOLERANCE) > 1e-8  # at the very border rounding decides
    bad = {p.line for p in found.problems}
    assert {i + 2 for i in np.flatnonzero(clear & (near > SUM_TOLERANCE))} <= bad
    assert bad <= {i + 2 for i in np.flatnonzero(~clear | (near > SUM_TOLERANCE))}
    kept = found.frame[["weight/a", "weight/b", "weight/c"]].to_numpy()
    assert np.allclose(kept.sum(axis=1), 1, atol=1e-12)
    assert len(kept) + len(bad) == len(rows)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=70), min_size=1, max_size=6, unique=True))
def test_short_names_are_names_and_differ(headers: list[str]) -> None:
    found = short_names(headers)
    assert set(found) == set(headers)
    assert len(set(found.values())) == len(headers)
    assert all(clean_name(n) == n for n in found.values())


@pytest.mark.parametrize(
    ("header", "direction"),
    [
        ("metric/the_pile_arxiv_val_loss", "lower"), ("eval/ppl", "lower"), ("hellaswag_bpb", "lower"),
        ("arc_acc", "higher"), ("mmlu/exact_match", "higher"), ("valLoss", "lower"), ("f1", "higher"),
        ("hellaswag", None), ("placebo", None), ("accelerate", None), ("loss_vs_accuracy", None),
    ],
)  # fmt: skip
def test_only_a_header_that_tells_a_direction_has_one(header: str, direction: str | None) -> None:
    assert direction_in(header) == direction
