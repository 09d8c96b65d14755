"""Charts of finished probes: mixtures against losses in parallel, by mixture, and as curves of training.

Blue is better, orange is worse, on every chart and in both themes, whether an outcome is better low or high.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pages.widgets.charts import accent, muted, palette
from pages.widgets.design_charts import MOST_PAIRS, design_pairs, design_triangle
from pages.widgets.shell import is_dark

MOST_AXES = 10
"""Axes that can be read side by side on a page of usual width."""
MOST_DOTS, MOST_LINES = 6_000, 1_500
"""Dots and lines of one figure: a browser draws more of them only after a while."""
NAMED_CURVES = 8
"""Curves that can be told apart by colour; more are shaded by how they ended."""
MOST_CURVES = 48
_WIDEST_LABEL = 18
_PANEL_LABEL = 14
_STEP_BACK = 0.03
"""Part of the colours' range that lies below it for lines that step back."""

Unit = Literal["loss", "bpb"]
UNITS: dict[Unit, str] = {"loss": "nats per token", "bpb": "bits per byte"}


class Axis(NamedTuple):
    """One axis of `parallel`: its name, the value of each probe, and whether it is a weight."""

    label: str
    values: pd.Series[float]
    weight: bool


def shade() -> list[tuple[float, str]]:
    """From the best to the worst, through a quiet middle."""
    best, middle, worst = (
        ("#4fb3d4", "#5b6b77", "#f2a33c") if is_dark() else ("#0e6a8a", "#bcc8d0", "#cc6a00")
    )
    return [(0.0, best), (0.5, middle), (1.0, worst)]


def shade_range(values: pd.Series[float]) -> tuple[float, float]:
    """Where the colours end: a few outliers must not make all others look alike.

    Args:
        values: what is coloured; at least one is finite.
    """
    known = values[np.isfinite(values)]
    low, high = (float(v) for v in known.quantile([0.02, 0.98]))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _colour_axis(values: pd.Series[float], title: str, lower: bool, **bar: object) -> dict[str, Any]:
    low, high = shade_range(values)
    return {
        "colorscale": shade() if lower else [(1 - at, tone) for at, tone in reversed(shade())],
        "cmin": low,
        "cmax": high,
        "colorbar": _colour_bar(title, low, high, **bar),
    }


def _colour_bar(title: str, low: float, high: float, **bar: object) -> dict[str, Any]:
    ticks = _round_steps(low, high)
    return {
        "title": {"text": title, "side": "right"},
        "thickness": 12,
        "outlinewidth": 0,
        "tickvals": ticks,
        "ticktext": [f"{v:g}" for v in ticks],
        **bar,
    }


def parallel(
    axes: Sequence[Axis],
    colour: pd.Series[float],
    title: str,
    picked: pd.Series[bool] | None = None,
    *,
    lower: bool = True,
) -> go.Figure:
    """One line per probe across its weights and losses; a range dragged along an axis picks lines.

    Args:
        axes: from left to right, weights from 0 to 1.
        colour: what the lines are coloured by, on the index of the axes' values.
        title: what `colour` is.
        picked: the lines to stand out, on the same index; the others step back. None: all alike.
        lower: whether a lower outcome is better.
    """
    low, high = shade_range(colour)
    # Plotly draws lines of a higher number on top: the best ones, and under them all that step back.
    upwards = -1.0 if lower else 1.0
    bottom, top = sorted((upwards * low, upwards * high))
    height = (upwards * colour).clip(bottom, top).fillna(bottom)
    scale = [(1 - at, tone) for at, tone in reversed(shade())]
    if picked is not None and picked.any():
        ground = bottom - _STEP_BACK * (top - bottom)
        height = height.where(picked, ground)
        edge = (bottom - ground) / (top - ground)
        scale = [(0.0, _faint()), (edge * 0.99, _faint()), *((edge + (1 - edge) * at, t) for at, t in scale)]
        bottom = ground
    slanted = len(axes) > 7 or max(len(a.label) for a in axes) > 12
    bar = _colour_bar(title, low, high, x=0.93, xanchor="left", y=0.42, len=0.8)
    bar["tickvals"] = [upwards * v for v in bar["tickvals"]]
    figure = go.Figure(
        go.Parcoords(
            line={
                "color": height, "colorscale": scale, "cmin": bottom, "cmax": top, "showscale": True,
                "colorbar": bar,
            },
            dimensions=[_dimension(axis) for axis in axes],
            # Room for names at the ends, which the margins that all charts share do not leave.
            domain={"x": [0.065, 0.88] if slanted else [0.04, 0.88], "y": [0.02, 0.8 if slanted else 0.88]},
            labelangle=-25 if slanted else 0,
            labelfont={"size": 12},
            tickfont={"size": 11},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
            unselected={"line": {"color": _faint(), "opacity": 0.4}},
        )
    )  # fmt: skip
    return figure


def parallel_style() -> str:
    """Colours that Plotly does not let one choose: its axes are black, and its numbers lie in a haze."""
    line, ground = ("#54636f", "#10171d") if is_dark() else ("#9aa8b2", "#ffffff")
    halo = ", ".join(f"{x}px {y}px 1px {ground}" for x in (-1, 1) for y in (-1, 1))
    return (
        "<style>"
        f".js-plotly-plot .parcoords .axis :is(.domain, line) {{ stroke: {line} !important; }}"
        f".js-plotly-plot .parcoords text {{ text-shadow: {halo} !important; }}"
        "</style>"
    )


def _faint() -> str:
    """The colour of lines that only say where the others are."""
    return "#26323b" if is_dark() else "#e4eaee"


def _dimension(axis: Axis) -> dict[str, Any]:
    values = axis.values * (100 if axis.weight else 1)
    low, high = float(values.min()), float(values.max())
    if axis.weight:
        low, high = 0.0, max(1.0, high)
    elif not high > low:
        low, high = low - 0.5, high + 0.5
    ticks = _round_steps(low, high)
    suffix = "%" if axis.weight else ""
    return {
        "label": cut(axis.label),
        "values": values,
        "range": [low, high],
        "tickvals": ticks,
        "ticktext": [f"{v:g}{suffix}" for v in ticks],
    }


def _round_steps(low: float, high: float, steps: int = 5) -> list[float]:
    """Some round values from `low` to `high`."""
    rough = (high - low) / steps
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in (1, 2, 5, 10) if s * size >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [float(f"{n * step:.10g}") for n in range(first, math.floor(high / step + 1e-9) + 1)]


def cut(label: str, most: int = _WIDEST_LABEL) -> str:
    """A label that leaves room for others."""
    return label if len(label) <= most else label[: most - 1] + "…"


def _ink() -> str:
    """What stands out from every colour."""
    return "#ffffff" if is_dark() else "#17232b"


def mixtures_by_outcome(
    frame: pd.DataFrame,
    domains: Sequence[str],
    reference: Mapping[str, float],
    colour: pd.Series[float],
    title: str,
    selected: Collection[str],
    *,
    lower: bool = True,
) -> tuple[go.Figure, int]:
    """Where the mixtures of finished probes lie, and how each came out.

    Three domains are drawn in a triangle, others in pairs.

    Args:
        frame: columns run, excluded and `weight/<domain>`.
        domains: of the mixtures.
        reference: a mixture to mark.
        colour: what the dots are coloured by, on the index of `frame`.
        title: what `colour` is.
        selected: names of runs to stand out.
        lower: whether a lower outcome is better.

    Returns:
        The figure, and how many probes are drawn: of very many a part that spans all outcomes.
    """
    triangle = len(domains) == 3
    shown = list(domains) if triangle else _telling(frame, domains, colour)
    panels = 1 if triangle else math.comb(len(shown), 2)
    drawn = frame.loc[spread(colour, max(1, MOST_DOTS // panels), frame["run"].isin(selected), lower)]
    names = _short_names(shown)
    mixtures = pd.DataFrame({names[d]: drawn[f"weight/{d}"] for d in shown})
    marked = {names[d]: reference[d] for d in shown}
    figure = design_triangle(mixtures, marked) if triangle else design_pairs(mixtures, marked)
    style = _dots(drawn, selected, 8 if triangle else 5)
    values = colour.loc[drawn.index]
    hover = [f"{run}<br>{title} {value:.4f}" for run, value in zip(drawn["run"], values, strict=True)]
    for trace in figure.data:
        if trace.marker.symbol is None:
            trace.marker = {**style, "color": values, "coloraxis": "coloraxis", "opacity": 0.9}
            trace.customdata = hover
            trace.hovertemplate = f"{trace.hovertemplate.split('<extra>')[0]}<extra>%{{customdata}}</extra>"
        else:  # the reference is a cross; orange means something else here
            trace.marker.line.color = _ink()
    if not triangle:
        _fit_pairs(figure, mixtures)
    place = {} if triangle else {"x": 0.86, "xanchor": "left", "y": 1.0, "yanchor": "top", "len": 0.5}
    figure.update_layout(
        coloraxis=_colour_axis(colour, title, lower, **place), legend={"x": 0, "xanchor": "left", "y": 1.0}
    )
    return figure, len(drawn)


def _fit_pairs(figure: go.Figure, mixtures: pd.DataFrame) -> None:
    """Give each domain an axis of its own length: in pools of many domains most weights are small."""
    names = list(mixtures.columns)
    for i, name in enumerate(names):
        top = max(1.0, 100 * float(mixtures[name].max()))
        middle = min(_round_steps(0, top, steps=4)[1:], key=lambda v: abs(v - top / 2))
        axis = {
            "range": [-0.06 * top, 1.08 * top],
            "tickvals": [0, middle],
            "ticktext": ["0%", f"{middle:g}%"],
            "zeroline": False,
        }
        for other in range(i):
            figure.update_yaxes(**axis, row=i, col=other + 1)
        for other in range(i + 1, len(names)):
            figure.update_xaxes(**axis, row=other, col=i + 1)


def _telling(frame: pd.DataFrame, domains: Sequence[str], colour: pd.Series[float]) -> list[str]:
    """The domains that can be drawn in pairs: those whose weights go with the outcome most closely."""
    ranks = frame[[f"weight/{d}" for d in domains]].rank()
    close = ranks.corrwith(colour.rank()).abs().fillna(0.0)
    return sorted(sorted(domains, key=lambda d: (-close[f"weight/{d}"], d))[:MOST_PAIRS])


def _short_names(domains: Sequence[str]) -> dict[str, str]:
    """Names that fit between panels, unless two would be the same."""
    names = {d: cut(d, _PANEL_LABEL) for d in domains}
    return names if len(set(names.values())) == len(names) else {d: d for d in domains}


def pairs_height(domains: Sequence[str]) -> int:
    """Pixels that names along the side of `mixtures_by_outcome` need, where it draws pairs."""
    longest = max(len(cut(d, _PANEL_LABEL)) for d in domains)
    return 70 + min(len(domains) - 1, MOST_PAIRS - 1) * max(90, 20 + 7 * longest)


def spread(colour: pd.Series[float], most: int, always: pd.Series[bool], lower: bool = True) -> pd.Index[Any]:
    """The probes to draw where there are very many: evenly spread over the outcomes.

    Args:
        colour: the outcome of each.
        most: how many at most, besides those that are always drawn.
        always: those, on the index of `colour`.
        lower: whether a lower outcome is better.

    Returns:
        Their index, the best ones last so that they lie on top.
    """
    ordered = colour.sort_values(ascending=not lower, na_position="first").index
    if len(ordered) <= most:
        return ordered
    at = np.unique(np.linspace(0, len(ordered) - 1, most).astype(int))
    wanted = set(ordered[at]) | set(always.index[always])
    return ordered[[i in wanted for i in ordered]]


def _dots(frame: pd.DataFrame, selected: Collection[str], size: int) -> dict[str, Any]:
    """Markers of probes: the selected ones are larger and ringed, excluded ones are hollow."""
    picked = frame["run"].isin(selected)
    return {
        "size": np.where(picked, size + 4, size),
        "symbol": np.where(frame["excluded"], "circle-open", "circle"),
        "line": {"width": np.where(picked | frame["excluded"], 2, 0), "color": _ink()},
    }


def weight_and_outcome(
    frame: pd.DataFrame, domain: str, values: pd.Series[float], title: str, selected: Collection[str]
) -> go.Figure:
    """One dot per probe: the weight of a domain and an outcome.

    Args:
        frame: columns run, excluded and `weight/<domain>`.
        domain: whose weight.
        values: the outcome, on the index of `frame`.
        title: what the outcome is, with its unit.
        selected: names of runs to stand out.
    """
    kind = go.Scattergl if len(frame) > MOST_DOTS // 4 else go.Scatter
    figure = go.Figure(
        kind(
            x=100 * frame[f"weight/{domain}"],
            y=values,
            mode="markers",
            marker={**_dots(frame, selected, 8), "color": accent(), "opacity": 0.75},
            customdata=frame["run"],
            hovertemplate=f"{domain} %{{x:.1f}}%<br>%{{y:.4f}}<extra>%{{customdata}}</extra>",
        )
    )
    most = 100 * float(frame[f"weight/{domain}"].max())
    figure.update_xaxes(
        title_text=f"weight of {domain}", ticksuffix="%", range=[-0.02 * most, 1.03 * most], zeroline=False
    )
    figure.update_yaxes(title_text=title)
    return figure


class Curve(NamedTuple):
    """A probe in `curves`: what it is called and its colour; without a name it is not in the legend."""

    run: str
    name: str | None
    colour: str


def three_curves(runs: Sequence[str]) -> list[Curve]:
    """The best, the median and the worst of some runs.

    Args:
        runs: at least one, from best to worst.
    """
    (_, low), _, (_, high) = shade()
    roles = {"best": (0, low), "median": (len(runs) // 2, muted()), "worst": (len(runs) - 1, high)}
    taken: dict[int, Curve] = {}
    for role, (at, colour) in roles.items():
        taken.setdefault(at, Curve(runs[at], f"{role}: {runs[at]}", colour))
    return list(taken.values())


def chosen_curves(runs: Sequence[str]) -> list[Curve]:
    """Some runs, told apart by colour where they are few, else shaded from best to worst.

    Args:
        runs: from best to worst.
    """
    if len(runs) <= NAMED_CURVES:
        colours = palette(runs)
        return [Curve(run, run, colours[run]) for run in runs]
    return [Curve(run, None, _tone(at)) for run, at in zip(runs, np.linspace(0, 1, len(runs)), strict=True)]


def _tone(at: float) -> str:
    """The colour of `shade` at a place between 0 and 1."""
    places, colours = zip(*shade(), strict=True)
    channels = [[int(c[i : i + 2], 16) for c in colours] for i in (1, 3, 5)]
    return "#" + "".join(f"{round(np.interp(at, places, channel)):02x}" for channel in channels)


def curves(table: pd.DataFrame, which: Sequence[Curve], unit: Unit) -> go.Figure:
    """Held-out loss while training, one panel per domain.

    Args:
        table: as `trajectories` gives it.
        which: the runs to draw.
        unit: the column to draw.
    """
    domains = sorted(table["domain"].unique())
    columns = curve_columns(len(domains))
    rows = math.ceil(len(domains) / columns)
    figure = make_subplots(
        rows, columns, subplot_titles=[cut(d) for d in domains], horizontal_spacing=0.18 / columns,
        vertical_spacing=0.3 / max(2, rows) if rows > 1 else 0,
    )  # fmt: skip
    own = dict(iter(table.groupby(["run", "domain"])))
    for i, domain in enumerate(domains):
        row, column = divmod(i, columns)
        for curve in which:
            points = own.get((curve.run, domain))
            if points is None:
                continue
            figure.add_scatter(
                x=points["tokens"],
                y=points[unit],
                mode="lines+markers",
                line={"color": curve.colour, "width": 2 if curve.name else 1.2},
                marker={"size": 4},
                name=curve.name or curve.run,
                legendgroup=curve.run,
                showlegend=curve.name is not None and i == 0,
                hovertemplate=f"%{{x:.3s}} tokens: %{{y:.4f}}<extra>{curve.run}</extra>",
                row=row + 1,
                col=column + 1,
            )
    last = [len(domains) - 1 - c for c in range(min(columns, len(domains)))]
    figure.update_xaxes(type="log", dtick=1, tickformat="~s", showgrid=False)
    for i in last:
        figure.update_xaxes(title_text="tokens read", row=i // columns + 1, col=i % columns + 1)
    figure.update_yaxes(nticks=5, tickformat=".3~g")
    figure.update_yaxes(title_text=UNITS[unit], col=1)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(
        legend={
            "orientation": "h",
            "y": 1.0,
            "yref": "container",
            "yanchor": "top",
            "x": 0,
            "xanchor": "left",
        }
    )
    return figure


def curve_columns(domains: int) -> int:
    """Panels of `curves` beside each other."""
    return min(domains, 3 if domains <= 9 else 4)
