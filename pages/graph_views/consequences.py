"""Beside the drawing: what the graph means for one effect, and what would mend it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import streamlit as st

from causalmix_core.graph import CausalGraph, Operation
from causalmix_core.graph.consequences import (
    Consequences,
    Highlight,
    Remedy,
    Verdict,
    consequences,
    what_changed,
)
from causalmix_core.probes import WEIGHT, RunTable
from pages.graph_views import draft
from pages.graph_views.plain import plain
from pages.widgets.actions import action, outcome
from pages.widgets.graph_editor import SelectedEdge, SelectedNode, ShownPath, settle

Do = Callable[[Operation], None]

BADGES: dict[Verdict, tuple[str, Literal["green", "gray", "orange"], str]] = {
    "identified": ("identified", "green", ":material/check:"),
    "excluded": ("no own effect", "gray", ":material/block:"),
    "not identified": ("not identified", "orange", ":material/help:"),
}
MOST_CHANGES = 5
DOMAIN, OUTCOME, SHOWN = "effect_domain", "effect_outcome", "effect_shown"
_FOLLOWED, _ASKED = "effect_followed", "effect_asked"
_NOTHING, _EFFECT = "nothing", "the effect"


@dataclass(frozen=True)
class Pointed:
    """What the drawing is told about an effect.

    Attributes:
        highlight: ids of nodes, and (source, target) of edges, that stay marked.
        title: what the paths are.
        paths: the paths besides the effect by which the two may go together, open or closed.
    """

    highlight: tuple[str | tuple[str, str], ...] = ()
    title: str = ""
    paths: tuple[ShownPath, ...] = ()


def show(
    graph: CausalGraph,
    base: CausalGraph,
    runs: RunTable,
    selection: SelectedNode | SelectedEdge | None,
    do: Do = draft.do,
) -> Pointed:
    """Lay out the panel.

    Args:
        graph: on the desk.
        base: the saved graph that it is compared with.
        runs: what was measured.
        selection: what is selected in the drawing: a weight or an outcome of it is asked about.
        do: does one edit; called in a callback.

    Returns:
        What the drawing is to point at, and the paths that it is to list.
    """
    weights, outcomes = graph.tier("weight"), graph.tier("outcome")
    if not weights or not outcomes:
        st.caption("The graph has no effect of a weight on an outcome.")
        return Pointed()
    _follow(selection, weights, outcomes)
    left, right = st.columns(2)
    weight = left.selectbox("Effect of", weights, format_func=lambda w: w.removeprefix(WEIGHT), key=DOMAIN)
    target = right.selectbox("on", outcomes, key=OUTCOME)
    said = consequences(graph, weight, target, runs.states)
    label, colour, icon = BADGES[said.verdict]
    st.badge(label, color=colour, icon=icon)
    st.markdown(plain(said.reason))
    _remedies(said, do)
    shown = _paths(said)
    _variables(said)
    _changes(base, graph, runs)
    between = f"Other paths between {weight.removeprefix(WEIGHT)} and {target}"
    paths = tuple(
        ShownPath(path.text, path.why, path.highlight.nodes, path.highlight.edges) for path in said.paths
    )
    return Pointed((*shown.nodes, *shown.edges), between, paths)


def _follow(
    selection: SelectedNode | SelectedEdge | None, weights: Collection[str], outcomes: Collection[str]
) -> None:
    """Turn to what was selected in the drawing, once; afterwards the two fields can be set freely."""
    for key, there in ((DOMAIN, weights), (OUTCOME, outcomes)):
        if key in st.session_state and st.session_state[key] not in there:
            del st.session_state[key]  # the graph has lost it
    if selection == st.session_state.get(_FOLLOWED):
        return
    st.session_state[_FOLLOWED] = selection
    if selection is None:
        return
    named = [selection.id] if isinstance(selection, SelectedNode) else [selection.source, selection.target]
    for node in named:
        if node in weights:
            st.session_state[DOMAIN] = node
        if node in outcomes:
            st.session_state[OUTCOME] = node


def _remedies(said: Consequences, do: Do) -> None:
    """The smallest edits as buttons, and what only new runs can bring."""
    if not said.remedies:
        return
    keys = [f"remedy-{i}" for i in range(len(said.remedies))]
    edits = [(k, r) for k, r in zip(keys, said.remedies, strict=True) if r.operations]
    outcome(*keys)
    if edits:
        st.caption("It would be identified by one of these edits. Make one only if you know it to be true.")
    for key, remedy in edits:
        action(
            plain(_capital(remedy.words)),
            _apply,
            remedy,
            do,
            key=key,
            icon=":material/edit:",
            type="tertiary",
        )
    others = [r for r in said.remedies if not r.operations]
    st.caption("Or change the runs: " + plain("; ".join(r.words for r in others)) + ".")


def _apply(remedy: Remedy, do: Do) -> None:
    settle(draft.EDITOR, do)
    for operation in remedy.operations:
        do(operation)


def _paths(said: Consequences) -> Highlight:
    """What stays marked in the drawing; the paths themselves are listed below it."""
    if said.more_paths:
        st.caption("There are more paths; these are the shortest.")
    marks = {_NOTHING: Highlight(), _EFFECT: said.effect, **{p.text: p.highlight for p in said.paths}}
    first = next((p.text for p in said.paths if not p.closed), _NOTHING)
    asked = (said.weight, said.outcome, said.verdict)
    if st.session_state.get(_ASKED) != asked or st.session_state.get(SHOWN) not in marks:
        st.session_state[_ASKED] = asked
        st.session_state[SHOWN] = first
    return marks[st.selectbox("Mark in the drawing", list(marks), key=SHOWN)]


def _variables(said: Consequences) -> None:
    """What is held fixed, what is not, and why."""
    if said.modifiers and said.verdict != "excluded":
        st.caption(f"The effect may differ by {plain(', '.join(said.modifiers))}.")
    if not said.variables:
        return
    held = sum(v.held_fixed for v in said.variables)
    with st.expander(f"Held fixed: {held} of {len(said.variables)} variables", icon=":material/tune:"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Variable": [v.id for v in said.variables],
                    "Fixed": [v.held_fixed for v in said.variables],
                    "Why": [v.why for v in said.variables],
                }
            ),
            hide_index=True,
            height=min(300, 38 + 35 * len(said.variables)),
            column_config={
                "Variable": st.column_config.TextColumn(width="small"),
                "Fixed": st.column_config.CheckboxColumn(width=55),
                "Why": st.column_config.TextColumn(width="large"),
            },
        )


def _changes(base: CausalGraph, graph: CausalGraph, runs: RunTable) -> None:
    """What the draft does to every estimate, compared with what is saved."""
    if base == graph:
        return
    lines = what_changed(base, graph, runs.states)
    if not lines:
        st.caption("Your changes leave every estimate as it is.")
        return
    st.markdown("**What your changes do to the estimates**")
    st.markdown("\n".join(f"- {plain(line)}" for line in lines[:MOST_CHANGES]))
    if len(lines) > MOST_CHANGES:
        with st.expander(f"{len(lines) - MOST_CHANGES} more"):
            st.markdown("\n".join(f"- {plain(line)}" for line in lines[MOST_CHANGES:]))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
