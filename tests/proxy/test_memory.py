"""How many proxies fit, and which number is best: the estimate against what torch keeps."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy import PRESETS, Family, ProxySpec, memory, stack_size
from causalmix_core.proxy.memory import activation_bytes, bytes_per_proxy, in_words, token_bytes
from causalmix_core.proxy.stack import new_stacks

MIDDLE = ProxySpec(hidden_size=64, heads=4, sequence_length=128, batch_size=2)
GIB = 2**30


def kept_bytes(spec: ProxySpec, count: int) -> int:
    """Bytes of all tensors that the forward pass of a stack keeps, its parameters left out."""
    (stack,) = new_stacks(spec, range(count), count, 0, "cpu")
    own = {p.untyped_storage().data_ptr() for p in stack.parameters.values()}
    kept: dict[int, torch.Tensor] = {}

    def keep(t: torch.Tensor) -> torch.Tensor:
        if t.untyped_storage().data_ptr() not in own:
            kept[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        loss = stack.losses(torch.zeros((count, spec.batch_size, spec.sequence_length), dtype=torch.int64))
    assert loss.requires_grad
    return sum(t.untyped_storage().nbytes() for t in kept.values())


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "fields", [{}, {"layers": 4}, {"hidden_size": 128}, {"sequence_length": 256}, {"heads": 2}], ids=str
)
@pytest.mark.parametrize("family", get_args(Family))
def test_the_estimate_agrees_with_what_torch_keeps(family: Family, fields: dict, count: int) -> None:
    spec = MIDDLE.model_copy(update={"family": family, **fields})
    estimate = activation_bytes(spec, stacked=count > 1)
    assert 0.9 < estimate * count / kept_bytes(spec, count) < 1.15


def test_a_stack_grows_with_the_memory_and_shrinks_with_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free_gpu_memory", lambda device: 80 * GIB)
    assert stack_size(PRESETS["nano"], "cuda") == memory.GPU_STACK
    deca, hecto = (stack_size(PRESETS[p], "cuda") for p in ("deca", "hecto"))
    assert memory.GPU_STACK > deca > hecto > 1
    assert hecto * bytes_per_proxy(PRESETS["hecto"]) <= 80 * GIB
    assert stack_size(PRESETS["deca"], "cuda", workers=4) <= deca // 4


def test_on_a_cpu_only_small_proxies_are_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free_memory", lambda: 64 * GIB)
    sizes = {name: stack_size(spec, "cpu") for name, spec in PRESETS.items()}
    assert sizes == {name: memory.CPU_STACK if name == "nano" else 1 for name in PRESETS}
    assert stack_size(MIDDLE, "cpu") == memory.CPU_STACK
    monkeypatch.setattr(memory, "_free_memory", lambda: 16 * 2**20)
    assert 1 < stack_size(PRESETS["nano"], "cpu") < memory.CPU_STACK


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_proxy_that_does_not_fit_is_refused_with_the_estimate(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(memory, "_free_memory", lambda: GIB)
    monkeypatch.setattr(memory, "_free_gpu_memory", lambda device: GIB)
    tokens = token_bytes(PRESETS["hecto"]) if device == "cpu" else 0
    needed = in_words(bytes_per_proxy(PRESETS["hecto"], stacked=False) + tokens)
    with pytest.raises(CausalMixError, match=f"56,636,160 parameters needs about {needed}.*each of 2"):
        stack_size(PRESETS["hecto"], device, workers=2)


def test_the_limit_of_a_control_group_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    machine = memory._free_memory()
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert memory._free_memory() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._free_memory() == pytest.approx(machine, rel=0.5)


def test_sizes_are_readable() -> None:
    assert [in_words(n) for n in (10, 2048, 5 * 2**20, 1.5 * GIB)] == [
        "10 bytes",
        "2 KiB",
        "5 MiB",
        "1.5 GiB",
    ]
