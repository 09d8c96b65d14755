"""Finds the Chromium that browser tests drive, and installs one where there is none.

`python -m tests.browser.chromium` prints its path. Looked for in this order: the environment variable
CAUSALMIX_CHROMIUM, a Chromium or Chrome on PATH, Playwright's own. When none is there, Debian's package
is installed when we are root on a Debian, else Playwright downloads its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Path of an installed Chromium, or None."""
    named = os.environ.get("CAUSALMIX_CHROMIUM")
    if named:
        return named if Path(named).is_file() else None
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if path and Path(path).is_file() else None


def install() -> str | None:
    """Install a Chromium the way this machine allows; its path, or None when that failed."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False, stdout=sys.stderr)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
            env=environment,
            check=False,
            stdout=sys.stderr,
        )
    if find() is None:
        subprocess.run(
            [sys.executable, "-m", "playwright", "install", "chromium"], check=False, stdout=sys.stderr
        )
    return find()


def main() -> int:
    """Print the path; without any Chromium, say so and fail under CI only."""
    path = find() or install()
    if path:
        print(f"Browser tests use {path}")
        return 0
    print(
        "No Chromium was found and none could be installed; browser tests are skipped. "
        "Install one, or set CAUSALMIX_CHROMIUM to its path.",
        file=sys.stderr,
    )
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
