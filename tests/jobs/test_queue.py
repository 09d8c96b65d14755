"""Several jobs at once: who trains, who waits, and how the order is changed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from causalmix_core.corpus.measuring import cores
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec
from causalmix_core.workspace import Workspace
from jobs.slots import places, take_slot
from tests.jobs.watched_job import ENGINE, Job, until

Swarm = Callable[..., SwarmSpec]
ENDLESS = 50_000_000
"""Tokens per probe; such a job trains until it is stopped."""


@pytest.fixture
def one_core() -> Iterator[None]:
    """What is started now sees one CPU core, so there is one place to train."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


def submitted(workspace: Workspace, swarm: SwarmSpec, workers: int | None = None) -> Job:
    return Job(workspace, ENGINE.submit(workspace, swarm, workers))


def test_with_one_place_jobs_wait_and_are_reordered(
    workspace: Workspace, tiny_swarm: Swarm, one_core: None
) -> None:
    first = submitted(workspace, tiny_swarm(tokens=ENDLESS))
    until("the first trains", lambda: first.status().workers == 1)
    second = submitted(workspace, tiny_swarm(tokens=ENDLESS, seed=1))
    third = submitted(workspace, tiny_swarm(tokens=ENDLESS, seed=2))

    def positions() -> list[int | None]:
        return [job.status().queue_position for job in (first, second, third)]

    for job in (second, third):
        until("it waits", lambda job=job: job.status().state == "queued")
    assert positions() == [None, 1, 2]
    ENGINE.move(workspace, third.name, -5)
    assert positions() == [None, 2, 1]
    ENGINE.move(workspace, third.name, 1)
    assert positions() == [None, 1, 2]
    ENGINE.move(workspace, third.name, -1)
    with pytest.raises(CausalMixError, match="does not wait in the queue"):
        ENGINE.move(workspace, first.name, 1)
    assert (first.status().state, second.status().state, third.status().state) == (
        "running", "queued", "queued",
    )  # fmt: skip

    # The place is given on when its holder is killed ...
    os.kill(first.supervisor, signal.SIGKILL)
    until("the third trains", lambda: third.status().state == "running", seconds=20)
    assert second.status().state == "queued"
    assert second.events("worker") == []
    # ... and when a job ends. One that waits is paused at once.
    ENGINE.pause(workspace, second.name)
    assert second.ends("paused", seconds=10).queue_position is None
    ENGINE.cancel(workspace, third.name)
    third.ends("cancelled", seconds=20)
    ENGINE.resume(workspace, second.name)
    until("the second trains", lambda: second.status().state == "running", seconds=20)
    assert first.status().state == "interrupted"


@pytest.mark.skipif(cores() < 2, reason="needs two CPU cores")
def test_a_job_trains_beside_one_that_does_not_need_all_places(
    workspace: Workspace, tiny_swarm: Swarm
) -> None:
    held = [take_slot(workspace, "cpu") for _ in range(cores() - 2)]  # two places are left
    one = submitted(workspace, tiny_swarm(tokens=ENDLESS), workers=1)
    until("the first trains", lambda: one.status().workers == 1)
    other = submitted(workspace, tiny_swarm(tokens=ENDLESS, seed=1))
    until("the other trains, too", lambda: other.status().workers == 1)
    # It would take another place, and is ahead of whoever comes later.
    until("it waits for more", lambda: other.status().queue_position == 1)
    assert one.status().state == "running"
    assert take_slot(workspace, "cpu") is None
    assert len(held) == cores() - 2


def test_a_worker_gives_way_to_a_job_that_was_moved_ahead(
    workspace: Workspace, tiny_swarm: Swarm, one_core: None
) -> None:
    running = Job.by_hand(workspace, tiny_swarm(probes=4, tokens=40_000), shards=4)
    running.resume()
    until("a shard trains", lambda: running.events("step"))
    urgent = submitted(workspace, tiny_swarm(probes=1, tokens=ENDLESS, seed=1))
    until("it waits", lambda: urgent.status().state == "queued")
    (urgent.folder.path / "order").write_text("-1.0")
    until("it has the place", lambda: urgent.status().state == "running")
    status = running.status()
    assert (status.state, status.workers, status.queue_position) == ("running", 0, 1)
    # The shard in flight was trained to its end.
    assert 0 < status.finished < 4
    assert status.tokens_done == status.finished * status.swarm.budget


def test_a_place_is_held_by_one_and_let_go(workspace: Workspace, one_core: None) -> None:
    assert places("cpu") == [("cpu-0", "cpu")]
    (workspace.jobs / ".slots").mkdir(exist_ok=True)
    slot = take_slot(workspace, "cpu")
    assert slot is not None
    assert slot.device == "cpu"
    assert take_slot(workspace, "cpu") is None
    slot.release()
    again = take_slot(workspace, "cpu")
    assert again is not None
    again.release()
