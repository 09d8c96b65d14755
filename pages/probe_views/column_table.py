"""The table in which a curator says what each column of an imported file means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from causalmix_core.probes.importing import ColumnMapping, FileRole, SourceTable
from causalmix_core.probes.importing.mapping import RUN, STATUS, checked
from causalmix_core.probes.importing.names import UNKNOWN, clean_name
from causalmix_core.probes.outcomes import BENCHMARK, BENCHMARK_LOSS, LOSS
from causalmix_core.probes.runs import STATE, WEIGHT

MEANINGS: dict[str, str] = {
    WEIGHT: "weight of a domain",
    STATE: "pool state",
    LOSS: "loss, lower is better",
    BENCHMARK: "result, higher is better",
    BENCHMARK_LOSS: "result, lower is better",
    UNKNOWN: "result, direction not known",
    RUN: "name of the run",
    STATUS: "how the run ended",
    "": "not used",
}
"""What a column may be taken for, by the prefix of its target."""
MOST_ROWS, ROW = 12, 35
_EXAMPLE = 12
"""Characters of a first value that are shown."""


def table_of_columns(tables: Mapping[FileRole, SourceTable], guess: ColumnMapping) -> pd.DataFrame:
    """One row per column of the files: role, file, column, example, meaning, name."""
    rows = []
    for role, table in tables.items():
        for column in table.columns:
            prefix, name = split_target(guess.columns.get(role, {}).get(column, ""))
            filled = [v for v in table.frame[column] if v is not None and str(v).strip()]
            example = str(filled[0])[:_EXAMPLE] if filled else ""
            rows.append((role, table.file, column, example, MEANINGS[prefix], name))
    return pd.DataFrame(rows, columns=["role", "file", "column", "example", "meaning", "name"])


def split_target(target: str) -> tuple[str, str]:
    """A target as its prefix in `MEANINGS` and the name after it."""
    if target in (RUN, STATUS, ""):
        return target, ""
    prefix, slash, name = target.partition("/")
    return prefix + slash, name


def mapping_of(columns: pd.DataFrame, **options: object) -> ColumnMapping:
    """The mapping that a table of columns says.

    Args:
        columns: with role, column, meaning and name; an empty name is made from the column's.
        options: other fields of the mapping.

    Raises:
        CausalMixError: two columns of a file are said to be one, or a name is none.
    """
    prefixes = {words: prefix for prefix, words in MEANINGS.items()}
    found: dict[str, dict[str, str]] = {role: {} for role in columns["role"].unique()}
    for row in columns.itertuples():
        prefix = prefixes[str(row.meaning)]
        if prefix:
            name = str(row.name or "").strip() or clean_name(str(row.column))
            found[str(row.role)][str(row.column)] = prefix + name if prefix.endswith("/") else prefix
    return checked({"columns": found, **options}, "What the columns mean")


def with_edits(columns: pd.DataFrame, edits: Mapping[str, Any] | None) -> pd.DataFrame:
    """The table of columns with what a curator has changed in the editor.

    Read from the session and not from the editor, because a callback runs before the editor is drawn.
    """
    changed = columns.copy()
    for row, cells in ((edits or {}).get("edited_rows") or {}).items():
        for column, value in cells.items():
            changed.loc[int(row), column] = "" if value is None else value
    return changed


def edit(columns: pd.DataFrame, key: str) -> None:
    """Draw the table; what is changed in it stands in the session under `key`."""
    st.markdown("**What the columns mean**")
    which = ["file"] if columns["file"].nunique() > 1 else []
    st.data_editor(
        columns,
        key=key,
        hide_index=True,
        num_rows="fixed",
        height="content" if len(columns) <= MOST_ROWS else (1 + MOST_ROWS) * ROW + 3,
        disabled=["file", "column", "example"],
        column_order=[*which, "column", "example", "meaning", "name"],
        column_config={
            "file": "File",
            "column": st.column_config.TextColumn("Column", width="medium"),
            "example": st.column_config.TextColumn("First value", width="small"),
            "meaning": st.column_config.SelectboxColumn(
                "Means", options=list(MEANINGS.values()), required=True, width="medium",
                help="Every run needs the weights of its domains and at least one result.",
            ),
            "name": st.column_config.TextColumn(
                "Name", width="medium", help="Of the domain, the pool state or the result."
            ),
        },
    )  # fmt: skip
