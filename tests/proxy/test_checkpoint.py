"""A training that stopped and goes on from its state, against one that ran through."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch

from causalmix_core.proxy import ProxySpec, train_proxies
from causalmix_core.proxy.training import Trained, TrainingState

SPEC = ProxySpec(hidden_size=16, layers=2, heads=2, sequence_length=32, batch_size=4, tokens=32 * 4 * 24)


class _StopError(Exception):
    pass


def data(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    sequences = rng.integers(0, 200, (count, SPEC.sequences, SPEC.sequence_length))
    return sequences, {d: rng.integers(0, 200, (6, SPEC.sequence_length)) for d in "ab"}


def stopped_at(step: int, stack: int) -> tuple[TrainingState, list[np.ndarray]]:
    """The state after a step as it comes back from a file, and the progress until then."""
    file, seen = io.BytesIO(), []

    def keep(now: int, take: Callable[[], TrainingState]) -> None:
        if now == step:
            torch.save(take().packed(), file)
            raise _StopError

    with pytest.raises(_StopError):
        train_proxies(
            SPEC, *data(4), seed=3, stack=stack, keep=keep, progress_every=5,
            progress=lambda s, x: seen.append(x),
        )  # fmt: skip
    file.seek(0)
    return TrainingState.unpacked(torch.load(file, weights_only=True)), seen


@pytest.mark.parametrize(("step", "stack"), [(1, 4), (7, 3), (12, 1), (23, 2)])
def test_going_on_gives_what_running_through_gives(step: int, stack: int) -> None:
    whole_curve: list[np.ndarray] = []
    whole = train_proxies(
        SPEC, *data(4), seed=3, stack=stack, progress_every=5, progress=lambda s, x: whole_curve.append(x)
    )
    state, curve = stopped_at(step, stack)
    # Of another stack size: the stacks of the state are gone on with.
    rest = train_proxies(
        SPEC, *data(4), seed=3, stack=4, start=state, progress_every=5,
        progress=lambda s, x: curve.append(x),
    )  # fmt: skip
    assert_same(rest, whole)
    np.testing.assert_array_equal(curve, whole_curve)


def assert_same(one: Trained, other: Trained) -> None:
    assert one.failed_at.tolist() == other.failed_at.tolist()
    assert [(p.tokens, p.windows) for p in one.trajectory] == [
        (p.tokens, p.windows) for p in other.trajectory
    ]
    for mine, theirs in zip(one.trajectory, other.trajectory, strict=True):
        for domain in "ab":
            np.testing.assert_array_equal(mine.losses[domain], theirs.losses[domain])


def test_a_diverged_proxy_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = stopped_at(5, 4)
    hurt = dict(state.stacks[0]["parameters"])
    for tensor in hurt.values():
        tensor[2].fill_(float("nan"))
    once = train_proxies(SPEC, *data(4), seed=3, start=state)
    assert once.failed_at.tolist() == [0, 0, 6, 0]

    def stop(step: int, take: Callable[[], TrainingState]) -> None:
        if step == 9:
            states.append(TrainingState.unpacked(take().packed()))
            raise _StopError

    states: list[TrainingState] = []
    state, _ = stopped_at(5, 4)
    for tensor in state.stacks[0]["parameters"].values():
        tensor[2].fill_(float("nan"))
    with pytest.raises(_StopError):
        train_proxies(SPEC, *data(4), seed=3, start=state, keep=stop)
    twice = train_proxies(SPEC, *data(4), seed=3, start=states[0])
    assert states[0].stacks[0]["members"] == [0, 1, 3]
    assert_same(twice, once)


@pytest.mark.parametrize(
    ("other", "count"),
    [({"hidden_size": 32}, 4), ({"tokens": 32 * 4 * 5}, 4), ({}, 3), ({"family": "gpt2"}, 4)],
)
def test_the_state_of_another_training_is_refused(other: dict[str, object], count: int) -> None:
    state, _ = stopped_at(7, 4)
    spec = SPEC.model_copy(update=other)
    with pytest.raises((KeyError, ValueError)):
        train_proxies(spec, *data(count), seed=3, start=state)
