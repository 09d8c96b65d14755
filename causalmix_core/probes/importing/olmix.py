"""olmix's swarms: `ratios.csv` with the weights and `metrics.csv` with what was measured, joined on `run`.

Both files name a run in `run` or `run_id`; `name` is a label (github.com/allenai/olmix). Rows are joined by
that name and columns are known by theirs: neither order means anything. Metrics may be losses in bits per
byte or accuracies; a metric whose header tells no direction is refused until somebody says one.
"""

from __future__ import annotations

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.files import FileRole, SourceTable, read_table
from causalmix_core.probes.importing.guessing import (
    domains_in,
    label_targets,
    numeric,
    outcome_targets,
    run_column,
)
from causalmix_core.probes.importing.mapping import ColumnMapping
from causalmix_core.probes.importing.names import LABELS, clean_name
from causalmix_core.probes.importing.protocol import Files, Tables
from causalmix_core.probes.runs import WEIGHT, Assignment


class Olmix:
    """Reads olmix's pairs of CSV files."""

    label = "olmix"
    summary = "ratios.csv (run, one column per domain) and metrics.csv (run, one column per metric)."
    roles: tuple[tuple[FileRole, ...], ...] = (("mixtures", "outcomes"),)
    assignment: Assignment = "randomised"
    has_steps = False

    def read(self, files: Files, step: int | None = None) -> Tables:
        """The two tables."""
        tables: Tables = {role: read_table(file) for role, file in files.items()}
        for table in tables.values():
            if _run(table) is None:
                raise CausalMixError(
                    f"{table.file} has no column `run` or `run_id`, by which the files are joined. Add one."
                )
        return tables

    def guess(self, tables: Tables) -> ColumnMapping:
        """Every column of the ratios is a domain by its own name, every one of the metrics an outcome."""
        ratios, metrics = tables["mixtures"], tables["outcomes"]
        weights = {c: WEIGHT + clean_name(c) for c in ratios.columns if c.lower() not in LABELS}
        headers = [c for c in numeric(metrics, metrics.columns) if c.lower() not in LABELS]
        measured = outcome_targets(headers, domains_in(weights.values()))
        return ColumnMapping(
            columns={
                "mixtures": label_targets(ratios, _run(ratios)) | weights,
                "outcomes": label_targets(metrics, _run(metrics)) | measured,
            },
            assignment=self.assignment,
        )


def _run(table: SourceTable) -> str | None:
    return run_column(table.columns, ("run", "run_id"))
