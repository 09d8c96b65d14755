"""What every page stands on: the open workspace, cached reads of it, and how a mistake is shown."""

from __future__ import annotations

import getpass
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NoReturn

import streamlit as st

from causalmix_core.corpus import Snapshot, open_snapshot
from causalmix_core.corpus.snapshot import current_id
from causalmix_core.effects import EffectModel, EstimatorName, fit_effects
from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.reweighting import with_objective
from causalmix_core.errors import CausalMixError
from causalmix_core.pools import Pool, list_pools, resolve_pool
from causalmix_core.probes import LIVE, RunTable, SwarmState, exclusions_stamp, read_runs
from causalmix_core.question import Question, gather
from causalmix_core.workspace import Workspace
from jobs import LocalEngine, TaskKind, task_jobs, task_status

PageName = Literal["corpus", "probes", "graph", "effects", "mixture"]
STATE_COLOURS: dict[SwarmState, Literal["blue", "green", "red", "orange", "gray"]] = {
    "starting": "blue",
    "queued": "gray",
    "running": "blue",
    "paused": "orange",
    "finished": "green",
    "failed": "red",
    "cancelled": "gray",
    "interrupted": "orange",
}
POOL = "pool"
"""Where the session keeps the pool whose runs are looked at."""
NEWEST = 8
"""Swarms among which the sidebar looks for one that runs."""
TASK_WORDS: dict[TaskKind, str] = {
    "ingest": "reading the sources",
    "filter": "applying a filter",
    "measure": "measuring documents",
    "stability": "resampling a discovery",
    "test-graph": "testing the graph",
    "leaderboard": "comparing estimators",
    "refute": "refuting effects",
}
_loading = threading.Lock()
ESTIMATOR = "estimator"
_OWN_ESTIMATOR = "own_estimator"


@contextmanager
def guard() -> Iterator[None]:
    """Show a CausalMixError as a message in place of the rest of the page."""
    try:
        yield
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()


def run_page(name: PageName, render: Callable[[Workspace], None]) -> None:
    """Run a page inside the app.

    Streamlit runs a file in `pages/` on its own when the first address that a fresh server is asked for
    is that page's; then the way leads through app.py, which remembers the page that was wanted, and the view
    of it that the address names.
    """
    if "through_app" not in st.session_state:
        st.session_state["wanted"] = (f"pages/{name}.py", st.query_params.to_dict())
        st.switch_page("app.py")
    with guard():
        render(open_workspace())


def follow_wanted_page() -> None:
    """In app.py, after the navigation is set up: go on to the page that was asked for at first."""
    st.session_state["through_app"] = True
    if wanted := st.session_state.pop("wanted", None):
        page, parameters = wanted
        st.switch_page(page, query_params=parameters)


def open_workspace() -> Workspace:
    """The workspace in CAUSALMIX_WORKSPACE, or the folder the app was started in.

    Raises:
        CausalMixError: there is no workspace, with the commands that make one.
    """
    return _opened(os.environ.get("CAUSALMIX_WORKSPACE", "."))


@st.cache_resource(show_spinner=False)
def _opened(root: str) -> Workspace:
    return Workspace.open(Path(root))


def user() -> str:
    """Who saves graphs and mixtures: the account that the server runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def is_dark() -> bool:
    """Whether the page is shown in the dark theme."""
    return st.context.theme.type == "dark"


def sidebar(workspace: Workspace) -> None:
    """The workspace's name, whose runs are looked at, and the newest swarm, on every page."""
    with st.sidebar:
        st.markdown(f"**{workspace.config().name}**", help=f"Workspace folder: {workspace.root}")
        # A damaged run file is named by the pages that read runs; the others can do without them.
        with suppress(CausalMixError):
            _choose_pool(workspace)
        _swarm_line(workspace)


@st.fragment(run_every=5)
def _swarm_line(workspace: Workspace) -> None:
    with guard():
        _show_swarm(workspace)


def _show_swarm(workspace: Workspace) -> None:
    for job in task_jobs(workspace)[:1]:
        task = task_status(workspace, job)
        if task.state in LIVE:
            st.badge(TASK_WORDS[task.task.kind], color="blue")
            st.progress(task.fraction)
    engine = LocalEngine()
    jobs = engine.jobs(workspace)
    if not jobs:
        st.caption("No swarm yet")
        return
    live = [s for s in (engine.status(workspace, job) for job in jobs[:NEWEST]) if s.state in LIVE]
    # The one that trains, else the next of those that wait, else the newest.
    status = min(live, key=lambda s: s.queue_position or 0) if live else engine.status(workspace, jobs[0])
    st.badge(f"swarm {status.state}", color=STATE_COLOURS[status.state])
    if status.state in LIVE:
        st.progress(status.fraction)
    st.caption(f"{status.finished} of {status.swarm.probes} probes finished")
    if len(live) > 1:
        st.caption(f"{len(live) - 1} more in the queue or running")


@st.cache_resource(show_spinner=False)
def warm_imports() -> threading.Thread:
    """Load the slow libraries beside the first page, once per server."""

    def load() -> None:
        for module in ("dowhy", "econml.dml", "torch"):
            load_now(module)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return thread


def load_now(*modules: str) -> None:
    """Load what the next step needs, without waiting for the rest of what is warmed.

    One thread at a time: two that import the same library at once may deadlock.
    """
    for module in modules:
        with _loading:
            importlib.import_module(module)


def snapshot_of(workspace: Workspace) -> Snapshot:
    """The current snapshot.

    Raises:
        CausalMixError: nothing was ingested yet.
    """
    return open_snapshot(workspace)


def runs_key(workspace: Workspace) -> tuple[str, ...]:
    """Changes whenever a shard of any swarm is finished, or a run is excluded or included again."""
    files = sorted(p.name for p in workspace.runs.glob("*.parquet"))
    return tuple(filter(None, [*files, exclusions_stamp(workspace.runs)]))


def _choose_pool(workspace: Workspace) -> None:
    """Whose runs the pages speak of; asked only where there is a choice."""
    labels = {p.id: p.label for p in pools_of(workspace)}
    if len(labels) < 2:
        return
    if st.session_state.get(POOL) not in labels:
        st.session_state[POOL] = _usual_pool(str(workspace.root), runs_key(workspace), current_id(workspace))
    st.selectbox(
        "Runs from", list(labels), format_func=labels.__getitem__, key=POOL, persist_state="session",
        help="Runs of one pool say nothing about another, so graph, effects and mixture look at one of them.",
    )  # fmt: skip


def pools_of(workspace: Workspace) -> list[Pool]:
    """The pools that there are runs of, read once per change.

    Raises:
        CausalMixError: a run file is damaged.
    """
    return _pools(str(workspace.root), runs_key(workspace), current_id(workspace))


@st.cache_data(show_spinner=False, max_entries=8)
def _pools(root: str, files: tuple[str, ...], current: str | None) -> list[Pool]:
    # `files` and `current` only decide when to read again.
    return list_pools(Workspace(Path(root)))


@st.cache_data(show_spinner=False, max_entries=8)
def _usual_pool(root: str, files: tuple[str, ...], current: str | None) -> str:
    return resolve_pool(Workspace(Path(root)))


def pool_of(workspace: Workspace) -> str:
    """The pool that this session looks at: the chosen one, else the usual one (see `resolve_pool`).

    Raises:
        CausalMixError: there is neither a snapshot nor a run.
    """
    chosen = st.session_state.get(POOL)
    if chosen is not None and chosen in {p.id for p in pools_of(workspace)}:
        return str(chosen)
    return _usual_pool(str(workspace.root), runs_key(workspace), current_id(workspace))


def runs_of(workspace: Workspace, pool: str) -> RunTable:
    """The finished probes of a pool, read once per finished shard or import.

    Raises:
        CausalMixError: there is none yet.
    """
    return _runs(str(workspace.runs), pool, runs_key(workspace))


@st.cache_data(show_spinner=False, max_entries=8)
def _runs(folder: str, pool: str, files: tuple[str, ...]) -> RunTable:
    # `files` only decides when to read again; a name with an underscore would not.
    return read_runs(Path(folder), pool)


def question_of(workspace: Workspace) -> Question:
    """What the effects page and the mixture page ask: the newest saved graph over all runs of the pool.

    Where it cannot be asked yet, the page ends with the reason and the way to the page that mends it.
    """
    try:
        return gather(workspace, pool=pool_of(workspace))
    except CausalMixError as error:
        if runs_key(workspace):
            empty(str(error), "graph", "Go to the graph")
        empty(str(error), "probes", "Go to the probes")


OBJECTIVE_AT = 6
"""Where the objective stands in `fit_key`."""


def fit_key(workspace: Workspace, question: Question, estimator: EstimatorName) -> tuple[object, ...]:
    """Everything that fitted effects depend on, to keep them by."""
    return (
        str(workspace.root),
        question.pool,
        len(question.runs),
        runs_key(workspace),
        tuple(n.id for n in question.graph.nodes),
        tuple(sorted(e.arrow for e in question.graph.edges)),
        tuple(question.objective.items()),
        estimator,
    )


def fitted(workspace: Workspace, question: Question, estimator: EstimatorName) -> EffectModel:
    """The effects that a question's runs and graph give, fitted once for all pages and users.

    Raises:
        CausalMixError: as `fit_effects`.
    """
    label = ESTIMATORS[estimator].label
    with st.spinner(f"Fitting effects to {len(question.runs):,} probes ({label}) ..."):
        return _fit(fit_key(workspace, question, estimator), question, estimator)


@st.cache_resource(show_spinner=False, max_entries=24)
def _fit(key: tuple[object, ...], _question: Question, estimator: EstimatorName) -> EffectModel:
    outcomes = _fit_outcomes((*key[:OBJECTIVE_AT], *key[OBJECTIVE_AT + 1 :]), _question, estimator)
    return with_objective(outcomes, _question.objective)


@st.cache_resource(show_spinner=False, max_entries=8)
def _fit_outcomes(key: tuple[object, ...], _question: Question, estimator: EstimatorName) -> EffectModel:
    """Fitted once whatever the objective, of which one is fitted in a fraction of the time."""
    load_now("dowhy", *(["econml.dml"] if ESTIMATORS[estimator].orthogonal else []))
    return fit_effects(_question.runs, _question.graph, estimator=estimator)


def choose_estimator(default: EstimatorName) -> EstimatorName:
    """The estimator, the same on every page of this session.

    Args:
        default: what is used until the curator has chosen another.
    """
    if not st.session_state.get(_OWN_ESTIMATOR):
        st.session_state[ESTIMATOR] = default
    return st.selectbox(
        "Estimator",
        list(ESTIMATORS),
        format_func=lambda name: ESTIMATORS[name].label,
        key=ESTIMATOR,
        width=300,
        persist_state="session",
        on_change=_keep_estimator,
        help="\n\n".join(f"**{info.label}.** {info.summary}" for info in ESTIMATORS.values()),
    )


def _keep_estimator() -> None:
    st.session_state[_OWN_ESTIMATOR] = True


def duration(seconds: float) -> str:
    """Seconds in words of two units at most."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def title(name: str, lead: str) -> None:
    """A page's heading and what it is for, in one sentence."""
    st.title(name, anchor=False)
    st.markdown(f":gray[{lead}]")


def next_step(page: PageName, label: str) -> None:
    """The way on, at the end of a page."""
    st.divider()
    st.page_link(f"pages/{page}.py", label=f"Next: {label}", icon=":material/arrow_forward:")


def empty(message: str, page: PageName | None = None, label: str = "") -> NoReturn:
    """What to do where there is nothing to show yet; ends the page."""
    with st.container(border=True):
        st.markdown(message)
        if page is not None:
            st.page_link(f"pages/{page}.py", label=label, icon=":material/arrow_forward:")
    st.stop()
