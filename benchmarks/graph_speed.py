"""How soon the graph page answers: consequences after an edit, and a redraw while a node is dragged.

    python -m benchmarks.graph_speed [--edits 200] [--dry]

Consequences: a random graph of 20 nodes with a latent and hidden common causes; after each random edit the
panel beside the drawing is computed anew, for the effect of a random weight, with what changed against the
first graph. Dragging: the test app of the editor in Chromium, with 8 and 40 nodes; from a move of the pointer
until the second frame after it, when the browser has painted.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from causalmix_core.graph import (
    CausalGraph,
    GraphEditError,
    Node,
    Provenance,
    add_bidirected,
    add_edge,
    add_latent,
    delete_edge,
    tier_of,
)
from causalmix_core.graph.consequences import consequences, what_changed
from causalmix_core.workspace import write_atomic

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
APP = ROOT / "tests" / "browser" / "apps" / "graph_editor_app.py"
STATES, WEIGHTS, OUTCOMES = 6, 8, 5
"""With one latent, 20 nodes."""
NOW = Provenance(kind="assumed", by="benchmark", at=datetime(2026, 1, 1, tzinfo=UTC))
MOVES = 60
WATCH = """
() => {
  window.redraws = [];
  document.addEventListener('pointermove', () => {
    const began = performance.now();
    requestAnimationFrame(() => requestAnimationFrame(() => window.redraws.push(performance.now() - began)));
  }, true);
}
"""


def panel_times(edits: int) -> np.ndarray:
    """Milliseconds from an edit to the panel's answer, for so many edits."""
    draw = random.Random(0)
    names = [
        *(f"state/s{i}" for i in range(STATES)),
        *(f"weight/w{i}" for i in range(WEIGHTS)),
        *(f"loss/w{i}" for i in range(OUTCOMES)),
    ]
    graph = CausalGraph(nodes=tuple(Node(id=n, tier=tier_of(n)) for n in names))
    graph = add_latent(graph, "crawl", [names[0], names[-1]], by="benchmark")
    for _ in range(60):
        with suppress(GraphEditError):
            graph = add_edge(graph, *draw.sample(names, 2), by="benchmark")
    base = graph
    times: list[float] = []
    while len(times) < edits:
        a, b = draw.sample(names, 2)
        edit = draw.choice([add_edge, add_bidirected, delete_edge])
        began = time.perf_counter()
        try:
            graph = edit(graph, a, b, by="benchmark")
        except GraphEditError:
            continue
        weight = f"weight/w{draw.randrange(WEIGHTS)}"
        consequences(graph, weight, f"loss/w{draw.randrange(OUTCOMES)}", names[:STATES])
        what_changed(base, graph, names[:STATES])
        times.append(1000 * (time.perf_counter() - began))
    return np.array(times)


@contextmanager
def app() -> Iterator[str]:
    """The address of the editor's test app."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.headless", "true"]
    command += [
        "--server.address",
        "127.0.0.1",
        "--server.port",
        str(port),
        "--server.fileWatcherType",
        "none",
    ]
    process = subprocess.Popen(
        [*command, "--browser.gatherUsageStats", "false"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for _ in range(300):
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1),
            ):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def drag_times(url: str, world: str, node: str) -> np.ndarray:
    """Milliseconds from each move of a drag until the browser has painted it."""
    from playwright.sync_api import sync_playwright

    from tests.browser import chromium
    from tests.browser.conftest import FLAGS

    path = chromium.find()
    if path is None:
        raise SystemExit("No Chromium was found. Install one, or set CAUSALMIX_CHROMIUM to its path.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{url}/?world={world}")
        box = page.locator(f'[data-node="{node}"] .box').bounding_box(timeout=60_000)
        assert box is not None
        page.evaluate(WATCH)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(MOVES):
            page.mouse.move(x + step, y + step)
        page.mouse.up()
        page.wait_for_function(f"window.redraws.length >= {MOVES}")
        times = np.array(page.evaluate("window.redraws"), float)
        browser.close()
    return times


def line(what: str, times: np.ndarray, goal: int) -> str:
    """One row of the table."""
    low, high = np.median(times), np.quantile(times, 0.95)
    return f"| {what} | {low:.0f} | {high:.0f} | {goal} |"


def main() -> None:
    """Run from the command line; writes `results/graph_speed.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--dry", action="store_true", help="print the table, do not write it")
    options = parser.parse_args()
    nodes = STATES + WEIGHTS + OUTCOMES + 1
    rows = [line(f"panel after an edit, {nodes} nodes", panel_times(options.edits), 300)]
    with app() as url:
        for world, node in (("small", "weight/math"), ("large", "weight/GitHub")):
            size = {"small": "8 nodes", "large": "40 nodes and 150 edges"}[world]
            rows.append(line(f"redraw while dragging, {size}", drag_times(url, world, node), 100))
    table = "\n".join(rows)
    page = f"""# How soon the graph page answers

Measured with `python -m benchmarks.graph_speed --edits {options.edits}`
({platform.machine()}, {os.cpu_count()} cores): {options.edits} random edits, and drags of {MOVES} moves in
headless Chromium without a GPU. A redraw counts until the second frame after the move of the pointer; at 60
frames a second that is 17 to 33 ms at least.

| | median, ms | 95%, ms | goal, ms |
|---|---|---|---|
{table}
"""
    print(page)
    if not options.dry:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "graph_speed.md", page)


if __name__ == "__main__":
    main()
