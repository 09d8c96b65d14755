"""Ends what a test of background jobs has started, however the test itself ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


def _end_jobs_below(folder: Path) -> None:
    """Kill supervisors and workers of the workspaces below `folder`, and nothing else."""
    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
            if "jobs" in arguments and any(Path(a).is_relative_to(folder) for a in arguments):
                process.kill()
        except psutil.Error:
            continue


@pytest.fixture(autouse=True)
def _no_job_outlives_its_test(tmp_path: Path) -> Iterator[None]:
    yield
    _end_jobs_below(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def _no_job_outlives_its_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    _end_jobs_below(tmp_path_factory.getbasetemp())
