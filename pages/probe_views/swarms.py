"""The swarms of a workspace: what each does now, its curves, its place in the queue, and what can be done."""

from __future__ import annotations

import time

import pandas as pd
import streamlit as st

from causalmix_core.probes import LIVE, SwarmStatus
from causalmix_core.probes.every_run import proxy_names
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from pages.widgets import charts
from pages.widgets.actions import action, outcome
from pages.widgets.shell import STATE_COLOURS, duration, guard, runs_key
from pages.widgets.views import turn_to

REFRESH = "2s"
"""Between two looks at running swarms; drawing takes time from the training on a small machine."""
ROW, MOST_ROWS = 35, 8
CHOSEN = "swarm"
"""The swarm that is shown in full; it stands in the address."""
SHOWN = "shown_swarm"
LOG_LINES = 200
ACTIONS = ("sooner", "later", "pause", "cancel", "resume", "retry", "delete")
"""Keys of the buttons that act on a swarm."""


def show(workspace: Workspace, jobs: list[str]) -> None:
    """Lay out the view.

    Args:
        workspace: the open workspace.
        jobs: ids of all swarms, newest first.
    """
    if not jobs:
        with st.container(border=True):
            st.markdown("No swarm was launched yet.")
            if st.button("Design the first one", type="primary", icon=":material/rocket_launch:"):
                turn_to("design", "shown")
                st.rerun()
        return
    with guard():
        running = any(_status(workspace, job).state in LIVE for job in jobs)
    _watch(workspace, jobs, REFRESH if running else None)


def look_at(job: str) -> None:
    """Show a swarm in full in the next run of the page."""
    st.query_params[CHOSEN] = job


def _watch(workspace: Workspace, jobs: list[str], every: str | None) -> None:
    @st.fragment(run_every=every)
    def panel() -> None:
        with guard():
            found = {job: _status(workspace, job) for job in LocalEngine().jobs(workspace)}
        if found.keys() != set(jobs) or (every is None) == any(s.state in LIVE for s in found.values()):
            st.rerun()  # begins or ends the polling, or draws the page for other swarms
        chosen = _chosen(found)
        _panel(workspace, found[chosen])
        if len(jobs) > 1:
            _all(found, chosen)

    panel()


def _status(workspace: Workspace, job: str) -> SwarmStatus:
    """How a swarm stands; one that has come to its end is read once."""
    ended: dict[str, tuple[object, SwarmStatus]] = st.session_state.setdefault("ended_swarms", {})
    key = (runs_key(workspace), _changed(workspace, job))
    if job in ended and ended[job][0] == key:
        return ended[job][1]
    status = LocalEngine().status(workspace, job)
    if status.state not in LIVE:
        ended[job] = (key, status)
    return status


def _changed(workspace: Workspace, job: str) -> float:
    try:
        return (workspace.jobs / job / "events.jsonl").stat().st_mtime
    except OSError:
        return 0.0


def _chosen(found: dict[str, SwarmStatus]) -> str:
    """The swarm in the address, else the one shown before, else the one that trains or will next."""
    for job in (st.query_params.get(CHOSEN), st.session_state.get(SHOWN)):
        if job in found:
            return str(job)
    live = [s for s in found.values() if s.state in LIVE]
    first = min(live, key=lambda s: s.queue_position or 0).job if live else next(iter(found))
    st.session_state[SHOWN] = first
    return first


def _panel(workspace: Workspace, status: SwarmStatus) -> None:
    """One swarm in full."""
    with st.container(border=True):
        head, actions = st.columns([5, 6], vertical_alignment="center")
        with head.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Swarm {status.job}**")
            st.badge(status.state, color=STATE_COLOURS[status.state])
        with actions.container(horizontal=True, horizontal_alignment="right"):
            _actions(workspace, status)
        outcome(*ACTIONS)
        st.progress(status.fraction)
        _numbers(status)
        _words(status)
        if status.curves:
            tokens = status.swarm.proxy.sequences * status.swarm.proxy.sequence_length
            charts.show(charts.training_curves(status.curves, tokens), key="curves", height=280)
        elif status.state in ("starting", "running"):
            st.caption("Loading the pool and building the models; the first curve appears in seconds.")
        _foot(workspace, status)


def _actions(workspace: Workspace, status: SwarmStatus) -> None:
    engine, job = LocalEngine(), status.job
    if status.state == "queued":
        action(
            "Sooner", engine.move, workspace, job, -1, key="sooner", icon=":material/arrow_upward:",
            help="One place up the queue.",
        )  # fmt: skip
        action(
            "Later", engine.move, workspace, job, 1, key="later", icon=":material/arrow_downward:",
            help="One place down the queue.",
        )  # fmt: skip
    if status.state in LIVE:
        action(
            "Pause", engine.pause, workspace, job, key="pause", icon=":material/pause:",
            said="The swarm pauses within seconds.",
            help="Frees the machine. The probes in training are kept as they are and go on from there.",
        )  # fmt: skip
        action(
            "Cancel", engine.cancel, workspace, job, key="cancel", icon=":material/stop:",
            said="The swarm stops within seconds; finished probes are kept.",
            help="Finished probes are kept, those in training are given up.",
        )  # fmt: skip
        return
    if status.state != "finished":
        action(
            "Resume",
            engine.resume,
            workspace,
            job,
            key="resume",
            icon=":material/play_arrow:",
            type="primary",
        )
    if status.failed_probes:
        action(
            "Retry failed", engine.retry, workspace, job, key="retry", icon=":material/replay:",
            help="Trains the probes that diverged once more. Both results stay on record.",
        )  # fmt: skip
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"Delete swarm {job}: its design, log and curves.")
        st.checkbox(
            f"Also delete its {status.finished} probes from the run table", key=f"delete-runs-{job}",
            help="Effects then no longer use them. Without this they stay.",
        )  # fmt: skip
        action(
            "Delete the swarm", _delete, workspace, job, key="delete", type="primary",
            said="The swarm is deleted.",
        )  # fmt: skip


def _delete(workspace: Workspace, job: str) -> None:
    LocalEngine().delete(workspace, job, runs=bool(st.session_state.get(f"delete-runs-{job}")))
    st.query_params.pop(CHOSEN, None)


def _numbers(status: SwarmStatus) -> None:
    columns = st.columns(4)
    columns[0].metric("Probes finished", f"{status.finished} of {status.swarm.probes}")
    columns[1].metric("Tokens trained", f"{status.tokens_done / 1e6:.1f} M")
    rate = status.tokens_per_second
    columns[2].metric("Speed", f"{rate / 1000:.0f} k tokens/s" if rate else "–")
    left = status.seconds_left if status.state in LIVE else None
    if status.state == "finished":
        columns[3].metric("Took", duration(status.seconds))
    else:
        columns[3].metric("Left", duration(left) if left is not None else "–")


def _words(status: SwarmStatus) -> None:
    """What a state means where it is not plain."""
    if status.message:
        st.error(status.message, icon=":material/error:")
    if status.state == "queued":
        place = f"It is number {status.queue_position} in the queue. " if status.queue_position else ""
        st.info(
            f"Waits until other swarms of this workspace leave a core free. {place}It starts by itself.",
            icon=":material/hourglass_top:",
        )
    if status.state == "interrupted":
        st.warning(
            "The process that trained this swarm is gone (a reboot, or it was killed). Finished probes are "
            "kept; Resume trains the rest.",
            icon=":material/warning:",
        )
    if status.diverged:
        st.warning(
            f"{status.diverged} probes diverged (their loss was no number). They are kept on record "
            "and never used.",
            icon=":material/warning:",
        )


def _foot(workspace: Workspace, status: SwarmStatus) -> None:
    """The way on, and what the swarm's processes printed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if status.finished and st.button("Look at the runs", key="to_runs", icon=":material/table_chart:"):
            turn_to("runs", "shown")
            st.rerun()
        log = st.toggle("Log", key="show_log", help="What the swarm's processes printed, for when one fails.")
    if log:
        with guard():
            text = LocalEngine().log(workspace, status.job, LOG_LINES)
        st.code(text or "Nothing was printed.", language=None, height=240)


def _all(found: dict[str, SwarmStatus], chosen: str) -> None:
    """All swarms as a table; selecting one shows it in full."""
    st.markdown("**All swarms**")
    jobs = list(found)
    names = proxy_names(s.swarm.proxy.model_dump_json() for s in found.values())
    table = pd.DataFrame(
        {
            "swarm": ["▸ " + job if job == chosen else job for job in jobs],
            "state": [s.state for s in found.values()],
            "done": [100 * s.fraction for s in found.values()],
            "probes": [f"{s.finished} of {s.swarm.probes}" for s in found.values()],
            "proxy": [names[s.swarm.proxy.model_dump_json()] for s in found.values()],
            "seed": [s.swarm.seed for s in found.values()],
            "took": [duration(s.seconds) if s.seconds else "" for s in found.values()],
            "launched": [_ago(s.started_at) for s in found.values()],
        }
    )
    event = st.dataframe(
        table,
        hide_index=True,
        key="swarms",
        on_select="rerun",
        selection_mode="single-row",
        height="auto" if len(jobs) <= MOST_ROWS else (1 + MOST_ROWS) * ROW,
        column_config={
            "swarm": st.column_config.TextColumn("Swarm", pinned=True),
            "state": st.column_config.TextColumn("State"),
            "done": st.column_config.ProgressColumn("Trained", format="%.0f%%", min_value=0, max_value=100),
            "probes": st.column_config.TextColumn("Probes finished"),
            "proxy": st.column_config.TextColumn("Proxy"),
            "seed": st.column_config.NumberColumn("Seed", format="%d"),
            "took": st.column_config.TextColumn("Training time"),
            "launched": st.column_config.TextColumn("Launched"),
        },
    )
    rows = event["selection"]["rows"] if event else []
    if rows and jobs[rows[0]] != chosen:
        look_at(jobs[rows[0]])
        st.rerun(scope="fragment")


def _ago(at: float) -> str:
    seconds = max(0.0, time.time() - at)
    return "just now" if seconds < 60 else f"{duration(seconds)} ago"
