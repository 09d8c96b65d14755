"""The Ray engine: swarms on a cluster that somebody has started.

`submit` starts one process on this machine (`python -m jobs ray ...`, see `ray_driver`), which hands the
shards to the cluster and writes what comes back. Everything else follows from the job's folder, as for the
local engine. No cluster is ever started here.
"""

from __future__ import annotations

import math
import time

from causalmix_core.corpus import open_snapshot
from causalmix_core.probes import LIVE, SwarmSpec
from causalmix_core.probes.settling import settle_swarm
from causalmix_core.proxy.memory import (
    GPU_STACK,
    best_on_cpu,
    bytes_per_copy,
    bytes_per_proxy,
    shared_bytes,
)
from causalmix_core.proxy.spec import ProxySpec
from causalmix_core.workspace import Workspace
from jobs.folder_engine import FolderEngine, new_job_id
from jobs.process import VERBS, start_process
from jobs.ray_cluster import Means, find_address, look_at
from jobs.ray_driver import chosen_address, keep_address
from jobs.record import JobFolder, JobSpec

GPU_BYTES = 12 << 30
"""Memory of a GPU that a shard is planned with: a small card's. A larger one trains it as one stack too."""


class RayEngine(FolderEngine):
    """Runs swarms on a Ray cluster.

    Args:
        address: of the cluster. None: that of `RAY_ADDRESS`, or else of `ray_address` in workspace.yaml.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address

    def submit(self, workspace: Workspace, swarm: SwarmSpec, workers: int | None = None) -> str:
        """Start a swarm on the current snapshot and return its job id once the cluster has answered.

        Args:
            workspace: where it lies.
            swarm: what to train.
            workers: how many shards train at the same time at most; None: as many as the cluster has room
                for, also when it grows.

        Raises:
            CausalMixError: there is no snapshot, it lacks a state feature of the swarm, no cluster is named
                or it does not answer, or the workspace cannot be written.
        """
        snapshot = open_snapshot(workspace)
        snapshot.check_features(swarm.state_features)
        swarm = settle_swarm(swarm, workspace)
        means = look_at(find_address(workspace, self.address))
        device = "cuda" if means.gpus >= 1 else "cpu"
        shards = plan(swarm, means, workers)
        job = new_job_id()
        folder = JobFolder(workspace, job)
        folder.create(
            JobSpec(
                job=job,
                snapshot=snapshot.id,
                swarm=swarm,
                created_at=time.time(),
                shards=shards,
                workers=min(shards, workers or shards),
                device=device,
                engine="ray",
            )
        )
        self._keep_choice(folder)
        start_process(folder, VERBS["ray"])
        return job

    def resume(self, workspace: Workspace, job: str) -> None:
        """Go on with the shards of a job that are not finished.

        Raises:
            CausalMixError: there is no such job, it is running or finished already, its cluster does not
                answer, or the workspace cannot be written.
        """
        self._reach(workspace, job)
        super().resume(workspace, job)

    def retry(self, workspace: Workspace, job: str) -> int:
        """Train the probes of a job that diverged again and return how many those are.

        Raises:
            CausalMixError: there is no such job, it still runs, no probe diverged, its cluster does not
                answer, or the workspace cannot be written.
        """
        self._reach(workspace, job)
        return super().retry(workspace, job)

    def _reach(self, workspace: Workspace, job: str) -> None:
        """See that the cluster answers before a job is started again."""
        status = self.status(workspace, job)
        if status.engine != "ray" or status.state in LIVE:
            return
        if status.state == "finished" and not status.failed_probes:
            return
        folder = JobFolder(workspace, job)
        look_at(find_address(workspace, self.address or chosen_address(folder)))
        self._keep_choice(folder)

    def _keep_choice(self, folder: JobFolder) -> None:
        if self.address:
            keep_address(folder, self.address)


def plan(swarm: SwarmSpec, means: Means, workers: int | None = None) -> int:
    """How many shards a swarm is divided into.

    A shard is what is lost with its node, and what one GPU or CPU core trains at once. So it is no larger
    than a stack that pays there, and every GPU or core gets as many shards as any other.

    Args:
        swarm: what is trained.
        means: what the cluster has at the moment.
        workers: how many shards train at the same time at most; None: no limit.
    """
    on_gpu = means.gpus >= 1
    places = max(1, math.floor(means.gpus if on_gpu else means.cpus))
    places = min(places, swarm.probes, workers or places)
    return min(swarm.probes, places * -(-swarm.probes // (_stack(swarm.proxy, on_gpu) * places)))


def _stack(proxy: ProxySpec, on_gpu: bool) -> int:
    if proxy.pretrained is not None:  # copies train side by side and share what is not trained
        copies = (GPU_BYTES - shared_bytes(proxy)) // bytes_per_copy(proxy) if on_gpu else 1
        return max(1, min(GPU_STACK, copies))
    if on_gpu:
        return max(1, min(GPU_STACK, GPU_BYTES // bytes_per_proxy(proxy)))
    return best_on_cpu(proxy)
