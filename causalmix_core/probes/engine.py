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

SwarmState = Literal["starting", "running", "finished", "failed", "cancelled", "interrupted"]
LIVE: frozenset[SwarmState] = frozenset({"starting", "running"})


@dataclass(frozen=True)
class SwarmStatus:
    """A swarm as it stands now.

    Attributes:
        job: job id.
        state: `interrupted` means that its process is gone and it can be resumed.
        swarm: its design.
        snapshot: the snapshot it trains on.
        started_at: Unix time of the first start.
        seconds: wall time of the training so far.
        tokens_done: training tokens read by all probes so far.
        tokens_total: training tokens of the whole swarm.
        finished: probes in the run table.
        diverged: probes whose loss was not finite.
        curves: probe number -> (tokens, training loss) points.
        message: why it failed, in words; empty otherwise.
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

    def submit(self, workspace: Workspace, swarm: SwarmSpec) -> str:
        """Start a swarm on the current snapshot and return the job id at once."""

    def resume(self, workspace: Workspace, job: str) -> None:
        """Go on with the shards that are not finished."""

    def cancel(self, workspace: Workspace, job: str) -> None:
        """Ask a running swarm to stop; finished shards are kept."""

    def status(self, workspace: Workspace, job: str) -> SwarmStatus:
        """How a swarm stands."""

    def jobs(self, workspace: Workspace) -> list[str]:
        """Ids of all swarms, newest first."""


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
