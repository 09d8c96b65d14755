"""What all engines do alike, because it follows from a job's files: everything but submitting.

So a job can be looked at, stopped and resumed by whoever asks, whatever engine started it.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE, SwarmStatus
from causalmix_core.workspace import Workspace, scratch_path
from jobs import queue
from jobs.process import VERBS, start_process
from jobs.record import JobFolder
from jobs.status import outcomes, read_status

LOG_BYTES = 256 << 10
"""How much of the end of a log is looked at."""
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class FolderEngine:
    """Looks after swarms through their folders in the workspace."""

    def resume(self, workspace: Workspace, job: str) -> None:
        """Go on with the shards of a job that are not finished, where they stood if they were paused.

        Raises:
            CausalMixError: there is no such job, it is running or finished already, or the workspace cannot
                be written.
        """
        folder = _folder(workspace, job)
        with folder.exclusive():
            state = read_status(folder).state
            if state in LIVE or state == "finished":
                raise CausalMixError(f"Job {job} is {state}; there is nothing to resume.")
            _start(folder)

    def cancel(self, workspace: Workspace, job: str) -> None:
        """Ask a job to stop; finished shards are kept, those in flight are dropped. It can be resumed.

        Raises:
            CausalMixError: there is no such job, or it neither runs nor is paused.
        """
        folder = _folder(workspace, job)
        with folder.exclusive():
            state = read_status(folder).state
            if state not in LIVE and state != "paused":
                raise CausalMixError(f"Job {job} is {state}; there is nothing to stop.")
            folder.request_cancel()
            if state == "paused":
                folder.drop_checkpoints()
                folder.append("cancelled")

    def pause(self, workspace: Workspace, job: str) -> None:
        """Ask a job to stop where it is, to go on from there when it is resumed.

        Raises:
            CausalMixError: there is no such job, or it does not run.
        """
        folder = _folder(workspace, job)
        with folder.exclusive():
            state = read_status(folder).state
            if state not in LIVE:
                raise CausalMixError(f"Job {job} is {state}; there is nothing to pause.")
            folder.request_pause()

    def retry(self, workspace: Workspace, job: str) -> int:
        """Train the probes of a job that diverged again and return how many those are.

        Their rows stay in the run table beside the new ones.

        Raises:
            CausalMixError: there is no such job, it still runs, no probe diverged, or the workspace cannot
                be written.
        """
        folder = _folder(workspace, job)
        with folder.exclusive():
            status = read_status(folder)
            if status.state in LIVE:
                raise CausalMixError(f"Job {job} is {status.state}; wait for its end, or cancel it.")
            failed = status.failed_probes
            if not failed:
                raise CausalMixError(
                    f"No probe of job {job} has diverged; there is nothing to train again."
                    if status.state == "finished"
                    else f"No probe of job {job} has diverged; it is {status.state}: resume it."
                )
            spec = folder.spec()
            size = -(-spec.swarm.probes // spec.shards)
            for first in range(0, len(failed), size):
                folder.add_retry(failed[first : first + size])
            _start(folder)
        return len(failed)

    def status(self, workspace: Workspace, job: str) -> SwarmStatus:
        """How a job stands, read from its files and the process table.

        Raises:
            CausalMixError: there is no such job, or one of its files is damaged.
        """
        return read_status(_folder(workspace, job))

    def jobs(self, workspace: Workspace) -> list[str]:
        """Ids of all jobs that train swarms, newest first, whichever engine runs them."""
        return sorted((p.parent.name for p in workspace.jobs.glob("[!.]*/spec.json")), reverse=True)

    def delete(self, workspace: Workspace, job: str, runs: bool = False) -> int:
        """Remove a job that does not run.

        Args:
            workspace: where it lies.
            job: which job.
            runs: also remove its rows from the run table; otherwise they stay in use.

        Returns:
            How many probes went from the run table.

        Raises:
            CausalMixError: there is no such job, it runs, or its files cannot be removed.
        """
        folder = _folder(workspace, job)
        with folder.exclusive():
            state = read_status(folder).state
            if state in LIVE:
                raise CausalMixError(f"Job {job} is {state}; cancel it before you delete it.")
            gone = 0
            try:
                if runs:
                    gone = len(outcomes(folder)[0])
                    for shard in range(len(folder.shards())):
                        folder.shard_path(shard).unlink(missing_ok=True)
                # Under this name nobody takes it for a job, and what a crash leaves of it is swept.
                hidden = scratch_path(folder.path)
                folder.path.rename(hidden)
            except OSError as error:
                raise CausalMixError(f"Cannot remove {folder.path}: {error.strerror}.") from error
        shutil.rmtree(hidden, ignore_errors=True)
        return gone

    def log(self, workspace: Workspace, job: str, lines: int = 200) -> str:
        """What happened to a job, one line each, and the last lines that its processes printed.

        Raises:
            CausalMixError: there is no such job.
        """
        folder = _folder(workspace, job)
        happened = [line for event in folder.events() if (line := _in_words(event))]
        return "\n".join([*happened[-lines:], *_last_lines(folder.log_path, lines)])

    def move(self, workspace: Workspace, job: str, places: int) -> None:
        """Move a waiting job back in the queue by so many places; forward if negative.

        Raises:
            CausalMixError: there is no such job, or it does not wait.
        """
        queue.move(_folder(workspace, job), places)


def _folder(workspace: Workspace, job: str) -> JobFolder:
    """The folder of a job that is there; a path instead of an id leads nowhere."""
    folder = JobFolder(workspace, job)
    if not _JOB.fullmatch(job) or not (folder.path / "spec.json").exists():
        raise CausalMixError(f"There is no job {job} in {workspace.jobs}.")
    return folder


def _start(folder: JobFolder) -> None:
    folder.withdraw_requests()
    spec = folder.spec()
    if spec.engine == "local":
        queue.set_wants(folder, 1)  # keeps its place until its process says more
    start_process(folder, VERBS[spec.engine])


def _in_words(event: dict[str, Any]) -> str | None:
    """An event for a reader; None for those that only draw curves."""
    match event["kind"]:
        case "submitted":
            words = "started"
        case "queued":
            words = "waits for a place to train"
        case "training":
            words = "trains"
        case "worker":
            words = f"worker {event['worker']} starts on {event['device']} (process {event['pid']})"
        case "shard" if event.get("tokens"):
            words = f"shard {event['shard']} goes on after {event['tokens']:,} tokens per probe"
        case "shard":
            words = f"shard {event['shard']} begins"
        case "checkpoint":
            words = f"shard {event['shard']} can go on from {event['tokens']:,} tokens per probe"
        case "shard-done":
            words = f"shard {event['shard']} is finished"
        case "error" | "worker-failed" | "failed":
            words = f"{'failed' if event['kind'] == 'failed' else 'a worker failed'}: {event['message']}"
        case "done":
            words = "finished"
        case "cancelled" | "paused":
            words = event["kind"]
        case _:
            return None
    return f"{datetime.fromtimestamp(event['at']):%Y-%m-%d %H:%M:%S}  {words}"


def _last_lines(path: Path, lines: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            content = file.read()
    except OSError:
        return []
    return content.decode(errors="replace").splitlines()[-lines:] if lines > 0 else []


def new_job_id() -> str:
    """An id that sorts by time and that nobody else has drawn."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + uuid.uuid4().hex[:4]
