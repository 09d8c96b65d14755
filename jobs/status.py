"""How a job stands, from its files alone."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from pyarrow import ArrowException

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmState, SwarmStatus
from jobs.queue import queue_position
from jobs.record import Attempt, JobFolder

STARTUP_SECONDS = 10.0
"""How long a submitted job may lack a process before it counts as interrupted: the instant in which who
starts it has not written yet which process that is."""


@dataclass
class Start:
    """The last start of a job, as its events tell.

    Attributes:
        at: Unix time.
        process: what was started; None until that is written.
        phase: what this process has reported since.
        failure: why the attempt failed, in words; empty when it did not.
        trouble: what went wrong in one of its workers; empty when nothing did.
    """

    at: float
    process: Attempt | None = None
    phase: Literal["starting", "queued", "running"] = "starting"
    failure: str = ""
    trouble: str = ""

    def take(self, event: dict[str, Any]) -> None:
        """Take in the next event."""
        match event["kind"]:
            case "submitted":
                self.at, self.process, self.phase = event["at"], None, "starting"
                self.failure = self.trouble = ""
            case "started":
                self.process = Attempt(pid=event["pid"], started=event["started"])
            case "queued":
                self.phase = "queued"
            case "training":
                self.phase = "running"
            case "failed":
                self.failure = event["message"]
            case "error" | "worker-failed":
                self.trouble = event["message"]


def life(folder: JobFolder, done: bool, start: Start, startup_seconds: float = STARTUP_SECONDS) -> SwarmState:
    """Where a job stands in its life, from what its events say and from the process table.

    Args:
        folder: the job.
        done: whether all of its results are there.
        start: its last start.
        startup_seconds: how long a submitted job may lack a process before it counts as interrupted.
    """
    if done:
        return "finished"
    attempts = folder.attempts()
    if attempts and attempts[-1].alive():
        return start.phase
    if start.failure:
        return "failed"
    if start.phase == "starting":
        young = time.time() - start.at < startup_seconds
        if start.process.alive() if start.process else young:
            return "starting"
    if folder.cancelled():
        return "cancelled"
    return "paused" if folder.pausing() else "interrupted"


def read_status(folder: JobFolder, startup_seconds: float = STARTUP_SECONDS) -> SwarmStatus:
    """Read a job's state, progress and training curves.

    Args:
        folder: the job.
        startup_seconds: how long a submitted job may lack a process before it counts as interrupted.

    Raises:
        CausalMixError: there is no such job, or one of its files is damaged.
    """
    spec, shards = folder.spec(), folder.shards()
    outcome, done = outcomes(folder)
    per_probe = spec.swarm.budget
    tokens: dict[int, int] = {}
    curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
    start = Start(spec.created_at)
    spans: list[list[float]] = []
    workers: dict[int, Attempt] = {}
    elsewhere: set[int] = set()  # shards that nodes of a cluster train
    for event in folder.events():
        start.take(event)
        match kind := event["kind"]:
            case "submitted":
                workers.clear()
                elsewhere.clear()
            case "training":
                spans.append([event["at"], event["at"]])
            case "worker":
                workers[event["worker"]] = Attempt(pid=event["pid"], started=event["started"])
            case "worker-ended" | "worker-failed":
                workers.pop(event["worker"], None)
            case "shard":  # begins, perhaps again after an interruption: what lies behind is forgotten
                reached = event.get("tokens", 0)
                elsewhere.add(event["shard"])
                tokens[event["shard"]] = reached * len(shards[event["shard"]])
                for probe in shards[event["shard"]]:
                    curves[probe] = [point for point in curves[probe] if point[0] <= reached]
            case "step":
                probes = shards[event["shard"]]
                tokens[event["shard"]] = event["tokens"] * len(probes)
                for probe, loss in zip(probes, event.get("loss", ()), strict=False):
                    if loss is not None:
                        curves[probe].append((event["tokens"], loss))
        if spans and kind in ("step", "shard-done", "done", "failed", "cancelled", "paused"):
            spans[-1][1] = event["at"]
    for shard in done:
        tokens[shard] = per_probe * len(shards[shard])
    if spec.engine == "local":
        at_work = sum(worker.alive() for worker in workers.values())
    else:
        at_work = len(elsewhere - done)
    state = life(folder, len(done) == len(shards), start, startup_seconds)
    failed = {probe for probe, status in outcome.items() if status == "failed"}
    planned = {probe for shard, probes in enumerate(shards) if shard not in done for probe in probes}
    return SwarmStatus(
        job=spec.job,
        state=state,
        swarm=spec.swarm,
        snapshot=spec.snapshot,
        started_at=spec.created_at,
        seconds=sum(end - begin for begin, end in spans),
        tokens_done=sum(tokens.values()),
        tokens_total=per_probe * sum(map(len, shards)),
        finished=sum(status == "finished" for status in outcome.values()),
        diverged=len(failed),
        message="" if state == "finished" else start.failure or start.trouble,
        curves={probe: points for probe, points in sorted(curves.items()) if points},
        engine=spec.engine,
        workers=at_work if state == "running" else 0,
        queue_position=queue_position(folder) if state in ("queued", "running") else None,
        failed_probes=tuple(sorted(failed - planned)),
    )


def outcomes(folder: JobFolder) -> tuple[dict[int, str], set[int]]:
    """What became of the probes of a job.

    Returns:
        The status of each probe's newest row (`finished` or `failed`), and the numbers of the shards that
        are done.

    Raises:
        CausalMixError: there is no such job, or one of its files is damaged.
    """
    outcome: dict[int, str] = {}
    done: set[int] = set()
    for shard in range(len(folder.shards())):  # what was trained again comes later
        path = folder.shard_path(shard)
        if path.exists():
            outcome |= _row_states(path)
            done.add(shard)
    return outcome, done


def _row_states(path: Path) -> dict[int, str]:
    """`finished` or `failed` for each probe of a shard."""
    try:
        table = pq.read_table(path, columns=["probe", "status"])
    except (OSError, ArrowException) as error:
        raise CausalMixError(
            f"The run file {path} is damaged. Move it away; resuming its job trains those probes again."
        ) from error
    return dict(zip(table["probe"].to_pylist(), table["status"].to_pylist(), strict=True))
