"""What a worker of a job does: it trains one shard after another until none is left."""

from __future__ import annotations

import math
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import design_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import proxy_tokens
from causalmix_core.proxy.training import TrainingState
from causalmix_core.workspace import Workspace
from jobs.checkpoint import ShardCheckpoint
from jobs.claims import claim_next
from jobs.disk import disk_full
from jobs.queue import somebody_ahead
from jobs.record import JobFolder

LOOK_SECONDS = 0.2
"""Least time between two looks whether the training is to stop."""
PROGRESS_SECONDS = 0.5
"""Least time between two progress events of a worker."""
CURVE_POINTS = 400
"""Most points of a training curve: a long training is watched as often, but not recorded as finely."""
CHECKPOINT_SECONDS = 60.0
"""Least time between two checkpoints of a shard; shorter shards write none."""
CHECKPOINT_SHARE = 0.05
"""Most part of the time that writing checkpoints may take."""
THREADS = 1
"""Threads of a worker. The matrices of a proxy are too small for more, and threads that wait for each other
slow training down tenfold and worse as soon as another program wants a core."""


class TrainingStoppedError(Exception):
    """Training ends here: somebody cancelled or paused, or the supervisor is gone."""


@dataclass(frozen=True)
class Worker:
    """A worker as its supervisor started it.

    Attributes:
        folder: the job.
        attempt: number of the attempt that it belongs to.
        number: of the worker in the attempt.
        supervisor: process id of the supervisor. It is passed, not looked up: a supervisor that dies while
            the worker starts would already have been replaced by another parent.
        device: the torch device to train on.
    """

    folder: JobFolder
    attempt: int
    number: int
    supervisor: int
    device: str

    def orphaned(self) -> bool:
        """Whether the supervisor is gone."""
        return os.getppid() != self.supervisor

    def unwanted(self) -> bool:
        """Whether the training is to stop."""
        return self.orphaned() or self.folder.cancelled() or self.folder.pausing()

    def stop_if_unwanted(self) -> None:
        """Raise `TrainingStoppedError` if the training is to stop."""
        if self.unwanted():
            raise TrainingStoppedError


def work(
    workspace: Workspace, job: str, attempt: int, number: int, supervisor: int, device: str, shard: int
) -> int:
    """Train shards, the given one first; the process's exit status."""
    folder = JobFolder(workspace, job)
    try:
        _train_shards(Worker(folder, attempt, number, supervisor, device), shard)
    except TrainingStoppedError:
        return 0
    except Exception as error:
        folder.append("error", message=in_words(error, folder))
        return 1
    return 0


def in_words(error: Exception, folder: JobFolder) -> str:
    """An error for who looks at the job; what is nobody's mistake but ours goes to the log in full."""
    words = disk_full(error, folder.path) or error
    if isinstance(words, CausalMixError):
        return str(words)
    with suppress(OSError):  # the log, too, may find no room
        traceback.print_exception(error)
    return f"{type(error).__name__}: {error} (see {folder.log_path})"


def _train_shards(worker: Worker, first: int) -> None:
    folder = worker.folder
    spec, shards = folder.spec(), folder.shards()
    worker.stop_if_unwanted()
    # What cannot be trained is found out before torch is imported, which takes seconds.
    snapshot = open_snapshot(folder.workspace, spec.snapshot)
    pool = load_token_pool(snapshot, spec.swarm)
    probes = design_swarm(spec.swarm, proxy_tokens(snapshot, spec.swarm.proxy))
    import torch

    torch.set_num_threads(THREADS)
    shard: int | None = first
    while shard is not None:
        worker.stop_if_unwanted()
        checkpoint = ShardCheckpoint(folder, shard, shards[shard], worker.device)

        def train(
            start: TrainingState | None, shard: int = shard, into: ShardCheckpoint = checkpoint
        ) -> pd.DataFrame:
            watch = Watch(worker, shard, into, start.step if start else 0)
            try:
                return run_shard(
                    pool,
                    spec.snapshot,
                    spec.swarm,
                    [probes[i] for i in shards[shard]],
                    job=spec.job,
                    device=worker.device,
                    progress=watch.progress,
                    progress_every=1,
                    start=start,
                    keep=watch.keep,
                )
            except (KeyError, ValueError):
                if start is None or watch.told:
                    raise
                into.refuse("it is not of these proxies")
            return train(None, shard, into)

        folder.publish(shard, train(checkpoint.load()))
        # A job that was moved to the front is not kept waiting for the end of this one.
        shard = None if somebody_ahead(folder) else claim_next(folder, worker.attempt)


class Watch:
    """Tells how a shard gets on, writes its checkpoints, and ends it when it is to stop."""

    def __init__(self, worker: Worker, shard: int, checkpoint: ShardCheckpoint, step: int) -> None:
        self.worker, self.shard, self.checkpoint = worker, shard, checkpoint
        proxy = worker.folder.spec().swarm.proxy
        self.per_step = proxy.batch_size * proxy.sequence_length
        self.steps = proxy.steps
        self.told = self.looked = 0.0
        self.point = step
        """The step of the last point of the curve."""
        self.sum: np.ndarray | float = 0.0
        self.count = 0
        self.terminated = False
        self.kept = True
        """Whether `keep` was called since the last progress, so that it is asked what to do when stopped."""
        self.due = time.monotonic() + CHECKPOINT_SECONDS
        worker.folder.append("shard", shard=shard, tokens=step * self.per_step)

    def progress(self, step: int, losses: np.ndarray) -> None:
        """Record progress, not more often than `PROGRESS_SECONDS`.

        Raises:
            TrainingStoppedError: the training is to stop, and there is nothing to keep.
        """
        if not self.kept and self._is_to_stop():  # after the last step, while probes answer benchmarks
            raise TrainingStoppedError
        first, self.kept = not self.told, False
        if first:
            # Until here the signal ends the process, which loses nothing. Now there is something to keep.
            signal.signal(signal.SIGTERM, self._terminate)
        self.sum, self.count = self.sum + losses, self.count + 1
        now = time.monotonic()
        last = step == self.steps > self.point
        if now - self.told < PROGRESS_SECONDS and not last:
            return
        self.told = now
        curve: dict[str, object] = {}
        if first or last or step - self.point >= self.steps / CURVE_POINTS:
            mean = np.asarray(self.sum) / self.count
            curve["loss"] = [round(float(x), 4) if math.isfinite(x) else None for x in mean]
            self.sum, self.count, self.point = 0.0, 0, step
        self.worker.folder.append("step", shard=self.shard, tokens=step * self.per_step, **curve)

    def keep(self, step: int, take: Callable[[], TrainingState]) -> None:
        """Write a checkpoint when it is time for one, or when the training is to stop.

        Raises:
            TrainingStoppedError: the training is to stop.
        """
        self.kept = True
        if self._is_to_stop():
            if not self.worker.folder.cancelled():
                self._save(step, take())
            raise TrainingStoppedError
        if (now := time.monotonic()) >= self.due:
            self._save(step, take())
            took = time.monotonic() - now
            self.due = time.monotonic() + max(CHECKPOINT_SECONDS, took / CHECKPOINT_SHARE)

    def _is_to_stop(self) -> bool:
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS and not self.terminated:
            return False
        self.looked = now
        return self.terminated or self.worker.unwanted()

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def _save(self, step: int, state: TrainingState) -> None:
        self.checkpoint.save(state)
        self.worker.folder.append("checkpoint", shard=self.shard, tokens=step * self.per_step)
