"""Charts of a planned swarm: where its mixtures lie, by domain, in pairs and in a triangle."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pages.widgets.charts import accent, muted, palette
from pages.widgets.shell import is_dark

REFERENCE = "reference"
MOST_PAIRS = 6
"""Domains that are drawn in pairs; more panels would be too small to read."""


def _contrast() -> str:
    """A colour that stands out from dots in the accent."""
    return "#f2b35c" if is_dark() else "#a34a00"


def design_strips(mixtures: pd.DataFrame, reference: Mapping[str, float]) -> go.Figure:
    """Where the planned mixtures lie: a strip of weights per domain, with the reference marked."""
    domains = sorted(reference)
    colours = palette(domains)
    rng = np.random.default_rng(0)
    figure = go.Figure()
    for i, domain in enumerate(domains):
        figure.add_scatter(
            x=100 * mixtures[domain],
            y=i + rng.uniform(-0.22, 0.22, len(mixtures)),
            mode="markers",
            marker={"size": 6, "color": colours[domain], "opacity": 0.6},
            showlegend=False,
            hovertemplate="%{x:.1f}%<extra>" + domain + "</extra>",
        )
    figure.add_scatter(
        x=[100 * reference[d] for d in domains],
        y=list(range(len(domains))),
        mode="markers",
        marker={"symbol": "line-ns", "size": 22, "line": {"width": 2, "color": muted()}},
        name=REFERENCE,
        hovertemplate=f"%{{x:.1f}}%<extra>{REFERENCE}</extra>",
    )
    figure.update_xaxes(title_text="weight of the domain in a probe", ticksuffix="%", rangemode="tozero")
    figure.update_yaxes(
        tickvals=list(range(len(domains))), ticktext=domains, autorange="reversed", showgrid=False
    )
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"}
    )
    return figure


def design_triangle(mixtures: pd.DataFrame, reference: Mapping[str, float]) -> go.Figure:
    """The mixtures of exactly three domains in a triangle whose corners are pure domains."""
    a, b, c = sorted(reference)
    figure = go.Figure()
    where = f"{a} %{{a:.1f}}%<br>{b} %{{b:.1f}}%<br>{c} %{{c:.1f}}%"
    figure.add_scatterternary(
        a=100 * mixtures[a],
        b=100 * mixtures[b],
        c=100 * mixtures[c],
        mode="markers",
        marker={"size": 7, "color": accent(), "opacity": 0.7},
        showlegend=False,
        hovertemplate=where + "<extra></extra>",
    )
    figure.add_scatterternary(
        a=[100 * reference[a]],
        b=[100 * reference[b]],
        c=[100 * reference[c]],
        mode="markers",
        marker={"symbol": "cross-thin", "size": 14, "line": {"width": 2.5, "color": _contrast()}},
        name=REFERENCE,
        hovertemplate=where + f"<extra>{REFERENCE}</extra>",
    )
    axis = {"ticksuffix": "%", "nticks": 6, "gridcolor": muted(), "linecolor": muted()}
    figure.update_layout(
        ternary={
            "sum": 100,
            # The margins that all charts share leave no room for the names of the lower corners.
            "domain": {"y": [0.14, 0.98]},
            "bgcolor": "rgba(0,0,0,0)",
            "aaxis": {"title": {"text": a}, **axis},
            "baxis": {"title": {"text": b}, **axis},
            "caxis": {"title": {"text": c}, **axis},
        },
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )
    return figure


def design_pairs(mixtures: pd.DataFrame, reference: Mapping[str, float]) -> go.Figure:
    """Each pair of domains against each other, of the domains with the largest reference weights."""
    shown = sorted(sorted(reference, key=lambda d: (-reference[d], d))[:MOST_PAIRS])
    size = len(shown) - 1
    top = 10 * math.ceil(
        10 * max(float(mixtures[shown].to_numpy(float).max()), *(reference[d] for d in shown))
    )
    axis = {"range": [-0.04 * top, 1.06 * top], "tickvals": [0, 10 * math.ceil(top / 20)], "ticksuffix": "%"}
    figure = make_subplots(size, size, horizontal_spacing=0.02, vertical_spacing=0.02)
    for row, below in enumerate(shown[1:], start=1):
        for column, left in enumerate(shown[:row], start=1):
            figure.add_scatter(
                x=100 * mixtures[left],
                y=100 * mixtures[below],
                mode="markers",
                marker={"size": 4, "color": accent(), "opacity": 0.6},
                hovertemplate=f"{left} %{{x:.1f}}%<br>{below} %{{y:.1f}}%<extra></extra>",
                row=row,
                col=column,
            )
            figure.add_scatter(
                x=[100 * reference[left]],
                y=[100 * reference[below]],
                mode="markers",
                marker={"symbol": "cross-thin", "size": 12, "line": {"width": 2.5, "color": _contrast()}},
                hovertemplate=f"{left} %{{x:.1f}}%<br>{below} %{{y:.1f}}%<extra>{REFERENCE}</extra>",
                row=row,
                col=column,
            )
            figure.update_xaxes(
                **axis, showticklabels=row == size,
                title_text=left if row == size else None, row=row, col=column,
            )  # fmt: skip
            figure.update_yaxes(
                **axis, showticklabels=column == 1,
                title_text=below if column == 1 else None, row=row, col=column,
            )  # fmt: skip
    for row in range(1, size + 1):
        for column in range(row + 1, size + 1):
            figure.update_xaxes(visible=False, row=row, col=column)
            figure.update_yaxes(visible=False, row=row, col=column)
    figure.update_layout(showlegend=False)
    return figure
