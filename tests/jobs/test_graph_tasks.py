"""What graphs need time for, in real background processes: resampling a discovery, testing a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    DiscoverySettings,
    Knowledge,
    consensus_graph,
    load_stability,
    saturated_graph,
    save_graph,
    stability_key,
)
from causalmix_core.graph.falsification import load_tests
from causalmix_core.graph.stability import FOLDER
from causalmix_core.probes import RunTable, read_runs
from causalmix_core.workspace import Workspace, WorkspaceConfig
from jobs import GraphTestTask, JobFolder, StabilityTask, cancel_task, resume_task, submit_task, task_status
from tests.jobs.test_local import until
from tests.jobs.test_tasks import ends

SNAPSHOT = "0123456789ab"


@pytest.fixture
def studied(tmp_path: Path) -> Workspace:
    """A workspace with a run table whose outcomes follow one weight each."""
    workspace = Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="Graphs"))
    rng = np.random.default_rng(0)
    n, domains = 240, ("code", "prose", "sums")
    weights = rng.dirichlet(np.ones(len(domains)), n)
    rows = pd.DataFrame(
        {
            "run": [f"run-{i:04d}" for i in range(n)],
            "job": "imported",
            "probe": range(n),
            "status": "finished",
            "snapshot": SNAPSHOT,
            "assignment": "randomised",
            **{f"weight/{d}": weights[:, k] for k, d in enumerate(domains)},
            **{f"state/s{j}": rng.normal(size=n) for j in range(5)},
            **{
                f"loss/{d}": 3 - np.log(weights[:, k] + 0.03) + 0.3 * rng.normal(size=n)
                for k, d in enumerate(domains)
            },
        }
    )
    rows.to_parquet(workspace.runs / "imported-0000.parquet", index=False)
    return workspace


def runs_of(workspace: Workspace) -> RunTable:
    return read_runs(workspace.runs, SNAPSHOT)


def test_a_discovery_is_resampled_in_the_background_and_kept(studied: Workspace) -> None:
    knowledge = Knowledge(required=(("state/s0", "loss/sums"),))
    task = StabilityTask(snapshot=SNAPSHOT, knowledge=knowledge, resamples=12, seed=5)
    status = ends(studied, submit_task(studied, task))
    log = JobFolder(studied, status.job).log_path.read_text()
    assert (status.state, status.message) == ("finished", ""), log
    assert status.task == task
    key = stability_key(runs_of(studied), task.settings, knowledge, 12, 5)
    found = load_stability(studied, key)
    assert found is not None
    graph = consensus_graph(found, 0.9, by="ana")
    assert {("weight/code", "loss/code"), ("weight/prose", "loss/prose"), ("state/s0", "loss/sums")} <= set(
        graph.directed()
    )
    assert graph.required() == [("state/s0", "loss/sums")]

    # Asked again, it is there already.
    before = (studied.graphs / FOLDER / f"{key}.json").stat().st_mtime_ns
    assert ends(studied, submit_task(studied, task)).state == "finished"
    assert (studied.graphs / FOLDER / f"{key}.json").stat().st_mtime_ns == before


def test_a_resampling_is_cancelled_and_leaves_nothing(studied: Workspace) -> None:
    task = StabilityTask(snapshot=SNAPSHOT, settings=DiscoverySettings(method="pc"), resamples=10_000)
    job = submit_task(studied, task)
    until("halves are searched", lambda: "of 10000 resamples" in task_status(studied, job).doing)
    with pytest.raises(CausalMixError, match="does that already"):
        submit_task(studied, StabilityTask(snapshot=SNAPSHOT))
    process = psutil.Process(JobFolder(studied, job).attempts()[-1].pid)
    workers = process.children()
    assert workers
    cancel_task(studied, job)
    assert ends(studied, job).state == "cancelled"
    psutil.wait_procs(workers, timeout=30)
    assert not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]
    assert not (studied.graphs / FOLDER).exists()


def test_a_killed_resampling_leaves_no_worker(studied: Workspace) -> None:
    task = StabilityTask(snapshot=SNAPSHOT, settings=DiscoverySettings(method="pc"), resamples=10_000)
    job = submit_task(studied, task)
    until("halves are searched", lambda: "of 10000 resamples" in task_status(studied, job).doing)
    process = psutil.Process(JobFolder(studied, job).attempts()[-1].pid)
    workers = process.children()
    process.kill()
    assert ends(studied, job).state == "interrupted"
    psutil.wait_procs(workers, timeout=30)
    assert not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]


def test_a_mistake_is_said_in_words(studied: Workspace) -> None:
    settings = DiscoverySettings(method="pc", alpha=7)
    status = ends(studied, submit_task(studied, StabilityTask(snapshot=SNAPSHOT, settings=settings)))
    assert status.state == "failed"
    assert status.message.startswith("alpha is 7")
    status = ends(studied, submit_task(studied, StabilityTask(snapshot="ffffffffffff")))
    assert "no finished probes of snapshot ffffffffffff" in status.message


def test_a_saved_graph_is_tested_in_the_background(studied: Workspace) -> None:
    graph = saturated_graph(runs_of(studied), by="ana")
    kept = graph.model_copy(update={"edges": tuple(e for e in graph.edges if e.source != "weight/code")})
    saved = save_graph(studied, "main", kept, parent=None, by="ana")
    task = GraphTestTask(snapshot=SNAPSHOT, name="main", revision=saved.revision, permutations=20)
    status = ends(studied, submit_task(studied, task))
    assert (status.state, status.message) == ("finished", "")
    tests = load_tests(studied, "main", 1)
    assert tests is not None
    assert tests.runs == 240
    missing = task.model_copy(update={"revision": 7})
    status = ends(studied, submit_task(studied, missing))
    assert status.state == "failed"
    assert "has no revision 7" in status.message
    resume_task(studied, status.job)
    assert ends(studied, status.job).state == "failed"
