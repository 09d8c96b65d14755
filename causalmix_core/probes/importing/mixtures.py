"""Mixtures that an outcome is to be predicted for, in our names or in those of the imported tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.checking import EXACT, SUM_TOLERANCE
from causalmix_core.probes.importing.files import SourceFile, SourceTable, read_table
from causalmix_core.probes.importing.names import LABELS, clean_name
from causalmix_core.probes.mixture_list import PREFIXES
from causalmix_core.probes.runs import STATE, WEIGHT, RunTable

_MOST_NAMED = 5


@dataclass(frozen=True)
class NewMixtures:
    """Mixtures to predict for.

    Attributes:
        index: what names each row, under the file's own header; `index`, counted from 0, where there is none.
        weights: shape (n, K), columns in the order of the runs' domains, rows sum to one.
        states: columns `state/<feature>` in the order of the runs' states; None where the file has none.
        notices: what was changed or not used, in words.
    """

    index: pd.Series[str]
    weights: np.ndarray
    states: pd.DataFrame | None
    notices: tuple[str, ...]


def read_new_mixtures(
    file: SourceFile, runs: RunTable, headers: Mapping[str, str] | None = None
) -> NewMixtures:
    """Read a CSV or Parquet file with one mixture per row.

    A weight may be headed `weight/<domain>`, `<domain>`, or as in the table that the runs were imported from;
    a pool state likewise.

    Args:
        file: the mixtures.
        runs: whose domains and pool states are meant.
        headers: header -> column, from the provenance of an import.

    Raises:
        CausalMixError: the file cannot be read, a domain or some but not all pool states are missing, a
            cell is no number, or weights miss one by more than 0.005. The message names the line.
    """
    table = read_table(file)
    if table.problems:
        raise CausalMixError(str(table.problems[0]))
    weights = _columns(table, runs.weight_columns, WEIGHT, headers or {})
    if lacking := [c.removeprefix(WEIGHT) for c in runs.weight_columns if c not in weights]:
        raise CausalMixError(
            f"{file.name} has no weight of {', '.join(lacking[:_MOST_NAMED])}. Give a column per domain: "
            f"{', '.join(runs.domains)}."
        )
    states = _columns(table, runs.states, STATE, headers or {})
    if states and (lacking := [c for c in runs.states if c not in states]):
        raise CausalMixError(
            f"{file.name} has some pool states but not {', '.join(lacking)}. Give all of them or none."
        )
    label = next((c for c in table.columns if c.lower() in LABELS or (headers or {}).get(c) == "run"), None)
    mixtures = _numbers(table, [weights[c] for c in runs.weight_columns], least=0.0)
    notices = []
    sums = mixtures.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE + EXACT)
    if len(off):
        lines = ", ".join(str(table.lines[i]) for i in off[:_MOST_NAMED])
        raise CausalMixError(
            f"{file.name}, line {lines}: the weights do not sum to 1 (line {table.lines[off[0]]}: "
            f"{sums[off[0]]:.4f}). Give weights from 0 to 1 over all domains of the runs."
        )
    rounded = int((np.abs(sums - 1) > EXACT).sum())
    if rounded:
        notices.append(
            f"The weights of {rounded} mixtures summed to {sums.min():.4f} to {sums.max():.4f} and were "
            "divided by their sums."
        )
    used = {*weights.values(), *states.values(), label}
    if unused := [c for c in table.columns if c not in used]:
        notices.append(f"Columns that are not used: {', '.join(unused[:_MOST_NAMED])}.")
    index = (
        pd.Series(range(len(mixtures)), name="index").astype("str")
        if label is None
        else table.frame[label].map(lambda v: "" if v is None else str(v).strip()).astype("str")
    )
    values = None
    if runs.states and states:
        found = _numbers(table, [states[c] for c in runs.states])
        values = pd.DataFrame(found, columns=pd.Index(runs.states))
    return NewMixtures(index, mixtures / sums[:, None], values, tuple(notices))


def _columns(
    table: SourceTable, wanted: list[str], prefix: str, headers: Mapping[str, str]
) -> dict[str, str]:
    """Column of the run table -> header in the file."""
    found: dict[str, str] = {}
    for header in table.columns:
        bare = next((header.removeprefix(p) for p in PREFIXES if header.startswith(p)), header)
        names = (header, headers.get(header), prefix + header, prefix + bare, prefix + clean_name(header))
        target = next((n for n in names if n in wanted), None)
        if target is None:
            continue
        if target in found:
            raise CausalMixError(f"{table.file}: {found[target]} and {header} both mean {target}. Keep one.")
        found[target] = header
    return found


def _numbers(table: SourceTable, columns: list[str], least: float = -math.inf) -> np.ndarray:
    values = np.empty((len(table.frame), len(columns)))
    for j, column in enumerate(columns):
        for i, value in enumerate(table.numbers(column)):
            if value is None or not math.isfinite(value) or value < least:
                shown = "empty" if value is None else table.frame[column].iloc[i]
                raise CausalMixError(
                    f"{table.file}, line {table.lines[i]}: {column} is {shown}. Give a finite number"
                    + (" of at least 0." if least == 0 else ".")
                )
            values[i, j] = value
    return values
