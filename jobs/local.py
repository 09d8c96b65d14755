"""The local engine: swarms as detached processes of this machine.

`submit` starts one supervisor process per job (`python -m jobs supervise ...`) in a session of its own,
so it outlives the page, the command and the server that asked for it. The supervisor starts one worker
per CPU core, or one for a GPU.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from pathlib import Path

from causalmix_core.corpus import open_snapshot
from causalmix_core.corpus.measuring import cores
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE, SwarmSpec, SwarmStatus
from causalmix_core.workspace import Workspace
from jobs.record import JobFolder, JobSpec
from jobs.status import read_status

CPU_SHARD = 16
"""Proxies trained as one stacked model on a CPU core; more no longer pays."""
GPU_SHARD = 128


class LocalEngine:
    """Runs swarms on this machine."""

    def submit(self, workspace: Workspace, swarm: SwarmSpec) -> str:
        """Start a swarm on the current snapshot and return its job id at once.

        Raises:
            CausalMixError: there is no snapshot, it lacks a state feature of the swarm, or the workspace
                cannot be written.
        """
        snapshot = open_snapshot(workspace)
        snapshot.check_features(swarm.state_features)
        device, workers = self.means()
        per_shard = GPU_SHARD if device == "cuda" else CPU_SHARD
        workers = min(workers, swarm.probes)
        shards = workers * -(-swarm.probes // (per_shard * workers))
        job = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + uuid.uuid4().hex[:4]
        JobFolder(workspace, job).create(
            JobSpec(
                job=job,
                snapshot=snapshot.id,
                swarm=swarm,
                created_at=time.time(),
                shards=shards,
                workers=workers,
                device=device,
            )
        )
        _start_supervisor(workspace, job)
        return job

    @staticmethod
    def means() -> tuple[str, int]:
        """Device and number of workers of this machine."""
        # A look at the driver first: importing torch takes seconds.
        if Path("/dev/nvidiactl").exists():
            from causalmix_core.proxy import choose_device

            if choose_device() == "cuda":
                return "cuda", 1
        return "cpu", cores()

    def resume(self, workspace: Workspace, job: str) -> None:
        """Go on with the shards of a job that are not finished.

        Raises:
            CausalMixError: there is no such job, or it is running or finished already.
        """
        status = self.status(workspace, job)
        if status.state in LIVE or status.state == "finished":
            raise CausalMixError(f"Job {job} is {status.state}; there is nothing to resume.")
        JobFolder(workspace, job).withdraw_cancel()
        _start_supervisor(workspace, job)

    def cancel(self, workspace: Workspace, job: str) -> None:
        """Ask a running job to stop; finished shards are kept and it can be resumed.

        Raises:
            CausalMixError: there is no such job, or it does not run.
        """
        state = self.status(workspace, job).state
        if state not in LIVE:
            raise CausalMixError(f"Job {job} is {state}; there is nothing to stop.")
        JobFolder(workspace, job).request_cancel()

    def status(self, workspace: Workspace, job: str) -> SwarmStatus:
        """How a job stands, read from its files and the process table."""
        return read_status(JobFolder(workspace, job))

    def jobs(self, workspace: Workspace) -> list[str]:
        """Ids of all jobs, newest first."""
        return sorted((p.parent.name for p in workspace.jobs.glob("*/spec.json")), reverse=True)


def _start_supervisor(workspace: Workspace, job: str) -> None:
    folder = JobFolder(workspace, job)
    folder.append("submitted")
    with folder.log_path.open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "jobs", "supervise", str(workspace.root), job],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=Path(__file__).resolve().parent.parent,
        )
