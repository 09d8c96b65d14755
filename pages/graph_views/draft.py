"""The draft that a curator works on, kept in the session: a desk, what a search said of it, its saving."""

from __future__ import annotations

from dataclasses import dataclass, field

import streamlit as st

from causalmix_core.graph import (
    CausalGraph,
    Desk,
    GraphRevision,
    Operation,
    OutdatedRevision,
    describe_changes,
    list_graphs,
    load_graph,
    saturated_graph,
    save_graph,
)
from causalmix_core.pools import DEFAULT_GRAPH
from causalmix_core.probes import RunTable
from causalmix_core.workspace import Workspace
from pages.widgets.graph_editor import settle
from pages.widgets.shell import user

EDITOR = "graph_editor"
"""Key of the editor."""
_DRAFT = "graph_draft"


@dataclass
class Draft:
    """What is on the desk.

    Attributes:
        desk: the graph with its undo and redo.
        revision: counts the graphs that the program laid on the desk, for the editor.
        notes: what the last search said about its result.
        saved: the revision that was just saved, to be said once.
        conflict: somebody else saved meanwhile.
        name: of the graph that it is a draft of.
    """

    desk: Desk
    revision: int = 0
    notes: list[str] = field(default_factory=list)
    saved: int | None = None
    conflict: OutdatedRevision | None = None
    name: str = DEFAULT_GRAPH

    @property
    def graph(self) -> CausalGraph:
        """What is on the desk now."""
        return self.desk.present

    def lay(self, graph: CausalGraph, notes: list[str] | None = None) -> None:
        """Lay another graph on the desk; the one before can be brought back."""
        self.desk = self.desk.put(graph)
        self.revision += 1
        self.notes = notes or []


def draft_of(workspace: Workspace, runs: RunTable, name: str = DEFAULT_GRAPH) -> Draft:
    """The draft of this session.

    It is the newest saved revision at first, and again when the runs have other columns or another graph is
    meant.

    Args:
        workspace: where graphs are saved.
        runs: the runs on the page.
        name: of the graph.
    """
    draft: Draft | None = st.session_state.get(_DRAFT)
    if draft is None or draft.name != name or not _fits(draft.graph, runs):
        draft = _opened(workspace, runs, draft.revision + 1 if draft else 0, name)
        st.session_state[_DRAFT] = draft
    return draft


def do(operation: Operation) -> None:
    """One edit of the editor; in a callback, so it finds the draft in the session.

    Raises:
        GraphEditError: the edit is refused.
    """
    draft = current()
    draft.desk = draft.desk.do(operation, by=user())


def current() -> Draft:
    """The draft of this session, once there is one."""
    draft: Draft = st.session_state[_DRAFT]
    return draft


def assume(runs: RunTable) -> None:
    """Lay the graph on the desk in which everything may matter."""
    settle(EDITOR, do)
    current().lay(saturated_graph(runs, by=user()))


def newest(workspace: Workspace, name: str = DEFAULT_GRAPH) -> GraphRevision | None:
    """The newest saved revision of a graph; None when nothing is saved."""
    revisions = list_graphs(workspace).get(name, [])
    return load_graph(workspace, name, max(revisions)) if revisions else None


def save(workspace: Workspace, runs: RunTable, pool: str, note_key: str, over: bool = False) -> None:
    """Save what is on the desk as a new revision.

    Args:
        workspace: where to.
        runs: the runs on the page.
        pool: whose runs they are.
        note_key: key of the field with the note.
        over: on top of what somebody else saved meanwhile.

    Raises:
        CausalMixError: the file system refuses. When somebody else saved meanwhile, the draft says so.
    """
    settle(EDITOR, do)
    draft = current()
    parent = draft.conflict.saved.revision if over and draft.conflict else draft.desk.parent
    try:
        revision = save_graph(
            workspace,
            draft.name,
            draft.graph,
            parent=parent,
            by=user(),
            note=str(st.session_state.get(note_key, "")),
            snapshot=pool,
            runs=len(runs),
        )
    except OutdatedRevision as conflict:
        draft.conflict = conflict
        return
    draft.desk = draft.desk.saved(revision.revision)
    draft.saved, draft.conflict = revision.revision, None


def take(workspace: Workspace, runs: RunTable, number: int | None = None) -> None:
    """Lay a saved revision on the desk; the newest one becomes what the draft is based on."""
    settle(EDITOR, do)
    draft = current()
    if number is None:
        fresh = _opened(workspace, runs, draft.revision + 1, draft.name)
        fresh.desk = Desk(
            base=fresh.desk.base, parent=fresh.desk.parent, present=fresh.desk.present,
            past=(*draft.desk.past, draft.desk.present),
        )  # fmt: skip
        st.session_state[_DRAFT] = fresh
    else:
        draft.lay(load_graph(workspace, draft.name, number).graph, [f"Revision {number} is on the desk."])


def unsaved(draft: Draft) -> list[str]:
    """What is not saved yet, in words."""
    if draft.desk.parent is None:
        return ["no revision saved yet"]
    return describe_changes(draft.desk.base, draft.graph)


def _fits(graph: CausalGraph, runs: RunTable) -> bool:
    """Whether a graph speaks of the same measured variables as the runs."""
    variables = {*runs.weight_columns, *runs.states, *runs.outcomes}
    return {n.id for n in graph.nodes if n.tier != "latent"} == variables


def _opened(workspace: Workspace, runs: RunTable, revision: int, name: str) -> Draft:
    """The newest revision if it fits the runs, else the graph in which everything may matter."""
    saved = newest(workspace, name)
    if saved is not None and _fits(saved.graph, runs):
        return Draft(Desk.opened(saved.graph, saved.revision), revision, name=name)
    parent = saved.revision if saved else None
    notes = [f"Revision {parent} speaks of other variables than these runs."] if saved else []
    return Draft(Desk.opened(saturated_graph(runs, by=user()), parent), revision, notes, name=name)
