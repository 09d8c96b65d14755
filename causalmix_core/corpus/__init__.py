"""The corpus room: from files of text to an immutable snapshot of the pool and its statistics.

`ingest` reads the domains of a workspace and publishes a `Snapshot`; pages, probes and exporters read the
pool only through it. `write_demo_corpus` writes a pool of real text that every installation already has.
"""

from causalmix_core.corpus.demo import DEMO_DESCRIPTIONS, write_demo_corpus
from causalmix_core.corpus.features import FEATURES, STATE_FEATURES, Feature
from causalmix_core.corpus.ingest import ingest
from causalmix_core.corpus.readers import (
    REASON_LABELS,
    Document,
    Reason,
    Skipped,
    discover_domains,
    iter_documents,
)
from causalmix_core.corpus.report import DomainReport, IngestReport
from causalmix_core.corpus.snapshot import (
    DomainManifest,
    SampleOrder,
    Snapshot,
    SnapshotManifest,
    Split,
    open_snapshot,
)

__all__ = [
    "DEMO_DESCRIPTIONS",
    "FEATURES",
    "REASON_LABELS",
    "STATE_FEATURES",
    "Document",
    "DomainManifest",
    "DomainReport",
    "Feature",
    "IngestReport",
    "Reason",
    "SampleOrder",
    "Skipped",
    "Snapshot",
    "SnapshotManifest",
    "Split",
    "discover_domains",
    "ingest",
    "iter_documents",
    "open_snapshot",
    "write_demo_corpus",
]
