from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import (
    DomainSource,
    Workspace,
    WorkspaceConfig,
    create_exclusive,
    scratch_path,
    write_atomic,
)


def make(path: Path, **fields: object) -> Workspace:
    return Workspace.create(path, WorkspaceConfig(name="W", **fields))


def test_round_trip(tmp_path: Path) -> None:
    config = WorkspaceConfig(
        name="Größe", domains={"code": DomainSource(path="c")}, objective={"loss/code": 2.0}, token_budget=7
    )
    made = Workspace.create(tmp_path / "w", config)
    assert Workspace.open(tmp_path / "w").config() == config
    assert made.resolve("c") == tmp_path / "w" / "c"
    assert made.resolve("/x/y") == Path("/x/y")


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("keep me")
    with pytest.raises(CausalMixError, match="is a file, but a workspace is a folder"):
        make(tmp_path / "f")
    with pytest.raises(CausalMixError, match="is a file"):
        Workspace.open(tmp_path / "f")
    assert (tmp_path / "f").read_text() == "keep me"


def test_missing_and_existing_workspaces_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CausalMixError, match="causalmix init"):
        Workspace.open(tmp_path)
    make(tmp_path / "w")
    with pytest.raises(CausalMixError, match="already holds a workspace"):
        make(tmp_path / "w")


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(CausalMixError, match="Cannot make a workspace"):
        make(tmp_path / "f" / "w")


def test_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "w")
    # root may write anywhere, so the answer of the system is what is set here
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CausalMixError, match="not writable"):
        Workspace.open(tmp_path / "w")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nname: b\n", "line 2: the name 'name' stands here twice"),
        ("name: a\ndomains:\n  code: {path: x}\n  code: {path: y}\n", "line 4: the name 'code' stands here"),
        ("name: [", "line 1"),
        ("name: a\ncolour: red\n", "colour"),
        ("name: a\ndomains: {'a/b': {path: x}}\n", "'a/b' cannot be a name"),
        ("name: a\ntoken_budget: 0\n", "token_budget"),
        ("name: a\nobjective: {loss/x: -1}\n", "objective.loss/x"),
        ("", "name: Field required"),
    ],
)
def test_a_bad_config_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    workspace = make(tmp_path / "w")
    workspace.config_path.write_text(text)
    with pytest.raises(CausalMixError) as caught:
        Workspace.open(tmp_path / "w")
    assert words in str(caught.value)
    assert "workspace.yaml" in str(caught.value)
    assert workspace.config_path.read_text() == text


def test_half_written_files_of_dead_processes_are_swept(tmp_path: Path) -> None:
    workspace = make(tmp_path / "w")
    dead = workspace.runs / ".tmp-999999999-abc-x.parquet"
    dead.write_text("half")
    mine = scratch_path(workspace.runs / "y.parquet")
    mine.write_text("being written")
    Workspace.open(workspace.root)
    assert not dead.exists()
    assert mine.exists()


def test_folders_inside_are_swept_too(tmp_path: Path) -> None:
    w = make(tmp_path / "w")
    leftover = w.snapshots / "readings" / ".tmp-999999999-x-a.json"
    leftover.parent.mkdir()
    leftover.write_text("half")
    Workspace.open(w.root)
    assert not leftover.exists()


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "missing-folder" / "f"
    with pytest.raises(CausalMixError, match="Nothing was changed"):
        write_atomic(target, "x")
    (tmp_path / "f").write_text("old")
    write_atomic(tmp_path / "f", "new")
    assert (tmp_path / "f").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_of_many_writers_exactly_one_creates(tmp_path: Path) -> None:
    won: list[int] = []
    gate = threading.Barrier(8)

    def attempt(number: int) -> None:
        gate.wait()
        if create_exclusive(tmp_path / "f", str(number)):
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(won) == 1
    assert (tmp_path / "f").read_text() == str(won[0])


def test_a_path_that_the_database_cannot_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CausalMixError, match="Rename the folder"):
        Workspace.create(tmp_path / "what?", WorkspaceConfig(name="t"))


def test_what_a_process_that_has_ended_left_is_swept_even_if_nobody_waited_for_it(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", WorkspaceConfig(name="t"))
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        ended.stdout.read()  # until it ends
        deadline = time.monotonic() + 10
        while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
        leftover = workspace.snapshots / f".tmp-{ended.pid}-x-snapshot"
        leftover.mkdir()
        Workspace.open(workspace.root)
        assert not leftover.exists()
