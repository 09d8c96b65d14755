"""Writes a snapshot: documents come in batch by batch, a finished folder comes out.

Both ways to a snapshot end here: reading sources (ingest.py) and filtering another snapshot (derive.py). All
that grows with the pool is on disk, but for some ninety bytes per document. Nothing is published here: the
folder is built under a hidden name, and `publish` moves it to its place by one rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from causalmix_core.corpus.features import FEATURES, FEATURES_VERSION, NGRAM_BUCKETS
from causalmix_core.corpus.held_out import choose_held_out
from causalmix_core.corpus.near_duplicates import Clusters, SignatureFile, find_clusters, text_numbers
from causalmix_core.corpus.readers import Reason, Skipped
from causalmix_core.corpus.report import EXAMPLES, SourceReport
from causalmix_core.corpus.snapshot import (
    DATABASE_NAME,
    DOCUMENTS_FOLDER,
    MANIFEST_NAME,
    SNAPSHOT_FORMAT,
    Derivation,
    DomainManifest,
    SnapshotManifest,
    SourceManifest,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import scratch_path

MEMORY_LIMIT = "512MB"
"""Of DuckDB while it writes; what does not fit goes to disk."""
_INSERTED_AT_ONCE = 50_000
# A batch is one row group: large enough to compress, small enough to fetch a few documents from.
COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1
_SKIPPED_AT_ONCE = 10_000
_SKIPPED_SCHEMA = pa.schema(
    [("domain", pa.string()), ("file", pa.string()), ("line", pa.int64()), ("reason", pa.string())]
)
_FILES_SCHEMA = pa.schema(
    [
        ("domain", pa.string()), ("file", pa.string()), ("bytes", pa.int64()),
        ("read", pa.int64()), ("kept", pa.int64()), ("skipped", pa.int64()),
    ]
)  # fmt: skip
_IDENTITY = ("domain", "document", "origin", "text", "sha256")


@dataclass
class SourceTally:
    """What became of a source so far."""

    kept: int = 0
    skipped: Counter[Reason] = field(default_factory=Counter)
    examples: list[Skipped] = field(default_factory=list)
    files: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Name, size in bytes, kept and skipped of each file."""

    @property
    def read(self) -> int:
        """Lines, rows and whole files that should have been documents."""
        return self.kept + self.skipped.total()

    def report(self) -> SourceReport:
        """As a report for people."""
        return SourceReport(
            files=len(self.files), read=self.read, kept=self.kept, skipped=dict(self.skipped),
            examples=self.examples,
        )  # fmt: skip

    def manifest(self) -> SourceManifest:
        """As the manifest keeps it."""
        return SourceManifest(
            files=len(self.files), read=self.read, kept=self.kept, skipped=dict(self.skipped)
        )


class _Domain:
    """The growing Parquet file of one domain and what the manifest says of it."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.writer = pq.ParquetWriter(
            path, schema, compression=COMPRESSION, compression_level=COMPRESSION_LEVEL
        )
        self.path = path
        self.documents = 0
        self.bytes = 0
        self.content = hashlib.sha256()
        self.ngrams = np.zeros(NGRAM_BUCKETS, np.int64)


class SnapshotBuilder:
    """Collects documents in the order in which they come and writes a snapshot.

    Args:
        target: where the snapshot's folder will lie, less its name; a hidden folder beside is written.
        tokenizer: what counted tokens, for the manifest.
        tokenizer_key: what identifies it in the snapshot's id.
    """

    def __init__(self, target: Path, tokenizer: str, tokenizer_key: str) -> None:
        self.scratch = scratch_path(target / "snapshot")
        self._stage = self.scratch / "stage"
        (self.scratch / DOCUMENTS_FOLDER).mkdir(parents=True)
        self._stage.mkdir()
        self._tokenizer, self._tokenizer_key = tokenizer, tokenizer_key
        self._domains: dict[str, _Domain] = {}
        # In the order of arrival, which differs from that of the pool where a source feeds several domains.
        self._arrived: list[tuple[str, int]] = []
        self._digests: list[NDArray[np.uint8]] = []
        self._tokens: list[NDArray[np.int64]] = []
        self._signatures = (self._stage / "signatures.bin").open("wb")
        self._skipped_rows: list[tuple[str, Skipped]] = []
        self._skipped_file = pq.ParquetWriter(self._stage / "skipped.parquet", _SKIPPED_SCHEMA)
        self.sources: dict[str, SourceTally] = {}

    @property
    def documents(self) -> dict[str, int]:
        """Documents so far, by domain."""
        return {name: self._domains[name].documents for name in sorted(self._domains)}

    def add(
        self,
        domain: str,
        origins: Sequence[str],
        texts: Sequence[str] | pa.Array,
        features: pa.Table,
        digests: NDArray[np.uint8],
        ngrams: NDArray[np.int64],
        signatures: NDArray[np.uint16] | None = None,
    ) -> None:
        """Append documents to a domain.

        Args:
            domain: its name.
            origins: n places.
            texts: n texts.
            features: n rows, columns `FEATURES`.
            digests: sha256 of the texts, shape (n, 32).
            ngrams: hashed n-grams of all n texts, shape (NGRAM_BUCKETS,).
            signatures: MinHash, shape (n, 128); None where clusters are known otherwise.

        Raises:
            CausalMixError: another domain's name differs only in upper and lower case.
        """
        count = len(digests)
        if domain not in self._domains:
            self._check_spelling(domain)
            self._domains[domain] = _Domain(
                self.scratch / DOCUMENTS_FOLDER / f"{domain}.parquet", _schema(features.schema)
            )
        own = self._domains[domain]
        columns: list[Any] = [
            pa.array([domain] * count, pa.string()),
            pa.array(np.arange(own.documents, own.documents + count)),
            pa.array(origins, pa.string()),
            pa.array(texts, pa.string()) if not isinstance(texts, pa.ChunkedArray) else texts,
            pa.array([d.hex() for d in map(bytes, digests)], pa.string()),
            *(features[name] for name in FEATURES),
        ]
        own.writer.write_table(pa.table(columns, schema=_schema(features.schema)))
        own.documents += count
        own.bytes += int(np.sum(features["bytes"].to_numpy()))
        own.content.update(digests.tobytes())
        own.ngrams += ngrams
        self._arrived.append((domain, count))
        self._digests.append(digests)
        self._tokens.append(features["tokens"].to_numpy().astype(np.int64))
        if signatures is not None:
            signatures.tofile(self._signatures)

    def _check_spelling(self, domain: str) -> None:
        for other in self._domains:
            if other.casefold() == domain.casefold():
                raise CausalMixError(
                    f"The documents name the domains {other} and {domain}, which differ only in upper and "
                    "lower case; some file systems cannot tell them apart. Make the names equal there."
                )

    def skip(self, source: str, skipped: Skipped) -> None:
        """Record what is not a document."""
        tally = self.sources[source]
        tally.skipped[skipped.reason] += 1
        if len(tally.examples) < EXAMPLES:
            tally.examples.append(skipped)
        self._skipped_rows.append((source, skipped))
        if len(self._skipped_rows) >= _SKIPPED_AT_ONCE:
            self._flush_skipped()

    def snapshot_id(self) -> str:
        """The id that the documents so far give: 12 hex digits."""
        hashes = sorted((name, d.content.hexdigest()) for name, d in self._domains.items())
        content = json.dumps([SNAPSHOT_FORMAT, FEATURES_VERSION, self._tokenizer_key, hashes])
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def finish(
        self,
        progress: Callable[[float, str], None] | None = None,
        *,
        clusters: NDArray[np.int64] | None = None,
        derived: Derivation | None = None,
    ) -> SnapshotManifest:
        """Find duplicates, hold documents out, and write the database and the manifest.

        Args:
            progress: called with the part of this step that is done, and what is being done.
            clusters: where near-duplicates are known already: equal numbers for documents of one cluster,
                in the order of (domain, document).
            derived: what a filtered snapshot was made from.

        Raises:
            CausalMixError: a domain cannot be divided into training and held-out text.
        """
        tell = progress or (lambda part, doing: None)
        self._close()
        names = sorted(self._domains)
        digests = np.concatenate(self._digests)
        tokens = np.concatenate(self._tokens)
        order = self._pool_order(names)
        if clusters is None:
            tell(0.0, "looking for duplicates across the pool")
            found = find_clusters(digests, SignatureFile(self._stage / "signatures.bin", len(digests)))
            clusters = found.cluster if order is None else found.cluster[order]
        if order is not None:
            digests, tokens = digests[order], tokens[order]
        marks = Clusters.from_keys(text_numbers(digests), clusters)
        tell(0.4, "choosing held-out documents")
        domain = np.repeat(np.arange(len(names)), [self._domains[n].documents for n in names])
        held_out = choose_held_out(domain, tokens, marks.cluster, digests, names)
        tell(0.5, "writing statistics")
        self._write_database(names, digests, marks, held_out)
        manifest = SnapshotManifest(
            id=self.snapshot_id(),
            created_at=datetime.now(UTC),
            format=SNAPSHOT_FORMAT,
            tokenizer=self._tokenizer,
            domains={
                name: self._manifest_of(name, domain == d, tokens, marks, held_out)
                for d, name in enumerate(names)
            },
            sources={name: tally.manifest() for name, tally in self.sources.items()},
            derived=derived,
        )
        text = manifest.model_dump_json(indent=2) + "\n"
        (self.scratch / MANIFEST_NAME).write_text(text, encoding="utf-8")
        shutil.rmtree(self._stage)
        return manifest

    def publish(self, target: Path) -> bool:
        """Move the finished folder in; False when another process has published the same texts meanwhile."""
        for file in self.scratch.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        try:
            self.scratch.rename(target)
        except OSError:
            if target.is_dir():
                return False
            raise
        return True

    def discard(self) -> None:
        """Remove what was written; harmless after `publish`."""
        self._close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _close(self) -> None:
        if self._signatures.closed:
            return
        self._signatures.close()
        self._flush_skipped()
        self._skipped_file.close()
        for domain in self._domains.values():
            domain.writer.close()

    def _flush_skipped(self) -> None:
        rows, self._skipped_rows = self._skipped_rows, []
        columns: list[list[Any]] = [
            [source for source, _ in rows],
            [skip.file for _, skip in rows],
            [skip.line for _, skip in rows],
            [skip.reason for _, skip in rows],
        ]
        self._skipped_file.write_table(pa.table(columns, schema=_SKIPPED_SCHEMA))

    def _pool_order(self, names: list[str]) -> NDArray[np.intp] | None:
        """Arrival number of each document in the order of (domain, document); None where it is the same."""
        arrived = np.array([names.index(name) for name, _ in self._arrived])
        if (arrived[1:] >= arrived[:-1]).all():
            return None
        domain = np.repeat(arrived, [count for _, count in self._arrived])
        return np.argsort(domain, kind="stable")

    def _manifest_of(
        self,
        name: str,
        own: NDArray[np.bool_],
        tokens: NDArray[np.int64],
        marks: Clusters,
        held_out: NDArray[np.bool_],
    ) -> DomainManifest:
        total = int(tokens[own].sum())
        held = int(tokens[own & held_out].sum())
        return DomainManifest(
            documents=self._domains[name].documents,
            bytes=self._domains[name].bytes,
            tokens=total,
            train_tokens=total - held,
            heldout_tokens=held,
            content_hash=self._domains[name].content.hexdigest(),
            exact_duplicates=int(marks.exact_duplicate[own].sum()),
            near_duplicates=int(marks.near_duplicate[own].sum()),
        )

    def _write_database(
        self,
        names: list[str],
        digests: NDArray[np.uint8],
        marks: Clusters,
        held_out: NDArray[np.bool_],
    ) -> None:
        text_key = np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)
        with duckdb.connect(
            str(self.scratch / DATABASE_NAME),
            config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(self._stage)},
        ) as con:
            start = 0
            for name in names:
                for part in _feature_tables(self._domains[name].path):
                    rows = slice(start, start + part.num_rows)
                    for column, values in (
                        ("text_key", text_key[rows]),
                        ("cluster", marks.cluster[rows]),
                        ("exact_duplicate", marks.exact_duplicate[rows]),
                        ("near_duplicate", marks.near_duplicate[rows]),
                        ("split", np.where(held_out[rows], "heldout", "train")),
                    ):
                        part = part.append_column(column, pa.array(values))
                    con.register("part", part)
                    con.execute(
                        "INSERT INTO documents SELECT * FROM part"
                        if start
                        else "CREATE TABLE documents AS SELECT * FROM part"
                    )
                    start = rows.stop
            _write_summaries(con)
            con.register("unusable", pq.read_table(self._stage / "skipped.parquet"))
            con.execute("CREATE TABLE skipped AS SELECT * FROM unusable")
            con.register("looked_at", _files_table(self.sources))
            con.execute("CREATE TABLE files AS SELECT * FROM looked_at")
            con.register("counted", _ngram_table({name: self._domains[name].ngrams for name in names}))
            con.execute("CREATE TABLE ngrams AS SELECT * FROM counted")


def _schema(features: pa.Schema) -> pa.Schema:
    identity = [pa.field(n, pa.int64() if n == "document" else pa.string()) for n in _IDENTITY]
    return pa.schema([*identity, *(features.field(name) for name in FEATURES)])


def _feature_tables(file: Path) -> Iterator[pa.Table]:
    """A domain's file without its texts, in pieces of some ten thousand documents."""
    with pq.ParquetFile(file) as source:
        columns = [n for n in source.schema_arrow.names if n not in ("text", "sha256")]
        pieces: list[pa.Table] = []
        waiting = 0
        for group in range(source.num_row_groups):
            pieces.append(source.read_row_group(group, columns=columns))
            waiting += pieces[-1].num_rows
            if waiting >= _INSERTED_AT_ONCE or group == source.num_row_groups - 1:
                yield pa.concat_tables(pieces).combine_chunks()
                pieces, waiting = [], 0


def _write_summaries(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        """
        CREATE TABLE domains AS
        WITH spoken AS (
            SELECT domain, language, count(*) AS documents FROM documents GROUP BY domain, language
            QUALIFY row_number() OVER (PARTITION BY domain ORDER BY count(*) DESC, language) = 1
        )
        SELECT
            d.domain,
            count(*)::BIGINT AS documents,
            sum(d.bytes)::BIGINT AS bytes,
            sum(d.tokens)::BIGINT AS tokens,
            count_if(exact_duplicate)::BIGINT AS exact_duplicates,
            count_if(near_duplicate)::BIGINT AS near_duplicates,
            count_if(exact_duplicate) / count(*) AS exact_duplicate_fraction,
            count_if(near_duplicate) / count(*) AS near_duplicate_fraction,
            any_value(s.language) AS language,
            any_value(s.documents) / count(*) AS language_fraction,
            median(d.bytes)::DOUBLE AS median_bytes,
            median(d.tokens)::DOUBLE AS median_tokens,
            median(d.compression_ratio)::DOUBLE AS median_compression_ratio
        FROM documents d JOIN spoken s USING (domain) GROUP BY d.domain ORDER BY d.domain
        """
    )


def _files_table(sources: dict[str, SourceTally]) -> pa.Table:
    rows = [(name, *file) for name, tally in sources.items() for file in tally.files]
    columns: list[list[Any]] = [
        [r[0] for r in rows],
        [r[1] for r in rows],
        [r[2] for r in rows],
        [r[3] + r[4] for r in rows],
        [r[3] for r in rows],
        [r[4] for r in rows],
    ]
    return pa.table(columns, schema=_FILES_SCHEMA)


def _ngram_table(counts: dict[str, NDArray[np.int64]]) -> pa.Table:
    domains, buckets, values = [], [], []
    for name, count in counts.items():
        used = np.flatnonzero(count)
        domains += [name] * len(used)
        buckets.append(used)
        values.append(count[used])
    return pa.table(
        {
            "domain": pa.array(domains, pa.string()),
            "bucket": pa.array(np.concatenate(buckets), pa.int32()),
            "count": pa.array(np.concatenate(values), pa.int64()),
        }
    )
