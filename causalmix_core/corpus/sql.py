"""SQL on a snapshot: how names and values are written into it, and a box for the expert that can only read.

The box runs on a connection of its own that is locked before the query starts: no file but those of the
snapshot can be opened, nothing can be written or loaded, memory and threads are bounded, and a timer ends
what takes too long. So an expert may ask anything of the documents and nothing else of the machine.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pandas as pd

from causalmix_core.errors import CausalMixError

if TYPE_CHECKING:
    from causalmix_core.corpus.snapshot import Snapshot

MEMORY_LIMIT = "2GB"
"""What one query of an expert may hold; beyond it fails with words instead of filling the machine."""
THREADS = 2
MAX_QUERY = 20_000
"""Characters of a query."""
_VECTOR = 2048  # rows that DuckDB hands over at a time
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?(\(\s*(?:ANALYZE|FORMAT)\b[^()]*\)\s*)?", re.IGNORECASE)
_READS_ONLY = (
    "Only questions can be asked here: SELECT, FROM, WITH, DESCRIBE, SUMMARIZE or EXPLAIN of one of them."
)


@dataclass(frozen=True)
class SqlResult:
    """What a query gave.

    Attributes:
        frame: at most `max_rows` rows.
        truncated: there are more rows.
        seconds: how long it took.
    """

    frame: pd.DataFrame
    truncated: bool
    seconds: float


def identifier(name: str) -> str:
    """`name` as SQL writes a column or a table."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as SQL writes a string.

    Raises:
        CausalMixError: it holds a zero character, which SQL text cannot.
    """
    if "\0" in text:
        raise CausalMixError("A text to look for cannot hold the zero character. Remove it.")
    return "'" + text.replace("'", "''") + "'"


def parquet_scan(files: Sequence[Path]) -> str:
    """`read_parquet` of exactly these files: a bracket or star in a path is no pattern."""
    return f"read_parquet([{', '.join(literal(_no_pattern(file)) for file in files)}])"


def _no_pattern(file: Path) -> str:
    return re.sub(r"[*?[]", r"[\g<0>]", str(file))


def add_texts(con: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Add the view `texts` (domain, document, origin, text) to a connection of `Snapshot.connect()`.

    All cursors of the connection see it; adding it twice does nothing. What is read of the files before
    somebody selects from it is their footers.

    Raises:
        CausalMixError: a file is gone or damaged.
    """
    files = [snapshot.documents_file(domain) for domain in snapshot.domains]
    try:
        con.execute(
            "CREATE VIEW IF NOT EXISTS texts AS SELECT domain, document, origin, text "
            f"FROM {parquet_scan(files)}"
        )
    except duckdb.Error as error:
        raise CausalMixError(
            f"The texts of snapshot {snapshot.id} cannot be read: {said(error)} Delete {snapshot.root} and "
            "ingest again."
        ) from error


@contextmanager
def time_limit(con: duckdb.DuckDBPyConnection, seconds: float, what_to_do: str) -> Iterator[None]:
    """Interrupt what runs on `con` after `seconds`.

    DuckDB notices between batches of rows, so one function call on one huge value can run on for longer.

    Args:
        con: the connection or cursor that runs the query.
        seconds: limit.
        what_to_do: end of the message, a sentence.

    Raises:
        CausalMixError: the limit was reached.
    """
    fired = threading.Event()

    def stop() -> None:
        fired.set()
        con.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        if not fired.is_set():
            raise
        raise CausalMixError(
            f"This took longer than {seconds:g} seconds and was stopped. {what_to_do}"
        ) from (error)
    finally:
        timer.cancel()
        timer.join()


def said(error: duckdb.Error) -> str:
    """DuckDB's own words, which name the place in the query, ending with a full stop."""
    words = str(error).strip()
    if "\n\nLINE " in words and "read_parquet([" in words:
        words = words.split("\n\nLINE ")[0]  # the query is ours and says nothing to the user
    return words if words.endswith((".", "!", "?", "^")) else words + "."


def run_sql(snapshot: Snapshot, query: str, max_rows: int = 10_000, timeout_seconds: float = 10) -> SqlResult:
    """Answer an expert's question about a snapshot.

    Tables: `documents`, `domains`, `files`, `skipped` and `ngrams` as `Snapshot.connect()` has them, and
    `texts` (domain, document, origin, text).

    Args:
        snapshot: what is asked.
        query: one SELECT, DESCRIBE, SUMMARIZE or EXPLAIN.
        max_rows: rows that come back at most.
        timeout_seconds: how long it may run.

    Raises:
        CausalMixError: the query is not one question, DuckDB cannot answer it (in DuckDB's words), it took
            too long or needs too much memory.
    """
    if max_rows < 1 or timeout_seconds <= 0:
        raise CausalMixError("A query needs at least one row and some time: raise the limits.")
    check_question(query)
    with snapshot.connect() as con:
        add_texts(con, snapshot)
        _lock(con, snapshot)
        started = time.perf_counter()
        hint = "Ask for less: fewer domains, a LIMIT, or an aggregate."
        try:
            with time_limit(con, timeout_seconds, hint):
                con.execute(query)
                frame = _fetch(con, max_rows + 1)
        except duckdb.OutOfMemoryException as error:
            raise CausalMixError(f"The query needs more than {MEMORY_LIMIT} of memory. {hint}") from error
        except duckdb.Error as error:
            raise CausalMixError(said(error)) from error
        seconds = time.perf_counter() - started
    return SqlResult(frame.iloc[:max_rows], len(frame) > max_rows, seconds)


def check_question(query: str) -> None:
    """Refuse what is not one statement that only reads.

    Raises:
        CausalMixError: says what it is instead.
    """
    if len(query) > MAX_QUERY:
        raise CausalMixError(f"The query has more than {MAX_QUERY:,} characters. Shorten it.")
    statement = _single_statement(query)
    kind = statement.type
    if kind == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains, so that has to be a question too.
        start = _EXPLAIN.match(statement.query)
        if start is None:
            raise CausalMixError("Write a statement with EXPLAIN without a comment before it.")
        kind = _single_statement(statement.query[start.end() :]).type
    if kind == duckdb.StatementType.MULTI:
        raise CausalMixError("PIVOT needs its values here: PIVOT ... ON column IN (value, ...).")
    if kind != duckdb.StatementType.SELECT:
        raise CausalMixError(f"This is a statement of type {kind.name}. {_READS_ONLY}")


def _single_statement(query: str) -> duckdb.Statement:
    try:
        query.encode()
        statements = duckdb.extract_statements(query)
    except UnicodeEncodeError as error:
        raise CausalMixError("The query holds characters that are no Unicode text. Remove them.") from error
    except duckdb.Error as error:
        raise CausalMixError(said(error)) from error
    if len(statements) != 1:
        found = "nothing" if not statements else f"{len(statements)} statements"
        raise CausalMixError(f"Write one statement; there is {found}. {_READS_ONLY}")
    return statements[0]


def _lock(con: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    files = [snapshot.documents_file(domain) for domain in snapshot.domains]
    # DuckDB compares with what the query writes, which is the path with its brackets made harmless.
    allowed = dict.fromkeys(path for file in files for path in (_no_pattern(file), str(file)))
    for setting in (
        f"allowed_paths = [{', '.join(map(literal, allowed))}]",
        f"memory_limit = '{MEMORY_LIMIT}'",
        f"threads = {THREADS}",
        "temp_directory = ''",
        # Else FROM x would read a variable x of the Python code around.
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        con.execute(f"SET {setting}")


def _fetch(con: duckdb.DuckDBPyConnection, rows: int) -> pd.DataFrame:
    """The first `rows` rows; the rest of the result is not computed."""
    chunks, fetched = [], 0
    while True:
        chunk = con.fetch_df_chunk(-(-(rows - fetched) // _VECTOR))
        chunks.append(chunk)
        fetched += len(chunk)
        if chunk.empty or fetched >= rows:
            break
    full = [chunk for chunk in chunks if len(chunk)] or chunks[:1]
    frame: pd.DataFrame = pd.concat(full, ignore_index=True)
    return frame.iloc[:rows]
