"""A job on disk: what it is to do, what has happened to it, and whether its process is alive.

    jobs/<id>/spec.json          the swarm and its snapshot, written once (task.json for work on the corpus)
    jobs/<id>/events.jsonl       appended to by the job's processes, one line per event
    jobs/<id>/last-words.jsonl   events that found no room there
    jobs/<id>/attempt-<n>.json   which process runs the n-th attempt
    jobs/<id>/cancel, pause      exist once somebody asked the job to stop, or to pause
    jobs/<id>/retry-<k>.json     probes to be trained again: they are shard number `spec.shards` + k
    jobs/<id>/order, wants       its place in the queue, and how many more workers it would start now
    jobs/<id>/shards/            claims and checkpoints of the shards that are being trained
    jobs/<id>/reserve            room for the last words of a job that meets a full disk
    jobs/<id>/log.txt            what its processes print
    runs/<id>-<shard>.parquet    the finished rows of a shard: the one place that says it is done

A state is never stored; it follows from these files and from the process table, so a job that was killed
cannot go on looking alive.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import filelock
import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec
from causalmix_core.workspace import Workspace, create_exclusive, write_atomic
from jobs.disk import DiskFullError, Reserve, full_disk_in_words
from jobs.event_file import append_line, read_events

if TYPE_CHECKING:
    import pandas as pd

M = TypeVar("M", bound=BaseModel)
LOCK_SECONDS = 30.0
"""How long to wait for somebody else who changes what a job is to do."""
EngineName = Literal["local", "ray"]
EventKind = Literal[
    "submitted",  # somebody starts the job
    "started",  # its process: pid, started (Unix time)
    "queued",  # the process is there and waits for a place to train
    "training",  # the first worker of the attempt starts
    "worker",  # a worker starts: worker, pid, device
    "worker-ended",  # a worker ended: worker
    "worker-failed",  # a worker ended as it should not: message
    "shard",  # a shard begins: shard, tokens (read by each probe so far; 0 unless it goes on)
    "step",  # a shard trains: shard, tokens, perhaps loss (of each probe)
    "checkpoint",  # a shard can go on from here: shard, tokens
    "shard-done",
    "progress",  # of a task
    "error",  # a worker cannot go on: message
    "done",
    "cancelled",
    "paused",
    "failed",  # how the attempt ended: message
]
LAST_WORDS: frozenset[EventKind] = frozenset(
    {"worker-failed", "error", "done", "cancelled", "paused", "failed"}
)
"""Events that are written even on a full disk."""


class JobSpec(BaseModel):
    """What a job is to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    snapshot: str
    swarm: SwarmSpec
    created_at: float
    shards: int = Field(ge=1)
    workers: int = Field(ge=1)
    """How many train at the same time at most."""
    device: str
    engine: EngineName = "local"

    def probes_of(self, shard: int) -> range:
        """Numbers of the probes in a shard as planned; shards are as even as can be."""
        share, extra = divmod(self.swarm.probes, self.shards)
        first = shard * share + min(shard, extra)
        return range(first, first + share + (shard < extra))


class Retry(BaseModel):
    """Probes that are to be trained again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probes: tuple[int, ...] = Field(min_length=1)


class Attempt(BaseModel):
    """The process that runs an attempt; the start time tells it from a later process of that id."""

    pid: int
    started: float

    @classmethod
    def of_process(cls, pid: int) -> Attempt:
        """The attempt run by a living process."""
        return cls(pid=pid, started=psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, ValueError):  # ValueError: no process can have this id
            return False


class JobFolder:
    """The files of one job."""

    def __init__(self, workspace: Workspace, job: str) -> None:
        self.workspace = workspace
        self.job = job
        self.path = workspace.jobs / job

    @property
    def log_path(self) -> Path:
        """What the job's processes printed."""
        return self.path / "log.txt"

    def make(self) -> None:
        """Make the job's folder, still empty but for its reserve.

        Raises:
            CausalMixError: the workspace cannot be written.
        """
        try:
            self.path.mkdir(parents=True)
        except OSError as error:
            raise CausalMixError(f"Cannot make {self.path}: {error.strerror}.") from error
        try:
            self.reserve.make()
        except DiskFullError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def create(self, spec: JobSpec) -> None:
        """Write the job's folder; its spec comes last, so a half-made job is not a job."""
        self.make()
        self.shards_folder.mkdir()
        write_atomic(self.path / "order", repr(spec.created_at))
        write_atomic(self.path / "spec.json", spec.model_dump_json(indent=2))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only one who changes what the job is to do; the system lets go if the holder dies.

        Raises:
            CausalMixError: somebody else does not get done, or the workspace cannot be written.
        """
        lock = filelock.FileLock(self.path / "lock", timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise CausalMixError(
                f"Another process is changing job {self.job} and does not get done; try again."
            ) from error
        except OSError as error:
            raise CausalMixError(f"Cannot write to {self.path}: {error.strerror}.") from error
        try:
            yield
        finally:
            lock.release()

    def spec(self) -> JobSpec:
        """Read what the job is to do.

        Raises:
            CausalMixError: there is no such job, or its file is damaged.
        """
        return self.read("spec.json", JobSpec, "job")

    def read(self, name: str, model: type[M], what: str) -> M:
        """Read one of the job's files.

        Args:
            name: of the file.
            model: what it holds.
            what: what it describes, for messages.

        Raises:
            CausalMixError: there is no such file, or it is damaged.
        """
        path = self.path / name
        try:
            return model.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise CausalMixError(f"There is no {what} {self.job} in {self.workspace.jobs}.") from error
        except OSError as error:
            raise CausalMixError(f"Cannot read {path}: {error.strerror}.") from error
        except ValidationError as error:
            raise CausalMixError(
                f"{path} is damaged: {_describe_invalid(error)}. Delete the job's folder."
            ) from error

    @property
    def shards_folder(self) -> Path:
        """Folder of what belongs to the shards that are being trained."""
        return self.path / "shards"

    @property
    def reserve(self) -> Reserve:
        """Room for last words on a full disk."""
        return Reserve(self.path / "reserve")

    def shards(self) -> list[tuple[int, ...]]:
        """The probes of each shard by its number: as planned, then those that are trained again.

        Raises:
            CausalMixError: a file of the job is damaged.
        """
        spec = self.spec()
        planned = [tuple(spec.probes_of(shard)) for shard in range(spec.shards)]
        return planned + [retry.probes for retry in self._retries()]

    def _retries(self) -> Iterator[Retry]:
        number = 0
        while (self.path / f"retry-{number}.json").exists():
            yield self.read(f"retry-{number}.json", Retry, "job")
            number += 1

    def add_retry(self, probes: Sequence[int]) -> None:
        """Have some probes trained again, as one more shard."""
        number = sum(1 for _ in self._retries())
        write_atomic(self.path / f"retry-{number}.json", Retry(probes=tuple(probes)).model_dump_json())

    def shard_path(self, shard: int) -> Path:
        """Where the finished rows of a shard stand."""
        return self.workspace.runs / f"{self.job}-{shard:04d}.parquet"

    def checkpoint_path(self, shard: int) -> Path:
        """Where the state of a shard in flight stands."""
        return self.shards_folder / f"{shard}.checkpoint"

    def publish(self, shard: int, rows: pd.DataFrame) -> None:
        """Write the rows of a finished shard to the run table, all or none, and drop its checkpoint.

        Raises:
            DiskFullError: there is no room for them.
            CausalMixError: the workspace cannot be written.
        """
        content = io.BytesIO()
        rows.to_parquet(content, index=False)
        path = self.shard_path(shard)
        with full_disk_in_words(path):
            write_atomic(path, content.getvalue())
        self.checkpoint_path(shard).unlink(missing_ok=True)
        self.append("shard-done", shard=shard)

    def drop_checkpoints(self) -> None:
        """Forget how far the shards in flight have come."""
        for path in self.shards_folder.glob("*.checkpoint"):
            path.unlink(missing_ok=True)

    def cancelled(self) -> bool:
        """Whether somebody asked the job to stop."""
        return (self.path / "cancel").exists()

    def pausing(self) -> bool:
        """Whether somebody asked the job to pause."""
        return (self.path / "pause").exists()

    def request_cancel(self) -> None:
        """Ask the job to stop."""
        write_atomic(self.path / "cancel", "")

    def request_pause(self) -> None:
        """Ask the job to stop where it is, to go on from there."""
        write_atomic(self.path / "pause", "")

    def withdraw_requests(self) -> None:
        """Forget earlier requests to stop or to pause, before resuming."""
        (self.path / "cancel").unlink(missing_ok=True)
        (self.path / "pause").unlink(missing_ok=True)

    def attempts(self) -> list[Attempt]:
        """All attempts, oldest first; unreadable ones count as dead."""
        out = []
        for path in sorted(self.path.glob("attempt-*.json")):
            try:
                out.append(Attempt.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError):
                out.append(Attempt(pid=-1, started=0))
        return out

    def claim(self) -> bool:
        """Make the calling process the one that runs this job; False when another does."""
        attempts = self.attempts()
        if attempts and attempts[-1].alive():
            return False
        mine = Attempt.of_process(os.getpid()).model_dump_json()
        return create_exclusive(self.path / f"attempt-{len(attempts):04d}.json", mine)

    def append(self, kind: EventKind, **values: object) -> None:
        """Append one event; a single short write, so lines of several processes do not mix.

        On a full disk, how a job ended is written all the same, into room that was kept for it.

        Raises:
            DiskFullError: there is no room for it.
        """
        line = (json.dumps({"at": time.time(), "kind": kind, **values}) + "\n").encode()
        try:
            append_line(self.path / "events.jsonl", line)
        except DiskFullError:
            if kind not in LAST_WORDS:
                raise
            self._append_last_words(line)

    def _append_last_words(self, line: bytes) -> None:
        while self.reserve.give():
            try:
                # What found no room may have left half a line.
                append_line(self.path / "events.jsonl", b"\n" + line)
            except DiskFullError:
                continue
            return
        append_line(self.path / "last-words.jsonl", line)  # the file itself may be as large as is allowed

    def events(self) -> Iterator[dict[str, Any]]:
        """Read the events so far; a last line that is still being written is left for later."""
        events = read_events(self.path / "events.jsonl")
        if last_words := read_events(self.path / "last-words.jsonl"):
            events = sorted(events + last_words, key=lambda event: float(event["at"]))
        yield from events


def _describe_invalid(error: ValidationError) -> str:
    """What pydantic found wrong, in one line."""
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in error.errors()
    )
