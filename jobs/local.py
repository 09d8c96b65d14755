"""The local engine: swarms as detached processes of this machine.

`submit` starts one supervisor process per job (`python -m jobs supervise ...`) in a session of its own,
so it outlives the page, the command and the server that asked for it. The supervisor starts workers where
there is room: one per CPU core, or one per GPU, for all jobs of the workspace together.
"""

from __future__ import annotations

import time

from causalmix_core.corpus import open_snapshot
from causalmix_core.corpus.measuring import cores
from causalmix_core.probes import SwarmSpec
from causalmix_core.probes.settling import settle_swarm
from causalmix_core.workspace import Workspace
from jobs.folder_engine import FolderEngine, new_job_id
from jobs.process import VERBS, start_process
from jobs.queue import set_wants
from jobs.record import JobFolder, JobSpec
from jobs.sizing import Sizing, divide
from jobs.slots import visible_gpus


class LocalEngine(FolderEngine):
    """Runs swarms on this machine."""

    def submit(self, workspace: Workspace, swarm: SwarmSpec, workers: int | None = None) -> str:
        """Start a swarm on the current snapshot and return its job id at once.

        It trains as soon as the jobs ahead of it leave it a place.

        Args:
            workspace: where it lies.
            swarm: what to train.
            workers: how many shards train at the same time at most; None: as many as this machine can.

        Raises:
            CausalMixError: there is no snapshot, it lacks a state feature of the swarm, the memory does not
                hold one proxy, or the workspace cannot be written.
        """
        snapshot = open_snapshot(workspace)
        snapshot.check_features(swarm.state_features)
        swarm = settle_swarm(swarm, workspace)
        sizing = self.check(workspace, swarm, workers)
        job = new_job_id()
        folder = JobFolder(workspace, job)
        folder.create(
            JobSpec(
                job=job,
                snapshot=snapshot.id,
                swarm=swarm,
                created_at=time.time(),
                shards=sizing.shards,
                workers=sizing.workers,
                device=sizing.device,
            )
        )
        set_wants(folder, sizing.workers)
        start_process(folder, VERBS["local"])
        return job

    def check(self, workspace: Workspace, swarm: SwarmSpec, workers: int | None = None) -> Sizing:
        """How a swarm would be divided on this machine now, without starting it.

        Raises:
            CausalMixError: the memory does not hold one proxy (the message has the estimate), or what the
                swarm needs is not there.
        """
        device, places = self.means()
        return divide(settle_swarm(swarm, workspace), device, max(1, min(places, workers or places)))

    @staticmethod
    def means() -> tuple[str, int]:
        """Device and number of places to train of this machine."""
        # A look at the cards first: importing torch takes seconds.
        if cards := visible_gpus():
            from causalmix_core.proxy import choose_device

            if choose_device() == "cuda":
                return "cuda", len(cards)
        return "cpu", cores()
