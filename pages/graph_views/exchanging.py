"""Graphs from and for other programs: paste or upload one, or download this one."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.formats import FORMAT_NAMES, GraphFormat, read_graph, write_graph
from causalmix_core.probes import RunTable
from pages.graph_views import draft
from pages.widgets.actions import action, outcome
from pages.widgets.graph_editor import settle
from pages.widgets.shell import user

_TEXT, _FILE = "graph_import_text", "graph_import_file"
_ENDINGS: dict[GraphFormat, str] = {"dot": "dot", "dagitty": "txt", "gml": "gml", "json": "json"}


def show(runs: RunTable) -> None:
    """Lay out the panel."""
    into, out = st.columns(2, gap="large")
    with into:
        st.markdown("**Import**")
        st.text_area(
            "Text of a graph", key=_TEXT, height=130, placeholder='dag { "weight/code" -> "loss/code" }',
            help="DOT, dagitty (as dagitty.net gives it), GML or JSON; recognised by itself. Names may leave "
            "out weight/, loss/ and state/ where only one column fits.",
        )  # fmt: skip
        st.file_uploader("or a file", key=_FILE, type=["dot", "gv", "txt", "dag", "gml", "json"])
        action("Put it on the desk", _import, runs, key="graph_import", icon=":material/upload:")
        outcome("graph_import")
    with out:
        st.markdown("**Export**")
        chosen = st.selectbox(
            "Format", get_args(GraphFormat), format_func=FORMAT_NAMES.__getitem__, key="graph_format",
            help="JSON keeps everything; DOT and GML nodes, edges, notes and rules; dagitty nodes and edges.",
        )  # fmt: skip
        text = write_graph(draft.current().graph, chosen)
        st.download_button(
            "Download the graph", text, mime="text/plain",
            file_name=f"{draft.current().name}.{_ENDINGS[chosen]}", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip


def _import(runs: RunTable) -> None:
    settle(draft.EDITOR, draft.do)
    text, file = str(st.session_state.get(_TEXT) or ""), st.session_state.get(_FILE)
    if file is not None:
        try:
            text = file.getvalue().decode("utf-8")
        except UnicodeDecodeError:
            raise CausalMixError(f"{file.name} is not UTF-8 text.") from None
    if not text.strip():
        raise CausalMixError("Paste the text of a graph, or choose a file.")
    known = [*runs.states, *runs.weight_columns, *runs.outcomes]
    graph = read_graph(text, known=known, by=user())
    draft.current().lay(graph, [f"Imported: {len(graph.edges)} edges."])
