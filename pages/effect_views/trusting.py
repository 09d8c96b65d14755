"""How far to trust the effects: estimators compared on runs not seen, and three views beside it."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from causalmix_core.effects.leaderboard_result import Leaderboard, Row
from causalmix_core.effects.scoring import Score
from jobs import LeaderboardTask
from pages.effect_views import overlap, precision
from pages.effect_views.asked import Asked, comparison_of, outcome_name
from pages.graph_views.plain import plain
from pages.widgets import task_panel, trust_charts
from pages.widgets.actions import action, outcome
from pages.widgets.charts import show as show_chart

OUTCOME = "trust_outcome"


def show(asked: Asked) -> None:
    """Lay out the view."""
    if warning := asked.model.extrapolation(asked.question.state):
        st.warning(plain(warning), icon=":material/warning:")
    for note in asked.model.notes:
        st.caption(f":material/info: {plain(note)}")
    kept = comparison_of(asked)
    estimators, intervals, power, support = st.tabs(
        ["Estimators", "Intervals", "Power", "Assignment and overlap"]
    )
    with estimators:
        if kept.problem:
            st.warning(plain(kept.problem), icon=":material/warning:")
        _estimators(asked, kept.value)
    with intervals:
        precision.intervals(asked, kept.value)
    with power:
        precision.power(asked)
    with support:
        overlap.show(asked)


def _estimators(asked: Asked, board: Leaderboard | None) -> None:
    """The table, why the default is what it is, and the button that compares."""
    running = task_panel.running(asked.workspace)
    busy = running is not None and running.task.kind == "leaderboard"
    if board is None:
        st.markdown(
            "The estimators **have not been compared on these runs yet**. Each is fitted to a part of the "
            "runs and predicts the rest; the simplest of those that nothing beats becomes the default."
        )
    else:
        st.markdown(plain(board.why))
        _board(asked, board)
    action(
        "Compare estimators again" if board else "Compare estimators", _begin, asked,
        key="compare", type="secondary" if board else "primary", icon=":material/leaderboard:", disabled=busy,
        help="It runs beside the page, with its progress above, and is kept in the workspace.",
    )  # fmt: skip
    outcome("compare")


def _begin(asked: Asked) -> None:
    reference = asked.question.graph_reference
    task_panel.begin(
        asked.workspace,
        LeaderboardTask(
            pool=asked.question.pool,
            graph=reference.name if reference.revision else None,
            revision=reference.revision,
        ),
    )


def _board(asked: Asked, board: Leaderboard) -> None:
    shown = st.selectbox("Scores on", asked.outcomes, format_func=outcome_name, key=OUTCOME, width=320)
    ranked = [r for r in board.rows if shown in r.outcomes]
    sure = [r for r in ranked if r.outcomes[shown].coverage.mean is not None]
    ranks, covers = st.columns(2, gap="large")
    with ranks:
        show_chart(
            trust_charts.leaderboard_figure(board, shown),
            key="leaderboard",
            height=trust_charts.dots_height(len(ranked)),
        )
    with covers:
        show_chart(
            trust_charts.coverage_figure(board, shown),
            key="coverage",
            height=trust_charts.dots_height(len(sure)),  # so that its rows stand beside the same names
        )
    _scores(board, shown)
    said = [
        board.held_out.rstrip("."),
        f"{board.settings.folds} parts held out in turn",
        "lines are twice the standard error",
        f"compared in {board.seconds:.0f} s, {board.at:%Y-%m-%d %H:%M} UTC",
    ]
    st.caption(plain(" · ".join(said)))
    for note in board.notes:
        st.caption(f":material/info: {plain(note)}")


def _scores(board: Leaderboard, shown: str) -> None:
    """All numbers; what is not defined, as the error of a baseline that only ranks, is a dash."""
    scores = {
        "Rank correlation": [_of(r, shown, "rank", ".3f") for r in board.rows],
        "R²": [_of(r, shown, "r2", ".3f") for r in board.rows],
        "Error": [
            _written(r.outcomes[shown].rmse if shown in r.outcomes else None, ".4f") for r in board.rows
        ],
        "Inside 95%": [_of(r, shown, "coverage", ".0%") for r in board.rows],
        "Worth": [_written(r.worth.mean, "+.4f") for r in board.rows],
        "R-score": [_written(r.r_score.mean, ".3f") for r in board.rows],
        "Seconds": [_written(r.seconds, ".1f") for r in board.rows],
    }
    names = [f"★ {r.label}" if r.name == board.chosen else r.label for r in board.rows]
    st.dataframe(
        pd.DataFrame({"Estimator": names} | scores),
        hide_index=True,
        height="content",
        column_config={
            "Estimator": st.column_config.TextColumn(width=250, pinned=True, help="★ the default here."),
            **{
                name: st.column_config.TextColumn(help=said, width=100, alignment="right")
                for name, said in SCORES.items()
            },
        },
    )
    for row in board.rows:
        if why := row.failed or row.unfit:
            st.caption(f"{plain(row.label)}: {plain(why)}")


SCORES = {
    "Rank correlation": "Spearman's, of predicted and measured outcomes, on runs that the fit has not seen. "
    "1 is a perfect ranking, 0 is none.",
    "R²": "Part of the variation of held-out runs that is predicted; 0 is no better than their mean.",
    "Error": "Root mean squared error, in units of the outcome.",
    "Inside 95%": "Held-out runs inside their 95% interval.",
    "Worth": "What choosing by it got: the objective of the tenth of the held-out runs that it ranks best, "
    "less what their pool state lets expect. Lower is better; 0 is no choice at all.",
    "R-score": "For double machine learning: part of what the pool state leaves unexplained that the effects "
    "explain. Above 0 they say something.",
    "Seconds": "Of one fit to all outcomes.",
}
"""What each score says."""


def _of(row: Row, shown: str, score: Literal["rank", "r2", "coverage"], form: str) -> str:
    found: Score | None = getattr(row.outcomes[shown], score) if shown in row.outcomes else None
    return _written(None if found is None else found.mean, form)


def _written(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
