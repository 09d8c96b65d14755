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
    found = {role: _by_name(role, table, mapping, problems) for role, table in tables.items()}
    if len(found) == 1:
        return Joined(tuple(next(iter(found.values())).values()), tuple(problems))
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


def _by_name(
    role: FileRole, table: SourceTable, mapping: ColumnMapping, problems: list[RowProblem]
) -> dict[str, Row]:
    """The rows of one file by the run's name; of a name that comes twice, the first."""
    header = mapping.target(RUN, role)
    rows: dict[str, Row] = {}
    cells = table.frame.to_dict("records")
    for line, values in zip(table.lines, cells, strict=True):
        name = str(values.get(header, "")).strip() if header is not None else ""
        if header is not None and not name:
            problems.append(RowProblem(table.file, line, f"{header} is empty: the run has no name."))
            continue
        name = name or f"line {line}"
        if name in rows:
            first = rows[name].lines[role]
            problems.append(RowProblem(table.file, line, f"run {name} is on line {first} already."))
            continue
        rows[name] = Row(name, {role: {str(h): v for h, v in values.items()}}, {role: line})
    return rows
