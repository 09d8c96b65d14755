"""Places to train: one per CPU core, or one per GPU, shared by all jobs of a workspace.

A place is held by a lock of the operating system on a file in `jobs/.slots/`. The system lets go of it when
its holder is gone, however that ended.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import filelock

from causalmix_core.corpus.measuring import cores
from causalmix_core.workspace import Workspace


@dataclass(frozen=True)
class Slot:
    """A place that is held.

    Attributes:
        device: the torch device to train on.
        lock: what holds it.
    """

    device: str
    lock: filelock.BaseFileLock

    def release(self) -> None:
        """Leave the place to others."""
        self.lock.release()


def take_slot(workspace: Workspace, device: str) -> Slot | None:
    """Hold a free place until it is released or this process ends; None when all are taken.

    Args:
        workspace: whose jobs share the places.
        device: `cpu` or `cuda`.
    """
    folder = workspace.jobs / ".slots"
    folder.mkdir(exist_ok=True)
    for name, on in places(device):
        lock = filelock.FileLock(folder / name, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            continue
        return Slot(on, lock)
    return None


def places(device: str) -> list[tuple[str, str]]:
    """Name and torch device of each place to train."""
    if device == "cpu":
        return [(f"cpu-{core}", "cpu") for core in range(cores())]
    # Named after the card, not its number in this process: others may see other cards.
    return [(f"cuda-{gpu}", f"cuda:{number}") for number, gpu in enumerate(visible_gpus())]


def visible_gpus() -> list[str]:
    """The NVIDIA cards that this process may use, in torch's order, without importing torch."""
    if not Path("/dev/nvidiactl").exists():
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        cards = [p.name.removeprefix("nvidia") for p in Path("/dev").glob("nvidia[0-9]*")]
        return [str(number) for number in range(len(cards))]
    names = [re.sub(r"[^A-Za-z0-9-]", "-", name.strip()) for name in chosen.split(",")]
    return [name for name in names if name and name != "-1"]
