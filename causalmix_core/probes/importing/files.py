"""Files of somebody else's runs, read as tables of cells that still know the line they stood on.

Cells are kept as they were written: what is a number is decided where a column is given a meaning, so that
every complaint can name file, line and column.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from causalmix_core.errors import CausalMixError

FileRole = Literal["mixtures", "outcomes", "table"]
"""What a file holds: the weights of each run, what was measured on it, or both."""
MOST_BYTES = 256 << 20
"""A run table of this size has millions of rows; something else was meant."""


@dataclass(frozen=True)
class SourceFile:
    """A file as it was given.

    Attributes:
        name: its name, without folders.
        data: its bytes.
    """

    name: str
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Of the bytes, as hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return Path(self.name).stem

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Read a file from disk.

        Raises:
            CausalMixError: it cannot be read, or it is far larger than a run table.
        """
        try:
            size = path.stat().st_size
            if size > MOST_BYTES:
                raise CausalMixError(
                    f"{path} has {size / 2**20:,.0f} MiB; a run table has at most {MOST_BYTES >> 20} MiB."
                )
            return cls(path.name, path.read_bytes())
        except OSError as error:
            raise CausalMixError(f"{path} cannot be read: {error.strerror}. Check the path.") from error

    def text(self) -> str:
        """The bytes as text.

        Raises:
            CausalMixError: they are no UTF-8.
        """
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CausalMixError(
                f"{self.name} is no UTF-8 text (byte {error.start}). Save it as UTF-8."
            ) from error


@dataclass(frozen=True)
class RowProblem:
    """What is wrong with one row.

    Attributes:
        file: where the row is from.
        line: of a text file, counted from 1 with the header; of a Parquet file the row, counted from 1.
        words: what is wrong and what would mend it, beginning with the column where one is to blame.
    """

    file: str
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.words}"


@dataclass(frozen=True)
class SourceTable:
    """A file read as a table.

    Attributes:
        file: its name.
        frame: cells as they were written: text, or for a Parquet file its own values; one column per name.
        lines: the line of each row in the file.
        problems: lines that are no rows of the table.
        notices: what was changed while reading, in words.
    """

    file: str
    frame: pd.DataFrame
    lines: tuple[int, ...]
    problems: tuple[RowProblem, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the order of the file."""
        return [str(c) for c in self.frame.columns]

    def numbers(self, column: str) -> list[float | None]:
        """A column as numbers; None where a cell is empty, NaN where it holds no number."""
        return [as_number(value) for value in self.frame[column]]


def as_number(value: object) -> float | None:
    """A cell as a number; None if it is empty, NaN if it holds no number."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def read_table(file: SourceFile) -> SourceTable:
    """Read a CSV or Parquet file.

    Raises:
        CausalMixError: it is neither, it is damaged, it has no rows, or two columns have one name.
    """
    ending = Path(file.name).suffix.lower()
    if ending == ".parquet":
        table = _parquet(file)
    elif ending in (".csv", ".tsv"):
        table = _csv(file, "\t" if ending == ".tsv" else ",")
    else:
        raise CausalMixError(f"{file.name}: tables are read from .csv, .tsv and .parquet files.")
    if table.frame.empty and not table.problems:
        raise CausalMixError(f"{file.name} holds no row. Give a header and one row per run.")
    return table


def _parquet(file: SourceFile) -> SourceTable:
    try:
        frame = pd.read_parquet(io.BytesIO(file.data))
    except Exception as error:  # pyarrow raises many kinds
        raise CausalMixError(f"{file.name} is no readable Parquet file: {error}.") from error
    frame = frame.reset_index(drop=True)
    frame.columns = pd.Index([str(c) for c in frame.columns])
    _refuse_twice(file.name, list(frame.columns))
    # A null of Parquet is an empty cell; a NaN that was written as such is not, but pandas reads both alike.
    cells = frame.astype(object).where(frame.notna(), None)
    return SourceTable(file.name, cells, tuple(range(1, len(cells) + 1)))


def _csv(file: SourceFile, delimiter: str) -> SourceTable:
    reader = csv.reader(io.StringIO(file.text(), newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    problems: list[RowProblem] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                _refuse_twice(file.name, header)
            elif len(cells) != len(header):
                words = f"{len(cells)} fields, but the header has {len(header)} columns."
                problems.append(RowProblem(file.name, reader.line_num, words))
            else:
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise CausalMixError(f"{file.name}, line {reader.line_num}: no readable CSV ({error}).") from error
    if header and header[0] == "":
        header[0] = "index"  # what pandas writes when it writes its index
    frame = pd.DataFrame(rows, columns=pd.Index(header), dtype=object)
    return SourceTable(file.name, frame, tuple(lines), tuple(problems))


def _refuse_twice(name: str, header: Sequence[str]) -> None:
    for column in header:
        if header.count(column) > 1:
            raise CausalMixError(f"{name}: the column {column!r} is there twice. Keep one.")
