"""Reads the texts of chosen documents of a snapshot, a few at a time, whatever the size of the pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from causalmix_core.errors import CausalMixError

READ_AT_ONCE = 64
"""Documents that are decoded together: documents may be long, and only a few shall be in memory."""


def document_texts(file: Path, rows: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Yield `(document, text)` for the chosen documents of one domain, in order.

    Row groups without a chosen document are not read.

    Args:
        file: the domain's Parquet file; document i is row i.
        rows: numbers of the documents, ascending, each once.

    Raises:
        CausalMixError: the file is gone or damaged.
    """
    try:
        with pq.ParquetFile(file) as source:
            start = 0
            for group in range(source.num_row_groups):
                stop = start + source.metadata.row_group(group).num_rows
                if np.searchsorted(rows, start) < np.searchsorted(rows, stop):
                    yield from _of_group(source, group, start, rows)
                start = stop
    except (OSError, pa.ArrowException) as error:
        raise CausalMixError(_damaged(file)) from error


def _of_group(
    source: pq.ParquetFile, group: int, start: int, rows: NDArray[np.int64]
) -> Iterator[tuple[int, str]]:
    for batch in source.iter_batches(READ_AT_ONCE, row_groups=[group], columns=["text"]):
        stop = start + batch.num_rows
        own = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
        column = batch.column(0)
        for row in own.tolist():
            yield row, column[row - start].as_py()
        start = stop


def _damaged(file: Path) -> str:
    root = file.parents[1]
    return (
        f"The snapshot {root.name} is damaged: documents/{file.name} cannot be read. "
        f"Delete {root} and ingest again."
    )
