"""Makes a new snapshot from the documents that a filter keeps of another one.

What was measured on a document does not change, so it is copied; what belongs to the whole pool is decided
anew: which document of a group of copies counts as the first, what is held out, and the n-grams of a domain.
Sources are not read: the result follows from the parent snapshot and the filter alone.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from causalmix_core.corpus.build import SnapshotBuilder
from causalmix_core.corpus.comparisons import keep_comparison
from causalmix_core.corpus.features import FEATURES
from causalmix_core.corpus.filters import Filter, kept_documents, predicate, reads_texts
from causalmix_core.corpus.ingest import Progress, refused
from causalmix_core.corpus.measure import Tokenizer, count_ngrams
from causalmix_core.corpus.report import IngestReport
from causalmix_core.corpus.snapshot import Derivation, Snapshot, current_id, open_snapshot, use_snapshot
from causalmix_core.corpus.sql import add_texts
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import BYTES, Workspace


def apply_filter(
    workspace: Workspace, parent: Snapshot, chosen: Filter, progress: Progress | None = None
) -> IngestReport:
    """Publish the documents of `parent` that a filter keeps as the current snapshot.

    Args:
        workspace: where both snapshots lie.
        parent: the snapshot that is filtered; it stays as it is.
        chosen: what is kept.
        progress: called with the fraction done and what is being done; what it raises cancels.

    Returns:
        What the new snapshot holds; `created` is False when it exists already.

    Raises:
        CausalMixError: the filter keeps nothing, or too little of a domain to hold any of it out, it does
            not fit the snapshot, or the disk refuses. The snapshots are then as they were.
    """
    name = parent.manifest.tokenizer
    key = Tokenizer(name if name == BYTES else str(workspace.resolve(name))).fingerprint
    derived = Derivation(
        snapshot=parent.id, filter=chosen.name, revision=chosen.revision, predicate=predicate(chosen)
    )
    try:
        builder = SnapshotBuilder(workspace.snapshots, name, key)
    except OSError as error:
        raise refused(workspace, error) from error
    try:
        clusters = _copy(parent, chosen, builder, progress)
        snapshot_id = builder.snapshot_id()
        target = workspace.snapshots / snapshot_id
        created = False
        if target.exists():
            open_snapshot(workspace, snapshot_id)
        else:
            builder.finish(
                (lambda part, doing: progress(0.9 + 0.1 * part, doing)) if progress else None,
                clusters=clusters,
                derived=derived,
            )
            created = builder.publish(target)
    except (OSError, duckdb.IOException, pa.ArrowException) as error:
        raise refused(workspace, error) from error
    finally:
        builder.discard()
    before = current_id(workspace)
    use_snapshot(workspace, snapshot_id)
    keep_comparison(workspace, before, snapshot_id)
    if progress:
        progress(1.0, f"snapshot {snapshot_id} is ready")
    return IngestReport(snapshot=snapshot_id, created=created, documents=builder.documents, sources={})


def _copy(
    parent: Snapshot, chosen: Filter, builder: SnapshotBuilder, progress: Progress | None
) -> NDArray[np.int64]:
    """Copy the kept documents; their clusters in the order of (domain, document)."""
    clusters = []
    done = 0
    with parent.connect() as con:
        if reads_texts(chosen):
            add_texts(con, parent)
        for domain in parent.domains:
            rows = kept_documents(con, chosen, domain)
            own = con.execute(
                "SELECT cluster FROM pool.documents WHERE domain = ? ORDER BY document", [domain]
            ).fetchnumpy()["cluster"]
            clusters.append(np.asarray(own, np.int64)[rows])
            for table in parent.document_groups(domain, ["origin", "text", "sha256", *FEATURES], rows):
                if table.num_rows:
                    _add(builder, domain, table)
                if progress:
                    part = done / parent.documents
                    progress(0.9 * part, f"copying {domain}: {builder.documents.get(domain, 0):,} documents")
            done += parent.manifest.domains[domain].documents
    if not builder.documents:
        raise CausalMixError(
            f"The filter {chosen.name} keeps no document of snapshot {parent.id}. Loosen its conditions."
        )
    return np.concatenate(clusters)


def _add(builder: SnapshotBuilder, domain: str, table: pa.Table) -> None:
    texts = table["text"].to_pylist()
    hashes = "".join(table["sha256"].to_pylist())
    builder.add(
        domain,
        table["origin"].to_pylist(),
        texts,
        table.select(list(FEATURES)),
        np.frombuffer(bytes.fromhex(hashes), np.uint8).reshape(-1, 32),
        count_ngrams(texts),
    )
