"""How domains differ from each other, and a snapshot from an older one.

Divergences between domains rest on counts of hashed words and word pairs; drift between snapshots on the
distributions of the features. Both are symmetric or not as their definitions are: Jensen-Shannon and the
unscaled Wasserstein distance do not ask which side is the old one, the population stability index and the
scaled distance do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from causalmix_core.corpus.explore import document_rows, histogram
from causalmix_core.corpus.selection import Selection, columns_of
from causalmix_core.corpus.sql import identifier, literal
from causalmix_core.errors import CausalMixError

if TYPE_CHECKING:
    from causalmix_core.corpus.snapshot import Snapshot

Verdict = Literal["stable", "some drift", "drifted", "too few documents"]
SOME_DRIFT, DRIFTED = 0.1, 0.25
"""The customary limits of the population stability index."""
PSI_BINS = 10
PSI_SMOOTHING = 0.5
"""Documents added to every bin of both sides, so that an empty bin gives a finite index."""
PSI_NOISE = 16.92
"""Times (1/n + 1/m): what 95 % of the indices of two samples of one population stay below (the 95 % point of
chi-squared with 9 degrees of freedom; Yurdakul and Naranjo 2020, Statistical properties of the population
stability index)."""
JS_QUANTILES = 25
"""Of each side: the bins between them are fine wherever either side has documents."""
SAMPLED_DOCUMENTS = 20_000
"""Documents of each domain that drift is computed on, chosen by the hash of their text: texts in both
snapshots are chosen in both or in neither, so that they cancel out. The standard error of a share is then
at most 0.0035 and that of the scaled Wasserstein distance about 0.01."""


@dataclass(frozen=True)
class SnapshotComparison:
    """What changed from an old snapshot to a new one.

    Attributes:
        old: id of the old snapshot.
        new: id of the new one.
        documents: one row per domain of both, sorted: domain, old, new (documents), kept (the same text is
            in both, counted as often as in both), came, went.
        only_old: domains that the new one does not have.
        only_new: domains that the old one does not have.
        drift: one row per shared domain and feature: domain, feature, old_mean, new_mean, psi,
            jensen_shannon, wasserstein (in old standard deviations), verdict; strongest drift first.
        sampled: domains of which drift was computed on a sample of the documents.
        came: examples of documents that came, as `explore.page` has them.
        went: examples of documents that went.
    """

    old: str
    new: str
    documents: pd.DataFrame
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    drift: pd.DataFrame
    sampled: tuple[str, ...]
    came: pd.DataFrame
    went: pd.DataFrame


def similarity(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Jensen-Shannon divergence between the words of every two domains.

    The distributions are the shares of the hash buckets of words and word pairs. Nothing is added to the
    counts: the divergence is finite where a bucket is empty, and 0 for equal shares. It is too high for
    domains of few words (fewer than ten times the buckets), whose shares are mostly chance.

    Returns:
        domain x domain, symmetric, 0 on the diagonal: 0 says the same words equally often, 1 says no
        bucket in common. NaN for a domain without a word.
    """
    names = [r[0] for r in con.execute("SELECT domain FROM domains ORDER BY domain").fetchall()]
    found = con.execute("SELECT domain, bucket, count FROM ngrams").fetchnumpy()
    bucket = np.asarray(found["bucket"], np.int64)
    counts = np.zeros((len(names), int(bucket.max(initial=0)) + 1))
    rows = pd.Categorical(found["domain"], categories=names).codes
    np.add.at(counts, (rows, bucket), found["count"])
    result = np.array([[jensen_shannon(a, b) if a is not b else 0.0 for b in counts] for a in counts])
    result[counts.sum(axis=1) == 0] = result[:, counts.sum(axis=1) == 0] = np.nan
    return pd.DataFrame(result, index=names, columns=names)


def overlay_snapshots(
    old: duckdb.DuckDBPyConnection,
    new: duckdb.DuckDBPyConnection,
    feature: str,
    domain: str,
    bins: int = 40,
) -> pd.DataFrame:
    """How a feature of one domain is distributed in two snapshots, over the bins of the old one.

    Returns:
        Columns side (`old` or `new`), lower, upper, documents; `bins` rows each, empty bins included.

    Raises:
        CausalMixError: a snapshot does not have the feature or the domain, or there is no bin.
    """
    selection = Selection(domains=(domain,))
    sides = {
        "old": histogram(old, feature, selection, bins),
        "new": histogram(new, feature, selection, bins, bins_of=old),
    }
    parts = [table.assign(side=side) for side, table in sides.items()]
    return pd.concat(parts, ignore_index=True)[["side", "lower", "upper", "documents"]]


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Jensen-Shannon divergence of two vectors of counts or shares, base 2: 0 when equal, at most 1.

    Source: Lin (1991), Divergence measures based on the Shannon entropy. It is the divergence, not its
    square root (the distance that scipy computes). NaN when one sums to zero.
    """
    a, b = np.asarray(p, float), np.asarray(q, float)
    if a.sum() <= 0 or b.sum() <= 0:
        return float("nan")
    a, b = a / a.sum(), b / b.sum()
    middle = (a + b) / 2
    total = 0.0
    for side in (a, b):
        some = side > 0
        total += float((side[some] * np.log2(side[some] / middle[some])).sum()) / 2
    return min(max(total, 0.0), 1.0)


def stability_index(old: ArrayLike, new: ArrayLike) -> float:
    """Population stability index of a sample against an older one.

    `sum (q - p) ln(q / p)` over the bins between the old deciles, with 0.5 documents added to every bin of
    both sides. Where many values are equal some deciles are, and there are fewer bins. NaN when one side is
    empty.
    """
    a, b = np.sort(np.asarray(old, float)), np.sort(np.asarray(new, float))
    if not len(a) or not len(b):
        return float("nan")
    edges = np.unique(np.quantile(a, np.arange(1, PSI_BINS) / PSI_BINS))
    if len(edges) == 1:
        # One value fills the old side: below it, at it, above it.
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    p, q = ((counts + PSI_SMOOTHING) for counts in (_binned(a, edges), _binned(b, edges)))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def wasserstein(a: ArrayLike, b: ArrayLike) -> float:
    """First Wasserstein distance of two samples, exactly: the area between their distribution functions.

    The same as `scipy.stats.wasserstein_distance`, without its import. NaN when one side is empty.
    """
    x, y = np.sort(np.asarray(a, float)), np.sort(np.asarray(b, float))
    if not len(x) or not len(y):
        return float("nan")
    if len(x) == len(y):
        return float(np.abs(x - y).mean())
    values = np.sort(np.concatenate([x, y]), kind="stable")
    steps = np.diff(values)
    below_x = np.searchsorted(x, values[:-1], side="right") / len(x)
    below_y = np.searchsorted(y, values[:-1], side="right") / len(y)
    return float((np.abs(below_x - below_y) * steps).sum())


def verdict(psi: float, old: int, new: int) -> Verdict:
    """The customary reading of a population stability index: below 0.1, to 0.25, above.

    Small samples differ by chance: an index of 0.1 or more says nothing where two samples of one population
    reach it more often than once in twenty times, as below some 340 documents.

    Args:
        psi: the index; NaN where a side has no value.
        old: documents with a value on the old side.
        new: the same of the new side.
    """
    if not old or not new:
        return "too few documents"
    if psi < SOME_DRIFT:
        return "stable"
    if psi < PSI_NOISE * (1 / old + 1 / new):
        return "too few documents"
    return "some drift" if psi <= DRIFTED else "drifted"


def compare_snapshots(old: Snapshot, new: Snapshot, examples: int = 10) -> SnapshotComparison:
    """What came and went from an old snapshot to a new one, and how the features of each domain drifted.

    Drift of a domain with more than 20,000 documents is computed on about so many of them.

    Args:
        old: the snapshot that is compared with.
        new: the snapshot that is judged.
        examples: how many documents that came, and that went, are shown.

    Raises:
        CausalMixError: a snapshot is damaged, or `examples` is negative.
    """
    if examples < 0:
        raise CausalMixError(f"Cannot show {examples} documents.")
    with old.connect() as con, new.connect() as other:
        path, other_path = _database(con), _database(other)
        newer = "pool"
        if path != other_path:
            con.execute(f"ATTACH {literal(other_path)} AS newer (READ_ONLY)")
            newer = "newer"
        features = [f for f in columns_of(con).features if f in columns_of(other).features]
        documents = _documents(con, newer)
        both = documents[(documents["old"] > 0) & (documents["new"] > 0)]
        drift, sampled = _drift(con, newer, features, both)
        came = _one_sided(con, f"{newer}.documents", "pool.documents", examples)
        went = _one_sided(con, "pool.documents", f"{newer}.documents", examples)
        return SnapshotComparison(
            old=old.id,
            new=new.id,
            documents=documents,
            only_old=tuple(documents.loc[documents["new"] == 0, "domain"]),
            only_new=tuple(documents.loc[documents["old"] == 0, "domain"]),
            drift=drift,
            sampled=sampled,
            came=document_rows(new, other, came),
            went=document_rows(old, con, went),
        )


def _database(con: duckdb.DuckDBPyConnection) -> str:
    row = con.execute("SELECT path FROM duckdb_databases() WHERE database_name = 'pool'").fetchone()
    if row is None:
        raise AssertionError("a snapshot's connection has its database attached as pool")
    return str(row[0])


def _documents(con: duckdb.DuckDBPyConnection, newer: str) -> pd.DataFrame:
    """Documents kept, come and gone per domain, by text; a text may occur more than once."""
    # Grouped by a hash of the domain, for numbers are twice as fast as names.
    return con.execute(
        f"""
        SELECT
            domain, sum(o)::BIGINT AS old, sum(n)::BIGINT AS new, sum(least(o, n))::BIGINT AS kept,
            sum(greatest(n - o, 0))::BIGINT AS came, sum(greatest(o - n, 0))::BIGINT AS went
        FROM (
            SELECT key, text_key, count_if(NOT side) AS o, count_if(side) AS n FROM (
                SELECT hash(domain) AS key, text_key, FALSE AS side FROM pool.documents
                UNION ALL SELECT hash(domain), text_key, TRUE FROM {newer}.documents
            ) GROUP BY ALL
        ) JOIN (
            SELECT domain, hash(domain) AS key
            FROM (SELECT domain FROM pool.domains UNION SELECT domain FROM {newer}.domains)
        ) USING (key) GROUP BY domain ORDER BY domain
        """
    ).df()


def _one_sided(con: duckdb.DuckDBPyConnection, here: str, there: str, limit: int) -> pd.DataFrame:
    """Some documents whose text the other side's domain does not have."""
    return con.execute(
        f"SELECT domain, document FROM {here} h ANTI JOIN {there} t "
        "ON h.domain = t.domain AND h.text_key = t.text_key "
        f"ORDER BY hash(h.text_key), domain, document LIMIT {int(limit)}"
    ).df()


def _drift(
    con: duckdb.DuckDBPyConnection, newer: str, features: Sequence[str], both: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows, sampled = [], []
    columns = ", ".join(f"{identifier(f)}::DOUBLE AS {identifier(f)}" for f in features)
    for domain, before, after in both[["domain", "old", "new"]].itertuples(index=False):
        # The same part of the range of keys on both sides, so that equal texts are chosen on both.
        part = min(1.0, SAMPLED_DOCUMENTS / max(before, after))
        chosen = "" if part == 1 else f" AND hash(text_key) <= {int(part * (2**64 - 1))}::UBIGINT"
        if chosen:
            sampled.append(domain)
        sides = [
            con.execute(f"SELECT {columns} FROM {table} WHERE domain = ?{chosen}", [domain]).fetchnumpy()
            for table in ("pool.documents", f"{newer}.documents")
        ]
        for feature in features:
            a, b = (_known(side[feature]) for side in sides)
            rows.append((domain, feature, *_measured(a, b)))
    names = ["domain", "feature", "old_mean", "new_mean", "psi", "jensen_shannon", "wasserstein", "verdict"]
    table = pd.DataFrame(rows, columns=names)
    return table.sort_values("psi", ascending=False, kind="stable", ignore_index=True), tuple(sampled)


def _known(values: ArrayLike) -> NDArray[np.float64]:
    """The values that are there, ascending; DuckDB hands over a masked array where some are not."""
    filled: NDArray[np.float64] = np.ma.filled(np.ma.asarray(values, float), np.nan)
    return np.sort(filled[np.isfinite(filled)])


def _measured(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[float, float, float, float, float, Verdict]:
    """Means, stability index, Jensen-Shannon, scaled Wasserstein distance and verdict."""
    if not len(a) or not len(b):
        nan = float("nan")
        old, new = (float(side.mean()) if len(side) else nan for side in (a, b))
        return old, new, nan, nan, nan, verdict(nan, len(a), len(b))
    psi = stability_index(a, b)
    spread = float(a.std())
    distance = wasserstein(a, b)
    # A feature that never varied is measured in its own unit.
    scaled = distance / spread if spread > 0 else distance
    return (
        float(a.mean()),
        float(b.mean()),
        psi,
        binned_divergence(a, b),
        scaled,
        verdict(psi, len(a), len(b)),
    )


def binned_divergence(a: ArrayLike, b: ArrayLike) -> float:
    """Jensen-Shannon divergence of two samples, over bins between the quantiles of both sides.

    The 25 quantiles of each side count alike, whatever its size, so the result does not depend on which is
    the old one. NaN when one side is empty.
    """
    x, y = np.sort(np.asarray(a, float)), np.sort(np.asarray(b, float))
    if not len(x) or not len(y):
        return float("nan")
    levels = np.arange(1, JS_QUANTILES + 1) / (JS_QUANTILES + 1)
    edges = np.unique(np.concatenate([np.quantile(x, levels), np.quantile(y, levels)]))
    return jensen_shannon(_binned(x, edges), _binned(y, edges))


def _binned(ordered: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many of the ascending values are below the first edge, from one to the next, and from the last."""
    below = np.searchsorted(ordered, edges, side="left")
    return np.diff(below, prepend=0, append=len(ordered)).astype(float)
