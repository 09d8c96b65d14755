"""Batched training against plain Hugging Face training, one model at a time."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy import Family, ProxySpec, bits_per_byte, train_proxies, training
from causalmix_core.proxy.spec import PRESETS
from causalmix_core.proxy.throughput import measure_throughput
from causalmix_core.proxy.training import EXTRA, POINTS, _early_windows, _schedule, checkpoints

SPEC = ProxySpec(hidden_size=16, layers=2, heads=2, sequence_length=32, batch_size=4, tokens=32 * 4 * 25)
TOLERANCE = 2e-4
"""Nats per token: sums are rounded in another order in a stack, and 25 steps of AdamW amplify that."""


def data(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    # each proxy sees its own range of bytes, so their losses differ widely
    low = 20 * np.arange(count)[:, None, None]
    sequences = low + rng.integers(0, 20, (count, SPEC.sequences, SPEC.sequence_length))
    heldout = {d: rng.integers(lo, lo + 20, (6, SPEC.sequence_length)) for d, lo in {"a": 0, "b": 40}.items()}
    return sequences, heldout


def train_alone(
    spec: ProxySpec, sequences: np.ndarray, heldout: dict[str, np.ndarray], seed: int
) -> tuple[list[float], dict[str, float]]:
    """The same training in a few lines of plain Hugging Face and torch: training and held-out losses."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = spec.model_class(spec.hf_config())
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=spec.learning_rate,
        betas=(0.9, 0.95),
    )
    curve = []
    for step in range(spec.steps):
        for group in optimiser.param_groups:
            group["lr"] = spec.learning_rate * _schedule(step, spec)
        x = torch.from_numpy(sequences[step * spec.batch_size : (step + 1) * spec.batch_size])
        loss = model(input_ids=x, labels=x).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        curve.append(float(loss.detach()))
    with torch.no_grad():
        return curve, {
            d: float(model(input_ids=torch.from_numpy(w), labels=torch.from_numpy(w)).loss)
            for d, w in heldout.items()
        }


@pytest.mark.parametrize("stack", [3, 2, 1])
@pytest.mark.parametrize("family", get_args(Family))
def test_a_proxy_learns_what_plain_training_teaches_it(family: Family, stack: int) -> None:
    spec = SPEC.model_copy(update={"family": family})
    sequences, heldout = data(3)
    seen: list[np.ndarray] = []
    together = train_proxies(
        spec, sequences, heldout, seed=5, stack=stack, progress=lambda s, x: seen.append(x), progress_every=1
    )
    for k in range(3):
        curve, alone = train_alone(spec, sequences[k], heldout, seed=5)
        np.testing.assert_allclose([x[k] for x in seen], curve, atol=TOLERANCE)
        for domain in heldout:
            assert together.losses[domain][k] == pytest.approx(alone[domain], abs=TOLERANCE)
    # they did learn, each its own bytes
    assert together.losses["a"][0] < together.losses["a"][2] - 0.3
    assert together.losses["b"][2] < together.losses["b"][0] - 0.3
    assert together.failed_at.tolist() == [0, 0, 0]


def test_batch_mates_do_not_matter() -> None:
    sequences, heldout = data(4)
    all_four = train_proxies(SPEC, sequences, heldout, seed=5).losses
    pair = train_proxies(SPEC, sequences[[2, 0]], heldout, seed=5).losses
    for domain in heldout:
        assert pair[domain] == pytest.approx(all_four[domain][[2, 0]], abs=TOLERANCE)


@pytest.mark.parametrize("poison", [float("nan"), 1e30])
@pytest.mark.parametrize("stack", [3, 1])
def test_a_proxy_that_starts_broken_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, poison: float, stack: int
) -> None:
    sequences, heldout = data(3)
    healthy = train_proxies(SPEC, sequences, heldout, seed=5).losses
    build = training.new_stacks

    def poisoned(*args):
        stacks = build(*args)
        for s in stacks:
            if 1 in s.members:
                with torch.no_grad():
                    for p in s.parameters.values():
                        p[s.members.index(1)].fill_(poison)
        return stacks

    monkeypatch.setattr(training, "new_stacks", poisoned)
    hurt = train_proxies(SPEC, sequences, heldout, seed=5, stack=stack)
    assert hurt.failed_at.tolist() == [0, 1, 0]
    for domain in heldout:
        assert np.isnan(hurt.losses[domain][1])
        assert hurt.losses[domain][[0, 2]] == pytest.approx(healthy[domain][[0, 2]], abs=TOLERANCE)


def test_a_proxy_that_diverges_half_way_is_stopped_and_its_mates_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sequences, heldout = data(3)
    healthy = train_proxies(SPEC, sequences, heldout, seed=5)
    stacks: list[training.Stack] = []
    build = training.new_stacks
    monkeypatch.setattr(training, "new_stacks", lambda *a: stacks.extend(build(*a)) or list(stacks))
    seen: list[np.ndarray] = []

    def watch(step: int, losses: np.ndarray) -> None:
        seen.append(losses)
        if step == 15:
            with torch.no_grad():
                next(iter(stacks[0].parameters.values()))[0].fill_(float("inf"))

    hurt = train_proxies(SPEC, sequences, heldout, seed=5, stack=3, progress=watch, progress_every=1)
    assert hurt.failed_at.tolist() == [16, 0, 0]
    assert stacks[0].members == [1, 2]
    assert np.isfinite(np.array(seen)[:15]).all()
    assert np.isnan(np.array(seen)[15:, 0]).all()
    for before, after in zip(healthy.trajectory, hurt.trajectory, strict=True):
        for domain in heldout:
            assert np.isnan(after.losses[domain][0]) == (after.tokens > 15 * 4 * 32)
            assert after.losses[domain][1:] == pytest.approx(before.losses[domain][1:], abs=TOLERANCE)


def test_when_all_diverge_the_training_still_ends() -> None:
    sequences, heldout = data(2)
    wild = SPEC.model_copy(update={"learning_rate": 1e30})  # the second step sees overflown weights
    trained = train_proxies(wild, sequences, heldout, seed=0)
    assert (trained.failed_at > 0).all()
    assert all(np.isnan(v).all() for v in trained.losses.values())


@pytest.mark.parametrize("room", [2, 1])
def test_a_stack_that_does_not_fit_is_halved_and_goes_on(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    sequences, heldout = data(4)
    expected = train_proxies(SPEC, sequences, heldout, seed=5, stack=4)
    losses = training.Stack.losses
    calls, sizes = [0], set()

    def crowded(self: training.Stack, tokens: torch.Tensor) -> torch.Tensor:
        """From the eleventh pass on, another program has taken the memory."""
        calls[0] += 1
        if calls[0] > 10 and len(self) > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        if calls[0] > 20:
            sizes.add(len(self))
        return losses(self, tokens)

    monkeypatch.setattr(training.Stack, "losses", crowded)
    trained = train_proxies(SPEC, sequences, heldout, seed=5, stack=4)
    assert sizes == {room}
    assert trained.failed_at.tolist() == [0] * 4
    for domain in heldout:
        assert trained.losses[domain] == pytest.approx(expected.losses[domain], abs=TOLERANCE)


def test_a_single_proxy_that_does_not_fit_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(self: training.Stack, tokens: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(training.Stack, "losses", crowded)
    with pytest.raises(CausalMixError, match=r"does not hold one proxy .* 4 sequences of 32 tokens"):
        train_proxies(SPEC, *data(3), seed=0, stack=3)


def test_a_trajectory_doubles_its_tokens_and_ends_with_the_losses() -> None:
    sequences, heldout = data(3)
    trained = train_proxies(SPEC, sequences, heldout, seed=5)
    tokens = [p.tokens for p in trained.trajectory]
    assert tokens == [128 * s for s in (4, 7, 13, 25)]
    assert trained.trajectory[-1].losses is trained.losses
    assert trained.trajectory[-1].windows == {"a": 6, "b": 6}
    own = [p.losses["a"][0] for p in trained.trajectory]
    assert all(later < earlier for earlier, later in pairwise(own))


@pytest.mark.parametrize("name", PRESETS)
def test_points_on_the_way_cost_little(name: str) -> None:
    spec = PRESETS[name]
    length = spec.sequence_length
    heldout = {str(d): np.zeros((64, length), np.int64) for d in range(5)}
    read = (POINTS - 1) * sum(len(w) for w in _early_windows(spec, heldout).values()) * length
    assert read / 3 <= EXTRA * spec.tokens  # reading costs a third of training
    assert len(checkpoints(spec)) == POINTS
    assert checkpoints(spec)[-1] == spec.steps


def test_bits_per_byte_spread_the_ends_of_documents_over_the_text() -> None:
    sizes = np.ones((3, 9), np.int64)
    assert bits_per_byte(math.log(2), sizes) == pytest.approx(1.0)
    ends = sizes.copy()
    ends[:, 1:5] = 0
    ends[:, 0] = 0  # is not predicted
    assert bits_per_byte(math.log(2), ends) == pytest.approx(2.0)
    assert bits_per_byte(math.log(2), 4 * sizes) == pytest.approx(0.25)


@pytest.mark.parametrize("family", get_args(Family))
def test_bfloat16_is_close_to_float32(family: Family) -> None:
    sequences, heldout = data(2)
    spec = SPEC.model_copy(update={"family": family})
    exact = train_proxies(spec, sequences, heldout, seed=5).losses
    for stack in (2, 1):
        rounded = train_proxies(
            spec.model_copy(update={"precision": "bfloat16"}), sequences, heldout, seed=5, stack=stack
        ).losses
        for domain in heldout:
            assert rounded[domain] == pytest.approx(exact[domain], abs=0.05)
            assert (rounded[domain] != exact[domain]).all()


def test_progress_reports_each_proxy_and_can_stop_the_training() -> None:
    sequences, heldout = data(2)
    seen: list[tuple[int, np.ndarray]] = []
    train_proxies(
        SPEC, sequences, heldout, seed=0, progress=lambda s, x: seen.append((s, x)), progress_every=10
    )
    assert [s for s, _ in seen] == [10, 20, 25]
    assert all(x.shape == (2,) for _, x in seen)
    assert (seen[-1][1] < seen[0][1]).all()

    def stop(step: int, losses: np.ndarray) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_proxies(SPEC, sequences, heldout, seed=0, progress=stop, progress_every=1)


def test_the_global_random_state_is_left_alone() -> None:
    sequences, _ = data(1)
    before = torch.random.get_rng_state()
    train_proxies(SPEC.model_copy(update={"tokens": 1024}), sequences, {}, seed=3)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_counted_as_transformers_counts_them(name: str, family: Family) -> None:
    spec = PRESETS[name].model_copy(update={"family": family})
    with torch.device("meta"):
        model = spec.model_class(spec.hf_config())
    counted = sum(p.numel() for p in model.parameters())
    assert spec.parameters + spec.embedding_parameters == counted
    assert spec.embedding_parameters == sum(
        p.numel()
        for n, p in model.named_parameters()
        if "emb" in n or "head" in n or "wte" in n or "wpe" in n
    )


def test_a_proxy_as_of_old_is_written_as_of_old() -> None:
    assert not {"family", "precision"} & set(SPEC.model_dump())
    new = SPEC.model_copy(update={"family": "gpt2", "precision": "bfloat16"})
    assert ProxySpec.model_validate_json(new.model_dump_json()) == new


def test_the_schedule_warms_up_and_ends_near_zero() -> None:
    rates = [_schedule(s, SPEC) for s in range(SPEC.steps)]
    assert max(rates) == 1.0
    assert rates[0] < 1
    assert 0 < rates[-1] < 0.1


def test_throughput_is_measured() -> None:
    assert measure_throughput(SPEC, "cpu", 1) > 1000


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_size": 24, "heads": 5},
        {"tokens": 10},
        {"learning_rate": 0},
        {"colour": "red"},
        {"family": "t5"},
    ],
)
def test_impossible_proxies_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ProxySpec(**fields)
