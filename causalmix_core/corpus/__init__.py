"""The corpus room: from files of text to an immutable snapshot of the pool, and what may be asked of it.

`ingest` reads the sources of a workspace and publishes a `Snapshot`; `apply_filter` makes another one of the
documents that a filter keeps; `measure_snapshot` adds what language models say of each document. Pages,
probes and exporters read the pool only through snapshots; `explore` and `compare` hold what the corpus page
asks. `write_demo_corpus` writes a pool of real text that every installation already has.
"""

from causalmix_core.corpus import compare, explore, filters
from causalmix_core.corpus.demo import DEMO_DESCRIPTIONS, write_demo_corpus
from causalmix_core.corpus.derive import apply_filter
from causalmix_core.corpus.features import (
    FEATURES,
    MODEL_FEATURES,
    POOL_FEATURES,
    STATE_FEATURES,
    Feature,
)
from causalmix_core.corpus.filters import Filter
from causalmix_core.corpus.ingest import ingest
from causalmix_core.corpus.model_features import MeasureSpec, measure_snapshot, measurements
from causalmix_core.corpus.readers import (
    FILE_TYPES,
    REASON_LABELS,
    Document,
    Fields,
    Reason,
    Skipped,
    discover_domains,
    iter_documents,
)
from causalmix_core.corpus.report import IngestReport, SourceReport
from causalmix_core.corpus.rules import RULES, Rule, broken_spans
from causalmix_core.corpus.selection import Search, Selection
from causalmix_core.corpus.snapshot import (
    DomainManifest,
    Snapshot,
    SnapshotManifest,
    SourceManifest,
    Split,
    list_snapshots,
    open_snapshot,
    use_snapshot,
)
from causalmix_core.corpus.sources import (
    Preview,
    add_source,
    check_allowed,
    preview_source,
    remove_source,
    save_upload,
)
from causalmix_core.corpus.sql import SqlResult, run_sql

__all__ = [
    "DEMO_DESCRIPTIONS",
    "FEATURES",
    "FILE_TYPES",
    "MODEL_FEATURES",
    "POOL_FEATURES",
    "REASON_LABELS",
    "RULES",
    "STATE_FEATURES",
    "Document",
    "DomainManifest",
    "Feature",
    "Fields",
    "Filter",
    "IngestReport",
    "MeasureSpec",
    "Preview",
    "Reason",
    "Rule",
    "Search",
    "Selection",
    "Skipped",
    "Snapshot",
    "SnapshotManifest",
    "SourceManifest",
    "SourceReport",
    "Split",
    "SqlResult",
    "add_source",
    "apply_filter",
    "broken_spans",
    "check_allowed",
    "compare",
    "discover_domains",
    "explore",
    "filters",
    "ingest",
    "iter_documents",
    "list_snapshots",
    "measure_snapshot",
    "measurements",
    "open_snapshot",
    "preview_source",
    "remove_source",
    "run_sql",
    "save_upload",
    "use_snapshot",
    "write_demo_corpus",
]
