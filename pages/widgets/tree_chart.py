"""The rules on the pool state that reproduce how an effect differs between pools, drawn as a tree.

Green leaves are better and red ones worse, whether an outcome is better low or high; grey cannot be told from
zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from causalmix_core.effects.explanation import InterpreterTree, Node, Split, state_name
from pages.widgets.chart_tones import ground, ink, signed, tone
from pages.widgets.charts import accent, muted
from pages.widgets.run_charts import cut

LEVEL_HEIGHT = 100
MOST_WIDE = 3
"""Leaves beside each other up to which an interval fits on one line."""


def tree_figure(tree: InterpreterTree, state: Mapping[str, float] | None = None) -> go.Figure:
    """The rules from top to bottom; the way of the pool is drawn thicker.

    Args:
        tree: with something to draw (`tree.root`).
        state: of the pool, to mark its way.
    """
    assert tree.root is not None
    way = tree.path(state) if state is not None else []
    figure = go.Figure()
    places, narrow = _places(tree.root), len(tree.leaves()) > MOST_WIDE
    for node in tree.nodes():
        if node.split is not None:
            _draw_branches(figure, node.split, places, places[id(node)], way)
    for node in tree.nodes():
        on_way = any(node is n for n in way)
        _draw_node(figure, node, places[id(node)], tree.outcome, on_way=on_way, narrow=narrow)
    widest = max(x for x, _ in places.values())
    figure.update_xaxes(visible=False, range=[-0.55, widest + 0.55], fixedrange=True)
    lowest = min(y for _, y in places.values())
    figure.update_yaxes(visible=False, range=[lowest - 0.5, 0.4], fixedrange=True)
    return figure


def tree_height(tree: InterpreterTree) -> int:
    """Pixels that `tree_figure` needs."""
    return 60 + LEVEL_HEIGHT * (1 + _depth(tree.root)) if tree.root is not None else 0


def _draw_branches(
    figure: go.Figure,
    split: Split,
    places: dict[int, tuple[float, float]],
    start: tuple[float, float],
    way: list[Node],
) -> None:
    x, y = start
    for child, word in ((split.below, "yes"), (split.above, "no")):
        cx, cy = places[id(child)]
        on_way = any(child is n for n in way)
        line = {"width": 4, "color": accent()} if on_way else {"width": 1.5, "color": muted()}
        figure.add_scatter(x=[x, cx], y=[y, cy], mode="lines", line=line, hoverinfo="skip", showlegend=False)
        figure.add_annotation(
            x=(x + cx) / 2, y=(y + cy) / 2, text=word, showarrow=False, bgcolor=ground(), borderpad=2,
            font={"size": 12, "color": muted()},
        )  # fmt: skip


def _draw_node(
    figure: go.Figure, node: Node, place: tuple[float, float], outcome: str, *, on_way: bool, narrow: bool
) -> None:
    x, y = place
    colour = tone(node.lower, node.upper, outcome)
    if node.split is None:
        states = "1 pool state" if node.states == 1 else f"{node.states} pool states"
        band = f"{signed(node.lower)} to{'<br>' if narrow else ' '}{signed(node.upper)}"
        text = f"<b>{signed(node.effect)}</b><br>{band}<br>{states}"
    else:
        text = f"{cut(state_name(node.split.state))}<br>≤ {node.split.threshold:.3g}?"
    figure.add_annotation(
        x=x, y=y, text=text, showarrow=False, bgcolor=ground(), borderpad=5, align="center",
        bordercolor=accent() if on_way else colour if node.split is None else muted(),
        borderwidth=2.5 if on_way else 1.5, font={"size": 12, "color": ink()},
        hovertext=_node_words(node), captureevents=True,
    )  # fmt: skip


def _node_words(node: Node) -> str:
    words = (
        f"{node.states} pool states of the runs<br>mean effect per +1 point {signed(node.effect)}"
        f"<br>95% {signed(node.lower)} to {signed(node.upper)}"
    )
    if node.split is not None and not node.split.difference.clear:
        words += "<br>the two sides cannot be told apart"
    return words


def _depth(node: Node | None) -> int:
    if node is None or node.split is None:
        return 0
    return 1 + max(_depth(node.split.below), _depth(node.split.above))


def _places(root: Node) -> dict[int, tuple[float, float]]:
    """Leaves beside each other, each parent above the middle of its children; by id of the node."""
    places: dict[int, tuple[float, float]] = {}

    def place(node: Node, level: int) -> float:
        if node.split is None:
            x = float(len(leaves))
            leaves.append(node)
        else:
            x = (place(node.split.below, level + 1) + place(node.split.above, level + 1)) / 2
        places[id(node)] = (x, -float(level))
        return x

    leaves: list[Node] = []
    place(root, 0)
    return places
