"""What effects need time for, as background work: comparing estimators, refuting effects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from causalmix_core.effects.effect_store import key_of, load_leaderboard, load_refutation
from causalmix_core.effects.leaderboard_result import LeaderboardSettings
from causalmix_core.effects.refutation.result import RefutationSettings
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace, WorkspaceConfig
from jobs import JobFolder, LeaderboardTask, RefuteTask, cancel_task, submit_task, task_status, tasks
from tests.jobs.test_local import until
from tests.jobs.test_tasks import ends

POOL = "import-elsewhere"
QUICK = LeaderboardSettings(estimators=("mixing_law", "linear_regression"), repeats=1)


@pytest.fixture
def studied(tmp_path: Path) -> Workspace:
    """A workspace with imported runs of three domains."""
    workspace = Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="Effects"))
    rng = np.random.default_rng(0)
    n, domains = 40, ("code", "prose", "sums")
    weights = rng.dirichlet(np.ones(len(domains)), n)
    rows = pd.DataFrame(
        {
            "run": [f"run-{i:04d}" for i in range(n)],
            "job": POOL,
            "probe": range(n),
            "status": "finished",
            "snapshot": POOL,
            "assignment": "randomised",
            **{f"weight/{d}": weights[:, k] for k, d in enumerate(domains)},
            "state/s0": rng.normal(size=n),
            **{
                f"loss/{d}": 3 - np.log(weights[:, k] + 0.1) + 0.05 * rng.normal(size=n)
                for k, d in enumerate(domains[:2])
            },
        }
    )
    rows.to_parquet(workspace.runs / "imported-0000.parquet", index=False)
    return workspace


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are done in this process when they are submitted, so that libraries load only once."""

    def do(folder: JobFolder, _: str) -> None:
        tasks.run_task(folder.workspace, folder.job)

    monkeypatch.setattr(tasks, "start_process", do)


@pytest.mark.usefixtures("at_once")
def test_estimators_are_compared_and_the_table_is_kept(studied: Workspace) -> None:
    status = ends(studied, submit_task(studied, LeaderboardTask(pool=POOL, settings=QUICK)))
    assert (status.state, status.message) == ("finished", "")
    found = load_leaderboard(studied, key_of(gather(studied, pool=POOL))).value
    assert found is not None
    assert found.settings == QUICK
    assert {r.name for r in found.rows if not r.baseline} == set(QUICK.estimators)


def test_a_comparison_is_cancelled_and_leaves_no_file_and_no_process(studied: Workspace) -> None:
    job = submit_task(studied, LeaderboardTask(pool=POOL, settings=LeaderboardSettings(repeats=20)))
    until("folds are predicted", lambda: "Held-out runs predicted" in task_status(studied, job).doing)
    workers = psutil.Process(JobFolder(studied, job).attempts()[-1].pid).children()
    assert workers
    cancel_task(studied, job)
    assert ends(studied, job).state == "cancelled"
    psutil.wait_procs(workers, timeout=30)
    assert not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]
    assert not list(studied.effects.iterdir())


@pytest.mark.usefixtures("at_once")
def test_effects_are_refuted_and_the_verdicts_are_kept(studied: Workspace) -> None:
    task = RefuteTask(pool=POOL, estimator="linear_dml", replicates=5, seed=3)
    status = ends(studied, submit_task(studied, task))
    assert (status.state, status.message) == ("finished", "")
    question = gather(studied, pool=POOL)
    settings = RefutationSettings(
        estimator="linear_dml",
        objective=question.objective,
        state=question.state,
        mixture=question.reference,
        replicates=5,
        seed=3,
    )
    found = load_refutation(studied, key_of(question), settings).value
    assert found is not None
    assert {e.outcome for e in found.effects} == {"loss/code", "loss/prose", "objective"}


@pytest.mark.usefixtures("at_once")
def test_what_cannot_be_compared_is_said_in_words(studied: Workspace) -> None:
    job = submit_task(studied, LeaderboardTask(pool="import-nowhere", settings=QUICK))
    assert "nowhere" in task_status(studied, job).message
    assert not list(studied.effects.iterdir())
