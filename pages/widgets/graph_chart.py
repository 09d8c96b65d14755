"""Draw a causal graph: three columns in the order of time, every edge coloured by where it comes from.

The vertical axis is in pixels, so rows never squeeze; the horizontal one stretches with the page. Edges
from pool state to outcomes run through the gaps between the weights, never behind a box, so that no
edge seems to end where it passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from causalmix_core.graph import CausalGraph, Edge, Tier

_Kind = Literal["discovered", "assumed", "hand"]
_Point = tuple[float, float]

_TIERS: tuple[Tier, ...] = ("state", "weight", "outcome")
_HEADINGS: dict[Tier, tuple[str, str]] = {
    "state": ("Pool state", "what the pool is like"),
    "weight": ("Weights", "what you choose"),
    "outcome": ("Outcomes", "what a proxy measures"),
}
_KIND_NAMES: dict[_Kind, str] = {"discovered": "discovered", "assumed": "assumed", "hand": "added by you"}

_FONT = "'Source Sans 3', 'Source Sans Pro', system-ui, -apple-system, 'Segoe UI', sans-serif"
_WIDTH = 900.0
"""Nominal width in pixels; the page stretches it."""
_BOX_HALF = 98.0
_LABEL_LENGTH = 21
_HEADER = 64.0
_LEGEND = 46
_CROWD = 5
"""Up to this many arrows each get their own place at a box; more of them join."""


@dataclass(frozen=True)
class _Theme:
    text: str
    muted: str
    box: str
    border: str
    accent: str
    hover: str
    kinds: dict[_Kind, str]


_LIGHT = _Theme(
    text="#1f2937",
    muted="#6b7280",
    box="#ffffff",
    border="#cbd5e1",
    accent="#be185d",
    hover="#ffffff",
    kinds={"discovered": "#2563eb", "assumed": "#8b95a5", "hand": "#d9660b"},
)
_DARK = _Theme(
    text="#f3f4f6",
    muted="#9ca3af",
    box="#1d2430",
    border="#475063",
    accent="#f472b6",
    hover="#262d3a",
    kinds={"discovered": "#6ea8fe", "assumed": "#8d97a8", "hand": "#ffa94d"},
)


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in pixels; y grows downwards.

    Attributes:
        centre: of each node's box.
        pitch: distance of two rows of the same column.
        box_half: half the height of a box.
        height: of the drawing without the legend.
    """

    centre: dict[str, _Point]
    columns: dict[Tier, list[str]]
    pitch: float
    box_half: float
    height: float


def graph_figure(graph: CausalGraph, highlight: tuple[str, str] | None, dark: bool) -> go.Figure:
    """The graph as a Plotly figure with transparent background.

    Args:
        graph: what to draw.
        highlight: (source, target) of an edge to bring out; the others fade. One that is not in the
            graph is ignored.
        dark: whether the page is dark.

    Returns:
        A figure of fixed height and flexible width. Show it without Streamlit's own chart theme.
    """
    theme = _DARK if dark else _LIGHT
    layout = _place(graph)
    paths = _routes(graph, layout)
    chosen = graph.edge_between(*highlight) if highlight else None
    figure = go.Figure()
    fade = 0.22 if chosen else (0.85 if len(graph.edges) <= 60 else 0.38)
    for kind in _KIND_NAMES:
        mine = [e for e in graph.edges if _kind(e) == kind]
        _draw_edges(figure, [(e, paths[e]) for e in mine if e is not chosen], kind, theme, fade)
    if chosen is not None:
        _draw_chosen(figure, chosen, paths[chosen], theme)
    if graph.undirected():
        figure.add_scatter(
            x=[None], y=[None], mode="lines", name="direction unknown",
            line={"color": theme.muted, "width": 1.6, "dash": "5px,4px"}, hoverinfo="skip",
        )  # fmt: skip
    _add_hover(figure, graph, layout, paths, theme)
    ends = {chosen.source, chosen.target} if chosen else set()
    linked = {v for e in graph.edges for v in (e.source, e.target)}
    figure.update_layout(
        shapes=[_box(layout, v, theme, v in ends, v in linked) for v in layout.centre],
        annotations=[
            *_headings(layout, theme),
            *(_label(layout, v, theme, v in linked) for v in layout.centre),
        ],
        height=round(layout.height) + _LEGEND,
        margin={"l": 0, "r": 0, "t": 0, "b": _LEGEND, "pad": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 13, "color": theme.text},
        hovermode="closest",
        hoverdistance=14,
        hoverlabel={
            "bgcolor": theme.hover,
            "bordercolor": theme.border,
            "align": "left",
            "font": {"family": _FONT, "size": 13, "color": theme.text},
        },
        legend={
            "orientation": "h",
            "x": 0.5,
            "xanchor": "center",
            "y": 0,
            "yanchor": "top",
            "yref": "paper",
            "font": {"color": theme.text, "size": 13},
            "bgcolor": "rgba(0,0,0,0)",
            "itemsizing": "trace",
        },
        xaxis={"visible": False, "range": [0, _WIDTH], "fixedrange": True},
        yaxis={"visible": False, "range": [layout.height, 0], "fixedrange": True},
        dragmode=False,
    )
    return figure


def _kind(edge: Edge) -> _Kind:
    kind = edge.provenance.kind
    return "hand" if kind == "added" or kind == "reversed" else kind


def _place(graph: CausalGraph) -> _Layout:
    columns = _ordered_columns(graph)
    rows = max((len(c) for c in columns.values()), default=1)
    pitch, box_half = (50.0, 15.0) if rows <= 8 else (42.0, 13.0)
    # Edges among pool state bow out to the left and need room there.
    inside = [e for e in graph.edges if graph.node(e.source).tier == graph.node(e.target).tier]
    left = (76.0 if inside else 12.0) + _BOX_HALF
    right = _WIDTH - 12.0 - _BOX_HALF
    shown = [t for t in _TIERS if columns[t]]
    xs = np.linspace(left, right, len(shown)) if len(shown) > 1 else np.array([_WIDTH / 2])
    centre: dict[str, _Point] = {}
    for tier, x in zip(shown, xs, strict=True):
        top = _HEADER + (rows - len(columns[tier])) * pitch / 2
        for i, v in enumerate(columns[tier]):
            centre[v] = (float(x), top + (i + 0.5) * pitch)
    return _Layout(centre, {t: columns[t] for t in shown}, pitch, box_half, _HEADER + rows * pitch + 6)


def _ordered_columns(graph: CausalGraph) -> dict[Tier, list[str]]:
    """Order each column by the mean place of its neighbours in the others, while that removes crossings.

    The barycentre method of Sugiyama, Tagawa and Toda (1981), one column at a time, best result kept.
    """
    columns: dict[Tier, list[str]] = {t: graph.tier(t) for t in _TIERS}
    across = [
        (e.source, e.target) for e in graph.edges if graph.node(e.source).tier != graph.node(e.target).tier
    ]
    best, fewest = columns, _crossings(graph, columns, across)
    current = columns
    sweep: tuple[Tier, ...] = ("outcome", "weight", "state", "weight", "outcome")
    for tier in sweep * 2:
        place = _places(current)
        near: dict[str, list[float]] = defaultdict(list)
        for s, t in across:
            near[s].append(place[t])
            near[t].append(place[s])
        ordered = sorted(current[tier], key=lambda v: float(np.mean(near[v])) if near[v] else place[v])
        current = {**current, tier: ordered}
        crossings = _crossings(graph, current, across)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _places(columns: dict[Tier, list[str]]) -> dict[str, float]:
    """Height of each node relative to the middle of its column, in rows."""
    return {v: i - (len(c) - 1) / 2 for c in columns.values() for i, v in enumerate(c)}


def _crossings(graph: CausalGraph, columns: dict[Tier, list[str]], across: Sequence[tuple[str, str]]) -> int:
    """Pairs of edges between the same two columns that cross."""
    place = _places(columns)
    groups: dict[tuple[Tier, Tier], list[_Point]] = defaultdict(list)
    for s, t in across:
        groups[graph.node(s).tier, graph.node(t).tier].append((place[s], place[t]))
    total = 0
    for ends in groups.values():
        a, b = np.array(ends).T
        total += int((((a[:, None] - a) * (b[:, None] - b)) < 0).sum()) // 2
    return total


def _routes(graph: CausalGraph, layout: _Layout) -> dict[Edge, np.ndarray]:
    """The curve of every edge as points, shape (m, 2), from source to target."""
    ports = _ports(graph, layout)
    lanes = _lanes(graph, layout)
    routes: dict[Edge, np.ndarray] = {}
    for edge in graph.edges:
        x0, y0 = layout.centre[edge.source]
        x1, _ = layout.centre[edge.target]
        y1 = ports[edge]
        start, end = (x0 + _BOX_HALF, y0), (x1 - _BOX_HALF - (8 if edge.mark == "directed" else 0), y1)
        if x0 == x1:
            bow = min(22 + 0.16 * abs(y1 - y0), 74.0)
            start = (x0 - _BOX_HALF, y0)
            a, b = (start[0] - bow, start[1]), (end[0] - bow, end[1])
            routes[edge] = _bezier(start, a, b, end)
        elif edge in lanes:
            x, _ = layout.centre[layout.columns["weight"][0]]
            y = lanes[edge]
            enter, leave = (x - _BOX_HALF - 10, y), (x + _BOX_HALF + 10, y)
            routes[edge] = np.vstack([_flow(start, enter), _flow(leave, end)])
        else:
            routes[edge] = _flow(start, end)
    return routes


def _ports(graph: CausalGraph, layout: _Layout) -> dict[Edge, float]:
    """Height at which each edge meets its target.

    A few arrows are spread over the box in the order of their sources, so that they do not hide each
    other; a crowd is joined into one arrow head per colour, which reads better than a hatched wall.
    """
    arriving: dict[str, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        arriving[edge.target].append(edge)
    ports: dict[Edge, float] = {}
    for target, edges in arriving.items():
        y = layout.centre[target][1]
        by_height = sorted(edges, key=lambda e: (layout.centre[e.source][1], e.source))
        apart = len(edges) <= _CROWD
        keys: Sequence[Edge | _Kind] = (
            by_height if apart else [k for k in _KIND_NAMES if any(_kind(e) == k for e in edges)]
        )
        reach = layout.box_half - 5
        heights = np.linspace(-reach, reach, len(keys)) if len(keys) > 1 else np.zeros(1)
        if len(keys) in (2, 3):
            heights *= 0.75
        place: dict[Edge | _Kind, float] = dict(zip(keys, heights.tolist(), strict=True))
        for edge in edges:
            ports[edge] = y + place[edge if apart else _kind(edge)]
    return ports


def _lanes(graph: CausalGraph, layout: _Layout) -> dict[Edge, float]:
    """Height at which each edge that skips the weights passes through a gap between them."""
    if len(layout.columns) < len(_TIERS):
        return {}
    rows = [layout.centre[v][1] for v in layout.columns["weight"]]
    gaps = [
        rows[0] - layout.pitch / 2,
        *((a + b) / 2 for a, b in pairwise(rows)),
        rows[-1] + layout.pitch / 2,
    ]
    taken: dict[float, list[tuple[float, str, str, Edge]]] = defaultdict(list)
    for edge in graph.edges:
        if (graph.node(edge.source).tier, graph.node(edge.target).tier) == ("state", "outcome"):
            y0, y1 = layout.centre[edge.source][1], layout.centre[edge.target][1]
            gap = min(gaps, key=lambda g: abs(g - (y0 + y1) / 2))
            taken[gap].append((y0 + y1, edge.source, edge.target, edge))
    lanes: dict[Edge, float] = {}
    room = layout.pitch / 2 - layout.box_half - 3
    for gap, edges in taken.items():
        step = min(5.0, 2 * room / max(len(edges) - 1, 1))
        for i, (*_, edge) in enumerate(sorted(edges, key=lambda e: e[:3])):
            lanes[edge] = gap + (i - (len(edges) - 1) / 2) * step
    return lanes


def _flow(start: _Point, end: _Point) -> np.ndarray:
    """A curve that leaves and arrives horizontally."""
    reach = 0.5 * (end[0] - start[0])
    return _bezier(start, (start[0] + reach, start[1]), (end[0] - reach, end[1]), end)


def _bezier(p0: _Point, p1: _Point, p2: _Point, p3: _Point) -> np.ndarray:
    t = np.linspace(0, 1, 25)[:, None]
    corners = [np.array(p) for p in (p0, p1, p2, p3)]
    weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
    return np.asarray(sum(w * c for w, c in zip(weights, corners, strict=True)))


def _draw_edges(
    figure: go.Figure, edges: Sequence[tuple[Edge, np.ndarray]], kind: _Kind, theme: _Theme, opacity: float
) -> None:
    """Lines and arrow heads of one colour; a click on the legend hides both."""
    if not edges:
        return
    width = 1.6 if len(edges) <= 60 else 1.1
    style = {"color": theme.kinds[kind], "width": width}
    solid = [p for e, p in edges if e.mark == "directed"]
    dashed = [p for e, p in edges if e.mark == "undirected"]
    figure.add_scatter(
        x=[None], y=[None], mode="lines", name=_KIND_NAMES[kind], legendgroup=kind,
        line={"color": theme.kinds[kind], "width": 2.5}, hoverinfo="skip",
    )  # fmt: skip
    for paths, dash in ((solid, "solid"), (dashed, "5px,4px")):
        if paths:
            x, y = _joined(paths)
            figure.add_scatter(
                x=x, y=y, mode="lines", line={**style, "dash": dash}, opacity=opacity,
                legendgroup=kind, showlegend=False, hoverinfo="skip",
            )  # fmt: skip
    heads = np.array(sorted({(float(p[-1, 0]), float(p[-1, 1])) for p in solid})).reshape(-1, 2)
    figure.add_scatter(
        x=heads[:, 0] + 3, y=heads[:, 1], mode="markers", opacity=0.35 if opacity < 0.3 else 1.0,
        marker={"symbol": "triangle-right", "size": 9, "color": theme.kinds[kind], "line": {"width": 0}},
        legendgroup=kind, showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def _draw_chosen(figure: go.Figure, edge: Edge, path: np.ndarray, theme: _Theme) -> None:
    dash = "solid" if edge.mark == "directed" else "6px,4px"
    figure.add_scatter(
        x=path[:, 0], y=path[:, 1], mode="lines", name="chosen", hoverinfo="skip",
        line={"color": theme.accent, "width": 3.2, "dash": dash},
    )  # fmt: skip
    if edge.mark == "directed":
        figure.add_scatter(
            x=[path[-1, 0] + 2], y=[path[-1, 1]], mode="markers", showlegend=False, hoverinfo="skip",
            marker={"symbol": "triangle-right", "size": 13, "color": theme.accent, "line": {"width": 0}},
        )  # fmt: skip


def _joined(paths: Iterable[np.ndarray]) -> tuple[list[float | None], list[float | None]]:
    """Many curves as one trace: a None lifts the pen."""
    x: list[float | None] = []
    y: list[float | None] = []
    for path in paths:
        x += [*map(float, path[:, 0]), None]
        y += [*map(float, path[:, 1]), None]
    return x, y


def _add_hover(
    figure: go.Figure, graph: CausalGraph, layout: _Layout, paths: dict[Edge, np.ndarray], theme: _Theme
) -> None:
    """Invisible points that answer to the mouse: along every edge, and on every box."""
    spots = [
        (paths[e][round(at * (len(paths[e]) - 1))], _edge_words(e))
        for e in graph.edges
        for at in (0.3, 0.5, 0.7)
    ]
    spots += [(np.array(p), _node_words(graph, v)) for v, p in layout.centre.items()]
    points = np.array([p for p, _ in spots]).reshape(-1, 2)
    figure.add_scatter(
        x=points[:, 0], y=points[:, 1], mode="markers", text=[words for _, words in spots],
        hovertemplate="%{text}<extra></extra>", showlegend=False,
        marker={"size": 14, "color": theme.accent, "opacity": 0},
    )  # fmt: skip


def _edge_words(edge: Edge) -> str:
    origin = edge.provenance
    done = {"added": "added", "reversed": "direction set"}.get(origin.kind, origin.kind)
    arrow = "→" if edge.mark == "directed" else "—"
    lines = [
        f"<b>{escape(edge.source)} {arrow} {escape(edge.target)}</b>",
        f"{done} by {escape(origin.by)} on {origin.at.day} {origin.at:%B %Y}",
    ]
    if edge.mark == "undirected":
        lines.append("the data cannot tell its direction")
    if origin.detail:
        lines.append(escape(origin.detail))
    if origin.why:
        lines.append(f"“{escape(origin.why)}”")
    return "<br>".join(lines)


def _node_words(graph: CausalGraph, node_id: str) -> str:
    into = len(graph.parents(node_id))
    out = sum(s == node_id for s, _ in graph.directed())
    return f"<b>{escape(node_id)}</b><br>{_count(into, 'cause')}, {_count(out, 'effect')}"


def _count(n: int, noun: str) -> str:
    return f"{n or 'no'} {noun}{'' if n == 1 else 's'}"


def _box(layout: _Layout, node_id: str, theme: _Theme, chosen: bool, linked: bool) -> dict[str, object]:
    """A rounded rectangle; thin and dotted where nothing is linked."""
    x, y = layout.centre[node_id]
    w, h, r = _BOX_HALF, layout.box_half, 8.0
    left, right, top, bottom = x - w, x + w, y - h, y + h
    path = (
        f"M{left + r},{top} L{right - r},{top} Q{right},{top} {right},{top + r} "
        f"L{right},{bottom - r} Q{right},{bottom} {right - r},{bottom} "
        f"L{left + r},{bottom} Q{left},{bottom} {left},{bottom - r} "
        f"L{left},{top + r} Q{left},{top} {left + r},{top} Z"
    )
    line = {
        "color": theme.accent if chosen else theme.border,
        "width": 2 if chosen else 1.2,
        "dash": "solid" if linked or chosen else "dot",
    }
    return {"type": "path", "path": path, "fillcolor": theme.box, "line": line, "layer": "above"}


def _label(layout: _Layout, node_id: str, theme: _Theme, linked: bool) -> dict[str, object]:
    x, y = layout.centre[node_id]
    name = node_id.split("/", 1)[-1]
    short = name if len(name) <= _LABEL_LENGTH else name[: _LABEL_LENGTH - 1] + "…"
    return {
        "x": x,
        "y": y,
        "text": escape(short),
        "showarrow": False,
        "font": {"size": 13, "color": theme.text if linked else theme.muted},
    }


def _headings(layout: _Layout, theme: _Theme) -> list[dict[str, object]]:
    headings: list[dict[str, object]] = []
    for tier, ids in layout.columns.items():
        title, subtitle = _HEADINGS[tier]
        x = layout.centre[ids[0]][0]
        text = f"<b>{title}</b><br><span style='font-size:12px;color:{theme.muted}'>{subtitle}</span>"
        headings.append(
            {"x": x, "y": 28, "text": text, "showarrow": False, "font": {"size": 15, "color": theme.text}}
        )
    return headings
