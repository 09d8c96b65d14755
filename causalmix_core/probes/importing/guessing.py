"""Guesses of what a column means, shared by the formats; a person sees them before anything is saved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from causalmix_core.probes.importing.files import SourceTable
from causalmix_core.probes.importing.mapping import RUN, STATUS
from causalmix_core.probes.importing.names import (
    LABELS,
    clean_name,
    direction_in,
    outcome_column,
    short_names,
)
from causalmix_core.probes.runs import STATE, WEIGHT

_NEAR_ONE = 0.02
_MOST = 0.8
"""Share of the cells, or rows, by which a column is judged; the rest may be bad."""


def run_column(
    columns: Iterable[str], wanted: Sequence[str] = ("run", "run_id", "index", "name")
) -> str | None:
    """The column that names the runs: the first of the usual headers."""
    by_lower = {c.lower(): c for c in reversed(list(columns))}
    return next((by_lower[w] for w in wanted if w in by_lower), None)


def numeric(table: SourceTable, columns: Iterable[str]) -> list[str]:
    """The columns in which most filled cells are numbers; a few bad rows do not hide what a column is."""
    return [c for c in columns if _mostly([math.isfinite(v) for v in table.numbers(c) if v is not None])]


def find_weights(table: SourceTable, columns: Sequence[str]) -> list[str]:
    """Columns that together look like mixtures: not negative, and summing to about one in most rows.

    Looked for among the columns that share a beginning, the longest such group first, and at last among
    all that hold numbers from 0 to 1.

    Args:
        table: holds the columns.
        columns: candidates, all numeric.
    """
    named = [c for c in columns if c.lower() not in LABELS]
    shares = [c for c in named if _mostly([0 <= v <= 1 for v in table.numbers(c) if v is not None])]
    groups: dict[str, list[str]] = {}
    for column in shares:
        for i, letter in enumerate(column):
            if letter in "/._-: ":
                groups.setdefault(column[: i + 1], []).append(column)
    groups[""] = shares
    for _, group in sorted(groups.items(), key=lambda item: (-len(item[1]), -len(item[0]))):
        if len(group) > 1 and _sum_to_one(table, group):
            return group
    return []


def _sum_to_one(table: SourceTable, group: Sequence[str]) -> bool:
    rows = zip(*(table.numbers(c) for c in group), strict=True)
    near = [abs(math.fsum(v or 0.0 for v in row) - 1) <= _NEAR_ONE for row in rows]
    return _mostly(near)


def _mostly(hits: Sequence[bool]) -> bool:
    """Whether enough of the cells or rows are as they should be, and there is any."""
    return bool(hits) and sum(hits) >= _MOST * len(hits)


def weight_targets(headers: Sequence[str]) -> dict[str, str]:
    """Header -> `weight/<domain>`, the domains named as short as they can be told apart."""
    return {h: WEIGHT + name for h, name in short_names(headers).items()}


def outcome_targets(headers: Sequence[str], domains: Iterable[str]) -> dict[str, str]:
    """Header -> outcome column, in the direction that the header tells, or `outcome/` where it tells none."""
    names = short_names(headers, domains)
    return {h: outcome_column(h, names[h], direction_in(h)) for h in headers}


def state_targets(headers: Sequence[str], prefixes: Sequence[str] = ("",)) -> dict[str, str]:
    """Header -> `state/<feature>`, for headers that begin with `state` and a separator, after a prefix."""
    found = {}
    for header in headers:
        rest = next((header[len(p) :] for p in prefixes if header.startswith(p)), header)
        if rest.lower().startswith(("state/", "state.", "state_")):
            found[header] = STATE + clean_name(rest[len("state/") :])
    return found


def label_targets(table: SourceTable, run: str | None, status: str | None = None) -> dict[str, str]:
    """Targets of the columns that name the runs and say how they ended."""
    found = {run: RUN} if run is not None else {}
    if status is not None and status in table.columns:
        found[status] = STATUS
    return found


def domains_in(targets: Iterable[str]) -> list[str]:
    """The domains that targets name."""
    return [t.removeprefix(WEIGHT) for t in targets if t.startswith(WEIGHT)]
