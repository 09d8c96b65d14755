"""Charts of effects with their intervals: one outcome, all of them in a matrix, and before and after an edit.

Green is better and red is worse, whether an outcome is better low or high; grey cannot be told from zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from causalmix_core.effects import OBJECTIVE
from causalmix_core.probes import LOSS
from pages.widgets.chart_tones import higher_is_better, ink, legend_on_top, quiet, tone
from pages.widgets.charts import muted
from pages.widgets.run_charts import cut
from pages.widgets.shell import is_dark

_LEVEL_NAMES = 60
"""Pixels that column names need above a matrix while they lie level."""
_PER_LETTER = 5.2
"""Pixels in height that a letter of a slanted name takes."""
_WIDE = 9
"""Columns up to which their names fit level beside each other."""
_FAINTEST = 0.25
"""Colour of the smallest effect that can be told from zero, of the largest: it must be seen to have one."""


def intervals(
    names: Sequence[str],
    values: Sequence[float],
    lower: Sequence[float],
    upper: Sequence[float],
    axis: str,
    outcomes: Sequence[str],
) -> go.Figure:
    """Points with 95% intervals and a zero line.

    Args:
        names: of the rows, from top to bottom.
        values: the points.
        lower: low ends of their intervals.
        upper: high ends.
        axis: what the values are.
        outcomes: of each row, which says whether higher is better.
    """
    colours = [tone(low, high, o) for low, high, o in zip(lower, upper, outcomes, strict=True)]
    labels = [cut(n) for n in names]
    figure = go.Figure()
    for label, a, b, colour in zip(labels, lower, upper, colours, strict=True):
        figure.add_scatter(
            x=[a, b], y=[label, label], mode="lines", line={"width": 2.5, "color": colour},
            hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    figure.add_scatter(
        x=list(values),
        y=labels,
        mode="markers",
        marker={"size": 10, "color": colours},
        customdata=np.column_stack([lower, upper]),
        text=list(names),
        hovertemplate="%{text}: %{x:+.5f}<br>95%: %{customdata[0]:+.5f} to %{customdata[1]:+.5f}"
        "<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": muted(), "width": 1})
    figure.update_xaxes(title_text=axis, zeroline=False, nticks=6, tickformat="+.3~g")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def effect_matrix(effects: pd.DataFrame, clear: pd.DataFrame, marks: pd.DataFrame) -> tuple[go.Figure, int]:
    """Effects of all domains on all outcomes; cells whose interval contains zero are left empty of colour.

    Outcomes of one kind share their colours and decimals, since they share a unit.

    Args:
        effects: domains as rows and outcomes as columns.
        clear: whether each differs from zero, of the same shape.
        marks: a sign behind each number, of the same shape; may be empty strings.

    Returns:
        The figure, and the pixels that the names of the outcomes need above it.
    """
    outcomes = list(effects.columns)
    kinds = [o.partition("/")[0] for o in outcomes]
    shade, text = np.zeros(effects.shape), np.empty(effects.shape, dtype=object)
    for kind in dict.fromkeys(kinds):
        columns = [i for i, k in enumerate(kinds) if k == kind]
        limit = float(np.abs(effects.iloc[:, columns].to_numpy()).max()) or 1.0
        decimals = max(0, 2 - math.floor(math.log10(limit)))
        for i in columns:
            worse = np.sign(effects.iloc[:, i]) * (-1 if higher_is_better(outcomes[i]) else 1)
            size = _FAINTEST + (1 - _FAINTEST) * effects.iloc[:, i].abs() / limit
            shade[:, i] = (worse * size).where(clear.iloc[:, i], 0.0)
            for row, (value, mark) in enumerate(zip(effects.iloc[:, i], marks.iloc[:, i], strict=True)):
                text[row, i] = f"{value:+.{decimals}f}{mark}"
    # Paler than elsewhere, so that the numbers on top stay readable in both themes.
    good, bad = ("#1f7a5a", "#a34a2c") if is_dark() else ("#7cc9ab", "#eda582")
    losses = all(o.startswith(LOSS) for o in outcomes)
    names = [cut(o.removeprefix(LOSS) if losses else o) for o in outcomes]
    figure = go.Figure(
        go.Heatmap(
            z=shade,
            x=names,
            y=[cut(d) for d in effects.index],
            zmin=-1,
            zmax=1,
            colorscale=[[0, good], [0.5, quiet()], [1, bad]],
            text=text,
            texttemplate="%{text}",
            textfont={"color": ink(), "size": 12 if len(outcomes) <= _WIDE else 11},
            xgap=3,
            ygap=3,
            customdata=[
                [f"{d}<br>changes {o} by {effects.loc[d, o]:+.5f}" for o in outcomes] for d in effects.index
            ],
            hovertemplate="+1 point of %{customdata}<extra></extra>",
            showscale=False,
        )
    )
    slanted = len(outcomes) > _WIDE or max(map(len, names)) * len(outcomes) > 110
    figure.update_xaxes(side="top", showgrid=False, zeroline=False, tickangle=-35 if slanted else 0)
    if losses:
        figure.update_xaxes(title={"text": "held-out loss of", "standoff": 8})
    figure.update_yaxes(autorange="reversed", title_text="+1 point of", showgrid=False, zeroline=False)
    return figure, _LEVEL_NAMES + (int(_PER_LETTER * max(map(len, names))) if slanted else 0)


def before_after(changed: pd.DataFrame) -> go.Figure:
    """Effects before and after an edit of the graph, two intervals per row.

    Args:
        changed: as `GraphDifference` holds it; at least one row.
    """
    figure = go.Figure()
    rows = len(changed)
    places = {"before": -0.16, "after": 0.16}
    for when, shift in places.items():
        at = np.arange(rows) + shift
        colours = [
            muted() if when == "before" else tone(low, high, o)
            for low, high, o in zip(
                changed[f"lower_{when}"], changed[f"upper_{when}"], changed["outcome"], strict=True
            )
        ]
        for y, low, high, colour in zip(
            at, changed[f"lower_{when}"], changed[f"upper_{when}"], colours, strict=True
        ):
            figure.add_scatter(
                x=[low, high], y=[y, y], mode="lines", hoverinfo="skip", showlegend=False,
                line={"width": 2.5, "color": colour, "dash": "dot" if when == "before" else "solid"},
            )  # fmt: skip
        figure.add_scatter(
            x=changed[f"effect_{when}"],
            y=at,
            mode="markers",
            name=when,
            marker={
                "size": 9,
                "color": colours,
                "symbol": "circle-open" if when == "before" else "circle",
                "line": {"width": 2, "color": colours},
            },
            customdata=np.column_stack([changed[f"lower_{when}"], changed[f"upper_{when}"]]),
            hovertemplate=when
            + ": %{x:+.5f}<br>95%: %{customdata[0]:+.5f} to %{customdata[1]:+.5f}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": muted(), "width": 1})
    figure.update_xaxes(
        title_text="change per +1 point, 95% interval", zeroline=False, tickformat="+.3~g", nticks=7
    )
    names = [
        f"{cut(d)} → {'objective' if o == OBJECTIVE else cut(o.removeprefix(LOSS))}"
        for d, o in zip(changed["domain"], changed["outcome"], strict=True)
    ]
    figure.update_yaxes(
        tickvals=list(range(rows)), ticktext=names, range=[rows - 0.5, -0.5], showgrid=False, zeroline=False
    )
    figure.update_layout(legend=legend_on_top())
    return figure
