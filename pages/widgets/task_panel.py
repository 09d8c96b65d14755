"""Background work: how it stands, what can be done about it, and what came of it."""

from __future__ import annotations

import streamlit as st

from causalmix_core.probes import LIVE
from causalmix_core.workspace import Workspace
from jobs import (
    Task,
    TaskKind,
    TaskStatus,
    cancel_task,
    resume_task,
    submit_task,
    task_jobs,
    task_status,
)
from pages.widgets.shell import STATE_COLOURS, duration, guard

DOING: dict[TaskKind, str] = {
    "ingest": "Reading the sources",
    "filter": "Applying the filter",
    "measure": "Measuring documents with a model",
    "stability": "Searching halves of the runs for a graph",
    "test-graph": "Testing the graph against the runs",
    "leaderboard": "Comparing estimators on held-out runs",
    "refute": "Trying to refute the effects",
}
REFRESH = "1s"
_SEEN = "seen_tasks"
_WATCHED = "watched_tasks"


def start(workspace: Workspace, task: Task) -> None:
    """Start a task and show it at once; a mistake is shown in its place."""
    with guard():
        begin(workspace, task)
    st.rerun()


def begin(workspace: Workspace, task: Task) -> None:
    """Start a task from the callback of a button; the run that follows shows it.

    Raises:
        CausalMixError: as `submit_task`.
    """
    job = submit_task(workspace, task)
    st.session_state.setdefault(_WATCHED, set()).add(job)


def newest(workspace: Workspace) -> TaskStatus | None:
    """The newest task, if there ever was one."""
    return next((task_status(workspace, job) for job in task_jobs(workspace)), None)


def running(workspace: Workspace) -> TaskStatus | None:
    """The newest task, while it runs."""
    status = newest(workspace)
    return status if status and status.state in LIVE else None


def panel(workspace: Workspace) -> None:
    """The newest task: live while it runs, then what came of it until it is dismissed."""
    with guard():
        status = newest(workspace)
    if status is None or status.job in st.session_state.setdefault(_SEEN, set()):
        return
    live = status.state in LIVE
    watched: set[str] = st.session_state.setdefault(_WATCHED, set())
    if live:
        watched.add(status.job)
    elif status.state in ("finished", "cancelled") and status.job not in watched:
        return  # ended before this session looked: no news
    _watch(workspace, status.job, REFRESH if live else None)


def _watch(workspace: Workspace, job: str, every: str | None) -> None:
    @st.fragment(run_every=every)
    def look() -> None:
        with guard():
            status = task_status(workspace, job)
        if every is not None and status.state not in LIVE:
            st.rerun()  # ends the polling and shows the new snapshot
        _show(workspace, status)

    look()


def _show(workspace: Workspace, status: TaskStatus) -> None:
    with st.container(border=True):
        head, action = st.columns([5, 1], vertical_alignment="center")
        with head.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{DOING[status.task.kind]}**")
            st.badge(status.state, color=STATE_COLOURS[status.state])
        if status.state in LIVE:
            if action.button("Cancel", key="cancel_task", icon=":material/stop:", width="stretch"):
                with guard():
                    cancel_task(workspace, status.job)
                st.toast("It stops within a second; nothing was changed.")
            left = status.seconds_left
            st.progress(
                status.fraction,
                (status.doing or "Starting ...") + (f" · about {duration(left)} left" if left else ""),
            )
            return
        if action.button("Dismiss", key="dismiss_task", icon=":material/close:", width="stretch"):
            st.session_state[_SEEN].add(status.job)
            st.rerun()
        if status.state == "finished":
            said = f"Done in {duration(status.seconds)}."
            if status.report:
                counts = status.report.documents
                said += f" {sum(counts.values()):,} documents in {len(counts)} domains."
                if not status.report.created:
                    said += " Nothing has changed: this snapshot was there already."
            st.caption(said)
            if status.report:
                with st.expander("Domain by domain"):
                    st.markdown("\n".join(f"- {line}" for line in status.report.summary()))
            return
        if status.message:
            st.error(status.message, icon=":material/error:")
        if st.button("Try again", key="resume_task", icon=":material/replay:"):
            with guard():
                resume_task(workspace, status.job)
            st.rerun()
