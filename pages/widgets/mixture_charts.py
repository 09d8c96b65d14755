"""Charts of mixtures: what moved what, two outcomes against each other, and two mixtures."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from causalmix_core.probes import LOSS
from pages.widgets.chart_tones import (
    decimals_of,
    faded,
    ground,
    higher_is_better,
    ink,
    legend_on_top,
    outcome_label,
    warm,
)
from pages.widgets.charts import accent, better_worse, muted
from pages.widgets.run_charts import cut

UNMOVED = 5e-5
"""Weight below which a domain has not moved: it would read as 0.00 points."""
_OPEN, _FULL = "circle-open", "circle"
MOST_BARS = 7
"""Intervals that are drawn along a front."""


def short(outcome: str) -> str:
    """An outcome on an axis: losses by their text alone."""
    return outcome_label(outcome).removeprefix(LOSS)


def waterfall_figure(parts: pd.DataFrame, outcome: str) -> go.Figure:
    """From the reference to the mixture: what the move of each domain contributes to one outcome.

    Args:
        parts: columns domain, moved, contribution, of one outcome.
        outcome: which.
    """
    rows = parts[parts["moved"].abs() >= UNMOVED]
    rows = rows.reindex(rows["contribution"].abs().sort_values(ascending=False).index)
    good, bad = better_worse()
    up, down = (good, bad) if higher_is_better(outcome) else (bad, good)
    decimals = max(4, decimals_of(rows["contribution"].to_numpy(float)))
    names = [f"{cut(d)}  {100 * m:+.1f}" for d, m in zip(rows["domain"], rows["moved"], strict=True)]
    total = float(rows["contribution"].sum())
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=[*names, "all together"],
            x=[*rows["contribution"], total],
            measure=["relative"] * len(rows) + ["total"],
            text=[f"{v:+.{decimals}f}" for v in [*rows["contribution"], total]],
            textposition="outside",
            textfont={"color": ink()},
            increasing={"marker": {"color": up}},
            decreasing={"marker": {"color": down}},
            totals={"marker": {"color": accent()}},
            connector={"line": {"color": muted(), "width": 1}},
            hovertemplate="%{y} points: %{x:+.5f}<extra></extra>",
            cliponaxis=False,
        )
    )
    ends = np.concatenate([[0.0], rows["contribution"].cumsum().to_numpy(float)])
    room = 0.16 * (float(np.ptp(ends)) or 1.0)
    figure.update_xaxes(
        title_text=f"change of {short(outcome)}, from the reference",
        tickformat="+.3~g",
        zeroline=False,
        nticks=7,
        range=[float(ends.min()) - room, float(ends.max()) + room],
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.add_vline(x=0, line={"color": muted(), "width": 1})
    figure.update_layout(showlegend=False)
    return figure


def pareto_figure(
    front: pd.DataFrame, first: str, second: str, named: Mapping[str, tuple[float, float]]
) -> go.Figure:
    """Candidate mixtures by the change of two outcomes, those that nothing betters, and the mixture at hand.

    Args:
        front: as `pareto_front` gives it.
        first: outcome across.
        second: outcome upwards.
        named: other mixtures to show, by name.
    """
    rest = front[~front["front"] & ~front["current"]]
    best = front[front["front"]].sort_values(first)
    here = front[front["current"]].iloc[0]
    figure = go.Figure()
    figure.add_scatter(
        x=rest[first],
        y=rest[second],
        mode="markers",
        name="possible",
        hoverinfo="skip",
        marker={"size": 4, "color": faded(muted(), 0.35)},
    )
    figure.add_scatter(
        x=best[first],
        y=best[second],
        mode="lines+markers",
        name="cannot be bettered in both",
        line={"color": accent(), "width": 1.5, "shape": "hv" if not higher_is_better(second) else "vh"},
        marker={"size": 6, "color": accent()},
        error_x=_bars(best, first),
        error_y=_bars(best, second),
        hovertemplate=f"{short(first)} %{{x:+.4f}}<br>{short(second)} %{{y:+.4f}}<extra></extra>",
    )
    figure.add_scatter(
        x=[0],
        y=[0],
        mode="markers+text",
        name="reference",
        text=["reference"],
        textposition="bottom left" if here[first] > 0 else "bottom right",
        marker={"size": 10, "symbol": "x", "color": ink()},
        textfont={"color": ink()},
        showlegend=False,
    )
    if named:
        labels = _apart(named, [(0.0, 0.0), (float(here[first]), float(here[second]))], front, first, second)
        figure.add_scatter(
            x=[p[0] for p in named.values()],
            y=[p[1] for p in named.values()],
            mode="markers+text",
            text=labels,
            customdata=list(named),
            textposition="top center",
            textfont={"size": 11, "color": muted()},
            showlegend=False,
            marker={
                "size": 8,
                "symbol": "diamond",
                "color": muted(),
                "line": {"width": 1, "color": ground()},
            },
            hovertemplate="%{customdata}: %{x:+.4f}, %{y:+.4f}<extra></extra>",
        )
    figure.add_scatter(
        x=[here[first]],
        y=[here[second]],
        mode="markers",
        name="on the sliders",
        marker={"size": 14, "color": warm(), "line": {"width": 1.5, "color": ground()}},
        error_x={"array": [here[f"{first} upper"] - here[first]], "color": warm(), "thickness": 1.5},
        error_y={"array": [here[f"{second} upper"] - here[second]], "color": warm(), "thickness": 1.5},
        hovertemplate="on the sliders: %{x:+.4f}, %{y:+.4f}<extra></extra>",
    )
    figure.add_hline(y=0, line={"color": muted(), "width": 1, "dash": "dot"})
    figure.add_vline(x=0, line={"color": muted(), "width": 1, "dash": "dot"})
    for axis, outcome in ((figure.update_xaxes, first), (figure.update_yaxes, second)):
        way = "higher" if higher_is_better(outcome) else "lower"
        axis(title_text=f"change of {short(outcome)} ({way} is better)", tickformat="+.3~g", zeroline=False)
    figure.update_xaxes(range=_span(front, best, here, first))
    figure.update_yaxes(range=_span(front, best, here, second))
    figure.update_layout(legend=legend_on_top())
    return figure


def _span(front: pd.DataFrame, best: pd.DataFrame, here: pd.Series, outcome: str) -> list[float]:
    """The ends of an axis: all that matters, and most of what is possible."""
    ends = [
        *front[outcome].quantile([0.02, 0.98]),
        *best[outcome],
        0.0,
        *here[[f"{outcome} lower", f"{outcome} upper"]],
    ]
    room = 0.08 * (max(ends) - min(ends) or 1.0)
    return [min(ends) - room, max(ends) + room]


def _bars(rows: pd.DataFrame, outcome: str) -> dict[str, object]:
    """Half intervals at a few of the rows; at all of them they would hide what they belong to."""
    every = max(1, math.ceil(len(rows) / MOST_BARS))
    half = (rows[f"{outcome} upper"] - rows[outcome]).to_numpy(float)
    shown = np.where(np.arange(len(rows)) % every == 0, half, 0.0)
    return {"array": shown.tolist(), "color": faded(accent(), 0.45), "thickness": 1, "width": 0}


def _apart(
    named: Mapping[str, tuple[float, float]],
    taken: list[tuple[float, float]],
    front: pd.DataFrame,
    first: str,
    second: str,
) -> list[str]:
    """The names that can be written beside their points; empty where another one stands in the way."""
    wide, high = (float(np.ptp(front[o].to_numpy(float))) or 1.0 for o in (first, second))
    labels = []
    for name, place in named.items():
        near = any(abs(place[0] - x) < 0.09 * wide and abs(place[1] - y) < 0.06 * high for x, y in taken)
        labels.append("" if near else name)
        taken = taken if near else [*taken, place]
    return labels


def two_mixtures(weights: pd.DataFrame, first: str, second: str) -> go.Figure:
    """The weights of two mixtures, a line from one to the other.

    Args:
        weights: columns domain, first, second; NaN where one has no such domain.
        first: name of the one.
        second: name of the other.
    """
    labels = [cut(d) for d in weights["domain"]]
    figure = go.Figure()
    xs = [v for a, b in zip(weights["first"], weights["second"], strict=True) for v in (a, b, None)]
    figure.add_scatter(
        x=xs,
        y=[v for y in labels for v in (y, y, None)],
        mode="lines",
        line={"color": muted(), "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    for column, name, symbol in (("first", first, _OPEN), ("second", second, _FULL)):
        figure.add_scatter(
            x=weights[column],
            y=labels,
            mode="markers",
            name=name,
            marker={"size": 11, "symbol": symbol, "color": accent(), "line": {"width": 2, "color": accent()}},
            hovertemplate=f"%{{y}}, {name}: %{{x:.2%}}<extra></extra>",
        )
    figure.update_xaxes(title_text="weight", tickformat=".0%", zeroline=False, rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(legend=legend_on_top())
    return figure
