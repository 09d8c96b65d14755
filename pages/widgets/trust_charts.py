"""Charts that say how far to trust effects: held-out scores, coverage of intervals, overlap of runs, power.

Dots with a line are a mean over folds and twice its standard error to both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.conformal import CONFIDENCE
from causalmix_core.effects.explanation import state_name
from causalmix_core.effects.leaderboard_result import Leaderboard, Row
from causalmix_core.effects.overlap import Overlap
from causalmix_core.effects.overlap.support import FEW_WITH
from causalmix_core.effects.power import MoreProbes
from causalmix_core.effects.scoring import Score
from pages.widgets.chart_tones import faded, ink, legend_on_top, outcome_label, quiet, warm
from pages.widgets.charts import accent, muted
from pages.widgets.run_charts import cut


def leaderboard_figure(board: Leaderboard, outcome: str = OBJECTIVE) -> go.Figure:
    """Rank correlation on held-out runs, estimators in the order of the table; the chosen one stands out."""
    rows = [r for r in board.rows if outcome in r.outcomes]
    labels, colours = _named(rows, board)
    figure = _dots(labels, [r.outcomes[outcome].rank for r in rows], colours, "rank correlation", ".3f")
    figure.update_xaxes(title_text="rank correlation with held-out runs", nticks=7)
    return figure


def coverage_figure(board: Leaderboard, outcome: str = OBJECTIVE) -> go.Figure:
    """Share of held-out runs inside their 95% interval, by estimator, against the 95% that it should be."""
    rows = [r for r in board.rows if outcome in r.outcomes and r.outcomes[outcome].coverage.mean is not None]
    labels, colours = _named(rows, board)
    return _nominal(_dots(labels, [r.outcomes[outcome].coverage for r in rows], colours, "inside", ".1%"))


def outcome_coverage_figure(row: Row) -> go.Figure:
    """Share of held-out runs inside their 95% interval by one estimator, for every outcome."""
    scores = {o: s.coverage for o, s in row.outcomes.items() if s.coverage.mean is not None}
    labels = [cut(outcome_label(o), 26) for o in scores]
    return _nominal(_dots(labels, list(scores.values()), [accent()] * len(scores), "inside", ".1%"))


def dots_height(rows: int) -> int:
    """Pixels that `leaderboard_figure` and `coverage_figure` need for so many rows."""
    return 90 + 34 * rows


def overlap_figure(overlap: Overlap) -> go.Figure:
    """Runs with more than a point of a domain, in each third of each pool state; few of them stand out."""
    table = overlap.region_table()
    places = list(dict.fromkeys(zip(table["state"], table["region"], strict=True)))
    domains = list(dict.fromkeys(table["domain"]))
    counts, spread = (
        table.pivot(index="domain", columns=["state", "region"], values=what).loc[domains, places]
        for what in ("runs_with", "spread")
    )
    most = max(float(counts.to_numpy().max()), 2.0 * FEW_WITH)
    figure = go.Figure(
        go.Heatmap(
            z=counts.to_numpy(),
            x=[[cut(state_name(s), 24) for s, _ in places], [r for _, r in places]],
            y=[cut(d) for d in domains],
            zmin=0,
            zmax=most,
            colorscale=_counts(FEW_WITH / most),
            text=counts.to_numpy(),
            texttemplate="%{text}",
            textfont={"color": ink(), "size": 12},
            customdata=spread.to_numpy(),
            hovertemplate="%{y}, %{x}<br>%{z} runs hold more than a point of it"
            "<br>its weight varies %{customdata:.0%} as much as in all runs<extra></extra>",
            xgap=3,
            ygap=3,
            showscale=False,
        )
    )
    figure.update_xaxes(side="top", showgrid=False, zeroline=False, showdividers=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
    return figure


def power_figure(table: pd.DataFrame, outcome: str) -> go.Figure:
    """The smallest effect of each domain that these runs would show, and the effect that they do show.

    Args:
        table: as `detectable_effects` gives it.
        outcome: whose rows to draw.
    """
    rows = table[table["outcome"] == outcome].sort_values(["detectable", "domain"])
    names = [cut(d) for d in rows["domain"]]
    sizes = rows["effect"].abs()
    clear = sizes > rows["half_width"]
    figure = go.Figure(
        go.Bar(
            x=rows["detectable"], y=names, orientation="h", name="smallest effect that would show",
            marker={"color": faded(muted(), 0.45)}, width=0.6,
            hovertemplate="%{y}<br>an effect of %{x:.2g} per point would show in four of five cases"
            "<extra></extra>",
        )
    )  # fmt: skip
    for which, name, colour in (
        (clear, "effect, told from zero", accent()),
        (~clear, "effect, not told", ink()),
    ):
        figure.add_scatter(
            x=sizes[which], y=[n for n, w in zip(names, which, strict=True) if w], mode="markers", name=name,
            marker={"size": 10, "color": colour, "symbol": "circle" if which is clear else "circle-open"},
            customdata=rows["effect"][which],
            hovertemplate="%{y}<br>estimated effect %{customdata:+.2g} per point<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(
        title_text=f"size of the effect on {cut(outcome_label(outcome), 26)} per +1 point", zeroline=False,
        rangemode="tozero", tickformat=".3~g", nticks=7,
    )  # fmt: skip
    figure.update_yaxes(
        autorange="reversed", showgrid=False, automargin=True, categoryorder="array", categoryarray=names
    )
    figure.update_layout(legend=legend_on_top())
    return figure


def more_probes_figure(found: MoreProbes) -> go.Figure:
    """How wide intervals would be with more probes, relative to now, down to half."""
    figure = go.Figure(
        go.Scatter(
            x=found.sizes, y=found.widths, mode="lines+markers", line={"color": accent(), "width": 2.5},
            marker={"size": 9}, hovertemplate="%{x} probes: %{y:.0%} of the present width<extra></extra>",
            showlegend=False,
        )
    )  # fmt: skip
    if found.extended and found.more is not None:
        figure.add_scatter(
            x=[found.sizes[-1], found.present + found.more], y=[found.widths[-1], 0.5], mode="lines+markers",
            line={"color": accent(), "width": 2, "dash": "dash"}, marker={"size": 9, "symbol": "circle-open"},
            hovertemplate="%{x} probes: %{y:.0%}, by the trend<extra></extra>", showlegend=False,
        )  # fmt: skip
    figure.add_hline(y=0.5, line={"color": warm(), "width": 1.5, "dash": "dot"})
    figure.update_xaxes(title_text="probes", showgrid=False, zeroline=False, nticks=6)
    figure.update_yaxes(
        title_text="width of intervals,<br>relative to now", tickformat=".0%", range=[0, 1.08], zeroline=False
    )
    return figure


def _named(rows: Sequence[Row], board: Leaderboard) -> tuple[list[str], list[str]]:
    """Labels and colours of rows."""
    labels = [f"<b>{r.label}</b>" if r.name == board.chosen else r.label for r in rows]
    return labels, [accent() if r.name == board.chosen else muted() if r.baseline else ink() for r in rows]


def _nominal(figure: go.Figure) -> go.Figure:
    figure.add_vline(x=CONFIDENCE, line={"color": warm(), "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=CONFIDENCE, y=1, yref="paper", yanchor="bottom", text="should be 95%", showarrow=False,
        font={"size": 12, "color": muted()},
    )  # fmt: skip
    figure.update_xaxes(title_text="held-out runs inside their 95% interval", tickformat=".0%", nticks=6)
    return figure


def _dots(
    labels: Sequence[str], scores: Sequence[Score], colours: Sequence[str], what: str, form: str
) -> go.Figure:
    figure = go.Figure()
    for label, score, colour in zip(labels, scores, colours, strict=True):
        if score.mean is None:
            figure.add_scatter(
                x=[None], y=[label], mode="markers", hoverinfo="skip", showlegend=False
            )  # keeps its place: it could not be scored
            continue
        half = 2 * (score.error or 0.0)
        ends = np.clip([score.mean - half, score.mean + half], -1, 1)
        figure.add_scatter(
            x=ends, y=[label, label], mode="lines", hoverinfo="skip",
            line={"width": 2.5, "color": colour}, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=[score.mean], y=[label], mode="markers", marker={"size": 11, "color": colour}, showlegend=False,
            customdata=[half],
            hovertemplate=f"%{{y}}<br>{what} %{{x:{form}}} ± %{{customdata:{form}}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    return figure


def _counts(few: float) -> list[tuple[float, str]]:
    """Warm where there are few, quiet from there on."""
    little = "#6b3a24" if ink() == "#e7edf1" else "#f3c9b2"
    return [(0.0, little), (float(np.clip(few, 0.01, 0.99)), quiet()), (1.0, quiet())]
