"""Swarms of tiny proxies in real background processes: how they end, are killed, and go on.

A worker takes seconds to start (it imports torch), so a test walks one job through several states rather
than starting a job for each.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causalmix_core.corpus import STATE_FEATURES, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE, LOSS, STATE, WEIGHT, SwarmSpec, SwarmStatus, design_swarm, read_runs
from causalmix_core.proxy import ProxySpec
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from tests.jobs.watched_job import DOMAINS, ENGINE, SWARM, TOKENS, Job, until

FORK = multiprocessing.get_context("fork")
SUBMIT_AND_WAIT = """
import sys
from pathlib import Path
from causalmix_core.probes import SwarmSpec
from causalmix_core.workspace import Workspace
from jobs import LocalEngine

LocalEngine.means = staticmethod(lambda: ("cpu", 2))
swarm = SwarmSpec.model_validate_json(sys.argv[2])
print(LocalEngine().submit(Workspace.open(Path(sys.argv[1])), swarm), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def shared(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which two jobs train the same swarm."""
    root = tmp_path_factory.mktemp("shared") / "workspace"
    shutil.copytree(_ingested, root)
    return Workspace.open(root)


@pytest.fixture(scope="module")
def whole(shared: Workspace) -> tuple[Job, list[SwarmStatus]]:
    """A finished job of two workers, and how it stood meanwhile.

    The process that submitted it was killed with its whole process group before the training began.
    """
    submitter = subprocess.Popen(
        [sys.executable, "-c", SUBMIT_AND_WAIT, str(shared.root), SWARM.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with submitter:
        assert submitter.stdout is not None
        job = Job(shared, submitter.stdout.readline().strip())
        os.killpg(submitter.pid, signal.SIGKILL)
    seen: list[SwarmStatus] = []

    def ended() -> bool:
        seen.append(job.status())
        return seen[-1].state not in LIVE

    until("the job ends", ended)
    return job, seen


def test_a_job_outlives_the_process_that_submitted_it(whole: tuple[Job, list[SwarmStatus]]) -> None:
    job, seen = whole
    assert seen[0].state in LIVE
    assert seen[0].fraction == 0
    status = job.ends("finished")
    assert (status.finished, status.diverged, status.message) == (6, 0, "")
    assert job.name in ENGINE.jobs(job.workspace)


def test_every_probe_is_a_complete_row(whole: tuple[Job, list[SwarmStatus]]) -> None:
    job, _ = whole
    rows = job.rows()
    weights, losses = rows[[WEIGHT + d for d in DOMAINS]], rows[[LOSS + d for d in DOMAINS]]
    states = rows[[STATE + f for f in STATE_FEATURES]]
    snapshot = open_snapshot(job.workspace)

    assert list(rows.index) == list(range(6))
    assert rows["run"].is_unique
    assert set(rows["snapshot"]) == {snapshot.id}
    assert set(rows["assignment"]) == {"randomised"}
    assert set(rows["status"]) == {"finished"}
    assert set(rows["tokens"]) == {TOKENS}
    assert {ProxySpec.model_validate_json(p) for p in rows["proxy"]} == {SWARM.proxy}

    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-9)
    planned = design_swarm(SWARM, snapshot.tokens())
    np.testing.assert_allclose(weights, [[p.mixture[d] for d in DOMAINS] for p in planned])
    assert (states.nunique() == 6).all()
    assert np.isfinite(losses.to_numpy()).all()
    # It learned something: a guess among 257 tokens would cost log(257) = 5.55 nats.
    assert (losses.to_numpy() < 5).all()
    # More sums in the mixture, better at sums.
    order = weights[WEIGHT + "sums"].to_numpy().argsort()
    by_sums = losses[LOSS + "sums"].to_numpy()[order]
    assert by_sums[-1] < by_sums[0]


def test_progress_only_grows_and_draws_curves(whole: tuple[Job, list[SwarmStatus]]) -> None:
    _, seen = whole
    fractions = [s.fraction for s in seen]
    assert fractions == sorted(fractions)
    assert any(0 < f < 1 for f in fractions)
    assert [s.finished for s in seen] == sorted(s.finished for s in seen)
    assert all(s.seconds_left is None or s.seconds_left >= 0 for s in seen)
    last = seen[-1]
    assert last.tokens_done == last.tokens_total == 6 * TOKENS
    assert sorted(last.curves) == list(range(6))
    for curve in last.curves.values():
        tokens, losses = zip(*curve, strict=True)
        assert list(tokens) == sorted(set(tokens))
        assert tokens[-1] == TOKENS
        assert losses[-1] < losses[0]


def test_a_finished_job_is_neither_resumed_nor_stopped(whole: tuple[Job, list[SwarmStatus]]) -> None:
    job, _ = whole
    with pytest.raises(CausalMixError, match=r"is finished; there is nothing to resume"):
        job.resume()
    with pytest.raises(CausalMixError, match=r"is finished; there is nothing to stop"):
        ENGINE.cancel(job.workspace, job.name)
    assert job.status().state == "finished"


def test_an_unknown_job_is_refused_by_name(workspace: Workspace) -> None:
    for ask in (ENGINE.resume, ENGINE.cancel, ENGINE.status):
        with pytest.raises(CausalMixError, match=r"no job nobody"):
            ask(workspace, "nobody")
    assert not (workspace.jobs / "nobody").exists()


def test_submit_returns_at_once_and_a_kill_during_the_start_leaves_nothing_running(
    workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalEngine, "means", staticmethod(lambda: ("cpu", 1)))
    job = Job(workspace, ENGINE.submit(workspace, tiny_swarm(tokens=100_000_000)))
    status = job.status()
    assert (status.state, status.tokens_done) == ("starting", 0)
    assert ENGINE.jobs(workspace) == [job.name]

    until("a worker starts", job.workers)
    with pytest.raises(CausalMixError, match=r"is running; there is nothing to resume"):
        job.resume()
    os.kill(job.supervisor, signal.SIGKILL)
    until("the status tells", lambda: job.status().state == "interrupted", seconds=5)
    # The worker has to notice although it never saw its supervisor alive.
    until("the worker is gone", lambda: not job.workers(), seconds=30)
    assert job.events("step") == []


def _resume(job: Job, barrier: Any, answers: Any) -> None:
    barrier.wait()
    try:
        job.resume()
    except CausalMixError as error:
        answers.put(str(error))
    else:
        answers.put("")


def test_cancelled_and_killed_half_way_nothing_is_lost_or_doubled(
    whole: tuple[Job, list[SwarmStatus]],
) -> None:
    """The second job in this workspace: the swarm of the first, in other shards, stopped in every way."""
    first, _ = whole
    before = first.rows()
    job = Job.by_hand(first.workspace, SWARM, shards=3)

    def second_shard_trains() -> None:
        until("the second shard trains", lambda: job.is_training(1))

    def only_the_first_shard_is_there() -> bool:
        return [job.written(s) is not None for s in range(3)] == [True, False, False]

    # Somebody cancels.
    job.resume()
    second_shard_trains()
    kept = job.written(0)
    ENGINE.cancel(job.workspace, job.name)
    assert job.ends("cancelled", seconds=10).finished == 2
    until("the worker is gone", lambda: not job.workers(), seconds=5)
    assert only_the_first_shard_is_there()
    with pytest.raises(CausalMixError, match=r"is cancelled; there is nothing to stop"):
        ENGINE.cancel(job.workspace, job.name)

    # The supervisor is killed.
    job.resume()
    second_shard_trains()
    os.kill(job.supervisor, signal.SIGKILL)
    until("the status tells", lambda: job.status().state == "interrupted", seconds=5)
    until("the worker stops by itself", lambda: not job.workers(), seconds=10)
    assert job.folder.checkpoint_path(1).exists()  # and keeps what it has
    assert only_the_first_shard_is_there()

    # Two people resume at once; then a worker is killed, as the system does when memory runs out.
    barrier, answers = FORK.Barrier(2), FORK.Queue()
    people = [FORK.Process(target=_resume, args=(job, barrier, answers)) for _ in range(2)]
    for person in people:
        person.start()
    said = [answers.get(timeout=30) for _ in people]
    for person in people:
        person.join(30)
    assert "" in said
    assert all(answer == "" or "nothing to resume" in answer for answer in said)
    second_shard_trains()
    assert len(job.events("training")) == 1
    (worker,) = job.workers()
    os.kill(worker, signal.SIGKILL)
    message = job.ends("failed", seconds=10).message
    assert message.startswith("A worker was killed (signal 9)")
    assert "memory" in message
    assert only_the_first_shard_is_there()

    job.resume()
    assert job.status().message == ""
    assert job.ends("finished").finished == 6
    assert Counter(e["shard"] for e in job.events("shard")) == {1: 1, 2: 1}
    assert job.written(0) == kept

    rows = job.rows()
    assert list(rows.index) == list(range(6))
    # Which probes train together, and in which process, changes nothing but the last digits.
    same = [*(WEIGHT + d for d in DOMAINS), *(STATE + f for f in STATE_FEATURES)]
    pd.testing.assert_frame_equal(rows[same], before[same])
    losses = [LOSS + d for d in DOMAINS]
    np.testing.assert_allclose(rows[losses], before[losses], atol=2e-4)
    # The first job is as it was, and nothing half-written is left once somebody opens the workspace.
    pd.testing.assert_frame_equal(first.rows(), before)
    table = read_runs(first.workspace.runs)
    assert (len(table), table.left_out) == (6, 6)  # both jobs trained the same probes: they count once
    Workspace.open(first.workspace.root)
    assert len(list(first.workspace.runs.iterdir())) == 2 + 3


def test_a_job_fails_in_words_until_the_cause_is_mended(
    workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec]
) -> None:
    snapshot = open_snapshot(workspace).root
    job = Job.by_hand(workspace, tiny_swarm(), shards=2)
    snapshot.rename(snapshot.with_name("elsewhere"))
    job.resume()
    failed = job.ends("failed", seconds=30)
    assert failed.message.startswith(f"There is no snapshot '{snapshot.name}'")
    assert "Traceback" not in job.folder.log_path.read_text()

    snapshot.with_name("elsewhere").rename(snapshot)
    job.resume()
    os.kill(until("a worker starts", job.workers)[0], signal.SIGKILL)
    # The next failure has its own words, not those of the last one.
    assert job.ends("failed", seconds=10).message.startswith("A worker was killed")
