"""Keeps comparisons of snapshots: they never change, and take seconds for millions of documents.

    snapshots/comparisons/<old>-<new>.json

One is made with every new snapshot, against the one that was in use before, so that a curator who looks at
what has changed does not wait; any other pair is compared when it is first asked for.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from causalmix_core.corpus.compare import SnapshotComparison, compare_snapshots
from causalmix_core.corpus.explore import document_rows
from causalmix_core.corpus.selection import columns_of
from causalmix_core.corpus.snapshot import Snapshot, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace, write_atomic

COMPARISONS_FOLDER = "comparisons"
EXAMPLES = 5
"""Documents that came, and that went, which are kept as examples."""


class _Kept(BaseModel):
    """A comparison as it lies on disk; texts of the examples are read from their snapshots."""

    model_config = ConfigDict(extra="forbid")

    features: tuple[str, ...]
    """What drift was computed for: a model may measure more later."""
    documents: dict[str, list[Any]]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    drift: dict[str, list[Any]]
    sampled: tuple[str, ...]
    came: dict[str, list[Any]]
    went: dict[str, list[Any]]


def compared(workspace: Workspace, old: Snapshot, new: Snapshot) -> SnapshotComparison:
    """What changed between two snapshots: as it was kept, else computed and kept.

    Raises:
        CausalMixError: a snapshot is damaged.
    """
    path = workspace.snapshots / COMPARISONS_FOLDER / f"{old.id}-{new.id}.json"
    with old.connect() as con, new.connect() as other:
        newer = set(columns_of(other).features)
        shared = tuple(f for f in columns_of(con).features if f in newer)
        try:
            kept = _Kept.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            kept = None
        if kept is None or kept.features != shared:
            found = compare_snapshots(old, new, EXAMPLES)
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, _keep(found, shared).model_dump_json())
            return found
        return SnapshotComparison(
            old=old.id,
            new=new.id,
            documents=pd.DataFrame(kept.documents),
            only_old=kept.only_old,
            only_new=kept.only_new,
            drift=_frame(kept.drift),
            sampled=kept.sampled,
            came=document_rows(new, other, _keys(kept.came)),
            went=document_rows(old, con, _keys(kept.went)),
        )


def keep_comparison(workspace: Workspace, old_id: str | None, new_id: str) -> None:
    """Compare a new snapshot with the one that was in use before, for whoever asks.

    A snapshot that cannot be opened is left out: that is said where somebody wants to see it.
    """
    if old_id is None or old_id == new_id:
        return
    try:
        compared(workspace, open_snapshot(workspace, old_id), open_snapshot(workspace, new_id))
    except CausalMixError:
        return


def _keep(found: SnapshotComparison, features: tuple[str, ...]) -> _Kept:
    keys = ["domain", "document"]
    return _Kept(
        features=features,
        documents=found.documents.to_dict("list"),
        only_old=found.only_old,
        only_new=found.only_new,
        drift=found.drift.to_dict("list"),
        sampled=found.sampled,
        came=found.came[keys].to_dict("list"),
        went=found.went[keys].to_dict("list"),
    )


def _keys(columns: dict[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame(columns).astype({"domain": "str", "document": "int64"})


def _frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """A table whose numbers may be missing, which JSON writes as null."""
    frame = pd.DataFrame(columns)
    for name in frame.columns.difference(["domain", "feature", "verdict"]):
        frame[name] = frame[name].astype(float)
    return frame
