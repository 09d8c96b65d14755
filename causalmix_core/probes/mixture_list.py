"""Mixtures that somebody else chose: read from a file, and made to fit the domains of a pool.

A file holds one mixture per row. Columns are domain names, also with the prefix of RegMix's published
tables (`train_the_pile_`) or of our own run table (`weight/`).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import SUM_TOLERANCE, Mixture, check_mixture

PREFIXES = ("train_the_pile_", "weight/")
"""Where a column has one of these, only such columns are weights, and the prefix is cut off."""
LABELS = frozenset({"index", "run", "probe"})
"""Columns without a prefix that number the rows."""
ENDINGS = (".csv", ".parquet", ".json", ".jsonl", ".yaml", ".yml")
MOST_ROWS = 4096
"""As many as a swarm may have probes."""
SUM_ERROR = 1e-3
"""How far the weights of a row may be from summing to one, at least."""
ROUNDING = 0.0005
"""Largest error of a weight that was rounded to three decimals, as published tables are."""


@dataclass(frozen=True)
class FittedMixtures:
    """Mixtures over the domains of a pool.

    Attributes:
        mixtures: one per row, keyed by the domains in their order, each summing to one.
        notices: what was changed or looks odd, in words.
    """

    mixtures: list[Mixture]
    notices: list[str]


def read_mixtures(path: Path) -> tuple[Mixture, ...]:
    """Read a file of mixtures as they stand there; `fit_mixtures` checks their domains and sums.

    CSV and Parquet have a column per domain. JSON and YAML have a list of objects (also under the key
    `mixtures`); JSONL has an object per line. Columns named index, run or probe are not weights.

    Raises:
        CausalMixError: the file cannot be read or is of another type; a value is missing, negative or no
            number; two columns are of one domain. Words name the file, the row (the first one is 1) and
            the field.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CausalMixError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    return parse_mixtures(path.name, data)


def parse_mixtures(name: str, data: bytes) -> tuple[Mixture, ...]:
    """What `read_mixtures` reads, from the bytes of a file and its name.

    Raises:
        CausalMixError: as `read_mixtures`.
    """
    rows = _rows(name, data)
    if not rows:
        raise CausalMixError(f"{name} holds no mixture. Give one row per mixture.")
    if len(rows) > MOST_ROWS:
        raise CausalMixError(f"{name} has {len(rows):,} rows; a swarm has at most {MOST_ROWS:,} probes.")
    return tuple(_weights(name, number, row) for number, row in enumerate(rows, start=1))


def fit_mixtures(
    mixtures: Sequence[Mapping[str, float]], domains: Sequence[str], source: str = "The list"
) -> FittedMixtures:
    """Check mixtures by name against the domains of a pool, and divide rounding out of their sums.

    A sum may be off by 0.001, or by what rounding each weight to three decimals can do, whichever is more.

    Args:
        mixtures: as `read_mixtures` gives them.
        domains: of the pool.
        source: what the words of an error or a notice begin with.

    Raises:
        CausalMixError: a domain is unknown or missing, a weight is negative or not finite, or a sum is too
            far from one. Words name the row.
    """
    allowed = max(SUM_ERROR, ROUNDING * len(domains)) + SUM_TOLERANCE
    fitted: list[Mixture] = []
    divided: dict[int, float] = {}
    seen: dict[tuple[float, ...], int] = {}
    notices = []
    for number, row in enumerate(mixtures, start=1):
        total = math.fsum(row.values())
        if abs(total - 1) > allowed and set(row) == set(domains):
            raise CausalMixError(
                f"{source}, row {number}: the weights sum to {total:.4f}, not to 1. "
                "Give weights between 0 and 1, not percent."
            )
        scale = total if abs(total - 1) <= allowed else 1.0
        try:
            fitted.append(check_mixture({d: w / scale for d, w in row.items()}, domains))
        except CausalMixError as error:
            raise CausalMixError(f"{source}, row {number}: {error}") from error
        if abs(total - 1) > SUM_TOLERANCE:
            divided[number] = total
        first = seen.setdefault(tuple(round(w, 9) for w in fitted[-1].values()), number)
        if first != number:
            notices.append(f"{source}: row {number} repeats row {first}.")
    if len(notices) > 1:
        notices = [f"{source}: {len(notices)} rows repeat an earlier row."]
    if divided:
        notices.append(
            f"{source}: {_numbered(list(divided))} summed to {min(divided.values()):.4f}"
            + (f" to {max(divided.values()):.4f}" if len(divided) > 1 else "")
            + (" and were divided by their sums." if len(divided) > 1 else " and was divided by it.")
        )
    return FittedMixtures(fitted, notices)


def _numbered(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:3]))
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more}"


def _rows(name: str, data: bytes) -> list[Any]:
    """The rows of a file, each still to be checked."""
    ending = Path(name).suffix.lower()
    if ending == ".parquet":
        try:
            frame = pd.read_parquet(io.BytesIO(data))
        except Exception as error:  # pyarrow raises many kinds
            raise CausalMixError(f"{name} is no readable Parquet file: {error}.") from error
        return [dict(zip(map(str, frame.columns), row, strict=True)) for row in frame.itertuples(index=False)]
    if ending not in ENDINGS:
        raise CausalMixError(f"{name}: mixtures are read from {', '.join(ENDINGS)} files.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CausalMixError(f"{name} is no UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    if ending == ".csv":
        return _csv_rows(name, text)
    try:
        if ending == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        read = json.loads(text) if ending == ".json" else yaml.safe_load(text)
    except json.JSONDecodeError as error:
        raise CausalMixError(f"{name}, line {error.lineno}: not JSON ({error.msg}).") from error
    except yaml.YAMLError as error:
        raise CausalMixError(f"{name} is not YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise CausalMixError(f"{name} is nested too deeply to be a list of mixtures.") from error
    if isinstance(read, dict) and "mixtures" in read:
        read = read["mixtures"]
    if not isinstance(read, list):
        raise CausalMixError(f"{name} is no list of mixtures. Write a list of {{domain: weight}}.")
    return read


def _csv_rows(name: str, text: str) -> list[Any]:
    try:
        header, *lines = [line for line in csv.reader(io.StringIO(text), strict=True) if any(line)] or [[]]
    except csv.Error as error:
        raise CausalMixError(f"{name} is no readable CSV: {error}.") from error
    header = [column.strip() for column in header]
    for column in header:
        if header.count(column) > 1:
            raise CausalMixError(f"{name}: the column {column!r} is there twice. Keep one.")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(header):
            raise CausalMixError(
                f"{name}, row {number}: {len(line)} fields, but the header has {len(header)} columns."
            )
    return [dict(zip(header, line, strict=True)) for line in lines]


def _weights(name: str, number: int, row: object) -> Mixture:
    """The weights in one row."""
    if not isinstance(row, dict) or not row:
        raise CausalMixError(f"{name}, row {number}: not a mixture. Write {{domain: weight, ...}}.")
    fields = {str(field).strip(): value for field, value in row.items()}
    prefix = next((p for p in PREFIXES if any(field.startswith(p) for field in fields)), "")
    weights: Mixture = {}
    for field, value in fields.items():
        if not field.startswith(prefix) or (not prefix and field.lower() in LABELS):
            continue
        try:
            weight = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            weight = math.nan
        if not math.isfinite(weight) or weight < 0:
            shown = "nothing" if value is None or value == "" else repr(value)
            raise CausalMixError(
                f"{name}, row {number}, field {field}: {shown} is no weight. Give a number from 0 to 1."
            )
        weights[field.removeprefix(prefix)] = weight
    if not weights:
        raise CausalMixError(f"{name}, row {number}: no weight. Give a column per domain.")
    return weights
