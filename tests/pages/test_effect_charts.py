"""Figures of effects: every number is where it belongs, and colours say what is better in both directions."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from causalmix_core.effects.explanation import (
    Contributions,
    EffectCurve,
    Estimate,
    InterpreterTree,
    Node,
    PairSurface,
    ResponseCurve,
    Split,
    TriangleSurface,
)
from causalmix_core.effects.leaderboard_result import Leaderboard, LeaderboardSettings, OutcomeScore, Row
from causalmix_core.effects.overlap import overlap_report
from causalmix_core.effects.power import MoreProbes
from causalmix_core.effects.scoring import Score
from causalmix_core.probes import RunTable
from pages.widgets import chart_tones, effect_charts, interaction_charts, tree_chart, trust_charts
from pages.widgets.charts import better_worse, muted

DOMAINS = [f"domain {i:02d}" for i in range(17)]


def leaf(effect: float, half: float, states: int = 10) -> Node:
    return Node(states, effect, effect - half, effect + half)


@pytest.fixture
def tree() -> InterpreterTree:
    """Better below, worse above, and nothing that can be told in between."""
    inner = Split("state/length", 900.0, leaf(0.001, 0.01), leaf(0.03, 0.01), Estimate(0.03, 0.01, 0.05))
    above = Node(20, 0.015, 0.005, 0.025, inner)
    outer = Split("state/duplication", 0.31, leaf(-0.02, 0.01), above, Estimate(0.03, -0.01, 0.07))
    return InterpreterTree("code", "loss/code", Node(30, 0.004, -0.01, 0.01, outer), 0.9, "words")


def test_a_tree_shows_rules_leaves_and_the_way_of_the_pool(tree: InterpreterTree) -> None:
    state = {"state/duplication": 0.5, "state/length": 800.0}
    figure = tree_chart.tree_figure(tree, state)
    boxes = [a for a in figure.layout.annotations if a.text not in ("yes", "no")]
    texts = [a.text for a in boxes]
    assert sum("≤" in t for t in texts) == 2
    assert any(t.startswith("duplication<br>≤ 0.31?") for t in texts)
    leaves = {a.text.split("</b>")[0].removeprefix("<b>"): a for a in boxes if "<b>" in a.text}
    assert list(leaves) == ["-0.0200", "+0.0010", "+0.0300"]
    good, bad = better_worse()
    assert (leaves["-0.0200"].bordercolor, leaves["+0.0300"].bordercolor) == (good, bad)
    assert [a.text for a in boxes if a.borderwidth == 2.5] == [texts[0], texts[2], texts[3]]
    assert sum(t.line.width == 4 for t in figure.data) == 2
    assert "cannot be told apart" in boxes[0].hovertext
    assert len({(a.x, a.y) for a in boxes}) == len(boxes)
    assert tree_chart.tree_height(tree) > tree_chart.tree_height(
        InterpreterTree("a", "b", leaf(0.1, 0.2), 1.0, "")
    )


def test_green_is_better_in_both_directions() -> None:
    good, bad = better_worse()
    assert chart_tones.tone(0.1, 0.2, "benchmark/quiz") == good == chart_tones.tone(-0.2, -0.1, "loss/code")
    assert chart_tones.tone(-0.2, -0.1, "benchmark/quiz") == bad == chart_tones.tone(0.1, 0.2, "objective")
    assert chart_tones.tone(-0.1, 0.2, "loss/code") == muted()
    loss, quiz = (chart_tones.diverging(o) for o in ("loss/code", "benchmark/quiz"))
    assert [c for _, c in loss] == [c for _, c in reversed(quiz)]


def curve(state: str, high: float) -> EffectCurve:
    values = np.linspace(0.0, 1.0, 5)
    effect = high * values
    return EffectCurve(
        "code", "loss/code", state, values, effect, effect - 0.1, effect + 0.1, values[:3], 0.25
    )


def test_curves_share_their_scale_and_end_where_they_should() -> None:
    figure = effect_charts.effect_curves_figure([curve(f"state/s{i}", 1.0 + i) for i in range(4)])
    ranges = {tuple(figure.layout[a].range) for a in figure.layout if a.startswith("yaxis")}
    assert len(ranges) == 1
    low, high = ranges.pop()
    assert low < -0.1
    assert high > 4.1
    lines = [t for t in figure.data if t.mode == "lines" and t.fill is None]
    assert [t.y[-1] for t in lines] == [1.0, 2.0, 3.0, 4.0]
    now = [t for t in figure.data if t.name == "this pool"]
    assert [(t.x[0], t.y[0]) for t in now] == [(0.25, 0.25 * (1 + i)) for i in range(4)]
    assert sum(bool(t.showlegend) for t in figure.data) == 3  # each kind once
    assert effect_charts.curves_height(4) > effect_charts.curves_height(3) == effect_charts.curves_height(1)


def test_a_response_is_drawn_in_percent_and_says_which_way_is_better() -> None:
    weights = np.array([0.1, 0.2, 0.3])
    change = np.array([0.1, 0.0, -0.1])
    for outcome, word in (("loss/code", "lower"), ("benchmark/quiz", "higher")):
        found = ResponseCurve(
            "code", outcome, weights, change, change - 0.01, change + 0.01, 3.0, weights, 0.2
        )
        figure = effect_charts.response_figure(found)
        line = next(t for t in figure.data if t.mode == "lines" and t.fill is None)
        assert list(line.x) == pytest.approx([10, 20, 30])
        assert line.customdata[:, 2] == pytest.approx(3 + change)
        assert f"({word} is better)" in figure.layout.yaxis.title.text


def test_contributions_are_ordered_by_what_they_move() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 2, 17)) * np.arange(1, 18)
    found = Contributions("loss/code", DOMAINS, ["state/a", "state/b"], [], rng.normal(size=(20, 2)), values)
    figure = effect_charts.contribution_heatmap(found.table())
    (heat,) = figure.data
    assert heat.z.shape == (17, 2)
    assert (np.diff(heat.z.max(axis=1)) <= 0).all()
    assert heat.z[list(heat.y).index("domain 03"), 1] == pytest.approx(np.abs(values[:, 1, 3]).mean())
    strips = effect_charts.contribution_strips(found, "domain 03")
    first = int(np.argmax(np.abs(values[:, :, 3]).mean(axis=0)))
    assert strips.data[0].x == pytest.approx(values[:, first, 3])
    assert strips.layout.yaxis.ticktext[0] == "ab"[first]
    assert (min(strips.data[0].marker.color), max(strips.data[0].marker.color)) == (0, 1)


def pairs(domains: list[str]) -> pd.DataFrame:
    rows = [
        (a, b, 0.1 * (i + j), 0.05, 0.4, (i + j) % 2 == 1, i > 0, 0.05)
        for i, a in enumerate(domains)
        for j, b in enumerate(domains)
        if i < j
    ]
    columns = ["first", "second", "interaction", "lower", "upper", "distinguishable", "inside", "step"]
    return pd.DataFrame(rows, columns=columns)


def test_pairs_are_a_triangle_with_colour_only_where_it_can_be_told() -> None:
    figure = interaction_charts.interaction_heatmap(pairs(DOMAINS[:4]), "loss/code")
    (heat,) = figure.data
    assert heat.z.shape == (3, 3)
    assert np.isnan(heat.z[0, 1:]).all()
    assert heat.z[2, 0] == pytest.approx(0.3)  # fourth and first
    assert heat.z[1, 0] == 0.0  # not told from zero
    assert heat.text[1, 0] == "+0.20"
    assert "a guess" in heat.customdata[2, 0]
    many = interaction_charts.interaction_heatmap(pairs(DOMAINS), "loss/code").data[0]
    assert set(many.text.ravel()) == {""}  # numbers would not fit


def test_surfaces_keep_their_gaps() -> None:
    grid, change = np.linspace(0, 0.5, 4), np.arange(16.0).reshape(4, 4) - 3
    change[3, 3] = np.nan
    surface = PairSurface(
        "a", "b", "loss/a", grid, grid, change, np.ones((4, 4)), np.full((5, 2), 0.2), (0.1, 0.3)
    )
    contour, runs, now = interaction_charts.pair_figure(surface).data
    assert not contour.connectgaps
    assert np.isnan(contour.z[3, 3])
    assert (contour.zmin, contour.zmax) == (-11, 11)
    assert (len(runs.x), now.x[0], now.y[0]) == (5, pytest.approx(10), pytest.approx(30))
    shares = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    triangle = TriangleSurface(
        ("a", "b", "c"), "loss/a", 0.6, shares, np.array([np.nan, 1.0, -2.0]), np.ones(3), shares, shares[2]
    )
    cells, runs, now = interaction_charts.triangle_figure(triangle).data
    assert list(cells.a) == pytest.approx([50, 20])
    assert (cells.marker.cmin, cells.marker.cmax) == (-2, 2)
    assert (len(runs.a), now.c[0]) == (3, pytest.approx(50))


@pytest.fixture
def board() -> Leaderboard:
    def row(name: str, rank: float | None, coverage: float | None) -> Row:
        scores = {"rank": Score(mean=rank, error=0.05), "coverage": Score(mean=coverage, error=0.01)}
        outcome = OutcomeScore(**scores, r2=Score(), rmse=None, width=None)
        return Row.model_validate({"name": name, "label": name.upper(), "outcomes": {"objective": outcome}})

    failed = Row(name="lightgbm", label="LIGHTGBM", failed="too few runs")
    rows = (row("gaussian_process", 0.99, 0.95), row("linear_dml", 0.9, 0.91), row("no_effect", None, None))
    return Leaderboard(
        rows=(*rows, failed), chosen="gaussian_process", best="gaussian_process", why="", runs=48,
        best_possible=Score(), settings=LeaderboardSettings(), held_out="", notes=(), seconds=1.0,
        at=datetime.now(UTC),
    )  # fmt: skip


def test_the_leaderboard_marks_the_chosen_one_and_keeps_a_place_for_what_has_no_score(
    board: Leaderboard,
) -> None:
    figure = trust_charts.leaderboard_figure(board)
    dots = {t.y[0]: t for t in figure.data if t.mode == "markers"}
    assert list(dots) == ["<b>GAUSSIAN_PROCESS</b>", "LINEAR_DML", "NO_EFFECT"]
    assert dots["LINEAR_DML"].x[0] == 0.9
    assert dots["NO_EFFECT"].x[0] is None
    line = next(t for t in figure.data if t.mode == "lines" and t.y[0] == "<b>GAUSSIAN_PROCESS</b>")
    assert list(line.x) == pytest.approx([0.89, 1.0])  # two standard errors, and no correlation beyond 1
    coverage = trust_charts.coverage_figure(board)
    assert [t.x[0] for t in coverage.data if t.mode == "markers"] == [0.95, 0.91]
    assert coverage.layout.shapes[0].x0 == 0.95
    one = trust_charts.outcome_coverage_figure(board.rows[1])
    assert [t.y[0] for t in one.data if t.mode == "markers"] == ["the objective"]


def test_overlap_counts_runs_where_few_stand_out() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 60)
    weights[:, 2] = np.where(np.arange(60) < 3, weights[:, 2], 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    frame = pd.DataFrame(weights, columns=["weight/a", "weight/b", "weight/c"])
    overlap = overlap_report(
        RunTable.from_frame(frame.assign(**{"state/x": rng.normal(size=60), "loss/a": 1.0}))
    )
    (heat,) = trust_charts.overlap_figure(overlap).data
    assert list(heat.y) == ["a", "b", "c"]
    assert list(heat.x[1]) == ["low", "middle", "high"]
    assert heat.z[2].sum() <= 3
    low, quiet = heat.colorscale[0][1], heat.colorscale[-1][1]
    assert low != quiet


def test_power_shows_what_would_be_seen_beside_what_is() -> None:
    table = pd.DataFrame(
        {
            "domain": ["a", "b", "a"], "outcome": ["loss/x", "loss/x", "loss/y"], "effect": [-0.3, 0.1, 9.0],
            "half_width": [0.2, 0.2, 1.0], "detectable": [0.29, 0.28, 1.4],
        }
    )  # fmt: skip
    bars, told, untold = trust_charts.power_figure(table, "loss/x").data
    assert list(bars.y) == ["b", "a"]
    assert list(bars.x) == [0.28, 0.29]
    assert (list(told.y), list(told.x), list(untold.y)) == (["a"], [0.3], ["b"])
    more = MoreProbes(more=300, present=100, sizes=(100, 200), widths=(1.0, 0.7), extended=True, words="")
    seen, trend = trust_charts.more_probes_figure(more).data
    assert list(seen.y) == [1.0, 0.7]
    assert (list(trend.x), list(trend.y)) == ([200, 400], [0.7, 0.5])
