"""What the corpus page asks of a snapshot: how many, how distributed, which ones, and what they say.

Every function takes a connection of `Snapshot.connect()` (a page keeps one and passes cursors) and a
`Selection`. Numbers come from the DuckDB file, some ten milliseconds per million documents; texts are read
from the Parquet files for the documents that are shown, and scanned only to search in them.

The statistics leave `Selection.search` out, since it needs every text to be read: `matches` finds those
documents, and `page` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from causalmix_core.corpus.differences import Differences as Differences
from causalmix_core.corpus.differences import diff_spans as diff_spans
from causalmix_core.corpus.features import FEATURES, MODEL_FEATURES
from causalmix_core.corpus.pool_warnings import PoolWarning as PoolWarning
from causalmix_core.corpus.pool_warnings import epochs as epochs
from causalmix_core.corpus.pool_warnings import warnings_of as warnings_of
from causalmix_core.corpus.selection import Columns, Search, Selection, Where, columns_of
from causalmix_core.corpus.sql import identifier, literal, parquet_scan, said, time_limit
from causalmix_core.errors import CausalMixError

if TYPE_CHECKING:
    from causalmix_core.corpus.snapshot import Snapshot

QUANTILES: dict[str, float] = {
    "min": 0, "p01": 0.01, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99,
    "max": 1,
}  # fmt: skip
"""Column of `quantiles` -> which quantile it holds."""
MIDDLE = (0.005, 0.995)
"""Bins span these quantiles of the pool: one document of a gigabyte must not flatten a histogram."""
_EDGES_FROM = 200_000  # documents; of more, every n-th is enough to place the edges
_AT_ONCE = 1_000  # documents up to the end of a page that one query can fetch; more are found first
SHOWN_CHARACTERS = 5_000
"""Of each text of a page: a browser chokes on fifty documents of a megabyte."""
CORRELATED_DOCUMENTS = 10_000
"""The sample that correlations are computed on; their standard error is then at most 0.01."""
_FIRST_STRETCH = 10_000  # documents that a search reads before it sees whether these were enough
SEARCH_SECONDS = 30.0
"""A search that reads every text of the pool may take this long."""


@dataclass(frozen=True)
class Density:
    """How two features are distributed together.

    Attributes:
        cells: columns x_lower, x_upper, y_lower, y_upper, documents; cells without a document are left out.
        sample: some of the documents: columns domain, document, x, y.
    """

    cells: pd.DataFrame
    sample: pd.DataFrame


@dataclass(frozen=True)
class Correlations:
    """Rank correlations between features.

    Attributes:
        table: feature x feature, each -1..1; NaN where a feature does not vary or has no value.
        method: which coefficient, for the label.
        documents: how many documents were used.
        of: how many were selected; more than `documents` when a sample was used.
    """

    table: pd.DataFrame
    method: Literal["Spearman"]
    documents: int
    of: int


@dataclass(frozen=True)
class Matches:
    """Documents in which a search found something.

    Attributes:
        documents: columns domain, document, in that order.
        complete: False when the search stopped at its limit and there may be more.
    """

    documents: pd.DataFrame
    complete: bool

    @property
    def words(self) -> str:
        """How many there are, as a page says it: `12` or `1,000+`."""
        return f"{len(self.documents):,}{'' if self.complete else '+'}"


@dataclass(frozen=True)
class _Bins:
    """Equal bins of a feature on its own scale, the outermost open to the outside."""

    column: str
    start: float
    width: float
    count: int
    log: bool

    @property
    def edges(self) -> NDArray[np.float64]:
        edges: NDArray[np.float64] = self.start + self.width * np.arange(self.count + 1.0)
        if self.log:
            edges = np.exp(edges)
        return edges

    @property
    def sql(self) -> str:
        # Counts may be zero, where a logarithm has no value.
        value = f"ln(greatest({self.column}, 0.5))" if self.log else self.column
        return (
            f"least(greatest(floor(({value} - {self.start!r}) / {self.width!r}), 0), {self.count - 1})::INT"
        )


def count(con: duckdb.DuckDBPyConnection, selection: Selection) -> pd.DataFrame:
    """How much of each domain is selected.

    Returns:
        One row per domain of the snapshot, sorted: domain, kept, total (documents), kept_bytes,
        total_bytes, kept_tokens, total_tokens.

    Raises:
        CausalMixError: the selection does not fit the snapshot.
    """
    where = selection.where(columns_of(con))
    return con.execute(
        f"""
        SELECT
            domain,
            coalesce(k.documents, 0) AS kept, d.documents AS total,
            coalesce(k.bytes, 0) AS kept_bytes, d.bytes AS total_bytes,
            coalesce(k.tokens, 0) AS kept_tokens, d.tokens AS total_tokens
        FROM domains d LEFT JOIN (
            SELECT domain, count(*) AS documents, sum(bytes)::BIGINT AS bytes, sum(tokens)::BIGINT AS tokens
            FROM documents WHERE {where.sql} GROUP BY domain
        ) k USING (domain) ORDER BY domain
        """,
        where.parameters,
    ).df()


def histogram(
    con: duckdb.DuckDBPyConnection,
    feature: str,
    selection: Selection,
    bins: int = 40,
    by_domain: bool = True,
    bins_of: duckdb.DuckDBPyConnection | None = None,
) -> pd.DataFrame:
    """How a feature is distributed, before and after the selection.

    The bins are shared by all domains and do not depend on the selection: they span the middle 99 % of the
    pool, equal in width or, where `FEATURES` says so, in ratio. The few documents beyond are counted in the
    outermost bins; documents without a value are in none.

    Args:
        con: connection of the snapshot.
        feature: a numeric feature.
        selection: what is selected; only its domains are shown.
        bins: number of bins.
        by_domain: one histogram per domain, else one of all shown domains together.
        bins_of: another snapshot whose bins are used, so that the two compare.

    Returns:
        Columns (domain,) lower, upper, documents (all of the shown domains), selected; `bins` rows per
        histogram, empty bins included. No row when no document has a value.

    Raises:
        CausalMixError: no such feature, no bin, or the selection does not fit the snapshot.
    """
    columns = columns_of(con)
    where = selection.where(columns)
    names = ["domain", "lower", "upper", "documents", "selected"]
    shown = sorted(set(selection.domains)) or list(columns.domains)
    groups = shown if by_domain else [""]
    columns.check_feature(feature)
    grid = _bins(con, columns, feature, bins)
    if bins_of is not None:
        grid = _bins(bins_of, columns_of(bins_of), feature, bins)
    if grid is None:
        return pd.DataFrame(columns=names if by_domain else names[1:])
    group, inside = ("domain" if by_domain else "''"), _of_domains(selection)
    counts = con.execute(
        f"SELECT {group} AS domain, {grid.sql} AS bin, count(*) AS documents, "
        f"count(*) FILTER (WHERE {where.sql}) AS selected "
        f"FROM documents WHERE isfinite({grid.column}::DOUBLE) AND {inside.sql} GROUP BY ALL",
        where.parameters | inside.parameters,
    ).df()
    edges = grid.edges
    table = pd.DataFrame(
        {
            "domain": np.repeat(groups, bins),
            "bin": np.tile(np.arange(bins), len(groups)),
            "lower": np.tile(edges[:-1], len(groups)),
            "upper": np.tile(edges[1:], len(groups)),
        }
    ).merge(counts, how="left", on=["domain", "bin"])
    for name in ("documents", "selected"):
        table[name] = table[name].fillna(0).astype("int64")
    return table[names if by_domain else names[1:]]


def quantiles(con: duckdb.DuckDBPyConnection, feature: str, selection: Selection) -> pd.DataFrame:
    """Quantiles of a feature in each domain, interpolated linearly.

    Returns:
        Columns domain, documents (selected, with a value), unknown (selected, without), mean and those of
        `QUANTILES`; one row per domain of which something is selected. NaN where no value is known.

    Raises:
        CausalMixError: no such feature, or the selection does not fit the snapshot.
    """
    columns = columns_of(con)
    column = columns.check_feature(feature)
    where = selection.where(columns)
    known = f"isfinite({column}::DOUBLE)"
    table = con.execute(
        f"SELECT domain, count(*) FILTER (WHERE {known}) AS documents, "
        f"count(*) FILTER (WHERE {known} IS NOT TRUE) AS unknown, "
        f"avg({column}::DOUBLE) FILTER (WHERE {known}) AS mean, "
        f"quantile_cont({column}::DOUBLE, {list(QUANTILES.values())}) FILTER (WHERE {known}) AS q "
        f"FROM documents WHERE {where.sql} GROUP BY domain ORDER BY domain",
        where.parameters,
    ).df()
    unknown = np.full(len(QUANTILES), np.nan)
    rows = [np.asarray(q, float) if np.ndim(q) else unknown for q in table.pop("q")]
    values = np.array(rows, float).reshape(len(table), len(QUANTILES))
    return pd.concat([table, pd.DataFrame(values, columns=list(QUANTILES), index=table.index)], axis=1)


def language_counts(con: duckdb.DuckDBPyConnection, selection: Selection) -> pd.DataFrame:
    """How many documents of each domain are in each language.

    Returns:
        Columns domain, language, documents (all of the shown domains), selected; the most frequent language
        of a domain first.

    Raises:
        CausalMixError: the selection does not fit the snapshot.
    """
    where, inside = selection.where(columns_of(con)), _of_domains(selection)
    return con.execute(
        f"SELECT domain, language, count(*) AS documents, count(*) FILTER (WHERE {where.sql}) AS selected "
        f"FROM documents WHERE {inside.sql} GROUP BY ALL ORDER BY domain, documents DESC, language",
        where.parameters | inside.parameters,
    ).df()


def density(
    con: duckdb.DuckDBPyConnection,
    x: str,
    y: str,
    selection: Selection,
    bins: int = 40,
    sample: int = 2_000,
) -> Density:
    """How two features are distributed together, and some of the documents to draw as points.

    Bins are those of `histogram`. The sample depends on the selection alone and is the same every time.

    Raises:
        CausalMixError: no such feature, no bin, a negative sample, or the selection does not fit.
    """
    columns = columns_of(con)
    where = selection.where(columns)
    if sample < 0:
        raise CausalMixError(f"Cannot draw {sample} documents.")
    across, up = _bins(con, columns, x, bins), _bins(con, columns, y, bins)
    if across is None or up is None:
        return Density(
            pd.DataFrame(columns=["x_lower", "x_upper", "y_lower", "y_upper", "documents"]),
            pd.DataFrame(columns=["domain", "document", "x", "y"]),
        )
    known = f"isfinite({across.column}::DOUBLE) AND isfinite({up.column}::DOUBLE) AND ({where.sql})"
    cells = con.execute(
        f"SELECT {across.sql} AS a, {up.sql} AS b, count(*) AS documents FROM documents WHERE {known} "
        "GROUP BY ALL ORDER BY a, b",
        where.parameters,
    ).df()
    a, b = cells["a"].to_numpy(), cells["b"].to_numpy()
    edges = {"x": across.edges, "y": up.edges}
    table = pd.DataFrame(
        {
            "x_lower": edges["x"][a],
            "x_upper": edges["x"][a + 1],
            "y_lower": edges["y"][b],
            "y_upper": edges["y"][b + 1],
            "documents": cells["documents"],
        }
    )
    points = _sample(
        con,
        f"domain, document, {across.column} AS x, {up.column} AS y",
        known,
        where.parameters,
        int(table["documents"].sum()),
        sample,
    )
    return Density(table, points)


def correlations(
    con: duckdb.DuckDBPyConnection,
    features: Sequence[str],
    selection: Selection,
    sample: int = CORRELATED_DOCUMENTS,
) -> Correlations:
    """Spearman's rank correlation of every pair of features, on a sample of the selected documents.

    Ranks are given within the documents where a feature has a value, ties their mean; a pair is computed
    where both have one. Without missing values that is Spearman's coefficient of the sample exactly.

    Args:
        con: connection of the snapshot.
        features: p numeric features.
        selection: what is selected.
        sample: how many documents at most, at least 2.

    Raises:
        CausalMixError: no such feature, too small a sample, or the selection does not fit the snapshot.
    """
    columns = columns_of(con)
    names = list(dict.fromkeys(features))
    quoted = [columns.check_feature(f) for f in names]
    where = selection.where(columns)
    if sample < 2 or not names:
        raise CausalMixError("Correlations need at least one feature and two documents.")
    total = _one_row(con, f"SELECT count(*) FROM documents WHERE {where.sql}", where.parameters)[0]
    rows = _sample(
        con,
        ", ".join(f"{q}::DOUBLE AS {q}" for q in quoted),
        where.sql,
        where.parameters,
        total,
        sample,
    )
    values = rows[names].to_numpy(float)
    table = pd.DataFrame(_rank_correlations(values), index=names, columns=names)
    return Correlations(table, "Spearman", len(rows), total)


def rule_table(con: duckdb.DuckDBPyConnection, selection: Selection) -> pd.DataFrame:
    """How many of the selected documents break each rule.

    Returns:
        Columns rule, domain, documents (selected), broken, fraction; one row for every rule and domain of
        which something is selected.

    Raises:
        CausalMixError: the selection does not fit the snapshot.
    """
    columns = columns_of(con)
    where = selection.where(columns)
    counts = "".join(f", count_if({identifier(r)}) AS {identifier('r_' + r)}" for r in columns.rules)
    wide = con.execute(
        f"SELECT domain, count(*) AS documents{counts} FROM documents WHERE {where.sql} "
        "GROUP BY domain ORDER BY domain",
        where.parameters,
    ).df()
    parts = [
        pd.DataFrame(
            {
                "rule": rule,
                "domain": wide["domain"],
                "documents": wide["documents"],
                "broken": wide["r_" + rule].astype("int64"),
            }
        )
        for rule in columns.rules
    ]
    if not parts:
        return pd.DataFrame(columns=["rule", "domain", "documents", "broken", "fraction"])
    table = pd.concat(parts, ignore_index=True)
    table["fraction"] = table["broken"] / table["documents"]
    return table


def matches(
    snapshot: Snapshot,
    con: duckdb.DuckDBPyConnection,
    selection: Selection,
    at_most: int | None = 1_000,
    timeout_seconds: float = SEARCH_SECONDS,
) -> Matches:
    """The documents that a selection with a search finds, in the order of the pool.

    Texts are read until there are `at_most`, so a common word answers at once; a rare one reads every text
    of the selected domains (some 2 GB per second and two cores).

    Args:
        snapshot: where the texts lie.
        con: connection of the snapshot.
        selection: has a search; only documents that meet its other conditions are found.
        at_most: where to stop; None reads to the end.
        timeout_seconds: how long it may take.

    Raises:
        CausalMixError: there is no search, the regular expression is wrong (says where), it took too long,
            the selection does not fit the snapshot, or a file is damaged.
    """
    if selection.search is None:
        raise CausalMixError("There is nothing to look for: the selection has no search.")
    columns = columns_of(con)
    where = selection.where(columns)
    found, parameters = text_condition(con, selection.search)
    unconditional = selection.without_search() == Selection(domains=selection.domains)
    sizes = dict(con.execute("SELECT domain, documents FROM domains ORDER BY domain").fetchall())
    shown = sorted(set(selection.domains)) or list(columns.domains)
    parts: list[pd.DataFrame] = []
    left = at_most
    with time_limit(con, timeout_seconds, "Search in fewer domains, or for something more frequent."):
        for domain, start, stop in _stretches(shown, sizes):
            if left is not None and left <= 0:
                return Matches(_stacked(parts), False)
            sql = (
                f"SELECT document FROM {parquet_scan([snapshot.documents_file(domain)])} "
                f"WHERE document >= {start} AND document < {stop} AND {found}"
            )
            values: dict[str, Any] = dict(parameters)
            if not unconditional:
                sql += (
                    " AND document IN (SELECT document FROM documents WHERE domain = $own "
                    f"AND document >= {start} AND document < {stop} AND {where.sql})"
                )
                values |= where.parameters | {"own": domain}
            sql += " ORDER BY document" + ("" if left is None else f" LIMIT {left + 1}")
            try:
                rows = con.execute(sql, values).fetchnumpy()["document"]
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                raise _unreadable(snapshot, error) from error
            parts.append(pd.DataFrame({"domain": domain, "document": np.asarray(rows, np.int64)[:left]}))
            if left is not None:
                if len(rows) > left:
                    return Matches(_stacked(parts), False)
                left -= len(rows)
    return Matches(_stacked(parts), True)


def _stretches(domains: Sequence[str], sizes: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    """Parts of each domain in order, each four times as long as the one before it.

    A LIMIT alone would stop as early, but a join before it does not keep the order of the pool.
    """
    for domain in domains:
        start, length = 0, _FIRST_STRETCH
        while start < sizes[domain]:
            yield domain, start, min(start + length, sizes[domain])
            start, length = start + length, 4 * length


def page(
    snapshot: Snapshot,
    con: duckdb.DuckDBPyConnection,
    selection: Selection,
    order_by: str | None = None,
    descending: bool = False,
    limit: int = 50,
    offset: int = 0,
    seed: int | None = None,
    characters: int = SHOWN_CHARACTERS,
) -> pd.DataFrame:
    """Some of the selected documents, to read.

    The order is total, so pages neither repeat nor skip a document: ties are in the order of the pool
    (domain, document), and documents without a value come last. Without `order_by` and `seed` it is the
    order of the pool, in which a search stops as soon as the page is full; with one of them a search reads
    every text of the selected domains first.

    Args:
        snapshot: where the texts lie.
        con: connection of the snapshot.
        selection: what is selected, its search included.
        order_by: a numeric feature.
        descending: highest value, or end of the pool, first.
        limit: how many documents.
        offset: how many come before the page.
        seed: random order instead; the same seed gives the same order.
        characters: length to which texts are cut; `document_text` has the whole.

    Returns:
        Columns domain, document, origin, every numeric feature, language, every flag, cluster, split, rules
        (names of the broken ones), text and cut (the text is longer than shown).

    Raises:
        CausalMixError: as `matches`; or no such feature, or a negative limit or offset.
    """
    if limit < 0 or offset < 0:
        raise CausalMixError(f"Cannot show {limit} documents after {offset}.")
    columns = columns_of(con)
    where = selection.where(columns)
    way = "DESC" if descending else "ASC"
    order, by = f"domain {way}, document {way}", "NULL"
    parameters = dict(where.parameters)
    if seed is not None:
        by = "hash($seed, domain, document)"
        order = f"{by}, domain, document"
        parameters["seed"] = seed
    elif order_by is not None:
        by = columns.check_feature(order_by)
        order = f"{by} {way} NULLS LAST, domain, document"
    tail = f"ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)}"
    if selection.search is None:
        if offset + limit <= _AT_ONCE:
            # DuckDB looks the other columns up for the few documents that are left.
            chosen = f"SELECT {_shown(columns)} FROM documents WHERE {where.sql} {tail}"
            return _with_texts(snapshot, con, con.execute(chosen, parameters).df(), characters)
        keys = con.execute(
            f"SELECT domain, document, {by} AS place FROM documents WHERE {where.sql} {tail}", parameters
        ).df()
        seeded = {} if seed is None else {"seed": seed}
        rows = _rows(con, columns, keys[["domain", "document"]], _near(by, keys.pop("place"), seeded))
        return _with_texts(snapshot, con, rows, characters)
    in_order = seed is None and order_by is None and not descending
    found = matches(snapshot, con, selection, offset + limit if in_order else None).documents
    if in_order:
        keys = found.iloc[offset : offset + limit].reset_index(drop=True)
    else:
        keys = _ordered(con, found, tail, {} if seed is None else {"seed": seed})
    return document_rows(snapshot, con, keys, characters)


def document_rows(
    snapshot: Snapshot,
    con: duckdb.DuckDBPyConnection,
    keys: pd.DataFrame,
    characters: int = SHOWN_CHARACTERS,
) -> pd.DataFrame:
    """Everything of some documents, as `page` gives it, in the order of `keys`.

    Args:
        snapshot: where the texts lie.
        con: connection of the snapshot.
        keys: columns domain, document.
        characters: length to which texts are cut.

    Raises:
        CausalMixError: a file is damaged.
    """
    return _with_texts(snapshot, con, _rows(con, columns_of(con), keys, Where("TRUE", {})), characters)


def document_text(snapshot: Snapshot, domain: str, document: int) -> str:
    """The whole text of a document.

    Raises:
        CausalMixError: there is none of this number, or the file is damaged.
    """
    found = snapshot.read_documents(domain, ("text",), np.array([document], np.int64))
    if document < 0 or found.empty:
        raise CausalMixError(f"The domain {domain} has no document {document}.")
    return str(found["text"].iloc[0])


def siblings(
    snapshot: Snapshot,
    con: duckdb.DuckDBPyConnection,
    domain: str,
    document: int,
    limit: int = 20,
    characters: int = SHOWN_CHARACTERS,
) -> pd.DataFrame:
    """The other documents of a document's near-duplicate cluster, in any domain.

    Returns:
        As `page`, and a column exact (the text is the same); exact copies first, then in the order of the
        pool, at most `limit`.

    Raises:
        CausalMixError: there is no such document, or a file is damaged.
    """
    columns = columns_of(con)
    own = con.execute(
        "SELECT cluster, text_key FROM documents WHERE domain = ? AND document = ?",
        [columns.check_domain(domain), document],
    ).fetchone()
    if own is None:
        raise CausalMixError(f"The domain {domain} has no document {document}.")
    found = con.execute(
        "SELECT domain, document, text_key = $text_key AS exact FROM documents "
        "WHERE cluster = $cluster AND NOT (domain = $domain AND document = $document) "
        "ORDER BY exact DESC, domain, document LIMIT $limit",
        {"cluster": own[0], "text_key": own[1], "domain": domain, "document": document, "limit": limit},
    ).df()
    rows = document_rows(snapshot, con, found[["domain", "document"]], characters)
    rows["exact"] = found["exact"].astype(bool)
    return rows


def text_condition(con: duckdb.DuckDBPyConnection, search: Search) -> tuple[str, dict[str, Any]]:
    """SQL over a column `text` that is true where a search finds something, and its parameters.

    Raises:
        CausalMixError: the regular expression is wrong.
    """
    if search.kind == "text" and search.case:
        return "contains(text, $sought)", {"sought": search.text}
    option = "" if search.case else ", 'i'"
    if search.kind == "text":
        # Lowering every text first takes three times as long as an automaton that ignores case.
        return f"regexp_matches(text, regexp_escape($sought){option})", {"sought": search.text}
    try:
        # RE2 runs in time linear in the text, so no expression can hang.
        con.execute("SELECT regexp_matches('', ?)", [search.text]).fetchall()
    except duckdb.Error as error:
        words = str(error).removeprefix("Invalid Input Error: ").splitlines()[0]
        raise CausalMixError(f"The regular expression {search.text!r} is wrong: {words}.") from error
    return f"regexp_matches(text, $sought{option})", {"sought": search.text}


def _of_domains(selection: Selection) -> Where:
    names = {f"d{i}": name for i, name in enumerate(selection.domains)}
    return Where(f"domain IN ({', '.join('$' + n for n in names)})" if names else "TRUE", dict(names))


def _bins(con: duckdb.DuckDBPyConnection, columns: Columns, feature: str, count: int) -> _Bins | None:
    """Bins of a feature over the whole pool; None where no document has a value."""
    column = columns.check_feature(feature)
    if not 1 <= count <= 1_000:
        raise CausalMixError(f"A histogram needs 1 to 1,000 bins, not {count}.")
    total = _one_row(con, "SELECT sum(documents) FROM domains")[0]
    part = max(1, int(total) // _EDGES_FROM)
    chosen = f" AND hash(document) % {part} = 0" if part > 1 else ""
    ends = _one_row(
        con,
        f"SELECT quantile_cont({column}::DOUBLE, {list(MIDDLE)}) FROM documents "
        f"WHERE isfinite({column}::DOUBLE){chosen}",
    )[0]
    if ends is None:
        return None
    low, high = ends
    known = FEATURES | MODEL_FEATURES
    log = feature in known and known[feature].scale == "log"
    start, stop = ((math.log(max(v, 0.5)) if log else float(v)) for v in (low, high))
    if stop <= start:
        start, stop = start - 0.5, stop + 0.5
    return _Bins(column, start, (stop - start) / count, count, log)


def _sample(
    con: duckdb.DuckDBPyConnection,
    what: str,
    condition: str,
    parameters: dict[str, Any],
    total: int,
    wanted: int,
) -> pd.DataFrame:
    """About `wanted`, never more, of the documents that meet a condition, by a hash of their number."""
    chosen = condition
    if total > wanted:
        # A few more than wanted, so that chance rarely leaves less; LIMIT cuts what is too much.
        share = (wanted + 4 * math.sqrt(wanted) + 1) / total
        if share < 1:
            chosen = f"({condition}) AND hash(document) < {int(share * 2**64)}::UBIGINT"
    return con.execute(
        f"SELECT {what} FROM documents WHERE {chosen} ORDER BY hash(document), domain LIMIT {int(wanted)}",
        parameters,
    ).df()


def _rank_correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's coefficient of ranks, pairwise where both are finite; (n, p) -> (p, p)."""
    known = np.isfinite(values)
    ranks = np.zeros_like(values)
    for j in range(values.shape[1]):
        own = pd.Series(values[known[:, j], j]).rank().to_numpy()
        ranks[known[:, j], j] = own - own.mean() if len(own) else own
    mask = known.astype(float)

    def sums(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        # Not `a.T @ b`: the threads of BLAS wait for each other a hundred times longer on a busy machine.
        result: NDArray[np.float64] = np.einsum("ni,nj->ij", a, b)
        return result

    n, total, squares = sums(mask, mask), sums(ranks, mask), sums(ranks**2, mask)
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = sums(ranks, ranks) - total * total.T / n
        variance = squares - total**2 / n
        result = covariance / np.sqrt(variance * variance.T)
    result[(variance <= 1e-9) | (variance.T <= 1e-9)] = np.nan
    clipped: NDArray[np.float64] = np.clip(result, -1, 1)
    return clipped


def _ordered(
    con: duckdb.DuckDBPyConnection, found: pd.DataFrame, tail: str, parameters: dict[str, Any]
) -> pd.DataFrame:
    """Put found documents in the order that `tail` asks for."""
    con.register("found_documents", pa.Table.from_pandas(found, preserve_index=False))
    try:
        return con.execute(
            "SELECT domain, document FROM documents SEMI JOIN found_documents USING (domain, document) "
            f"{tail}",
            parameters,
        ).df()
    finally:
        con.unregister("found_documents")


def _shown(columns: Columns) -> str:
    """The columns of a page, less the texts."""
    rules = ", ".join(f"CASE WHEN {identifier(r)} THEN {literal(r)} END" for r in columns.rules)
    names = (
        "domain",
        "document",
        "origin",
        *columns.features,
        "language",
        *columns.flags,
        "cluster",
        "split",
    )
    return (
        f"{', '.join(map(identifier, names))}, "
        f"list_filter([{rules}]::VARCHAR[], lambda r: r IS NOT NULL) AS rules"
    )


def _near(by: str, places: pd.Series, parameters: dict[str, Any]) -> Where:
    """What the documents of a page have in common: they are close in its order, which is fast to compare."""
    if places.empty or places.isna().any():
        return Where("TRUE", {})
    ends = {"low": places.min().item(), "high": places.max().item()}
    return Where(f"{by} BETWEEN $low AND $high", parameters | ends)


def _rows(con: duckdb.DuckDBPyConnection, columns: Columns, keys: pd.DataFrame, near: Where) -> pd.DataFrame:
    """What the database knows of some documents, in the order of their keys."""
    chosen, parameters = _keys_condition(keys)
    rows = con.execute(
        f"SELECT {_shown(columns)} FROM documents WHERE {near.sql} AND {chosen}", near.parameters | parameters
    ).df()
    return keys.merge(rows, how="left", on=["domain", "document"])


def _with_texts(
    snapshot: Snapshot, con: duckdb.DuckDBPyConnection, rows: pd.DataFrame, characters: int
) -> pd.DataFrame:
    rows["rules"] = [[str(r) for r in own] for own in rows["rules"]]
    texts = _texts(snapshot, con, rows[["domain", "document"]])
    rows["text"] = [text[:characters] for text in texts]
    rows["cut"] = [len(text) > characters for text in texts]
    return rows


def _keys_condition(keys: pd.DataFrame) -> tuple[str, dict[str, Any]]:
    terms, parameters = [], {}
    for number, (domain, own) in enumerate(keys.groupby("domain")):
        parameters[f"k{number}"] = domain
        terms.append(f"domain = $k{number} AND document IN ({', '.join(map(str, own['document']))})")
    if not terms:
        return "FALSE", {}
    # The numbers alone sort out most rows before names are compared.
    numbers = ", ".join(map(str, sorted(set(keys["document"]))))
    return f"document IN ({numbers}) AND ({' OR '.join(f'({t})' for t in terms)})", parameters


def _texts(snapshot: Snapshot, con: duckdb.DuckDBPyConnection, keys: pd.DataFrame) -> list[str]:
    """Texts of some documents; DuckDB skips row groups by their numbers and reads the rest in parallel."""
    parts = [
        f"SELECT {number} AS n, document, text FROM {parquet_scan([snapshot.documents_file(str(domain))])} "
        f"WHERE document IN ({', '.join(map(str, own['document']))})"
        for number, (domain, own) in enumerate(keys.groupby("domain"))
    ]
    if not parts:
        return []
    try:
        rows = con.execute(" UNION ALL ".join(parts)).fetchall()
    except duckdb.Error as error:
        raise _unreadable(snapshot, error) from error
    names = [str(domain) for domain, _ in keys.groupby("domain")]
    found = {(names[n], document): text for n, document, text in rows}
    return [found[key] for key in keys[["domain", "document"]].itertuples(index=False, name=None)]


def _unreadable(snapshot: Snapshot, error: duckdb.Error) -> CausalMixError:
    return CausalMixError(
        f"The texts of snapshot {snapshot.id} cannot be read: {said(error)} Delete {snapshot.root} and "
        "ingest again."
    )


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({"domain": pd.Series(dtype=str), "document": pd.Series(dtype="int64")})
    return pd.concat(parts, ignore_index=True)


def _one_row(
    con: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    row = con.execute(sql, parameters or {}).fetchone()
    if row is None:
        raise AssertionError("an aggregate without groups gives one row")
    return row
