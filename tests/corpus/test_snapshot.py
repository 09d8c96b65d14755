from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalmix_core.corpus import FEATURES, STATE_FEATURES, Snapshot, ingest, open_snapshot
from causalmix_core.errors import CausalMixError


@pytest.fixture
def snapshot(pool, prose) -> Snapshot:
    workspace = pool(
        web=prose(60, 1), code=[*prose(40, 2), "spam " * 300], odd=["a b c d e f", "1 2 3 4 5 6 7"]
    )
    ingest(workspace)
    return open_snapshot(workspace)


def test_sizes_and_weights(snapshot):
    assert snapshot.domains == ["code", "odd", "web"]
    with snapshot.connect() as con:
        counted = dict(con.execute("SELECT domain, sum(tokens) FROM documents GROUP BY domain").fetchall())
    assert snapshot.tokens() == counted
    weights = snapshot.weights_by_size()
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["odd"] == pytest.approx((11 + 1 + 13 + 1) / sum(counted.values()))


def test_the_domain_table_agrees_with_the_documents(snapshot):
    table = snapshot.domain_table().set_index("domain")
    assert list(table.index) == snapshot.domains
    with snapshot.connect() as con:
        documents = con.execute("SELECT * FROM documents").df()
    for domain, own in documents.groupby("domain"):
        row = table.loc[domain]
        assert row["documents"] == len(own)
        assert row["bytes"] == own["bytes"].sum()
        assert row["weight"] == pytest.approx(snapshot.weights_by_size()[domain])
        assert row["near_duplicate_fraction"] == own["near_duplicate"].mean()
        assert row["exact_duplicate_fraction"] == row["exact_duplicates"] / len(own)
        for feature in ("bytes", *STATE_FEATURES):
            assert row[f"median_{feature}"] == pytest.approx(own[feature].median())


@pytest.mark.parametrize("feature", FEATURES)
def test_histograms_share_bins_and_count_every_document(snapshot, feature):
    table = snapshot.histogram(feature, bins=12)
    assert list(table.columns) == ["domain", "lower", "upper", "documents"]
    sizes = table.groupby("domain")["documents"].sum().to_dict()
    assert sizes == {d: m.documents for d, m in snapshot.manifest.domains.items()}
    edges = [own[["lower", "upper"]].to_numpy() for _, own in table.groupby("domain")]
    assert all(len(e) == 12 for e in edges)
    for other in edges[1:]:
        np.testing.assert_array_equal(edges[0], other)
    np.testing.assert_allclose(edges[0][1:, 0], edges[0][:-1, 1])
    widths = np.log(edges[0]) if FEATURES[feature].scale == "log" else edges[0]
    steps = widths[:, 1] - widths[:, 0]
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps[0])


def test_a_histogram_counts_where_numpy_would(snapshot):
    table = snapshot.histogram("alpha_ratio", bins=8)
    with snapshot.connect() as con:
        values = con.execute("SELECT alpha_ratio FROM documents WHERE domain = 'web'").fetchnumpy()[
            "alpha_ratio"
        ]
    own = table[table["domain"] == "web"]
    edges = [*own["lower"], own["upper"].iloc[-1]]
    inside = np.clip(values, edges[0], edges[-1])
    assert abs(own["documents"].to_numpy() - np.histogram(inside, edges)[0]).sum() <= 2  # a value on an edge


def test_a_feature_that_never_varies_has_a_histogram(pool):
    workspace = pool(a=["abcd", "efgh", "ijkl"])
    ingest(workspace)
    table = open_snapshot(workspace).histogram("bytes", bins=5)
    assert table["documents"].sum() == 3
    assert (table["lower"] < table["upper"]).all()


def test_samples_come_in_the_order_asked_for(snapshot):
    longest = snapshot.sample_documents("code", 5, order="longest")
    assert longest["text"].iloc[0].startswith("spam spam")
    assert longest["bytes"].is_monotonic_decreasing
    assert snapshot.sample_documents("code", 5, order="shortest")["bytes"].is_monotonic_increasing
    redundant = snapshot.sample_documents("code", 3, order="most_redundant")
    assert redundant["text"].iloc[0].startswith("spam spam")
    assert redundant["compression_ratio"].is_monotonic_increasing
    assert set(FEATURES) <= set(redundant.columns)


def test_a_random_sample_repeats_with_its_seed(snapshot):
    one = snapshot.sample_documents("web", 10, seed=3)
    assert one.equals(snapshot.sample_documents("web", 10, seed=3))
    assert one["document"].tolist() != snapshot.sample_documents("web", 10, seed=4)["document"].tolist()
    assert sorted(snapshot.sample_documents("web", 1000)["document"]) == list(range(60))
    assert snapshot.sample_documents("web", 0).empty


def test_texts_divide_a_domain(snapshot, prose):
    train, held = snapshot.texts("web", "train"), snapshot.texts("web", "heldout")
    assert list(train.columns) == ["document", "text", "tokens", *STATE_FEATURES]
    together = pd.concat([train, held]).sort_values("document")
    assert together["text"].tolist() == prose(60, 1)
    assert train["document"].is_monotonic_increasing
    assert held["tokens"].sum() == snapshot.manifest.domains["web"].heldout_tokens


def test_the_pool_state_is_the_token_weighted_mean_over_training(snapshot):
    frames = {d: snapshot.texts(d, "train") for d in snapshot.domains}
    tokens = np.concatenate([f["tokens"] for f in frames.values()]).astype(float)
    state = snapshot.state()
    assert list(state) == [f"state/{f}" for f in STATE_FEATURES]
    for feature in STATE_FEATURES:
        values = np.concatenate([f[feature] for f in frames.values()])
        assert state[f"state/{feature}"] == pytest.approx(np.average(values, weights=tokens))
    weights = {d: np.ones(len(f)) for d, f in frames.items()}
    assert snapshot.state(weights) == pytest.approx(state)
    only = {d: np.zeros(len(f)) for d, f in frames.items()}
    only["web"][3] = 0.5
    assert snapshot.state(only)["state/log_bytes"] == pytest.approx(frames["web"]["log_bytes"][3])


def test_document_weights_that_do_not_fit_are_refused(snapshot):
    good = {d: np.ones(len(snapshot.texts(d, "train"))) for d in snapshot.domains}
    for bad, message in (
        ({k: v for k, v in good.items() if k != "web"}, "web is missing"),
        ({**good, "new": np.ones(3)}, "new is missing or unknown"),
        ({**good, "web": np.ones(3)}, "weights of web"),
        ({**good, "web": -good["web"]}, "weights of web"),
        ({**good, "web": good["web"] * np.nan}, "weights of web"),
        ({d: 0 * w for d, w in good.items()}, "all zero"),
    ):
        with pytest.raises(CausalMixError, match=message):
            snapshot.state(bad)


def test_unknown_names_are_refused(snapshot):
    with pytest.raises(CausalMixError, match=r"no domain 'books'.*code, odd, web"):
        snapshot.texts("books", "train")
    with pytest.raises(CausalMixError, match="no domain"):
        snapshot.sample_documents("books", 1)
    with pytest.raises(CausalMixError, match="no feature 'entropy'"):
        snapshot.histogram("entropy")
    with pytest.raises(CausalMixError, match="at least one bin"):
        snapshot.histogram("bytes", bins=0)


def test_a_published_snapshot_cannot_be_written(snapshot):
    import duckdb

    with snapshot.connect() as con, pytest.raises(duckdb.Error, match="read-only"):
        con.execute("DELETE FROM documents")


def test_without_a_snapshot_the_message_says_ingest_first(pool, prose):
    workspace = pool(code=prose(5, 1))
    with pytest.raises(CausalMixError, match="ingest first"):
        open_snapshot(workspace)
    for wrong in ("0123456789ab", "../runs", "current"):
        with pytest.raises(CausalMixError, match="no snapshot"):
            open_snapshot(workspace, wrong)


def test_a_damaged_snapshot_is_named(pool, prose):
    workspace = pool(code=prose(5, 1))
    ingest(workspace)
    snapshot = open_snapshot(workspace)
    (snapshot.root / "documents/code.parquet").write_bytes(b"x")
    with pytest.raises(CausalMixError, match=r"documents/code\.parquet cannot be read"):
        snapshot.texts("code", "train")
    (snapshot.root / "corpus.duckdb").write_bytes(b"x" * 10_000)
    with pytest.raises(CausalMixError, match=r"corpus\.duckdb cannot be read"):
        snapshot.domain_table()
    (snapshot.root / "manifest.json").write_text("{}")
    with pytest.raises(CausalMixError, match=r"manifest\.json cannot be read"):
        open_snapshot(workspace)
    with pytest.raises(CausalMixError, match="damaged"):
        ingest(workspace)


def test_skipped_lines_are_listed_with_their_place(pool, prose):
    workspace = pool(web=prose(20, 1))
    source = workspace.resolve(workspace.config().domains["web"].path)
    file = source if source.is_file() else next(source.glob("*.jsonl"))
    with file.open("a") as out:
        out.write("not json\n" + '{"other": 1}\n')
    ingest(workspace)
    listed = open_snapshot(workspace).skipped()
    assert listed[["line", "reason"]].to_numpy().tolist() == [[21, "not_json"], [22, "no_text_field"]]
    assert len(open_snapshot(workspace).skipped(limit=1)) == 1
