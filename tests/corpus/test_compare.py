from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from causalmix_core.corpus import Snapshot, compare, ingest, open_snapshot
from causalmix_core.corpus.compare import (
    binned_divergence,
    compare_snapshots,
    jensen_shannon,
    overlay_snapshots,
    similarity,
    stability_index,
    verdict,
    wasserstein,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig


def prose(n: int, seed: int, vocabulary: int = 5000) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        " ".join(f"w{rng.integers(vocabulary)}" for _ in range(rng.integers(20, 80))) + ".\n"
        for _ in range(n)
    ]


def make(folder: Path, **domains: list[str]) -> Snapshot:
    folder.mkdir()
    sources = {}
    for name, texts in domains.items():
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
        sources[name] = DomainSource(path=str(file))
    workspace = Workspace.create(folder / "w's [1]", WorkspaceConfig(name="test", domains=sources))
    ingest(workspace)
    return open_snapshot(workspace)


CODE = [f"int f{i}(void) {{ return {i}; }}\n" * (1 + i % 7) for i in range(90)]


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Snapshot:
    web = prose(400, 1)
    return make(tmp_path_factory.mktemp("c") / "old", web=web, code=CODE, gone=prose(10, 9))


@pytest.fixture(scope="module")
def new(tmp_path_factory) -> Snapshot:
    longer = [t * 3 for t in prose(300, 2)]
    web = [*prose(400, 1)[100:], prose(400, 1)[100], *longer]
    return make(tmp_path_factory.mktemp("c") / "new", web=web, code=CODE, fresh=prose(12, 8))


# --- measures with known answers ---


def test_the_divergence_is_scipys_distance_squared():
    rng = np.random.default_rng(0)
    p, q = rng.integers(0, 50, 200), rng.integers(0, 80, 200)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert jensen_shannon([1, 0], [0, 5]) == 1
    assert jensen_shannon([1, 2, 3], [2, 4, 6]) == pytest.approx(0, abs=1e-15)
    assert math.isnan(jensen_shannon([0, 0], [1, 1]))


counts = st.lists(st.integers(0, 1000), min_size=5, max_size=5).filter(any)


@given(counts, counts)
def test_the_divergence_is_symmetric_and_bounded(p, q):
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), abs=1e-12)
    assert 0 <= jensen_shannon(p, q) <= 1
    assert jensen_shannon(p, p) == 0


values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(values, values)
def test_wasserstein_is_scipys(a, b):
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b), rel=1e-9, abs=1e-6)
    assert wasserstein(a, b) == pytest.approx(wasserstein(b, a), rel=1e-9, abs=1e-6)
    assert wasserstein(a, a) == 0


@given(values, values)
def test_binned_measures_are_zero_for_equals_and_never_negative(a, b):
    assert binned_divergence(a, b) == pytest.approx(binned_divergence(b, a), abs=1e-12)
    assert 0 <= binned_divergence(a, b) <= 1
    assert binned_divergence(a, a) == stability_index(a, a) == 0
    assert stability_index(a, b) >= -1e-12


@pytest.mark.parametrize("shift", [0.1, 0.5, 1.0])
def test_a_shifted_normal_has_its_known_index_and_distance(shift):
    """The index over deciles of N(0, 1) against N(shift, 1), from the normal distribution function."""
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=200_000), rng.normal(shift, 1, size=180_000)
    edges = norm.ppf(np.arange(11) / 10)
    p, q = np.diff(norm.cdf(edges)), np.diff(norm.cdf(edges, loc=shift))
    known = ((q - p) * np.log(q / p)).sum()
    assert stability_index(a, b) == pytest.approx(known, rel=0.05, abs=1e-3)
    assert wasserstein(a, b) == pytest.approx(shift, abs=0.01)
    x = np.linspace(-10, 12, 200_001)
    f, g = norm.pdf(x), norm.pdf(x, loc=shift)
    middle = (f + g) / 2
    with np.errstate(all="ignore"):
        parts = np.nan_to_num(f * np.log2(f / middle)) + np.nan_to_num(g * np.log2(g / middle))
    assert binned_divergence(a, b) == pytest.approx(parts.sum() * (x[1] - x[0]) / 2, abs=0.01)


def test_the_index_of_a_constant_that_moves_is_large_and_finite():
    assert np.isfinite(stability_index([1.0] * 500, [2.0] * 500))
    assert stability_index([1.0] * 500, [2.0] * 500) > 0.25
    assert stability_index([1.0] * 500, [1.0] * 400) == pytest.approx(0, abs=1e-3)
    assert stability_index([0.0] * 900 + [1.0] * 100, [0.0] * 100 + [1.0] * 900) > 0.25


def test_nothing_can_be_said_without_documents():
    for measure in (stability_index, wasserstein, binned_divergence):
        assert math.isnan(measure([], [1.0]))
        assert math.isnan(measure([1.0], []))


def test_verdicts_follow_the_customary_limits():
    many = 10_000
    assert [verdict(p, many, many) for p in (0, 0.0999, 0.1, 0.25, 0.2501)] == [
        "stable", "stable", "some drift", "some drift", "drifted",
    ]  # fmt: skip
    assert verdict(0.2, 50, 10_000) == "too few documents"
    assert verdict(math.nan, 0, 10) == "too few documents"
    assert verdict(0.0, 5, 5) == "stable"
    assert verdict(5.0, 50, 50) == "drifted"


def test_small_samples_of_one_population_are_seldom_said_to_drift():
    rng = np.random.default_rng(2)
    said = [
        verdict(stability_index(rng.normal(size=150), rng.normal(size=150)), 150, 150) for _ in range(300)
    ]
    assert np.mean([s in ("some drift", "drifted") for s in said]) < 0.1


# --- domains ---


def test_similar_domains_are_close_and_others_far(tmp_path):
    half = prose(200, 1)
    snapshot = make(tmp_path / "s", code=CODE, one=half, twin=prose(200, 2), mixed=[*half[:60], *CODE[:60]])
    with snapshot.connect() as con:
        table = similarity(con)
        ngrams = con.execute("SELECT * FROM ngrams").df()
    assert list(table.index) == list(table.columns) == ["code", "mixed", "one", "twin"]
    np.testing.assert_array_equal(table, table.T)
    assert (np.diag(table) == 0).all()
    wide = ngrams.pivot(index="bucket", columns="domain", values="count").fillna(0)
    assert table.loc["code", "one"] == pytest.approx(jensenshannon(wide["code"], wide["one"], base=2) ** 2)
    assert table.loc["one", "twin"] < table.loc["one", "code"]
    assert table.loc["mixed", "code"] < table.loc["one", "code"] <= 1


# --- snapshots ---


def test_a_snapshot_does_not_differ_from_itself(old):
    found = compare_snapshots(old, old)
    assert found.documents["kept"].tolist() == found.documents["old"].tolist()
    assert (found.documents[["came", "went"]] == 0).all(axis=None)
    assert (found.drift[["psi", "jensen_shannon", "wasserstein"]] == 0).all(axis=None)
    assert set(found.drift["verdict"]) == {"stable"}
    assert found.came.empty
    assert found.went.empty
    assert (found.only_old, found.only_new, found.sampled) == ((), (), ())


def test_what_came_and_went_is_counted_and_shown(old, new):
    found = compare_snapshots(old, new, examples=5)
    assert (found.old, found.new) == (old.id, new.id)
    table = found.documents.set_index("domain")[["old", "new", "kept", "came", "went"]]
    assert table.loc["code"].tolist() == [90, 90, 90, 0, 0]
    # One text that stayed came a second time.
    assert table.loc["web"].tolist() == [400, 601, 300, 301, 100]
    assert table.loc["gone"].tolist() == [10, 0, 0, 0, 10]
    assert table.loc["fresh"].tolist() == [0, 12, 0, 12, 0]
    assert (found.only_old, found.only_new) == (("gone",), ("fresh",))
    went = {*prose(400, 1)[:100], *prose(10, 9)}
    came = {*(t * 3 for t in prose(300, 2)), *prose(12, 8)}
    assert len(found.went) == len(found.came) == 5
    assert set(found.went["text"]) <= went
    assert set(found.came["text"]) <= came
    with pytest.raises(CausalMixError, match="Cannot show"):
        compare_snapshots(old, new, examples=-1)


def test_drift_is_measured_where_it_happened(old, new):
    found = compare_snapshots(old, new)
    drift = found.drift.set_index(["domain", "feature"])
    assert set(found.drift["domain"]) == {"web", "code"}
    assert (drift.loc["code", "psi"] == 0).all()
    row = drift.loc[("web", "words")]
    assert row["verdict"] == "drifted"
    with old.connect() as a, new.connect() as b:
        before, after = (
            con.execute("SELECT words FROM documents WHERE domain = 'web'")
            .fetchnumpy()["words"]
            .astype(float)
            for con in (a, b)
        )
    assert row["old_mean"] == pytest.approx(before.mean())
    assert row["new_mean"] == pytest.approx(after.mean())
    assert row["wasserstein"] == pytest.approx(wasserstein_distance(before, after) / before.std())
    assert row["psi"] == pytest.approx(stability_index(before, after))
    assert found.drift["psi"].is_monotonic_decreasing


def test_drift_of_large_domains_is_sampled_by_text(old, new, monkeypatch):
    whole = compare_snapshots(old, new).drift.set_index(["domain", "feature"])
    monkeypatch.setattr(compare, "SAMPLED_DOCUMENTS", 300)
    found = compare_snapshots(old, new)
    assert found.sampled == ("web",)
    part = found.drift.set_index(["domain", "feature"])
    assert part.loc[("web", "words"), "verdict"] == "drifted"
    assert part.loc[("web", "words"), "wasserstein"] == pytest.approx(
        whole.loc[("web", "words"), "wasserstein"], rel=0.3
    )
    same = compare_snapshots(old, old).drift
    assert (same[["psi", "jensen_shannon", "wasserstein"]] == 0).all(axis=None)


def test_two_snapshots_are_laid_over_one_another_on_the_bins_of_the_old_one(pool, prose, tmp_path):
    workspace = pool(web=prose(60, 1))
    ingest(workspace)
    old = open_snapshot(workspace)
    with (tmp_path / "texts/web.jsonl").open("a") as file:
        file.write("".join(json.dumps({"text": t * 4}) + "\n" for t in prose(30, 2)))
    ingest(workspace)
    new = open_snapshot(workspace)
    with old.connect() as before, new.connect() as after:
        table = overlay_snapshots(before, after, "words", "web", bins=7)
        with pytest.raises(CausalMixError, match="books"):
            overlay_snapshots(before, after, "words", "books")
    sides = {side: own.reset_index(drop=True) for side, own in table.groupby("side")}
    pd.testing.assert_frame_equal(sides["old"][["lower", "upper"]], sides["new"][["lower", "upper"]])
    assert sides["old"]["documents"].sum() == 60
    assert sides["new"]["documents"].sum() == 90
    # four times as long as any before: all in the last bin
    added = sides["new"]["documents"] - sides["old"]["documents"]
    assert added.iloc[-1] >= 25
