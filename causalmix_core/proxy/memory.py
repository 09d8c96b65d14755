"""How many proxies to train as one stack: as many as the device is good at and its memory holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.spec import ModelShape, ProxySpec

GPU_STACK = 128
"""Largest stack on a GPU."""
CPU_STACK = 16
CPU_WORK = 24_000
"""On a CPU core, stacks of `CPU_STACK` pay up to this hidden size times tokens per step; beyond, proxies
train one at a time. Measured on one core, speed of a stack over one at a time: 5.0 at 2 thousand, 2.2 at 8
(nano), 1.2 to 1.4 at 16, 1.0 at 33 (micro), 0.65 at 131 (milli)."""
SHARE = 0.8
"""Part of the free memory that is planned with; the rest is for what the estimate does not know."""
KEPT_VECTORS: dict[str, tuple[int, int]] = {
    "llama": (10, 4),
    "qwen2": (10, 4),
    "gpt2": (6, 6),
    "gpt_neox": (10, 2),
}
"""Vectors of the hidden and of the feed-forward size that the backward pass needs, per token and layer."""
OTHER_VECTORS = (12, 6)
"""The same for families of pretrained models that were not measured: rather too many."""
CGROUP = Path("/sys/fs/cgroup")


def stack_size(spec: ProxySpec, device: str, workers: int = 1) -> int:
    """Proxies to train as one stack on a device; of a pretrained model, copies to train side by side.

    Args:
        spec: the proxy.
        device: a torch device.
        workers: processes that train side by side and share the memory.

    Raises:
        CausalMixError: not even one proxy fits into the memory that is free.
    """
    on_gpu = device.startswith("cuda")
    free = _free_gpu_memory(device) if on_gpu else _free_memory()
    tokens = 0 if on_gpu else token_bytes(spec)  # of one proxy; those of its mates are small where mates pay
    share = SHARE * free / workers - tokens
    if spec.pretrained is not None:
        alone = shared_bytes(spec) + bytes_per_copy(spec)
        fits = 1 + int((share - alone) / bytes_per_copy(spec)) if share >= alone else 0
        best = GPU_STACK if on_gpu else CPU_STACK
    else:
        alone = bytes_per_proxy(spec, stacked=False)
        fits = int(share / bytes_per_proxy(spec))
        if fits < 1 and share >= alone:
            fits = 1
        best = GPU_STACK if on_gpu else best_on_cpu(spec)
    if fits < 1:
        of = f" for each of {workers} processes" if workers > 1 else ""
        raise CausalMixError(
            f"One proxy of {spec.parameters:,} parameters needs about "
            f"{in_words(alone + tokens)} to train; {in_words(share + tokens)} can be "
            f"planned with{of} on {'the GPU' if on_gpu else 'this machine'}. "
            "Choose a smaller proxy or batch, or free memory."
        )
    return min(best, fits)


def bytes_per_proxy(spec: ProxySpec, *, stacked: bool = True) -> int:
    """Memory that one proxy takes while it trains, estimated.

    Weights and the two moments of AdamW; gradients and the squares that their norms are summed from; what
    the forward pass keeps for the backward pass. The numbers per layer are fitted to what torch keeps (a
    test holds them to it); bfloat16 keeps less.

    Args:
        spec: the proxy.
        stacked: in a stack, which keeps the table of attention scores; a single proxy does not.
    """
    if spec.pretrained is not None:
        return shared_bytes(spec) + bytes_per_copy(spec)
    shape = spec.shape
    parameters = shape.parameters + shape.embedding_parameters
    largest = max(shape.vocabulary * shape.hidden_size, shape.hidden_size * shape.intermediate_size)
    state = 4 * (3 * parameters + parameters + largest)
    if spec.precision == "bfloat16":
        state += 4 * parameters  # the copies of the weights, and their gradients
    return state + activation_bytes(spec, stacked=stacked) + _passing_bytes(spec, shape, stacked)


def bytes_per_copy(spec: ProxySpec) -> int:
    """Memory of one more copy of a pretrained model: the weights that are trained and AdamW's moments."""
    return 12 * _trained(spec)


def shared_bytes(spec: ProxySpec) -> int:
    """Memory that all copies of a pretrained model share, as only one takes a step at a time.

    The frozen weights beside adapters; gradients; and what a step keeps and passes.
    """
    shape = spec.shape
    width = 2 if spec.precision == "bfloat16" else 4
    frozen = width * (shape.parameters + shape.embedding_parameters) if spec.tuning == "lora" else 0
    gradients = 4 * _trained(spec)
    if spec.precision == "bfloat16":
        gradients += 4 * _trained(spec)  # the rounded weights and their gradients
    return frozen + gradients + activation_bytes(spec, stacked=False) + _passing_bytes(spec, shape, False)


def _trained(spec: ProxySpec) -> int:
    """Weights of a pretrained proxy that are trained."""
    shape = spec.shape
    if spec.tuning == "full":
        return shape.parameters + shape.embedding_parameters
    # Two thin matrices beside each linear layer: about seven layers, those of the feed-forward part wide.
    widths = 4 * 2 * shape.hidden_size + 3 * (shape.hidden_size + shape.intermediate_size)
    return shape.layers * spec.lora_rank * widths


def token_bytes(spec: ProxySpec) -> int:
    """Memory of the machine that the training tokens of one proxy take."""
    return np.dtype(spec.token_type).itemsize * spec.sequences * spec.sequence_length


def activation_bytes(spec: ProxySpec, *, stacked: bool) -> int:
    """Bytes that the forward pass of one training step keeps for the backward pass, estimated.

    Per token and layer some vectors of the hidden size and of the feed-forward size, and in a stack a row of
    attention scores for each head; and the loss keeps a probability for each token of the vocabulary.
    """
    shape = spec.shape
    d, f = shape.hidden_size, shape.intermediate_size
    hidden, wide = KEPT_VECTORS.get(shape.family, OTHER_VECTORS)
    scores = shape.heads * spec.sequence_length if stacked else 0
    per_token = shape.layers * (hidden * d + wide * f + scores) + 3 * d + shape.vocabulary
    return 4 * spec.batch_size * spec.sequence_length * per_token


def _passing_bytes(spec: ProxySpec, shape: ModelShape, stacked: bool) -> int:
    """In the backward pass, a few gradients as large as the largest of what was kept."""
    scores = shape.heads * spec.sequence_length if stacked else 0
    tokens = spec.batch_size * spec.sequence_length
    return 4 * 3 * tokens * max(shape.vocabulary, shape.intermediate_size, scores)


def free_memory(device: str) -> int:
    """Bytes that are free on a device."""
    return _free_gpu_memory(device) if device.startswith("cuda") else _free_memory()


def in_words(size: float) -> str:
    """Bytes for a reader: 1.5 GiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def best_on_cpu(spec: ProxySpec) -> int:
    """The stack that pays on a CPU core, whatever the memory: `CPU_STACK`, or 1."""
    work = spec.hidden_size * spec.batch_size * spec.sequence_length
    return CPU_STACK if work <= CPU_WORK else 1


def _free_memory() -> int:
    """Bytes that are free on this machine, or in the control group that holds this process."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = ((CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return free
    return free if limit == "max" else min(free, max(0, int(limit) - int(used)))


def _free_gpu_memory(device: str) -> int:
    import torch

    # What torch holds and does not use is free as well.
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(held)
