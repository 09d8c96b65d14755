"""What the processes of a job do: one supervises, the others train shards."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
import traceback
from itertools import islice
from pathlib import Path

import numpy as np

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import design_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.workspace import Workspace, scratch_path
from jobs.record import JobFolder
from jobs.tasks import run_task

PROGRESS_SECONDS = 0.5
"""Least time between two progress events of a worker."""
THREADS = 1
"""Threads of a worker. The matrices of a proxy are too small for more, and threads that wait for each other
slow training down tenfold and worse as soon as another program wants a core."""


class TrainingStoppedError(Exception):
    """Training ends here: somebody cancelled, or the supervisor is gone."""


def supervise(workspace: Workspace, job: str) -> int:
    """Run the workers of a job and record how it ended; the process's exit status."""
    folder = JobFolder(workspace, job)
    if not folder.claim():
        return 0  # another process was faster; it does the work
    spec = folder.spec()
    folder.append("training")
    earlier = sum(1 for _ in folder.events())
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "jobs", "work", str(workspace.root), job, str(number), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        )
        for number in range(spec.workers)
    ]
    codes = [w.wait() for w in workers]
    if all(folder.shard_path(s).exists() for s in range(spec.shards)):
        folder.append("done")
    elif folder.cancelled():
        folder.append("cancelled")
    else:
        # Errors of earlier attempts may have been mended since.
        known = [e["message"] for e in islice(folder.events(), earlier, None) if e["kind"] == "error"]
        folder.append("failed", message=known[-1] if known else _unexpected_end(codes, folder))
        return 1
    return 0


def _unexpected_end(codes: list[int], folder: JobFolder) -> str:
    killed = sorted({-code for code in codes if code < 0})
    if not killed:
        return f"A worker ended unexpectedly (exit status {max(codes)}); see {folder.log_path}."
    memory = " The system does that when memory runs out." if signal.SIGKILL in killed else ""
    numbers = ", ".join(map(str, killed))
    return (
        f"A worker was killed (signal {numbers}).{memory} Finished shards are kept; resume trains the rest."
    )


def work(workspace: Workspace, job: str, worker: int, supervisor: int) -> int:
    """Train the worker's unfinished shards one after another; the process's exit status.

    Args:
        workspace: where the job lies.
        job: which job.
        worker: number of this worker.
        supervisor: process id of the supervisor. It is passed, not looked up here: a supervisor that
            dies while this process starts would already have been replaced by another parent.
    """
    folder = JobFolder(workspace, job)
    try:
        _train_shards(folder, worker, supervisor)
    except TrainingStoppedError:
        return 0
    except CausalMixError as error:
        folder.append("error", message=str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        folder.append("error", message=f"{type(error).__name__}: {error} (see {folder.log_path})")
        return 1
    return 0


def _train_shards(folder: JobFolder, worker: int, supervisor: int) -> None:
    spec = folder.spec()
    mine = [s for s in spec.shards_of(worker) if not folder.shard_path(s).exists()]
    if not mine:
        return
    _stop_if_unwanted(folder, supervisor)
    # What cannot be trained is found out before torch is imported, which takes seconds.
    snapshot = open_snapshot(folder.workspace, spec.snapshot)
    pool = load_token_pool(snapshot, spec.swarm)
    probes = design_swarm(spec.swarm, snapshot.tokens())
    import torch

    torch.set_num_threads(THREADS)
    for shard in mine:
        _stop_if_unwanted(folder, supervisor)
        reporter = _Reporter(folder, shard, supervisor)
        rows = run_shard(
            pool,
            spec.snapshot,
            spec.swarm,
            [probes[i] for i in spec.probes_of(shard)],
            job=spec.job,
            device=spec.device,
            progress=reporter,
            progress_every=5,
        )
        target = folder.shard_path(shard)
        scratch = scratch_path(target)
        rows.to_parquet(scratch, index=False)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(target)
        folder.append("shard-done", shard=shard)


def _stop_if_unwanted(folder: JobFolder, supervisor: int) -> None:
    """Raise `TrainingStoppedError` once somebody cancelled or the supervisor is gone."""
    if os.getppid() != supervisor or folder.cancelled():
        raise TrainingStoppedError


class _Reporter:
    """Writes progress events, not more often than `PROGRESS_SECONDS`, and ends a stopped training."""

    def __init__(self, folder: JobFolder, shard: int, supervisor: int) -> None:
        self.folder, self.shard, self.supervisor = folder, shard, supervisor
        self.per_step = _tokens_per_step(folder)
        self.total = folder.spec().swarm.proxy.steps
        self.last = 0.0
        self.sum: np.ndarray | float = 0.0
        self.count = 0
        folder.append("shard", shard=shard)

    def __call__(self, step: int, losses: np.ndarray) -> None:
        self.sum, self.count = self.sum + losses, self.count + 1
        _stop_if_unwanted(self.folder, self.supervisor)
        if time.monotonic() - self.last < PROGRESS_SECONDS and step < self.total:
            return
        self.last = time.monotonic()
        mean = np.asarray(self.sum) / self.count
        self.sum, self.count = 0.0, 0
        self.folder.append(
            "step",
            shard=self.shard,
            tokens=step * self.per_step,
            loss=[round(float(x), 4) if math.isfinite(x) else None for x in mean],
        )


def _tokens_per_step(folder: JobFolder) -> int:
    proxy = folder.spec().swarm.proxy
    return proxy.batch_size * proxy.sequence_length


def main(arguments: list[str]) -> int:
    """Entry point of `python -m jobs`: `supervise WORKSPACE JOB`, `work WORKSPACE JOB NUMBER SUPERVISOR` or
    `task WORKSPACE JOB`."""
    match arguments:
        case ["supervise", root, job]:
            return supervise(Workspace(Path(root)), job)
        case ["work", root, job, number, supervisor]:
            return work(Workspace(Path(root)), job, int(number), int(supervisor))
        case ["task", root, job]:
            return run_task(Workspace(Path(root)), job)
    print(main.__doc__, file=sys.stderr)
    return 2
