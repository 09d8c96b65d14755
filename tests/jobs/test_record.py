"""The files of a job: how work is divided, what is read back, and who may run it."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec
from causalmix_core.workspace import Workspace, WorkspaceConfig
from jobs import JobFolder
from jobs.record import Attempt, JobSpec
from jobs.status import read_status

FORK = multiprocessing.get_context("fork")


def a_spec(probes: int = 4, shards: int = 2, workers: int = 1, created_at: float = 0.0) -> JobSpec:
    return JobSpec(
        job="a-job",
        snapshot="0" * 12,
        swarm=SwarmSpec(probes=probes),
        created_at=created_at,
        shards=shards,
        workers=workers,
        device="cpu",
    )


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """A job that no process has touched."""
    folder = JobFolder(Workspace.create(tmp_path, WorkspaceConfig(name="W")), "a-job")
    folder.create(a_spec())
    return folder


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        pass
    return process.pid


def in_processes(count: int, target: Callable[..., None], *arguments: object) -> list[Any]:
    """Run `target(barrier, queue, *arguments)` in processes of its own and return what they put."""
    barrier, queue = FORK.Barrier(count), FORK.Queue()
    processes = [FORK.Process(target=target, args=(barrier, queue, *arguments)) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        out = [queue.get(timeout=30) for _ in processes]
        for process in processes:
            process.join(30)
    finally:
        for process in processes:
            process.kill()
    return out


@given(st.integers(1, 400), st.integers(1, 80))
def test_shards_cover_all_probes_once(probes: int, shards: int) -> None:
    parts = [list(a_spec(probes, shards).probes_of(s)) for s in range(shards)]
    assert list(chain(*parts)) == list(range(probes))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_job_is_read_as_it_was_written(folder: JobFolder) -> None:
    assert folder.spec() == a_spec()


def test_a_job_is_not_made_twice(folder: JobFolder) -> None:
    with pytest.raises(CausalMixError, match=r"a-job.*File exists"):
        folder.create(a_spec())


def test_an_unknown_job_is_named(folder: JobFolder) -> None:
    with pytest.raises(CausalMixError, match=r"no job yesterday"):
        JobFolder(folder.workspace, "yesterday").spec()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"job": "a-', "JSON"),
        ("", "JSON"),
        ("{}", "snapshot: Field required"),
        (a_spec().model_dump_json().replace('"shards":2', '"shards":0'), "shards: .*greater"),
        (a_spec().model_dump_json().replace('"probes":4', '"probes":"many"'), r"swarm\.probes: .*integer"),
    ],
)
def test_a_damaged_spec_names_its_file_in_one_line(folder: JobFolder, content: str, problem: str) -> None:
    path = folder.path / "spec.json"
    path.write_text(content)
    with pytest.raises(CausalMixError, match=problem) as caught:
        folder.spec()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_half_written_last_event_is_left_for_later(folder: JobFolder) -> None:
    folder.append("submitted")
    folder.append("shard", shard=1)
    line = json.dumps({"at": 1.0, "kind": "shard-done", "shard": 1}).encode() + b"\n"
    with (folder.path / "events.jsonl").open("ab", buffering=0) as file:
        file.write(line[:20])
        assert [e["kind"] for e in folder.events()] == ["submitted", "shard"]
        file.write(line[20:])
    assert [e["kind"] for e in folder.events()] == ["submitted", "shard", "shard-done"]


def test_events_are_read_on_where_they_were_read_to(folder: JobFolder) -> None:
    for number in range(3):
        folder.append("shard", shard=number)
        assert [e["shard"] for e in folder.events()] == list(range(number + 1))
    # Another file in its place, longer or shorter, is read from its beginning.
    for count in (5, 2):
        other = folder.path / "other"
        other.write_text(
            "".join(json.dumps({"at": 1.0, "kind": "step", "n": n}) + "\n" for n in range(count))
        )
        other.replace(folder.path / "events.jsonl")
        assert [e["n"] for e in folder.events()] == list(range(count))


def test_a_job_without_events_has_none(folder: JobFolder) -> None:
    assert list(folder.events()) == []


def _append_many(barrier: Any, queue: Any, folder: JobFolder) -> None:
    barrier.wait()
    for number in range(100):
        folder.append("step", shard=os.getpid(), tokens=number, loss=[1.0] * 100)
    queue.put(os.getpid())


def test_events_of_several_processes_do_not_mix(folder: JobFolder) -> None:
    pids = in_processes(3, _append_many, folder)
    events = list(folder.events())
    assert len(events) == 300
    for pid in pids:
        assert [e["tokens"] for e in events if e["shard"] == pid] == list(range(100))


def test_a_running_process_is_alive() -> None:
    assert Attempt.of_process(os.getpid()).alive()


def test_a_dead_process_is_not_alive(dead_pid: int) -> None:
    assert not Attempt(pid=dead_pid, started=time.time()).alive()


def test_a_later_process_of_the_same_id_is_not_mistaken() -> None:
    mine = Attempt.of_process(os.getpid())
    assert not mine.model_copy(update={"started": mine.started - 3600}).alive()


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    attempt = Attempt.of_process(process.pid)
    assert attempt.alive()
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    # Waits for the end without collecting the exit status, so the process stays a zombie.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert not attempt.alive()
    process.wait()


def _claim_all(barrier: Any, queue: Any, folders: list[JobFolder]) -> None:
    won = []
    for folder in folders:
        barrier.wait()
        won.append(folder.claim())
    barrier.wait()  # the winner must be alive while the others look
    queue.put(won)


def test_of_several_processes_exactly_one_claims_a_job(folder: JobFolder, dead_pid: int) -> None:
    folders = []
    for number in range(30):
        each = JobFolder(folder.workspace, f"job-{number}")
        each.create(a_spec())
        if number % 2:  # an earlier attempt whose process is gone
            (each.path / "attempt-0000.json").write_text(Attempt(pid=dead_pid, started=1.0).model_dump_json())
        folders.append(each)
    won = in_processes(3, _claim_all, folders)
    assert [sum(round_) for round_ in zip(*won, strict=True)] == [1] * len(folders)
    assert [len(f.attempts()) for f in folders] == [1, 2] * 15


def test_an_unreadable_attempt_counts_as_dead(folder: JobFolder) -> None:
    (folder.path / "attempt-0000.json").write_text('{"pid": 1')
    assert [a.alive() for a in folder.attempts()] == [False]
    assert folder.claim()
    assert [a.alive() for a in folder.attempts()] == [False, True]


class TestState:
    """The state of a job follows from its files and the process table."""

    def state(self, folder: JobFolder, startup_seconds: float = 60) -> str:
        return read_status(folder, startup_seconds).state

    def dead_attempt(self, folder: JobFolder, pid: int) -> None:
        attempt = Attempt(pid=pid, started=1.0).model_dump_json()
        (folder.path / f"attempt-{len(folder.attempts()):04d}.json").write_text(attempt)

    def test_submitted_a_moment_ago_is_starting(self, folder: JobFolder) -> None:
        folder.append("submitted")
        assert self.state(folder) == "starting"

    def test_submitted_long_ago_without_a_process_is_interrupted(self, folder: JobFolder) -> None:
        folder.append("submitted")
        assert self.state(folder, startup_seconds=0) == "interrupted"

    def test_a_process_that_is_there_is_starting_however_long_it_takes(self, folder: JobFolder) -> None:
        me = Attempt.of_process(os.getpid())
        folder.append("submitted")
        folder.append("started", pid=me.pid, started=me.started)
        assert self.state(folder, startup_seconds=0) == "starting"

    def test_a_process_that_died_before_it_claimed_the_job_is_interrupted(
        self, folder: JobFolder, dead_pid: int
    ) -> None:
        folder.append("submitted")
        folder.append("started", pid=dead_pid, started=1.0)
        assert self.state(folder) == "interrupted"

    @pytest.mark.parametrize(("request_", "state"), [("pause", "paused"), ("cancel", "cancelled")])
    def test_a_stopped_job_is_what_somebody_asked_for(
        self, folder: JobFolder, dead_pid: int, request_: str, state: str
    ) -> None:
        folder.append("submitted")
        assert folder.claim()
        folder.append("queued")
        (folder.path / request_).touch()
        assert self.state(folder) == "queued"  # not yet: its process is still there
        (folder.path / "attempt-0000.json").unlink()
        self.dead_attempt(folder, dead_pid)
        assert self.state(folder) == state
        folder.withdraw_requests()
        assert self.state(folder) == "interrupted"

    def test_killed_at_once_is_interrupted(self, folder: JobFolder, dead_pid: int) -> None:
        folder.append("submitted")
        self.dead_attempt(folder, dead_pid)
        folder.append("training")
        assert self.state(folder) == "interrupted"

    def test_a_start_that_never_came_does_not_hide_a_later_kill(
        self, folder: JobFolder, dead_pid: int
    ) -> None:
        folder.append("submitted")  # its process died before it claimed the job
        folder.append("submitted")
        self.dead_attempt(folder, dead_pid)
        folder.append("training")
        assert self.state(folder) == "interrupted"

    def test_claimed_by_a_living_process_is_running(self, folder: JobFolder) -> None:
        folder.append("submitted")
        assert folder.claim()
        assert self.state(folder) == "starting"
        folder.append("queued")
        assert self.state(folder) == "queued"
        folder.append("training")
        assert self.state(folder) == "running"
        folder.append("worker-failed", worker=0, message="A worker was killed.")
        status = read_status(folder, 60)
        assert (status.state, status.message) == ("running", "A worker was killed.")

    def test_failed_says_why_until_it_is_resumed(self, folder: JobFolder, dead_pid: int) -> None:
        folder.append("submitted")
        self.dead_attempt(folder, dead_pid)
        folder.append("training")
        folder.append("failed", message="The disk is full.")
        assert (self.state(folder), read_status(folder, 60).message) == ("failed", "The disk is full.")
        folder.append("submitted")
        assert (self.state(folder), read_status(folder, 60).message) == ("starting", "")

    def test_a_lost_number_leaves_a_gap_in_its_curve_alone(self, folder: JobFolder) -> None:
        folder.append("training")
        folder.append("step", shard=0, tokens=256, loss=[5.5, 5.6])
        folder.append("step", shard=0, tokens=512, loss=[5.0, None])
        assert read_status(folder, 60).curves == {0: [(256, 5.5), (512, 5.0)], 1: [(256, 5.6)]}

    def test_a_shard_that_begins_again_begins_its_curves_anew(self, folder: JobFolder) -> None:
        for _ in range(2):
            folder.append("shard", shard=0)
            folder.append("step", shard=0, tokens=256, loss=[5.5, 5.6])
        assert read_status(folder, 60).curves == {0: [(256, 5.5)], 1: [(256, 5.6)]}

    def test_a_shard_that_goes_on_keeps_its_curves_up_to_there(self, folder: JobFolder) -> None:
        folder.append("shard", shard=0, tokens=0)
        for tokens in (256, 512, 768):
            folder.append("step", shard=0, tokens=tokens, loss=[5.5, 5.6])
        folder.append("step", shard=0, tokens=1024)  # progress between two points of the curve
        assert read_status(folder, 60).tokens_done == 2 * 1024
        folder.append("shard", shard=0, tokens=512)
        status = read_status(folder, 60)
        assert status.tokens_done == 2 * 512
        assert status.curves == {0: [(256, 5.5), (512, 5.5)], 1: [(256, 5.6), (512, 5.6)]}


def rows(probes: tuple[int, ...], status: str) -> pd.DataFrame:
    return pd.DataFrame({"probe": probes, "status": status})


def test_what_was_trained_again_counts_instead(folder: JobFolder) -> None:
    folder.publish(0, rows((0, 1), "finished"))
    folder.publish(1, rows((2, 3), "failed"))
    status = read_status(folder, 60)
    assert (status.state, status.finished, status.failed_probes) == ("finished", 2, (2, 3))
    folder.add_retry([2])
    folder.add_retry([3])
    assert folder.shards() == [(0, 1), (2, 3), (2,), (3,)]
    status = read_status(folder, 60)
    assert (status.finished, status.diverged, status.failed_probes) == (2, 2, ())  # they are planned
    assert status.tokens_total == 6 * status.swarm.budget
    folder.publish(2, rows((2,), "finished"))
    folder.publish(3, rows((3,), "failed"))
    status = read_status(folder, 60)
    assert (status.state, status.finished, status.failed_probes) == ("finished", 3, (3,))


def test_a_damaged_shard_is_named(folder: JobFolder) -> None:
    folder.shard_path(1).write_bytes(b"PAR1 torn")
    with pytest.raises(CausalMixError, match=r"a-job-0001\.parquet is damaged. Move it away"):
        read_status(folder, 60)
