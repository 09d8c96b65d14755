"""Charts of the corpus page. Histograms are drawn by bin, so that a brush picks whole bins on any scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pages.widgets.charts import accent, muted, palette
from pages.widgets.shell import is_dark

_TICKS = 7


def number(value: float) -> str:
    """A number as short as it can be read: `15 k`, `0.034`."""
    value = float(f"{value:.3g}") if abs(value) >= 1e4 else value  # 999,999 is 1 M, not 1e+03 k
    size = abs(value)
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if size >= limit:
            return f"{value / (1e3 if unit == ' k' else limit):.3g}{unit}"
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def treemap(table: pd.DataFrame) -> go.Figure:
    """Sizes of the domains; the darker part of each repeats other documents.

    Args:
        table: columns domain, tokens, documents, near_duplicates.
    """
    colours = palette(list(table["domain"]))
    figure = go.Figure(
        go.Treemap(
            labels=table["domain"],
            parents=[""] * len(table),
            values=table["tokens"],
            marker={"colors": [colours[d] for d in table["domain"]], "cornerradius": 4},
            customdata=np.column_stack(
                [table["documents"], 100 * table["near_duplicates"] / table["documents"]]
            ),
            texttemplate="<b>%{label}</b><br>%{percentRoot:.0%}",
            hovertemplate="<b>%{label}</b><br>%{value:,} tokens, %{percentRoot:.1%} of the pool<br>"
            "%{customdata[0]:,} documents, %{customdata[1]:.0f}% near-duplicates<extra></extra>",
            textfont={"color": "#10171d" if is_dark() else "#ffffff", "size": 14},
            tiling={"pad": 3},
            pathbar={"visible": False},
        )
    )
    return figure


def brushable(histogram: pd.DataFrame, label: str, selected: tuple[float | None, float | None]) -> go.Figure:
    """All documents in grey, the selected ones in colour, by bin; drag across bars to select a range.

    Args:
        histogram: columns lower, upper, documents, selected.
        label: of the horizontal axis.
        selected: the range that is selected now, drawn as a band.
    """
    position = np.arange(len(histogram))
    ends = histogram[["lower", "upper", "documents", "selected"]]
    figure = go.Figure()
    for column, colour, name in (("documents", muted(), "all"), ("selected", accent(), "selected")):
        figure.add_bar(
            x=position,
            y=histogram[column],
            width=1,
            marker={"color": colour, "opacity": 0.35 if column == "documents" else 1, "line": {"width": 0}},
            name=name,
            customdata=ends,
            hovertemplate="%{customdata[0]:.4~g} to %{customdata[1]:.4~g}<br>"
            "%{customdata[3]:,} of %{customdata[2]:,} documents<extra></extra>",
            unselected={"marker": {"opacity": 0.2 if column == "documents" else 0.5}},
        )
    low, high = selected
    if low is not None or high is not None:
        edges = [*histogram["lower"], histogram["upper"].iloc[-1]]
        start = 0 if low is None else int(np.searchsorted(edges, low))
        stop = len(edges) - 1 if high is None else int(np.searchsorted(edges, high))
        figure.add_vrect(
            x0=start - 0.5, x1=max(stop, start + 1) - 0.5, fillcolor=accent(), opacity=0.12, line_width=0
        )
    _bin_axis(figure, histogram["lower"], histogram["upper"].iloc[-1], label)
    figure.update_yaxes(title_text="documents", nticks=4, fixedrange=True)
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        dragmode="select",
        selectdirection="h",
        legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"},
        newselection={"line": {"width": 1}},
    )
    return figure


def by_domain(histogram: pd.DataFrame, label: str) -> go.Figure:
    """One line per domain: how the selected documents are distributed, as shares of the domain.

    Args:
        histogram: columns domain, lower, upper, selected.
        label: of the horizontal axis.
    """
    domains = sorted(histogram["domain"].unique())
    colours = palette(domains)
    figure = go.Figure()
    own = histogram
    for domain in domains:
        own = histogram[histogram["domain"] == domain]
        total = max(1, int(own["selected"].sum()))
        figure.add_scatter(
            x=np.arange(len(own)),
            y=100 * own["selected"] / total,
            mode="lines",
            line={"width": 2, "color": colours[domain]},
            name=domain,
            customdata=own[["lower", "upper", "selected"]],
            hovertemplate="%{customdata[0]:.4~g} to %{customdata[1]:.4~g}<br>"
            "%{customdata[2]:,} documents (%{y:.1f}%)<extra>" + domain + "</extra>",
        )
    _bin_axis(figure, own["lower"], own["upper"].iloc[-1], label)
    figure.update_yaxes(rangemode="tozero", nticks=4, ticksuffix="%", title_text="of the domain")
    figure.update_layout(legend={"orientation": "h", "y": -0.28, "x": 0})
    return figure


def two_features(
    cells: pd.DataFrame, sample: pd.DataFrame, domains: Sequence[str], x_label: str, y_label: str
) -> go.Figure:
    """Where documents lie in two features: how many per cell, and a sample as points; drag a box to select.

    Args:
        cells: columns x_lower, x_upper, y_lower, y_upper, documents.
        sample: columns domain, document, x, y.
        domains: all domains, for their colours.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
    """
    x_edges, y_edges = cell_edges(cells, "x"), cell_edges(cells, "y")
    grid = np.full((len(y_edges) - 1, len(x_edges) - 1), np.nan)
    column = np.searchsorted(x_edges, cells["x_lower"])
    row = np.searchsorted(y_edges, cells["y_lower"])
    grid[row, column] = np.log10(cells["documents"])
    base = "#10171d" if is_dark() else "#ffffff"
    figure = go.Figure(
        go.Heatmap(
            z=grid,
            x=np.arange(grid.shape[1]),
            y=np.arange(grid.shape[0]),
            colorscale=[[0, base], [1, muted()]],
            showscale=False,
            hoverinfo="skip",
        )
    )
    colours = palette(list(domains))
    for domain, own in sample.groupby("domain", sort=True):
        figure.add_scatter(
            x=_position(own["x"].to_numpy(float), x_edges),
            y=_position(own["y"].to_numpy(float), y_edges),
            mode="markers",
            marker={"size": 4, "color": colours[str(domain)], "opacity": 0.7},
            name=str(domain),
            customdata=own[["x", "y", "document"]],
            hovertemplate="%{customdata[0]:.4~g}, %{customdata[1]:.4~g}<br>document %{customdata[2]}"
            f"<extra>{domain}</extra>",
        )
    _bin_axis(figure, x_edges[:-1].tolist(), float(x_edges[-1]), x_label)
    _bin_axis(figure, y_edges[:-1].tolist(), float(y_edges[-1]), y_label, vertical=True)
    figure.update_layout(dragmode="select", legend={"orientation": "h", "y": -0.2, "x": 0})
    return figure


def square(table: pd.DataFrame, title: str, low: float, high: float, diverging: bool = False) -> go.Figure:
    """A labelled square of numbers: domains against domains, or features against features."""
    base = "#1a242c" if is_dark() else "#f2f5f7"
    scale = (
        [[0, "#b03a10" if not is_dark() else "#f59a73"], [0.5, base], [1, accent()]]
        if diverging
        else [[0, accent()], [1, base]]
    )
    figure = go.Figure(
        go.Heatmap(
            z=table.to_numpy(),
            x=list(table.columns),
            y=list(table.index),
            zmin=low,
            zmax=high,
            colorscale=scale,
            text=table.map(lambda v: "" if pd.isna(v) else f"{v:.2f}").to_numpy(),
            texttemplate="%{text}" if len(table) <= 14 else None,
            xgap=2,
            ygap=2,
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
            colorbar={"title": {"text": title, "side": "right"}, "thickness": 12},
        )
    )
    figure.update_xaxes(side="top", showgrid=False, tickangle=-40 if len(table) > 8 else 0)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def drift(table: pd.DataFrame) -> go.Figure:
    """Population stability index by feature and domain.

    Args:
        table: feature x domain.
    """
    calm, warm, hot = ("#1a242c", "#b5b124", "#f59a73") if is_dark() else ("#f2f5f7", "#e8b04a", "#c2502a")
    figure = go.Figure(
        go.Heatmap(
            z=table.to_numpy(),
            x=list(table.columns),
            y=list(table.index),
            zmin=0,
            zmax=0.5,
            colorscale=[[0, calm], [0.2, calm], [0.5, warm], [1, hot]],
            text=table.map(lambda v: "" if pd.isna(v) else f"{v:.2f}").to_numpy(),
            texttemplate="%{text}",
            xgap=2,
            ygap=2,
            hovertemplate="%{y} in %{x}: %{z:.3f}<extra></extra>",
            colorbar={"title": {"text": "PSI", "side": "right"}, "thickness": 12},
        )
    )
    figure.update_xaxes(side="top", showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def picked_bins(box: Sequence[float], count: int) -> tuple[int, int] | None:
    """First and last bin under a brush in bin positions; None when it covers no bar's middle."""
    low, high = sorted(box)
    first, last = max(0, int(np.ceil(low))), min(count - 1, int(np.floor(high)))
    return (first, last) if first <= last else None


def cell_edges(cells: pd.DataFrame, axis: Literal["x", "y"]) -> np.ndarray:
    """Edges of the bins of one axis of `explore.density`, ascending; bins without a document are joined."""
    edges: np.ndarray = np.unique(cells[[f"{axis}_lower", f"{axis}_upper"]].to_numpy(float))
    # Neighbouring cells state the same edge; rounding may tell them apart.
    keep = np.r_[True, np.diff(edges) > 1e-9 * np.maximum(1e-9, np.abs(edges[1:]))]
    return edges[keep]


def round_values(edges: np.ndarray) -> list[float]:
    """Some round values between the first and the last edge; powers of ten where bins grow by a ratio."""
    low, high = float(edges[0]), float(edges[-1])
    widths = np.diff(edges)
    if low > 0 and high / low > 20 and widths[-1] > 5 * widths[0]:
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        steps = (1, 2, 5) if len(powers) < 4 else (1,)
        values = sorted(float(p * s) for p in powers for s in steps)
    else:
        rough = (high - low) / _TICKS
        size = 10.0 ** np.floor(np.log10(rough))
        step = float(size * next(s for s in (1, 2, 2.5, 5, 10) if s * size >= rough))
        values = [float(v) for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]
    return [v for v in values if low <= v <= high]


def share_map(table: pd.DataFrame, meanings: Sequence[str]) -> go.Figure:
    """Percentages by row and domain, from the ground colour to the accent.

    Args:
        table: row label x domain, 0 to 100.
        meanings: what each row means, for the hover.
    """
    base = "#1a242c" if is_dark() else "#f2f5f7"
    figure = go.Figure(
        go.Heatmap(
            z=table.to_numpy(),
            x=list(table.columns),
            y=list(table.index),
            zmin=0,
            zmax=100,
            colorscale=[[0, base], [1, accent()]],
            text=table.map(lambda v: "" if v < 0.5 else f"{v:.0f}%").to_numpy(),
            texttemplate="%{text}",
            xgap=2,
            ygap=2,
            customdata=np.repeat(np.array(meanings)[:, None], table.shape[1], axis=1),
            hovertemplate="<b>%{y}</b><br>%{x}: %{z:.1f}%<br>%{customdata}<extra></extra>",
            showscale=False,
        )
    )
    figure.update_xaxes(side="top", showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _position(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    inside = np.clip(values, edges[0], edges[-1])
    place: np.ndarray = np.interp(inside, edges, np.arange(len(edges)) - 0.5)
    return place


def _bin_axis(
    figure: go.Figure, lower: Sequence[float] | pd.Series, end: float, label: str, vertical: bool = False
) -> None:
    """Ticks at round values, placed among the bins."""
    edges = np.array([*map(float, lower), float(end)])
    values = round_values(edges)
    axis = {
        "tickvals": np.interp(values, edges, np.arange(len(edges)) - 0.5).tolist(),
        "ticktext": [number(v) for v in values],
        "title_text": label,
        "showgrid": False,
        "zeroline": False,
        "range": [-0.5, len(edges) - 1.5],
        "fixedrange": True,
    }
    if vertical:
        figure.update_yaxes(**axis)
    else:
        figure.update_xaxes(**axis)
