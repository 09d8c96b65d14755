"""The process on this machine that trains a job on a Ray cluster (`python -m jobs ray ...`).

It alone opens the workspace: the tokens go through Ray's object store to the nodes, rows and progress come
back, and are written here as the local engine writes them. It ends with the job; if it is killed, Ray ends
what still runs for it, and resuming trains the shards that are not in the run table.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import Probe, design_swarm
from causalmix_core.probes.shard import load_token_pool
from causalmix_core.proxy import TokenPool, proxy_tokens
from causalmix_core.workspace import Workspace, write_atomic
from jobs import ray_shard
from jobs.checkpoint import ShardCheckpoint
from jobs.disk import disk_full
from jobs.ray_cluster import LOOK_SECONDS, Address, find_address, joined
from jobs.record import JobFolder, JobSpec
from jobs.supervise import PAUSE_SECONDS
from jobs.work import CHECKPOINT_SECONDS, CHECKPOINT_SHARE, CURVE_POINTS, PROGRESS_SECONDS

if TYPE_CHECKING:
    from ray import ObjectRef

CHOSEN = "ray-address"
"""File in the job's folder with the address that somebody chose for this job."""
POLL_SECONDS = 0.5
"""Between two looks at the mailbox and at requests."""
RETRIES = 5
"""How often Ray trains a shard again whose node or process died."""
Stop = Literal["cancelled", "paused"]


def drive(workspace: Workspace, job: str) -> int:
    """Train a job on its cluster and record how it ended; the process's exit status."""
    folder = JobFolder(workspace, job)
    try:
        if not folder.claim():
            return 0  # another process was faster; it does the work
        stopped = _train(folder)
    except Exception as error:
        full = disk_full(error, folder.path)
        if full is None and not isinstance(error, CausalMixError):
            _say(traceback.format_exc())
            message = f"{type(error).__name__}: {error}".splitlines()[0] + f" (see {folder.log_path})"
        else:
            message = str(full or error)
        folder.append("failed", message=message)
        return 1
    folder.append(stopped or "done")
    return 0


def chosen_address(folder: JobFolder) -> str | None:
    """The address that somebody chose for this job."""
    try:
        return (folder.path / CHOSEN).read_text(encoding="utf-8")
    except OSError:
        return None


def keep_address(folder: JobFolder, address: str) -> None:
    """Remember the address that somebody chose for this job."""
    write_atomic(folder.path / CHOSEN, address)


def _train(folder: JobFolder) -> Stop | None:
    """Train the shards that are not finished; None when all are."""
    spec = folder.spec()
    shards = {n: p for n, p in enumerate(folder.shards()) if not folder.shard_path(n).exists()}
    if not shards:
        return None
    address = find_address(folder.workspace, chosen_address(folder))
    snapshot = open_snapshot(folder.workspace, spec.snapshot)
    pool = _plain(load_token_pool(snapshot, spec.swarm))
    probes = design_swarm(spec.swarm, proxy_tokens(snapshot, spec.swarm.proxy))
    if stop := _asked(folder):
        return stop
    # Ray puts the current folder into the path of the nodes' Python, before the library that is sent.
    os.chdir(folder.path)
    late = threading.Timer(2 * LOOK_SECONDS, _give_up, [folder, address])
    late.daemon = True
    late.start()
    with joined(address, code=True):
        late.cancel()
        folder.append("queued")
        return _Training(folder, spec, shards, (pool, probes)).run()


def _plain(pool: TokenPool) -> TokenPool:
    """The pool without the files that its arrays may be mapped from: the nodes do not have them."""
    train = {
        domain: replace(docs, tokens=np.asarray(docs.tokens), starts=np.asarray(docs.starts))
        for domain, docs in pool.train.items()
    }
    return replace(pool, train=train)


def _asked(folder: JobFolder) -> Stop | None:
    """Whether somebody asked the job to stop or to pause."""
    if folder.cancelled():
        return "cancelled"
    return "paused" if folder.pausing() else None


def _give_up(folder: JobFolder, address: Address) -> None:
    """End the process: Ray waits for minutes for a cluster that has gone, and cannot be interrupted."""
    folder.append(
        "failed",
        message=f"The Ray cluster at {address.text} does not answer. Resume the job when it does.",
    )
    os._exit(1)


class _Training:
    """The shards of a job in the cluster, from when they are handed over until they are back."""

    def __init__(
        self,
        folder: JobFolder,
        spec: JobSpec,
        shards: Mapping[int, tuple[int, ...]],
        material: tuple[TokenPool, list[Probe]],
    ) -> None:
        import ray
        from ray import cloudpickle
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.folder = folder
        proxy = spec.swarm.proxy
        self.per_step = proxy.batch_size * proxy.sequence_length
        # The nodes are sent the library but not this package.
        cloudpickle.register_pickle_by_value(ray_shard)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = ray.remote(ray_shard.Mailbox)
        self.mailbox = mailbox.options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()
        for shard in shards:
            with suppress(FileNotFoundError):
                self._keep(shard, folder.checkpoint_path(shard).read_bytes())
        train = ray.remote(ray_shard.train_shard).options(
            num_cpus=1, num_gpus=1 if spec.device == "cuda" else 0, max_retries=RETRIES
        )
        self.most = spec.workers
        self.train = partial(
            train.remote, material=ray.put(ray_shard.Parcel.pack(*material)), mailbox=self.mailbox
        )
        self.unsent = [
            ray_shard.Order(
                shard=shard,
                probes=probes,
                swarm=spec.swarm.model_dump_json(),
                snapshot=spec.snapshot,
                job=spec.job,
                device=spec.device,
                key=ShardCheckpoint(folder, shard, probes, spec.device).key,
                letter_seconds=PROGRESS_SECONDS,
                curve_points=CURVE_POINTS,
                checkpoint_seconds=CHECKPOINT_SECONDS,
                checkpoint_share=CHECKPOINT_SHARE,
            )
            for shard, probes in shards.items()
        ]
        self.waiting: dict[ObjectRef, int] = {}
        self.attempts: dict[int, list[str]] = defaultdict(list)
        self.answered = False
        self.failure = ""

    def run(self) -> Stop | None:
        """Wait for the shards; None when all of them are finished.

        Raises:
            CausalMixError: a shard cannot be trained, or its rows cannot be written.
        """
        pausing_until: float | None = None
        while self.unsent or self.waiting:
            while self.unsent and len(self.waiting) < self.most:
                order = self.unsent.pop(0)
                self.waiting[self.train(order)] = order.shard
            if self.folder.cancelled():
                self._look()  # what is finished stays
                self._withdraw()
                self.folder.drop_checkpoints()
                return "cancelled"
            if pausing_until is None and self.folder.pausing():
                pausing_until = time.monotonic() + PAUSE_SECONDS
                self.mailbox.pause.remote()
            if pausing_until is not None:
                self._withdraw(only_idle=time.monotonic() < pausing_until)
            self._look()
        if self.failure:
            raise CausalMixError(self.failure)
        return "paused" if pausing_until is not None and self.missing() else None

    def missing(self) -> bool:
        """Whether a shard is not finished."""
        return any(not self.folder.shard_path(n).exists() for n in range(len(self.folder.shards())))

    def _look(self) -> None:
        """Wait a moment for something to happen, and record it."""
        import ray

        if not self.waiting:
            return
        ready, _ = ray.wait(list(self.waiting), num_returns=1, timeout=POLL_SECONDS)
        self._read_letters()
        for reference in ready:
            self._take_back(reference)

    def _read_letters(self) -> None:
        import ray
        from ray.exceptions import RayError

        try:
            letters: list[ray_shard.Letter] = ray.get(self.mailbox.take.remote(), timeout=POLL_SECONDS)
        except RayError:  # late, or the mailbox died and is started again: the curves have a gap
            return
        for letter in letters:
            self._record(letter)

    def _record(self, letter: ray_shard.Letter) -> None:
        import ray
        from ray.exceptions import RayError

        shard, attempts = letter["shard"], self.attempts[letter["shard"]]
        if letter["attempt"] in attempts[:-1]:
            return  # from a node that was given up
        if not self.answered:
            self.answered = True
            self.folder.append("training")
        if letter["attempt"] not in attempts:
            attempts.append(letter["attempt"])
            self.folder.append("shard", shard=shard, tokens=letter["start"] * self.per_step)
        if "node" in letter:
            _say(f"shard {shard} begins on {letter['node']}")
            ours = ray_shard.versions()
            if other := {p: v for p, v in letter["versions"].items() if v != ours[p]}:
                _say(f"  with {other}, here with {ours}: the last digits of losses may differ")
        elif "checkpoint" in letter:
            with suppress(RayError):  # its node has died meanwhile; an older one does
                self._save(shard, letter["step"], ray.get(letter["checkpoint"][0]))
        else:
            curve = {"loss": letter["loss"]} if "loss" in letter else {}
            self.folder.append("step", shard=shard, tokens=letter["step"] * self.per_step, **curve)

    def _take_back(self, reference: ObjectRef) -> None:
        """Write what has come back from a shard, or remember why nothing has."""
        import ray
        from ray.exceptions import RayError

        shard = self.waiting.pop(reference)
        try:
            outcome: ray_shard.Outcome = ray.get(reference)
        except RayError as error:
            outcome = ray_shard.Outcome(failure=_in_words(error), details=str(error))
        if outcome.rows is not None:
            self.folder.publish(shard, outcome.rows)
        elif outcome.checkpoint is not None:
            write_atomic(self.folder.checkpoint_path(shard), outcome.checkpoint)
        else:
            _say(f"shard {shard}: {outcome.failure}\n{outcome.details}")
            self.folder.append("error", message=outcome.failure)
            self.failure = self.failure or outcome.failure
            # Those that train go on; those that do not would probably fare like this one.
            self._withdraw(only_idle=True)

    def _save(self, shard: int, step: int, checkpoint: bytes) -> None:
        write_atomic(self.folder.checkpoint_path(shard), checkpoint)
        self.folder.append("checkpoint", shard=shard, tokens=step * self.per_step)
        self._keep(shard, checkpoint)

    def _keep(self, shard: int, checkpoint: bytes) -> None:
        """Have it at hand in the cluster, should the shard be trained again there."""
        import ray

        self.mailbox.keep.remote(shard, [ray.put(checkpoint)])

    def _withdraw(self, *, only_idle: bool = False) -> None:
        """Give up the shards that are out, or only those that have not begun to train."""
        import ray

        self.unsent.clear()
        for reference, shard in list(self.waiting.items()):
            if not (only_idle and self.attempts[shard]):
                ray.cancel(reference, force=True)
                del self.waiting[reference]


def _in_words(error: Exception) -> str:
    """What became of a shard that Ray could not train."""
    from ray.exceptions import OutOfMemoryError, RayTaskError, RuntimeEnvSetupError

    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, OutOfMemoryError):
        return "The memory of a node does not hold a shard. Choose a smaller proxy or batch, or larger nodes."
    if isinstance(error, RuntimeEnvSetupError):
        return f"A node could not take the library over: {first}"
    if isinstance(error, RayTaskError):
        return f"A shard cannot be trained: {type(error.cause).__name__}: {error.cause}".splitlines()[0]
    return (
        f"The node or the process that trained a shard died, {RETRIES + 1} times in a row "
        f"({type(error).__name__}). Finished shards are kept; resume trains the rest."
    )


def _say(words: str) -> None:
    """Write to the job's log."""
    with suppress(OSError):
        print(words, flush=True)
