"""A disk that takes no more: /dev/full and limits of file sizes refuse real writes."""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec
from causalmix_core.workspace import Workspace, WorkspaceConfig, write_atomic
from jobs import JobFolder, LocalEngine
from jobs.disk import PIECE, RESERVE, DiskFullError, Reserve, disk_full, full_disk_in_words
from jobs.record import JobSpec
from jobs.status import read_status


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """A job that no process has touched."""
    folder = JobFolder(Workspace.create(tmp_path, WorkspaceConfig(name="W")), "a-job")
    folder.create(
        JobSpec(
            job="a-job", snapshot="0" * 12, swarm=SwarmSpec(probes=2), created_at=0.0, shards=1, workers=1,
            device="cpu",
        )
    )  # fmt: skip
    return folder


def test_a_full_device_is_said_in_words_wherever_it_is_met() -> None:
    words = r"^The disk is full: here cannot be written\. .*make room"
    with (
        pytest.raises(DiskFullError, match=words),
        full_disk_in_words(Path("here")),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")
    with pytest.raises(FileNotFoundError), full_disk_in_words(Path("here")):
        Path("/nowhere/at/all").read_bytes()
    wrapped = CausalMixError("Cannot write it.")
    wrapped.__cause__ = OSError(errno.EDQUOT, "quota")
    assert "quota" in str(disk_full(wrapped, Path("here")))
    assert disk_full(CausalMixError("Something else."), Path("here")) is None


def test_the_reserve_is_given_back_in_pieces(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    reserve.make()
    sizes = []
    while reserve.give():
        sizes.append(reserve.path.stat().st_size if reserve.path.exists() else 0)
    assert sizes == list(range(RESERVE - PIECE, -1, -PIECE))


def test_the_last_words_of_a_job_are_written_although_its_events_find_no_room(folder: JobFolder) -> None:
    folder.append("submitted")
    events = folder.path / "events.jsonl"
    events.rename(folder.path / "before")
    events.symlink_to("/dev/full")
    with pytest.raises(DiskFullError):
        folder.append("step", shard=0, tokens=1, loss=[1.0, 1.0])
    assert folder.reserve.path.stat().st_size == RESERVE  # kept for what matters
    folder.append("failed", message="The disk is full.")
    events.unlink()
    (folder.path / "before").rename(events)
    assert [e["kind"] for e in folder.events()] == ["submitted", "failed"]
    assert read_status(folder, 0).message == "The disk is full."
    # What happens after the disk was emptied comes after it.
    folder.append("submitted")
    assert read_status(folder, 60).message == ""


def test_rows_that_find_no_room_are_not_published_and_leave_nothing(folder: JobFolder) -> None:
    rows = pd.DataFrame({"probe": range(40_000), "status": "finished"})
    # A disk of a few kilobytes for this process alone.
    code = (
        "import sys, resource, pandas as pd\n"
        "from pathlib import Path\n"
        "from causalmix_core.workspace import Workspace\n"
        "from jobs import JobFolder\n"
        "rows = pd.DataFrame({'probe': range(40_000), 'status': 'finished'})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "JobFolder(Workspace(Path(sys.argv[1])), 'a-job').publish(0, rows)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder.workspace.root)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "DiskFullError: A file would grow beyond" in done.stderr
    assert list(folder.workspace.runs.iterdir()) == []
    assert list(folder.events()) == []
    folder.publish(0, rows)
    assert len(pd.read_parquet(folder.shard_path(0))) == 40_000


def test_a_limit_of_file_sizes_does_not_silence_a_job(folder: JobFolder) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for _ in range(60):
        folder.append("submitted")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(DiskFullError, match="A file would grow beyond"):
            folder.append("submitted")
        folder.append("failed", message="No room.")
        with pytest.raises(CausalMixError, match="Cannot write"):
            write_atomic(folder.path / "large", "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [e["kind"] for e in folder.events()][-2:] == ["submitted", "failed"]


def test_a_job_that_finds_no_room_is_not_made(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, WorkspaceConfig(name="W"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(DiskFullError):
            JobFolder(workspace, "a-job").make()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(workspace.jobs.iterdir()) == []


def test_a_job_is_not_started_without_room_for_its_last_words(folder: JobFolder) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(DiskFullError, match=r"reserve cannot be written"):
            LocalEngine().resume(folder.workspace, folder.job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert folder.attempts() == []
    assert list(folder.events()) == []
