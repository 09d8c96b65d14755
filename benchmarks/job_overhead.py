"""What a job costs besides the training itself: until its first step, and for its live progress.

    python -m benchmarks.job_overhead [--swarms 3] [--dry]

A swarm on the demo corpus is submitted to the local engine, and the record of the job says when its first
training step was done. Of that, importing libraries takes most; the same imports are timed in processes of
their own, one after another as supervisor and worker do them. In the job the workers import side by side,
which is slower than alone, so that what is left is rather too much than too little: to start processes, read
the pool, plan the swarm, draw sequences and build the models.

Progress: a shard is trained in this process with the very watch that a worker uses, and the time spent in it
is set against the whole. The widest gap between two progress events is taken from the jobs.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from causalmix_core.corpus import ingest, open_snapshot, write_demo_corpus
from causalmix_core.probes import LIVE, SwarmSpec, design_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import PRESETS
from causalmix_core.workspace import Workspace, WorkspaceConfig, write_atomic
from jobs import JobFolder, LocalEngine
from jobs.checkpoint import ShardCheckpoint
from jobs.work import Watch, Worker

RESULTS = Path(__file__).parent / "results"
TOKENS = 100_000
SUPERVISOR = "import jobs.__main__"
WORKER = (
    "import jobs.__main__, causalmix_core.probes.shard, torch;"
    "from transformers import LlamaForCausalLM, LlamaConfig"
)


def imports(code: str) -> float:
    """Seconds until a process has imported; its end, which takes a while too, does not count."""
    started = time.perf_counter()
    command = [sys.executable, "-c", f"{code}; print('done', flush=True)"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        while "done" not in process.stdout.readline():
            pass
        return time.perf_counter() - started


def until_first_step(workspace: Workspace, swarm: SwarmSpec) -> tuple[float, float, float]:
    """Submit a swarm and wait for its end.

    Returns:
        Seconds of the call, seconds from the call to the first step, and the widest gap between two progress
        events of a shard.
    """
    engine = LocalEngine()
    began = time.time()
    job = engine.submit(workspace, swarm)
    called = time.time() - began
    while engine.status(workspace, job).state in LIVE:
        time.sleep(0.2)
    steps: dict[int, list[float]] = {}
    for event in JobFolder(workspace, job).events():
        if event["kind"] == "step":
            steps.setdefault(event["shard"], []).append(event["at"])
    gap = max(float(np.diff(times).max()) for times in steps.values() if len(times) > 1)
    return called, min(min(times) for times in steps.values()) - began, gap


def progress_share(workspace: Workspace, swarm: SwarmSpec) -> float:
    """Part of the time of a shard that its watch takes."""
    engine = LocalEngine()
    job = engine.jobs(workspace)[0]
    folder = JobFolder(workspace, job)
    snapshot = open_snapshot(workspace)
    probes = design_swarm(swarm, snapshot.tokens())[
        : max(1, swarm.probes // engine.check(workspace, swarm).shards)
    ]
    worker = Worker(folder, attempt=0, number=0, supervisor=os.getppid(), device="cpu")
    watch = Watch(worker, 0, ShardCheckpoint(folder, 0, range(len(probes)), "cpu"), 0)
    spent = 0.0

    def timed(call: Callable[..., None]) -> Callable[..., None]:
        def inner(*arguments: object) -> None:
            nonlocal spent
            started = time.perf_counter()
            call(*arguments)
            spent += time.perf_counter() - started

        return inner

    pool = load_token_pool(snapshot, swarm)
    started = time.perf_counter()
    run_shard(
        pool, snapshot.id, swarm, probes, job=job, device="cpu",
        progress=timed(watch.progress), progress_every=1, keep=timed(watch.keep),
    )  # fmt: skip
    return spent / (time.perf_counter() - started)


def main() -> None:
    """Run from the command line; writes `results/job_overhead.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--swarms", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print the table, do not write it")
    options = parser.parse_args()
    proxy = PRESETS["nano"].model_copy(update={"tokens": TOKENS})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "demo", WorkspaceConfig(name="Demo"))
        domains = write_demo_corpus(workspace.root / "sources")
        workspace.save_config(WorkspaceConfig(name="Demo", domains=domains))
        ingest(workspace)
        workers = LocalEngine.means()[1]
        for seed in range(options.swarms):
            swarm = SwarmSpec(probes=16 * workers, proxy=proxy, seed=seed)
            spent = imports(SUPERVISOR) + imports(WORKER)
            called, first, gap = until_first_step(workspace, swarm)
            rows.append((called, first, spent, first - spent, gap))
            print(rows[-1], flush=True)
        share = progress_share(workspace, swarm)
    called, first, spent, own, gap = np.median(np.array(rows), axis=0)
    page = f"""# What a job costs besides the training

Measured with `python -m benchmarks.job_overhead --swarms {options.swarms}`
({platform.machine()}, {workers} workers): {16 * workers} `nano` proxies on the demo corpus; medians of
{options.swarms} swarms, of the gap the largest. The held-out losses at the end of a shard are measured after
its last event.

| | seconds |
|---|---|
| `submit` returns after | {called:.2f} |
| first training step done after | {first:.2f} |
| of this, imports of supervisor and workers (timed apart) | {spent:.2f} |
| **the job's own** | **{own:.2f}** |
| widest gap between two progress events of a shard | {max(r[4] for r in rows):.2f} |

Progress, requests to stop and checkpoints take {share:.2%} of the time of a shard.
"""
    print(page)
    if not options.dry:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "job_overhead.md", page)


if __name__ == "__main__":
    main()
