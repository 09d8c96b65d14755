"""Repeats a search on halves of the runs, in worker processes, the same whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.graph.discovery.arrows import Arrow
from causalmix_core.graph.discovery.knowledge import Knowledge
from causalmix_core.graph.discovery.methods import DiscoverySettings
from causalmix_core.graph.discovery.search import search
from causalmix_core.worker_pool import work_through

_BATCH = 4
"""Resamples per request: enough that a fast search is not slowed down by the pipes."""


@dataclass(frozen=True)
class Work:
    """What every resample has in common.

    Attributes:
        data: shape (n, number of columns), weights bent, nothing missing.
        columns: names.
        settings: of the search.
        knowledge: required and forbidden edges.
        randomised: whether every mixture was drawn at random.
        size: runs of a resample, drawn without replacement.
        seed: with the number of a resample, decides which runs it holds.
    """

    data: np.ndarray
    columns: tuple[str, ...]
    settings: DiscoverySettings
    knowledge: Knowledge
    randomised: bool
    size: int
    seed: int

    def do(self, item: int) -> list[Arrow]:
        """What is found in resample number `item`."""
        chosen = np.random.default_rng([self.seed, item]).choice(len(self.data), self.size, replace=False)
        found = search(
            self.data[np.sort(chosen)],
            self.columns,
            self.settings,
            self.knowledge,
            randomised=self.randomised,
            tick=_nothing,
        )
        return found.arrows


def _nothing() -> None:
    pass


def resample(
    work: Work, numbers: Sequence[int], workers: int, tick: Callable[[], None]
) -> Iterator[tuple[int, list[Arrow]]]:
    """The arrows of every resample, in the order in which they get done.

    Args:
        work: what to search.
        numbers: of the resamples.
        workers: how many processes; 0 searches in this one.
        tick: called several times a second; what it raises ends the work and its processes at once.

    Raises:
        CausalMixError: a search was refused, or a worker was killed.
    """
    batch = 1 if work.settings.method == "pc_kci" else _BATCH
    return work_through(work, numbers, workers, tick, batch=batch)
