"""Every saved revision of a graph, one immutable file each: `graphs/<name>/<revision>.json`.

Two curators may edit the same graph. Saving therefore says which revision the edits started from; if
somebody saved in between, the save is refused and both versions are handed back, so nothing is lost.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.changes import describe_changes
from causalmix_core.graph.model import CausalGraph
from causalmix_core.workspace import Name, Workspace, check_name, create_exclusive, sweep

_REVISION_FILE = re.compile(r"([1-9]\d*)\.json")


class GraphRevision(BaseModel):
    """A graph as somebody saved it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    revision: int = Field(ge=1)
    parent: int | None
    """The revision that the edits started from; None for the first."""
    saved_at: AwareDatetime
    by: str
    note: str = ""
    changes: tuple[str, ...] = ()
    """What differs from the parent, in words; empty for the first."""
    graph: CausalGraph
    snapshot: str | None = None
    """The pool that the graph was made for, where it was made for one."""
    runs: int | None = None
    """How many runs it was discovered from."""


class OutdatedRevision(CausalMixError):  # noqa: N818  # says what happened, as the page does
    """Somebody saved the graph in between; nothing was written and nothing is lost.

    Attributes:
        saved: the newest revision on disk.
        unsaved: what was to be saved, with the revision number that it would have had.
    """

    def __init__(self, saved: GraphRevision, unsaved: GraphRevision) -> None:
        self.saved = saved
        self.unsaved = unsaved
        base = f"revision {unsaved.parent}" if unsaved.parent is not None else "no saved revision"
        note = f", {saved.note!r}" if saved.note else ""
        super().__init__(
            f"The graph {saved.name!r} is at revision {saved.revision} (saved by {saved.by}{note}), but "
            f"this one started from {base}. Nothing was overwritten. Load revision {saved.revision} and "
            "make the changes again, or save under another name."
        )


def save_graph(
    workspace: Workspace,
    name: str,
    graph: CausalGraph,
    *,
    parent: int | None,
    by: str,
    note: str = "",
    snapshot: str | None = None,
    runs: int | None = None,
) -> GraphRevision:
    """Save `graph` as the next revision of `name`.

    Args:
        workspace: where to save.
        name: of the graph; 1 to 64 letters, digits, `.`, `_` or `-`.
        graph: what to save.
        parent: the revision that the edits started from; None if the name is new.
        by: who saves.
        note: why, in the curator's words.
        snapshot: id of the pool that the graph was made for.
        runs: how many runs it was discovered from.

    Raises:
        OutdatedRevision: `parent` is not the newest revision (any more).
        CausalMixError: the name is not usable, `parent` does not exist or is damaged, or the file
            system refuses.
    """
    folder = _folder(workspace, name)
    known = _revisions(folder)
    if parent is not None and parent not in known:
        raise CausalMixError(
            f"The graph {name!r} has no revision {parent} to start from; "
            + (f"it has {_listed(known)}." if known else "nothing is saved under that name.")
        )
    newest = known[-1] if known else None
    changes = () if parent is None else describe_changes(load_graph(workspace, name, parent).graph, graph)
    revision = GraphRevision(
        name=name,
        revision=1 if parent is None else parent + 1,
        parent=parent,
        saved_at=datetime.now(UTC),
        by=by,
        note=note,
        changes=tuple(changes),
        graph=graph,
        snapshot=snapshot,
        runs=runs,
    )
    if newest != parent:
        raise OutdatedRevision(load_graph(workspace, name), revision)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CausalMixError(f"Cannot make {folder}: {error.strerror}. Nothing was saved.") from error
    sweep(folder)
    # Whoever saves between the check above and this line has made the same file.
    if not create_exclusive(_path(folder, revision.revision), revision.model_dump_json(indent=1)):
        raise OutdatedRevision(load_graph(workspace, name), revision)
    return revision


def load_graph(workspace: Workspace, name: str, revision: int | None = None) -> GraphRevision:
    """Read a revision of `name`, the newest unless told.

    Raises:
        CausalMixError: there is no such graph or revision, or its file is damaged (the message names it).
    """
    folder = _folder(workspace, name)
    known = _revisions(folder)
    if not known:
        there = ", ".join(list_graphs(workspace)) or "none"
        raise CausalMixError(f"There is no graph {name!r} in this workspace. Saved graphs: {there}.")
    if revision is None:
        revision = known[-1]
    elif revision not in known:
        raise CausalMixError(f"The graph {name!r} has no revision {revision}; it has {_listed(known)}.")
    path = _path(folder, revision)
    others = [r for r in known if r != revision]
    way_out = "Restore the file from a backup" + (f", or load revision {_listed(others)}." if others else ".")
    try:
        found = GraphRevision.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        raise CausalMixError(f"{path} is damaged: {problem}. {way_out}") from error
    except OSError as error:
        raise CausalMixError(f"Cannot read {path}: {error.strerror}. {way_out}") from error
    if (found.name, found.revision) != (name, revision):
        raise CausalMixError(
            f"{path} holds revision {found.revision} of {found.name!r}, so it was moved by hand. {way_out}"
        )
    return found


def compare_revisions(workspace: Workspace, name: str, old: int, new: int) -> list[str]:
    """What differs from one revision of `name` to another, in words and with the reasons given.

    Any two can be compared; from a newer to an older one the words say what going back would do.

    Raises:
        CausalMixError: one of the revisions does not exist or is damaged.
    """
    before, after = (load_graph(workspace, name, revision).graph for revision in (old, new))
    return describe_changes(before, after)


def list_graphs(workspace: Workspace) -> dict[str, list[int]]:
    """Names of the saved graphs, sorted, each with its revisions, oldest first."""
    found: dict[str, list[int]] = {}
    for folder in sorted(workspace.graphs.glob("*")):
        revisions = _revisions(folder)
        if revisions and not folder.name.startswith("."):
            found[folder.name] = revisions
    return found


def _folder(workspace: Workspace, name: str) -> Path:
    try:
        return workspace.graphs / check_name(name)
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error


def _path(folder: Path, revision: int) -> Path:
    return folder / f"{revision}.json"


def _revisions(folder: Path) -> list[int]:
    """Revision numbers in `folder`, ascending; a file that is still being written has another name."""
    matches = (_REVISION_FILE.fullmatch(path.name) for path in folder.glob("*.json"))
    return sorted(int(match[1]) for match in matches if match)


def _listed(revisions: list[int]) -> str:
    return ", ".join(map(str, revisions))
