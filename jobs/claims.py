"""Which worker trains which shard: each is claimed once per attempt, by whoever is free first."""

from __future__ import annotations

from pathlib import Path

from causalmix_core.workspace import create_exclusive, sweep
from jobs.record import JobFolder


def unclaimed(folder: JobFolder, attempt: int) -> list[int]:
    """Numbers of the shards that are neither done nor claimed; those with a checkpoint come first."""
    left = [
        shard
        for shard in range(len(folder.shards()))
        if not folder.shard_path(shard).exists() and not _claim_path(folder, attempt, shard).exists()
    ]
    return sorted(left, key=lambda shard: (not folder.checkpoint_path(shard).exists(), shard))


def claim_next(folder: JobFolder, attempt: int) -> int | None:
    """Claim a shard for the calling worker; None when none is left.

    Raises:
        CausalMixError: the workspace cannot be written.
    """
    for shard in unclaimed(folder, attempt):
        if create_exclusive(_claim_path(folder, attempt, shard), ""):
            return shard
    return None


def forget_claims(folder: JobFolder) -> None:
    """Remove the claims of earlier attempts, and what their workers left half-written."""
    folder.shards_folder.mkdir(exist_ok=True)
    for path in folder.shards_folder.glob("*.claim-*"):
        path.unlink(missing_ok=True)
    sweep(folder.path)


def _claim_path(folder: JobFolder, attempt: int, shard: int) -> Path:
    return folder.shards_folder / f"{shard}.claim-{attempt}"
