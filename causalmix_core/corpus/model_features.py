"""Model-based features: what language models say about every document, measured in shards by a job.

A *measurement* is one set of models and settings applied to all documents of one snapshot:

    measurements/<snapshot>/<measurement>/
        plan.json            what is measured, by which models, in how many shards
        part-00012.parquet   a finished shard: domain, document and the features; its being there is the
                             one thing that says it is done
        corpus.duckdb        the snapshot's database with the features as columns of `documents`
        measurement.json     comes last: the measurement is complete

`measure_snapshot` does all of it in one process. In several: `plan_measurement` once; in each worker
`load_scorers`, then `measure_shard` and `write_shard` for its share of `missing_shards`;
`publish_measurement` once. Every file is moved in by one rename, so a job that was killed is resumed by
the same calls, and readers see all of a measurement or none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from causalmix_core import __version__
from causalmix_core.corpus.document_texts import document_texts
from causalmix_core.corpus.scorers import (
    REFERENCE,
    CausalScorer,
    DeviceChoice,
    StyleScorer,
    locate_model,
    resolve_device,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.pretrained import ModelSource
from causalmix_core.proxy.reference import (
    reference_folder,
    reference_of,
    save_reference,
    train_reference,
)
from causalmix_core.proxy.spec import PRESETS, ProxySpec
from causalmix_core.workspace import Workspace, scratch_path, sweep, write_atomic

if TYPE_CHECKING:
    from causalmix_core.corpus.snapshot import Snapshot

MEASUREMENT_FORMAT = 1
"""Part of every measurement's id: a change of how features are computed makes a new measurement."""
PLAN_NAME = "plan.json"
RECORD_NAME = "measurement.json"
_DATABASE = "corpus.duckdb"
_TEXTS_AT_ONCE = 256
_BYTES_AT_ONCE = 16 << 20
_TRAINING, _PUBLISHING = 0.3, 0.98
"""Parts of the work that are done after training the reference, and before publishing."""
_MEMORY = "1GB"
"""What DuckDB may use for publishing; the rest goes to a file beside."""

Progress = Callable[[float, str], None]
"""Called with the part that is done, 0 to 1, and what is being done; an exception in it cancels."""
ShardProgress = Callable[[int, int], None]
"""Called with the documents of the shard that are done, and all of them, before every batch."""


class MeasureSpec(BaseModel):
    """Which models measure the documents, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default=REFERENCE, min_length=1)
    """`reference`, the path of a folder, or a name on the Hugging Face hub: a causal language model."""
    writing_style_model: str | None = Field(default=None, min_length=1)
    """A sequence-regression model, by path or hub name; without one there is no `writing_style`."""
    writing_style_output: int | None = Field(default=None, ge=0)
    """Which number is meant where that model gives several; 0 for the QuRater models."""
    max_tokens: int = Field(default=2048, ge=2, le=1 << 20)
    """Long documents are measured on their first tokens, at most so many."""
    batch_tokens: int = Field(default=8192, ge=2, le=1 << 24)
    """Tokens, padding included, that go through a model together: decides memory, not results."""
    device: DeviceChoice = "auto"
    documents_per_shard: int = Field(default=2000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _batch_holds_a_document(self) -> MeasureSpec:
        if self.batch_tokens < self.max_tokens:
            raise ValueError(
                f"batch_tokens ({self.batch_tokens}) must be at least max_tokens ({self.max_tokens})"
            )
        return self

    @property
    def features(self) -> list[str]:
        """The features that are measured, in the order of their columns."""
        style = [] if self.writing_style_model is None else ["writing_style"]
        return ["normalized_loss", "high_entropy_sum", *style]


class MeasurementPlan(BaseModel):
    """`plan.json`: what a measurement is to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    snapshot: str
    spec: MeasureSpec
    model: ModelSource
    writing_style: ModelSource | None
    documents: int = Field(gt=0)
    shards: int = Field(gt=0)


class MeasurementRecord(BaseModel):
    """`measurement.json`: a complete measurement, and what measured it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    snapshot: str
    spec: MeasureSpec
    model: ModelSource
    writing_style: ModelSource | None
    features: list[str]
    """The columns that `documents` has gained."""
    documents: int
    nulls: dict[str, int]
    """Documents without a value, by feature: too short, or the model gave no finite number."""
    created_at: datetime
    version: str
    folder: Path = Field(default=Path(), exclude=True)
    """Where it lies; not stored, so that a workspace can be moved."""

    @property
    def database(self) -> Path:
        """The snapshot's DuckDB file with the features as columns of `documents`."""
        return self.folder / _DATABASE


@dataclass(frozen=True)
class Scorers:
    """The models of a measurement, loaded."""

    causal: CausalScorer
    style: StyleScorer | None


def measure_snapshot(
    workspace: Workspace,
    snapshot: Snapshot,
    spec: MeasureSpec,
    progress: Progress | None = None,
    reference: ProxySpec | None = None,
) -> MeasurementRecord:
    """Measure all documents of a snapshot in this process, going on where an earlier call was stopped.

    When the spec names the reference and the workspace has none, one is trained first.

    Args:
        workspace: where the measurement lies.
        snapshot: whose documents.
        spec: which models, and how.
        progress: told what is done; an exception in it ends the measuring, and finished shards stay.
        reference: the reference proxy, where one must be trained; the preset `micro` by default.

    Raises:
        CausalMixError: a model cannot be found or loaded, the snapshot is damaged, or the file system
            refuses.
    """
    tell = progress or (lambda fraction, doing: None)
    begin = 0.0
    if spec.model == REFERENCE and reference_of(workspace) is None:
        begin = _TRAINING
        trained = train_reference(
            snapshot,
            reference or PRESETS["micro"],
            resolve_device(spec.device),
            lambda step, steps, loss: tell(
                begin * step / steps, f"training the reference proxy: loss {loss:.2f} nats per byte"
            ),
        )
        save_reference(reference_folder(workspace, snapshot.id), trained)
    plan = plan_measurement(workspace, snapshot, spec)
    folder = measurement_folder(workspace, snapshot.id, plan.id)
    missing = missing_shards(folder)
    if missing:
        tell(begin, "loading the model")
        scorers = load_scorers(plan)
    for shard in missing:
        before = shard * spec.documents_per_shard

        def tell_documents(done: int, total: int, before: int = before) -> None:
            tell(
                begin + (_PUBLISHING - begin) * (before + done) / plan.documents,
                f"measuring: {before + done:,} of {plan.documents:,} documents",
            )

        write_shard(folder, shard, measure_shard(snapshot, spec, shard, scorers, tell_documents))
    tell(_PUBLISHING, "joining the features to the documents")
    return publish_measurement(snapshot, folder)


def measurement_id(spec: MeasureSpec, fingerprint: str, style_fingerprint: str | None = None) -> str:
    """12 hex digits that name a measurement: a hash of the models and of the settings that decide results.

    Args:
        spec: the settings; names of models and `batch_tokens` do not count.
        fingerprint: of the causal language model.
        style_fingerprint: of the writing-style model, where there is one.
    """
    settings = spec.model_dump(exclude={"model", "writing_style_model", "batch_tokens"})
    content = json.dumps([MEASUREMENT_FORMAT, fingerprint, style_fingerprint, settings], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def measurement_folder(workspace: Workspace, snapshot_id: str, measurement: str) -> Path:
    """Where a measurement of a snapshot lies."""
    return workspace.measurements / snapshot_id / measurement


def shards_of(snapshot: Snapshot, spec: MeasureSpec) -> int:
    """How many shards the documents of a snapshot make."""
    return -(-snapshot.documents // spec.documents_per_shard)


def plan_measurement(workspace: Workspace, snapshot: Snapshot, spec: MeasureSpec) -> MeasurementPlan:
    """Find the models, and make or reopen the folder of the measurement.

    Raises:
        CausalMixError: a model cannot be found (see `locate_model`), the snapshot is damaged, or the folder
            cannot be written.
    """
    model = locate_model(spec.model, workspace)
    style = None
    if spec.writing_style_model is not None:
        if spec.writing_style_model == REFERENCE:
            raise CausalMixError(
                "The reference proxy cannot rate writing style. Name a sequence-regression model, or none."
            )
        style = locate_model(spec.writing_style_model, workspace)
    plan = MeasurementPlan(
        id=measurement_id(spec, model.fingerprint, style.fingerprint if style else None),
        snapshot=snapshot.id,
        spec=spec,
        model=model,
        writing_style=style,
        documents=snapshot.documents,
        shards=shards_of(snapshot, spec),
    )
    folder = measurement_folder(workspace, snapshot.id, plan.id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CausalMixError(f"Cannot make {folder}: {error.strerror}.") from error
    sweep(folder)
    write_atomic(folder / PLAN_NAME, plan.model_dump_json(indent=2) + "\n")
    return plan


def read_plan(folder: Path) -> MeasurementPlan:
    """Read what a measurement is to do.

    Raises:
        CausalMixError: there is no such measurement, or its plan is damaged.
    """
    try:
        return MeasurementPlan.model_validate_json((folder / PLAN_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise CausalMixError(
            f"There is no measurement in {folder}: {PLAN_NAME} cannot be read. Start it again."
        ) from error


def load_scorers(plan: MeasurementPlan) -> Scorers:
    """Load the models of a measurement: minutes and gigabytes for large ones, so once per process.

    Raises:
        CausalMixError: a model cannot be loaded or does not fit its task.
    """
    spec = plan.spec
    style = None
    if plan.writing_style is not None:
        style = StyleScorer.load(
            plan.writing_style,
            max_tokens=spec.max_tokens,
            batch_tokens=spec.batch_tokens,
            device=spec.device,
            output=spec.writing_style_output,
        )
    causal = CausalScorer.load(
        plan.model, max_tokens=spec.max_tokens, batch_tokens=spec.batch_tokens, device=spec.device
    )
    return Scorers(causal, style)


def measure_shard(
    snapshot: Snapshot,
    spec: MeasureSpec,
    shard: int,
    scorers: Scorers,
    progress: ShardProgress | None = None,
) -> pa.Table:
    """Measure one shard of a snapshot's documents.

    Documents are taken in the order of (domain, document); shard i holds the i-th `documents_per_shard`.

    Args:
        snapshot: whose documents.
        spec: the settings that the scorers were loaded with.
        shard: its number, from 0.
        scorers: from `load_scorers`.
        progress: called before every batch; an exception in it ends the measuring (cancel).

    Returns:
        Columns domain, document and the features of the spec (float32, null where there is no value), one
        row per document, in order.

    Raises:
        CausalMixError: no such shard, the snapshot is damaged, or the GPU is too small.
    """
    first = shard * spec.documents_per_shard
    total = min(spec.documents_per_shard, snapshot.documents - first)
    if shard < 0 or total < 1:
        raise CausalMixError(f"Snapshot {snapshot.id} has no shard {shard}.")
    tables: list[pa.Table] = []
    done = 0
    tell = progress or (lambda done, total: None)
    share = 1.0 if scorers.style is None else 0.5  # of a group's work, for the causal model
    for domains, documents, texts in _groups(_texts(snapshot, first, first + total)):

        def causal(part: float, done: int = done, size: int = len(texts)) -> None:
            tell(done + int(size * part * share), total)

        def rating(part: float, done: int = done, size: int = len(texts)) -> None:
            tell(done + int(size * (share + part * (1 - share))), total)

        measured = scorers.causal.score(texts, causal)
        if scorers.style is not None:
            style = scorers.style.score(texts, rating)
            measured = measured.append_column("writing_style", style["writing_style"])
        keys = {"domain": pa.array(domains, pa.string()), "document": pa.array(documents, pa.int64())}
        columns = {name: measured[name] for name in spec.features}
        tables.append(pa.table({**keys, **columns}))
        done += len(texts)
        tell(done, total)
    return pa.concat_tables(tables).combine_chunks()


def shard_path(folder: Path, shard: int) -> Path:
    """Where a finished shard of a measurement stands."""
    return folder / f"part-{shard:05d}.parquet"


def write_shard(folder: Path, shard: int, table: pa.Table) -> None:
    """Publish a finished shard as one file.

    Raises:
        CausalMixError: the file system refuses.
    """
    path = shard_path(folder, shard)
    scratch = scratch_path(path)
    try:
        pq.write_table(table, scratch)
        _move_in(scratch, path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise CausalMixError(f"Cannot write {path}: {error.strerror or error}.") from error


def missing_shards(folder: Path) -> list[int]:
    """The shards of a measurement that are still to be measured, ascending.

    A file that cannot be read, or that holds another number of documents than its shard has, is missing.

    Raises:
        CausalMixError: there is no such measurement.
    """
    plan = read_plan(folder)
    size = plan.spec.documents_per_shard
    missing = []
    for shard in range(plan.shards):
        expected = min(size, plan.documents - shard * size)
        try:
            if pq.read_metadata(shard_path(folder, shard)).num_rows == expected:
                continue
        except (OSError, pa.ArrowException):
            pass
        missing.append(shard)
    return missing


def publish_measurement(snapshot: Snapshot, folder: Path) -> MeasurementRecord:
    """Make the snapshot's database with the measured features, once all shards are there.

    `documents` keeps its rows, their order and its columns, and gains one column per feature; the other
    tables are copied. A measurement that is complete already is left as it is.

    Raises:
        CausalMixError: shards are missing, do not hold every document of the snapshot exactly once, or the
            file system refuses.
    """
    complete = _record(folder)
    if complete is not None:
        return complete
    plan = read_plan(folder)
    missing = missing_shards(folder)
    if missing:
        raise CausalMixError(
            f"The measurement {plan.id} is not finished: {len(missing)} of {plan.shards} shards are missing "
            f"(the first is {missing[0]}). Resume its job."
        )
    parts = [shard_path(folder, shard) for shard in range(plan.shards)]
    scratch = scratch_path(folder / _DATABASE)
    spill = scratch_path(folder / "spill")
    try:
        nulls = _join(snapshot.root / _DATABASE, parts, scratch, spill, plan)
        _move_in(scratch, folder / _DATABASE)
    except (duckdb.Error, pa.ArrowException) as error:
        raise CausalMixError(
            f"The measurement {plan.id} cannot be published: {str(error).splitlines()[0]}."
        ) from error
    except OSError as error:
        raise CausalMixError(f"Cannot write {folder / _DATABASE}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)
        for leftover in (scratch, scratch.with_name(scratch.name + ".wal")):
            leftover.unlink(missing_ok=True)
    record = MeasurementRecord(
        id=plan.id,
        snapshot=snapshot.id,
        spec=plan.spec,
        model=plan.model,
        writing_style=plan.writing_style,
        features=plan.spec.features,
        documents=plan.documents,
        nulls=nulls,
        created_at=datetime.now(UTC),
        version=__version__,
        folder=folder,
    )
    write_atomic(folder / RECORD_NAME, record.model_dump_json(indent=2) + "\n")
    return record


def measurements(workspace: Workspace, snapshot_id: str) -> list[MeasurementRecord]:
    """The complete measurements of a snapshot, newest first."""
    folders = (workspace.measurements / snapshot_id).glob("*")
    records = [record for folder in folders if (record := _record(folder)) is not None]
    return sorted(records, key=lambda record: (record.created_at, record.id), reverse=True)


def _record(folder: Path) -> MeasurementRecord | None:
    if folder.name.startswith(".") or not (folder / _DATABASE).is_file():
        return None
    try:
        record = MeasurementRecord.model_validate_json((folder / RECORD_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    return record.model_copy(update={"folder": folder}) if record.id == folder.name else None


def _texts(snapshot: Snapshot, first: int, stop: int) -> Iterator[tuple[str, int, str]]:
    """`(domain, document, text)` of the documents at places `first` to `stop` of the whole pool."""
    start = 0
    for domain in snapshot.domains:
        count = snapshot.manifest.domains[domain].documents
        rows = np.arange(max(first - start, 0), min(stop - start, count), dtype=np.int64)
        if len(rows):
            for document, text in document_texts(snapshot.documents_file(domain), rows):
                yield domain, document, text
        start += count


def _groups(
    documents: Iterator[tuple[str, int, str]],
) -> Iterator[tuple[list[str], list[int], list[str]]]:
    """Documents that are scored together: enough for even batches, few enough for the memory."""
    domains: list[str] = []
    numbers: list[int] = []
    texts: list[str] = []
    size = 0
    for domain, number, text in documents:
        domains.append(domain)
        numbers.append(number)
        texts.append(text)
        size += len(text)
        if len(texts) >= _TEXTS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield domains, numbers, texts
            domains, numbers, texts, size = [], [], [], 0
    if texts:
        yield domains, numbers, texts


def _join(base: Path, parts: list[Path], target: Path, spill: Path, plan: MeasurementPlan) -> dict[str, int]:
    """Write `base` with the features of `parts` to `target`; return the nulls of each feature."""
    columns = ", ".join(f"m.{name}" for name in plan.spec.features)
    with duckdb.connect(str(target), config={"memory_limit": _MEMORY, "temp_directory": str(spill)}) as con:
        con.execute(f"ATTACH {_literal(base)} AS base (READ_ONLY)")
        # Through Arrow, because read_parquet would take a bracket in the workspace's path for a pattern.
        con.register("parts", pads.dataset([str(part) for part in parts], format="parquet"))
        con.execute("CREATE TEMP TABLE measured AS SELECT * FROM parts")
        _check_counts(con, plan)
        tables = con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'base' AND NOT internal"
        ).fetchall()
        for (table,) in tables:
            name = '"' + table.replace('"', '""') + '"'
            if table != "documents":
                con.execute(f"CREATE TABLE {name} AS SELECT * FROM base.{name}")
        con.execute(
            f"CREATE TABLE documents AS SELECT d.*, {columns} FROM base.documents d "
            "JOIN measured m USING (domain, document) ORDER BY d.rowid"
        )
        counts = ", ".join(f"count(*) - count({name})" for name in plan.spec.features)
        row = con.execute(f"SELECT {counts} FROM documents").fetchone()
        con.execute("DETACH base")
        con.execute("CHECKPOINT")
    if row is None:
        raise AssertionError("an aggregate without groups gives one row")
    return dict(zip(plan.spec.features, map(int, row), strict=True))


def _check_counts(con: duckdb.DuckDBPyConnection, plan: MeasurementPlan) -> None:
    """Every document of the snapshot is measured exactly once, and nothing else is."""
    row = con.execute(
        """
        SELECT
            (SELECT count(*) FROM base.documents),
            (SELECT count(*) FROM measured),
            (SELECT count(*) FROM base.documents ANTI JOIN measured USING (domain, document)),
            (SELECT count(*) FROM (SELECT DISTINCT domain, document FROM measured))
        """
    ).fetchone()
    if row is None:
        raise AssertionError("a query without a table gives one row")
    documents, measured, unmeasured, distinct = row
    if documents != measured or unmeasured or distinct != documents:
        raise CausalMixError(
            f"The measurement {plan.id} does not fit its snapshot {plan.snapshot}: of {documents} documents "
            f"{unmeasured} are not measured, and the shards hold {measured} rows for {distinct} documents. "
            "Delete its folder and measure again."
        )


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _move_in(scratch: Path, path: Path) -> None:
    with scratch.open("rb") as stream:
        os.fsync(stream.fileno())
    scratch.replace(path)
