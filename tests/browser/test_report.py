"""The report in a real browser: it asks for nothing but itself, fits a telephone, and prints on A4."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from causalmix_core.effects import fit_effects
from causalmix_core.graph import saturated_graph
from causalmix_core.mixture.record import mixture_record
from causalmix_core.mixture.report import report_html
from causalmix_core.mixture.store import Asked, GraphReference
from causalmix_core.question import Question
from tests.mixture.conftest import DOMAINS, draw_runs

pytestmark = pytest.mark.browser


def test_a_report_opens_alone_and_prints(browser: Browser, tmp_path: Path) -> None:
    runs = draw_runs(32, noise=0.1)
    graph = saturated_graph(runs, by="test")
    model = fit_effects(runs, graph, calibrated=False)
    question = Question(
        pool="import-x",
        snapshot=None,
        runs=runs,
        graph=graph,
        graph_reference=GraphReference(name="assumed", revision=None),
        objective=model.objective,
        state={"state/quality": 0.2},
        reference=dict.fromkeys(DOMAINS, 0.25),
    )
    weights = dict(zip(DOMAINS, (0.1, 0.3, 0.2, 0.4), strict=True))
    saved = mixture_record(question, model, weights, name="next", by="ada", asked=Asked(policy="search"))
    path = tmp_path / "report.html"
    path.write_text(report_html(saved, question, model), encoding="utf-8")

    page = browser.new_page(viewport={"width": 400, "height": 800}, java_script_enabled=True)
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(path.as_uri())
    assert asked == [path.as_uri()]
    assert problems == []
    assert page.title() == "Data mixture next"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_by_role("img").count() >= 3
    boxes = [page.get_by_role("img").nth(i).bounding_box() for i in range(page.get_by_role("img").count())]
    assert all(box and box["width"] > 200 and box["height"] > 20 for box in boxes)
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    assert printed.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594" in printed  # A4 is 595 points wide
    page.close()
