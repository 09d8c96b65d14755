"""Training many proxies at once, each on its own sequences, and measuring them on the way.

All proxies take a step before any takes the next. They are cut into stacks of a size that the device is
good at (`stack_size`); what a proxy learns depends neither on its stack nor on its mates there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.memory import bytes_per_proxy, in_words, stack_size
from causalmix_core.proxy.spec import ProxySpec
from causalmix_core.proxy.stack import Reader, Stack, StackState, new_stacks, restored_stacks, work_through

Progress = Callable[[int, np.ndarray], None]
"""Called with the steps done and the mean training loss of each proxy since the last call, shape (K,); NaN
for a proxy that diverged."""

Visit = Callable[[int, Reader], None]
"""Called with the number of a trained proxy and what it predicts."""

POINTS = 4
"""Points of a trajectory; each comes after twice the tokens of the one before, the last is the end."""
EXTRA = 0.04
"""Part of the training time that the points before the last may take."""
WINDOWS = 16
"""Held-out windows that are read at once."""


@dataclass(frozen=True)
class TrajectoryPoint:
    """What proxies knew at a point of their training.

    Attributes:
        tokens: training tokens that each had read.
        losses: held-out loss per domain in nats per token, each of shape (K,); NaN where a proxy had
            diverged.
        windows: by domain, the held-out windows these are means of. Points before the last read fewer,
            the same for every proxy.
    """

    tokens: int
    losses: dict[str, np.ndarray]
    windows: dict[str, int]


@dataclass(frozen=True)
class TrainingState:
    """A training between two steps: all that it needs to go on as if it had never stopped.

    Attributes:
        step: steps that are done.
        stacks: the proxies that still train.
        failed_at: as in `Trained`.
        running: sums of training losses since the last call of `progress`, shape (K,).
        since: steps in these sums.
        trajectory: the points so far.
    """

    step: int
    stacks: list[StackState]
    failed_at: np.ndarray
    running: np.ndarray
    since: int
    trajectory: list[TrajectoryPoint]

    def packed(self) -> dict[str, Any]:
        """The state as numbers, texts, tensors, and lists and dicts of them: what torch loads safely."""
        return {
            "step": self.step,
            "stacks": self.stacks,
            "failed_at": self.failed_at.tolist(),
            "running": self.running.tolist(),
            "since": self.since,
            "trajectory": [
                {
                    "tokens": p.tokens,
                    "losses": {d: v.tolist() for d, v in p.losses.items()},
                    "windows": p.windows,
                }
                for p in self.trajectory
            ],
        }

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any]) -> TrainingState:
        """The state that `packed` gave.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return cls(
            step=int(packed["step"]),
            stacks=list(packed["stacks"]),
            failed_at=np.asarray(packed["failed_at"], int),
            running=np.asarray(packed["running"], float),
            since=int(packed["since"]),
            trajectory=[
                TrajectoryPoint(
                    int(p["tokens"]),
                    {d: np.asarray(v, float) for d, v in p["losses"].items()},
                    dict(p["windows"]),
                )
                for p in packed["trajectory"]
            ],
        )


Keep = Callable[[int, Callable[[], TrainingState]], None]
"""Called after every step but the last with the steps done and a function that takes the state. The state
shares its tensors with the training: write it before returning. An exception ends the training."""


@dataclass(frozen=True)
class Trained:
    """What a batch of proxies learnt.

    Attributes:
        losses: held-out loss per domain in nats per token, each of shape (K,); NaN where a proxy
            diverged.
        trajectory: the same at some points of training, by growing tokens; the last is the end. The
            learning rate falls until the end, so a point on the way is no forecast of a shorter training.
        failed_at: the step in which a proxy diverged and was stopped, 0 where it did not; shape (K,).
    """

    losses: dict[str, np.ndarray]
    trajectory: list[TrajectoryPoint] = field(default_factory=list)
    failed_at: np.ndarray = field(default_factory=lambda: np.zeros(0, int))


def choose_device() -> str:
    """`cuda` when torch sees a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def train_proxies(
    spec: ProxySpec,
    sequences: np.ndarray,
    heldout: Mapping[str, np.ndarray],
    *,
    seed: int,
    device: str = "cpu",
    stack: int | None = None,
    progress: Progress | None = None,
    progress_every: int = 20,
    start: TrainingState | None = None,
    keep: Keep | None = None,
    visit: Visit | None = None,
) -> Trained:
    """Train K proxies from the same initial weights, each on its own sequences, and measure them.

    A proxy whose loss or gradient is not finite is stopped there and then. A stack that runs out of the
    memory of a GPU is halved and goes on.

    Args:
        spec: the proxy; all K share it.
        sequences: training tokens, integer, shape (K, spec.sequences, spec.sequence_length).
        heldout: windows by domain, int64, shape (windows, spec.sequence_length).
        seed: of the initial weights.
        device: a torch device.
        stack: proxies that are computed as one at most; None: what the device is good at. It changes
            results by rounding only.
        progress: called every `progress_every` steps and at the end; an exception in it ends the
            training (cancel).
        progress_every: steps between two calls.
        start: go on from this state of the same training. On a CPU the result is the same as without a
            stop.
        keep: called between steps; may save the state, and end the training.
        visit: called at the end with each proxy that did not diverge; an exception in it ends the training.

    Returns:
        Held-out losses per domain, at the end and on the way.

    Raises:
        CausalMixError: the proxies do not fit into memory.
        KeyError, ValueError: `start` is a state of another training.
    """
    import torch

    count = len(sequences)
    points = checkpoints(spec)
    early = _early_windows(spec, heldout)
    if start is None:
        stacks = _begin(spec, count, stack or stack_size(spec, device), seed, device)
        start = TrainingState(0, [], np.zeros(count, int), np.zeros(count), 0, [])
    else:
        _check_start(start, count, spec.steps)
        stacks = restored_stacks(spec, start.stacks, seed, device)
    trajectory, failed_at = list(start.trajectory), start.failed_at.copy()
    running, since = start.running.copy(), start.since
    for step in range(start.step, spec.steps):
        rows = slice(step * spec.batch_size, (step + 1) * spec.batch_size)
        rate = spec.learning_rate * _schedule(step, spec)
        now = np.full(count, np.nan)

        def advance(
            stack: Stack, rows: slice = rows, rate: float = rate, now: np.ndarray = now, step: int = step
        ) -> None:
            members = stack.members
            batch = torch.from_numpy(sequences[members, rows].astype(np.int64)).to(device)
            now[members], failed = stack.step(batch, rate)
            failed_at[failed] = step + 1

        stacks = work_through(stacks, advance)
        running += now
        since += 1
        if progress and (since == progress_every or step + 1 == spec.steps):
            progress(step + 1, running / since)  # before the measuring, which takes a while at the end
            running, since = np.zeros(count), 0
        if step + 1 in points:
            chosen = dict(heldout) if step + 1 == spec.steps else early
            stacks, losses = _evaluate(stacks, chosen, count, device)
            tokens = (step + 1) * spec.batch_size * spec.sequence_length
            trajectory.append(TrajectoryPoint(tokens, losses, {d: len(w) for d, w in chosen.items()}))
        if keep and step + 1 < spec.steps:
            keep(step + 1, partial(_state, step + 1, stacks, failed_at, running, since, trajectory))
    for trained in stacks if visit else ():
        for member in trained.members:
            visit(member, trained.reader(member))  # type: ignore[misc]
    return Trained(trajectory[-1].losses, trajectory, failed_at)


def checkpoints(spec: ProxySpec) -> list[int]:
    """Steps after which held-out losses are measured: an eighth, a quarter, a half and all of training."""
    return sorted({math.ceil(spec.steps / 2**n) for n in range(POINTS)})


def bits_per_byte(loss: float, sizes: np.ndarray) -> float:
    """A loss in nats per token as bits per byte of text, which compares across tokenizers.

    What ends a document is predicted like any token and is no text, so its cost is spread over the text.

    Args:
        loss: mean over the predicted tokens of held-out windows.
        sizes: bytes of text that each token of the windows stands for, shape (n, length); all tokens but the
            first of each window are predicted.
    """
    predicted = sizes[:, 1:]
    return loss / math.log(2) * predicted.size / max(1, int(predicted.sum()))


def spread_windows(windows: np.ndarray, wanted: int) -> np.ndarray:
    """At most `wanted` of the windows and at least one, evenly spread."""
    at = np.unique(np.linspace(0, len(windows) - 1, min(max(1, wanted), len(windows))).astype(int))
    spread: np.ndarray = windows[at]
    return spread


def _early_windows(spec: ProxySpec, heldout: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The windows for the points before the last, so few that all of them stay within `EXTRA`.

    Reading takes about a third of the time of training on as many tokens.
    """
    tokens = spec.sequences * spec.sequence_length
    wanted = 3 * EXTRA * tokens / max(1, (POINTS - 1) * len(heldout) * spec.sequence_length)
    return {d: spread_windows(w, int(wanted)) for d, w in heldout.items()}


def _begin(spec: ProxySpec, count: int, size: int, seed: int, device: str) -> list[Stack]:
    import torch

    try:
        return new_stacks(spec, range(count), size, seed, device)
    except torch.OutOfMemoryError as error:
        raise CausalMixError(
            f"The memory of {device} does not hold {count} proxies at once, about "
            f"{in_words(count * bytes_per_proxy(spec))}. Train fewer together, choose a smaller proxy, or "
            "free the memory that other programs use."
        ) from error


def _state(
    step: int,
    stacks: Sequence[Stack],
    failed_at: np.ndarray,
    running: np.ndarray,
    since: int,
    trajectory: list[TrajectoryPoint],
) -> TrainingState:
    return TrainingState(
        step, [s.state() for s in stacks], failed_at.copy(), running.copy(), since, list(trajectory)
    )


def _check_start(start: TrainingState, count: int, steps: int) -> None:
    members = sorted(m for s in start.stacks for m in s["members"])
    alive = np.flatnonzero(start.failed_at == 0).tolist()
    if not 0 < start.step < steps or len(start.failed_at) != count or members != alive:
        raise ValueError("the state is that of another training")


def _schedule(step: int, spec: ProxySpec) -> float:
    """Linear warm-up, then linear decay to zero: the decay is what makes shared luck cancel."""
    warm = max(1, math.ceil(spec.warmup * spec.steps))
    if step < warm:
        return (step + 1) / warm
    return (spec.steps - step) / max(1, spec.steps - warm)


def _evaluate(
    stacks: Sequence[Stack], heldout: Mapping[str, np.ndarray], count: int, device: str
) -> tuple[list[Stack], dict[str, np.ndarray]]:
    """Mean held-out loss per domain over the same windows for every proxy; NaN for those in no stack."""
    import torch

    out = {domain: np.full(count, np.nan) for domain in heldout}

    def measure(stack: Stack) -> None:
        # Without gradients, four times the windows of a training step take less memory than the step.
        chunk = min(WINDOWS, 4 * stack.architecture.spec.batch_size)
        for domain, windows in heldout.items():
            total = np.zeros(len(stack))
            for first in range(0, len(windows), chunk):
                part = torch.from_numpy(windows[first : first + chunk]).to(device)
                losses = stack.losses(part.expand(len(stack), *part.shape))
                total += losses.float().cpu().numpy().astype(float) * len(part)
            out[domain][stack.members] = total / len(windows)

    with torch.no_grad():
        return work_through(stacks, measure), out
