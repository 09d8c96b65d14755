"""Starting the process that runs a job: detached, so that it outlives who asked for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from causalmix_core.errors import CausalMixError
from jobs.disk import full_disk_in_words
from jobs.record import Attempt, EngineName, JobFolder

VERBS: dict[EngineName, str] = {"local": "supervise", "ray": "ray"}
"""What the process of an engine's job is told to do (`python -m jobs <verb> ...`)."""


def start_process(folder: JobFolder, verb: str) -> None:
    """Start `python -m jobs <verb> <workspace> <job>` in a session of its own and return at once.

    The job's record then says which process that is, so that one that dies before it claims the job is
    noticed at once.

    Raises:
        DiskFullError: there is no room for the job's files.
        CausalMixError: the system starts no further process.
    """
    folder.reserve.make()
    folder.append("submitted")
    with full_disk_in_words(folder.log_path), folder.log_path.open("ab") as log:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "jobs", verb, str(folder.workspace.root), folder.job],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=Path(__file__).resolve().parent.parent,
            )
        except OSError as error:
            raise CausalMixError(
                f"The process of job {folder.job} cannot be started: {error.strerror}."
            ) from error
    child = Attempt.of_process(process.pid)
    folder.append("started", pid=child.pid, started=child.started)
