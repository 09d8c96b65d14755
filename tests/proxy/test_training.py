"""Batched training against plain Hugging Face training, one model at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from causalmix_core.proxy import ProxySpec, train_proxies
from causalmix_core.proxy.spec import PRESETS, VOCABULARY
from causalmix_core.proxy.throughput import measure_throughput
from causalmix_core.proxy.training import _schedule

SPEC = ProxySpec(hidden_size=16, layers=2, heads=2, sequence_length=32, batch_size=4, tokens=32 * 4 * 25)


def data(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    # each proxy sees its own range of bytes, so their losses differ widely
    low = 20 * np.arange(count)[:, None, None]
    sequences = low + rng.integers(0, 20, (count, SPEC.sequences, SPEC.sequence_length))
    heldout = {d: rng.integers(lo, lo + 20, (6, SPEC.sequence_length)) for d, lo in {"a": 0, "b": 40}.items()}
    return sequences, heldout


def train_alone(sequences: np.ndarray, heldout: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    """The same training in ten lines of plain Hugging Face and torch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(SPEC.hf_config())
    matrices = [p for p in model.parameters() if p.dim() > 1]
    norms = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": SPEC.weight_decay}, {"params": norms, "weight_decay": 0.0}],
        lr=SPEC.learning_rate,
        betas=(0.9, 0.95),
    )
    for step in range(SPEC.steps):
        for group in optimiser.param_groups:
            group["lr"] = SPEC.learning_rate * _schedule(step, SPEC)
        x = torch.from_numpy(sequences[step * SPEC.batch_size : (step + 1) * SPEC.batch_size])
        model(input_ids=x, labels=x).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), SPEC.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
    with torch.no_grad():
        return {
            d: float(model(input_ids=torch.from_numpy(w), labels=torch.from_numpy(w)).loss)
            for d, w in heldout.items()
        }


def test_a_proxy_in_a_batch_learns_what_it_learns_alone() -> None:
    sequences, heldout = data(3)
    together = train_proxies(SPEC, sequences, heldout, seed=5).losses
    for k in range(3):
        alone = train_alone(sequences[k], heldout, seed=5)
        for domain in heldout:
            assert together[domain][k] == pytest.approx(alone[domain], abs=2e-4)
    assert together["a"][0] < together["a"][2] - 1  # they did learn, each its own bytes
    assert together["b"][2] < together["b"][0] - 1


def test_batch_mates_do_not_matter() -> None:
    sequences, heldout = data(4)
    all_four = train_proxies(SPEC, sequences, heldout, seed=5).losses
    pair = train_proxies(SPEC, sequences[[2, 0]], heldout, seed=5).losses
    for domain in heldout:
        assert pair[domain] == pytest.approx(all_four[domain][[2, 0]], abs=2e-4)


def test_a_diverging_proxy_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences, heldout = data(3)
    healthy = train_proxies(SPEC, sequences, heldout, seed=5).losses

    from causalmix_core.proxy import training

    build = training._build

    def poisoned(*args):
        base, models = build(*args)
        with torch.no_grad():
            next(models[1].parameters()).fill_(float("nan"))
        return base, models

    monkeypatch.setattr(training, "_build", poisoned)
    hurt = train_proxies(SPEC, sequences, heldout, seed=5).losses
    for domain in heldout:
        assert np.isnan(hurt[domain][1])
        assert hurt[domain][[0, 2]] == pytest.approx(healthy[domain][[0, 2]], abs=2e-4)


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


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_counted_as_transformers_counts_them(name: str) -> None:
    spec = PRESETS[name]
    model = LlamaForCausalLM(spec.hf_config())
    embeddings = 2 * VOCABULARY * spec.hidden_size
    assert spec.parameters == sum(p.numel() for p in model.parameters()) - embeddings


def test_the_schedule_warms_up_and_ends_near_zero() -> None:
    rates = [_schedule(s, SPEC) for s in range(SPEC.steps)]
    assert max(rates) == 1.0
    assert rates[0] < 1
    assert 0 < rates[-1] < 0.1


def test_throughput_is_measured() -> None:
    assert measure_throughput(SPEC, "cpu", 1) > 1000


@pytest.mark.parametrize(
    "fields", [{"hidden_size": 24, "heads": 5}, {"tokens": 10}, {"learning_rate": 0}, {"colour": "red"}]
)
def test_impossible_proxies_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ProxySpec(**fields)
