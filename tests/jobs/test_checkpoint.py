"""The checkpoint of a shard: when it is written, and what is not gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from causalmix_core.proxy import train_proxies
from causalmix_core.proxy.training import TrainingState
from causalmix_core.workspace import Workspace
from jobs.checkpoint import ShardCheckpoint
from jobs.disk import DiskFullError
from jobs.work import TrainingStoppedError, Watch, Worker
from tests.jobs.watched_job import SWARM, Job, longer

SPEC = SWARM.proxy.model_copy(update={"tokens": 1280})


def a_state() -> TrainingState:
    """The state after a few steps of three tiny proxies."""
    rng = np.random.default_rng(0)
    taken: list[TrainingState] = []

    def keep(step: int, take: Callable[[], TrainingState]) -> None:
        if step == 4:
            taken.append(take())
            raise TrainingStoppedError

    sequences = rng.integers(0, 200, (3, SPEC.sequences, SPEC.sequence_length))
    with pytest.raises(TrainingStoppedError):
        train_proxies(SPEC, sequences, {"a": sequences[0]}, seed=0, keep=keep)
    return taken[0]


@pytest.fixture(scope="module")
def state() -> TrainingState:
    return a_state()


@pytest.fixture
def job(workspace: Workspace) -> Job:
    return Job.by_hand(workspace, SWARM, shards=2)


def test_a_checkpoint_is_read_as_it_was_written(job: Job, state: TrainingState) -> None:
    checkpoint = ShardCheckpoint(job.folder, 0, (0, 1, 2), "cpu")
    assert checkpoint.load() is None
    checkpoint.save(state)
    found = checkpoint.load()
    assert found is not None
    assert (found.step, found.since) == (4, state.since)
    assert found.stacks[0]["members"] == [0, 1, 2]
    for name, tensor in state.stacks[0]["parameters"].items():
        assert (found.stacks[0]["parameters"][name] == tensor).all()
    assert [p.name for p in job.folder.shards_folder.iterdir()] == ["0.checkpoint"]


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_a_damaged_checkpoint_is_left_out_and_told(
    job: Job, state: TrainingState, keep: int, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = ShardCheckpoint(job.folder, 0, (0, 1, 2), "cpu")
    checkpoint.save(state)
    path = job.folder.checkpoint_path(0)
    assert path.stat().st_size > keep
    path.write_bytes(path.read_bytes()[:keep])
    assert checkpoint.load() is None
    line = capfd.readouterr().out
    assert line.startswith(f"The checkpoint {path} is left out: it is damaged")
    assert line.count("\n") == 1


def test_a_foreign_checkpoint_is_left_out_and_told(
    job: Job, state: TrainingState, capfd: pytest.CaptureFixture[str]
) -> None:
    ShardCheckpoint(job.folder, 0, (0, 1, 2), "cpu").save(state)
    other = Job.by_hand(job.workspace, longer(64_000), shards=2, name="other")
    other.folder.checkpoint_path(0).write_bytes(job.folder.checkpoint_path(0).read_bytes())
    for folder, probes, device in (
        (other.folder, (0, 1, 2), "cpu"),
        (job.folder, (3, 4, 5), "cpu"),
    ):
        assert ShardCheckpoint(folder, 0, probes, device).load() is None
        assert "it belongs to another training" in capfd.readouterr().out


def test_a_checkpoint_that_finds_no_room_leaves_the_old_one(job: Job, state: TrainingState) -> None:
    import resource

    checkpoint = ShardCheckpoint(job.folder, 0, (0, 1, 2), "cpu")
    checkpoint.save(state)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(DiskFullError):
            checkpoint.save(state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoint.load() is not None
    assert not list(Path(job.folder.path).glob(".tmp-*"))


class TestWatch:
    """When the training of a shard is saved, and when it ends."""

    @pytest.fixture
    def watch(self, job: Job) -> Watch:
        worker = Worker(job.folder, attempt=0, number=0, supervisor=os.getppid(), device="cpu")
        return Watch(worker, 0, ShardCheckpoint(job.folder, 0, (0, 1, 2), "cpu"), step=0)

    def test_a_short_shard_writes_none(self, watch: Watch, state: TrainingState, job: Job) -> None:
        for step in range(1, 10):
            watch.keep(step, lambda: state)
        assert not job.folder.checkpoint_path(0).exists()

    def test_a_long_one_writes_one_now_and_then(self, watch: Watch, state: TrainingState, job: Job) -> None:
        watch.due = 0.0  # a minute has gone by
        watch.keep(4, lambda: state)
        assert job.folder.checkpoint_path(0).exists()
        written = job.folder.checkpoint_path(0).stat().st_mtime_ns
        watch.keep(5, lambda: state)
        assert job.folder.checkpoint_path(0).stat().st_mtime_ns == written
        assert [e["tokens"] for e in job.folder.events() if e["kind"] == "checkpoint"] == [4 * 32 * 4]

    @pytest.mark.parametrize(("asked", "kept"), [("pause", True), ("cancel", False)])
    def test_it_ends_when_somebody_asks(
        self, watch: Watch, state: TrainingState, job: Job, asked: str, kept: bool
    ) -> None:
        (job.folder.path / asked).touch()
        with pytest.raises(TrainingStoppedError):
            watch.keep(4, lambda: state)
        assert job.folder.checkpoint_path(0).exists() == kept

    def test_it_ends_when_the_supervisor_is_gone(self, job: Job, state: TrainingState) -> None:
        worker = Worker(job.folder, attempt=0, number=0, supervisor=-1, device="cpu")
        watch = Watch(worker, 0, ShardCheckpoint(job.folder, 0, (0, 1, 2), "cpu"), step=0)
        with pytest.raises(TrainingStoppedError):
            watch.keep(4, lambda: state)
        assert job.folder.checkpoint_path(0).exists()
