"""The queue of the jobs that want to train: who is given the next free place.

Nobody runs the queue. Each job writes how many more workers it would start now (`wants`) and looks whether
a living job ahead of it wants any; the job that has nobody ahead takes what is free. So a job that is killed
drops out by itself.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace, write_atomic
from jobs.record import JobFolder

Place = tuple[float, str]
"""Order and id: jobs ahead have smaller places."""
CLAIM_SECONDS = 5.0
"""How long a job that was submitted keeps its place before its process is there."""


def set_wants(folder: JobFolder, workers: int) -> None:
    """Say how many more workers the job would start now; 0: it waits for none."""
    path = folder.path / "wants"
    # Without the file the job only loses its place in the queue, so a full disk does not end it.
    with suppress(CausalMixError):
        if not workers:
            path.unlink(missing_ok=True)
        elif wants(folder) != workers:
            write_atomic(path, str(workers))


def wants(folder: JobFolder) -> int:
    """How many more workers the job says it would start now."""
    try:
        return max(0, int((folder.path / "wants").read_text()))
    except (OSError, ValueError):
        return 0


def place(folder: JobFolder) -> Place:
    """Where the job stands: by its file `order`, else by its id, which begins with its time of creation."""
    try:
        return float((folder.path / "order").read_text()), folder.job
    except (OSError, ValueError):
        return float("inf"), folder.job


def waiting(workspace: Workspace) -> list[JobFolder]:
    """The living jobs that want workers, by their place in the queue."""
    found = [JobFolder(workspace, path.parent.name) for path in workspace.jobs.glob("[!.]*/wants")]
    return sorted((f for f in found if wants(f) and _lives(f)), key=place)


def somebody_ahead(folder: JobFolder) -> bool:
    """Whether a living job ahead of this one wants workers."""
    mine = place(folder)
    return any(place(f) < mine for f in waiting(folder.workspace) if f.job != folder.job)


def queue_position(folder: JobFolder) -> int | None:
    """1 for the job that is given the next free place; None for one that waits for none."""
    jobs = [f.job for f in waiting(folder.workspace)]
    return jobs.index(folder.job) + 1 if folder.job in jobs else None


def move(folder: JobFolder, places: int) -> None:
    """Move a waiting job back in the queue by so many places, forward if negative.

    Raises:
        CausalMixError: the job does not wait, or the workspace cannot be written.
    """
    queue = waiting(folder.workspace)
    jobs = [f.job for f in queue]
    if folder.job not in jobs:
        raise CausalMixError(f"Job {folder.job} does not wait in the queue; there is nothing to move.")
    at = jobs.index(folder.job)
    others = queue[:at] + queue[at + 1 :]
    to = min(max(0, at + places), len(others))
    if to == at:
        return
    before = place(others[to - 1])[0] if to else None
    after = place(others[to])[0] if to < len(others) else None
    if before is None and after is not None:
        order = after - 1
    elif after is None and before is not None:
        order = before + 1
    else:
        assert before is not None
        assert after is not None
        order = (before + after) / 2
    write_atomic(folder.path / "order", repr(order))


def _lives(folder: JobFolder) -> bool:
    attempts = folder.attempts()
    if attempts and attempts[-1].alive():
        return True
    return _age(folder.path / "wants") < CLAIM_SECONDS


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
