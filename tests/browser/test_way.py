"""The whole way in the real app, on the demo corpus: from the corpus page to the downloaded YAML."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, TimeoutError, expect

from causalmix_core.cli import DEMO_OBJECTIVE
from causalmix_core.corpus import open_snapshot, write_demo_corpus
from causalmix_core.effects import fit_effects
from causalmix_core.graph import load_graph
from causalmix_core.mixture import Constraints, suggest
from causalmix_core.probes import LIVE, read_runs
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace, WorkspaceConfig
from jobs import LocalEngine
from pages.widgets.mixture_sliders import to_units

pytestmark = pytest.mark.browser

DOMAINS = ["cpp", "docstrings", "licences", "minified", "python", "readmes"]
PROBES = 24
SOON = 30_000
LONG = 90_000


def connect(page: Page, cause: str, effect: str) -> None:
    """Drag from the rim of one node of the graph to another."""
    boxes = [page.locator(f'[data-node="{n}"] .box').bounding_box() for n in (cause, effect)]
    (a, b) = [box for box in boxes if box is not None]
    page.mouse.move(a["x"] + a["width"], a["y"] + a["height"] / 2)
    page.mouse.down()
    page.mouse.move(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2, steps=5)
    page.mouse.up()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Workspace]:
    """A demo workspace whose sources are there but not read yet; its jobs end with the test."""
    workspace = Workspace.create(tmp_path / "demo", WorkspaceConfig(name="Demo"))
    sources = write_demo_corpus(workspace.root / "sources")
    workspace.save_config(
        WorkspaceConfig(name="Demo", domains=sources, objective=DEMO_OBJECTIVE, token_budget=20_000_000)
    )
    yield workspace
    engine = LocalEngine()
    for job in engine.jobs(workspace):
        if engine.status(workspace, job).state in LIVE:
            engine.cancel(workspace, job)


def settle(page: Page) -> None:
    """Wait until the script has run to its end: a widget that is drawn anew forgets what is typed in it."""
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=SOON
    )


def choose(page: Page, label: str, option: str) -> None:
    """Pick an option of a select box; its list closes when the page scrolls or moves below it: then again."""
    settle(page)
    box = page.get_by_role("combobox", name=label, exact=True)
    box.scroll_into_view_if_needed()
    for _ in range(10):
        box.fill("")
        box.fill(option)  # the list shows what matches
        with contextlib.suppress(TimeoutError):
            page.get_by_role("option", name=option, exact=True).click(timeout=2_000)
            break
    box.blur()  # text that was typed but not chosen is forgotten here
    expect(box).to_have_value(option)


def go(page: Page, name: str) -> None:
    """Follow the navigation to another page."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=SOON)


def test_from_text_to_an_exported_mixture(page: Page, serve, demo: Workspace, tmp_path: Path) -> None:
    url = serve(Path(__file__).parents[2] / "app.py", env={"CAUSALMIX_WORKSPACE": str(demo.root)})
    page.goto(url)

    # 1. Corpus: nothing is read yet; one click reads it
    expect(page.get_by_text("no snapshot of its pool yet")).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="Read the sources").click()
    expect(page.get_by_text("Near-duplicates", exact=True).first).to_be_visible(timeout=LONG)
    snapshot = open_snapshot(demo)
    assert snapshot.domains == DOMAINS
    table = snapshot.domain_table().set_index("domain")
    documents = f"{int(table['documents'].sum()):,}"
    expect(page.get_by_test_id("stMetric").filter(has_text="Documents")).to_contain_text(documents)
    assert table.loc["licences", "near_duplicate_fraction"] > 0.5
    expect(page.get_by_test_id("stPlotlyChart")).to_be_visible()
    page.get_by_role("radio", name="Explore").or_(page.get_by_role("button", name="Explore")).click()
    expect(page.get_by_text("Documents 1 to 10.")).to_be_visible(timeout=SOON)

    # 2. Probes: a small swarm, launched, watched through a reload, finished
    go(page, "Probes")
    expect(page.get_by_role("heading", name="Design a swarm")).to_be_visible(timeout=SOON)
    for _ in range((48 - PROBES) // 8):
        page.get_by_role("slider").first.press("ArrowLeft")
    tokens = page.get_by_role("spinbutton", name="Training tokens per probe")
    tokens.fill("32768")
    tokens.press("Enter")
    expect(page.get_by_text("1 M tokens in all")).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="Launch the swarm").click()
    expect(page.get_by_text(re.compile(r"^(starting|running)$")).first).to_be_visible(timeout=SOON)
    page.reload()
    expect(page.get_by_text(re.compile(r"^Swarm \d{8}"))).to_be_visible(timeout=SOON)
    expect(page.get_by_test_id("stMetric").filter(has_text="Probes finished")).to_contain_text(
        f"{PROBES} of {PROBES}", timeout=LONG
    )
    runs = read_runs(demo.runs, snapshot.id)
    assert len(runs) == PROBES
    page.get_by_role("button", name="Look at the runs").click()
    expect(page.get_by_role("radio", name="Runs", exact=True)).to_be_checked(timeout=SOON)
    expect(page.get_by_text(f"{PROBES} of {PROBES} probes.")).to_be_visible(timeout=SOON)

    # 3. Graph: discover, refuse what cannot be, add and delete an edge, save
    go(page, "Graph")
    page.get_by_role("button", name="Discover from the probes").click()
    expect(page.get_by_text("Every mixture was drawn at random")).to_be_visible(timeout=LONG)
    connect(page, "weight/cpp", "weight/readmes")
    expect(page.get_by_role("alert")).to_contain_text("the weights are one decision", timeout=SOON)
    settle(page)
    page.get_by_role("button", name="Assume all").click()
    expect(page.get_by_text("The edges as text (54)")).to_be_visible(timeout=SOON)
    settle(page)
    page.get_by_role("textbox", name="Why").fill("no JavaScript in Python")
    edge = page.locator('[data-edge=\'["loss/python","weight/minified"]\']')
    edge.press("Delete")
    expect(edge).to_have_count(0)
    expect(page.get_by_text("The edges as text (53)")).to_be_visible(timeout=SOON)
    settle(page)
    page.get_by_role("textbox", name="Note").fill("what we know")
    page.get_by_role("button", name="Save the graph").click()
    expect(page.get_by_text("Saved as revision 1.")).to_be_visible(timeout=SOON)
    saved = load_graph(demo, "main")
    assert saved.note == "what we know"
    assert not saved.graph.edge_between("weight/minified", "loss/python")
    assert saved.graph.edge_between("weight/python", "loss/python")
    assert saved.graph.history[-1].why == "no JavaScript in Python"

    # 4. Effects: from this very graph
    go(page, "Effects")
    expect(page.get_by_text(f"{PROBES} probes · graph main, revision 1")).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(2, timeout=LONG)
    expect(page.get_by_text("randomised mixtures").first).to_be_visible()
    expect(page.get_by_text("No refutation has been tried yet")).to_be_visible()

    # 5. Mixture: the effects move the sliders, a lock and a number are respected, saved and exported
    go(page, "Mixture")
    share = page.get_by_role("textbox", name="minified percent")
    expect(share).to_be_visible(timeout=LONG)
    before = share.input_value()
    expect(page.get_by_text("The sliders stand at the reference")).to_be_visible()
    question = gather(demo)
    model = fit_effects(question.runs, question.graph, objective=question.objective)
    expected = suggest(
        model,
        question.state,
        question.reference,
        constraints=Constraints(radius=0.25, token_budget=20_000_000),
        tokens=snapshot.tokens(),
    )
    settle(page)
    page.get_by_role("button", name="Suggest").click()
    # few tiny probes may well say "stay"; what the page shows is what the library answers
    verdict = "Stay: no mixture" if expected.stay else "points moved"
    expect(page.get_by_text(verdict)).to_be_visible(timeout=LONG)
    for domain, units in to_units(expected.mixture).items():
        field = page.get_by_role("textbox", name=f"{domain} percent")
        expect(field).to_have_value(f"{units / 100:.2f}", timeout=SOON)
    cpp = page.get_by_role("textbox", name="cpp percent")
    cpp.fill("12.5")
    cpp.press("Enter")
    expect(page.get_by_text("points moved")).to_be_visible(timeout=SOON)
    expect(cpp).to_have_value("12.50")
    assert before != "12.50"
    settle(page)
    page.get_by_role("radio", name="Saved", exact=True).click()
    name = page.get_by_role("textbox", name="Name")
    expect(name).to_be_visible(timeout=SOON)
    name.fill("../outside")
    name.press("Enter")
    settle(page)
    page.get_by_role("button", name="Save the mixture").click()
    expect(page.get_by_text("cannot be a name")).to_be_visible(timeout=SOON)
    name.fill("first")
    name.press("Enter")
    settle(page)
    page.get_by_role("button", name="Save the mixture").click()
    expect(page.get_by_text("Saved first, revision 1.")).to_be_visible(timeout=SOON)
    settle(page)
    page.get_by_role("button", name="Export it").click()
    download = page.get_by_role("button", name="Download first.yaml")
    expect(download).to_be_visible(timeout=SOON)
    settle(page)
    with page.expect_download() as waiting:
        download.click()
    target = tmp_path / "first.yaml"
    waiting.value.save_as(target)

    # 6. What the file says
    read = yaml.safe_load(target.read_text())
    assert [d["name"] for d in read["domains"]] == DOMAINS
    assert sum(round(d["weight"] * 1e6) for d in read["domains"]) == 1_000_000
    assert sum(d["train_tokens"] for d in read["domains"]) == 20_000_000
    assert read["domains"][0]["weight"] == pytest.approx(0.125)
    assert [d["pool_tokens"] for d in read["domains"]] == [snapshot.tokens()[d] for d in DOMAINS]
    origin = read["provenance"]
    assert origin["snapshot"] == snapshot.id
    assert origin["graph"].items() >= {"name": "main", "revision": 1}.items()
    assert origin["policy"] == "manual"
    assert origin["probes"] == PROBES
    assert set(origin["predicted_change"]) == {f"loss/{d}" for d in DOMAINS} | {"objective"}
    low, mid, high = (origin["predicted_change"]["objective"][k] for k in ("lower", "change", "upper"))
    assert low < mid < high


def test_without_a_workspace_the_page_says_what_to_do(page: Page, serve, tmp_path: Path) -> None:
    page.goto(serve(Path(__file__).parents[2] / "app.py", env={"CAUSALMIX_WORKSPACE": str(tmp_path)}))
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("There is no workspace at", timeout=SOON)
    expect(alert).to_contain_text("causalmix demo")


def test_each_page_opens_by_its_address_and_leads_on(page: Page, serve, workspace: Workspace) -> None:
    """A fresh server asked for a page directly; pages without data name the step that is missing."""
    url = serve(Path(__file__).parents[2] / "app.py", env={"CAUSALMIX_WORKSPACE": str(workspace.root)})
    for name in ("Mixture", "Effects", "Graph"):
        page.goto(f"{url}/{name.lower()}")
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=SOON)
        expect(page.get_by_text("no finished probes")).to_be_visible(timeout=SOON)
        expect(page.get_by_role("link", name="Go to the probes")).to_be_visible()
        expect(page.get_by_test_id("stSidebarNav").get_by_role("link")).to_have_count(5)
