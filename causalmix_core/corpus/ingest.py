"""Reads every source of a workspace and publishes the pool as a snapshot.

The files are hashed first: when the same files, read in the same way, have given a snapshot before, there is
nothing to do. Otherwise every document is read once, measured in worker processes and written to a hidden
folder, whose name, the snapshot's id, follows from the texts; one rename publishes it. A crash at any moment
leaves the snapshots as they were. Texts are held a few batches at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
from pydantic import ValidationError

from causalmix_core.corpus.build import SnapshotBuilder, SourceTally
from causalmix_core.corpus.comparisons import keep_comparison
from causalmix_core.corpus.features import FEATURES_VERSION
from causalmix_core.corpus.measure import Tokenizer
from causalmix_core.corpus.measuring import MeasuringPool, cores
from causalmix_core.corpus.readers import (
    Document,
    Fields,
    Skipped,
    SourceFile,
    no_document,
    read_file,
    source_files,
)
from causalmix_core.corpus.report import IngestReport
from causalmix_core.corpus.snapshot import SNAPSHOT_FORMAT, current_id, open_snapshot, use_snapshot
from causalmix_core.corpus.sources import check_allowed
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import (
    BYTES,
    DomainSource,
    MixedSource,
    Workspace,
    WorkspaceConfig,
    write_atomic,
)

Progress = Callable[[float, str], None]

READINGS_FOLDER = "readings"
"""In `snapshots/`: which snapshot a set of files has given, by the hash of what was read and how."""

_BATCH_DOCUMENTS = 2000
_BATCH_BYTES = 2 << 20
_PENDING_BYTES = 16 << 20  # of a source that feeds many domains, before the largest is measured
_SMALL_BYTES = 4 << 20  # measured in this process: starting workers takes longer
_TELL_EVERY = 2000
_HASHING = 0.03  # share of the work, for the progress bar
_MEASURING = 0.85


@dataclass(frozen=True)
class _Source:
    """One source as it will be read.

    Attributes:
        label: the domain's name, or `*` and the path of a mixed source.
        domain: None where documents name their own.
    """

    label: str
    domain: str | None
    fields: Fields
    files: list[SourceFile]
    unusable: list[Skipped]
    place: Path


@dataclass
class _Batch:
    """Documents of one domain that are measured together."""

    domain: str
    documents: list[Document] = field(default_factory=list)
    bytes: int = 0

    @property
    def texts(self) -> list[str]:
        return [d.text for d in self.documents]


def ingest(
    workspace: Workspace, progress: Progress | None = None, workers: int | None = None
) -> IngestReport:
    """Publish the pool that `workspace.yaml` describes as the current snapshot.

    Args:
        workspace: the workspace whose sources are read.
        progress: called with the fraction done and what is being done; what it raises cancels.
        workers: processes that measure documents; by default one per core, or none for a small pool.

    Returns:
        What was read, kept and skipped; `created` is False when such a snapshot exists already.

    Raises:
        CausalMixError: there are no sources, one is missing, empty or of unknown type, a domain cannot be
            divided into training and held-out text, a source changed while it was read, or the disk
            refuses. The snapshots are then as they were.
    """
    tell = progress or _silent
    config = workspace.config()
    sources = _sources(workspace, config)
    tokenizer = config.tokenizer if config.tokenizer == BYTES else str(workspace.resolve(config.tokenizer))
    tokenizer_key = Tokenizer(tokenizer).fingerprint
    tell(0.0, "looking for changes")
    hashes = _hash_files(sources, tell)
    fingerprint = _fingerprint(sources, hashes, config, tokenizer_key)
    if known := _known(workspace, fingerprint):
        tell(1.0, f"snapshot {known.snapshot} is up to date")
        return known

    try:
        builder = SnapshotBuilder(workspace.snapshots, config.tokenizer, tokenizer_key)
    except OSError as error:
        raise refused(workspace, error) from error
    try:
        _read(sources, builder, tokenizer, config.max_document_bytes, workers, tell)
        _check_unchanged(sources, hashes)
        snapshot_id = builder.snapshot_id()
        target = workspace.snapshots / snapshot_id
        created = False
        if target.exists():
            open_snapshot(workspace, snapshot_id)
        else:
            rest = 1 - _HASHING - _MEASURING
            builder.finish(lambda part, doing: tell(_HASHING + _MEASURING + rest * part, doing))
            created = builder.publish(target)
        report = IngestReport(
            snapshot=snapshot_id,
            created=created,
            documents=builder.documents,
            sources={name: tally.report() for name, tally in builder.sources.items()},
        )
        _remember(workspace, fingerprint, report)
    except (OSError, duckdb.IOException, pa.ArrowException) as error:
        raise refused(workspace, error) from error
    finally:
        builder.discard()
    before = current_id(workspace)
    use_snapshot(workspace, snapshot_id)
    keep_comparison(workspace, before, snapshot_id)
    tell(1.0, f"snapshot {snapshot_id} is ready")
    return report


def _silent(fraction: float, message: str) -> None:
    """Progress that nobody watches."""


def refused(workspace: Workspace, error: Exception) -> CausalMixError:
    """What to say when the disk does not take a snapshot."""
    return CausalMixError(
        f"Cannot write the snapshot below {workspace.snapshots}: {error}. Make room or change the "
        "permissions, then ingest again; nothing was changed."
    )


def _sources(workspace: Workspace, config: WorkspaceConfig) -> list[_Source]:
    if not config.domains and not config.mixed_sources:
        raise CausalMixError(
            f"The workspace has no domains. Add a source on the corpus page, with `causalmix source add`, or "
            f"under 'domains' in {workspace.config_path}."
        )
    seen: dict[str, str] = {}
    for name in config.domains:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise CausalMixError(
                f"The domains {other} and {name} differ only in upper and lower case, and some file systems "
                "cannot tell them apart. Rename one of them."
            )
    wanted: list[tuple[str, str | None, DomainSource, str | None]] = [
        (name, name, config.domains[name], None) for name in sorted(config.domains)
    ]
    wanted += [(f"*{mixed.path}", None, mixed, mixed.domain_field) for mixed in _distinct(config)]
    found = []
    for label, domain, source, domain_field in wanted:
        place = workspace.resolve(source.path)
        try:
            files, unusable = source_files(place, source.split)
            for file in files if config.allowed_roots else []:
                check_allowed(workspace, file.path, config)
        except CausalMixError as error:
            raise _of(label, domain, error) from error
        fields = Fields(text=source.text_field, domain=domain_field)
        found.append(_Source(label, domain, fields, files, unusable, place))
    return found


def _distinct(config: WorkspaceConfig) -> list[MixedSource]:
    paths = [mixed.path for mixed in config.mixed_sources]
    twice = next((p for i, p in enumerate(paths) if p in paths[:i]), None)
    if twice is not None:
        raise CausalMixError(f"The path {twice} stands twice under 'mixed_sources'. Remove one of them.")
    return config.mixed_sources


def _of(label: str, domain: str | None, error: CausalMixError) -> CausalMixError:
    return CausalMixError(f"{'Domain' if domain else 'Source'} {label}: {error}")


def _hash_files(sources: list[_Source], tell: Progress) -> dict[Path, str]:
    """sha256 of every file's bytes, as it lies there."""
    paths = [file.path for source in sources for file in source.files]
    hashes = {}
    for number, path in enumerate(paths):
        hashes[path] = _hash_file(path)
        if number % 50 == 0:
            tell(_HASHING * number / len(paths), f"looking for changes in {path.name}")
    return hashes


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"  # and reading it will say so


def _fingerprint(
    sources: list[_Source], hashes: dict[Path, str], config: WorkspaceConfig, tokenizer_key: str
) -> str:
    """A hash of what is read and how: equal fingerprints give equal snapshots and reports."""
    content = [
        SNAPSHOT_FORMAT,
        FEATURES_VERSION,
        tokenizer_key,
        config.max_document_bytes,
        [
            [
                s.label,
                [s.fields.text, s.fields.domain],
                [[f.name, hashes[f.path]] for f in s.files],
                [[u.file, u.line, u.reason] for u in s.unusable],
            ]
            for s in sources
        ],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _known(workspace: Workspace, fingerprint: str) -> IngestReport | None:
    """The report of an earlier reading of the very same files, when its snapshot is still there."""
    path = workspace.snapshots / READINGS_FOLDER / f"{fingerprint}.json"
    try:
        report = IngestReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    if not (workspace.snapshots / report.snapshot).is_dir():
        return None
    use_snapshot(workspace, report.snapshot)
    return report.model_copy(update={"created": False})


def _remember(workspace: Workspace, fingerprint: str, report: IngestReport) -> None:
    folder = workspace.snapshots / READINGS_FOLDER
    folder.mkdir(exist_ok=True)
    write_atomic(folder / f"{fingerprint}.json", report.model_dump_json())


def _read(
    sources: list[_Source],
    builder: SnapshotBuilder,
    tokenizer: str,
    max_bytes: int,
    workers: int | None,
    tell: Progress,
) -> None:
    """Read, measure and write every document."""
    total = sum(f.path.stat().st_size for s in sources for f in s.files if f.path.exists())
    if workers is None:
        workers = cores() if total > _SMALL_BYTES else 0
    reading = _Reading(sources, builder, max_bytes, max(total, 1), tell)
    with MeasuringPool(tokenizer, workers) as pool:
        for batch, measured in pool.measure(reading.batches()):
            builder.add(
                batch.domain,
                [d.origin for d in batch.documents],
                batch.texts,
                measured.features,
                measured.digests,
                measured.ngrams,
                measured.signatures,
            )


class _Reading:
    """Turns sources into batches of documents of one domain each, and keeps the account."""

    def __init__(
        self, sources: list[_Source], builder: SnapshotBuilder, max_bytes: int, total: int, tell: Progress
    ) -> None:
        self._sources, self._builder, self._max_bytes = sources, builder, max_bytes
        self._total, self._done, self._tell = total, 0.0, tell
        # Text per byte on disk, by how files are compressed: how far a file is read is not known otherwise.
        self._expansion = {"": 1.0, ".gz": 4.0, ".zst": 4.0, ".parquet": 3.0}

    def batches(self) -> Iterator[_Batch]:
        """Every document of every source.

        Raises:
            CausalMixError: a source gave no document.
        """
        for source in self._sources:
            tally = self._builder.sources[source.label] = SourceTally()
            for skipped in source.unusable:
                self._builder.skip(source.label, skipped)
                tally.files.append((skipped.file, 0, 0, 1))
            yield from self._source_batches(source, tally)
            if not tally.kept:
                words = no_document(source.place, source.fields, tally.skipped)
                raise _of(source.label, source.domain, CausalMixError(words))

    def _source_batches(self, source: _Source, tally: SourceTally) -> Iterator[_Batch]:
        pending: dict[str, _Batch] = {}
        waiting = 0
        for file in source.files:
            size = file.path.stat().st_size if file.path.exists() else 0
            packed = file.path.suffix if file.path.suffix in self._expansion else ""
            text_bytes = 0
            kept_before, skipped_before = tally.kept, tally.skipped.total()
            for item in read_file(file, source.fields, self._max_bytes):
                if isinstance(item, Skipped):
                    self._builder.skip(source.label, item)
                else:
                    tally.kept += 1
                    name = source.domain or str(item.domain)
                    batch = pending.setdefault(name, _Batch(name))
                    batch.documents.append(item)
                    batch.bytes += len(item.text)
                    waiting += len(item.text)
                    text_bytes += len(item.text)
                    full = len(batch.documents) >= _BATCH_DOCUMENTS or batch.bytes >= _BATCH_BYTES
                    if not full and waiting >= _PENDING_BYTES:
                        batch, full = max(pending.values(), key=lambda b: b.bytes), True
                    if full:
                        waiting -= batch.bytes
                        del pending[batch.domain]
                        yield batch
                if tally.read % _TELL_EVERY == 0:
                    self._say(source, tally, min(0.95 * size, text_bytes / self._expansion[packed]))
            tally.files.append(
                (file.name, size, tally.kept - kept_before, tally.skipped.total() - skipped_before)
            )
            self._done += size
            if text_bytes and size:
                self._expansion[packed] = text_bytes / size
            self._say(source, tally)
        yield from (pending[name] for name in sorted(pending))

    def _say(self, source: _Source, tally: SourceTally, within: float = 0.0) -> None:
        fraction = _HASHING + _MEASURING * min(1.0, (self._done + within) / self._total)
        self._tell(fraction, f"reading {source.label}: {tally.kept:,} documents")


def _check_unchanged(sources: list[_Source], hashes: dict[Path, str]) -> None:
    for source in sources:
        changed = [f.name for f in source.files if _hash_file(f.path) != hashes[f.path]]
        if changed:
            named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            raise CausalMixError(
                f"The files of {'domain ' if source.domain else 'source '}{source.label} changed while they "
                f"were read ({named}). Ingest again when nothing writes to them."
            )
