"""Exports of MLflow as CSV: `mlflow.search_runs(...).to_csv()`, `mlflow experiments csv`, or its page's.

Settings are `params.<name>`, results `metrics.<name>`, and `status` says how a run ended.
"""

from __future__ import annotations

from causalmix_core.probes.importing.files import FileRole, read_table
from causalmix_core.probes.importing.mapping import ColumnMapping
from causalmix_core.probes.importing.protocol import Files, Tables
from causalmix_core.probes.importing.tracking import Tracker, guess_tracked
from causalmix_core.probes.runs import Assignment

TRACKER = Tracker(
    settings=("params.", "params/"),
    results=("metrics.", "metrics/"),
    names=("run_id", "run id", "name", "tags.mlflow.runname"),
    status="status",
    own=frozenset({
        "run_id", "run id", "experiment_id", "status", "artifact_uri", "start_time", "end_time", "start time",
        "duration", "name", "user", "source name", "source type", "version",
    }),
)  # fmt: skip


class MLflow:
    """Reads CSV exports of MLflow."""

    label = "MLflow"
    summary = "A CSV export of the runs: params hold the weights, metrics what was measured."
    roles: tuple[tuple[FileRole, ...], ...] = (("table",),)
    assignment: Assignment = "observational"
    has_steps = False

    def read(self, files: Files, step: int | None = None) -> Tables:
        """The table."""
        return {"table": read_table(files["table"])}

    def guess(self, tables: Tables) -> ColumnMapping:
        """Weights among the params, outcomes among the metrics whose names tell a direction."""
        return ColumnMapping(columns={"table": guess_tracked(tables["table"], TRACKER)})
