"""The rows of one table, or of two that are joined by the name of the run, never by their order."""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.probes.importing.files import FileRole, RowProblem, SourceTable, as_number
from causalmix_core.probes.importing.mapping import RUN, ColumnMapping
from causalmix_core.probes.importing.protocol import Tables


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        name: what the files call it; its line where they do not.
        cells: its cells, by file and header.
        lines: where it stands in each file.
    """

    name: str
    cells: dict[FileRole, dict[str, object]]
    lines: dict[FileRole, int]

    def number(self, role: FileRole, header: str) -> float | None:
        """A cell as a number; None if it is empty, NaN if it holds no number."""
        return as_number(self.cells[role].get(header))

    def text(self, role: FileRole, header: str) -> str:
        """A cell as it was written."""
        value = self.cells[role].get(header)
        return "" if value is None else str(value).strip()


@dataclass(frozen=True)
class Joined:
    """The runs that can be read, and rows that have no run.

    Attributes:
        rows: in the order of the first file.
        problems: a run that one of two files lacks, or that a file names twice.
    """

    rows: tuple[Row, ...]
    problems: tuple[RowProblem, ...]


def join(tables: Tables, mapping: ColumnMapping) -> Joined:
    """The rows of the tables, by the names of the runs where there are two."""
    problems: list[RowProblem] = []
    if len(tables) == 1:
        ((role, table),) = tables.items()
        return Joined(tuple(_rows(role, table, mapping)), ())
    found = {role: _by_name(role, table, mapping, problems) for role, table in tables.items()}
    (first, left), (second, right) = found.items()
    for role, own, other in ((first, left, second), (second, right, first)):
        others = found[other]
        problems += [
            RowProblem(tables[role].file, row.lines[role], f"run {name} is not in {tables[other].file}.")
            for name, row in own.items()
            if name not in others
        ]
    both = [
        Row(name, row.cells | right[name].cells, row.lines | right[name].lines)
        for name, row in left.items()
        if name in right
    ]
    return Joined(tuple(both), tuple(problems))


def _rows(role: FileRole, table: SourceTable, mapping: ColumnMapping) -> list[Row]:
    """The rows of one file; where no column names the run, its line does."""
    header = mapping.target(RUN, role)
    rows = []
    for line, cells in zip(table.lines, table.frame.to_dict("records"), strict=True):
        value = cells.get(header)
        name = "" if value is None else str(value).strip()
        rows.append(Row(name or f"line {line}", {role: {str(h): v for h, v in cells.items()}}, {role: line}))
    return rows


def _by_name(
    role: FileRole, table: SourceTable, mapping: ColumnMapping, problems: list[RowProblem]
) -> dict[str, Row]:
    """The rows of one of two files by the run's name; of a name that comes twice, the first."""
    found: dict[str, Row] = {}
    for row in _rows(role, table, mapping):
        line = row.lines[role]
        first = found.setdefault(row.name, row)
        if first is not row:
            words = f"run {row.name} is on line {first.lines[role]} already."
            problems.append(RowProblem(table.file, line, words))
    return found
