"""A job on disk: what it is to do, what has happened to it, and whether its process is alive.

    jobs/<id>/spec.json          the swarm and its snapshot, written once (task.json for work on the corpus)
    jobs/<id>/events.jsonl       appended to by the job's processes, one line per event
    jobs/<id>/attempt-<n>.json   which process runs the n-th attempt
    jobs/<id>/cancel             exists once somebody asked the job to stop
    jobs/<id>/log.txt            what its processes print
    runs/<id>-<shard>.parquet    the finished rows of a shard: the one place that says it is done

A state is never stored; it follows from these files and from the process table, so a job that was killed
cannot go on looking alive.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec
from causalmix_core.workspace import Workspace, create_exclusive, write_atomic

M = TypeVar("M", bound=BaseModel)
EventKind = Literal[
    "submitted", "training", "shard", "step", "shard-done", "progress", "error", "done", "cancelled", "failed"
]


class JobSpec(BaseModel):
    """What a job is to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    snapshot: str
    swarm: SwarmSpec
    created_at: float
    shards: int = Field(ge=1)
    workers: int = Field(ge=1)
    device: str

    def probes_of(self, shard: int) -> range:
        """Numbers of the probes in a shard; shards are as even as can be."""
        share, extra = divmod(self.swarm.probes, self.shards)
        first = shard * share + min(shard, extra)
        return range(first, first + share + (shard < extra))

    def shards_of(self, worker: int) -> range:
        """Numbers of the shards that a worker trains."""
        return range(worker, self.shards, self.workers)


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
        """Make the job's folder, still empty.

        Raises:
            CausalMixError: the workspace cannot be written.
        """
        try:
            self.path.mkdir(parents=True)
        except OSError as error:
            raise CausalMixError(f"Cannot make {self.path}: {error.strerror}.") from error

    def create(self, spec: JobSpec) -> None:
        """Write the job's folder; its spec comes last, so a half-made job is not a job."""
        self.make()
        write_atomic(self.path / "spec.json", spec.model_dump_json(indent=2))

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

    def shard_path(self, shard: int) -> Path:
        """Where the finished rows of a shard stand."""
        return self.workspace.runs / f"{self.job}-{shard:04d}.parquet"

    def cancelled(self) -> bool:
        """Whether somebody asked the job to stop."""
        return (self.path / "cancel").exists()

    def request_cancel(self) -> None:
        """Ask the job to stop."""
        write_atomic(self.path / "cancel", "")

    def withdraw_cancel(self) -> None:
        """Forget an earlier request to stop, before resuming."""
        (self.path / "cancel").unlink(missing_ok=True)

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
        """Append one event; a single short write, so lines of several processes do not mix."""
        line = json.dumps({"at": time.time(), "kind": kind, **values}) + "\n"
        with (self.path / "events.jsonl").open("ab", buffering=0) as file:
            file.write(line.encode())

    def events(self) -> Iterator[dict[str, Any]]:
        """Read the events so far; a last line that is still being written is left for later."""
        try:
            content = (self.path / "events.jsonl").read_bytes()
        except FileNotFoundError:
            return
        for line in content.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _describe_invalid(error: ValidationError) -> str:
    """What pydantic found wrong, in one line."""
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in error.errors()
    )
