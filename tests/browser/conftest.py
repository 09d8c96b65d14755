"""Chromium, fresh pages and running Streamlit apps for the browser tests.

Plain Playwright: the project does not need pytest's plugin for it. A page that asks for anything outside
this machine fails its test, because CausalMix promises to make no outside request.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, Route, sync_playwright

from tests.browser import chromium

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 60.0
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Serve = Callable[..., str]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        words = "No Chromium was found. Install one, or set CAUSALMIX_CHROMIUM to its path."
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    outside: list[str] = []

    def check(route: Route) -> None:
        if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
            route.fallback()
        else:
            outside.append(route.request.url)
            route.abort()

    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.route(lambda url: url.startswith(("http:", "https:")), check)
    yield context.new_page()
    with contextlib.suppress(Error):  # a request still in flight when the context closes
        context.close()
    assert not outside, f"the page asked for something outside this machine: {outside}"


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve(script, cwd=..., env=...)` runs a Streamlit app for the session and returns its address."""
    running: list[subprocess.Popen[bytes]] = []

    def start(script: Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path_factory.mktemp("streamlit") / f"{script.stem}.log"
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
        command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
        command += ["--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **(env or {})},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        running.append(process)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return url
            time.sleep(0.1)  # between two polls of the health address, up to the deadline
        raise RuntimeError(f"{script} did not start:\n{log.read_text(errors='replace')}")

    yield start
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
