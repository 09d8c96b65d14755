"""Runs that a curator has excluded: kept on disk, but no longer counted, with who, when and why.

They stand in one small file, `runs/excluded.json`. Marking is a read, a change and an atomic replacement
under a lock, so that two curators who mark at the same moment both keep their marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import write_atomic

FILE = "excluded.json"
LONGEST_REASON = 500
_LOCK = ".excluded.lock"
_PATIENCE = 10.0
"""Seconds to wait for another curator's mark; writing one takes milliseconds."""

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON)]


class Exclusion(BaseModel):
    """Why a run does not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    at: AwareDatetime
    reason: Reason


class _Exclusions(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid")

    runs: dict[str, Exclusion] = Field(default_factory=dict)


def read_exclusions(runs_dir: Path) -> dict[str, Exclusion]:
    """The excluded runs, by their name.

    Args:
        runs_dir: the workspace's `runs/`.

    Raises:
        CausalMixError: the file is damaged or cannot be read; it is left as it is.
    """
    path = runs_dir / FILE
    try:
        return _Exclusions.model_validate_json(path.read_bytes()).runs
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CausalMixError(f"Cannot read {path}: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise CausalMixError(
            f"{path} is damaged: {where}: {first['msg']}. It says which runs do not count, so nothing is "
            "estimated without it. Correct it or restore it from a backup; moved away, no run is excluded."
        ) from error


def exclude_runs(runs_dir: Path, runs: Iterable[str], *, reason: str, by: str) -> list[str]:
    """Let runs no longer count. A run that is excluded already keeps its first reason.

    Args:
        runs_dir: the workspace's `runs/`.
        runs: names of runs; whoever asks has seen that they exist.
        reason: why, in the curator's words.
        by: who excludes.

    Returns:
        The runs that are excluded now and were not before, in the order given.

    Raises:
        CausalMixError: there is no reason or a very long one, the file is damaged, or the file system
            refuses; then nothing is changed.
    """
    try:
        mark = Exclusion(by=by, at=datetime.now(UTC), reason=reason)
    except ValidationError as error:
        words = "Say why" if not reason.strip() else f"Say in at most {LONGEST_REASON} characters why"
        raise CausalMixError(f"{words} these runs are excluded: others will want to know.") from error
    with _marks(runs_dir) as marks:
        new = [run for run in dict.fromkeys(runs) if run not in marks]
        marks.update(dict.fromkeys(new, mark))
    return new


def include_runs(runs_dir: Path, runs: Iterable[str]) -> list[str]:
    """Let excluded runs count again.

    Returns:
        The runs that were excluded and are not any more, in the order given.

    Raises:
        CausalMixError: the file is damaged, or the file system refuses; then nothing is changed.
    """
    with _marks(runs_dir) as marks:
        return [run for run in dict.fromkeys(runs) if marks.pop(run, None) is not None]


def exclusions_stamp(runs_dir: Path) -> str:
    """Changes with every mark; empty while there is none. What was computed from runs depends on it."""
    try:
        found = (runs_dir / FILE).stat()
    except OSError:
        return ""
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


@contextmanager
def _marks(runs_dir: Path) -> Iterator[dict[str, Exclusion]]:
    """The marks to change; they are written at the end if they differ."""
    try:
        with FileLock(runs_dir / _LOCK, timeout=_PATIENCE):
            marks = read_exclusions(runs_dir)
            before = dict(marks)
            yield marks
            if marks != before:
                kept = _Exclusions(runs=dict(sorted(marks.items())))
                write_atomic(runs_dir / FILE, kept.model_dump_json(indent=1))
    except Timeout as error:
        raise CausalMixError(
            f"Somebody else is marking runs in {runs_dir} at this moment. Try again."
        ) from error
    except OSError as error:
        raise CausalMixError(f"Cannot mark runs in {runs_dir}: {error.strerror}.") from error
