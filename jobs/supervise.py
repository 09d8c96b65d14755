"""What the supervisor of a job does: it starts workers where there is room and records how the job ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from jobs.claims import claim_next, forget_claims, unclaimed
from jobs.queue import set_wants, somebody_ahead
from jobs.record import Attempt, JobFolder
from jobs.slots import Slot, places, take_slot
from jobs.work import THREADS, in_words

TICK_SECONDS = 0.1
"""Between two looks at workers, requests and the queue."""
ASK_SECONDS = 1.0
"""How long a worker that is to stop may go on before it is told so by a signal, which ends one that does not
train yet."""
CANCEL_SECONDS = 5.0
"""How long it may go on before it is killed, when what it has done is dropped anyway."""
PAUSE_SECONDS = 120.0
"""The same when it writes a checkpoint: of a large shard that takes a while."""


def supervise(workspace: Workspace, job: str) -> int:
    """Run the workers of a job and record how it ended; the process's exit status."""
    folder = JobFolder(workspace, job)
    try:
        if not folder.claim():
            return 0  # another process was faster; it does the work
        return _Supervisor(folder).run()
    except Exception as error:
        folder.append("failed", message=in_words(error, folder))
        return 1
    finally:
        set_wants(folder, 0)


@dataclass
class _Running:
    """A worker that runs."""

    number: int
    process: subprocess.Popen[bytes]
    slot: Slot


@dataclass
class _Supervisor:
    """One attempt at a job."""

    folder: JobFolder
    workers: list[_Running] = field(default_factory=list)
    started: int = 0
    trouble: str = ""
    """Why no further worker is started: what made one fail."""

    def run(self) -> int:
        folder = self.folder
        self.attempt = len(folder.attempts()) - 1
        spec = folder.spec()
        self.most = spec.workers
        if not places(spec.device):
            raise CausalMixError(
                f"Job {folder.job} trains on a GPU, and this process sees none. Make it visible (see "
                "CUDA_VISIBLE_DEVICES), then resume the job."
            )
        forget_claims(folder)
        folder.append("queued")
        while True:
            self._look_after_workers()
            if folder.cancelled() or folder.pausing():
                self._stop_workers()
                break
            left = [] if self.trouble else unclaimed(folder, self.attempt)
            wanted = min(self.most - len(self.workers), len(left))
            set_wants(folder, wanted)
            if not wanted and not self.workers:
                break
            if not wanted or somebody_ahead(folder) or not self._start_worker():
                time.sleep(TICK_SECONDS)
        return self._record_end()

    def _start_worker(self) -> bool:
        """Start a worker if there is a place to train; whether one was started."""
        folder = self.folder
        slot = take_slot(folder.workspace, folder.spec().device)
        if slot is None:
            return False
        shard = claim_next(folder, self.attempt)
        if shard is None:
            slot.release()
            return False
        number, self.started = self.started, self.started + 1
        if not number:
            folder.append("training")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jobs", "work", str(folder.workspace.root), folder.job),
                *map(str, (self.attempt, number, os.getpid(), slot.device, shard)),
            ],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        )
        self.workers.append(_Running(number, process, slot))
        started = Attempt.of_process(process.pid).started
        folder.append("worker", worker=number, pid=process.pid, started=started, device=slot.device)
        return True

    def _look_after_workers(self) -> None:
        """Free the places of workers that have ended, and record how."""
        for worker in list(self.workers):
            code = worker.process.poll()
            if code is None:
                continue
            self.workers.remove(worker)
            worker.slot.release()
            if code in (0, 1):  # at 1, the worker itself has said why
                self.folder.append("worker-ended", worker=worker.number)
                self.trouble = self.trouble or ("a worker failed" if code else "")
            else:
                self.trouble = _unexpected_end(code, self.folder)
                self.folder.append("worker-failed", worker=worker.number, message=self.trouble)

    def _stop_workers(self) -> None:
        """Wait until the workers have stopped, which they do by themselves; make them if they do not."""
        set_wants(self.folder, 0)
        began = time.monotonic()
        while self.workers:
            for worker in self.workers:
                waited = time.monotonic() - began
                if waited > (CANCEL_SECONDS if self.folder.cancelled() else PAUSE_SECONDS):
                    worker.process.kill()
                elif waited > ASK_SECONDS:
                    worker.process.terminate()
            time.sleep(TICK_SECONDS)
            for worker in list(self.workers):
                if worker.process.poll() is not None:
                    self.workers.remove(worker)
                    worker.slot.release()
                    self.folder.append("worker-ended", worker=worker.number)

    def _record_end(self) -> int:
        folder = self.folder
        if all(folder.shard_path(s).exists() for s in range(len(folder.shards()))):
            folder.append("done")
        elif folder.cancelled():
            folder.drop_checkpoints()
            folder.append("cancelled")
        elif failure := _last_trouble(folder):
            folder.append("failed", message=failure)
            return 1
        elif folder.pausing():
            folder.append("paused")
        else:
            folder.append("failed", message=f"Some shards were not trained; see {folder.log_path}. Resume.")
            return 1
        return 0


def _last_trouble(folder: JobFolder) -> str:
    """What the workers of this attempt said last that went wrong; errors of earlier ones may be mended."""
    trouble = ""
    for event in folder.events():
        if event["kind"] == "queued":
            trouble = ""
        elif event["kind"] in ("error", "worker-failed"):
            trouble = event["message"]
    return trouble


def _unexpected_end(code: int, folder: JobFolder) -> str:
    if code > 0:
        return f"A worker ended unexpectedly (exit status {code}); see {folder.log_path}."
    memory = " The system does that when memory runs out." if -code == signal.SIGKILL else ""
    return f"A worker was killed (signal {-code}).{memory} Finished shards are kept; resume trains the rest."
