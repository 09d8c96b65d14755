"""What the processes of a job do: one supervises, the others train shards."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from causalmix_core.corpus import STATE_FEATURES, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import design_swarm
from causalmix_core.workspace import Workspace, scratch_path
from jobs.record import JobFolder

PROGRESS_SECONDS = 0.5
"""Least time between two progress events of a worker."""


class TrainingStoppedError(Exception):
    """Training ends here: somebody cancelled, or the supervisor is gone."""


def supervise(workspace: Workspace, job: str) -> int:
    """Run the workers of a job and record how it ended; the process's exit status."""
    folder = JobFolder(workspace, job)
    if not folder.claim():
        return 0  # another process was faster; it does the work
    spec = folder.spec()
    folder.append("training")
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "jobs", "work", str(workspace.root), job, str(number)],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(_threads(spec.workers))},
        )
        for number in range(spec.workers)
    ]
    codes = [w.wait() for w in workers]
    if all(folder.shard_path(s).exists() for s in range(spec.shards)):
        folder.append("done")
    elif folder.cancelled():
        folder.append("cancelled")
    else:
        known = [e["message"] for e in folder.events() if e["kind"] == "error"]
        ended = ", ".join(map(str, codes))
        folder.append(
            "failed",
            message=known[-1]
            if known
            else f"A worker ended unexpectedly (exit status {ended}); see {folder.log_path}.",
        )
        return 1
    return 0


def work(workspace: Workspace, job: str, worker: int) -> int:
    """Train the worker's unfinished shards one after another; the process's exit status."""
    folder = JobFolder(workspace, job)
    try:
        _train_shards(folder, worker)
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


def _train_shards(folder: JobFolder, worker: int) -> None:
    spec = folder.spec()
    mine = [s for s in spec.shards_of(worker) if not folder.shard_path(s).exists()]
    if not mine:
        return
    import torch

    from causalmix_core.probes.shard import load_token_pool, run_shard

    torch.set_num_threads(_threads(spec.workers))
    snapshot = open_snapshot(folder.workspace, spec.snapshot)
    pool = load_token_pool(snapshot, spec.swarm)
    probes = design_swarm(spec.swarm, snapshot.tokens(), STATE_FEATURES)
    parent = os.getppid()
    for shard in mine:
        reporter = _Reporter(folder, shard, parent)
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


class _Reporter:
    """Writes progress events, not more often than `PROGRESS_SECONDS`, and ends a stopped training."""

    def __init__(self, folder: JobFolder, shard: int, parent: int) -> None:
        self.folder, self.shard, self.parent = folder, shard, parent
        self.per_step = _tokens_per_step(folder)
        self.total = folder.spec().swarm.proxy.steps
        self.last = 0.0
        self.sum: np.ndarray | float = 0.0
        self.count = 0
        folder.append("shard", shard=shard)

    def __call__(self, step: int, losses: np.ndarray) -> None:
        self.sum, self.count = self.sum + losses, self.count + 1
        if os.getppid() != self.parent or self.folder.cancelled():
            raise TrainingStoppedError
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


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads(workers: int) -> int:
    return max(1, cores() // workers)


def main(arguments: list[str]) -> int:
    """Entry point of `python -m jobs`: `supervise WORKSPACE JOB` or `work WORKSPACE JOB NUMBER`."""
    match arguments:
        case ["supervise", root, job]:
            return supervise(Workspace(Path(root)), job)
        case ["work", root, job, number]:
            return work(Workspace(Path(root)), job, int(number))
    print(main.__doc__, file=sys.stderr)
    return 2
