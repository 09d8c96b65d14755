"""Saving a draft, what to do when somebody else saved meanwhile, and every revision with what it changed."""

from __future__ import annotations

import streamlit as st

from causalmix_core.graph import describe_changes, list_graphs, load_graph
from causalmix_core.probes import RunTable
from causalmix_core.workspace import Workspace
from pages.graph_views import draft
from pages.widgets.actions import action, outcome

NOTE = "graph_note"
MOST_LINES = 8


def saving(workspace: Workspace, runs: RunTable, pool: str) -> None:
    """Unsaved changes, and the button that saves them."""
    held = draft.current()
    changes = draft.unsaved(held)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Note", placeholder="what this revision is about", width=320, key=NOTE)
        action(
            "Save the graph", draft.save, workspace, runs, pool, NOTE,
            key="save_graph", type="primary", icon=":material/save:", disabled=not changes,
        )  # fmt: skip
    outcome("save_graph", "save_over", "take_newest")
    if held.saved is not None:
        st.success(f"Saved as revision {held.saved}.", icon=":material/check:")
        held.saved = None
    if held.conflict is not None:
        _conflict(workspace, runs, pool)
        return
    if changes and held.desk.parent is not None:
        st.caption("Not saved yet: " + _in_words(changes))
    elif changes:
        st.caption("No graph is saved yet; until then effects assume that everything may matter.")
    else:
        st.caption(f"This is revision {held.desk.parent}, which the effects rest on.")


def _conflict(workspace: Workspace, runs: RunTable, pool: str) -> None:
    """Both versions, and the choice between them."""
    conflict = draft.current().conflict
    assert conflict is not None
    theirs, mine = conflict.saved, conflict.unsaved
    with st.container(border=True):
        note = f" ({theirs.note})" if theirs.note else ""
        st.error(
            f"{theirs.by} saved revision {theirs.revision}{note} while you were editing. Nothing was "
            "overwritten; choose what becomes of both.",
            icon=":material/call_split:",
        )
        left, right = st.columns(2, gap="large")
        with left:
            st.markdown(f"**Revision {theirs.revision}, saved by {theirs.by}**")
            st.markdown(_as_list(list(theirs.changes) or ["the first revision"]))
            action(
                "Take theirs", draft.take, workspace, runs, key="take_newest", icon=":material/download:",
                help="Yours stays one step back: Undo brings it to the desk again.",
            )  # fmt: skip
        with right:
            st.markdown("**Yours, compared with theirs**")
            st.markdown(_as_list(describe_changes(theirs.graph, mine.graph) or ["no difference"]))
            action(
                "Save mine on top", draft.save, workspace, runs, pool, NOTE, True, key="save_over",
                icon=":material/save:", help="Theirs stays on record as the revision before.",
            )  # fmt: skip


def history(workspace: Workspace, runs: RunTable) -> None:
    """Every saved revision; any two of them compared in words."""
    name = draft.current().name
    numbers = sorted(list_graphs(workspace).get(name, []), reverse=True)
    if not numbers:
        st.caption("Nothing is saved yet.")
        return
    for number in numbers[:20]:
        revision = load_graph(workspace, name, number)
        note = f" · {revision.note}" if revision.note else ""
        st.markdown(f"**{number}** · {revision.saved_at:%Y-%m-%d %H:%M} UTC · {revision.by}{note}")
        if revision.changes:
            st.caption(_in_words(list(revision.changes)))
    if len(numbers) < 2:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        older = st.selectbox("From revision", numbers, index=1, width=140, key="diff_from")
        newer = st.selectbox("to revision", numbers, index=0, width=140, key="diff_to")
        action(
            "Lay it on the desk", _lay, workspace, runs, key="lay_revision", icon=":material/history:",
            help="The second one becomes your draft; saving it makes a new revision.",
        )  # fmt: skip
    outcome("lay_revision")
    lines = describe_changes(
        load_graph(workspace, name, older).graph, load_graph(workspace, name, newer).graph
    )
    st.markdown(_as_list(lines, most=40) if lines else ":gray[They say the same.]")


def _lay(workspace: Workspace, runs: RunTable) -> None:
    draft.take(workspace, runs, int(st.session_state["diff_to"]))


def _in_words(changes: list[str]) -> str:
    more = len(changes) - MOST_LINES
    return "; ".join(changes[:MOST_LINES]) + (f"; and {more} more" if more > 0 else "")


def _as_list(lines: list[str], most: int = MOST_LINES) -> str:
    shown = [f"- `{line}`" if "`" not in line else f"- {line}" for line in lines[:most]]
    if len(lines) > most:
        shown.append(f"- and {len(lines) - most} more")
    return "\n".join(shown)
