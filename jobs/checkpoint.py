"""The checkpoint of a shard in flight: one file that is replaced as the training gets on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from causalmix_core import __version__
from causalmix_core.proxy.training import TrainingState
from causalmix_core.workspace import scratch_path
from jobs.disk import full_disk_in_words
from jobs.record import JobFolder, JobSpec


class ShardCheckpoint:
    """Reads and writes the checkpoint of one shard.

    Args:
        folder: the job.
        shard: number of the shard.
        probes: numbers of its probes.
        device: where it trains.
    """

    def __init__(self, folder: JobFolder, shard: int, probes: Sequence[int], device: str) -> None:
        self.folder, self.shard, self.device = folder, shard, device
        self.key = _key(folder.spec(), probes, device)

    def save(self, state: TrainingState) -> None:
        """Replace the checkpoint; a crash meanwhile leaves the old one.

        Raises:
            DiskFullError: there is no room for it; the old one stays.
        """
        import torch

        path = self.folder.checkpoint_path(self.shard)
        # In the job's own folder, where opening the workspace sweeps what a crash has left.
        scratch = scratch_path(self.folder.path / path.name)
        try:
            with full_disk_in_words(path), scratch.open("wb") as file:
                torch.save({"key": self.key, "state": state.packed()}, file)
            # No fsync: after a power cut the shard begins anew, which is what happens without a checkpoint.
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    def load(self) -> TrainingState | None:
        """The state to go on from; None when there is none. One that cannot be used is told in the log."""
        path = self.folder.checkpoint_path(self.shard)
        if not path.exists():
            return None
        import torch

        try:
            found = torch.load(path, map_location=self.device, weights_only=True)
            if found["key"] == self.key:
                return TrainingState.unpacked(found["state"])
            problem = "it belongs to another training"
        except Exception as error:  # torch raises whatever the damage provokes
            problem = f"it is damaged ({type(error).__name__})"
        self.refuse(problem)
        return None

    def refuse(self, problem: str) -> None:
        """Say in the log why the checkpoint is of no use."""
        path = self.folder.checkpoint_path(self.shard)
        print(f"The checkpoint {path} is left out: {problem}. Shard {self.shard} begins anew.", flush=True)


def _key(spec: JobSpec, probes: Sequence[int], device: str) -> str:
    """What a checkpoint must agree with: all that decides what these proxies learn."""
    decides = [
        spec.snapshot,
        spec.swarm.model_dump(mode="json"),
        list(probes),
        device.split(":")[0],
        __version__,
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
