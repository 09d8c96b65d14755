from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pytest

from causalmix_core.corpus import sources
from causalmix_core.corpus.readers import Document, Fields, iter_documents
from causalmix_core.corpus.sources import (
    add_source,
    check_allowed,
    preview_source,
    remove_source,
    save_upload,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig

GOOD = b'{"text": "good", "kind": "web"}\n'


def write(path: Path, data: bytes = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="test"))


def allow(workspace: Workspace, *roots: Path) -> None:
    config = workspace.config()
    workspace.save_config(config.model_copy(update={"allowed_roots": [str(root) for root in roots]}))


def leftovers(workspace: Workspace) -> list[Path]:
    return [path for path in workspace.root.rglob("*") if path.name.startswith(".tmp-")]


def test_a_source_is_added_as_it_was_named(workspace, tmp_path):
    outside = str(write(tmp_path / "texts/a.jsonl"))
    inside = write(workspace.root / "mine/b.jsonl", b'{"body": "x"}')
    add_source(workspace, "web", outside, restricted=False)
    config = add_source(workspace, "code", "mine/*.jsonl", text_field="body", split="all", restricted=True)
    assert config == workspace.config()
    assert config.domains == {
        "web": DomainSource(path=outside),
        "code": DomainSource(path="mine/*.jsonl", text_field="body", split="all"),
    }
    assert inside.exists()


def test_a_source_of_several_domains_needs_its_field(workspace, tmp_path):
    path = str(write(tmp_path / "a.jsonl"))
    add_source(workspace, None, path, domain_field="kind", restricted=False)
    assert [s.domain_field for s in workspace.config().mixed_sources] == ["kind"]
    with pytest.raises(CausalMixError, match="already"):
        add_source(workspace, None, path, domain_field="kind", restricted=False)
    other = str(write(tmp_path / "b.jsonl"))
    with pytest.raises(CausalMixError, match=r"without the domain field.*text, kind"):
        add_source(workspace, None, other, domain_field="topic", restricted=False)
    for name, field in ((None, None), ("web", "kind")):
        with pytest.raises(CausalMixError, match="either"):
            add_source(workspace, name, path, domain_field=field, restricted=False)


@pytest.mark.parametrize(
    ("name", "path", "field", "message"),
    [
        ("Web", "a.jsonl", "text", "There is a domain web already"),
        ("../web", "a.jsonl", "text", "cannot be a name"),
        ("new", "nowhere.jsonl", "text", "no file or folder"),
        ("new", "no-*.jsonl", "text", "No file matches"),
        ("new", "a.pdf", "text", "cannot be read"),
        ("new", "empty", "text", "No document was found"),
        ("new", "a.jsonl", "body", r"1 without the text field.*Its fields are text, kind"),
        ("new", " ", "text", "Give the path"),
        ("new", "a\udcff.jsonl", "text", "Give the path"),
        ("new", "a\0.jsonl", "text", r"Cannot look at|no file or folder"),
    ],
)
@pytest.mark.parametrize("restricted", [True, False])
def test_a_source_that_would_fail_later_is_refused_now(workspace, name, path, field, message, restricted):
    for file in ("a.jsonl", "a.pdf", "b.jsonl"):
        write(workspace.root / file)
    (workspace.root / "empty").mkdir()
    before = add_source(workspace, "web", "b.jsonl", restricted=True)
    with pytest.raises(CausalMixError, match=message):
        add_source(workspace, name, path, text_field=field, restricted=restricted)
    assert workspace.config() == before


def test_only_the_first_lines_are_looked_at(workspace):
    path = write(workspace.root / "a.jsonl", b"not json\n" * 1000 + GOOD)
    with pytest.raises(CausalMixError, match=r"300 not JSON"):
        add_source(workspace, "web", str(path), restricted=True)
    write(path, b"not json\n" * 100 + GOOD)
    add_source(workspace, "web", str(path), restricted=True)


def test_the_page_reaches_only_the_workspace_and_allowed_folders(workspace, tmp_path):
    outside, allowed = write(tmp_path / "outside/a.jsonl"), write(tmp_path / "allowed/a.jsonl")
    (workspace.root / "link").symlink_to(outside.parent)
    (workspace.root / "one.jsonl").symlink_to(outside)
    write(workspace.root / "folder/good.jsonl")
    (workspace.root / "folder/bad.jsonl").symlink_to(outside)
    ways = [
        str(outside),
        "../outside/a.jsonl",
        "link",
        "link/a.jsonl",
        "one.jsonl",
        "folder",
        "folder/*.jsonl",
    ]
    ways += [str(tmp_path / "outside/*.jsonl"), "*/../../outside/*.jsonl", str(tmp_path / "nowhere.jsonl")]
    for n, path in enumerate(ways):
        with pytest.raises(CausalMixError, match=r"outside of the folders.*workspace\.yaml"):
            add_source(workspace, f"d{n}", path, restricted=True)
        with pytest.raises(CausalMixError, match="outside of the folders"):
            preview_source(workspace.resolve(path), Fields(), within=workspace)
    with pytest.raises(CausalMixError, match="outside of the folders"):
        add_source(workspace, "new", str(allowed), restricted=True)
    allow(workspace, allowed.parent)
    with pytest.raises(CausalMixError, match=str(allowed.parent)):
        add_source(workspace, "new", str(outside), restricted=True)
    add_source(workspace, "new", str(allowed), restricted=True)
    assert list(workspace.config().domains) == ["new"]


def test_the_command_line_is_bound_only_where_roots_are_given(workspace, tmp_path):
    outside = write(tmp_path / "outside/a.jsonl")
    check_allowed(workspace, outside)
    add_source(workspace, "one", str(outside), restricted=False)
    allow(workspace, tmp_path / "allowed")
    with pytest.raises(CausalMixError, match="outside of the folders"):
        add_source(workspace, "two", str(outside), restricted=False)
    with pytest.raises(CausalMixError, match="outside of the folders"):
        check_allowed(workspace, outside)
    link = workspace.root / "link.jsonl"
    link.symlink_to(outside)
    with pytest.raises(CausalMixError, match="outside of the folders"):
        check_allowed(workspace, link, workspace.config())
    check_allowed(workspace, write(tmp_path / "allowed/deep/a.jsonl"))
    check_allowed(workspace, write(workspace.uploads / "web/a.jsonl"))


def together(*calls):
    """Run calls at once; what they raised."""
    barrier, errors = threading.Barrier(len(calls)), []

    def run(call):
        barrier.wait()
        try:
            call()
        except CausalMixError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_curators_who_add_at_once_lose_nothing(workspace):
    for n in range(8):
        write(workspace.root / f"{n}.jsonl")
    calls = [lambda n=n: add_source(workspace, f"d{n}", f"{n}.jsonl", restricted=True) for n in range(8)]
    assert together(*calls) == []
    assert sorted(workspace.config().domains) == [f"d{n}" for n in range(8)]


def test_of_curators_who_add_one_name_at_once_one_wins(workspace):
    write(workspace.root / "a.jsonl")
    names = ["web", "Web", "WEB", "wEb"]
    errors = together(*[lambda n=n: add_source(workspace, n, "a.jsonl", restricted=True) for n in names])
    assert len(errors) == 3
    assert all("already" in error for error in errors)
    assert len(workspace.config().domains) == 1


def test_a_source_is_removed_and_its_files_stay(workspace):
    file = write(workspace.root / "a.jsonl")
    add_source(workspace, "web", "a.jsonl", restricted=True)
    add_source(workspace, None, "a.jsonl", domain_field="kind", restricted=True)
    assert remove_source(workspace, "web").domains == {}
    assert remove_source(workspace, "a.jsonl").mixed_sources == []
    assert workspace.config() == WorkspaceConfig(name="test")
    assert file.exists()
    with pytest.raises(CausalMixError, match="There is no source 'web'"):
        remove_source(workspace, "web")


def test_a_preview_shows_documents_faults_and_fields(tmp_path):
    lines = [{"text": f"t{n}", "id": n, "meta": {"source": "web"}} for n in range(9)]
    write(tmp_path / "d/a.jsonl", b"broken\n" + "\n".join(map(json.dumps, lines)).encode())
    write(tmp_path / "d/README.md")
    found = preview_source(tmp_path / "d", Fields("text", "meta.source"), n=2)
    assert found.documents == [Document("t0", "a.jsonl:2", "web"), Document("t1", "a.jsonl:3", "web")]
    assert found.skipped == {"unknown_type": 1, "not_json": 1}
    assert found.fields == ["text", "id", "meta", "meta.source"]
    assert (found.files, found.bytes) == (1, (tmp_path / "d/a.jsonl").stat().st_size)
    nothing = preview_source(tmp_path / "d", Fields("content"))
    assert nothing.documents == []
    assert nothing.skipped == {"unknown_type": 1, "not_json": 1, "no_text_field": 9}
    assert nothing.fields == found.fields


def test_an_upload_makes_a_domain_and_later_ones_join_it(workspace):
    source = save_upload(workspace, "web", "a.jsonl", io.BytesIO(GOOD))
    assert save_upload(workspace, "web", "b.txt", io.BytesIO(b"more")) == source
    assert workspace.config().domains == {"web": DomainSource(path="sources/web")}
    texts = [item.text for item in iter_documents(workspace.resolve(source.path))]
    assert texts == ["good", "more"]
    other = save_upload(workspace, "code", "a.jsonl", io.BytesIO(b'{"body": "x"}'), text_field="body")
    assert other.text_field == "body"
    assert leftovers(workspace) == []


@pytest.mark.parametrize(
    ("filename", "stored"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("..\\..\\evil.txt", "evil.txt"),
        ("/abs/olute.jsonl", "olute.jsonl"),
        (".hidden.txt", "hidden.txt"),
        ("a\nb\0c;$(d).txt", "a_b_c___d_.txt"),
        ("Übung 文字.txt", "Übung 文字.txt"),
        ("x" * 300 + ".jsonl.gz", None),
    ],
)
def test_the_name_of_an_upload_leads_nowhere_else(workspace, filename, stored):
    import gzip

    data = gzip.compress(GOOD) if filename.endswith(".gz") else GOOD
    before = {path for path in workspace.root.parent.rglob("*") if path.is_file()}
    save_upload(workspace, "web", filename, io.BytesIO(data))
    new = {path for path in workspace.root.parent.rglob("*") if path.is_file()} - before
    new -= {workspace.root / ".workspace.lock"}
    assert [path.parent for path in new] == [workspace.uploads / "web"]
    name = new.pop().name
    assert name == stored or (stored is None and name.startswith("xxx") and name.endswith(".jsonl.gz"))


@pytest.mark.parametrize(
    ("domain", "filename", "data", "message"),
    [
        ("../web", "a.jsonl", GOOD, "cannot be a name"),
        ("", "a.jsonl", GOOD, "cannot be a name"),
        ("web", "a.pdf", GOOD, r"'a\.pdf' is of a type"),
        ("web", "..", GOOD, "is of a type"),
        ("web", ".txt", GOOD, "is of a type"),
        ("web", "a.jsonl", b'{"body": "x"}', r"Its fields are body"),
        ("web", "a.jsonl", b"", "1 empty"),
        ("TAKEN", "a.jsonl", GOOD, "There is a domain taken already"),
        ("taken", "a.jsonl", GOOD, "reads a.jsonl, not uploads"),
        ("removed", "b.jsonl", GOOD, "holds files of a domain that was removed"),
        ("uploads", "a.jsonl", GOOD, "There is a file a.jsonl"),
    ],
)
def test_an_upload_that_does_not_fit_leaves_nothing(workspace, domain, filename, data, message):
    write(workspace.root / "a.jsonl")
    add_source(workspace, "taken", "a.jsonl", restricted=True)
    write(workspace.uploads / "removed/a.jsonl")
    save_upload(workspace, "uploads", "a.jsonl", io.BytesIO(b'{"text": "first"}'))
    before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    with pytest.raises(CausalMixError, match=message):
        save_upload(workspace, domain, filename, io.BytesIO(data))
    assert {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()} == before
    assert not (workspace.uploads / "web").exists()


@pytest.mark.parametrize("step", ["copy", "link", "settings"])
def test_a_disk_that_refuses_leaves_no_half_of_an_upload(workspace, monkeypatch, step):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    if step == "copy":
        monkeypatch.setattr(sources.os, "fsync", full)
    elif step == "link":
        monkeypatch.setattr(sources.os, "link", full)
    else:
        monkeypatch.setattr("causalmix_core.workspace.os.fsync", full)
        monkeypatch.setattr(sources, "_copy", lambda data, target: target.write_bytes(data.read()))
    with pytest.raises(CausalMixError, match="No space left on device"):
        save_upload(workspace, "web", "a.jsonl", io.BytesIO(GOOD))
    assert workspace.config().domains == {}
    assert list(workspace.uploads.iterdir()) == []
    assert leftovers(workspace) == []


def test_uploads_of_one_name_at_once_keep_one(workspace):
    contents = [b'{"text": "%d"}' % n for n in range(4)]
    calls = [lambda c=c: save_upload(workspace, "web", "a.jsonl", io.BytesIO(c)) for c in contents]
    errors = together(*calls)
    assert len(errors) == 3
    assert all("There is a file a.jsonl" in error for error in errors)
    assert (workspace.uploads / "web/a.jsonl").read_bytes() in contents
    assert os.listdir(workspace.uploads) == ["web"]  # noqa: PTH208
