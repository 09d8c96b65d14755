"""Charts of domains that act together: every pair, the weights of two, and how three share their weight.

Each takes one value of `causalmix_core.effects.explanation`. Green is better, red is worse; what is left
blank lies where no run was near.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from causalmix_core.effects.explanation import PairSurface, TriangleSurface
from pages.widgets.chart_tones import decimals_of, diverging, ink, legend_on_top, outcome_label, signed
from pages.widgets.charts import muted
from pages.widgets.run_charts import cut

TRIANGLE_HEIGHT = 520
"""Pixels that `triangle_figure` is made for: its cells touch each other at this height."""
MOST_NUMBERS = 10
"""Domains beside each other up to which a number fits into each cell."""


def interaction_heatmap(table: pd.DataFrame, outcome: str) -> go.Figure:
    """What each pair of domains does together beyond the sum of both; colour only where it is told from zero.

    Args:
        table: as `interactions` gives it.
        outcome: what they act on.
    """
    domains = sorted({*table["first"], *table["second"]})
    at = {d: i for i, d in enumerate(domains)}
    n = len(domains)
    z, hover = np.full((n, n), np.nan), np.full((n, n), "", dtype=object)
    text = np.full((n, n), "", dtype=object)
    decimals = decimals_of(table["interaction"].to_numpy())
    for row in table.to_dict("records"):
        i, j = sorted((at[row["first"]], at[row["second"]]))
        value = row["interaction"]
        z[j, i] = value if row["distinguishable"] else 0.0
        text[j, i] = f"{value:+.{decimals}f}" if n <= MOST_NUMBERS else ""
        hover[j, i] = (
            f"{row['first']} and {row['second']}, +{100 * row['step']:.0f} points each:<br>together "
            f"{signed(value)} beyond the sum of both<br>95%: {signed(row['lower'])} to {signed(row['upper'])}"
            + ("" if row["inside"] else "<br>no run had such weights: a guess")
        )
    limit = float(np.nanmax(np.abs(z))) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=z[1:, :-1],
            x=[cut(d, 14) for d in domains[:-1]],
            y=[cut(d, 14) for d in domains[1:]],
            zmin=-limit,
            zmax=limit,
            colorscale=diverging(outcome),
            text=text[1:, :-1],
            texttemplate="%{text}",
            textfont={"color": ink(), "size": 12},
            customdata=hover[1:, :-1],
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=False,
            xgap=3,
            ygap=3,
            showscale=False,
        )
    )
    figure.update_xaxes(showgrid=False, zeroline=False, tickangle=-35 if n > 6 else 0)
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
    return figure


def pair_figure(surface: PairSurface) -> go.Figure:
    """The change of an outcome over the weights of two domains, blank where no run was near."""
    limit = _limit(surface.change)
    where = f"{surface.first} %{{x:.1f}}%<br>{surface.second} %{{y:.1f}}%"
    figure = go.Figure(
        go.Contour(
            x=100 * surface.x,
            y=100 * surface.y,
            z=surface.change,
            zmin=-limit,
            zmax=limit,
            colorscale=diverging(surface.outcome),
            connectgaps=False,
            ncontours=14,
            line={"width": 0.6, "color": muted()},
            customdata=surface.half,
            hovertemplate=where + "<br>change %{z:+.4f} ± %{customdata:.4f}<extra></extra>",
            colorbar=_colour_bar(surface.outcome),
        )
    )
    figure.add_scatter(
        x=100 * surface.runs[:, 0], y=100 * surface.runs[:, 1], mode="markers", name="runs",
        marker={"size": 5, "color": ink(), "opacity": 0.45},
        hovertemplate=where + "<extra>a run</extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[100 * surface.now[0]], y=[100 * surface.now[1]], mode="markers", name="now",
        marker={"symbol": "cross-thin", "size": 16, "line": {"width": 3, "color": ink()}},
        hovertemplate=where + "<extra>now</extra>",
    )  # fmt: skip
    figure.update_xaxes(
        title_text=f"weight of {surface.first}", ticksuffix="%", showgrid=False, zeroline=False,
        range=_ends(surface.x),
    )  # fmt: skip
    figure.update_yaxes(
        title_text=f"weight of {surface.second}", ticksuffix="%", showgrid=False, zeroline=False,
        range=_ends(surface.y),
    )  # fmt: skip
    figure.update_layout(legend=legend_on_top())
    return figure


def triangle_figure(surface: TriangleSurface) -> go.Figure:
    """The change of an outcome over how three domains share their weight, blank where no run was near."""
    seen = np.isfinite(surface.change)
    limit = _limit(surface.change)
    a, b, c = surface.domains
    where = f"{a} %{{a:.0f}}%<br>{b} %{{b:.0f}}%<br>{c} %{{c:.0f}}%"
    shown = 100 * surface.shares[seen]
    figure = go.Figure()
    figure.add_scatterternary(
        a=shown[:, 0], b=shown[:, 1], c=shown[:, 2], mode="markers", showlegend=False,
        marker={
            "symbol": "hexagon", "size": TRIANGLE_HEIGHT / 31, "color": surface.change[seen],
            "cmin": -limit, "cmax": limit,
            "colorscale": diverging(surface.outcome), "colorbar": _colour_bar(surface.outcome),
            "opacity": 1, "line": {"width": 0},
        },
        customdata=np.column_stack([surface.change[seen], surface.half[seen]]),
        hovertemplate=where + "<br>change %{customdata[0]:+.4f} ± %{customdata[1]:.4f}<extra></extra>",
    )  # fmt: skip
    runs, now = 100 * surface.runs, 100 * surface.now
    figure.add_scatterternary(
        a=runs[:, 0], b=runs[:, 1], c=runs[:, 2], mode="markers", name="runs",
        marker={"size": 5, "color": ink(), "opacity": 0.45}, hovertemplate=where + "<extra>a run</extra>",
    )  # fmt: skip
    figure.add_scatterternary(
        a=now[:1], b=now[1:2], c=now[2:], mode="markers", name="now",
        marker={"symbol": "cross-thin", "size": 16, "line": {"width": 3, "color": ink()}},
        hovertemplate=where + "<extra>now</extra>",
    )  # fmt: skip
    axis = {"ticksuffix": "%", "nticks": 5, "gridcolor": muted(), "linecolor": muted(), "gridwidth": 0.5}
    figure.update_layout(
        ternary={
            "sum": 100,
            "domain": {"x": [0.1, 0.9], "y": [0.12, 0.96]},
            "bgcolor": "rgba(0,0,0,0)",
            **{
                f"{side}axis": {"title": {"text": cut(d)}, **axis}
                for side, d in zip("abc", (a, b, c), strict=True)
            },
        },
        legend=legend_on_top(),
    )
    return figure


def _colour_bar(outcome: str) -> dict[str, object]:
    return {
        "title": {"text": f"change of {cut(outcome_label(outcome), 26)}", "side": "right"},
        "thickness": 12,
        "outlinewidth": 0,
        "tickformat": "+.3~g",
        "nticks": 6,
    }


def _limit(values: np.ndarray) -> float:
    seen = np.abs(values[np.isfinite(values)])
    return float(seen.max(initial=0.0)) or 1.0


def _ends(weights: np.ndarray) -> list[float]:
    low, high = 100 * float(weights.min()), 100 * float(weights.max())
    room = 0.04 * (high - low or 1)
    return [low - room, high + room]
