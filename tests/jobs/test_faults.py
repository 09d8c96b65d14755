"""Swarms in real processes that are paused, killed, run out of disk, or diverge."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.corpus.measuring import cores
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LOSS, SwarmSpec
from causalmix_core.workspace import Workspace
from jobs.process import start_process
from tests.jobs.watched_job import DOMAINS, ENGINE, Job, longer, until

LOSSES = [LOSS + d for d in DOMAINS]
POISON = """
import os, sys
if "work" in sys.argv or "work" in sys.orig_argv:
    from causalmix_core.proxy import training
    build = training.new_stacks
    def poisoned(spec, members, *rest):
        stacks = build(spec, members, *rest)
        if os.path.exists({flag!r}) and len(members) > 1:
            for s in stacks:
                for p in s.parameters.values():
                    p.detach()[s.members.index(1)].fill_(float("nan"))
        return stacks
    training.new_stacks = poisoned
"""


def test_paused_and_killed_in_mid_shard_it_gives_the_rows_of_one_that_ran_through(
    workspace: Workspace,
) -> None:
    swarm = longer(120_000, probes=3)
    whole = Job.by_hand(workspace, swarm, shards=1, name="whole")
    whole.resume()
    job = Job.by_hand(workspace, swarm, shards=1, name="stopped")
    checkpoint = job.folder.checkpoint_path(0)
    job.resume()
    until("it trains", lambda: job.reached(0))
    ENGINE.pause(workspace, job.name)
    paused = job.ends("paused", seconds=20)
    assert not job.workers()
    assert checkpoint.exists()
    (kept,) = [e["tokens"] for e in job.events("checkpoint")]
    assert 0 < paused.tokens_done < paused.tokens_total
    curve = paused.curves[0]
    with pytest.raises(CausalMixError, match="is paused; there is nothing to pause"):
        ENGINE.pause(workspace, job.name)

    # Killed on the way on, it goes on from there again.
    job.resume()
    until("it trains", lambda: job.reached(0) > kept)
    (worker,) = job.workers()
    os.kill(worker, signal.SIGKILL)
    assert job.ends("failed", seconds=20).message.startswith("A worker was killed (signal 9)")
    assert checkpoint.exists()

    job.resume()
    done = job.ends("finished")
    whole.ends("finished")
    assert [e["tokens"] for e in job.events("shard")] == [kept]
    assert not checkpoint.exists()
    np.testing.assert_array_equal(job.rows()[LOSSES], whole.rows()[LOSSES])
    assert job.rows()["trajectory"].tolist() == whole.rows()["trajectory"].tolist()
    # The curve from before the stops is still there, and every point is there once.
    assert [p for p in done.curves[0] if p[0] <= kept] == [p for p in curve if p[0] <= kept]
    tokens = [p[0] for p in done.curves[0]]
    assert tokens == sorted(set(tokens))


@pytest.mark.skipif(cores() < 2, reason="needs two CPU cores")
def test_a_worker_that_is_killed_is_told_at_once_and_the_others_go_on(workspace: Workspace) -> None:
    job = Job.by_hand(workspace, longer(100_000, probes=3), shards=3, workers=2)
    job.resume()
    until("both train", lambda: job.reached(0) and job.reached(1))
    victim = next(e for e in job.events("worker") if e["worker"] == 0)
    os.kill(victim["pid"], signal.SIGKILL)
    until("the status tells", lambda: job.status().message, seconds=10)
    status = job.status()
    assert status.message.startswith("A worker was killed (signal 9)")
    assert (status.state, status.workers) == ("running", 1)
    failed = job.ends("failed", seconds=180)
    assert failed.message == status.message
    assert failed.finished == 2


def test_a_process_that_dies_before_it_claims_its_job_is_noticed_at_once(
    workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec]
) -> None:
    job = Job.by_hand(workspace, tiny_swarm(), shards=1)
    start_process(job.folder, "no-such-verb")
    assert job.status().state in ("starting", "interrupted")
    until("the status tells", lambda: job.status().state == "interrupted", seconds=9)


@pytest.fixture
def small_disk(_ingested: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on a disk of its own with some megabytes to spare."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can be mounted by an administrator only")
    try:
        shutil.copytree(_ingested, disk / "workspace")
        yield Workspace.open(disk / "workspace")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill_up(filler: Path) -> None:
    """Let a file grow until the disk has no byte left."""
    with filler.open("ab", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2


def test_a_full_disk_ends_a_job_in_words_and_room_lets_it_go_on(small_disk: Workspace) -> None:
    job = Job.by_hand(small_disk, longer(60_000, probes=3), shards=3)
    job.resume()
    until("the second shard trains", lambda: job.is_training(1))
    filler = small_disk.root / "filler"
    fill_up(filler)
    failed = job.ends("failed", seconds=30)
    assert failed.message.startswith("The disk is full: ")
    assert str(small_disk.root) in failed.message
    assert failed.finished >= 1
    assert not job.workers()
    kept = job.written(0)
    filler.unlink()
    job.resume()
    assert job.ends("finished").finished == 3
    assert job.written(0) == kept
    assert job.rows().index.tolist() == [0, 1, 2]


def test_a_probe_that_diverges_is_trained_again_and_the_job_deleted(
    workspace: Workspace,
    tiny_swarm: Callable[..., SwarmSpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "site").mkdir()
    flag = tmp_path / "poison"
    flag.touch()
    (tmp_path / "site" / "sitecustomize.py").write_text(POISON.format(flag=str(flag)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    job = Job.by_hand(workspace, tiny_swarm(probes=4), shards=2)
    job.resume()
    status = job.ends("finished")
    # The second probe of each shard has weights that are no numbers; its mate does not mind.
    assert (status.finished, status.diverged, status.failed_probes) == (2, 2, (1, 3))
    rows = job.rows()
    assert rows["status"].tolist() == ["finished", "failed", "finished", "failed"]
    assert np.isfinite(rows.loc[[0, 2], LOSSES].to_numpy()).all()

    flag.unlink()
    assert ENGINE.retry(workspace, job.name) == 2
    again = job.status()
    assert again.state == "starting"
    assert 0.6 < again.fraction < 0.7
    with pytest.raises(CausalMixError, match="wait for its end, or cancel it"):
        ENGINE.retry(workspace, job.name)
    with pytest.raises(CausalMixError, match="cancel it before you delete it"):
        ENGINE.delete(workspace, job.name)
    status = job.ends("finished")
    assert (status.finished, status.diverged, status.failed_probes, status.fraction) == (4, 0, (), 1.0)
    assert len(job.rows()) == 6  # the failed ones stay on record
    pd.testing.assert_frame_equal(job.rows().loc[[0, 2]], rows.loc[[0, 2]])
    with pytest.raises(CausalMixError, match="No probe of job by-hand has diverged"):
        ENGINE.retry(workspace, job.name)

    assert ENGINE.delete(workspace, job.name) == 0
    assert ENGINE.jobs(workspace) == []
    assert not list(workspace.jobs.glob("*by-hand*"))
    assert len(job.rows()) == 6
    # As if it had been kept: deleted with its rows.
    other = Job.by_hand(workspace, tiny_swarm(probes=4), shards=2, name="other")
    for shard in range(2):
        shutil.copy(job.folder.shard_path(shard), other.folder.shard_path(shard))
    assert other.status().state == "finished"
    assert ENGINE.delete(workspace, other.name, runs=True) == 4
    assert [p.name for p in sorted(workspace.runs.glob("other*"))] == []
    assert len(job.rows()) == 6
