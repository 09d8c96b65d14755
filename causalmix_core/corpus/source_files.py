"""Which files a source has: a file, a folder, a pattern, or a dataset in a layout of Hugging Face.

Nothing is opened here but the small JSON files in which `datasets` says what a folder holds. A folder is
walked once even when links lead back to it, and only regular files are read, as a pipe would wait for ever.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from causalmix_core.corpus.documents import Reason, Skipped
from causalmix_core.errors import CausalMixError

_PACKED = ("", ".gz", ".zst")
FILE_TYPES = (
    *(f"{kind}{packed}" for kind in (".jsonl", ".ndjson", ".json", ".txt") for packed in _PACKED),
    ".parquet",
    ".arrow",
)
TYPES_IN_WORDS = ".jsonl, .ndjson, .json and .txt (each also with .gz or .zst), .parquet, .arrow"
ALL_SPLITS = "all"
DEFAULT_SPLIT = "train"

_SIDE_FILES = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
_SHARD = re.compile(r"(?P<split>.+?)[-.]\d{5}-of-\d{5}(-[0-9a-f]{8,})?")
_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")
_KNOWN_SPLITS = {"train", "training", "validation", "valid", "val", "dev", "test", "eval"}
_CONVERTED = re.compile(r"\d{4}\.parquet")
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source.

    Attributes:
        path: where it is.
        name: relative to the source, as it stands in `Document.origin` and `Skipped.file`.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class _Found:
    """What the walk meets: a file, the split that the layout gives it, or why it is not read."""

    path: Path
    split: str | None = None
    reason: Reason | None = None


def source_files(source: str | Path, split: str | None = None) -> tuple[list[SourceFile], list[Skipped]]:
    """The files of a source in sorted order, and those that are not read.

    A path that does not exist and holds `*`, `?` or `[` is a pattern (`**` for folders of any depth); folders
    that it matches are walked. Hidden files are ignored, so are the JSON files in which `datasets` describes
    a layout. Of a folder that `save_to_disk` wrote only the files that it lists count, as caches lie beside
    them.

    A file has a split when it lies in a `save_to_disk` folder that names one, when its name is one of a shard
    (`train-00000-of-00012.parquet`, `c4-train.00000-of-01024.json.gz`) or of a split (`test.jsonl`), or when
    it is `<split>/0000.parquet`. A single file is read whatever its split.

    Args:
        source: absolute path of a file, a folder, or a pattern.
        split: None reads `train`, with the files of no split, where there is a `train`, and else everything;
            `all` reads everything; another name reads that split.

    Returns:
        The files to read, and one `Skipped` for each of unknown type, of another split, or that cannot be
        read.

    Raises:
        CausalMixError: the source is missing or cannot be looked at, a pattern matches nothing, a single file
            is of unknown type, or the split is not there.
    """
    path = Path(source)
    mode = _mode(path)
    if mode is not None and stat.S_ISREG(mode):
        if file_type(path) is None:
            raise CausalMixError(
                f"{path} is of a type that cannot be read. Supported are {TYPES_IN_WORDS}; convert the file."
            )
        return [SourceFile(path, _printable(path.name))], []
    if mode is not None and stat.S_ISDIR(mode):
        try:
            next(path.iterdir(), None)
        except OSError as error:
            raise CausalMixError(f"Cannot read the folder {path}: {error.strerror}.") from error
        base, found = path, list(_walk(path, set()))
    elif mode is None and _MAGIC.search(str(path)):
        base, found = _match(path)
        if not found:
            raise CausalMixError(
                f"No file matches {path}. Correct the pattern: * is any part of a name, ** any folders."
            )
    else:
        raise CausalMixError(f"There is no file or folder {path}. Correct the path of the domain.")
    return _choose(path, base, found, split)


def file_type(path: Path) -> str | None:
    """The type of a file by its name, one of `FILE_TYPES`; None when it is none of them."""
    # The longest type first, so that `.jsonl.gz` is not taken for an unknown `.gz`.
    for suffix in sorted(FILE_TYPES, key=len, reverse=True):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return suffix
    return None


def has_pattern(path: str) -> bool:
    """Whether a path that does not exist would be taken as a pattern."""
    return _MAGIC.search(path) is not None


def _choose(
    source: Path, base: Path, found: list[_Found], split: str | None
) -> tuple[list[SourceFile], list[Skipped]]:
    splits = sorted({item.split for item in found if item.split is not None})
    if split not in (None, ALL_SPLITS, *splits):
        has = f"it has {', '.join(splits)}" if splits else "no split can be told from its files"
        raise CausalMixError(f"{source} has no split {split!r}: {has}. Correct the split, or leave it out.")
    wanted: set[str | None] = {*splits, None}
    if split is None and DEFAULT_SPLIT in splits:
        wanted = {DEFAULT_SPLIT, None}
    elif split is not None and split != ALL_SPLITS:
        wanted = {split}
    files: list[SourceFile] = []
    skipped: list[Skipped] = []
    unique = {item.path: item for item in found}
    for item in sorted(unique.values(), key=lambda item: item.path.relative_to(base).parts):
        name = _printable(item.path.relative_to(base).as_posix())
        reason = item.reason or (None if item.split in wanted else "other_split")
        if reason is None:
            files.append(SourceFile(item.path, name))
        else:
            skipped.append(Skipped(name, None, reason))
    return files, skipped


def _printable(name: str) -> str:
    """A file name may hold bytes that are not UTF-8, which neither a table nor a page could show."""
    return os.fsencode(name).decode("utf-8", "replace")


def _mode(path: Path) -> int | None:
    """What a path leads to; None when that is nothing, a loop of links, or may not be looked at."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None


def _walk(folder: Path, seen: set[Path], split: str | None = None) -> Iterator[_Found]:
    """Everything below a folder; `split` is what the folder's own layout says of its files."""
    try:
        real = folder.resolve()
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        yield _Found(folder, reason="unreadable")
        return
    if real in seen:
        return
    seen.add(real)
    names = {entry.name for entry in entries}
    saved = _saved(folder / "state.json") if {"state.json", "dataset_info.json"} <= names else None
    if saved is not None:
        split = split or saved.split
        yield from (_Found(folder / name, split, "unreadable") for name in sorted(saved.files - names))
    for entry in entries:
        mode = _mode(entry)
        if mode is not None and stat.S_ISDIR(mode):
            yield from _walk(entry, seen, entry.name if "dataset_dict.json" in names else None)
        elif entry.name not in _SIDE_FILES if saved is None else entry.name in saved.files:
            found = _look(entry)
            # A saved dataset says itself what its shards, `data-00000-of-00002.arrow`, are a split of.
            yield found if saved is None and split is None else replace(found, split=split)


def _look(path: Path) -> _Found:
    """A path that is no folder: is it a file that can be read, and of which split?"""
    mode = _mode(path)
    if mode is None or not stat.S_ISREG(mode):
        return _Found(path, reason="unreadable")
    if file_type(path) is None:
        return _Found(path, reason="unknown_type")
    return _Found(path, _split_of(path))


@dataclass(frozen=True)
class _Saved:
    """What `save_to_disk` says of a folder: its data files, and the split that it is."""

    files: set[str]
    split: str | None


def _saved(state: Path) -> _Saved | None:
    """None when the file is damaged: the folder is then as any other."""
    if not stat.S_ISREG(_mode(state) or 0):
        return None
    try:
        content = json.loads(state.read_text(encoding="utf-8"))
        listed = {str(item["filename"]) for item in content["_data_files"]}
        split = content.get("_split")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    # A name with a folder in it would lead out of the dataset.
    plain = {name for name in listed if name == Path(name).name and not name.startswith(".")}
    return _Saved(plain, split if isinstance(split, str) else None)


def _split_of(path: Path) -> str | None:
    """The split that a file's name tells."""
    stem = path.name[: -len(file_type(path) or "")]
    if stem.lower() in _KNOWN_SPLITS:
        return stem
    folder = path.parent.name.removeprefix("partial-")
    if _CONVERTED.fullmatch(path.name) and _SPLIT_NAME.fullmatch(folder):
        return folder
    shard = _SHARD.fullmatch(stem)
    if shard is None:
        return None
    prefix = shard["split"]
    last = re.split(r"[-_.]", prefix)[-1]
    if last.lower() in _KNOWN_SPLITS:
        return last
    return prefix if _SPLIT_NAME.fullmatch(prefix) else None


def matching_paths(pattern: Path) -> list[Path]:
    """What a pattern matches: files and folders, each once, without hidden ones."""
    base = pattern_base(pattern)
    return list(dict.fromkeys(_expand(base, pattern.parts[len(base.parts) :], set())))


def pattern_base(pattern: Path) -> Path:
    """The folder above the first wildcard of a pattern."""
    parts = pattern.parts
    return Path(*parts[: next(i for i, part in enumerate(parts) if _MAGIC.search(part))])


def _match(pattern: Path) -> tuple[Path, list[_Found]]:
    """The folder above the first wildcard, and everything that a pattern matches below it."""
    base = pattern_base(pattern)
    found: list[_Found] = []
    seen: set[Path] = set()
    for path in matching_paths(pattern):
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            found.extend(_walk(path, seen))
        elif path.name not in _SIDE_FILES:
            found.append(_look(path))
    return base, found


def _expand(folder: Path, parts: tuple[str, ...], seen: set[tuple[Path, int]]) -> Iterator[Path]:
    """The paths below a folder that match the parts of a pattern; no hidden ones, no loops."""
    if not parts:
        yield folder
        return
    head, rest = parts[0], parts[1:]
    if not _MAGIC.search(head):
        path = folder / head
        if _mode(path) is not None or path.is_symlink():
            yield from _expand(path, rest, seen)
        return
    try:
        real = folder.resolve()
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return
    if head != "**":
        for entry in entries:
            if fnmatch.fnmatchcase(entry.name, head):
                yield from _expand(entry, rest, seen)
        return
    if (real, len(parts)) in seen:
        return
    seen.add((real, len(parts)))
    yield from _expand(folder, rest, seen)
    for entry in entries:
        mode = _mode(entry)
        if mode is not None and stat.S_ISDIR(mode):
            yield from _expand(entry, parts, seen)
