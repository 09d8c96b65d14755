"""The effects page in the real app: jobs that compare and refute, lights, another estimator, explanations."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from causalmix_core.corpus import open_snapshot
from causalmix_core.effects.effect_store import key_of, save_leaderboard
from causalmix_core.effects.leaderboard import leaderboard
from causalmix_core.effects.leaderboard_result import LeaderboardSettings
from causalmix_core.probes import LIVE
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace
from jobs import cancel_task, task_jobs, task_status

pytestmark = pytest.mark.browser

RUNS = 24
SOON = 30_000
LONG = 90_000


@pytest.fixture(scope="module")
def measured(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with a few runs, in which each loss falls with its own weight; its jobs end with it."""
    root = tmp_path_factory.mktemp("effects") / "workspace"
    shutil.copytree(_ingested, root)
    workspace = Workspace.open(root)
    rng, snapshot = np.random.default_rng(0), open_snapshot(workspace)
    weights = rng.dirichlet(np.ones(3), RUNS)
    columns: dict[str, object] = {
        "run": [f"j-{i:02d}" for i in range(RUNS)], "status": "finished", "assignment": "randomised",
        "snapshot": snapshot.id,
    }  # fmt: skip
    columns |= {f"weight/{d}": weights[:, i] for i, d in enumerate(snapshot.domains)}
    columns |= {
        f"loss/{d}": 3 - np.log(weights[:, i] + 0.05) + 0.05 * rng.normal(size=RUNS)
        for i, d in enumerate(snapshot.domains)
    }
    pd.DataFrame(columns).to_parquet(workspace.runs / "j.parquet")
    yield workspace
    for job in task_jobs(workspace):
        if task_status(workspace, job).state in LIVE:
            cancel_task(workspace, job)


@pytest.fixture(scope="module")
def app(serve, measured: Workspace) -> str:
    return str(serve(Path(__file__).parents[2] / "app.py", env={"CAUSALMIX_WORKSPACE": str(measured.root)}))


def turn(page: Page, view: str) -> None:
    """Press a segment; the view is there once the segment is the chosen one and the script has ended."""
    segment = page.get_by_role("radio", name=view, exact=True)
    segment.click()
    expect(segment).to_be_checked(timeout=SOON)
    settle(page)


def settle(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=SOON
    )


def test_effects_are_refuted_and_estimators_compared(page: Page, app: str, measured: Workspace) -> None:
    page.goto(f"{app}/effects")
    expect(page.get_by_text(f"{RUNS} probes")).to_be_visible(timeout=LONG)
    expect(page.get_by_text("No refutation has been tried yet")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("randomised mixtures").first).to_be_visible()
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(2, timeout=SOON)
    expect(page.get_by_text("not yet refuted").first).to_be_visible()

    # Refute: a job with its progress; then lights in its own view and beside each effect
    page.get_by_role("button", name="Try to refute them").click()
    expect(page.get_by_role("radio", name="Refute", exact=True)).to_be_checked(timeout=SOON)
    page.get_by_role("button", name="Refute the effects").click()
    expect(page.get_by_text("Trying to refute the effects")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("passed every refutation")).to_be_visible(timeout=LONG)
    expect(page.get_by_text("Placebo mixtures", exact=True).first).to_be_visible()
    turn(page, "Effects")
    expect(page.get_by_text("passed every refutation")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("not yet refuted")).to_have_count(0)
    expect(page.locator(".stMarkdownBadge").filter(has_text="survived").first).to_be_visible()

    # Trust: a comparison goes on beside the page and can be stopped; what was compared decides the default
    turn(page, "Trust")
    expect(page.get_by_text("have not been compared on these runs yet")).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="Compare estimators").click()
    expect(page.get_by_text("Comparing estimators on held-out runs")).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible(timeout=LONG)
    question = gather(measured)
    found = leaderboard(
        question.runs, question.graph, question.objective, reference=question.reference, workers=0,
        settings=LeaderboardSettings(estimators=("linear_dml", "linear_regression"), folds=2, repeats=1),
    )  # fmt: skip
    save_leaderboard(measured, key_of(question), found)
    page.reload()
    expect(page.get_by_text(found.why)).to_be_visible(timeout=LONG)
    expect(page.get_by_role("combobox", name="Estimator", exact=True)).to_have_value("Linear DML")
    expect(page.get_by_role("button", name="Compare estimators again")).to_be_visible(timeout=SOON)


def test_another_estimator_and_its_explanation(page: Page, app: str) -> None:
    page.goto(f"{app}/effects?shown=Explain")  # the view in the address
    expect(page.get_by_text("The outcome as the weight moves")).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(4, timeout=SOON)
    expect(page.get_by_text("The runs carry no pool state").first).to_be_visible()
    settle(page)
    box = page.get_by_role("combobox", name="Estimator", exact=True)
    box.fill("Linear regression")
    page.get_by_role("option", name="Linear regression (as in RegMix)").click()
    expect(page.get_by_text("Your choice. By default it would be")).to_be_visible(timeout=SOON)
    turn(page, "Effects")
    expect(page.get_by_text("No refutation has been tried yet")).to_be_visible(timeout=SOON)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Mixture").click()
    expect(page.get_by_role("heading", name="Mixture", exact=True)).to_be_visible(timeout=SOON)
    expect(page.get_by_role("combobox", name="Estimator", exact=True)).to_have_value(
        "Linear regression (as in RegMix)", timeout=SOON
    )
