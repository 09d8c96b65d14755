"""Work outside the page's process: reading, filtering, measuring, and what graphs and effects need time for.

A task is a job of one process (`python -m jobs task ...`). It shares a job's files (record.py), except that
`task.json` says what is to be done and there are no shards: an ingest that was killed has published nothing
and is begun again; a measurement goes on behind the documents that it has measured; what is learned about a
graph or about effects is kept when all of it is there.
"""

from __future__ import annotations

import time
import traceback
import uuid
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from causalmix_core.corpus import Filter, IngestReport, MeasureSpec
from causalmix_core.effects import EstimatorName
from causalmix_core.effects.leaderboard_result import LeaderboardSettings
from causalmix_core.effects.refutation.result import FEWEST_REPLICATES, MOST_REPLICATES, REPLICATES, STRENGTH
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import DiscoverySettings, Knowledge
from causalmix_core.graph.falsification import MOST_PERMUTATIONS, PERMUTATIONS
from causalmix_core.graph.stability import MOST_RESAMPLES, RESAMPLES
from causalmix_core.probes import LIVE, SwarmState
from causalmix_core.workspace import Workspace, write_atomic
from jobs.process import start_process
from jobs.record import JobFolder
from jobs.status import Start, life

PROGRESS_SECONDS = 0.5
"""Least time between two progress events of a task."""


class IngestTask(BaseModel):
    """Read the sources of the workspace into a snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ingest"] = "ingest"


class FilterTask(BaseModel):
    """Make a snapshot of the documents that a filter keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["filter"] = "filter"
    snapshot: str
    filter: Filter


class MeasureTask(BaseModel):
    """Measure model-based features on the documents of a snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["measure"] = "measure"
    snapshot: str
    spec: MeasureSpec


class StabilityTask(BaseModel):
    """Search many halves of the runs for a graph; the result is kept in the workspace.

    Attributes:
        snapshot: whose runs are searched.
        settings: method and what it reads.
        knowledge: required and forbidden edges.
        resamples: how many halves.
        seed: of the halves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stability"] = "stability"
    snapshot: str
    settings: DiscoverySettings = DiscoverySettings()
    knowledge: Knowledge = Knowledge()
    resamples: int = Field(default=RESAMPLES, ge=1, le=MOST_RESAMPLES)
    seed: int = 0


class GraphTestTask(BaseModel):
    """Test what a saved graph claims against the runs; the result is kept beside the revision.

    Attributes:
        snapshot: whose runs it is tested on.
        name: of the graph.
        revision: which of its revisions.
        permutations: shuffled graphs that it is compared with.
        seed: of the shuffling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["test-graph"] = "test-graph"
    snapshot: str
    name: str
    revision: int = Field(ge=1)
    permutations: int = Field(default=PERMUTATIONS, ge=20, le=MOST_PERMUTATIONS)
    seed: int = 0


class LeaderboardTask(BaseModel):
    """Compare all estimators on the runs of a pool; the result is kept in the workspace.

    Attributes:
        pool: a snapshot's id or `import-<name>`.
        graph: a saved graph; None: the one that the pool uses by default, assumed where none is saved.
        revision: which of its revisions; None: the newest.
        settings: what is compared, and how runs are held out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["leaderboard"] = "leaderboard"
    pool: str
    graph: str | None = None
    revision: int | None = Field(default=None, ge=1)
    settings: LeaderboardSettings = LeaderboardSettings()


class RefuteTask(BaseModel):
    """Try to refute every effect of one estimator; the result is kept in the workspace.

    Attributes:
        pool: a snapshot's id or `import-<name>`.
        graph: a saved graph; None: the one that the pool uses by default, assumed where none is saved.
        revision: which of its revisions; None: the newest.
        estimator: whose effects.
        state: pool state of the effects, by column; None: that of the pool.
        mixture: where the point is added, by domain; None: the reference.
        replicates: changed sets of runs per refuter.
        seed: of everything that is drawn.
        strength: of the simulated hidden cause, a partial R2 with weight and outcome.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["refute"] = "refute"
    pool: str
    graph: str | None = None
    revision: int | None = Field(default=None, ge=1)
    estimator: EstimatorName
    state: dict[str, float] | None = None
    mixture: dict[str, float] | None = None
    replicates: int = Field(default=REPLICATES, ge=FEWEST_REPLICATES, le=MOST_REPLICATES)
    seed: int = 0
    strength: float = Field(default=STRENGTH, gt=0, lt=1)


Task = IngestTask | FilterTask | MeasureTask | StabilityTask | GraphTestTask | LeaderboardTask | RefuteTask
TaskKind = Literal["ingest", "filter", "measure", "stability", "test-graph", "leaderboard", "refute"]


class TaskSpec(BaseModel):
    """`task.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    created_at: float
    task: Annotated[Task, Field(discriminator="kind")]


@dataclass(frozen=True)
class TaskStatus:
    """A task as it stands now.

    Attributes:
        job: job id.
        task: what is to be done.
        state: `interrupted` means that its process is gone.
        fraction: done so far, 0 to 1.
        doing: what it does at the moment, in words.
        seconds: since the last start, until its end or now.
        report: what an ingest or a filter did; None before its end and for all others.
        message: why it failed, in words; empty otherwise.
    """

    job: str
    task: Task
    state: SwarmState
    fraction: float
    doing: str
    seconds: float
    report: IngestReport | None
    message: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the pace so far; None while too little is done to tell."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction > 0.02 else None


def submit_task(workspace: Workspace, task: Task) -> str:
    """Start a task in a process of its own and return its job id at once.

    Raises:
        CausalMixError: another task of the kind runs, or the workspace cannot be written.
    """
    for job in task_jobs(workspace):
        running = task_status(workspace, job)
        if running.task.kind == task.kind and running.state in LIVE:
            raise CausalMixError(f"Job {job} does that already; wait for it, or cancel it.")
    job = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + uuid.uuid4().hex[:4]
    folder = JobFolder(workspace, job)
    folder.make()
    spec = TaskSpec(job=job, created_at=time.time(), task=task)
    write_atomic(folder.path / "task.json", spec.model_dump_json(indent=2))
    start_process(folder, "task")
    return job


def resume_task(workspace: Workspace, job: str) -> None:
    """Run a stopped task again; a measurement goes on where it was, others begin again.

    Raises:
        CausalMixError: there is no such task, or it runs or is finished.
    """
    state = task_status(workspace, job).state
    if state in LIVE or state == "finished":
        raise CausalMixError(f"Job {job} is {state}; there is nothing to resume.")
    folder = JobFolder(workspace, job)
    folder.withdraw_requests()
    start_process(folder, "task")


def cancel_task(workspace: Workspace, job: str) -> None:
    """Ask a running task to stop.

    Raises:
        CausalMixError: there is no such task, or it does not run.
    """
    state = task_status(workspace, job).state
    if state not in LIVE:
        raise CausalMixError(f"Job {job} is {state}; there is nothing to stop.")
    JobFolder(workspace, job).request_cancel()


def task_jobs(workspace: Workspace) -> list[str]:
    """Ids of all tasks, newest first."""
    return sorted((p.parent.name for p in workspace.jobs.glob("[!.]*/task.json")), reverse=True)


def task_status(workspace: Workspace, job: str) -> TaskStatus:
    """How a task stands, from its files and the process table.

    Raises:
        CausalMixError: there is no such task, or its file is damaged.
    """
    folder = JobFolder(workspace, job)
    spec = _spec(folder)
    fraction, doing = 0.0, ""
    start = Start(spec.created_at)
    began = ended = spec.created_at
    done = False
    report = None
    for event in folder.events():
        kind = event["kind"]
        start.take(event)
        if kind == "submitted":
            fraction, doing = 0.0, ""
        elif kind == "training":
            began = event["at"]
        elif kind == "progress":
            fraction, doing = event["fraction"], event["doing"]
        elif kind == "done":
            done = True
            report = IngestReport.model_validate(event["report"]) if event["report"] else None
        if kind not in ("submitted", "started"):
            ended = event["at"]
    state = life(folder, done, start)
    end = time.time() if state in LIVE else ended
    return TaskStatus(
        job=job,
        task=spec.task,
        state=state,
        fraction=1.0 if done else fraction,
        doing=doing,
        seconds=max(0.0, end - began),
        report=report,
        message=start.failure,
    )


def run_task(workspace: Workspace, job: str) -> int:
    """Do a task in this process and record how it ended; the process's exit status."""
    folder = JobFolder(workspace, job)
    if not folder.claim():
        return 0  # another process was faster; it does the work
    folder.append("training")
    try:
        report = _do(workspace, _spec(folder).task, _Teller(folder))
    except _StoppedError:
        folder.append("cancelled")
        return 0
    except CausalMixError as error:
        folder.append("failed", message=str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        folder.append("failed", message=f"{type(error).__name__}: {error} (see {folder.log_path})")
        return 1
    folder.append("done", report=report.model_dump(mode="json") if report else None)
    return 0


class _StoppedError(Exception):
    """Somebody cancelled the task."""


class _Teller:
    """Records progress, not more often than `PROGRESS_SECONDS`, and ends a cancelled task."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._last = 0.0

    def __call__(self, fraction: float, doing: str) -> None:
        now = time.monotonic()
        if now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        if self._folder.cancelled():
            raise _StoppedError
        self._folder.append("progress", fraction=round(fraction, 4), doing=doing)


def _do(workspace: Workspace, task: Task, tell: _Teller) -> IngestReport | None:
    from causalmix_core.corpus import ingest, open_snapshot

    if isinstance(task, StabilityTask):
        _resample(workspace, task, tell)
        return None
    if isinstance(task, GraphTestTask):
        _test_graph(workspace, task, tell)
        return None
    if isinstance(task, LeaderboardTask):
        _compare(workspace, task, tell)
        return None
    if isinstance(task, RefuteTask):
        _refute(workspace, task, tell)
        return None
    if isinstance(task, IngestTask):
        return ingest(workspace, progress=tell)
    snapshot = open_snapshot(workspace, task.snapshot)
    if isinstance(task, FilterTask):
        from causalmix_core.corpus import apply_filter

        return apply_filter(workspace, snapshot, task.filter, progress=tell)
    from causalmix_core.corpus import measure_snapshot

    measure_snapshot(workspace, snapshot, task.spec, progress=tell)
    return None


def _resample(workspace: Workspace, task: StabilityTask, tell: _Teller) -> None:
    from causalmix_core.graph import edge_stability, load_stability, save_stability, stability_key
    from causalmix_core.probes import read_runs

    runs = read_runs(workspace.runs, task.snapshot)
    key = stability_key(runs, task.settings, task.knowledge, task.resamples, task.seed)
    if load_stability(workspace, key) is not None:
        return
    found = edge_stability(
        runs, task.settings, task.knowledge, resamples=task.resamples, seed=task.seed, progress=tell
    )
    save_stability(workspace, found)


def _test_graph(workspace: Workspace, task: GraphTestTask, tell: _Teller) -> None:
    from causalmix_core.graph import load_graph
    from causalmix_core.graph.falsification import save_tests, test_graph
    from causalmix_core.probes import read_runs

    runs = read_runs(workspace.runs, task.snapshot)
    graph = load_graph(workspace, task.name, task.revision).graph
    tests = test_graph(runs, graph, permutations=task.permutations, seed=task.seed, progress=tell)
    save_tests(workspace, task.name, task.revision, tests)


def _compare(workspace: Workspace, task: LeaderboardTask, tell: _Teller) -> None:
    from causalmix_core.effects.effect_store import key_of, save_leaderboard
    from causalmix_core.effects.leaderboard import leaderboard
    from causalmix_core.question import gather

    question = gather(workspace, task.graph, task.revision, task.pool)
    found = leaderboard(
        question.runs,
        question.graph,
        question.objective,
        reference=question.reference,
        settings=task.settings,
        progress=tell,
    )
    save_leaderboard(workspace, key_of(question), found)


def _refute(workspace: Workspace, task: RefuteTask, tell: _Teller) -> None:
    from causalmix_core.effects.effect_store import key_of, save_refutation
    from causalmix_core.effects.refutation import refute
    from causalmix_core.question import gather

    question = gather(workspace, task.graph, task.revision, task.pool)
    found = refute(
        question.runs,
        question.graph,
        estimator=task.estimator,
        objective=question.objective,
        state=question.state if task.state is None else task.state,
        mixture=question.reference if task.mixture is None else task.mixture,
        replicates=task.replicates,
        seed=task.seed,
        strength=task.strength,
        progress=tell,
    )
    save_refutation(workspace, key_of(question), found)


def _spec(folder: JobFolder) -> TaskSpec:
    return folder.read("task.json", TaskSpec, "task")
