"""The mixture page in the real app: sliders, a policy, a constraint that binds, another pool, out and in."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

from causalmix_core.corpus import open_snapshot
from causalmix_core.corpus.derive import apply_filter
from causalmix_core.corpus.filters import Filter
from causalmix_core.corpus.snapshot import use_snapshot
from causalmix_core.mixture import load_mixture
from causalmix_core.workspace import Workspace

pytestmark = pytest.mark.browser

RUNS = 24
SOON = 30_000
LONG = 90_000


@pytest.fixture(scope="module")
def measured(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A few runs in which each loss falls with its own weight, and a second snapshot that is not in use."""
    root = tmp_path_factory.mktemp("mixture") / "workspace"
    shutil.copytree(_ingested, root)
    workspace = Workspace.open(root)
    rng, snapshot = np.random.default_rng(0), open_snapshot(workspace)
    apply_filter(workspace, snapshot, Filter(name="wordy", sql="domain != 'prose' or alpha_ratio > 0.7"))
    use_snapshot(workspace, snapshot.id)
    weights = rng.dirichlet(np.ones(3), RUNS)
    columns: dict[str, object] = {
        "run": [f"j-{i:02d}" for i in range(RUNS)], "status": "finished", "assignment": "randomised",
        "snapshot": snapshot.id,
    }  # fmt: skip
    columns |= {f"weight/{d}": weights[:, i] for i, d in enumerate(snapshot.domains)}
    here = snapshot.state(["alpha_ratio", "log_bytes"])
    columns |= {s: v * (1 + 0.1 * rng.normal(size=RUNS)) for s, v in here.items()}
    columns |= {
        f"loss/{d}": 3 - np.log(weights[:, i] + 0.05) + 0.05 * rng.normal(size=RUNS)
        for i, d in enumerate(snapshot.domains)
    }
    pd.DataFrame(columns).to_parquet(workspace.runs / "j.parquet")
    config = workspace.config()
    objective = {"loss/code": 1.0}
    workspace.save_config(config.model_copy(update={"objective": objective, "token_budget": 1_000_000}))
    return workspace


@pytest.fixture(scope="module")
def app(serve, measured: Workspace) -> str:
    return str(serve(Path(__file__).parents[2] / "app.py", env={"CAUSALMIX_WORKSPACE": str(measured.root)}))


def settle(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=SOON
    )


def turn(page: Page, view: str) -> None:
    segment = page.get_by_role("radio", name=view, exact=True)
    segment.click()
    expect(segment).to_be_checked(timeout=SOON)
    settle(page)


def press(page: Page, name: str) -> None:
    settle(page)
    page.get_by_role("button", name=name).click()


def pick(page: Page, label: str, option: str) -> None:
    """Choose an option of a list that closes when the page moves below it: then again."""
    box = page.get_by_role("combobox", name=label)
    for _ in range(10):
        box.fill("")
        box.fill(option)
        with contextlib.suppress(TimeoutError):
            page.get_by_role("option", name=option, exact=True).click(timeout=2_000)
            break
    box.press("Escape")


def share(page: Page, domain: str) -> Locator:
    return page.get_by_role("textbox", name=f"{domain} percent", exact=True)


def shares(page: Page) -> dict[str, float]:
    return {d: float(share(page, d).input_value()) for d in ("code", "prose", "sums")}


def test_sliders_a_constraint_and_a_policy(page: Page, app: str) -> None:
    page.goto(f"{app}/mixture")
    expect(page.get_by_text("The sliders stand at the reference")).to_be_visible(timeout=LONG)
    start = shares(page)

    # A slider moves the others; the prediction follows, and one press takes it back
    slider = page.get_by_role("slider", name="Weight of code", exact=True)
    slider.press("PageUp")
    expect(page.get_by_text("points moved")).to_be_visible(timeout=SOON)
    assert sum(shares(page).values()) == pytest.approx(100)
    expect(page.locator(".row").filter(has=slider)).to_contain_text("epochs")
    press(page, "Undo")
    expect(page.get_by_text("The sliders stand at the reference")).to_be_visible(timeout=SOON)
    assert shares(page) == start

    # A constraint shades the track, is named at the slider, and binds what is suggested
    most = round(start["code"]) + 3
    page.get_by_text("Constraints: at most 25%").click()
    settle(page)
    pick(page, "Limit a domain, or several together", "code")
    settle(page)
    field = page.get_by_role("spinbutton", name="At most (%)")
    field.fill(str(most))
    field.press("Enter")
    press(page, "Add the limit")
    expect(page.get_by_text(f"code at most {most}%", exact=True)).to_be_visible(timeout=SOON)
    slider.hover()
    expect(page.locator(".hint").filter(has_text=f"Not above: code at most {most}%")).to_be_visible()
    press(page, "Suggest")
    expect(share(page, "code")).to_have_value(f"{most:.2f}", timeout=SOON)
    expect(page.get_by_text("By Trust region (T).")).to_be_visible(timeout=SOON)
    field = share(page, "code")
    field.fill(str(most + 10))
    field.press("Enter")
    expect(page.get_by_text("Outside of the constraints")).to_be_visible(timeout=SOON)
    press(page, "Move to the nearest allowed mixture")
    expect(share(page, "code")).to_have_value(f"{most:.2f}", timeout=SOON)

    # One click puts a policy of the table on the sliders
    turn(page, "Policies")
    expect(page.get_by_text("Trust region (T)")).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="To the sliders").last.click()
    expect(page.get_by_text("By Even.")).to_be_visible(timeout=SOON)
    expect(share(page, "code")).to_have_value(re.compile(r"33\.3[34]"))


def test_out_and_in_again(page: Page, app: str, measured: Workspace, tmp_path: Path) -> None:
    page.goto(f"{app}/mixture")
    expect(page.get_by_text("The sliders stand at the reference")).to_be_visible(timeout=LONG)
    settle(page)
    field = share(page, "sums")
    field.fill("12.5")
    field.press("Enter")
    expect(page.get_by_text("points moved")).to_be_visible(timeout=SOON)
    wanted = shares(page)
    turn(page, "Saved")
    press(page, "Save the mixture")
    expect(page.get_by_text("Saved suggested, revision 1.")).to_be_visible(timeout=SOON)
    press(page, "Export it")
    download = page.get_by_role("button", name="Download suggested.yaml")
    expect(download).to_be_visible(timeout=SOON)
    settle(page)
    with page.expect_download() as waiting:
        download.click()
    target = tmp_path / "suggested.yaml"
    waiting.value.save_as(target)
    assert load_mixture(measured, "suggested").weights["sums"] == pytest.approx(0.125)

    turn(page, "Sliders")
    press(page, "Back to the reference")
    expect(page.get_by_text("The sliders stand at the reference")).to_be_visible(timeout=SOON)
    turn(page, "Export")
    page.locator("input[type=file]").set_input_files(target)
    expect(page.get_by_text("holds a mixture of these 3 domains")).to_be_visible(timeout=SOON)
    press(page, "Put on the sliders")
    expect(page.get_by_text("Loaded from suggested.yaml.")).to_be_visible(timeout=SOON)
    assert shares(page) == wanted


def test_another_pool(page: Page, app: str, measured: Workspace) -> None:
    page.goto(f"{app}/mixture?mix=Pool+shift")  # the view in the address
    expect(page.get_by_text("What changed in the pool")).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(3, timeout=SOON)
    press(page, "Put it on the sliders")
    expect(page.get_by_text("This mixture is for snapshot")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("By Trust region (T).")).to_be_visible(timeout=SOON)
    press(page, "Back to the pool of the runs")
    expect(page.get_by_text("This mixture is for snapshot")).to_have_count(0, timeout=SOON)
