"""What an engine that runs swarms offers, and how one is found.

The library defines the protocol; engines live outside it (package `jobs`) and are found by their entry
point in the group `causalmix.engines`, so that the command line can start a swarm without the library
importing what runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Literal, Protocol

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.design import SwarmSpec
from causalmix_core.workspace import Workspace

SwarmState = Literal[
    "starting", "queued", "running", "paused", "finished", "failed", "cancelled", "interrupted"
]
LIVE: frozenset[SwarmState] = frozenset({"starting", "queued", "running"})
"""States of a job that has a process."""


@dataclass(frozen=True)
class SwarmStatus:
    """A swarm as it stands now.

    Attributes:
        job: job id.
        state: `queued` waits until other jobs leave it a place to train; `interrupted` means that its
            process is gone and it can be resumed.
        swarm: its design.
        snapshot: the snapshot it trains on.
        started_at: Unix time of the first start.
        seconds: wall time of the training so far.
        tokens_done: training tokens read by all probes so far.
        tokens_total: training tokens of the whole swarm, and of the probes that are trained again.
        finished: probes in the run table.
        diverged: probes whose loss was not finite in their newest training.
        curves: probe number -> (tokens, training loss) points.
        message: why it failed, in words, or what went wrong in a worker while others go on; empty otherwise.
        engine: what runs it.
        workers: processes that train it at the moment.
        queue_position: 1 for the job that is given the next free place to train; None for one that waits
            for none.
        failed_probes: numbers of the diverged probes that no further training is planned for, ascending.
    """

    job: str
    state: SwarmState
    swarm: SwarmSpec
    snapshot: str
    started_at: float
    seconds: float
    tokens_done: int
    tokens_total: int
    finished: int
    diverged: int
    message: str = ""
    curves: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    engine: str = "local"
    workers: int = 0
    queue_position: int | None = None
    failed_probes: tuple[int, ...] = ()

    @property
    def fraction(self) -> float:
        """Done so far, 0 to 1."""
        return min(1.0, self.tokens_done / max(1, self.tokens_total))

    @property
    def tokens_per_second(self) -> float | None:
        """Throughput so far; None before the first step."""
        return self.tokens_done / self.seconds if self.seconds > 0 and self.tokens_done else None

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the throughput so far; None before the first step."""
        rate = self.tokens_per_second
        return (self.tokens_total - self.tokens_done) / rate if rate else None


class SwarmEngine(Protocol):
    """Runs swarms outside the calling process."""

    def submit(self, workspace: Workspace, swarm: SwarmSpec, workers: int | None = None) -> str:
        """Start a swarm on the current snapshot and return the job id at once.

        `workers` is how many shards train at the same time at most; None: as many as there is room for.
        """

    def resume(self, workspace: Workspace, job: str) -> None:
        """Go on with the shards that are not finished, where they stood if they were paused."""

    def cancel(self, workspace: Workspace, job: str) -> None:
        """Ask a swarm to stop; finished shards are kept, those in flight are dropped."""

    def pause(self, workspace: Workspace, job: str) -> None:
        """Ask a running swarm to stop where it is and to keep what it needs to go on from there."""

    def retry(self, workspace: Workspace, job: str) -> int:
        """Train the diverged probes again and return how many those are."""

    def status(self, workspace: Workspace, job: str) -> SwarmStatus:
        """How a swarm stands."""

    def jobs(self, workspace: Workspace) -> list[str]:
        """Ids of all swarms, newest first, whichever engine runs them."""

    def delete(self, workspace: Workspace, job: str, runs: bool = False) -> int:
        """Remove a swarm that does not run, with its probes if `runs`; returns how many probes went."""

    def log(self, workspace: Workspace, job: str, lines: int = 200) -> str:
        """What happened to a swarm and the last lines that its processes printed."""

    def move(self, workspace: Workspace, job: str, places: int) -> None:
        """Move a waiting swarm back in the queue by so many places; forward if negative."""


def load_engine(name: str = "local") -> SwarmEngine:
    """The engine registered as `name`.

    Raises:
        CausalMixError: no such engine is installed.
    """
    found = {e.name: e for e in entry_points(group="causalmix.engines")}
    if name not in found:
        raise CausalMixError(
            f"There is no engine named {name}; installed: {', '.join(sorted(found)) or 'none'}. "
            "Install the project with `pip install -e .`."
        )
    engine: SwarmEngine = found[name].load()()
    return engine


def unused_seed(engine: SwarmEngine, workspace: Workspace) -> int:
    """The lowest seed above those of all swarms so far: with it a new swarm adds probes of its own."""
    seeds = [engine.status(workspace, job).swarm.seed for job in engine.jobs(workspace)]
    return max(seeds, default=-1) + 1
