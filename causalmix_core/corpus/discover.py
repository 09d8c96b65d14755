"""Finds domains in a folder: one per subfolder, per file, and per set of shards."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from causalmix_core.corpus.source_files import TYPES_IN_WORDS, file_type, matching_paths
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, check_name

# `code-00000-of-00010`, with the hash that older hub files have behind it.
_NUMBERED = re.compile(r"(?P<base>.+?)(?P<join>[-_.])\d+[-_.]of[-_.]\d+([-_.][0-9a-f]{8,})?")
# `web_1`, `books.part-3`, `wiki-shard0007`.
_SHARD = re.compile(r"(?P<base>.+?)(?P<join>[-_.](?:(?:part|shard|chunk|split)[-_.]?)?)\d+")


def discover_domains(folder: Path) -> dict[str, DomainSource]:
    """One domain per subfolder and per file directly inside, named without its type's suffix.

    Files of one type whose names differ only in the number of a shard (`code-00000-of-00010.jsonl`,
    `web_1.jsonl`, `books.part-3.parquet`) are one domain, whose path is a pattern. Hidden files and files of
    unknown type are left out.

    Raises:
        CausalMixError: not a folder, nothing in it that can be read, a name that cannot name a domain, or two
            domains of the same name (upper and lower case do not tell names apart).
    """
    if not folder.is_dir():
        raise CausalMixError(
            f"{folder} is not a folder. Give a folder with one subfolder or file per domain."
        )
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise CausalMixError(f"Cannot read the folder {folder}: {error.strerror}.") from error
    found = [(path.name, str(path.absolute())) for path in entries if path.is_dir()]
    files = [path for path in entries if path.is_file() and file_type(path) is not None]
    if not found and not files:
        unknown = f"{entries[0]} is of a type that cannot be read. " if entries else f"{folder} is empty. "
        raise CausalMixError(
            f"{unknown}Put one subfolder or file per domain into {folder} ({TYPES_IN_WORDS})."
        )
    domains: dict[str, DomainSource] = {}
    taken: dict[str, str] = {}
    for name, path in sorted([*found, *_grouped(folder.absolute(), files)]):
        try:
            check_name(name)
        except ValueError as error:
            raise CausalMixError(f"{path}: {error}. Rename it.") from error
        other = taken.setdefault(name.casefold(), path)
        if other != path:
            raise CausalMixError(
                f"{other} and {path} would both be the domain {name!r}. Rename one of them, or put both "
                "into one folder."
            )
        domains[name] = DomainSource(path=path)
    return domains


def _grouped(folder: Path, files: list[Path]) -> list[tuple[str, str]]:
    """Name and path of the domains that files are, shards put together."""
    groups: dict[tuple[str, str, str], list[Path]] = {}
    for path in files:
        groups.setdefault(_shard(path) or (_stem(path), "", ""), []).append(path)
    domains = []
    for (base, join, suffix), shards in groups.items():
        numbered = all(_NUMBERED.fullmatch(_stem(path)) for path in shards)
        if len(shards) == 1:
            domains.append((base if numbered else _stem(shards[0]), str(shards[0].absolute())))
        else:
            domains.append((base, _pattern(folder, base + join, suffix, shards)))
    return domains


def _stem(path: Path) -> str:
    return path.name[: -len(file_type(path) or "")]


def _shard(path: Path) -> tuple[str, str, str] | None:
    """What shards of one domain share: the name, what joins it to the number, and the type as spelled."""
    stem = _stem(path)
    match = _NUMBERED.fullmatch(stem) or _SHARD.fullmatch(stem)
    return None if match is None else (match["base"], match["join"], path.name[len(stem) :])


def _pattern(folder: Path, prefix: str, suffix: str, shards: list[Path]) -> str:
    """A pattern for the shards alone: `code-*.jsonl`, unless a `code-review.jsonl` lies beside them."""
    for star in ("*", "[0-9]*"):
        pattern = str(Path(glob.escape(str(folder))) / f"{glob.escape(prefix)}{star}{suffix}")
        if set(matching_paths(Path(pattern))) == {folder / path.name for path in shards}:
            return pattern
    raise CausalMixError(
        f"The files {prefix}... in {folder} are shards of one domain, but others beside them have names too "
        "much alike. Put the shards into a folder of their own."
    )
