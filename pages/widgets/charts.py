"""Charts that pages share, in the theme's colours and with room to breathe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

from pages.widgets.shell import is_dark

LIGHT = (
    "#0e6a8a",
    "#cc7200",
    "#7b2811",
    "#9b74d9",
    "#4e9e82",
    "#9f5021",
    "#1b3f97",
    "#59284f",
    "#5c7a1e",
    "#b8457f",
    "#4a6577",
    "#8a7a00",
)
DARK = (
    "#4fb3d4",
    "#b5b124",
    "#c37c77",
    "#5782e0",
    "#d6d690",
    "#48711e",
    "#995189",
    "#88e0f7",
    "#8fd19e",
    "#e39ad0",
    "#8ea3b0",
    "#e8b04a",
)


def palette(names: Sequence[str]) -> dict[str, str]:
    """A colour per name, the same on every page for the same set of names."""
    colours = DARK if is_dark() else LIGHT
    return {name: colours[i % len(colours)] for i, name in enumerate(sorted(names))}


def muted() -> str:
    """The colour of what should stay in the background."""
    return "#9fb0bb" if is_dark() else "#8796a1"


def accent() -> str:
    """The theme's one accent."""
    return DARK[0] if is_dark() else LIGHT[0]


def better_worse() -> tuple[str, str]:
    """Colours of an improvement and of its opposite."""
    return ("#5fcfa6", "#f59a73") if is_dark() else ("#0a6b4f", "#b03a10")


def show(
    figure: go.Figure, key: str, height: int, brush: bool = False, top: int = 28
) -> list[dict[str, list[float]]]:
    """Draw a figure across the page with small margins and no tool bar.

    Args:
        figure: what to draw.
        key: of the element.
        height: in pixels.
        brush: whether a box can be dragged on it, which reruns the page.
        top: margin above, in pixels.

    Returns:
        The boxes that were dragged, each with the ends of its sides `x` and `y`; none without `brush`.
    """
    figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": top, "b": 8})
    config = {"displayModeBar": False}
    if not brush:
        st.plotly_chart(figure, key=key, config=config)
        return []
    event = st.plotly_chart(figure, key=key, config=config, on_select="rerun", selection_mode="box")
    return [{"x": list(box["x"]), "y": list(box["y"])} for box in event["selection"]["box"]]


CURVE_POINTS = 40
"""Points drawn per curve: more cannot be told apart, and redrawing them takes time from the training."""


def training_curves(curves: Mapping[int, Sequence[tuple[int, float]]], tokens: int) -> go.Figure:
    """Training loss of every probe against the tokens it has read.

    All curves are one trace with gaps: a page that redraws it every second must cost little.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    for _, points in sorted(curves.items()):
        step = max(1, len(points) // CURVE_POINTS)
        thinned = [*points[:-1:step], points[-1]]
        x += [*(float(t) for t, _ in thinned), None]
        y += [*(loss for _, loss in thinned), None]
    figure = go.Figure(
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            line={"width": 1, "color": accent()},
            opacity=0.45,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.update_xaxes(title_text="tokens read by each probe", range=[0, tokens], tickformat="~s")
    figure.update_yaxes(title_text="training loss (nats per token)")
    return figure
