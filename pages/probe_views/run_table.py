"""The run table: every probe that was trained, what effects use of them, and what a curator says of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import streamlit as st

from causalmix_core.probes import (
    LOSS,
    STATE,
    WEIGHT,
    Use,
    all_runs,
    exclude_runs,
    include_runs,
    pool_words,
)
from causalmix_core.probes.every_run import OBJECTIVE, PROXY_NAME, runs_csv, runs_parquet
from causalmix_core.probes.exclusions import LONGEST_REASON
from causalmix_core.probes.outcomes import BENCHMARK, BENCHMARK_LOSS, BITS
from causalmix_core.workspace import Workspace
from pages.probe_views import run_pictures
from pages.widgets.actions import action, outcome
from pages.widgets.shell import guard, runs_key, user
from pages.widgets.views import turn_to

Shown = Literal["kept", "used", "failed", "excluded", "all"]
SHOWN: dict[Shown, str] = {
    "kept": "all but excluded",
    "used": "what effects use",
    "failed": "failed",
    "excluded": "excluded",
    "all": "everything",
}
Pools = Literal["this", "all"]
POOLS: dict[Pools, str] = {"this": "this pool", "all": "all pools"}
LEFT_OUT: dict[Use, str] = {
    "other snapshot": "{} of other pools",
    "other proxy": "{} of another proxy",
    "other state": "{} with another pool state",
    "repeat": "{} that repeat another",
    "failed": "{} failed",
    "excluded": "{} excluded",
}
WHY = """Effects compare losses, so they use only probes whose losses compare:
- **other snapshot**: it was trained on another version of the pool, or imported
- **other proxy**: another model, or another number of tokens, has losses on another level. The proxy that \
finished last counts
- **other pool state**: its pool was varied in other features
- **repeat**: the same mixture, pool state and seed as another probe, which tells nothing new
- **failed**: its loss was no number
- **excluded**: a curator has said that it does not count"""
ROW, MOST_ROWS = 35, 10
_GENERATION = "runs_generation"
_SAID = "runs_said"


def show(workspace: Workspace, pool: str | None) -> None:
    """Lay out the view.

    Args:
        workspace: whose runs are listed.
        pool: the pool that effects are wanted for; None where there is none yet.
    """
    with guard():
        frame = read(workspace, pool)
    if frame.empty:
        with st.container(border=True):
            st.markdown(
                "No probe has finished yet. As soon as the first ones of a swarm have, they are listed here, "
                "with their mixtures and losses."
            )
            with st.container(horizontal=True):
                action(
                    "Design a swarm", turn_to, "design", "shown",
                    key="runs_design", type="primary", icon=":material/rocket_launch:",
                )  # fmt: skip
                action(
                    "Import runs", turn_to, "import", "shown", key="runs_import", icon=":material/download:",
                    help="Runs that were trained elsewhere.",
                )  # fmt: skip
        return
    _view(workspace, pool)


# A fragment: selecting rows draws only this view again.
@st.fragment
def _view(workspace: Workspace, pool: str | None) -> None:
    with guard():
        frame = read(workspace, pool)
    if said := st.session_state.pop(_SAID, None):
        st.toast(said)
    _say_what_counts(frame)
    shown = _filter(frame, pool)
    if shown.empty:
        st.info("No probe meets all of these conditions.", icon=":material/info:")
        return
    bar = st.container(horizontal=True, vertical_alignment="center")
    selected = _table(shown)
    with bar:
        _actions(workspace, shown, selected)
    run_pictures.show(workspace, pool, shown, set(selected["run"]))


def read(workspace: Workspace, pool: str | None) -> pd.DataFrame:
    """Every probe of the workspace, read once per change; the lowest objective first.

    Raises:
        CausalMixError: a run file or the file of exclusions is damaged.
    """
    objective = tuple(sorted(workspace.config().objective.items()))
    return _read(str(workspace.runs), runs_key(workspace), objective, pool)


@st.cache_data(show_spinner=False, max_entries=8)
def _read(
    folder: str, files: tuple[str, ...], objective: tuple[tuple[str, float], ...], pool: str | None
) -> pd.DataFrame:
    # `files` only decides when to read again; a name with an underscore would not.
    frame = all_runs(Path(folder), objective=dict(objective), snapshot=pool)
    return frame.sort_values([OBJECTIVE, "run"], na_position="last", ignore_index=True)


def _say_what_counts(frame: pd.DataFrame) -> None:
    """How many probes effects use, and why not the others."""
    counts = frame["use"].value_counts()
    reasons = [words.format(f"{counts[use]:,}") for use, words in LEFT_OUT.items() if counts.get(use, 0)]
    st.markdown(
        f"Effects use **{counts.get('used', 0):,} of {len(frame):,} probes**"
        + (f"; left out: {', '.join(reasons)}." if reasons else "."),
        help=WHY,
    )


def _filter(frame: pd.DataFrame, pool: str | None) -> pd.DataFrame:
    """The widgets above the table, and what they let through."""
    swarm, proxy, where, what = st.columns([3, 3, 2, 2])
    jobs = sorted(frame["job"].dropna().unique(), reverse=True)
    chosen = swarm.multiselect(
        "Swarm or import", jobs, key="runs_swarm", placeholder="all of them", persist_state="session"
    )
    proxies = sorted(frame[PROXY_NAME].dropna().unique())
    models = proxy.multiselect(
        "Proxy", proxies, key="runs_proxy", placeholder="all proxies", persist_state="session",
        help="The small model that was trained: its family, its size without embeddings, and the tokens it "
        "read.",
    )  # fmt: skip
    of = where.selectbox(
        "Pool", list(get_args(Pools)), format_func=POOLS.__getitem__, key="runs_pool", bind="query-params",
        help=f"This pool is {pool_words(pool)}." if pool else None,
    )  # fmt: skip
    kind = what.selectbox(
        "Show", list(get_args(Shown)), format_func=SHOWN.__getitem__, key="runs_show", bind="query-params"
    )
    keep = pd.Series(True, index=frame.index)
    if chosen:
        keep &= frame["job"].isin(chosen)
    if models:
        keep &= frame[PROXY_NAME].isin(models)
    if of == "this":
        keep &= frame["snapshot"] == pool
    if kind == "kept":
        keep &= ~frame["excluded"]
    elif kind == "used":
        keep &= frame["use"] == "used"
    elif kind == "failed":
        keep &= frame["status"] != "finished"
    elif kind == "excluded":
        keep &= frame["excluded"]
    return frame[keep].reset_index(drop=True)


def _table(shown: pd.DataFrame) -> pd.DataFrame:
    """The table; gives the selected rows back."""
    columns = column_order(shown)
    weights = {c: 100 * shown[c].astype(float) for c in columns if c.startswith(WEIGHT)}
    # An empty cell says as much as "None", and more quietly.
    empty = {c: shown[c].fillna("") for c in columns if pd.api.types.is_string_dtype(shown[c])}
    # Rows are selected by their place, so a table of other rows is another table.
    names = hashlib.blake2s("\n".join(shown["run"]).encode(), digest_size=6).hexdigest()
    event = st.dataframe(
        shown[columns].assign(**weights, **empty),
        hide_index=True,
        key=f"runs_table-{names}-{st.session_state.get(_GENERATION, 0)}",
        on_select="rerun",
        selection_mode="multi-row",
        height=(1 + min(len(shown), MOST_ROWS)) * ROW + 3,
        column_config=_column_config(columns),
    )
    return shown.iloc[event["selection"]["rows"] if event else []]


def column_order(shown: pd.DataFrame) -> list[str]:
    """Columns of the table from left to right: what came out, what was tried, where it is from."""
    known = [c for c in shown.columns if shown[c].notna().any()]
    kinds = (WEIGHT, LOSS, BENCHMARK, BENCHMARK_LOSS, STATE, BITS)
    measured = [c for kind in kinds for c in known if c.startswith(kind)]
    first = ["run", "use", *(["reason"] if "reason" in known else []), OBJECTIVE]
    last = [PROXY_NAME, "job", "seed", "assignment", "snapshot", "finished_at", "excluded_by", "excluded_at"]
    return [c for c in (*first, *measured, *last) if c in known or c in ("run", "use", OBJECTIVE)]


def _column_config(columns: list[str]) -> dict[str, Any]:
    config = st.column_config
    found: dict[str, Any] = {
        "run": config.TextColumn("Run", pinned=True, width=200, help="Its swarm, and its number there."),
        "use": config.TextColumn("Use", width=100, help="Whether effects use the probe, or why not."),
        "reason": config.TextColumn("Excluded because", width=200),
        OBJECTIVE: config.NumberColumn(
            "Objective", format="%.4f", width=85,
            help="Mean of the losses that count, weighted by their importance. Lower is better.",
        ),
        PROXY_NAME: config.TextColumn("Proxy", width=190),
        "job": config.TextColumn("Swarm", width=165),
        "seed": config.NumberColumn("Seed", format="%d", width=60),
        "assignment": config.TextColumn(
            "Mixtures", width=110,
            help="How the mixture was chosen: drawn at random, after results of earlier probes (adaptive), "
            "or in another way (observational).",
        ),
        "snapshot": config.TextColumn("Snapshot", width=150),
        "finished_at": config.DatetimeColumn("Finished", format="YYYY-MM-DD HH:mm", width=135),
        "excluded_by": config.TextColumn("Excluded by"),
        "excluded_at": config.DatetimeColumn("Excluded at", format="YYYY-MM-DD HH:mm"),
    }  # fmt: skip
    for column in columns:
        words = run_pictures.words_of(column)
        if column.startswith(WEIGHT):
            name = column.removeprefix(WEIGHT)
            found[column] = config.NumberColumn(
                f"% {name}", format="%.1f%%", width=_width(f"% {name}"),
                help=f"Weight of {name} in the probe's mixture.",
            )  # fmt: skip
        elif column.startswith(LOSS):
            name = column.removeprefix(LOSS)
            found[column] = config.NumberColumn(
                f"loss {name}", format="%.3f", width=_width(f"loss {name}"),
                help=f"Mean loss on held-out documents of {name}, in nats per token. Lower is better.",
            )  # fmt: skip
        elif column.startswith(BITS):
            name = column.removeprefix(BITS)
            found[column] = config.NumberColumn(
                f"bits {name}", format="%.3f", width=_width(f"bits {name}"),
                help=f"The loss on {name} in bits per byte of text, which also compares between proxies that "
                "read text in other pieces. Lower is better.",
            )  # fmt: skip
        elif column.startswith((BENCHMARK, BENCHMARK_LOSS)):
            name = column.partition("/")[2]
            better = "Lower" if run_pictures.lower_is_better(column) else "Higher"
            found[column] = config.NumberColumn(
                name, format="%.3f", width=_width(name), help=f"Result of the benchmark. {better} is better."
            )
        elif column.startswith(STATE):
            name = column.removeprefix(STATE)
            found[column] = config.NumberColumn(
                name, format="%.3f", width=_width(name), help=f"State of the probe's pool: {words}."
            )
    return found


def _width(label: str) -> int:
    """Pixels that a label needs as a heading."""
    return max(70, min(180, 30 + 7 * len(label)))


def _actions(workspace: Workspace, shown: pd.DataFrame, selected: pd.DataFrame) -> None:
    """What can be done with the selected probes, and the table as a file."""
    generation = st.session_state.get(_GENERATION, 0)
    counted = [str(run) for run in selected["run"][~selected["excluded"]]]
    marked = [str(run) for run in selected["run"][selected["excluded"]]]
    with st.popover(
        "Exclude", icon=":material/block:", disabled=not counted, key=f"runs_exclude-{generation}",
        help="Lets the selected probes no longer count for effects. They are kept and can be included again.",
    ):  # fmt: skip
        st.text_input(
            f"Why do {len(counted):,} probes not count?", max_chars=LONGEST_REASON,
            key=f"runs_reason-{generation}", placeholder="such as: read the wrong half of the pool",
        )  # fmt: skip
        action("Exclude", _exclude, workspace, counted, key="runs_do_exclude", type="primary")
        outcome("runs_do_exclude")
    action(
        "Include again", _include, workspace, marked, key="runs_include", icon=":material/undo:",
        disabled=not marked,
        help="Lets the excluded ones among the selected probes count again. To see them, show excluded "
        "probes.",
    )  # fmt: skip
    with st.popover("Download", icon=":material/download:"):
        st.caption(f"The {len(shown):,} probes of the table, with all columns but the curves.")
        st.download_button(
            "As CSV", lambda: runs_csv(shown), "runs.csv", "text/csv", key="runs_csv", on_click="ignore",
            width="stretch",
        )  # fmt: skip
        st.download_button(
            "As Parquet", lambda: runs_parquet(shown), "runs.parquet", "application/vnd.apache.parquet",
            key="runs_parquet", on_click="ignore", width="stretch",
        )  # fmt: skip
    # On the right, where the table's own tools lie over it when the pointer comes near.
    st.caption(
        f"{len(selected):,} of {len(shown):,} probes selected"
        if len(selected)
        else f"{len(shown):,} probes. Select rows to compare them below, or to exclude them."
    )


def _exclude(workspace: Workspace, runs: list[str]) -> None:
    generation = st.session_state.get(_GENERATION, 0)
    exclude_runs(
        workspace.runs, runs, reason=st.session_state.get(f"runs_reason-{generation}", ""), by=user()
    )
    _done(f"{len(runs):,} probes are excluded.")


def _include(workspace: Workspace, runs: list[str]) -> None:
    include_runs(workspace.runs, runs)
    _done(f"{len(runs):,} probes count again.")


def _done(words: str) -> None:
    """Go on with no row selected and no reason written."""
    st.session_state[_SAID] = words  # a fragment's callback cannot show anything itself
    st.session_state[_GENERATION] = st.session_state.get(_GENERATION, 0) + 1
