"""A swarm in background processes as a test looks at it, and the tiny swarm that most tests train."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
import psutil

from causalmix_core.corpus import open_snapshot
from causalmix_core.probes import LIVE, SwarmSpec, SwarmStatus
from causalmix_core.proxy import ProxySpec
from causalmix_core.workspace import Workspace
from jobs import JobFolder, LocalEngine
from jobs.folder_engine import FolderEngine
from jobs.record import JobSpec

T = TypeVar("T")
ENGINE = LocalEngine()
DOMAINS = ("code", "prose", "sums")
TOKENS = 32_000
"""Enough for a shard of tiny proxies to train for a second, so that a test can interrupt it."""
SWARM = SwarmSpec(
    probes=6,
    proxy=ProxySpec(hidden_size=16, layers=1, heads=1, sequence_length=32, batch_size=4, tokens=TOKENS),
    heldout_windows=8,
)


def longer(tokens: int, **fields: object) -> SwarmSpec:
    """The tiny swarm with more tokens per probe."""
    return SWARM.model_copy(update={"proxy": SWARM.proxy.model_copy(update={"tokens": tokens}), **fields})


def until(what: str, look: Callable[[], T], seconds: float = 120) -> T:
    """Look until there is something to see; fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.05)
    return seen


class Job:
    """A job as a test looks at it."""

    engine: FolderEngine = ENGINE

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace, self.name, self.folder = workspace, name, JobFolder(workspace, name)

    @classmethod
    def by_hand(
        cls, workspace: Workspace, swarm: SwarmSpec, shards: int, workers: int = 1, name: str = "by-hand"
    ) -> Job:
        """A job that nobody has started yet."""
        job = cls(workspace, name)
        job.folder.create(
            JobSpec(
                job=job.name,
                snapshot=open_snapshot(workspace).id,
                swarm=swarm,
                created_at=0.0,
                shards=shards,
                workers=workers,
                device="cpu",
            )
        )
        return job

    def status(self) -> SwarmStatus:
        return self.engine.status(self.workspace, self.name)

    def resume(self) -> None:
        self.engine.resume(self.workspace, self.name)

    def ends(self, state: str, seconds: float = 90) -> SwarmStatus:
        """Wait for the end of the job and check which end it is."""
        until(f"{self.name} ends", lambda: self.status().state not in LIVE, seconds)
        status = self.status()
        assert status.state == state, f"{status.message}\n{self.folder.log_path.read_text()}"
        return status

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Events of one kind since the job was last started."""
        events = list(self.folder.events())
        start = max(i for i, e in enumerate(events) if e["kind"] == "submitted")
        return [e for e in events[start:] if e["kind"] == kind]

    def reached(self, shard: int) -> int:
        """Tokens per probe that a shard has read, as it said since the job was last started."""
        return max((int(e["tokens"]) for e in self.events("step") if e["shard"] == shard), default=0)

    def is_training(self, shard: int) -> bool:
        return any(e["shard"] == shard for e in self.events("step"))

    def written(self, shard: int) -> int | None:
        """When the rows of a shard were written; None when they were not."""
        path = self.folder.shard_path(shard)
        return path.stat().st_mtime_ns if path.exists() else None

    @property
    def supervisor(self) -> int:
        return self.folder.attempts()[-1].pid

    def workers(self) -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                arguments = process.cmdline()
            except psutil.Error:
                continue
            if "work" in arguments and self.name in arguments and str(self.workspace.root) in arguments:
                found.append(process.pid)
        return found

    def rows(self) -> pd.DataFrame:
        """All rows of the job; `read_runs` would leave out what repeats another job's probes."""
        files = sorted(self.workspace.runs.glob(f"{self.name}-*.parquet"))
        return pd.concat([pd.read_parquet(f) for f in files]).set_index("probe").sort_index()
