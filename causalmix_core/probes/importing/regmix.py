"""RegMix's published tables: a CSV of mixtures and a CSV of losses, joined on `index`.

The headers are `train_the_pile_<domain>` and `metric/the_pile_<domain>_val_loss` (Liu et al. 2024, arXiv
2407.01492); tables made with its code for other data have other beginnings. Published weights are rounded to
three decimals, so rows sum to 0.996 to 1.003. RegMix draws its mixtures from a Dirichlet distribution.
"""

from __future__ import annotations

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.files import FileRole, SourceTable, read_table
from causalmix_core.probes.importing.guessing import domains_in, label_targets, run_column, weight_targets
from causalmix_core.probes.importing.mapping import ColumnMapping
from causalmix_core.probes.importing.names import LABELS, short_names
from causalmix_core.probes.importing.protocol import Files, Tables
from causalmix_core.probes.outcomes import LOSS
from causalmix_core.probes.runs import WEIGHT, Assignment

PREFIXES = ("train_the_pile_", "train_")


class RegMix:
    """Reads RegMix's pairs of CSV files."""

    label = "RegMix"
    summary = (
        "Two CSV files: the mixtures (index, train_the_pile_<domain>) and the losses (index, metric/...)."
    )
    roles: tuple[tuple[FileRole, ...], ...] = (("mixtures", "outcomes"),)
    assignment: Assignment = "randomised"
    has_steps = False

    def read(self, files: Files, step: int | None = None) -> Tables:
        """The two tables."""
        tables: Tables = {role: read_table(file) for role, file in files.items()}
        for table in tables.values():
            if _index(table) is None:
                raise CausalMixError(
                    f"{table.file} has no column `index`, by which mixtures and losses are joined. Add one."
                )
        return tables

    def guess(self, tables: Tables) -> ColumnMapping:
        """Every column but the index is a weight, and in the other file a loss."""
        columns = {role: self.columns(table, role, tables) for role, table in tables.items()}
        return ColumnMapping(columns=columns, assignment=self.assignment)

    def columns(self, table: SourceTable, role: FileRole, tables: Tables) -> dict[str, str]:
        """Targets of the columns of one file."""
        index = _index(table)
        headers = [c for c in table.columns if c.lower() not in LABELS]
        if role == "mixtures":
            prefix = next((p for p in PREFIXES if all(h.startswith(p) for h in headers)), None)
            named = (
                weight_targets(headers)
                if prefix is None
                else {h: WEIGHT + name for h, name in short_names(headers, _after(headers, prefix)).items()}
            )
            return label_targets(table, index) | named
        domains = domains_in(self.columns(tables["mixtures"], "mixtures", tables).values())
        names = short_names(headers, domains)
        return label_targets(table, index) | {h: LOSS + names[h] for h in headers}


def _index(table: SourceTable) -> str | None:
    return run_column(table.columns, ("index", "run", "run_id", "name"))


def _after(headers: list[str], prefix: str) -> list[str]:
    return [h.removeprefix(prefix) for h in headers]
