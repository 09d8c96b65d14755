"""What runs on the nodes of a Ray cluster: the training of a shard, and the mailbox of the job.

Both are sent to the nodes by value, so this file imports nothing but the standard library when it is
loaded: a node that lacks a package can then say so in words.

Nothing here waits by `ray.get` or `ray.wait`: Ray lends the core of a task that waits to the next task, which
then stays beside it. Futures wait without that.
"""

from __future__ import annotations

import io
import math
import pickle
import socket
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    import pandas as pd
    from ray import ObjectRef
    from ray.actor import ActorHandle

    from causalmix_core.probes import Probe
    from causalmix_core.proxy import TokenPool
    from causalmix_core.proxy.training import TrainingState

LOOK_SECONDS = 0.5
"""Between two looks whether the job is to pause."""
WAIT_SECONDS = 60.0
"""How long a checkpoint may take to arrive."""
Letter = dict[str, Any]
"""What a shard tells. Always: `shard`, `attempt` (drawn anew when Ray trains the shard again), `start` and
`step` (steps that were done when the attempt began, and now). Besides: `node` and `versions` (it begins),
`loss` (of each probe), `checkpoint` (a list with the reference of one)."""


@dataclass(frozen=True)
class Order:
    """A shard to be trained.

    Attributes:
        shard: its number.
        probes: numbers of its probes.
        swarm: the `SwarmSpec` as JSON.
        snapshot: id.
        job: id.
        device: `cpu` or `cuda`.
        key: what a checkpoint must agree with.
        letter_seconds: least time between two letters.
        curve_points: most points of a training curve.
        checkpoint_seconds: least time between two checkpoints.
        checkpoint_share: most part of the time that writing checkpoints may take.
    """

    shard: int
    probes: tuple[int, ...]
    swarm: str
    snapshot: str
    job: str
    device: str
    key: str
    letter_seconds: float
    curve_points: int
    checkpoint_seconds: float
    checkpoint_share: float


@dataclass(frozen=True)
class Outcome:
    """What became of a shard: exactly one of rows, checkpoint and failure is there.

    Attributes:
        rows: it is finished.
        checkpoint: it was paused.
        failure: it cannot be trained, in words.
        details: a traceback for the log, where there is one.
    """

    rows: pd.DataFrame | None = None
    checkpoint: bytes | None = None
    failure: str = ""
    details: str = ""


class Mailbox:
    """What the driver and the shards of a job tell each other; an actor on the driver's node."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._checkpoints: dict[int, list[ObjectRef]] = {}
        self._pausing = False

    def put(self, letter: Letter) -> None:
        """Leave a letter for the driver."""
        self._letters.append(letter)

    def take(self) -> list[Letter]:
        """All letters since the last call, in the order in which they came."""
        letters, self._letters = self._letters, []
        return letters

    def pause(self) -> None:
        """Ask all shards to stop where they are."""
        self._pausing = True

    def pausing(self) -> bool:
        """Whether the shards are to stop where they are."""
        return self._pausing

    def keep(self, shard: int, checkpoint: list[ObjectRef]) -> None:
        """Keep what a shard can go on from if it has to be trained again."""
        self._checkpoints[shard] = checkpoint

    def checkpoint(self, shard: int) -> list[ObjectRef]:
        """What a shard can go on from; empty where it begins anew."""
        return self._checkpoints.get(shard, [])


@dataclass(frozen=True)
class Parcel:
    """The token pool and the probes of a swarm, packed so that a node's processes share the arrays.

    It is unpacked only when it is asked for: only where the packages are known to be there.

    Attributes:
        pickled: everything but the arrays.
        arrays: their bytes, each uint8, shape (n,).
    """

    pickled: bytes
    arrays: list[np.ndarray]

    @classmethod
    def pack(cls, pool: TokenPool, probes: list[Probe]) -> Parcel:
        """Pack them; arrays are not copied."""
        import numpy as np

        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps((pool, probes), protocol=5, buffer_callback=buffers.append)
        return cls(pickled, [np.frombuffer(b.raw(), np.uint8) for b in buffers])

    def unpack(self) -> tuple[TokenPool, list[Probe]]:
        """The pool, whose arrays cannot be written to, and the probes.

        Raises:
            ImportError: a package that they need is not there.
        """
        unpacked: tuple[TokenPool, list[Probe]] = pickle.loads(self.pickled, buffers=self.arrays)
        return unpacked


class PausedError(Exception):
    """The training ends here, to go on from this checkpoint."""

    def __init__(self, checkpoint: bytes) -> None:
        super().__init__()
        self.checkpoint = checkpoint


def versions() -> dict[str, str]:
    """Versions of the packages that decide the last digits of a loss."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("torch", "transformers", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def train_shard(order: Order, material: Parcel, mailbox: ActorHandle) -> Outcome:
    """Train the probes of a shard on this node.

    Args:
        order: what to train.
        material: the token pool, and all probes of the swarm.
        mailbox: handle of the `Mailbox`.
    """
    node = socket.gethostname()
    try:
        import torch

        from causalmix_core.errors import CausalMixError
        from causalmix_core.probes import SwarmSpec
        from causalmix_core.probes.shard import run_shard

        pool, designed = material.unpack()
    except ImportError as error:
        return Outcome(
            failure=f"The node {node} cannot train: {error}. Install CausalMix's requirements on every node "
            "(docs/RAY.md).",
            details=traceback.format_exc(),
        )
    if order.device == "cuda" and not torch.cuda.is_available():
        return Outcome(
            failure=f"Ray lends a GPU of the node {node}, but its torch {torch.__version__} cannot use it. "
            "Install torch with CUDA there."
        )
    if order.device == "cpu":
        torch.set_num_threads(1)
    spec = SwarmSpec.model_validate_json(order.swarm)
    start = _checkpoint(order, mailbox)
    watch = _Watch(order, mailbox, spec.proxy.steps, start.step if start else 0)
    watch.tell(watch.start, node=node, versions=versions())
    try:
        rows = run_shard(
            # Arrays from the object store cannot be written to, which torch warns of.
            replace(pool, heldout={domain: windows.copy() for domain, windows in pool.heldout.items()}),
            order.snapshot,
            spec,
            [designed[number] for number in order.probes],
            job=order.job,
            device=order.device,
            progress=watch.progress,
            progress_every=1,
            start=start,
            keep=watch.keep,
        )
    except PausedError as paused:
        return Outcome(checkpoint=paused.checkpoint)
    except CausalMixError as error:
        return Outcome(failure=f"Node {node}: {error}")
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        return Outcome(failure=f"Node {node}: {words}", details=traceback.format_exc())
    return Outcome(rows=rows)


def _checkpoint(order: Order, mailbox: ActorHandle) -> TrainingState | None:
    """The state that the shard goes on from; None where there is none that can be used."""
    import torch

    from causalmix_core.proxy.training import TrainingState

    try:
        kept = mailbox.checkpoint.remote(order.shard).future().result(WAIT_SECONDS)
        if not kept:
            return None
        content = kept[0].future().result(WAIT_SECONDS)
        found = torch.load(io.BytesIO(content), map_location=order.device, weights_only=True)
        return TrainingState.unpacked(found["state"]) if found["key"] == order.key else None
    except Exception:  # torch raises whatever the damage provokes; without a checkpoint the shard begins anew
        traceback.print_exc()
        return None


class _Watch:
    """Tells how a shard gets on, hands in its checkpoints, and ends it when the job is to pause."""

    def __init__(self, order: Order, mailbox: ActorHandle, steps: int, start: int) -> None:
        self.order, self.mailbox, self.steps, self.start = order, mailbox, steps, start
        self.attempt = uuid.uuid4().hex
        self.told = self.looked = 0.0
        self.asked: Future[bool] | None = None
        self.point = start
        self.sum: np.ndarray | float = 0.0
        self.due = time.monotonic() + order.checkpoint_seconds

    def tell(self, step: int, **more: object) -> ObjectRef:
        """Leave a letter."""
        letter = {"shard": self.order.shard, "attempt": self.attempt, "start": self.start, "step": step}
        return self.mailbox.put.remote({**letter, **more})

    def progress(self, step: int, losses: np.ndarray) -> None:
        """Tell the progress, not more often than asked for."""
        self.sum = self.sum + losses
        now = time.monotonic()
        if now - self.told < self.order.letter_seconds and step < self.steps:
            return
        self.told = now
        curve: dict[str, object] = {}
        news = step - self.point  # none when probes answer tasks after the last step
        if news and (news >= self.steps / self.order.curve_points or step == self.steps):
            mean = self.sum / news
            curve["loss"] = [round(float(x), 4) if math.isfinite(x) else None for x in mean]
            self.sum, self.point = 0.0, step
        sent = self.tell(step, **curve)
        if step == self.steps:  # the rows must not overtake it
            with suppress(Exception):
                sent.future().result(WAIT_SECONDS)

    def keep(self, step: int, take: Callable[[], TrainingState]) -> None:
        """Hand in a checkpoint when it is time for one; end the training when the job is to pause."""
        import ray

        now = time.monotonic()
        if self.asked is not None and self.asked.done():
            pausing = self.asked.exception() is None and self.asked.result()
            self.asked = None
            if pausing:
                raise PausedError(self._packed(take()))
        if self.asked is None and now - self.looked >= LOOK_SECONDS:
            self.looked = now
            self.asked = self.mailbox.pausing.remote().future()
        if now >= self.due:
            self.tell(step, checkpoint=[ray.put(self._packed(take()))])
            took = time.monotonic() - now
            self.due = time.monotonic() + max(
                self.order.checkpoint_seconds, took / self.order.checkpoint_share
            )

    def _packed(self, state: TrainingState) -> bytes:
        import torch

        content = io.BytesIO()
        torch.save({"key": self.order.key, "state": state.packed()}, content)
        return content.getvalue()
