"""Reads every domain of a workspace and publishes the pool as a snapshot.

A first pass only hashes the texts. They decide the snapshot's id, so a pool that has not changed is
recognised before anything is built. A second pass measures the documents, finds duplicates across the
whole pool and writes a hidden folder, which one rename publishes; a crash at any moment leaves the
snapshots as they were. Texts are held a batch at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from numpy.typing import NDArray

from causalmix_core.corpus.features import FEATURES, STATE_FEATURES, document_features
from causalmix_core.corpus.held_out import choose_held_out
from causalmix_core.corpus.near_duplicates import PERMUTATIONS, Clusters, find_clusters, minhash
from causalmix_core.corpus.readers import (
    Document,
    Reason,
    Skipped,
    iter_documents,
    source_files,
)
from causalmix_core.corpus.report import EXAMPLES, DomainReport, IngestReport
from causalmix_core.corpus.snapshot import (
    CURRENT_NAME,
    DATABASE_NAME,
    DOCUMENTS_FOLDER,
    MANIFEST_NAME,
    SNAPSHOT_FORMAT,
    DomainManifest,
    SnapshotManifest,
    open_snapshot,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, Workspace, scratch_path, write_atomic

Progress = Callable[[float, str], None]

_BATCH_DOCUMENTS = 1000
_BATCH_BYTES = 4 << 20
_TELL_EVERY = 2000
_HASHING = 0.2  # share of the work, for the progress bar
_MEASURING = 0.6
# No domain can have a name that starts with a dot.
_SKIPPED_FILE = ".skipped.parquet"
_SKIPPED_SCHEMA = pa.schema(
    [("domain", pa.string()), ("file", pa.string()), ("line", pa.int64()), ("reason", pa.string())]
)


class _ContentHash:
    """sha256 over texts in order; lengths frame them, so that moving a border changes the hash."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self._hash.update(len(data).to_bytes(8, "big"))
        self._hash.update(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


@dataclass
class _Tally:
    """What the first pass learns about a domain."""

    content_hash: str = ""
    kept: int = 0
    bytes: int = 0
    skipped: Counter[Reason] = field(default_factory=Counter)
    examples: list[Skipped] = field(default_factory=list)

    @property
    def read(self) -> int:
        return self.kept + self.skipped.total()

    def report(self) -> DomainReport:
        return DomainReport(
            read=self.read, kept=self.kept, skipped=dict(self.skipped), examples=self.examples
        )


@dataclass(frozen=True)
class _Measured:
    """Per-document arrays of the whole pool, in the order of (domain, document)."""

    domain: NDArray[np.int64]
    tokens: NDArray[np.int64]
    digests: NDArray[np.uint8]
    signatures: NDArray[np.uint32]


def ingest(workspace: Workspace, progress: Progress | None = None) -> IngestReport:
    """Publish the pool that `workspace.yaml` describes as the current snapshot.

    Args:
        workspace: the workspace whose domains are read.
        progress: called with the fraction done and what is being done; what it raises cancels.

    Returns:
        What was read, kept and skipped; `created` is False when such a snapshot exists already.

    Raises:
        CausalMixError: there are no domains, a source is missing, empty or of unknown type, a domain
            cannot be divided into training and held-out text, a source changed while it was read, or
            the disk refuses. The snapshots are then as they were.
    """
    tell = progress or _silent
    sources = _sources(workspace)
    tallies = {name: _Tally() for name in sources}
    _count(workspace, sources, tallies, tell)
    snapshot_id = _snapshot_id({name: tally.content_hash for name, tally in tallies.items()})
    reports = {name: tally.report() for name, tally in tallies.items()}

    target = workspace.snapshots / snapshot_id
    created = False
    if target.exists():
        open_snapshot(workspace, snapshot_id)
    else:
        scratch = scratch_path(target)
        try:
            _build(workspace, scratch, snapshot_id, sources, tallies, tell)
            created = _publish(scratch, target)
        except (OSError, duckdb.IOException, pa.ArrowException) as error:
            raise CausalMixError(
                f"Cannot write the snapshot below {workspace.snapshots}: {error}. Make room or change the "
                "permissions, then ingest again; nothing was changed."
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    write_atomic(workspace.snapshots / CURRENT_NAME, snapshot_id + "\n")
    tell(1.0, f"snapshot {snapshot_id} is ready")
    return IngestReport(snapshot=snapshot_id, created=created, domains=reports)


def _silent(fraction: float, message: str) -> None:
    """Progress that nobody watches."""


def _sources(workspace: Workspace) -> dict[str, DomainSource]:
    domains = workspace.config().domains
    if not domains:
        raise CausalMixError(
            f"The workspace has no domains. Add them under 'domains' in {workspace.config_path}, each with "
            "the path of its texts."
        )
    seen: dict[str, str] = {}
    for name in domains:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise CausalMixError(
                f"The domains {other} and {name} differ only in upper and lower case, and some file systems "
                "cannot tell them apart. Rename one of them."
            )
    return {name: domains[name] for name in sorted(domains)}


def _documents(workspace: Workspace, name: str, source: DomainSource) -> Iterator[Document | Skipped]:
    try:
        yield from iter_documents(workspace.resolve(source.path), source.text_field)
    except CausalMixError as error:
        raise CausalMixError(f"Domain {name}: {error}") from error


def _count(
    workspace: Workspace, sources: dict[str, DomainSource], tallies: dict[str, _Tally], tell: Progress
) -> None:
    """First pass: hash every text, count and remember what was skipped."""
    sizes = {}
    for name, source in sources.items():
        try:
            files = source_files(workspace.resolve(source.path))
            sizes[name] = sum(file.stat().st_size for file in files)
        except CausalMixError as error:
            raise CausalMixError(f"Domain {name}: {error}") from error
        except OSError as error:
            raise CausalMixError(f"Domain {name}: cannot read {error.filename}: {error.strerror}.") from error
    done, total = 0, max(sum(sizes.values()), 1)
    for name, source in sources.items():
        tally, content = tallies[name], _ContentHash()
        tell(_HASHING * done / total, f"reading {name}")
        for item in _documents(workspace, name, source):
            if isinstance(item, Skipped):
                tally.skipped[item.reason] += 1
                if len(tally.examples) < EXAMPLES:
                    tally.examples.append(item)
            else:
                data = item.text.encode("utf-8")
                content.add(data)
                tally.kept += 1
                tally.bytes += len(data)
            if tally.read % _TELL_EVERY == 0:
                tell(_HASHING * done / total, f"reading {name}: {tally.kept:,} documents")
        tally.content_hash = content.hexdigest()
        done += sizes[name]


def _snapshot_id(hashes: dict[str, str]) -> str:
    content = json.dumps([SNAPSHOT_FORMAT, sorted(hashes.items())])
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _build(
    workspace: Workspace,
    scratch: Path,
    snapshot_id: str,
    sources: dict[str, DomainSource],
    tallies: dict[str, _Tally],
    tell: Progress,
) -> None:
    """Second pass: write the whole snapshot into `scratch`."""
    stage = scratch / "stage"
    (scratch / DOCUMENTS_FOLDER).mkdir(parents=True)
    stage.mkdir()
    measured = _measure(workspace, stage, sources, tallies, tell)
    names = list(sources)
    tell(_HASHING + _MEASURING, "looking for duplicates across the pool")
    clusters = find_clusters(measured.digests, measured.signatures)
    held_out = choose_held_out(measured.domain, measured.tokens, clusters.cluster, measured.digests, names)
    start = 0
    for d, name in enumerate(names):
        stop = start + tallies[name].kept
        tell(_HASHING + _MEASURING + 0.1 + 0.05 * d / len(names), f"writing {name}")
        _write_domain(
            stage / f"{name}.parquet",
            scratch / DOCUMENTS_FOLDER / f"{name}.parquet",
            Clusters(
                clusters.cluster[start:stop],
                clusters.exact_duplicate[start:stop],
                clusters.near_duplicate[start:stop],
            ),
            held_out[start:stop],
        )
        start = stop
    tell(0.95, "computing statistics")
    _write_database(scratch, stage)
    manifest = _manifest(snapshot_id, tallies, measured, clusters, held_out)
    (scratch / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    del measured  # its memory map holds a file in the folder that goes now
    shutil.rmtree(stage)


def _measure(
    workspace: Workspace,
    stage: Path,
    sources: dict[str, DomainSource],
    tallies: dict[str, _Tally],
    tell: Progress,
) -> _Measured:
    """Write texts and features to `stage`, a batch at a time, and return what clustering needs."""
    total = sum(tally.kept for tally in tallies.values())
    domain_of = np.repeat(np.arange(len(sources)), [tallies[name].kept for name in sources])
    tokens = np.empty(total, np.int64)
    digests = np.empty((total, 32), np.uint8)
    # 512 bytes per document: on disk, so that a large pool does not need as much memory.
    signatures = np.lib.format.open_memmap(
        stage / "signatures.npy", mode="w+", dtype=np.uint32, shape=(total, PERMUTATIONS)
    )
    done = 0
    with pq.ParquetWriter(stage / _SKIPPED_FILE, _SKIPPED_SCHEMA) as skipped:
        for name, source in sources.items():
            content, first = _ContentHash(), done
            with pq.ParquetWriter(stage / f"{name}.parquet", _staged_schema(), compression="lz4") as writer:
                for documents, skips in _batches(_documents(workspace, name, source)):
                    if skips:
                        skipped.write_batch(_skipped_batch(name, skips))
                    if not documents:
                        continue
                    stop = done + len(documents)
                    if stop - first > tallies[name].kept:
                        raise CausalMixError(_changed(name))
                    texts = [document.text for document in documents]
                    encoded = [text.encode("utf-8") for text in texts]
                    for data in encoded:
                        content.add(data)
                    hashes = [hashlib.sha256(data) for data in encoded]
                    digests[done:stop] = np.frombuffer(
                        b"".join(h.digest() for h in hashes), np.uint8
                    ).reshape(-1, 32)
                    signatures[done:stop] = minhash(texts)
                    features = document_features(texts)
                    tokens[done:stop] = features["tokens"].to_numpy()
                    writer.write_table(
                        _staged_table(
                            name, done - first, documents, [h.hexdigest() for h in hashes], features
                        )
                    )
                    done = stop
                    tell(
                        _HASHING + _MEASURING * done / total,
                        f"measuring {name}: {done - first:,} of {tallies[name].kept:,} documents",
                    )
            if content.hexdigest() != tallies[name].content_hash:
                raise CausalMixError(_changed(name))
    return _Measured(domain_of.astype(np.int64), tokens, digests, signatures)


def _changed(name: str) -> str:
    return (
        f"The files of domain {name} changed while they were read. Ingest again when nothing writes to them."
    )


def _batches(
    items: Iterator[Document | Skipped],
) -> Iterator[tuple[list[Document], list[Skipped]]]:
    documents: list[Document] = []
    skips: list[Skipped] = []
    size = 0
    for item in items:
        if isinstance(item, Skipped):
            skips.append(item)
        else:
            documents.append(item)
            size += len(item.text)
        if len(documents) + len(skips) >= _BATCH_DOCUMENTS or size >= _BATCH_BYTES:
            yield documents, skips
            documents, skips, size = [], [], 0
    if documents or skips:
        yield documents, skips


def _staged_schema() -> pa.Schema:
    integers = {"bytes", "characters", "words", "lines", "tokens"}
    return pa.schema(
        [
            ("domain", pa.string()),
            ("document", pa.int64()),
            ("origin", pa.string()),
            ("text", pa.string()),
            ("sha256", pa.string()),
            *((name, pa.int64() if name in integers else pa.float64()) for name in FEATURES),
        ]
    )


def _staged_table(
    name: str, first: int, documents: list[Document], hashes: list[str], features: pa.Table
) -> pa.Table:
    n = len(documents)
    columns: dict[str, Any] = {
        "domain": [name] * n,
        "document": range(first, first + n),
        "origin": [document.origin for document in documents],
        "text": [document.text for document in documents],
        "sha256": hashes,
        **{feature: features[feature] for feature in FEATURES},
    }
    return pa.table(columns, schema=_staged_schema())


def _skipped_batch(name: str, skips: list[Skipped]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "domain": [name] * len(skips),
            "file": [skip.file for skip in skips],
            "line": [skip.line for skip in skips],
            "reason": [skip.reason for skip in skips],
        },
        schema=_SKIPPED_SCHEMA,
    )


def _write_domain(staged: Path, target: Path, clusters: Clusters, held_out: NDArray[np.bool_]) -> None:
    """Copy a staged file, one row group at a time, and add what only the whole pool could tell."""
    source = pq.ParquetFile(staged)
    schema = source.schema_arrow
    for name, kind in (
        ("cluster", pa.int64()),
        ("exact_duplicate", pa.bool_()),
        ("near_duplicate", pa.bool_()),
        ("split", pa.string()),
    ):
        schema = schema.append(pa.field(name, kind))
    start = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            rows = slice(start, start + table.num_rows)
            for name, values in (
                ("cluster", clusters.cluster[rows]),
                ("exact_duplicate", clusters.exact_duplicate[rows]),
                ("near_duplicate", clusters.near_duplicate[rows]),
                ("split", np.where(held_out[rows], "heldout", "train")),
            ):
                table = table.append_column(name, pa.array(values))
            writer.write_table(table)
            start = rows.stop
    source.close()


def _write_database(scratch: Path, stage: Path) -> None:
    medians = ", ".join(f"median({f})::DOUBLE AS median_{f}" for f in ("bytes", *STATE_FEATURES))
    with duckdb.connect(str(scratch / DATABASE_NAME)) as con:
        # Through Arrow, because read_parquet would take a bracket in the workspace's path for a pattern.
        files = sorted((scratch / DOCUMENTS_FOLDER).iterdir())
        con.register("written", pads.dataset([str(file) for file in files], format="parquet"))
        con.execute(
            "CREATE TABLE documents AS SELECT * EXCLUDE (text) FROM written ORDER BY domain, document"
        )
        con.execute(
            f"""
            CREATE TABLE domains AS SELECT
                domain,
                count(*)::BIGINT AS documents,
                sum(bytes)::BIGINT AS bytes,
                sum(tokens)::BIGINT AS tokens,
                count_if(exact_duplicate)::BIGINT AS exact_duplicates,
                count_if(near_duplicate)::BIGINT AS near_duplicates,
                count_if(exact_duplicate) / count(*) AS exact_duplicate_fraction,
                count_if(near_duplicate) / count(*) AS near_duplicate_fraction,
                {medians}
            FROM documents GROUP BY domain ORDER BY domain
            """
        )
        con.register("unusable", pads.dataset(str(stage / _SKIPPED_FILE), format="parquet"))
        con.execute("CREATE TABLE skipped AS SELECT * FROM unusable")


def _manifest(
    snapshot_id: str,
    tallies: dict[str, _Tally],
    measured: _Measured,
    clusters: Clusters,
    held_out: NDArray[np.bool_],
) -> SnapshotManifest:
    domains = {}
    for d, (name, tally) in enumerate(tallies.items()):
        own = measured.domain == d
        tokens = int(measured.tokens[own].sum())
        held = int(measured.tokens[own & held_out].sum())
        domains[name] = DomainManifest(
            read=tally.read,
            skipped=dict(tally.skipped),
            documents=tally.kept,
            bytes=tally.bytes,
            tokens=tokens,
            train_tokens=tokens - held,
            heldout_tokens=held,
            content_hash=tally.content_hash,
            exact_duplicates=int(clusters.exact_duplicate[own].sum()),
            near_duplicates=int(clusters.near_duplicate[own].sum()),
        )
    return SnapshotManifest(
        id=snapshot_id, created_at=datetime.now(UTC), format=SNAPSHOT_FORMAT, domains=domains
    )


def _publish(scratch: Path, target: Path) -> bool:
    """Move the finished folder in; False when another process has published the same texts meanwhile."""
    for file in scratch.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
    try:
        scratch.rename(target)
    except OSError:
        if target.is_dir():
            return False
        raise
    return True
