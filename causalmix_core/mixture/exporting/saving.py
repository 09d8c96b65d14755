"""Exports on disk: written whole or not at all, and nothing overwritten unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.protocol import ExportedFile
from causalmix_core.workspace import create_exclusive, write_atomic


def save_export(files: Sequence[ExportedFile], output: Path, *, force: bool = False) -> list[Path]:
    """Write the files of an export.

    Args:
        files: what a format wrote.
        output: a folder; for a single file also the file's own path.
        force: whether files that are there are overwritten.

    Returns:
        The paths written.

    Raises:
        CausalMixError: a file is there already, or cannot be written; several files for one path.
    """
    into_folder = output.is_dir() or len(files) > 1 or not output.suffix
    if into_folder and output.exists() and not output.is_dir():
        raise CausalMixError(f"This format writes {len(files)} files, but {output} is a file. Name a folder.")
    targets = [output / f.name for f in files] if into_folder else [output]
    there = [str(t) for t in targets if t.exists()]
    if there and not force:
        raise _in_the_way(there)
    try:
        targets[0].parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CausalMixError(f"Cannot make the folder {targets[0].parent}: {error.strerror}.") from error
    for target, file in zip(targets, files, strict=True):
        if force:
            write_atomic(target, file.text)
        elif not create_exclusive(target, file.text):  # somebody was faster
            raise _in_the_way([str(target)])
    return targets


def _in_the_way(paths: list[str]) -> CausalMixError:
    return CausalMixError(
        f"{', '.join(paths)} exists already. Nothing was overwritten: name another place, or give --force."
    )
