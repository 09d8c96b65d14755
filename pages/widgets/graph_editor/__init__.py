"""The graph editor: a causal graph as a drawing in which a curator adds, turns, requires and forbids edges.

Python holds the graph and the browser proposes edits, each with a number. A message carries every edit that
Python has not acknowledged, because quick edits reach a busy page in one message or in several that
overlap; `settle` skips the numbers it has seen, so that each edit is done exactly once and in order. A
refusal travels back with its number and is shown where the edit was made. What is only a matter of
looking (where nodes stand, zoom, filter, selection) belongs to the browser, which reports it.

Markup, style and script are read as text: Streamlit serves component folders only for distributions that
carry a manifest of their own, while inline text works from a bare checkout.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import streamlit as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    LATENT,
    CausalGraph,
    Edge,
    Forbidden,
    Mark,
    Node,
    Operation,
    Provenance,
    Tier,
    parse_operation,
)
from causalmix_core.probes import STATE, WEIGHT

__all__ = [
    "EditorState",
    "SelectedEdge",
    "SelectedNode",
    "ShownPath",
    "editor_state",
    "graph_editor",
    "settle",
]

MOST_CLIENTS = 16
"""Browser tabs of one session whose edits are told apart; each reload is a new one."""
MOST_REFUSALS = 20
"""Refusals kept until the browser has shown them."""

_FOLDER = Path(__file__).parent
_SCRIPTS = ("layout.js", "outbox.js", "editor.js")
_mount = st.components.v2.component(
    "causalmix.graph_editor",
    html=(_FOLDER / "editor.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "editor.css").read_text(encoding="utf-8"),
    js="\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS),
)

_TIERS: tuple[tuple[Tier, str, str, str], ...] = (
    ("latent", "Latent", "what nobody measured", "a latent"),
    ("state", "Pool state", "what the pool is like", "pool state"),
    ("weight", "Weights", "what you choose", "a weight"),
    ("outcome", "Outcomes", "what a proxy measures", "an outcome"),
)
_ORIGINS = {
    "discovered": "discovered",
    "assumed": "assumed",
    "added": "added by hand",
    "reversed": "turned by hand",
    "imported": "imported",
}
_ORIGIN_OF = {"oriented": "reversed"}
"""An edge that was given a direction by hand looks like one that was turned round."""


class _Message(BaseModel):
    """A closed shape, since anything can be sent over the wire."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_M = TypeVar("_M", bound=_Message)


class SelectedNode(_Message):
    """The node that is selected in the drawing."""

    kind: Literal["node"] = "node"
    id: str


class SelectedEdge(_Message):
    """The edge that is selected in the drawing."""

    kind: Literal["edge"] = "edge"
    source: str
    target: str
    mark: Mark = "directed"


_Place = Annotated[list[Annotated[float, Field(ge=-1e6, le=1e6)]], Field(min_length=2, max_length=2)]


class _View(_Message):
    selected: Annotated[SelectedNode | SelectedEdge, Field(discriminator="kind")] | None = None
    positions: dict[str, _Place] = {}
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    filter: Annotated[str, Field(max_length=300)] = "all"


class _Sent(_Message):
    seq: Annotated[int, Field(ge=1)]
    operation: dict[str, Any]


class _Outbox(_Message):
    session: str
    client: Annotated[str, Field(min_length=1, max_length=64)]
    operations: list[_Sent]


@dataclass(frozen=True)
class EditorState:
    """What a curator looks at, as the browser last reported it.

    Attributes:
        selected: the node or edge that is selected, if the graph has it.
        positions: where nodes were put by hand, by id: (x, y) in pixels of the drawing at a zoom of 1.
        threshold: edges found in a smaller share of resamples are hidden, 0 to 1.
    """

    selected: SelectedNode | SelectedEdge | None = None
    positions: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    threshold: float = 0.0


@dataclass(frozen=True)
class ShownPath:
    """A path that is listed below the drawing.

    Attributes:
        words: of the path.
        why: what closes it or keeps it open.
        nodes: on the path.
        edges: (source, target) on the path.
    """

    words: str
    why: str
    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Refusal:
    client: str
    seq: int
    words: str


@dataclass
class _Memory:
    """What the session knows about its browser: kept over reruns and visits to other pages."""

    session: str = field(default_factory=lambda: secrets.token_hex(8))
    acks: OrderedDict[str, int] = field(default_factory=OrderedDict)
    refusals: list[_Refusal] = field(default_factory=list)
    view: _View = field(default_factory=_View)


def graph_editor(
    graph: CausalGraph,
    *,
    key: str,
    do: Callable[[Operation], None],
    revision: int,
    can_undo: bool = False,
    can_redo: bool = False,
    highlight: Collection[str | tuple[str, str]] = (),
    paths_title: str = "",
    paths: Sequence[ShownPath] = (),
    read_only: bool = False,
    height: int | None = None,
) -> EditorState:
    """Draw a graph to be edited and return what is selected in it.

    Edits are passed to `do` in a callback, that is before the body of the next run; call `settle` first in
    every other callback that reads the graph, such as one that saves it.

    Args:
        graph: what to draw; after an edit, the page passes the graph that `do` made of it.
        key: unique key of the component. The session also keeps what it knows of the browser, under
            ``f"{key}/memory"``, so that places and selection survive a visit to another page.
        do: does one operation on the graph that the session keeps; a `CausalMixError` is a refusal, whose
            words are shown at the edge. It may be called in a later run than the one that passed it, so it
            must find the graph in the session state.
        revision: number of the graph; raise it whenever the program lays another graph on the desk
            (discovered, imported, loaded), and nodes that nobody moved are laid out afresh. Between two
            revisions nodes stay where they are.
        can_undo: whether there is a step to take back.
        can_redo: whether there is a step to do again.
        highlight: ids of nodes, and (source, target) pairs of edges, that the page points at.
        paths_title: what the paths are.
        paths: listed below the drawing; each is marked in it while the pointer or the focus is on its words.
        read_only: only look; operations that still arrive are refused.
        height: of the drawing, in pixels; by default it follows the fullest column.

    Returns:
        Selection, places and threshold as last reported. A message that does not fit is ignored.
    """
    memory = _memory(key)
    state = editor_state(graph, key=key)
    _mount(
        key=key,
        data={
            **_drawing(graph),
            "session": memory.session,
            "revision": revision,
            "acks": dict(memory.acks),
            "refusals": [vars(r) for r in memory.refusals],
            "can_undo": can_undo,
            "can_redo": can_redo,
            "read_only": read_only,
            "height": height,
            "highlight": {
                "nodes": [item for item in highlight if isinstance(item, str)],
                "edges": [list(item) for item in highlight if not isinstance(item, str)],
            },
            "paths": {"title": paths_title, "paths": [asdict(path) for path in paths]},
            "view": memory.view.model_copy(update={"selected": state.selected}).model_dump(),
        },
        on_outbox_change=lambda: settle(key, _refuse if read_only else do),
        on_view_change=_rerun_only,
    )
    return state


def settle(key: str, do: Callable[[Operation], None]) -> None:
    """Do what the browser has asked for and nobody has done yet: each operation exactly once, in order.

    Cheap when there is nothing new. The editor calls it in its own callback; other callbacks that read the
    graph call it first, because Streamlit does not promise which callback of a run comes first.

    Args:
        key: key of the editor.
        do: as for `graph_editor`.
    """
    outbox = _read(st.session_state.get(key), "outbox", _Outbox)
    memory = _memory(key)
    if outbox is None or outbox.session != memory.session:
        return  # edits of a session that has ended spoke of a draft that is gone
    for sent in outbox.operations:
        if sent.seq <= memory.acks.get(outbox.client, 0):
            continue
        try:
            do(_operation(sent.operation))
        except CausalMixError as error:
            memory.refusals.append(_Refusal(outbox.client, sent.seq, str(error)))
        finally:  # also after a fault of ours: what fails once must not come back with every later edit
            memory.acks[outbox.client] = sent.seq
        memory.acks.move_to_end(outbox.client)
    while len(memory.acks) > MOST_CLIENTS:
        memory.acks.popitem(last=False)
    del memory.refusals[:-MOST_REFUSALS]


def editor_state(graph: CausalGraph, *, key: str) -> EditorState:
    """What is selected and where nodes stand, known before the editor is drawn.

    Args:
        graph: the graph as it is now; a selection that it does not have is no selection.
        key: key of the editor.
    """
    memory = _memory(key)
    view = _read(st.session_state.get(key), "view", _View)
    if view is not None:
        memory.view = view
    view = memory.view
    nodes = {n.id for n in graph.nodes}
    selected = view.selected
    if isinstance(selected, SelectedNode) and selected.id not in nodes:
        selected = None
    if isinstance(selected, SelectedEdge):
        selected = _edge_now(graph, selected)
    return EditorState(
        selected=selected,
        positions={i: (place[0], place[1]) for i, place in view.positions.items() if i in nodes},
        threshold=view.threshold,
    )


def _edge_now(graph: CausalGraph, selected: SelectedEdge) -> SelectedEdge | None:
    """The selected edge as it runs now: an edit may have turned it since the browser reported it."""
    mark: Mark | None = "bidirected" if selected.mark == "bidirected" else None
    edge = graph.edge_between(selected.source, selected.target, mark)
    if edge is None or (mark is None and edge.mark == "bidirected"):
        return None
    return SelectedEdge(source=edge.source, target=edge.target, mark=edge.mark)


def _operation(value: Mapping[str, Any]) -> Operation:
    """An operation from the browser, or a refusal in words."""
    try:
        return parse_operation(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CausalMixError(f"This edit was not understood ({place}: {first['msg']}).") from None


def _refuse(operation: Operation) -> None:
    raise CausalMixError("This graph can only be looked at.")


def _rerun_only() -> None:
    """Streamlit keeps a component's value only if it is given a callback; the rerun is all we need."""


def _memory(key: str) -> _Memory:
    memory: _Memory = st.session_state.setdefault(f"{key}/memory", _Memory())
    return memory


def _read(state: object, name: str, shape: type[_M]) -> _M | None:
    """A message of the browser in the component's session state; None if there is none or it is malformed."""
    try:
        return shape.model_validate(state[name])  # type: ignore[index]
    except (TypeError, KeyError, ValidationError):
        return None


def _drawing(graph: CausalGraph) -> dict[str, Any]:
    """What the browser draws; names are kept whole and shortened there, where the room is known."""
    return {
        "tiers": [
            {"tier": tier, "title": title, "caption": caption, "one": one}
            for tier, title, caption, one in _TIERS
        ],
        "origins": _ORIGINS,
        "nodes": [_node(node) for node in graph.nodes],
        "edges": [_edge(edge) for edge in graph.edges],
        "forbidden": [_ban(rule) for rule in graph.forbidden],
    }


def _node(node: Node) -> dict[str, str]:
    """A node with its short label: the column says that it is a weight, but not which loss it is."""
    for prefix in (STATE, WEIGHT, LATENT):
        if node.id.startswith(prefix):
            return {"id": node.id, "tier": node.tier, "prefix": "", "label": node.id.removeprefix(prefix)}
    measure, slash, rest = node.id.partition("/")
    prefix, label = (measure, rest) if slash and measure and rest else ("", node.id)
    return {"id": node.id, "tier": node.tier, "prefix": prefix, "label": label}


def _edge(edge: Edge) -> dict[str, Any]:
    kind = edge.provenance.kind
    return {
        "source": edge.source,
        "target": edge.target,
        "mark": edge.mark,
        "origin": _ORIGIN_OF.get(kind, kind),
        "words": _words(kind, edge.provenance),
        "stability": edge.stability,
        "status": edge.status,
        "note": edge.note,
    }


def _ban(rule: Forbidden) -> dict[str, str]:
    words = f"forbidden by {rule.by}" + (f": {rule.why}" if rule.why else "")
    return {"source": rule.source, "target": rule.target, "words": words}


def _words(kind: str, provenance: Provenance) -> str:
    words = f"{kind} by {provenance.by}"
    if provenance.detail:
        words += f" ({provenance.detail})"
    if provenance.why:
        words += f": {re.sub(r'[.]$', '', provenance.why)}"
    return words
