"""The drawing of a graph: all of it is there, explained on hover, and no edge hides behind a box."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from causalmix_core.graph import CausalGraph, Edge, Node, Provenance, add_edge, saturated_graph, tier_of
from pages.widgets.graph_chart import graph_figure

SIZES = [(0, 2, 1), (3, 6, 6), (4, 17, 13)]


@pytest.fixture(params=SIZES, ids=str)
def saturated(request, make_world):
    states, domains, outcomes = request.param
    runs = make_world(30, 0, domains=max(domains, 2), states=max(states, 3), outcomes=outcomes).runs
    graph = saturated_graph(runs, "ana")
    if states:
        return graph
    nodes = tuple(n for n in graph.nodes if n.tier != "state")
    return CausalGraph(nodes=nodes, edges=tuple(e for e in graph.edges if tier_of(e.source) != "state"))


def boxes(figure):
    """(left, right, top, bottom) of each box."""
    for shape in figure.layout.shapes:
        points = shape.path.replace("M", " ").replace("L", " ").replace("Q", " ").replace("Z", " ").split()
        x, y = np.array([p.split(",") for p in points], float).T
        yield x.min(), x.max(), y.min(), y.max()


def test_no_edge_runs_behind_a_box(saturated):
    figure = graph_figure(saturated, None, dark=False)
    lines = [t for t in figure.data if t.mode == "lines" and len(t.x) > 1]
    x, y = (np.concatenate([np.array(t[axis], float) for t in lines]) for axis in ("x", "y"))
    assert len(list(boxes(figure))) == len(saturated.nodes)
    for left, right, top, bottom in boxes(figure):
        inside = (x > left + 1) & (x < right - 1) & (y > top) & (y < bottom)
        assert not inside.any()


def test_everything_is_inside_the_drawing_and_nothing_overlaps(saturated):
    figure = graph_figure(saturated, None, dark=True)
    bottom_of_page = figure.layout.yaxis.range[0]
    found = sorted(boxes(figure))
    for left, right, top, bottom in found:
        assert 0 <= left < right <= figure.layout.xaxis.range[1]
        assert 0 <= top < bottom <= bottom_of_page
    for a, b in pairwise(found):
        assert a[0] != b[0] or a[3] < b[2]
    assert figure.layout.height == pytest.approx(bottom_of_page + figure.layout.margin.b, abs=1)


def test_hover_tells_where_an_edge_comes_from_and_cannot_inject_markup():
    found = Provenance(kind="discovered", by="ana", at=datetime(2026, 5, 3, tzinfo=UTC), detail="BOSS")
    nodes = [Node(id=i, tier=tier_of(i)) for i in ("state/a", "state/b", "weight/x", "loss/x")]
    graph = CausalGraph(
        nodes=tuple(nodes),
        edges=(
            Edge(source="weight/x", target="loss/x", provenance=found),
            Edge(source="state/a", target="state/b", mark="undirected", provenance=found),
        ),
    )
    graph = add_edge(graph, "state/a", "weight/x", by="ben", why="<script>")
    figure = graph_figure(graph, ("weight/x", "loss/x"), dark=False)
    hover = next(t for t in figure.data if t.hovertemplate)
    texts = "\n".join(hover.text)
    assert "weight/x → loss/x</b><br>discovered by ana on 3 May 2026<br>BOSS" in texts
    assert "state/a — state/b</b>" in texts
    assert "the data cannot tell its direction" in texts
    assert "added by ben" in texts
    assert "&lt;script&gt;" in texts
    assert "<script>" not in figure.to_json()
    legend = [t.name for t in figure.data if t.showlegend is not False]
    assert legend == ["discovered", "added by you", "chosen", "direction unknown"]
    assert any(t.line.dash == "5px,4px" and len(t.x) > 1 for t in figure.data if t.mode == "lines")


def test_fewer_crossings_than_in_the_order_of_names():
    names = "abcdef"
    found = Provenance(kind="assumed", by="ana", at=datetime.now(UTC))
    nodes = [Node(id=f"weight/{n}", tier="weight") for n in names]
    nodes += [Node(id=f"loss/{n}", tier="outcome") for n in names]
    edges = [
        Edge(source=f"weight/{s}", target=f"loss/{t}", provenance=found)
        for s, t in zip(names, reversed(names), strict=True)
    ]
    figure = graph_figure(CausalGraph(nodes=tuple(nodes), edges=tuple(edges)), None, dark=False)
    heights = {}
    for label in figure.layout.annotations:
        heights.setdefault(label.text, []).append(label.y)
    order = sorted(names, key=lambda n: heights[n][0])
    assert sorted(names, key=lambda n: heights[n][1]) == order[::-1]


def test_a_graph_without_edges_and_a_highlight_that_is_gone_are_drawn():
    graph = CausalGraph(nodes=(Node(id="weight/x", tier="weight"), Node(id="loss/x", tier="outcome")))
    figure = graph_figure(graph, ("weight/x", "loss/x"), dark=True)
    assert len(figure.layout.shapes) == 2
    assert {"<b>Weights</b>", "<b>Outcomes</b>"} <= {
        a.text.split("<br>")[0] for a in figure.layout.annotations
    }
