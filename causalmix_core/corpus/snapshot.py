"""One immutable version of the pool, and what the rest of the library asks of it.

A snapshot is a folder that nobody writes after it is published: the texts with their features as one
Parquet file per domain, a DuckDB file with everything but the texts, and a manifest. Statistics are SQL on
the DuckDB file; texts are read only where a caller wants to see or train on them. What the corpus page asks
is in explore.py and compare.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.corpus.features import FEATURES, MODEL_FEATURES, STATE_FEATURES, Feature
from causalmix_core.corpus.readers import Reason
from causalmix_core.corpus.rules import rule_columns_sql
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Name, Workspace, write_atomic

if TYPE_CHECKING:
    # The rooms of mixtures and probes are built on this one, so it may not need them to be imported.
    from causalmix_core.mixture.simplex import Mixture

SNAPSHOT_FORMAT = 2
"""Part of every snapshot's id: a change of what is stored makes a new snapshot of the same texts."""

MANIFEST_NAME = "manifest.json"
DATABASE_NAME = "corpus.duckdb"
DOCUMENTS_FOLDER = "documents"
CURRENT_NAME = "current"
_ID = re.compile(r"[0-9a-f]{12}")
_FORMAT = re.compile(rb'"format"\s*:\s*(\d+)')

Split = Literal["train", "heldout"]


class DomainManifest(BaseModel):
    """What a snapshot holds of one domain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: int = Field(gt=0)
    bytes: int = Field(gt=0)
    tokens: int = Field(gt=0)
    train_tokens: int = Field(gt=0)
    heldout_tokens: int = Field(gt=0)
    content_hash: str
    exact_duplicates: int = Field(ge=0)
    near_duplicates: int = Field(ge=0)


class SourceManifest(BaseModel):
    """What became of the lines of a source; `read = kept + skipped`.

    `read` counts lines, rows and whole files that should have been documents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: int = Field(ge=0)
    read: int = Field(ge=0)
    kept: int = Field(ge=0)
    skipped: dict[Reason, int]


class Derivation(BaseModel):
    """The snapshot that a filter made this one from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    snapshot: str
    filter: str
    revision: int
    predicate: str
    """SQL that is true for the documents that were kept."""


class SnapshotManifest(BaseModel):
    """`manifest.json`: what the snapshot is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    created_at: AwareDatetime
    format: Literal[2]
    tokenizer: str
    """What counted tokens, as in `workspace.yaml`."""
    domains: dict[Name, DomainManifest]
    sources: dict[str, SourceManifest]
    """By domain, or `*` and the path of a mixed source; empty for a filtered snapshot."""
    derived: Derivation | None = None


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

    @property
    def documents(self) -> int:
        """How many documents there are in all."""
        return sum(d.documents for d in self.manifest.domains.values())

    @property
    def database(self) -> Path:
        """The DuckDB file that knows most: the newest complete measurement's copy, or the snapshot's own."""
        from causalmix_core.corpus.model_features import measurements

        measured = measurements(Workspace(self.root.parent.parent), self.id)
        return measured[0].database if measured else self.root / DATABASE_NAME

    def documents_file(self, domain: str) -> Path:
        """The Parquet file with the texts of a domain: row i is document i.

        Raises:
            CausalMixError: no such domain.
        """
        self._check_domain(domain)
        return self.root / DOCUMENTS_FOLDER / f"{domain}.parquet"

    def tokens(self) -> dict[str, int]:
        """Tokens of each domain, training and held-out together."""
        return {d: self.manifest.domains[d].tokens for d in self.domains}

    def weights_by_size(self) -> Mixture:
        """The mixture in which every token of the pool is equally likely."""
        tokens = self.tokens()
        total = sum(tokens.values())
        return {d: t / total for d, t in tokens.items()}

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A new in-memory connection with the snapshot's tables as read-only views.

        `documents` has every feature, one BOOLEAN column per rule (true: the document breaks it), what is
        known of duplicates and the split; `domains`, `files`, `skipped` and `ngrams` are the tables of
        docs/WORKSPACE.md. Texts are in `documents_file`.

        Raises:
            CausalMixError: the file is gone or damaged.
        """
        con = duckdb.connect()
        try:
            con.execute(f"ATTACH {_quoted(str(self.database))} AS pool (READ_ONLY)")
            con.execute(f"CREATE VIEW documents AS SELECT *, {rule_columns_sql()} FROM pool.documents")
            for table in ("domains", "files", "skipped", "ngrams"):
                con.execute(f"CREATE VIEW {table} AS SELECT * FROM pool.{table}")
        except duckdb.Error as error:
            con.close()
            raise CausalMixError(_damaged(self.root, DATABASE_NAME)) from error
        return con

    def features(self) -> dict[str, Feature]:
        """The features at hand: those of every snapshot, and those that a model has measured on this one."""
        with self.connect() as con:
            columns = {row[0] for row in con.execute("DESCRIBE pool.documents").fetchall()}
        return FEATURES | {n: f for n, f in MODEL_FEATURES.items() if n in columns}

    def domain_table(self) -> pd.DataFrame:
        """One row per domain, sorted by name.

        Columns: domain, documents, bytes, tokens, weight (share of the pool's tokens), exact_duplicates,
        near_duplicates, their fractions of the documents, language and language_fraction (the most
        frequent one), and medians of bytes, tokens and compression_ratio.
        """
        with self.connect() as con:
            table = con.execute("SELECT * FROM domains ORDER BY domain").df()
        weights = self.weights_by_size()
        table.insert(4, "weight", [weights[d] for d in table["domain"]])
        return table

    def texts(self, domain: str, split: Split, features: Sequence[str] = STATE_FEATURES) -> pd.DataFrame:
        """The documents of one part of a domain, in order.

        Returns:
            Columns document, text, bytes and `features`.

        Raises:
            CausalMixError: no such domain, or a feature that was not measured on this snapshot.
        """
        frame = self.rows(domain, split, features)
        texts = self.read_documents(domain, ("text",), frame["document"].to_numpy(np.int64))
        frame.insert(1, "text", texts["text"])
        return frame

    def rows(self, domain: str, split: Split, features: Sequence[str] = STATE_FEATURES) -> pd.DataFrame:
        """As `texts`, without the texts, which are not read."""
        self._check_domain(domain)
        self.check_features(features)
        wanted = dict.fromkeys(["document", "bytes", *features])
        with self.connect() as con:
            return con.execute(
                f"SELECT {', '.join(wanted)} FROM pool.documents WHERE domain = ? AND split = ? "
                "ORDER BY document",
                [domain, split],
            ).df()

    def state(
        self,
        features: Sequence[str] = STATE_FEATURES,
        document_weights: Mapping[str, ArrayLike] | None = None,
    ) -> dict[str, float]:
        """The pool state: means of features over all training documents, weighted by their bytes.

        Args:
            features: which features make up the state.
            document_weights: for the state of a pool that has shifted: for each domain a non-negative
                weight per training document, in the order of `texts(domain, "train")`, by which its
                bytes are multiplied.

        Returns:
            `state/<feature>` -> mean; documents on which a feature has no value do not count for it.

        Raises:
            CausalMixError: the weights do not fit the training documents, or a feature was not measured.
        """
        from causalmix_core.probes.runs import STATE

        self.check_features(features)
        with self.connect() as con:
            frame = con.execute(
                f"SELECT domain, (bytes + 1)::DOUBLE AS size, {', '.join(features)} FROM pool.documents "
                "WHERE split = 'train' ORDER BY domain, document"
            ).df()
        weights = frame["size"].to_numpy(float)
        if document_weights is not None:
            weights = weights * self._stack_weights(frame, document_weights)
        state = {}
        for feature in features:
            values = frame[feature].to_numpy(float)
            known = np.isfinite(values)
            state[STATE + feature] = float(np.average(values[known], weights=weights[known]))
        return state

    def check_features(self, features: Sequence[str]) -> None:
        """Refuse features that are no numbers or were not measured on this snapshot.

        Raises:
            CausalMixError: names the feature and what can be done.
        """
        known = FEATURES if set(features) <= set(FEATURES) else self.features()
        for name in features:
            if name not in known and name in MODEL_FEATURES:
                raise CausalMixError(
                    f"The feature {name} was not measured on snapshot {self.id}. Measure it on the corpus "
                    "page or with `causalmix measure`."
                )
            if name not in known or known[name].kind != "number":
                numbers = ", ".join(n for n, f in known.items() if f.kind == "number")
                raise CausalMixError(f"There is no numeric feature {name!r}. Choose from: {numbers}.")

    def read_documents(self, domain: str, columns: Sequence[str], rows: NDArray[np.int64]) -> pd.DataFrame:
        """Some documents of a domain, from its Parquet file.

        Args:
            domain: domain name.
            columns: columns of the file, such as text, origin, sha256 or a feature.
            rows: numbers of the documents, ascending.

        Raises:
            CausalMixError: no such domain, or the file is damaged.
        """
        frame: pd.DataFrame = pa.concat_tables(self.document_groups(domain, columns, rows)).to_pandas()
        return frame

    def document_groups(
        self, domain: str, columns: Sequence[str], rows: NDArray[np.int64]
    ) -> Iterator[pa.Table]:
        """As `read_documents`, a row group at a time after an empty table; the others are not read."""
        file = self.documents_file(domain)
        start = 0
        try:
            with pq.ParquetFile(file) as source:
                yield source.schema_arrow.empty_table().select(columns)
                for group in range(source.num_row_groups):
                    stop = start + source.metadata.row_group(group).num_rows
                    own = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
                    if len(own):
                        yield source.read_row_group(group, columns=list(columns)).select(columns).take(own)
                    start = stop
        except (OSError, pa.ArrowException) as error:
            raise CausalMixError(_damaged(self.root, f"{DOCUMENTS_FOLDER}/{file.name}")) from error

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

    def _check_domain(self, domain: str) -> None:
        if domain not in self.manifest.domains:
            raise CausalMixError(
                f"Snapshot {self.id} has no domain {domain!r}. It has: {', '.join(self.domains)}."
            )


def open_snapshot(workspace: Workspace, snapshot_id: str | None = None) -> Snapshot:
    """Open a published snapshot.

    Args:
        workspace: where it lies.
        snapshot_id: which one; the current one by default.

    Raises:
        CausalMixError: there is none yet, no such one, it is damaged, or an earlier version made it.
    """
    snapshot_id = snapshot_id or current_id(workspace)
    if snapshot_id is None:
        raise CausalMixError(
            "The workspace has no snapshot of its pool yet: ingest first (`causalmix ingest`, or the "
            "corpus page)."
        )
    root = workspace.snapshots / snapshot_id
    if not _ID.fullmatch(snapshot_id) or not root.is_dir():
        raise CausalMixError(f"There is no snapshot {snapshot_id!r} in {workspace.snapshots}. Ingest again.")
    try:
        raw = (root / MANIFEST_NAME).read_bytes()
        written = _FORMAT.search(raw)
        if written and int(written.group(1)) != SNAPSHOT_FORMAT:
            raise CausalMixError(
                f"The snapshot {snapshot_id} was made by another version of CausalMix. Ingest again."
            )
        manifest = SnapshotManifest.model_validate_json(raw)
    except (OSError, ValidationError) as error:
        raise CausalMixError(_damaged(root, MANIFEST_NAME)) from error
    return Snapshot(snapshot_id, root, manifest)


def current_id(workspace: Workspace) -> str | None:
    """Id of the snapshot in use; None before the first ingest."""
    current = workspace.snapshots / CURRENT_NAME
    return current.read_text(encoding="utf-8").strip() if current.is_file() else None


def list_snapshots(workspace: Workspace) -> list[Snapshot]:
    """All snapshots that can be opened, newest first."""
    found = []
    for folder in workspace.snapshots.iterdir():
        if _ID.fullmatch(folder.name):
            try:
                found.append(open_snapshot(workspace, folder.name))
            except CausalMixError:
                continue  # named when somebody opens it
    return sorted(found, key=lambda s: s.manifest.created_at, reverse=True)


def use_snapshot(workspace: Workspace, snapshot_id: str) -> Snapshot:
    """Make a snapshot the current one: that which probes train on and pages show.

    Raises:
        CausalMixError: no such snapshot, or it is damaged.
    """
    snapshot = open_snapshot(workspace, snapshot_id)
    write_atomic(workspace.snapshots / CURRENT_NAME, snapshot_id + "\n")
    return snapshot


def _damaged(root: Path, part: str) -> str:
    return f"The snapshot {root.name} is damaged: {part} cannot be read. Delete {root} and ingest again."


def _quoted(value: str) -> str:
    """A string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
