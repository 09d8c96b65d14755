"""Swarms on a real Ray cluster of three nodes on this machine: how they end, are killed, and go on.

Starting a cluster and joining it takes seconds, so one job walks through several states.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from causalmix_core.corpus import STATE_FEATURES, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE, LOSS, STATE, WEIGHT, SwarmSpec, SwarmStatus
from causalmix_core.proxy import ProxySpec
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from jobs import ray_cluster as cluster_module
from jobs.ray_cluster import Means
from jobs.ray_engine import RayEngine, plan
from jobs.record import JobSpec
from tests.jobs import watched_job
from tests.jobs.watched_job import until

pytest.importorskip("ray")

DOMAINS = ("code", "prose", "sums")
TOKENS = 32_000
"""Enough for a shard of tiny proxies to train for a few seconds, so that a test can interrupt it."""
PROXY = ProxySpec(
    hidden_size=16, layers=1, heads=1, sequence_length=32, batch_size=1, tokens=TOKENS, learning_rate=1e-3
)
PROBES = 8
SWARM = SwarmSpec(probes=PROBES, proxy=PROXY, heldout_windows=8)
SAME = [*(WEIGHT + d for d in DOMAINS), *(STATE + f for f in STATE_FEATURES)]
LOSSES = [LOSS + d for d in DOMAINS]


@dataclass
class RunningCluster:
    """A cluster and the process that holds it."""

    process: subprocess.Popen[str]
    address: str

    def lose_a_node(self) -> None:
        """Kill all processes of a node."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("lose a node\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "lost\n"

    def trains(self) -> bool:
        """Whether a process of the cluster trains a shard."""
        return any("ray::train_shard" in name for name in _names(self.process.pid))


def _names(parent: int) -> list[str]:
    names = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            names.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return names


@pytest.fixture(scope="module")
def shared(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which both engines train the same swarm."""
    root = tmp_path_factory.mktemp("shared") / "workspace"
    shutil.copytree(_ingested, root)
    return Workspace.open(root)


@pytest.fixture(scope="module")
def local(shared: Workspace) -> str:
    """A job of the local engine, started before the cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalEngine, "means", staticmethod(lambda: ("cpu", 1)))
        return LocalEngine().submit(shared, SWARM)


@pytest.fixture(scope="module")
def cluster(local: str) -> Iterator[RunningCluster]:
    """A head that trains nothing and two nodes of one core each; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
    started: list[psutil.Process] = []
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("start_ray_cluster.py")), str(folder), "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr").open("w"),
        text=True,
        cwd=folder,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, (folder / "stderr").read_text()
        yield RunningCluster(process, address)
        started = psutil.Process(process.pid).children(recursive=True)
        process.stdin.close()
        process.wait(30)
    finally:
        if process.poll() is None:
            started = psutil.Process(process.pid).children(recursive=True)
            process.kill()
        for child in started:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        _, left = psutil.wait_procs(started, timeout=10)
        shutil.rmtree(folder, ignore_errors=True)
        assert not left


class Job(watched_job.Job):
    """A job of a cluster as a test looks at it."""

    def __init__(self, engine: RayEngine, workspace: Workspace, name: str) -> None:
        super().__init__(workspace, name)
        self.engine = engine

    @classmethod
    def planned(cls, engine: RayEngine, workspace: Workspace, swarm: SwarmSpec, shards: int) -> Job:
        """A job that nobody has started yet."""
        job = cls(engine, workspace, f"by-hand-{shards}")
        job.folder.create(
            JobSpec(
                job=job.name,
                snapshot=open_snapshot(workspace).id,
                swarm=swarm,
                created_at=0.0,
                shards=shards,
                workers=2,
                device="cpu",
                engine="ray",
            )
        )
        return job

    def resume_by_anybody(self) -> None:
        """The job's folder says how; the engine that is asked does not matter."""
        LocalEngine().resume(self.workspace, self.name)

    def ends(self, state: str, seconds: float = 120) -> SwarmStatus:
        return super().ends(state, seconds)

    def training(self) -> set[int]:
        """The shards that are in the middle of their training."""
        reached = {e["shard"]: e["tokens"] for e in self.events("step")}
        return {shard for shard, tokens in reached.items() if tokens < TOKENS}

    def written(self) -> dict[str, int]:
        """The finished shards and when they were written."""
        files = sorted(self.workspace.runs.glob(f"{self.name}-*.parquet"))
        return {f.name: f.stat().st_mtime_ns for f in files}

    def rows(self) -> pd.DataFrame:
        frames = [pd.read_parquet(self.workspace.runs / name) for name in self.written()]
        return pd.concat(frames).set_index("probe").sort_index()


@pytest.fixture(scope="module")
def reference(shared: Workspace, local: str) -> pd.DataFrame:
    """The rows that the local engine wrote."""
    engine = LocalEngine()
    until("the local job ends", lambda: engine.status(shared, local).state == "finished")
    frames = [pd.read_parquet(f) for f in shared.runs.glob(f"{local}-*.parquet")]
    return pd.concat(frames).set_index("probe").sort_index()


def assert_same(rows: pd.DataFrame, reference: pd.DataFrame) -> None:
    assert list(rows.index) == list(range(PROBES))
    assert rows["run"].is_unique
    pd.testing.assert_frame_equal(rows[SAME], reference[SAME])
    # Which probes train together changes nothing but the last digits.
    np.testing.assert_allclose(rows[LOSSES], reference[LOSSES], atol=2e-4)
    own = ["run", "job", "finished_at", "trajectory", *SAME, *LOSSES]
    assert list(rows.columns) == list(reference.columns)
    pd.testing.assert_frame_equal(rows.drop(columns=own), reference.drop(columns=own))


def test_a_swarm_on_a_cluster_has_the_records_of_the_local_engine(
    cluster: RunningCluster, shared: Workspace, reference: pd.DataFrame
) -> None:
    engine = RayEngine(cluster.address)
    job = Job(engine, shared, engine.submit(shared, SWARM))
    seen = [job.status()]
    assert seen[0].state in LIVE
    assert seen[0].engine == "ray"

    def ended() -> bool:
        seen.append(job.status())
        return seen[-1].state not in LIVE

    until("the job ends", ended)
    status = job.ends("finished")
    assert (status.finished, status.diverged, status.message) == (PROBES, 0, "")
    assert job.folder.spec().shards == 2
    assert_same(job.rows(), reference)

    assert [s.fraction for s in seen] == sorted(s.fraction for s in seen)
    assert max(s.workers for s in seen) in (1, 2)
    assert sorted(status.curves) == list(range(PROBES))
    for curve in status.curves.values():
        tokens, losses = zip(*curve, strict=True)
        assert list(tokens) == sorted(set(tokens))
        assert tokens[-1] == TOKENS
        assert losses[-1] < losses[0]
    assert job.folder.log_path.read_text().count("begins on") == 2


def test_paused_cancelled_killed_and_robbed_of_a_node_nothing_is_lost_or_doubled(
    cluster: RunningCluster, shared: Workspace, reference: pd.DataFrame
) -> None:
    job = Job.planned(RayEngine(cluster.address), shared, SWARM, shards=PROBES)

    # Somebody pauses.
    job.resume()
    until("a shard trains", job.training)
    with pytest.raises(CausalMixError, match=r"is running; there is nothing to resume"):
        job.resume()
    job.engine.pause(job.workspace, job.name)
    job.ends("paused", seconds=30)
    assert not cluster.trains()
    stopped = {p.stem for p in job.folder.shards_folder.glob("*.checkpoint")}
    assert stopped

    # It goes on from there. Somebody cancels while some shards are done and others train.
    job.resume_by_anybody()
    until("it is under way", lambda: job.written() and job.training())
    went_on = [e for e in job.events("shard") if str(e["shard"]) in stopped]
    assert went_on
    assert all(0 < e["tokens"] < TOKENS for e in went_on)
    job.engine.cancel(job.workspace, job.name)
    job.ends("cancelled", seconds=15)
    kept = job.written()
    assert 0 < len(kept) < PROBES
    assert not list(job.folder.shards_folder.glob("*.checkpoint"))
    until("nothing trains any more", lambda: not cluster.trains(), seconds=20)

    # The driver is killed; what it trained ends with it.
    job.resume_by_anybody()
    until("a shard trains", job.training)
    os.kill(job.folder.attempts()[-1].pid, signal.SIGKILL)
    until("the status tells", lambda: job.status().state == "interrupted", seconds=5)
    until("nothing trains any more", lambda: not cluster.trains(), seconds=20)
    assert job.written().items() >= kept.items()
    kept = job.written()

    # A node dies; Ray trains its shard on the other.
    job.resume_by_anybody()
    until("both nodes train", lambda: len(job.training()) == 2)
    cluster.lose_a_node()
    status = job.ends("finished")
    assert (status.finished, status.diverged, status.message) == (PROBES, 0, "")
    assert job.written().items() >= kept.items()
    assert_same(job.rows(), reference)
    trained = Counter(e["shard"] for e in job.events("shard"))
    assert sum(trained.values()) > len(trained)
    assert len(trained) == PROBES - len(kept)
    done = Counter(e["shard"] for e in job.events("shard-done"))
    assert set(done.values()) == {1}
    assert set(done) == set(trained)
    for curve in status.curves.values():
        assert [t for t, _ in curve] == sorted({t for t, _ in curve})

    with pytest.raises(CausalMixError, match=r"is finished; there is nothing to resume"):
        job.resume()


def test_what_a_node_cannot_train_is_said_in_words(
    cluster: RunningCluster, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = ProxySpec(
        hidden_size=1024, layers=32, heads=8, sequence_length=2048, batch_size=1024, tokens=2_100_000
    )
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    engine = RayEngine()
    swarm = SwarmSpec(probes=2, proxy=huge, heldout_windows=8)
    job = Job(engine, workspace, engine.submit(workspace, swarm))
    message = job.ends("failed").message
    assert f"Node {socket.gethostname()}: One proxy of" in message
    assert "Choose a smaller proxy or batch" in message
    assert "Traceback" not in job.folder.log_path.read_text()


def test_without_an_address_no_cluster_is_started(
    workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(CausalMixError, match=r"No Ray cluster is named\. Set ray_address in workspace\.yaml"):
        RayEngine().submit(workspace, tiny_swarm())
    with pytest.raises(CausalMixError, match=r"The chosen address is 'auto', which is no address"):
        RayEngine("auto").submit(workspace, tiny_swarm())
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(CausalMixError, match=r"RAY_ADDRESS is 'http://127\.0\.0\.1:8265'.*host:port"):
        RayEngine().submit(workspace, tiny_swarm())
    assert list(workspace.jobs.iterdir()) == []


def test_an_address_that_does_not_answer_is_named(
    workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        workspace.save_config(workspace.config().model_copy(update={"ray_address": address}))
        monkeypatch.setattr(cluster_module, "LOOK_SECONDS", 3.0)
        # Somebody listens there, but is no Ray cluster.
        with pytest.raises(CausalMixError, match=rf"listens at {address}, but it does not answer as a Ray"):
            RayEngine().submit(workspace, tiny_swarm())
    with pytest.raises(CausalMixError, match=rf"The Ray cluster at {address} does not answer"):
        RayEngine().submit(workspace, tiny_swarm())
    job = Job.planned(RayEngine(), workspace, tiny_swarm(), shards=1)
    with pytest.raises(CausalMixError, match=rf"The Ray cluster at {address} does not answer"):
        job.resume()
    assert list(job.folder.events()) == []


@pytest.mark.parametrize(
    ("probes", "proxy", "means", "workers", "expected"),
    [
        (48, ProxySpec(), Means(cpus=2, gpus=0), None, 4),  # stacks of 16 at most, as many for each core
        (48, ProxySpec(), Means(cpus=100, gpus=0), None, 48),
        (48, ProxySpec(), Means(cpus=100, gpus=0), 5, 5),
        (48, ProxySpec(), Means(cpus=0, gpus=0), None, 3),  # nodes that are yet to come
        (300, ProxySpec(), Means(cpus=64, gpus=2), None, 4),  # stacks of 128 at most
        (5, ProxySpec(hidden_size=512, heads=8, batch_size=16), Means(cpus=2, gpus=0), None, 5),
    ],
)
def test_shards_are_as_many_as_the_cluster_has_places_for(
    probes: int, proxy: ProxySpec, means: Means, workers: int | None, expected: int
) -> None:
    assert plan(SwarmSpec(probes=probes, proxy=proxy), means, workers) == expected
