"""Any table: a CSV or Parquet file, or two joined on the run's name, with a mapping of their columns.

What `causalmix runs export` writes is such a table too, and needs no mapping.
"""

from __future__ import annotations

from causalmix_core.probes.importing.files import FileRole, SourceTable, read_table
from causalmix_core.probes.importing.guessing import (
    domains_in,
    find_weights,
    label_targets,
    numeric,
    outcome_targets,
    run_column,
    state_targets,
    weight_targets,
)
from causalmix_core.probes.importing.mapping import ColumnMapping, kind_of
from causalmix_core.probes.importing.names import LABELS, UNKNOWN
from causalmix_core.probes.importing.protocol import Files, Tables
from causalmix_core.probes.runs import Assignment


class AnyTable:
    """Reads any table whose columns somebody explains."""

    label = "Any table"
    summary = (
        "One CSV or Parquet file with weights and outcomes, or one of each; you say what the columns are."
    )
    roles: tuple[tuple[FileRole, ...], ...] = (("table",), ("mixtures", "outcomes"))
    assignment: Assignment = "observational"
    has_steps = False

    def read(self, files: Files, step: int | None = None) -> Tables:
        """The tables."""
        return {role: read_table(file) for role, file in files.items()}

    def guess(self, tables: Tables) -> ColumnMapping:
        """Columns named as in our run table are taken as they are; else mixtures are known by their sum."""
        columns: dict[FileRole, dict[str, str]] = {}
        domains: list[str] = []
        for role, table in tables.items():
            columns[role] = _targets(table, role, domains)
            domains += domains_in(columns[role].values())
        return ColumnMapping(columns=columns, assignment=self.assignment)


def _targets(table: SourceTable, role: FileRole, domains: list[str]) -> dict[str, str]:
    run = run_column(table.columns)
    targets = label_targets(table, run)
    own = [c for c in numeric(table, table.columns) if kind_of(c) not in (None, "unknown")]
    if any(c.startswith("weight/") for c in own) or (role == "outcomes" and own):
        return targets | {c: c for c in own}
    free = numeric(table, [c for c in table.columns if c.lower() not in LABELS])
    if role != "outcomes":
        targets |= weight_targets(find_weights(table, free))
        targets |= state_targets([c for c in free if c not in targets])
    if role == "mixtures":
        return targets
    rest = [c for c in free if c not in targets]
    found = outcome_targets(rest, [*domains, *domains_in(targets.values())])
    # A single table holds much that is no outcome; a file of outcomes holds nothing else.
    return targets | {h: t for h, t in found.items() if role == "outcomes" or not t.startswith(UNKNOWN)}
