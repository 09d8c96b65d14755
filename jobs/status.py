"""How a job stands, from its files alone."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import ArrowException

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmState, SwarmStatus
from jobs.record import JobFolder

STARTUP_SECONDS = 60.0
"""How long a submitted job may lack a process before it counts as interrupted."""


def read_status(folder: JobFolder, startup_seconds: float = STARTUP_SECONDS) -> SwarmStatus:
    """Read a job's state, progress and training curves.

    Args:
        folder: the job.
        startup_seconds: how long a submitted job may lack a process before it counts as interrupted.

    Raises:
        CausalMixError: there is no such job, or one of its files is damaged.
    """
    spec = folder.spec()
    finished = diverged = shards_done = 0
    for shard in range(spec.shards):
        path = folder.shard_path(shard)
        if path.exists():
            status = _row_states(path)
            shards_done += 1
            finished += status.count("finished")
            diverged += status.count("failed")
    per_probe = spec.swarm.proxy.sequences * spec.swarm.proxy.sequence_length
    tokens: dict[int, int] = {}
    curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
    message, submitted, answered = "", spec.created_at, False
    spans: list[list[float]] = []
    for event in folder.events():
        kind = event["kind"]
        if kind == "submitted":
            submitted, message, answered = event["at"], "", False
        elif kind == "training":
            answered = True
            spans.append([event["at"], event["at"]])
        elif kind == "shard":  # begins, perhaps again after an interruption: its curves begin anew
            for probe in spec.probes_of(event["shard"]):
                curves.pop(probe, None)
        elif kind == "step":
            probes = spec.probes_of(event["shard"])
            tokens[event["shard"]] = event["tokens"] * len(probes)
            for probe, loss in zip(probes, event["loss"], strict=True):
                if loss is not None:
                    curves[probe].append((event["tokens"], loss))
        elif kind == "failed":
            message = event["message"]
        if spans and kind in ("step", "shard-done", "done", "failed", "cancelled"):
            spans[-1][1] = event["at"]
    for shard in range(spec.shards):
        if folder.shard_path(shard).exists():
            tokens[shard] = per_probe * len(spec.probes_of(shard))
    state = life(folder, shards_done == spec.shards, message, submitted, answered, startup_seconds)
    return SwarmStatus(
        job=spec.job,
        state=state,
        swarm=spec.swarm,
        snapshot=spec.snapshot,
        started_at=spec.created_at,
        seconds=sum(end - start for start, end in spans),
        tokens_done=sum(tokens.values()),
        tokens_total=per_probe * spec.swarm.probes,
        finished=finished,
        diverged=diverged,
        message=message,
        curves=dict(curves),
    )


def life(
    folder: JobFolder,
    done: bool,
    message: str,
    submitted: float,
    answered: bool,
    startup_seconds: float = STARTUP_SECONDS,
) -> SwarmState:
    """Where a job stands in its life, from what its events say and from the process table.

    Args:
        folder: the job.
        done: whether all of its results are there.
        message: why its last attempt failed; empty when it did not.
        submitted: Unix time of the last start.
        answered: whether a process has reported since then.
        startup_seconds: how long a submitted job may lack a process before it counts as interrupted.
    """
    if done:
        return "finished"
    attempts = folder.attempts()
    if attempts and attempts[-1].alive():
        return "running" if answered else "starting"
    if message:
        return "failed"
    if folder.cancelled():
        return "cancelled"
    if not answered and time.time() - submitted < startup_seconds:
        return "starting"
    return "interrupted"


def _row_states(path: Path) -> list[str]:
    """`finished` or `failed` for each probe of a shard."""
    try:
        states: list[str] = pq.read_table(path, columns=["status"])["status"].to_pylist()
    except (OSError, ArrowException) as error:
        raise CausalMixError(
            f"The run file {path} is damaged. Move it away; resuming its job trains those probes again."
        ) from error
    return states
