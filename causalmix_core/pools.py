"""Pools that there are runs of: snapshots of the workspace's own text, and imports known only by their runs.

A question is always about one pool, because what was measured in one says nothing about another. Which one is
decided here, once, for the pages and the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from causalmix_core.corpus import open_snapshot
from causalmix_core.corpus.snapshot import current_id
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import IMPORT, pool_words
from causalmix_core.probes.runs import read_rows
from causalmix_core.workspace import Workspace

DEFAULT_GRAPH = "main"
CURRENT = "current"
"""Stands for the snapshot in use where a pool is named."""


@dataclass(frozen=True)
class Pool:
    """A pool that finished runs are of.

    Attributes:
        id: of the snapshot, or `import-<name>`.
        runs: how many finished runs there are, used by effects or not.
        newest: when the newest of them finished; None where no run says.
        current: whether it is the snapshot in use.
    """

    id: str
    runs: int
    newest: datetime | None
    current: bool = False

    @property
    def imported(self) -> bool:
        """Whether it is known only by runs from elsewhere."""
        return self.id.startswith(IMPORT)

    @property
    def label(self) -> str:
        """The pool and its number of runs, in words."""
        name = "this workspace's text" if self.current else pool_words(self.id)
        return f"{name} ({self.runs:,} runs)"


def list_pools(workspace: Workspace) -> list[Pool]:
    """Pools with finished runs: the snapshot in use, then imports, then other snapshots, the newest first.

    Raises:
        CausalMixError: a run file is damaged.
    """
    rows = read_rows(workspace.runs)
    rows = rows[(rows["status"] == "finished") & rows["snapshot"].notna()]
    current = current_id(workspace)
    found = []
    for pool, own in rows.groupby("snapshot"):
        at = own["finished_at"].dropna() if "finished_at" in own else pd.Series([], dtype="object")
        newest = pd.Timestamp(at.max()).to_pydatetime() if len(at) else None
        found.append(Pool(str(pool), len(own), newest, current=pool == current))
    age = {p.id: -p.newest.timestamp() if p.newest else 0.0 for p in found}
    return sorted(found, key=lambda p: (not p.current, not p.imported, age[p.id], p.id))


def resolve_pool(workspace: Workspace, named: str | None = None) -> str:
    """The pool that a question is about.

    Args:
        workspace: where the runs are.
        named: a snapshot's id, `current`, `import-<name>` or the name of an import. None: the snapshot in
            use where it has runs, else the newest import, else the snapshot in use.

    Raises:
        CausalMixError: there is no such pool, or no pool at all; the message lists what there is.
    """
    pools = list_pools(workspace)
    current = current_id(workspace)
    if named is None:
        usual = [p.id for p in pools if p.current or p.imported]
        if not usual and current is None:
            raise CausalMixError(
                "There are no runs to learn from yet. Read the sources with `causalmix ingest` and train a "
                "swarm with `causalmix probe`, or bring runs from elsewhere with `causalmix runs import`."
            )
        return usual[0] if usual else str(current)
    if named == CURRENT:
        return open_snapshot(workspace).id
    known = {p.id for p in pools}
    for candidate in (named, IMPORT + named):
        if candidate in known:
            return candidate
    if not named.startswith(IMPORT) and (workspace.snapshots / named / "manifest.json").is_file():
        return named  # read_runs says that it has no runs
    there = ", ".join(p.id for p in pools) or "none"
    raise CausalMixError(f"There are no runs of a pool {named}. Pools with runs: {there}.")


def graph_of(pool: str) -> str:
    """The name of the graph that a pool's runs use by default.

    Snapshots share one graph, because their runs have the same columns as a rule; an import speaks of
    other domains and has its own.
    """
    return pool if pool.startswith(IMPORT) else DEFAULT_GRAPH
