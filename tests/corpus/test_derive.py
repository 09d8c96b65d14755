"""Snapshots made by filters: what is kept, what is decided anew, and what cannot be made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalmix_core.corpus import FEATURES, Filter, Snapshot, apply_filter, ingest, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace


@pytest.fixture
def pooled(pool, prose) -> Workspace:
    base = prose(80, 1)
    copies = [t + " and more" for t in base[:20]]
    workspace = pool(code=[*base, *copies], web=[*prose(60, 2), base[0], base[30]])
    ingest(workspace)
    return workspace


def rows(snapshot: Snapshot) -> pd.DataFrame:
    with snapshot.connect() as con:
        return con.execute("SELECT * FROM pool.documents ORDER BY domain, document").df()


def texts(snapshot: Snapshot, domain: str) -> list[str]:
    count = snapshot.manifest.domains[domain].documents
    return snapshot.read_documents(domain, ("text",), np.arange(count))["text"].tolist()


def test_what_is_kept_keeps_its_text_its_place_and_its_features(pooled):
    parent = open_snapshot(pooled)
    report = apply_filter(pooled, parent, Filter(name="long", sql="words >= 50", domains=("code",)))
    child = open_snapshot(pooled)
    assert (report.created, report.snapshot) == (True, child.id)
    before, after = rows(parent), rows(child)
    wanted = before[(before["words"] >= 50) | (before["domain"] != "code")].reset_index(drop=True)
    same = ["domain", "origin", "text_key", *FEATURES]
    pd.testing.assert_frame_equal(after[same], wanted[same])
    assert texts(child, "web") == texts(parent, "web")
    assert report.documents == {"code": len(after) - 62, "web": 62}
    for domain, own in after.groupby("domain"):
        assert own["document"].tolist() == list(range(len(own)))
        assert child.manifest.domains[domain].tokens == own["tokens"].sum()
    derived = child.manifest.derived
    assert derived is not None
    assert (derived.snapshot, derived.filter) == (parent.id, "long")
    assert "words >= 50" in derived.predicate
    assert not list(pooled.snapshots.glob(".tmp*"))


def test_the_first_copy_that_is_left_is_no_longer_a_duplicate(pooled):
    parent = open_snapshot(pooled)
    apply_filter(pooled, parent, Filter(name="web", sql="document > 0 OR domain <> 'code'"))
    before, after = rows(parent), rows(open_snapshot(pooled))
    twin = before[before["domain"] == "code"].iloc[80]
    assert twin["near_duplicate"]
    now = after[(after["text_key"] == twin["text_key"]) & (after["domain"] == "code")].iloc[0]
    assert not now["near_duplicate"]
    # the exact copy in the other domain still repeats it
    assert after.loc[after["cluster"] == now["cluster"], "near_duplicate"].tolist() == [False, True]
    assert (after.groupby("cluster")["split"].nunique() == 1).all()


def test_without_copies_nothing_repeats(pooled):
    apply_filter(pooled, open_snapshot(pooled), Filter(name="unique", sql="NOT near_duplicate"))
    child = open_snapshot(pooled)
    assert not rows(child)["near_duplicate"].any()
    assert child.documents == 140
    assert child.manifest.domains["web"].near_duplicates == 0


def test_ngrams_are_those_of_what_is_left(pooled):
    parent = open_snapshot(pooled)
    apply_filter(pooled, parent, Filter(name="web", sql="domain = 'web' OR document < 40"))
    child = open_snapshot(pooled)

    def counts(snapshot: Snapshot) -> dict[str, int]:
        with snapshot.connect() as con:
            return dict(
                con.execute("SELECT domain, sum(count)::BIGINT FROM ngrams GROUP BY domain").fetchall()
            )

    assert counts(child)["web"] == counts(parent)["web"]
    # n words have n unigrams and n - 1 bigrams
    words = rows(child).query("domain == 'code'")["words"]
    assert counts(child)["code"] == (2 * words - 1).sum()


def test_a_filter_of_texts_reads_them(pooled):
    parent = open_snapshot(pooled)
    search = {"kind": "text", "search": {"text": "and more"}, "contains": False}
    apply_filter(pooled, parent, Filter.model_validate({"name": "fresh", "conditions": [search]}))
    assert not [t for t in texts(open_snapshot(pooled), "code") if t.endswith("and more")]
    assert open_snapshot(pooled).documents == parent.documents - 20


def test_a_filter_that_keeps_everything_makes_nothing_new(pooled):
    parent = open_snapshot(pooled)
    report = apply_filter(pooled, parent, Filter(name="all", sql="words > 0"))
    assert (report.created, report.snapshot) == (False, parent.id)
    assert open_snapshot(pooled).manifest.derived is None


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        ("words < 0", "keeps no document"),
        ("domain = 'web' OR document = 3", "two distinct documents"),
        ("colour = 'red'", "colour"),
    ],
)
def test_impossible_filters_say_why_and_change_nothing(pooled, predicate, words):
    before = {p.name for p in pooled.snapshots.iterdir()}
    parent = open_snapshot(pooled)
    with pytest.raises(CausalMixError, match=words):
        apply_filter(pooled, parent, Filter(name="bad", sql=predicate))
    assert {p.name for p in pooled.snapshots.iterdir()} == before
    assert open_snapshot(pooled).id == parent.id
