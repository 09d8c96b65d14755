"""One immutable version of the pool, and what may be asked of it.

A snapshot is a folder that nobody writes after it is published: the texts with their features as one
Parquet file per domain, a DuckDB file with everything but the texts, and a manifest. Statistics are SQL on
the DuckDB file; texts are read only where a caller wants to see or train on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.corpus.features import FEATURES, STATE_FEATURES
from causalmix_core.corpus.readers import Reason
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Name, Workspace

if TYPE_CHECKING:
    # The rooms of mixtures and probes are built on this one, so it may not need them to be imported.
    from causalmix_core.mixture.simplex import Mixture

SNAPSHOT_FORMAT = 1
"""Part of every snapshot's id: a change of what is stored makes a new snapshot of the same texts."""

MANIFEST_NAME = "manifest.json"
DATABASE_NAME = "corpus.duckdb"
DOCUMENTS_FOLDER = "documents"
CURRENT_NAME = "current"
_ID = re.compile(r"[0-9a-f]{12}")

Split = Literal["train", "heldout"]
SampleOrder = Literal["random", "longest", "shortest", "most_redundant"]

_SAMPLE_SQL: dict[SampleOrder, str] = {
    "longest": "bytes DESC, document",
    "shortest": "bytes, document",
    "most_redundant": "compression_ratio, document",
}


class DomainManifest(BaseModel):
    """What a snapshot holds of one domain.

    `read` counts lines, rows and files that should have been documents; `read = documents + skipped`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    read: int = Field(ge=0)
    skipped: dict[Reason, int]
    documents: int = Field(gt=0)
    bytes: int = Field(gt=0)
    tokens: int = Field(gt=0)
    train_tokens: int = Field(gt=0)
    heldout_tokens: int = Field(gt=0)
    content_hash: str
    exact_duplicates: int = Field(ge=0)
    near_duplicates: int = Field(ge=0)


class SnapshotManifest(BaseModel):
    """`manifest.json`: what the snapshot is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    created_at: datetime
    format: Literal[1]
    domains: dict[Name, DomainManifest]


@dataclass(frozen=True)
class Snapshot:
    """A published snapshot.

    Attributes:
        id: 12 hex digits, a hash of the texts.
        root: its folder.
        manifest: what it is made of.
    """

    id: str
    root: Path
    manifest: SnapshotManifest

    @property
    def domains(self) -> list[str]:
        """Domain names, sorted."""
        return sorted(self.manifest.domains)

    def tokens(self) -> dict[str, int]:
        """Tokens of each domain, training and held-out together."""
        return {d: self.manifest.domains[d].tokens for d in self.domains}

    def weights_by_size(self) -> Mixture:
        """The mixture in which every token of the pool is equally likely."""
        tokens = self.tokens()
        total = sum(tokens.values())
        return {d: t / total for d, t in tokens.items()}

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A read-only connection to the tables `documents`, `domains` and `skipped`.

        Raises:
            CausalMixError: the file is gone or damaged.
        """
        try:
            return duckdb.connect(str(self.root / DATABASE_NAME), read_only=True)
        except duckdb.Error as error:
            raise CausalMixError(_damaged(self.root, DATABASE_NAME)) from error

    def domain_table(self) -> pd.DataFrame:
        """One row per domain, sorted by name.

        Columns: domain, documents, bytes, tokens, weight (share of the pool's tokens), exact_duplicates,
        near_duplicates, their fractions of the documents, median_bytes, and median_<feature> for each of
        `STATE_FEATURES`.
        """
        with self.connect() as con:
            table = con.execute("SELECT * FROM domains ORDER BY domain").df()
        weights = self.weights_by_size()
        table.insert(4, "weight", [weights[d] for d in table["domain"]])
        return table

    def skipped(self, limit: int = 100) -> pd.DataFrame:
        """The first lines that could not be used: columns domain, file, line, reason."""
        with self.connect() as con:
            return con.execute(
                "SELECT domain, file, line, reason FROM skipped ORDER BY ALL LIMIT ?", [limit]
            ).df()

    def histogram(self, feature: str, bins: int = 40) -> pd.DataFrame:
        """How a feature is distributed in each domain, over bins that all domains share.

        The bins cover the middle 99 % of the pool; the few documents beyond are counted in the outermost
        bins, so the counts of a domain add up to its documents.

        Args:
            feature: one of `FEATURES`.
            bins: number of bins.

        Returns:
            Columns domain, lower, upper, documents; `bins` rows per domain, empty bins included.

        Raises:
            CausalMixError: no such feature, or no bin.
        """
        _check_feature(feature)
        if bins < 1:
            raise CausalMixError(f"A histogram needs at least one bin, not {bins}.")
        log = FEATURES[feature].scale == "log"
        with self.connect() as con:
            low, high = _one_row(
                con, f"SELECT quantile_cont({feature}, 0.005), quantile_cont({feature}, 0.995) FROM documents"
            )
            # Counts may be zero, where a logarithm has no value.
            shape = (lambda v: np.log(np.maximum(v, 0.5))) if log else (lambda v: np.asarray(v, float))
            start, stop = float(shape(low)), float(shape(high))
            if stop <= start:
                start, stop = start - 0.5, stop + 0.5
            column = f"ln(greatest({feature}, 0.5))" if log else feature
            counts = con.execute(
                f"SELECT domain, least(greatest(floor(({column} - ?) / ?), 0), ?)::INT AS bin, "
                "count(*) AS documents FROM documents GROUP BY ALL",
                [start, (stop - start) / bins, bins - 1],
            ).df()
        edges = np.linspace(start, stop, bins + 1)
        edges = np.exp(edges) if log else edges
        grid = pd.DataFrame(
            {
                "domain": np.repeat(self.domains, bins),
                "bin": np.tile(np.arange(bins), len(self.domains)),
                "lower": np.tile(edges[:-1], len(self.domains)),
                "upper": np.tile(edges[1:], len(self.domains)),
            }
        )
        table = grid.merge(counts, how="left", on=["domain", "bin"])
        table["documents"] = table["documents"].fillna(0).astype("int64")
        return table[["domain", "lower", "upper", "documents"]]

    def sample_documents(
        self, domain: str, n: int, seed: int = 0, order: SampleOrder = "random"
    ) -> pd.DataFrame:
        """At most `n` documents of a domain, to look at.

        Args:
            domain: domain name.
            n: how many; fewer come back when the domain is smaller.
            seed: for `order="random"`: the same seed gives the same documents.
            order: which documents; `most_redundant` are those that compress best.

        Returns:
            Columns document, origin, text, split, cluster, exact_duplicate, near_duplicate and every
            feature, in the order asked for.

        Raises:
            CausalMixError: no such domain, or `n` is negative.
        """
        size = self._manifest_of(domain).documents
        if n < 0:
            raise CausalMixError(f"Cannot show {n} documents.")
        if order == "random":
            chosen = np.random.default_rng(seed).permutation(size)[:n].tolist()
        else:
            with self.connect() as con:
                rows = con.execute(
                    f"SELECT document FROM documents WHERE domain = ? ORDER BY {_SAMPLE_SQL[order]} LIMIT ?",
                    [domain, n],
                ).fetchall()
            chosen = [row[0] for row in rows]
        columns = (
            "document", "origin", "text", "split", "cluster", "exact_duplicate", "near_duplicate", *FEATURES,
        )  # fmt: skip
        table = self._read(domain, columns, np.sort(np.array(chosen, np.int64)))
        sample: pd.DataFrame = table.set_index("document").loc[chosen].reset_index()
        return sample

    def texts(self, domain: str, split: Split) -> pd.DataFrame:
        """The documents of one part of a domain, in order.

        Returns:
            Columns document, text, tokens and `STATE_FEATURES`.

        Raises:
            CausalMixError: no such domain.
        """
        self._manifest_of(domain)
        with self.connect() as con:
            rows = con.execute(
                "SELECT document FROM documents WHERE domain = ? AND split = ? ORDER BY document",
                [domain, split],
            ).fetchnumpy()
        return self._read(
            domain, ("document", "text", "tokens", *STATE_FEATURES), np.asarray(rows["document"])
        )

    def state(self, document_weights: Mapping[str, ArrayLike] | None = None) -> dict[str, float]:
        """The pool state: means of `STATE_FEATURES` over all training documents, weighted by tokens.

        Args:
            document_weights: for the state of a pool that has shifted: for each domain a non-negative
                weight per training document, in the order of `texts(domain, "train")`, by which its
                tokens are multiplied.

        Returns:
            `state/<feature>` -> mean.

        Raises:
            CausalMixError: the weights do not fit the training documents.
        """
        from causalmix_core.probes.runs import STATE

        with self.connect() as con:
            frame = con.execute(
                f"SELECT domain, tokens::DOUBLE AS tokens, {', '.join(STATE_FEATURES)} FROM documents "
                "WHERE split = 'train' ORDER BY domain, document"
            ).df()
        weights = frame["tokens"].to_numpy(float)
        if document_weights is not None:
            weights = weights * self._stack_weights(frame, document_weights)
        values = frame[list(STATE_FEATURES)].to_numpy(float)
        means = weights @ values / weights.sum()
        return {STATE + f: float(m) for f, m in zip(STATE_FEATURES, means, strict=True)}

    def _stack_weights(
        self, frame: pd.DataFrame, document_weights: Mapping[str, ArrayLike]
    ) -> NDArray[np.float64]:
        sizes = frame.groupby("domain", sort=True).size()
        wrong = sorted(set(document_weights) ^ set(sizes.index))
        if wrong:
            raise CausalMixError(
                f"The document weights do not fit the snapshot: {', '.join(wrong)} is missing or unknown."
            )
        parts = []
        for domain, size in sizes.items():
            part = np.asarray(document_weights[str(domain)], float)
            if part.shape != (size,) or not np.isfinite(part).all() or (part < 0).any():
                raise CausalMixError(
                    f"The document weights of {domain} must be {size} finite numbers, none negative."
                )
            parts.append(part)
        stacked = np.concatenate(parts)
        if stacked.sum() <= 0:
            raise CausalMixError("The document weights are all zero; give at least one document some weight.")
        return stacked

    def _manifest_of(self, domain: str) -> DomainManifest:
        if domain not in self.manifest.domains:
            raise CausalMixError(
                f"Snapshot {self.id} has no domain {domain!r}. It has: {', '.join(self.domains)}."
            )
        return self.manifest.domains[domain]

    def _read(self, domain: str, columns: tuple[str, ...], rows: NDArray[np.int64]) -> pd.DataFrame:
        """Rows of a domain's file, ascending; document i is row i. Row groups without one are not read."""
        file = self.root / DOCUMENTS_FOLDER / f"{domain}.parquet"
        tables, start = [], 0
        try:
            with pq.ParquetFile(file) as source:
                tables.append(source.schema_arrow.empty_table().select(columns))
                for group in range(source.num_row_groups):
                    stop = start + source.metadata.row_group(group).num_rows
                    own = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
                    if len(own):
                        tables.append(source.read_row_group(group, columns=columns).select(columns).take(own))
                    start = stop
        except (OSError, pa.ArrowException) as error:
            raise CausalMixError(_damaged(self.root, f"{DOCUMENTS_FOLDER}/{file.name}")) from error
        frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
        return frame


def open_snapshot(workspace: Workspace, snapshot_id: str | None = None) -> Snapshot:
    """Open a published snapshot.

    Args:
        workspace: where it lies.
        snapshot_id: which one; the current one by default.

    Raises:
        CausalMixError: there is none yet, no such one, or it is damaged.
    """
    if snapshot_id is None:
        current = workspace.snapshots / CURRENT_NAME
        if not current.is_file():
            raise CausalMixError(
                "The workspace has no snapshot of its pool yet: ingest first (`causalmix ingest`, or the "
                "corpus page)."
            )
        snapshot_id = current.read_text(encoding="utf-8").strip()
    root = workspace.snapshots / snapshot_id
    if not _ID.fullmatch(snapshot_id) or not root.is_dir():
        raise CausalMixError(f"There is no snapshot {snapshot_id!r} in {workspace.snapshots}. Ingest again.")
    try:
        manifest = SnapshotManifest.model_validate_json((root / MANIFEST_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise CausalMixError(_damaged(root, MANIFEST_NAME)) from error
    return Snapshot(snapshot_id, root, manifest)


def _damaged(root: Path, part: str) -> str:
    return f"The snapshot {root.name} is damaged: {part} cannot be read. Delete {root} and ingest again."


def _check_feature(feature: str) -> None:
    if feature not in FEATURES:
        raise CausalMixError(f"There is no feature {feature!r}. Choose one of: {', '.join(FEATURES)}.")


def _one_row(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = con.execute(sql).fetchone()
    if row is None:
        raise AssertionError("an aggregate without groups gives one row")
    return row
