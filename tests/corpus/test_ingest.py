from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from causalmix_core.corpus import FEATURES, Skipped, ingest, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig

COLUMNS = {
    "domain", "document", "origin", "text", "sha256", "cluster", "exact_duplicate", "near_duplicate", "split",
    *FEATURES,
}  # fmt: skip


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def all_documents(workspace: Workspace) -> pd.DataFrame:
    folder = open_snapshot(workspace).root / "documents"
    return pd.concat([pq.read_table(f).to_pandas() for f in sorted(folder.iterdir())], ignore_index=True)


def test_a_snapshot_holds_every_document_once_with_all_columns(pool, prose):
    texts = {"code": prose(1500, 1), "web": [*prose(40, 2), "nul \0 and \r\n", "文字" * 20]}
    workspace = pool(**texts)
    report = ingest(workspace)
    assert report.created
    documents = all_documents(workspace)
    assert set(documents.columns) == COLUMNS
    for domain, expected in texts.items():
        own = documents[documents["domain"] == domain]
        assert own["text"].tolist() == expected
        assert own["document"].tolist() == list(range(len(expected)))
        assert own["origin"].tolist() == [f"{domain}.jsonl:{i + 1}" for i in range(len(expected))]
    snapshot = open_snapshot(workspace)
    assert snapshot.id == report.snapshot
    assert sorted(p.name for p in snapshot.root.iterdir()) == ["corpus.duckdb", "documents", "manifest.json"]
    with snapshot.connect() as con:
        stored = con.execute("SELECT * FROM documents ORDER BY domain, document").df()
    assert set(stored.columns) == COLUMNS - {"text"}
    pd.testing.assert_frame_equal(
        stored, documents[list(stored.columns)].reset_index(drop=True), check_dtype=False
    )


def test_the_manifest_adds_up(pool, prose):
    base = prose(30, 1)
    workspace = pool(code=[*base, *base[:5], base[6] + "more"], web=[base[0], *prose(20, 2)])
    ingest(workspace)
    manifest = open_snapshot(workspace).manifest
    documents = all_documents(workspace)
    for name, domain in manifest.domains.items():
        own = documents[documents["domain"] == name]
        assert domain.read == domain.documents == len(own)
        assert domain.bytes == own["bytes"].sum() == sum(len(t.encode()) for t in own["text"])
        assert domain.tokens == own["tokens"].sum() == domain.train_tokens + domain.heldout_tokens
        assert domain.heldout_tokens == own.loc[own["split"] == "heldout", "tokens"].sum()
    assert (manifest.domains["code"].exact_duplicates, manifest.domains["code"].near_duplicates) == (5, 6)
    # The copy in another domain is a duplicate too: it leaks all the same.
    assert manifest.domains["web"].exact_duplicates == 1


def test_held_out_text_never_has_a_near_copy_in_training(pool, prose):
    base = prose(120, 3)
    workspace = pool(
        a=base, b=[t + " and one more" for t in base[:60]] + prose(60, 4), c=base[30:90] + prose(50, 5)
    )
    ingest(workspace)
    documents = all_documents(workspace)
    assert documents["near_duplicate"].sum() >= 110
    assert (documents.groupby("cluster")["split"].nunique() == 1).all()
    assert (documents.groupby("domain")["split"].nunique() == 2).all()


def test_skipped_lines_are_counted_named_and_stored(pool, prose, tmp_path):
    workspace = pool(code=prose(1204, 1))
    file = tmp_path / "texts/code.jsonl"
    folder = tmp_path / "texts/code"
    folder.mkdir()
    lines = file.read_bytes().splitlines(keepends=True)
    (folder / "a.jsonl").write_bytes(b"".join([*lines[:4], b"x\n", *lines[4:7], b"y\n", *lines[7:]]))
    (folder / "b.txt").write_bytes(b"\xff")
    workspace.save_config(WorkspaceConfig(name="t", domains={"code": DomainSource(path="../texts/code")}))
    report = ingest(workspace)
    code = report.domains["code"]
    assert (code.read, code.kept, code.skipped) == (1207, 1204, {"not_json": 2, "not_utf8": 1})
    assert code.examples == [
        Skipped("a.jsonl", 5, "not_json"),
        Skipped("a.jsonl", 9, "not_json"),
        Skipped("b.txt", None, "not_utf8"),
    ]
    assert report.summary()[0] == (
        "code: 1,204 documents, skipped 3 (2 not JSON: a.jsonl line 5, line 9; 1 not UTF-8: b.txt)"
    )
    assert report.snapshot in report.summary()[-1]
    snapshot = open_snapshot(workspace)
    assert snapshot.manifest.domains["code"].skipped == code.skipped
    with snapshot.connect() as con:
        stored = con.execute("SELECT domain, file, line, reason FROM skipped ORDER BY file, line").fetchall()
    assert stored == [
        ("code", "a.jsonl", 5, "not_json"),
        ("code", "a.jsonl", 9, "not_json"),
        ("code", "b.txt", None, "not_utf8"),
    ]


def test_only_the_first_examples_are_reported_but_all_are_stored(pool, prose, tmp_path):
    workspace = pool(code=prose(10, 1))
    with (tmp_path / "texts/code.jsonl").open("a") as file:
        file.write("x\n" * 2500)
    report = ingest(workspace)
    assert len(report.domains["code"].examples) == 20
    assert report.domains["code"].skipped == {"not_json": 2500}
    assert report.summary()[0].endswith("line 30 and 2,480 more)")
    with open_snapshot(workspace).connect() as con:
        assert con.execute("SELECT count(*), max(line) FROM skipped").fetchone() == (2500, 2510)


def test_the_same_content_is_not_built_again(pool, prose, tmp_path):
    texts = prose(50, 1)
    workspace = pool(code=texts)
    first = ingest(workspace)
    before = tree(workspace.snapshots)
    again = ingest(workspace)
    assert (again.created, again.snapshot, again.domains) == (False, first.snapshot, first.domains)
    assert tree(workspace.snapshots) == before
    # The same texts in another kind of file are the same pool.
    folder = tmp_path / "texts/parts"
    folder.mkdir()
    for i, text in enumerate(texts):
        (folder / f"{i:03}.txt").write_text(text, newline="")
    workspace.save_config(WorkspaceConfig(name="t", domains={"code": DomainSource(path=str(folder))}))
    assert ingest(workspace).snapshot == first.snapshot


def test_a_change_of_a_text_a_border_an_order_or_a_name_is_another_snapshot(pool, prose, tmp_path):
    texts = prose(20, 1)
    workspace = pool(code=texts)
    file = tmp_path / "texts/code.jsonl"
    ids = [ingest(workspace).snapshot]
    for changed in ([*texts[1:], texts[0]], [texts[0] + texts[1], *texts[2:]], [*texts[:-1], "other words"]):
        file.write_text("".join(json.dumps({"text": t}) + "\n" for t in changed))
        ids.append(ingest(workspace).snapshot)
    workspace.save_config(WorkspaceConfig(name="t", domains={"prose": DomainSource(path=str(file))}))
    ids.append(ingest(workspace).snapshot)
    assert len(set(ids)) == 5
    assert open_snapshot(workspace).id == ids[-1]
    assert [open_snapshot(workspace, i).id for i in ids] == ids


def test_going_back_to_earlier_texts_makes_the_earlier_snapshot_current(pool, prose, tmp_path):
    workspace = pool(code=prose(20, 1))
    file = tmp_path / "texts/code.jsonl"
    original = file.read_bytes()
    first = ingest(workspace)
    file.write_bytes(original * 2)
    assert ingest(workspace).created
    file.write_bytes(original)
    back = ingest(workspace)
    assert (back.snapshot, back.created) == (first.snapshot, False)
    assert open_snapshot(workspace).id == first.snapshot


class InterruptedByTestError(Exception):
    pass


@pytest.mark.parametrize("at", [0.0, 0.4, 0.75, 0.95])
def test_an_interrupted_ingest_leaves_the_old_snapshot(pool, prose, tmp_path, at):
    workspace = pool(code=prose(1100, 1), web=prose(30, 2))
    ingest(workspace)
    before = tree(workspace.snapshots)
    with (tmp_path / "texts/code.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more document"}) + "\n")

    def stop(fraction: float, message: str) -> None:
        if fraction >= at:
            raise InterruptedByTestError

    with pytest.raises(InterruptedByTestError):
        ingest(workspace, stop)
    assert tree(workspace.snapshots) == before
    assert ingest(workspace).created


def test_progress_grows_from_nothing_to_done(pool, prose):
    seen: list[tuple[float, str]] = []
    ingest(pool(code=prose(2500, 1), web=prose(30, 2)), lambda f, m: seen.append((f, m)))
    fractions = [f for f, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert len(fractions) >= 8
    assert all(message for _, message in seen)


def test_files_that_change_while_they_are_read_are_refused(pool, prose, tmp_path):
    workspace = pool(code=prose(1500, 1), web=prose(30, 2))
    ingest(workspace)
    before = tree(workspace.snapshots)
    file = tmp_path / "texts/code.jsonl"
    first = file.read_bytes() + b'{"text": "new"}\n'
    file.write_bytes(first)
    for meanwhile in (
        first + b'{"text": "newer"}\n',
        first.replace(b"new", b"old"),
        first[: len(first) // 3],
    ):
        file.write_bytes(first)

        def write(fraction: float, message: str, data: bytes = meanwhile) -> None:
            if message == "reading web":
                file.write_bytes(data)

        with pytest.raises(CausalMixError, match="domain code changed while"):
            ingest(workspace, write)
        assert tree(workspace.snapshots) == before


def test_bad_configurations_are_named(pool, prose, tmp_path):
    workspace = pool(code=prose(10, 1))
    good = workspace.config().domains["code"]

    def fails(domains: dict[str, DomainSource], message: str) -> None:
        workspace.save_config(WorkspaceConfig(name="t", domains=domains))
        with pytest.raises(CausalMixError, match=message):
            ingest(workspace)
        assert list(workspace.snapshots.iterdir()) == []

    single = tmp_path / "single.jsonl"
    single.write_text('{"text": "the only one"}\n' * 3)
    unreadable = tmp_path / "a.csv"
    unreadable.write_text("x")
    fails({}, "has no domains")
    fails({"code": DomainSource(path="nowhere")}, "Domain code: There is no file or folder .*nowhere")
    fails(
        {"code": DomainSource(path=good.path, text_field="body")}, "Domain code: The domain is empty.*'body'"
    )
    fails({"code": DomainSource(path=str(unreadable))}, r"Domain code: .*a\.csv is of a type")
    fails({"code": good, "Code": good}, "code and Code|Code and code")
    fails({"code": good, "one": DomainSource(path=str(single))}, "domain one .*two distinct documents")


def test_a_refusing_disk_is_a_message(pool, prose):
    workspace = pool(code=prose(10, 1))
    shutil.rmtree(workspace.snapshots)
    workspace.snapshots.write_text("in the way")
    with pytest.raises(CausalMixError, match="Cannot write the snapshot"):
        ingest(workspace)


def test_the_path_of_the_workspace_and_the_name_of_a_domain_may_be_odd(tmp_path, prose):
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": t}) + "\n" for t in prose(20, 1)))
    source = DomainSource(path="../texts.jsonl")
    names = ["skipped", "1.2-a_b", "select"]
    workspace = Workspace.create(
        tmp_path / "it's [a] *work* space", WorkspaceConfig(name="t", domains=dict.fromkeys(names, source))
    )
    ingest(workspace)
    snapshot = open_snapshot(workspace)
    assert snapshot.domains == sorted(names)
    for name in names:
        assert len(snapshot.sample_documents(name, 30)) == 20


def test_long_documents_do_not_pile_up_in_memory(pool):
    """Batches end by size, too."""
    workspace = pool(code=[np.random.default_rng(i).bytes(400_000).hex() for i in range(13)])
    ingest(workspace)
    file = pq.ParquetFile(open_snapshot(workspace).root / "documents/code.parquet")
    groups = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
    assert sum(groups) == 13
    assert max(groups) <= 6
