"""Training many proxies at once: K models of one shape as one stacked model.

The Hugging Face module is run under `vmap` over K sets of parameters (`torch.func`), so K small matrix
products become one large one. Proxies do not see each other: vmap keeps them apart, AdamW works element
by element on the stacked parameters, gradients are clipped per proxy, and a proxy that diverges leaves
only its own slice without a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalmix_core.proxy.spec import ProxySpec

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, np.ndarray], None]
"""Called with the steps done and the mean training loss of each proxy since the last call, shape (K,)."""


@dataclass(frozen=True)
class Trained:
    """What a batch of proxies learnt.

    Attributes:
        losses: held-out loss per domain in nats per token, each of shape (K,); NaN where a proxy
            diverged.
    """

    losses: dict[str, np.ndarray]


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
    progress: Progress | None = None,
    progress_every: int = 20,
) -> Trained:
    """Train K proxies from the same initial weights, each on its own sequences, and measure them.

    Args:
        spec: the proxy; all K share it.
        sequences: training tokens, integer, shape (K, spec.sequences, spec.sequence_length).
        heldout: windows by domain, int64, shape (windows, spec.sequence_length).
        seed: of the initial weights.
        device: a torch device.
        progress: called every `progress_every` steps and at the end; an exception in it ends the
            training (cancel).
        progress_every: steps between two calls.

    Returns:
        Held-out losses per domain.
    """
    import torch
    from torch.func import functional_call, stack_module_state, vmap

    count = len(sequences)
    base, models = _build(spec, count, seed)
    parameters, buffers = stack_module_state(models)
    parameters = {name: p.detach().to(device).requires_grad_() for name, p in parameters.items()}
    buffers = {name: b.to(device) for name, b in buffers.items()}

    def loss_of_one(p: dict[str, torch.Tensor], b: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        inputs = {"input_ids": x, "labels": x, "use_cache": False}
        loss: torch.Tensor = functional_call(base, (p, b), (), inputs).loss
        return loss

    losses_of = vmap(loss_of_one)
    optimiser = torch.optim.AdamW(
        [  # stacked matrices have three axes, stacked norms two; norms are not decayed
            {"params": [p for p in parameters.values() if p.dim() > 2]},
            {"params": [p for p in parameters.values() if p.dim() <= 2], "weight_decay": 0.0},
        ],
        lr=spec.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=spec.weight_decay,
        foreach=True,
    )
    running, since = torch.zeros(count, device=device), 0
    for step in range(spec.steps):
        for group in optimiser.param_groups:
            group["lr"] = spec.learning_rate * _schedule(step, spec)
        rows = slice(step * spec.batch_size, (step + 1) * spec.batch_size)
        batch = torch.from_numpy(sequences[:, rows].astype(np.int64)).to(device)
        losses = losses_of(parameters, buffers, batch)
        losses.sum().backward()
        _clip_each(list(parameters.values()), spec.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        running += losses.detach()
        since += 1
        if progress and (since == progress_every or step + 1 == spec.steps):
            progress(step + 1, (running / since).cpu().numpy())
            running, since = torch.zeros(count, device=device), 0
    with torch.no_grad():
        return Trained(_evaluate(losses_of, parameters, buffers, heldout, count, device))


def _build(spec: ProxySpec, count: int, seed: int) -> tuple[torch.nn.Module, list[torch.nn.Module]]:
    """A parameterless base model and `count` equal models, without touching torch's global seed."""
    import torch
    from transformers import LlamaForCausalLM

    config = spec.hf_config()
    models = []
    for _ in range(count):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            models.append(LlamaForCausalLM(config).train())
    with torch.device("meta"):
        base = LlamaForCausalLM(config)
    return base, models


def _schedule(step: int, spec: ProxySpec) -> float:
    """Linear warm-up, then linear decay to zero: the decay is what makes shared luck cancel."""
    warm = max(1, math.ceil(spec.warmup * spec.steps))
    if step < warm:
        return (step + 1) / warm
    return (spec.steps - step) / max(1, spec.steps - warm)


def _clip_each(parameters: Sequence[torch.Tensor], norm: float) -> None:
    """Scale each proxy's gradient to at most `norm`; a proxy never changes another's scale."""
    import torch

    grads = [p.grad for p in parameters if p.grad is not None]
    square = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0)
    scale = (norm / (square.sqrt() + 1e-6)).clamp(max=1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))


def _evaluate(
    losses_of: Callable[..., torch.Tensor],
    parameters: dict[str, torch.Tensor],
    buffers: dict[str, torch.Tensor],
    heldout: Mapping[str, np.ndarray],
    count: int,
    device: str,
    chunk: int = 16,
) -> dict[str, np.ndarray]:
    """Mean held-out loss per domain over the same windows for every proxy."""
    import torch

    out: dict[str, np.ndarray] = {}
    for domain, windows in heldout.items():
        total = np.zeros(count)
        for first in range(0, len(windows), chunk):
            part = torch.from_numpy(windows[first : first + chunk]).to(device)
            x = part.expand(count, *part.shape)
            total += losses_of(parameters, buffers, x).cpu().numpy().astype(float) * len(part)
        out[domain] = total / len(windows)
    return out
