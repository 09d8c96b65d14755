"""Charts that explain effects: curves over pool states and weights, and contributions of pool states.

Each takes values of `causalmix_core.effects.explanation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from causalmix_core.effects.explanation import (
    Contributions,
    EffectCurve,
    ResponseCurve,
    state_name,
)
from pages.widgets.chart_tones import (
    decimals_of,
    faded,
    ground,
    higher_is_better,
    ink,
    legend_on_top,
    outcome_label,
    quiet,
    warm,
)
from pages.widgets.charts import accent, muted
from pages.widgets.run_charts import cut
from pages.widgets.shell import is_dark

CURVE_COLUMNS = 3
_JITTER = 0.28


def effect_curves_figure(curves: Sequence[EffectCurve]) -> go.Figure:
    """The effect against each pool state, one panel each, on one scale.

    Args:
        curves: of one domain and one outcome; at least one.
    """
    columns = min(CURVE_COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = make_subplots(
        rows, columns, shared_yaxes=True, horizontal_spacing=0.05, vertical_spacing=0.34 / rows,
    )  # fmt: skip
    low = min(float(c.lower.min()) for c in curves)
    high = max(float(c.upper.max()) for c in curves)
    room = 0.08 * (max(high, 0) - min(low, 0) or 1)
    floor = min(low, 0) - room
    for i, curve in enumerate(curves):
        row, column = i // columns + 1, i % columns + 1
        _band(figure, curve.values, curve.lower, curve.upper, row, column)
        figure.add_scatter(
            x=curve.values, y=curve.effect, mode="lines", line={"color": accent(), "width": 2.5},
            customdata=np.column_stack([curve.lower, curve.upper]), showlegend=False,
            hovertemplate=f"{state_name(curve.state)} %{{x:.4g}}<br>effect %{{y:+.5f}}"
            "<br>95%: %{customdata[0]:+.5f} to %{customdata[1]:+.5f}<extra></extra>",
            row=row, col=column,
        )  # fmt: skip
        _rug(figure, curve.runs, floor, row, column)
        here = float(np.interp(curve.now, curve.values, curve.effect))
        _now(figure, curve.now, here, row, column)
        figure.add_hline(y=0, line={"color": muted(), "width": 1}, row=row, col=column)
        figure.update_xaxes(
            title={"text": cut(state_name(curve.state), 28), "standoff": 6}, nticks=5, showgrid=False,
            zeroline=False, row=row, col=column,
        )  # fmt: skip
    figure.update_yaxes(
        range=[floor - room / 2, max(high, 0) + room], nticks=6, tickformat="+.3~g", zeroline=False,
    )  # fmt: skip
    first = curves[0]
    figure.update_yaxes(
        title={"text": f"{cut(outcome_label(first.outcome), 26)}<br>per +1 point of {cut(first.domain, 16)}"},
        col=1,
    )
    figure.update_layout(legend=legend_on_top())
    return figure


def curves_height(count: int) -> int:
    """Pixels that `effect_curves_figure` needs for so many curves."""
    return 40 + 250 * math.ceil(count / CURVE_COLUMNS)


def response_figure(curve: ResponseCurve) -> go.Figure:
    """The change of an outcome against the weight of one domain."""
    figure = make_subplots(1, 1)
    low, high = float(min(curve.lower.min(), 0)), float(max(curve.upper.max(), 0))
    room = 0.08 * ((high - low) or 1)
    _band(figure, 100 * curve.weights, curve.lower, curve.upper, 1, 1)
    figure.add_scatter(
        x=100 * curve.weights, y=curve.change, mode="lines", line={"color": accent(), "width": 2.5},
        customdata=np.column_stack([curve.lower, curve.upper, curve.level + curve.change]), showlegend=False,
        hovertemplate=f"{curve.domain} %{{x:.1f}}%<br>change %{{y:+.4f}} (to %{{customdata[2]:.4f}})"
        "<br>95%: %{customdata[0]:+.4f} to %{customdata[1]:+.4f}<extra></extra>",
    )  # fmt: skip
    _rug(figure, 100 * curve.runs, low - room, 1, 1)
    _now(figure, 100 * curve.now, 0.0, 1, 1, "present mixture")
    figure.add_hline(y=0, line={"color": muted(), "width": 1})
    figure.update_xaxes(
        title_text=f"weight of {curve.domain}, the others in proportion", ticksuffix="%", showgrid=False,
        zeroline=False,
    )  # fmt: skip
    better = "higher" if higher_is_better(curve.outcome) else "lower"
    figure.update_yaxes(
        title_text=f"change of {cut(outcome_label(curve.outcome), 26)}<br>({better} is better)",
        range=[low - 1.5 * room, high + room], tickformat="+.3~g", zeroline=False,
    )  # fmt: skip
    figure.update_layout(legend=legend_on_top())
    return figure


def contribution_heatmap(table: pd.DataFrame) -> go.Figure:
    """How much each pool state moves the effect of each domain, on one outcome.

    Args:
        table: as `Contributions.table` gives it.
    """
    sizes = table.pivot(index="domain", columns="state", values="size")
    ways = table.pivot(index="domain", columns="state", values="tendency").reindex_like(sizes)
    order = sizes.max(axis=1).sort_values(ascending=False).index
    sizes, ways = sizes.loc[order], ways.loc[order]
    arrows = {"rises": "↗", "falls": "↘", "mixed": "~"}
    decimals = decimals_of(sizes.to_numpy())
    text = [
        [f"{sizes.loc[d, s]:.{decimals}f} {arrows[ways.loc[d, s]]}" for s in sizes.columns]
        for d in sizes.index
    ]
    words = {
        "rises": "the effect rises with it",
        "falls": "the effect falls with it",
        "mixed": "up and down, no steady direction",
    }
    figure = go.Figure(
        go.Heatmap(
            z=sizes.to_numpy(),
            x=[cut(state_name(s), 22) for s in sizes.columns],
            y=[cut(d) for d in sizes.index],
            zmin=0,
            zmax=float(sizes.to_numpy().max()) or 1.0,
            colorscale=[[0, quiet()], [1, "#1d6e8c" if is_dark() else "#8cc5da"]],
            text=text,
            texttemplate="%{text}",
            textfont={"color": ink(), "size": 12},
            customdata=[[words[ways.loc[d, s]] for s in sizes.columns] for d in sizes.index],
            hovertemplate="%{x} moves the effect of %{y}<br>by %{z:.2g} on average; %{customdata}"
            "<extra></extra>",
            xgap=3,
            ygap=3,
            showscale=False,
        )
    )
    figure.update_xaxes(side="top", title_text="pool state", showgrid=False, zeroline=False)
    figure.update_yaxes(autorange="reversed", title_text="effect of", showgrid=False, zeroline=False)
    return figure


def contribution_strips(found: Contributions, domain: str) -> go.Figure:
    """What each pool state adds to one domain's effect, a dot per run; the colour is the state itself.

    Args:
        found: with at least one state.
        domain: one of `found.domains`.
    """
    k = found.domains.index(domain)
    size = np.abs(found.values[:, :, k]).mean(axis=0)
    order = np.argsort(-size, kind="stable")
    rng = np.random.default_rng(0)
    figure = go.Figure()
    for row, i in enumerate(order):
        values = found.points[:, i]
        span = np.ptp(values) or 1.0
        figure.add_scatter(
            x=found.values[:, i, k],
            y=row + rng.uniform(-_JITTER, _JITTER, len(values)),
            mode="markers",
            marker={
                "size": 7,
                "color": (values - values.min()) / span,
                "coloraxis": "coloraxis",
                "line": {"width": 0.5, "color": ground()},
            },
            customdata=values,
            hovertemplate=f"{state_name(found.states[i])} %{{customdata:.4g}}"
            "<br>adds %{x:+.5f} to the effect<extra></extra>",
            showlegend=False,
        )
    figure.add_vline(x=0, line={"color": muted(), "width": 1})
    figure.update_xaxes(
        title_text=f"added to the effect of {cut(domain)} on {cut(outcome_label(found.outcome), 26)}",
        tickformat="+.3~g", zeroline=False, nticks=7,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(order))), ticktext=[cut(state_name(found.states[i]), 24) for i in order],
        range=[len(order) - 0.5, -0.5], showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_layout(
        coloraxis={
            "colorscale": [[0, "#5782e0" if is_dark() else "#1b3f97"], [0.5, muted()], [1, warm()]],
            "colorbar": {
                "title": {"text": "pool state", "side": "right"}, "tickvals": [0.02, 0.98],
                "ticktext": ["low", "high"], "thickness": 12, "outlinewidth": 0,
            },
        }
    )  # fmt: skip
    return figure


def _band(
    figure: go.Figure, x: np.ndarray, lower: np.ndarray, upper: np.ndarray, row: int, column: int
) -> None:
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]), y=np.concatenate([upper, lower[::-1]]), fill="toself", mode="lines",
        line={"width": 0}, fillcolor=faded(accent(), 0.22), hoverinfo="skip", name="95% band",
        showlegend=row == 1 and column == 1, row=row, col=column,
    )  # fmt: skip


def _rug(figure: go.Figure, runs: np.ndarray, floor: float, row: int, column: int) -> None:
    figure.add_scatter(
        x=runs, y=np.full(len(runs), floor), mode="markers", name="runs", hoverinfo="skip",
        marker={"symbol": "line-ns", "size": 9, "line": {"width": 1, "color": muted()}, "opacity": 0.8},
        showlegend=row == 1 and column == 1, row=row, col=column,
    )  # fmt: skip


def _now(figure: go.Figure, x: float, at: float, row: int, column: int, name: str = "this pool") -> None:
    figure.add_vline(x=x, line={"color": warm(), "width": 1.5, "dash": "dot"}, row=row, col=column)
    figure.add_scatter(
        x=[x], y=[at], mode="markers", marker={"size": 9, "color": warm()}, name=name,
        hovertemplate=name + ": %{x:.4g}<extra></extra>", showlegend=row == column == 1, row=row, col=column,
    )  # fmt: skip
