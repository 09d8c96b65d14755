"""Charts of a pool shift: what changed in the pool state, and what that does to the effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from causalmix_core.effects.explanation import state_name
from pages.widgets.chart_tones import faded, ink, legend_on_top, tone
from pages.widgets.charts import accent, better_worse, muted
from pages.widgets.mixture_charts import short
from pages.widgets.run_charts import cut

_OPEN, _FULL = "circle-open", "circle"


def two_effects(
    domains: Sequence[str], before: pd.DataFrame, after: pd.DataFrame, outcome: str, names: tuple[str, str]
) -> go.Figure:
    """Effects per domain in two pools, with their intervals.

    Args:
        domains: rows from top to bottom.
        before: columns effect, lower, upper, in the order of `domains`.
        after: the same in the other pool.
        outcome: what they are effects on.
        names: of the two pools.
    """
    figure = go.Figure()
    for rows, name, shift, symbol in ((before, names[0], -0.17, _OPEN), (after, names[1], 0.17, _FULL)):
        tones = [tone(a, b, outcome) for a, b in zip(rows["lower"], rows["upper"], strict=True)]
        for i, (low, high, colour) in enumerate(zip(rows["lower"], rows["upper"], tones, strict=True)):
            line = {"width": 2.5 if symbol == _FULL else 1.5, "color": colour}
            figure.add_scatter(
                x=[low, high], y=[i + shift] * 2, mode="lines", line=line, hoverinfo="skip", showlegend=False
            )
        figure.add_scatter(
            x=rows["effect"],
            y=np.arange(len(domains)) + shift,
            mode="markers",
            showlegend=False,
            marker={"size": 10, "symbol": symbol, "color": tones, "line": {"width": 2, "color": tones}},
            customdata=np.column_stack([rows["lower"], rows["upper"]]),
            text=list(domains),
            hovertemplate=f"%{{text}}, {name}: %{{x:+.5f}}<br>"
            "95%: %{customdata[0]:+.5f} to %{customdata[1]:+.5f}<extra></extra>",
        )
        _legend(figure, name, symbol)
    figure.add_vline(x=0, line={"color": muted(), "width": 1})
    figure.update_xaxes(
        title_text=f"effect of +1 point on {short(outcome)}, 95%", tickformat="+.3~g", zeroline=False
    )
    figure.update_yaxes(
        tickvals=list(range(len(domains))),
        ticktext=[cut(d) for d in domains],
        showgrid=False,
        zeroline=False,
        range=[len(domains) - 0.5, -0.5],
    )
    figure.update_layout(legend=legend_on_top())
    return figure


def _legend(figure: go.Figure, name: str, symbol: str) -> None:
    """A line of the legend of its own: the points it stands for have colours of their own."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name=name,
        marker={"size": 10, "symbol": symbol, "color": ink(), "line": {"width": 2, "color": ink()}},
    )


def moved_states(states: pd.DataFrame, names: tuple[str, str]) -> go.Figure:
    """Each pool state before and after, on the range that the runs covered.

    Args:
        states: as `PoolShift.states`.
        names: of the two pools.
    """
    low, span = states["lowest"], (states["highest"] - states["lowest"]).where(lambda s: s > 0, 1.0)
    labels = [cut(state_name(s), 26) for s in states["state"]]
    figure = go.Figure()
    figure.add_bar(
        x=[1.0] * len(states),
        y=labels,
        orientation="h",
        width=0.5,
        name="covered by the runs",
        marker={"color": faded(accent(), 0.16)},
        hoverinfo="skip",
    )
    before, after = ((states[c] - low) / span for c in ("before", "after"))
    xs = [v for a, b in zip(before, after, strict=True) for v in (a, b, None)]
    figure.add_scatter(
        x=xs,
        y=[v for y in labels for v in (y, y, None)],
        mode="lines",
        line={"color": muted(), "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    _, bad = better_worse()
    for values, column, name, symbol in (
        (before, "before", names[0], _OPEN),
        (after, "after", names[1], _FULL),
    ):
        colours = [accent() if c or column == "before" else bad for c in states["covered"]]
        figure.add_scatter(
            x=values,
            y=labels,
            mode="markers",
            showlegend=False,
            text=states[column].map("{:.4g}".format),
            marker={"size": 11, "symbol": symbol, "color": colours, "line": {"width": 2, "color": colours}},
            hovertemplate=f"%{{y}}, {name}: %{{text}}<extra></extra>",
        )
        _legend(figure, name, symbol)
    figure.update_xaxes(
        tickvals=[0, 1],
        ticktext=["lowest run", "highest run"],
        showgrid=False,
        zeroline=False,
        range=[min(-0.1, float(after.min()) - 0.1), max(1.1, float(after.max()) + 0.1)],
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(legend=legend_on_top())
    return figure
