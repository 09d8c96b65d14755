"""The probes page in the real app: a swarm is launched, watched, paused, resumed, cancelled, and survives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE, SwarmSpec, SwarmStatus, read_runs
from causalmix_core.proxy import ProxySpec
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from tests.browser.test_way import LONG, SOON, settle

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
ENGINE = LocalEngine()
PROBES = 8
TOKENS = 250_000
TINY = ProxySpec(hidden_size=16, layers=1, heads=1, sequence_length=32, tokens=4_000)


@pytest.fixture
def own(workspace: Workspace) -> Iterator[Workspace]:
    """A workspace whose swarms end with the test."""
    yield workspace
    for job in ENGINE.jobs(workspace):
        if ENGINE.status(workspace, job).state in LIVE:
            with suppress(CausalMixError):  # it ended meanwhile
                ENGINE.cancel(workspace, job)


def badge(page: Page, *states: str) -> Locator:
    """The state of the swarm that is shown in full."""
    return page.get_by_test_id("stMain").get_by_text(re.compile(f"^({'|'.join(states)})$")).first


def metric(page: Page, label: str) -> Locator:
    return page.get_by_test_id("stMetric").filter(has_text=label)


def press(page: Page, name: str) -> None:
    settle(page)  # the panel is drawn anew when a swarm changes its state, also below a finger
    page.get_by_role("button", name=name, exact=True).click()


def launch(page: Page, tokens: int) -> None:
    """Design a swarm of few probes and launch it."""
    expect(page.get_by_role("heading", name=re.compile("^Design a"))).to_be_visible(timeout=SOON)
    settle(page)
    for _ in range((48 - PROBES) // 8):
        page.get_by_role("slider").first.press("ArrowLeft")
    field = page.get_by_role("spinbutton", name="Training tokens per probe")
    field.fill(str(tokens))
    field.press("Enter")
    expect(page.get_by_text(f"{PROBES * tokens / 1e6:.0f} M tokens in all")).to_be_visible(timeout=SOON)
    settle(page)
    press(page, "Launch the swarm")


def status(workspace: Workspace) -> SwarmStatus:
    (job,) = ENGINE.jobs(workspace)
    return ENGINE.status(workspace, job)


def test_a_swarm_is_launched_watched_paused_cancelled_and_resumed(page: Page, serve, own: Workspace) -> None:
    url = serve(APP, env={"CAUSALMIX_WORKSPACE": str(own.root)})
    page.goto(f"{url}/probes")
    launch(page, TOKENS)

    # Watched: it runs, tokens are counted, curves are drawn, and a reload changes nothing.
    expect(badge(page, "running")).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stPlotlyChart")).to_be_visible(timeout=LONG)
    expect(metric(page, "Tokens trained")).not_to_contain_text("0.0 M", timeout=SOON)
    page.reload()
    expect(badge(page, "running")).to_be_visible(timeout=SOON)

    # Paused: the machine is free, and what was trained so far is not trained again.
    press(page, "Pause")
    expect(badge(page, "paused")).to_be_visible(timeout=SOON)
    trained = status(own).tokens_done
    assert 0 < trained < PROBES * TOKENS
    press(page, "Resume")
    expect(badge(page, "running")).to_be_visible(timeout=LONG)
    assert status(own).tokens_done >= trained

    # Cancelled and resumed.
    press(page, "Cancel")
    expect(badge(page, "cancelled")).to_be_visible(timeout=SOON)
    settle(page)
    page.get_by_text("Log", exact=True).click()
    expect(page.get_by_test_id("stCode")).to_contain_text("cancelled", timeout=SOON)
    press(page, "Resume")
    expect(badge(page, "running")).to_be_visible(timeout=LONG)

    # The server is killed; the swarm goes on, and the next server shows it.
    port = re.search(r":(\d+)", url.removeprefix("http:"))
    assert port
    servers = [p for p in psutil.process_iter(["cmdline"]) if port[1] in (p.info["cmdline"] or [])]
    assert servers
    for server in servers:
        server.kill()
    url = serve(APP, env={"CAUSALMIX_WORKSPACE": str(own.root)})
    page.goto(f"{url}/probes")
    expect(metric(page, "Probes finished")).to_contain_text(f"{PROBES} of {PROBES}", timeout=2 * LONG)
    expect(badge(page, "finished")).to_be_visible(timeout=SOON)
    runs = read_runs(own.runs, open_snapshot(own).id)
    assert sorted(runs.frame["probe"]) == list(range(PROBES))

    # Its runs are a click away; deleted, they stay.
    press(page, "Look at the runs")
    expect(page.get_by_role("radio", name="Runs", exact=True)).to_be_checked(timeout=SOON)
    page.get_by_role("radio", name="Swarms", exact=True).click()
    press(page, "Delete")
    press(page, "Delete the swarm")
    expect(page.get_by_text("No swarm was launched yet.")).to_be_visible(timeout=SOON)
    assert ENGINE.jobs(own) == []
    assert len(read_runs(own.runs)) == PROBES


def test_a_second_swarm_waits_and_any_swarm_can_be_looked_at(page: Page, serve, own: Workspace) -> None:
    long = SwarmSpec(probes=64, proxy=TINY.model_copy(update={"tokens": 100_000_000}))
    first = ENGINE.submit(own, long)
    second = ENGINE.submit(own, long.model_copy(update={"seed": 1}))
    third = ENGINE.submit(own, long.model_copy(update={"seed": 2}))
    url = serve(APP, env={"CAUSALMIX_WORKSPACE": str(own.root)})

    page.goto(f"{url}/probes?swarm={third}")
    expect(page.get_by_text(f"Swarm {third}")).to_be_visible(timeout=SOON)
    expect(badge(page, "queued")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("It is number 2 in the queue.")).to_be_visible(timeout=SOON)
    settle(page)
    press(page, "Sooner")
    expect(page.get_by_text("It is number 1 in the queue.")).to_be_visible(timeout=SOON)
    assert ENGINE.status(own, second).queue_position == 2

    for job, state in ((second, "queued"), (first, "running"), (third, "queued")):
        page.goto(f"{url}/probes?swarm={job}")
        expect(page.get_by_text(f"Swarm {job}")).to_be_visible(timeout=SOON)
        expect(badge(page, state)).to_be_visible(timeout=LONG)
    press(page, "Cancel")
    expect(badge(page, "cancelled")).to_be_visible(timeout=SOON)
