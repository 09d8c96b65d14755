"""Comparisons that are kept say what was computed, and are computed anew when there is more to compare."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from causalmix_core.corpus import Filter, apply_filter, ingest, open_snapshot
from causalmix_core.corpus.compare import compare_snapshots
from causalmix_core.corpus.comparisons import EXAMPLES, compared
from causalmix_core.workspace import Workspace


@pytest.fixture
def filtered(pool, prose) -> tuple[Workspace, str, str]:
    workspace = pool(code=prose(80, 1), web=prose(60, 2), tail=prose(30, 3))
    first = ingest(workspace).snapshot
    sql = "(words < 60 OR document % 3 = 0) AND domain <> 'tail'"
    second = apply_filter(workspace, open_snapshot(workspace), Filter(name="f", sql=sql)).snapshot
    return workspace, first, second


def test_a_new_snapshot_is_compared_with_the_one_before(filtered):
    workspace, first, second = filtered
    kept = workspace.snapshots / "comparisons" / f"{first}-{second}.json"
    assert kept.is_file()
    old, new = open_snapshot(workspace, first), open_snapshot(workspace, second)
    found, again = compare_snapshots(old, new, EXAMPLES), compared(workspace, old, new)
    assert (again.old, again.new) == (first, second)
    assert (again.only_old, again.only_new, again.sampled) == (("tail",), (), ())
    pd.testing.assert_frame_equal(again.documents, found.documents)
    pd.testing.assert_frame_equal(again.drift, found.drift, check_dtype=False)
    pd.testing.assert_frame_equal(again.went, found.went)
    assert len(again.went) == EXAMPLES
    assert again.came.empty


def test_the_other_way_round_is_another_comparison(filtered):
    workspace, first, second = filtered
    old, new = open_snapshot(workspace, second), open_snapshot(workspace, first)
    found = compared(workspace, old, new)
    assert found.only_new == ("tail",)
    assert len(found.came) == EXAMPLES
    assert (workspace.snapshots / "comparisons" / f"{second}-{first}.json").is_file()


@pytest.mark.parametrize("damage", ["not JSON", "other features"])
def test_what_does_not_fit_is_computed_anew(filtered, damage):
    workspace, first, second = filtered
    kept = workspace.snapshots / "comparisons" / f"{first}-{second}.json"
    good = kept.read_text()
    kept.write_text("{" if damage == "not JSON" else json.dumps({**json.loads(good), "features": ["words"]}))
    compared(workspace, open_snapshot(workspace, first), open_snapshot(workspace, second))
    assert kept.read_text() == good


def test_a_damaged_earlier_snapshot_does_not_stop_an_ingest(pool, prose, tmp_path):
    workspace = pool(code=prose(30, 1))
    first = open_snapshot(workspace, ingest(workspace).snapshot)
    (first.root / "manifest.json").write_text("{}")
    with (tmp_path / "texts/code.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    assert ingest(workspace).created
