from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from causalmix_core.corpus import (
    RULES,
    STATE_FEATURES,
    Snapshot,
    ingest,
    list_snapshots,
    open_snapshot,
    use_snapshot,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace


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
        for feature in ("bytes", "tokens", "compression_ratio"):
            assert row[f"median_{feature}"] == pytest.approx(own[feature].median())
        assert row["language_fraction"] == (own["language"] == row["language"]).mean()


def test_documents_are_read_by_number(snapshot):
    found = snapshot.read_documents("web", ("text", "bytes"), np.array([3, 17, 58]))
    assert list(found.columns) == ["text", "bytes"]
    assert found["bytes"].tolist() == [len(t.encode()) for t in found["text"]]
    assert found["text"].tolist() == [snapshot_text(snapshot, "web", i) for i in (3, 17, 58)]
    assert snapshot.read_documents("web", ("text",), np.array([], np.int64)).empty


def snapshot_text(snapshot: Snapshot, domain: str, document: int) -> str:
    return pq.read_table(snapshot.documents_file(domain))["text"][document].as_py()


def test_rules_are_columns_of_the_documents(snapshot):
    with snapshot.connect() as con:
        columns = {r[0]: r[1] for r in con.execute("DESCRIBE documents").fetchall()}
        assert {n: columns[n] for n in RULES} == dict.fromkeys(RULES, "BOOLEAN")
        broken = con.execute("SELECT domain, document FROM documents WHERE gopher_short_doc").fetchall()
        assert ("odd", 0) in broken
        tables = {r[0] for r in con.execute("SHOW TABLES").fetchall()}
    assert tables == {"documents", "domains", "files", "skipped", "ngrams"}


def test_the_current_snapshot_can_be_chosen(pool, prose, tmp_path):
    workspace = pool(web=prose(20, 1))
    first = ingest(workspace).snapshot
    with (tmp_path / "texts/web.jsonl").open("a") as out:
        out.write('{"text": "more"}\n')
    second = ingest(workspace).snapshot
    assert [s.id for s in list_snapshots(workspace)] == [second, first]
    assert use_snapshot(workspace, first).id == open_snapshot(workspace).id == first
    with pytest.raises(CausalMixError, match="no snapshot"):
        use_snapshot(workspace, "0" * 12)


def test_a_snapshot_of_another_version_says_ingest_again(snapshot):
    manifest = snapshot.root / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(CausalMixError, match="another version of CausalMix"):
        open_snapshot(Workspace(snapshot.root.parent.parent), snapshot.id)


def test_texts_divide_a_domain(snapshot, prose):
    train, held = snapshot.texts("web", "train"), snapshot.texts("web", "heldout")
    assert list(train.columns) == ["document", "text", "bytes", *STATE_FEATURES]
    together = pd.concat([train, held]).sort_values("document")
    assert together["text"].tolist() == prose(60, 1)
    assert train["document"].is_monotonic_increasing
    assert held["bytes"].sum() + len(held) == snapshot.manifest.domains["web"].heldout_tokens


def test_the_pool_state_is_the_token_weighted_mean_over_training(snapshot):
    frames = {d: snapshot.texts(d, "train") for d in snapshot.domains}
    tokens = np.concatenate([f["bytes"] + 1 for f in frames.values()]).astype(float)
    state = snapshot.state()
    assert list(state) == [f"state/{f}" for f in STATE_FEATURES]
    for feature in STATE_FEATURES:
        values = np.concatenate([f[feature] for f in frames.values()])
        assert state[f"state/{feature}"] == pytest.approx(np.average(values, weights=tokens))
    weights = {d: np.ones(len(f)) for d, f in frames.items()}
    assert snapshot.state(document_weights=weights) == pytest.approx(state)
    only = {d: np.zeros(len(f)) for d, f in frames.items()}
    only["web"][3] = 0.5
    state = snapshot.state(document_weights=only)
    assert state["state/log_bytes"] == pytest.approx(frames["web"]["log_bytes"][3])


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
            snapshot.state(document_weights=bad)


def test_unknown_names_are_refused(snapshot):
    with pytest.raises(CausalMixError, match=r"no domain 'books'.*code, odd, web"):
        snapshot.texts("books", "train")
    with pytest.raises(CausalMixError, match="no domain"):
        snapshot.documents_file("books")
    for wrong in ("entropy", "language", "domain"):
        with pytest.raises(CausalMixError, match=f"no numeric feature '{wrong}'"):
            snapshot.state([wrong])
    with pytest.raises(CausalMixError, match="normalized_loss was not measured"):
        snapshot.texts("web", "train", ["normalized_loss"])


def test_a_published_snapshot_cannot_be_written(snapshot):
    import duckdb

    with snapshot.connect() as con, pytest.raises(duckdb.Error, match="read-only"):
        con.execute("DELETE FROM pool.documents")


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
