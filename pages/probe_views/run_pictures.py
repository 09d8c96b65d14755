"""What the probes of the run table show: which of them can be drawn together, and the charts of those."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
import streamlit as st

from causalmix_core.corpus import FEATURES, open_snapshot
from causalmix_core.probes import IMPORT, LOSS, STATE, WEIGHT, trajectories
from causalmix_core.probes.every_run import OBJECTIVE
from causalmix_core.probes.outcomes import BENCHMARK, BENCHMARK_LOSS, direction_of
from causalmix_core.workspace import Workspace
from pages.widgets import charts, run_charts
from pages.widgets.design_charts import MOST_PAIRS
from pages.widgets.shell import guard, runs_key

Chart = Literal["parallel", "mixtures", "weight", "curves"]
CHARTS: dict[Chart, str] = {
    "parallel": "All at once",
    "mixtures": "Mixtures",
    "weight": "Weight and loss",
    "curves": "Curves",
}
_NAMED = 3
_TRADED = 2
"""Other losses beside the chosen one where there is no room for all."""


@dataclass(frozen=True)
class Drawn:
    """Probes whose losses compare, and what is not among them.

    Attributes:
        frame: finished probes of one proxy, one snapshot and one set of domains.
        domains: their domains, sorted.
    outcomes: what can be looked at: the objective where it is known, the losses, the benchmarks.
        left_out: what else the table shows, in words.
    """

    frame: pd.DataFrame
    domains: list[str]
    outcomes: list[str]
    left_out: list[str]


def drawable(frame: pd.DataFrame) -> Drawn:
    """Of the probes in the table, those that can stand in one chart.

    They are the ones like those that effects use; without any of these, like the newest.

    Args:
        frame: rows of `all_runs`.
    """
    finished = frame[frame["status"] == "finished"]
    weights = [c for c in frame.columns if c.startswith(WEIGHT)]
    left_out = {"failed": len(frame) - len(finished)}
    if len(finished):
        used = finished[finished["use"] == "used"]
        # Without a time, as in imported tables, any will do.
        newest = finished[finished["finished_at"] == finished["finished_at"].max()]
        like = next(rows for rows in (used, newest, finished) if len(rows)).iloc[0]
        for column, words in {
            "snapshot": "of another pool",
            "proxy": "of another proxy, whose losses are on another level",
        }.items():
            alike = finished[column].isna() if pd.isna(like[column]) else finished[column] == like[column]
            left_out[words] = len(finished) - int(alike.sum())
            finished = finished[alike]
        alike = (finished[weights].notna() == like[weights].notna()).all(axis=1)
        left_out["of other domains"] = len(finished) - int(alike.sum())
        finished = finished[alike]
    kinds = (LOSS, BENCHMARK, BENCHMARK_LOSS)
    outcomes = [OBJECTIVE, *(c for kind in kinds for c in finished.columns if c.startswith(kind))]
    return Drawn(
        finished,
        sorted(c.removeprefix(WEIGHT) for c in weights if finished[c].notna().any()),
        [o for o in outcomes if finished[o].notna().any()],
        [f"{count:,} {words}" for words, count in left_out.items() if count],
    )


def show(workspace: Workspace, pool: str | None, frame: pd.DataFrame, selected: Collection[str]) -> None:
    """Lay out the charts.

    Args:
        workspace: where the runs lie.
        pool: the one that effects are wanted for.
        frame: the probes in the table.
        selected: names of those that are selected in it.
    """
    drawn = drawable(frame)
    if not drawn.outcomes:
        st.info("None of these probes has finished, so there is nothing to draw.", icon=":material/info:")
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chart = left.segmented_control(
        "Chart",
        list(get_args(Chart)),
        default=None if "runs_chart" in st.session_state else "parallel",
        required=True,
        key="runs_chart",
        bind="query-params",
        format_func=CHARTS.__getitem__,
        label_visibility="collapsed",
    )
    outcome = right.selectbox(
        "Outcome",
        drawn.outcomes,
        format_func=words_of,
        key="runs_outcome",
        persist_state="session",
        help="What the charts are coloured by and ordered by: blue is better, orange is worse. The objective "
        "is the mean of the losses that count, weighted by their importance (`objective` in workspace.yaml).",
    )
    if chart == "mixtures":
        _mixtures(workspace, pool, drawn, outcome, selected)
    elif chart == "weight":
        _weight(drawn, outcome, selected)
    elif chart == "curves":
        _curves(workspace, drawn, outcome, selected)
    else:
        _parallel(drawn, outcome, selected)
    if drawn.left_out:
        st.caption(f":material/info: Not drawn: {'; '.join(drawn.left_out)}.")


def words_of(column: str) -> str:
    """A column of the run table as people say it."""
    if column.startswith(WEIGHT):
        return f"{column.removeprefix(WEIGHT)} (weight)"
    if column.startswith(STATE):
        name = column.removeprefix(STATE)
        return f"{FEATURES[name].label if name in FEATURES else name} (pool)"
    for prefix, words in (
        (LOSS, "loss on {}"),
        (BENCHMARK, "{} (benchmark)"),
        (BENCHMARK_LOSS, "{} (benchmark)"),
    ):
        if column.startswith(prefix):
            return words.format(column.removeprefix(prefix))
    return column


def lower_is_better(outcome: str) -> bool:
    """Of the objective or another outcome."""
    return direction_of(outcome) != "higher"


def default_axes(drawn: Drawn, outcome: str, most: int = run_charts.MOST_AXES) -> list[str]:
    """Axes that show most about an outcome: weights, then outcomes.

    Where there is no room for all, the weights that go with the outcome most closely (rank correlation),
    and beside it the losses that go with it least, since they are what it is traded against.
    """
    weights = [WEIGHT + d for d in drawn.domains]
    others = [o for o in drawn.outcomes if o != outcome]
    if len(weights) + len(drawn.outcomes) <= most:
        return [*weights, *_objective_last(drawn.outcomes)]
    ranks = drawn.frame[[*weights, *drawn.outcomes]].rank()
    close = ranks.corrwith(ranks[outcome]).fillna(0.0)
    better = {o: 1 if lower_is_better(o) else -1 for o in drawn.outcomes}
    others = sorted(others, key=lambda o: (close[o] * better[o] * better[outcome], o))[
        : min(_TRADED, max(0, most - 2))
    ]
    room = most - 1 - len(others)
    kept = sorted(weights, key=lambda w: (-abs(close[w]), w))[:room]
    return [*sorted(kept), *_objective_last(o for o in drawn.outcomes if o == outcome or o in others)]


def _objective_last(outcomes: Iterable[str]) -> list[str]:
    return sorted(outcomes, key=lambda o: (o == OBJECTIVE, o))


def _parallel(drawn: Drawn, outcome: str, selected: Collection[str]) -> None:
    weights = [WEIGHT + d for d in drawn.domains]
    every = [*weights, *_states(drawn.frame), *_objective_last(drawn.outcomes)]
    chosen = default_axes(drawn, outcome)
    left, right = st.columns([3, 1], vertical_alignment="center")
    with right.popover("Axes", icon=":material/view_column:", width="stretch"):
        chosen = st.multiselect(
            "Axes from left to right",
            every,
            default=chosen,
            format_func=words_of,
            max_selections=run_charts.MOST_AXES + 4,
            key=f"runs_axes-{outcome}-{len(every)}",
            persist_state="session",
        )
    colour, lower = drawn.frame[outcome].astype(float), lower_is_better(outcome)
    picked = drawn.frame["run"].isin(selected)
    frame = drawn.frame.loc[run_charts.spread(colour, run_charts.MOST_LINES, picked, lower)]
    left.caption(
        (f"{picked.sum():,} selected probes among the others. " if picked.any() else "One line per probe. ")
        + _part(len(frame), len(colour))
        + "Drag along an axis to keep only the lines that pass there; a click on it lets go."
        + _missing([c for c in every if c not in chosen])
    )
    if len(chosen) < 2:
        st.info("Choose at least two axes.", icon=":material/info:")
        return
    axes = [run_charts.Axis(_axis_name(c), frame[c].astype(float), c.startswith(WEIGHT)) for c in chosen]
    figure = run_charts.parallel(
        axes, colour.loc[frame.index], words_of(outcome), picked.loc[frame.index], lower=lower
    )
    st.html(run_charts.parallel_style())
    charts.show(figure, key="runs_parallel", height=420, top=8)


def _marks(drawn: Drawn) -> str:
    """What the looks of dots mean."""
    return "Selected probes have a ring." + (
        " Hollow dots are excluded probes." if drawn.frame["excluded"].any() else ""
    )


def _part(drawn: int, of: int) -> str:
    """How many are drawn of how many, where it is not all of them."""
    return f"{drawn:,} of {of:,} probes, from the lowest to the highest outcome. " if drawn < of else ""


def _missing(columns: list[str]) -> str:
    """Which axes are not there, by name where they are few."""
    if not columns:
        return ""
    if len(columns) <= _NAMED:
        return f" Without {', '.join(map(words_of, columns))}."
    outcomes = sum(c == OBJECTIVE or direction_of(c) is not None for c in columns)
    weights = sum(c.startswith(WEIGHT) for c in columns)
    counts = {"weights": weights, "outcomes": outcomes, "pool states": len(columns) - weights - outcomes}
    return f" Without {', '.join(f'{n} {words}' for words, n in counts.items() if n)}."


def _axis_name(column: str) -> str:
    shown = {WEIGHT: "{}", LOSS: "loss {}", STATE: "{}", BENCHMARK: "{}", BENCHMARK_LOSS: "{}"}
    for prefix, words in shown.items():
        if column.startswith(prefix):
            return words.format(column.removeprefix(prefix))
    return column


def _states(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame.columns if c.startswith(STATE) and frame[c].notna().any()]


def _mixtures(
    workspace: Workspace, pool: str | None, drawn: Drawn, outcome: str, selected: Collection[str]
) -> None:
    if len(drawn.domains) < 2:
        st.info("A mixture of one domain has nothing to draw.", icon=":material/info:")
        return
    weights = drawn.frame[[WEIGHT + d for d in drawn.domains]].mean()
    reference = {d: float(weights[WEIGHT + d]) for d in drawn.domains}
    by_size = None if pool is None or pool.startswith(IMPORT) else open_snapshot(workspace, pool)
    current = by_size is not None and sorted(by_size.domains) == drawn.domains
    if by_size is not None and current:
        reference = by_size.weights_by_size()
    colour = drawn.frame[outcome].astype(float)
    figure, count = run_charts.mixtures_by_outcome(
        drawn.frame, drawn.domains, reference, colour, words_of(outcome), selected,
        lower=lower_is_better(outcome),
    )  # fmt: skip
    triangle = len(drawn.domains) == 3
    height = 460 if triangle else run_charts.pairs_height(drawn.domains)
    charts.show(figure, key="runs_mixtures", height=height, top=16)
    words = "Each dot is one probe; the cross is " + (
        "the weights by size." if current else "the mean of these mixtures."
    )
    if len(drawn.domains) > MOST_PAIRS:
        words += f" The {MOST_PAIRS} domains whose weights go with the outcome most closely."
    st.caption(f"{words} {_part(count, len(drawn.frame))}{_marks(drawn)}")


def _weight(drawn: Drawn, outcome: str, selected: Collection[str]) -> None:
    left, right = st.columns([4, 5], gap="large")
    with left:
        domain = st.selectbox("Weight of", drawn.domains, key="runs_weight", persist_state="session")
        spread = drawn.frame[drawn.outcomes].astype(float).agg(["min", "median", "max"]).T
        spread.index = pd.Index([_short_words(o) for o in spread.index])
        st.dataframe(
            spread,
            height=min((1 + len(spread)) * 35 + 3, 318),
            column_config={
                "_index": st.column_config.TextColumn(
                    "Outcome", width=130, help="Held-out losses by their domain; lower is better."
                ),
                **{
                    c: st.column_config.NumberColumn(words, format="%.3f", width=62)
                    for c, words in {"min": "Lowest", "median": "Median", "max": "Highest"}.items()
                },
            },
        )
    with right:
        values = drawn.frame[outcome].astype(float)
        unit = " (nats per token)" if outcome == OBJECTIVE or outcome.startswith(LOSS) else ""
        title = words_of(outcome) + unit
        figure = run_charts.weight_and_outcome(drawn.frame, domain, values, title, selected)
        charts.show(figure, key="runs_weight_loss", height=400)
        st.caption(f"Each dot is one probe. {_marks(drawn)}")


def _short_words(outcome: str) -> str:
    """An outcome where there is little room: a held-out loss by its domain alone."""
    return outcome.removeprefix(LOSS) if outcome.startswith(LOSS) else words_of(outcome)


def _curves(workspace: Workspace, drawn: Drawn, outcome: str, selected: Collection[str]) -> None:
    known = drawn.frame.dropna(subset=[outcome]).sort_values(outcome, ascending=lower_is_better(outcome))
    ordered = [str(run) for run in known["run"]]
    picked = [run for run in ordered if run in selected]
    which = run_charts.chosen_curves(picked[: run_charts.MOST_CURVES]) if picked else []
    which = which or run_charts.three_curves(ordered)
    with guard():
        table = _trajectories(str(workspace.runs), runs_key(workspace), tuple(c.run for c in which))
    if table.empty:
        st.info(
            "These probes have no record of their training: they were imported, or trained by an early "
            "version.",
            icon=":material/info:",
        )
        return
    left, right = st.columns([3, 1], vertical_alignment="center")
    units = [u for u in get_args(run_charts.Unit) if table[u].notna().any()]
    unit = right.selectbox(
        "Measured in", units, format_func=run_charts.UNITS.__getitem__, key="runs_unit",
        persist_state="session", label_visibility="collapsed",
        help="Bits per byte also compare between proxies that read text in other pieces.",
    )  # fmt: skip
    more = f"; {len(picked) - run_charts.MOST_CURVES} more are not drawn" if len(picked) > len(which) else ""
    left.caption(
        f"Held-out loss while training{more}. "
        + (
            ""
            if picked
            else f"Best, median and worst by {words_of(outcome)}; select rows above to see others. "
        )
        + "The last point is measured on more documents than those before it."
    )
    domains = table["domain"].nunique()
    rows = -(-domains // run_charts.curve_columns(domains))
    names = len(which) if which[0].name else 0
    legend = 24 * -(-names // 3) if names else 0
    charts.show(
        run_charts.curves(table, which, unit), key="runs_curves", height=70 + legend + 210 * rows,
        top=44 + legend,
    )  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=16)
def _trajectories(folder: str, files: tuple[str, ...], runs: tuple[str, ...]) -> pd.DataFrame:
    # `files` only decides when to read again; a name with an underscore would not.
    return trajectories(Path(folder), runs)
