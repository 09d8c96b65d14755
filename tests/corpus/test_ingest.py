from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from causalmix_core.corpus import FEATURES, Skipped, ingest, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, MixedSource, Workspace, WorkspaceConfig

IDENTITY = {"domain", "document", "origin"}
TEXT = {"text", "sha256"}
MARKS = {"text_key", "cluster", "exact_duplicate", "near_duplicate", "split"}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def all_documents(workspace: Workspace) -> pd.DataFrame:
    """Every document with its text, its features and what the pool knows of it."""
    snapshot = open_snapshot(workspace)
    files = [pq.read_table(snapshot.documents_file(d)).to_pandas() for d in snapshot.domains]
    texts = pd.concat(files, ignore_index=True)
    with snapshot.connect() as con:
        marks = con.execute(f"SELECT domain, document, {', '.join(sorted(MARKS))} FROM documents").df()
    return texts.merge(marks, on=["domain", "document"], validate="one_to_one")


def test_a_snapshot_holds_every_document_once_with_all_columns(pool, prose):
    texts = {"code": prose(4500, 1), "web": [*prose(40, 2), "old ends \r\n", "文字" * 20]}
    workspace = pool(**texts)
    report = ingest(workspace)
    assert report.created
    documents = all_documents(workspace)
    assert set(documents.columns) == {*IDENTITY, *TEXT, *MARKS, *FEATURES}
    for domain, expected in texts.items():
        own = documents[documents["domain"] == domain]
        assert own["text"].tolist() == expected
        assert own["document"].tolist() == list(range(len(expected)))
        assert own["origin"].tolist() == [f"{domain}.jsonl:{i + 1}" for i in range(len(expected))]
    snapshot = open_snapshot(workspace)
    assert snapshot.id == report.snapshot
    assert sorted(p.name for p in snapshot.root.iterdir()) == ["corpus.duckdb", "documents", "manifest.json"]
    with snapshot.connect() as con:
        stored = con.execute("SELECT * FROM pool.documents").df()
    assert set(stored.columns) == {*IDENTITY, *MARKS, *FEATURES}
    pd.testing.assert_frame_equal(
        stored, documents[list(stored.columns)].reset_index(drop=True), check_dtype=False
    )
    assert stored["text_key"].map("{:016x}".format).tolist() == [h[:16] for h in documents["sha256"]]


def test_the_manifest_adds_up(pool, prose):
    base = prose(30, 1)
    workspace = pool(code=[*base, *base[:5], base[6] + "more"], web=[base[0], *prose(20, 2)])
    ingest(workspace)
    manifest = open_snapshot(workspace).manifest
    documents = all_documents(workspace)
    for name, domain in manifest.domains.items():
        own = documents[documents["domain"] == name]
        assert domain.documents == len(own) == manifest.sources[name].read == manifest.sources[name].kept
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
    code = report.sources["code"]
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
    assert snapshot.manifest.sources["code"].skipped == code.skipped
    with snapshot.connect() as con:
        files = con.execute("SELECT file, read, kept, skipped FROM files ORDER BY file").fetchall()
        assert files == [("a.jsonl", 1206, 1204, 2), ("b.txt", 1, 0, 1)]
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
    assert len(report.sources["code"].examples) == 20
    assert report.sources["code"].skipped == {"not_json": 2500}
    assert report.summary()[0].endswith("line 30 and 2,480 more)")
    with open_snapshot(workspace).connect() as con:
        assert con.execute("SELECT count(*), max(line) FROM skipped").fetchone() == (2500, 2510)


def test_the_same_content_is_not_built_again(pool, prose, tmp_path):
    texts = prose(50, 1)
    workspace = pool(code=texts)
    first = ingest(workspace)
    before = tree(workspace.snapshots)
    again = ingest(workspace)
    assert again == first.model_copy(update={"created": False})
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


@pytest.mark.parametrize("at", [0.0, 0.02, 0.6, 0.88])
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
            if message.startswith("reading"):
                file.write_bytes(data)

        with pytest.raises(CausalMixError, match=r"domain code changed while they were read \(code.jsonl\)"):
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
        assert len(snapshot.read_documents(name, ("text",), np.arange(20))) == 20


def test_long_documents_do_not_pile_up_in_memory(pool):
    """Batches end by size, too."""
    workspace = pool(code=[np.random.default_rng(i).bytes(400_000).hex() for i in range(13)])
    ingest(workspace)
    file = pq.ParquetFile(open_snapshot(workspace).root / "documents/code.parquet")
    groups = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
    assert sum(groups) == 13
    assert max(groups) <= 3


def mixed_workspace(tmp_path: Path, rows: list[dict[str, object]], **domains: DomainSource) -> Workspace:
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = MixedSource(path=str(file), domain_field="kind", text_field="body")
    config = WorkspaceConfig(name="t", domains=domains, mixed_sources=[source])
    return Workspace.create(tmp_path / "workspace", config)


def test_documents_of_a_mixed_source_go_to_the_domains_that_they_name(tmp_path, prose):
    texts = prose(90, 1)
    rows = [{"body": t, "kind": "web" if i % 3 else "code"} for i, t in enumerate(texts)]
    rows += [{"body": "no kind"}, {"body": "bad", "kind": "../up"}, {"body": texts[0], "kind": "web"}]
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps({"text": t}) + "\n" for t in prose(20, 2)))
    workspace = mixed_workspace(tmp_path, rows, web=DomainSource(path=str(own)))
    report = ingest(workspace)
    assert report.documents == {"code": 30, "web": 81}
    label = f"*{tmp_path / 'mixed.jsonl'}"
    assert report.sources[label].skipped == {"no_domain_field": 1, "bad_domain": 1}
    assert report.sources[label].read == 93 == report.sources[label].kept + 2
    assert report.sources["web"].kept == 20
    documents = all_documents(workspace)
    assert documents.loc[documents["domain"] == "code", "text"].tolist() == texts[::3]
    web = documents.loc[documents["domain"] == "web", "text"].tolist()
    assert web == [*prose(20, 2), *(t for i, t in enumerate(texts) if i % 3), texts[0]]
    # The copy that comes later in the pool is the duplicate, whichever came first in the file.
    copies = documents[documents["exact_duplicate"]]
    assert copies[["domain", "document"]].to_numpy().tolist() == [["web", 80]]
    assert documents["cluster"].iloc[0] == 0


def test_domain_names_that_differ_in_case_only_are_refused(tmp_path, prose):
    rows = [{"body": t, "kind": "web" if i % 2 else "Web"} for i, t in enumerate(prose(20, 1))]
    with pytest.raises(CausalMixError, match="differ only in upper and lower"):
        ingest(mixed_workspace(tmp_path, rows))


def test_worker_processes_measure_the_same(pool, prose):
    workspace = pool(code=prose(5000, 1), web=prose(30, 2))
    first = ingest(workspace, workers=0)
    alone = all_documents(workspace)
    shutil.rmtree(workspace.snapshots)
    workspace.snapshots.mkdir()
    again = ingest(workspace, workers=2)
    assert again == first
    pd.testing.assert_frame_equal(all_documents(workspace), alone)


def test_the_tokenizer_of_the_workspace_counts_tokens(pool, prose, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = sorted({w for t in prose(20, 1) for w in t.split()})
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["?", *words])}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    workspace = pool(code=prose(20, 1))
    by_bytes = ingest(workspace)
    config = workspace.config()
    workspace.save_config(config.model_copy(update={"tokenizer": str(tmp_path / "tokenizer.json")}))
    by_words = ingest(workspace)
    assert by_words.created
    assert by_words.snapshot != by_bytes.snapshot
    documents = all_documents(workspace)
    assert (documents["tokens"] == documents["words"] + 1).all()
    assert open_snapshot(workspace).tokens() == {"code": int(documents["tokens"].sum())}
    workspace.save_config(config.model_copy(update={"tokenizer": "nowhere.json"}))
    with pytest.raises(CausalMixError, match=r"nowhere\.json"):
        ingest(workspace)


def test_files_outside_of_the_allowed_roots_are_not_read(pool, prose, tmp_path):
    workspace = pool(code=prose(20, 1))
    config = workspace.config()
    workspace.save_config(config.model_copy(update={"allowed_roots": [str(tmp_path / "elsewhere")]}))
    with pytest.raises(CausalMixError, match=r"Domain code: .*elsewhere"):
        ingest(workspace)
    workspace.save_config(config.model_copy(update={"allowed_roots": [str(tmp_path / "texts")]}))
    assert ingest(workspace).created


INGEST = "import sys; from pathlib import Path; from causalmix_core.corpus import ingest; "
INGEST += "from causalmix_core.workspace import Workspace; "


def test_an_ingest_that_is_killed_leaves_nothing_and_takes_its_workers_with_it(pool, prose):
    workspace = pool(code=prose(9000, 1))
    code = INGEST + (
        "ingest(Workspace.open(Path(sys.argv[1])), workers=2, progress=lambda f, m: print(m, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )
    import psutil

    while "reading" not in process.stdout.readline():
        assert process.poll() is None
    workers = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(workers) == 2
    psutil.wait_procs(workers, timeout=30)
    assert not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]
    assert [p.name[:4] for p in workspace.snapshots.iterdir()] == [".tmp"]
    assert list(Workspace.open(workspace.root).snapshots.iterdir()) == []
    assert ingest(workspace).created


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process need a POSIX system")
def test_a_full_disk_is_a_message_and_publishes_nothing(pool, prose):
    """The system refuses files of more than 200 kB, as a full disk would."""
    workspace = pool(code=[np.random.default_rng(i).bytes(2000).hex() for i in range(400)])
    code = INGEST + (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
        "from causalmix_core.errors import CausalMixError\n"
        "try: ingest(Workspace.open(Path(sys.argv[1])))\n"
        "except CausalMixError as error: print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(workspace.root)], capture_output=True, text=True, check=True
    )
    assert "Cannot write the snapshot" in run.stdout
    assert list(workspace.snapshots.iterdir()) == []
    assert ingest(workspace).created


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["a.jsonl", "b.txt", "c.json", "d.jsonl.gz", "e.parquet", "f.csv", "g.jsonl.zst"]),
        st.lists(
            st.one_of(st.binary(max_size=40), st.sampled_from([b'{"text": "good"}', b'{"text": 1}', b"{"])),
            max_size=6,
        ).map(b"\n".join),
        min_size=1,
    )
)
def test_counts_add_up_for_arbitrary_bytes(tmp_path_factory, files):
    """read = kept + skipped by reason: in the report, per file, and as rows of the table `skipped`."""
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "texts").mkdir()
    for name, data in files.items():
        (folder / "texts" / name).write_bytes(data)
    (folder / "texts" / "z.jsonl").write_text('{"text": "one"}\n{"text": "two other words"}\n')
    config = WorkspaceConfig(name="t", domains={"code": DomainSource(path="../texts")})
    workspace = Workspace.create(folder / "workspace", config)
    report = ingest(workspace).sources["code"]
    assert report.read == report.kept + sum(report.skipped.values())
    assert report.files == len(files) + 1
    snapshot = open_snapshot(workspace)
    assert snapshot.documents == report.kept
    with snapshot.connect() as con:
        assert con.execute("SELECT count(*) FROM documents").fetchone() == (report.kept,)
        skipped = dict(con.execute("SELECT reason, count(*) FROM skipped GROUP BY reason").fetchall())
        assert skipped == report.skipped
        rows = con.execute("SELECT file, read, kept, skipped FROM files").fetchall()
    assert {r[0] for r in rows} == {*files, "z.jsonl"}
    assert all(read == kept + left and read > 0 for _, read, kept, left in rows)
    assert sum(r[1] for r in rows) == report.read
