"""A full disk, in words: which errors mean it, and the reserve that lets a job still say so.

A job that cannot write has to write why. So each job keeps a small file of no use but its blocks, and gives
them back piece by piece when its last words find no room.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from causalmix_core.errors import CausalMixError

REASONS = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "Your quota on the disk is used up",
    errno.EFBIG: "A file would grow beyond what this system allows (its limit of file sizes)",
}
RESERVE = 256 << 10
"""Bytes of the reserve."""
PIECE = 64 << 10
"""Given back at once: other processes of the job may take the room before the last words are written."""


class DiskFullError(CausalMixError):
    """Nothing more can be written; the message says where and what to do."""


def disk_full(error: BaseException | None, path: Path) -> DiskFullError | None:
    """The error in words if it, or what caused it, means a full disk; else None."""
    while error is not None:
        if isinstance(error, DiskFullError):
            return error
        if isinstance(error, OSError) and error.errno in REASONS:
            return DiskFullError(
                f"{REASONS[error.errno]}: {path} cannot be written. Finished shards are kept; "
                "make room, then resume the job."
            )
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def full_disk_in_words(path: Path) -> Iterator[None]:
    """Turn an error that means a full disk into words; others pass as they are.

    Raises:
        DiskFullError: what was done inside met a full disk, a quota or a limit of file sizes.
    """
    try:
        yield
    except Exception as error:
        full = disk_full(error, path)
        if full is None or full is error:
            raise
        raise full from error


class Reserve:
    """A file that takes up room until it is needed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Take the room, again after it was given back.

        Raises:
            DiskFullError: there is none.
        """
        try:
            with full_disk_in_words(self.path), self.path.open("wb") as file:
                file.write(os.urandom(RESERVE))  # zeros may take no room at all
                file.flush()
                os.fsync(file.fileno())
        except DiskFullError:
            self.path.unlink(missing_ok=True)
            raise

    def give(self) -> bool:
        """Give some room back; False when nothing is left."""
        try:
            left = self.path.stat().st_size - PIECE
            if left < 0:
                return False
            if left:
                os.truncate(self.path, left)
            else:
                self.path.unlink()
        except OSError:
            return False
        return True
