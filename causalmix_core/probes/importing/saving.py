"""Writes an import as one file of the run table, with everything that says where it came from.

The provenance stands in the metadata of the Parquet file itself: one file is moved in by one atomic step, so
there is never a table without its origin or an origin without its table.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from causalmix_core import __version__
from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.draft import SOURCE_RUN, ImportDraft
from causalmix_core.probes.importing.files import FileRole, SourceFile
from causalmix_core.probes.importing.mapping import ColumnMapping
from causalmix_core.probes.importing.names import clean_name
from causalmix_core.probes.importing.protocol import Files, FormatName
from causalmix_core.probes.runs import IMPORT, STATE, WEIGHT
from causalmix_core.workspace import Workspace, check_name, create_exclusive

LONGEST_NAME = 48
"""So that `import-<name>` and the names of its runs stay names themselves."""
_METADATA = b"causalmix_import"
_LOCK = ".import.lock"
_PATIENCE = 30.0
"""Seconds to wait for another import; writing one takes less than a second."""


class FileRecord(BaseModel):
    """A file that an import was read from."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str


class ImportRecord(BaseModel):
    """Where an import came from.

    Attributes:
        name: of the import; its runs are `import-<name>-0001` and so on.
        format: of the files.
        files: what was read, by role.
        mapping: what their columns were taken for; the only place where their own headers are kept.
        pool: whose runs they count as: `import-<name>`, or the id of a snapshot.
        content: hash of what the rows say, by which a second import of the same is recognised.
        runs: how many there are.
        notices: what was changed or looked odd.
        by: who imported it.
        at: when.
        version: of CausalMix.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    format: FormatName
    files: dict[FileRole, FileRecord]
    mapping: ColumnMapping
    pool: str
    content: str
    runs: int
    notices: list[str]
    by: str
    at: AwareDatetime
    version: str


def default_name(files: Mapping[FileRole, SourceFile], format: FormatName) -> str:
    """A name for an import: that of its first file, after the format."""
    stem = clean_name(next(iter(files.values())).stem)
    return clean_name(stem if stem.startswith(format) else f"{format}-{stem}")[:LONGEST_NAME].rstrip("_.-")


def save_import(
    workspace: Workspace,
    draft: ImportDraft,
    name: str,
    *,
    files: Files,
    by: str,
    skip_bad_rows: bool = False,
    snapshot: str | None = None,
) -> ImportRecord:
    """Write a draft as `runs/import-<name>.parquet`, whole or not at all.

    Args:
        workspace: where to.
        draft: what to write.
        name: of the import.
        files: what it was read from.
        by: who imports.
        skip_bad_rows: leave rows with a problem out.
        snapshot: let the rows count as runs of this snapshot; its domains must be theirs. None: they are a
            pool of their own, known only by these runs.

    Raises:
        CausalMixError: the draft cannot be used, the name is taken or no name, the same runs were imported
            before, or the rows do not fit the snapshot. Then nothing is written.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error
    if len(name) > LONGEST_NAME:
        raise CausalMixError(f"The name {name} is too long; use at most {LONGEST_NAME} characters.")
    draft = draft.usable(skip_bad_rows=skip_bad_rows)
    if snapshot is not None:
        _check_snapshot(workspace, draft, snapshot)
    path = import_file(workspace.runs, name)
    record = ImportRecord(
        name=name,
        format=draft.format,
        files={role: FileRecord(name=f.name, sha256=f.sha256) for role, f in files.items()},
        mapping=draft.mapping,
        pool=snapshot or IMPORT + name,
        content=draft.content(),
        runs=len(draft.frame),
        notices=list(draft.notices),
        by=by,
        at=datetime.now(UTC),
        version=__version__,
    )
    data = _parquet(draft, record)
    try:
        with FileLock(workspace.runs / _LOCK, timeout=_PATIENCE):
            for other in list_imports(workspace.runs):
                if (other.content, other.pool) == (record.content, record.pool) or (
                    other.content == record.content and snapshot is None
                ):
                    raise CausalMixError(
                        f"These {record.runs:,} runs were imported already, as {other.name} on "
                        f"{other.at:%Y-%m-%d} by {other.by}. Nothing was imported again."
                    )
            if not create_exclusive(path, data):
                raise CausalMixError(
                    f"There is an import named {name} already, of other runs. Choose another name."
                )
    except Timeout as error:
        raise CausalMixError("Somebody else is importing runs at this moment. Try again.") from error
    return record


def import_file(runs_dir: Path, name: str) -> Path:
    """The file of an import."""
    return runs_dir / f"{IMPORT}{name}.parquet"


def list_imports(runs_dir: Path) -> list[ImportRecord]:
    """Where each import of a workspace came from, by name; files without a record are passed over."""
    found = (_record(path) for path in sorted(runs_dir.glob(f"{IMPORT}*.parquet")))
    return [record for record in found if record is not None]


def headers_of(runs_dir: Path, pool: str) -> dict[str, str]:
    """Header -> column of the run table, of the imports that a pool's runs came from.

    Args:
        runs_dir: the workspace's `runs/`.
        pool: a snapshot's id or `import-<name>`.
    """
    headers: dict[str, str] = {}
    for record in list_imports(runs_dir):
        if record.pool == pool:
            headers |= record.mapping.headers()
    return headers


def _record(path: Path) -> ImportRecord | None:
    try:
        raw = (pq.read_schema(path).metadata or {}).get(_METADATA)
        return ImportRecord.model_validate_json(raw) if raw else None
    except (OSError, pa.ArrowInvalid, ValidationError):
        return None  # reading the run table names a damaged file


def _check_snapshot(workspace: Workspace, draft: ImportDraft, snapshot: str) -> None:
    opened = open_snapshot(workspace, snapshot)
    if draft.domains != sorted(opened.domains):
        lacking = sorted(set(opened.domains) - set(draft.domains))
        strange = sorted(set(draft.domains) - set(opened.domains))
        parts = [f"they have no weight of {', '.join(lacking)}"] if lacking else []
        parts += [f"the snapshot has no domain {', '.join(strange)}"] if strange else []
        raise CausalMixError(
            f"The runs are not of snapshot {opened.id}: {'; '.join(parts)}. Import them as a pool of their "
            "own."
        )
    opened.check_features([c.removeprefix(STATE) for c in draft.frame.columns if c.startswith(STATE)])


def _parquet(draft: ImportDraft, record: ImportRecord) -> bytes:
    n = len(draft.frame)
    job = IMPORT + record.name
    identity = pd.DataFrame(
        {
            "run": [f"{job}-{i:04d}" for i in range(1, n + 1)],
            "job": job,
            "probe": range(1, n + 1),
            "status": "finished",
            "snapshot": record.pool,
            "assignment": draft.mapping.assignment,
            "proxy": json.dumps({"name": draft.mapping.proxy or record.name}),
            "finished_at": record.at,
            "version": record.version,
        }
    )
    values = draft.frame.drop(columns=SOURCE_RUN)
    order = sorted(values.columns, key=lambda c: (not c.startswith(WEIGHT), not c.startswith(STATE), c))
    frame = pd.concat([identity, values[order], draft.frame[[SOURCE_RUN]]], axis="columns")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), _METADATA: record.model_dump_json().encode()}
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
