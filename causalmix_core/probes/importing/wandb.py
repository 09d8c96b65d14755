"""Exports of Weights & Biases as CSV: from the table of runs, or from the API by its usual recipe.

The page's export names columns as the table does (`Name`, `State`, the keys of config and summary); exports
by program often keep the prefixes `config.` and `summary.`, or two columns that hold both as dictionaries.
"""

from __future__ import annotations

import ast
import json
from dataclasses import replace

import pandas as pd

from causalmix_core.probes.importing.files import FileRole, SourceTable, read_table
from causalmix_core.probes.importing.mapping import ColumnMapping
from causalmix_core.probes.importing.protocol import Files, Tables
from causalmix_core.probes.importing.tracking import Tracker, guess_tracked
from causalmix_core.probes.runs import Assignment

TRACKER = Tracker(
    settings=("config.", "config/"),
    results=("summary.", "summary/", "summary_metrics."),
    names=("name", "run", "run_id", "id"),
    status="state",
    own=frozenset({
        "name", "state", "notes", "user", "tags", "created", "runtime", "sweep", "id", "group", "job type",
        "hostname", "_step", "_runtime", "_timestamp", "step", "epoch",
    }),
)  # fmt: skip


class WandB:
    """Reads CSV exports of Weights & Biases."""

    label = "Weights & Biases"
    summary = "A CSV export of the runs' table: config holds the weights, summary what was measured."
    roles: tuple[tuple[FileRole, ...], ...] = (("table",),)
    assignment: Assignment = "observational"
    has_steps = False

    def read(self, files: Files, step: int | None = None) -> Tables:
        """The table; a column of dictionaries becomes a column per key."""
        return {"table": _unfolded(read_table(files["table"]))}

    def guess(self, tables: Tables) -> ColumnMapping:
        """Weights among the settings, outcomes among the results whose names tell a direction."""
        return ColumnMapping(columns={"table": guess_tracked(tables["table"], TRACKER)})


def _unfolded(table: SourceTable) -> SourceTable:
    frame = table.frame
    for column in [c for c in ("config", "summary") if c in frame]:
        parsed = [_dictionary(cell) for cell in frame[column]]
        if not any(parsed):
            continue
        keys = dict.fromkeys(key for flat in parsed for key in flat)
        wide = pd.DataFrame(
            {f"{column}.{key}": pd.Series([flat.get(key) for flat in parsed], dtype=object) for key in keys}
        )
        frame = pd.concat([frame.drop(columns=column), wide], axis="columns")
    return replace(table, frame=frame)


def _dictionary(cell: object) -> dict[str, object]:
    """A cell that holds a dictionary, as JSON or as Python writes it; nested keys are joined by dots."""
    if not isinstance(cell, str) or not cell.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(cell)
    except ValueError:
        try:
            found = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return {}
    return _flat(found) if isinstance(found, dict) else {}


def _flat(nested: dict[object, object], before: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat
