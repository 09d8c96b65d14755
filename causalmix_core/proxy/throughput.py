"""How fast this machine trains a proxy: measured on a few steps, to say before launch what a swarm takes."""

from __future__ import annotations

import time

import numpy as np

from causalmix_core.proxy.memory import stack_size
from causalmix_core.proxy.spec import ProxySpec
from causalmix_core.proxy.training import train_proxies

STEPS = 6
WORK = 4_000_000_000
"""Parameters times tokens in a timed step at most: a second or so on one core."""


def measure_throughput(proxy: ProxySpec, device: str, workers: int) -> float:
    """Training tokens per second of all workers together.

    Trains a stack of proxies for a few steps on random tokens in this process, on one thread where several
    workers share the CPU, and multiplies by the workers. The first step, which allocates, does not count.
    Workers that share caches are somewhat slower than that, and large proxies are timed on smaller batches
    than they will train on: an estimate.

    Args:
        proxy: what to train.
        device: a torch device.
        workers: processes that will train side by side.

    Raises:
        CausalMixError: one proxy does not fit into memory.
    """
    import torch

    size = stack_size(proxy, device, workers)
    if proxy.pretrained is not None:
        size = 1  # copies take their steps in turn: several are as fast as one
    per_sequence = (proxy.parameters + proxy.embedding_parameters) * proxy.sequence_length
    batch = proxy.batch_size if device != "cpu" else min(proxy.batch_size, max(1, WORK // per_sequence))
    tokens = STEPS * batch * proxy.sequence_length
    short = proxy.model_copy(update={"tokens": tokens, "batch_size": batch})
    rng = np.random.default_rng(0)
    sequences = rng.integers(0, proxy.vocabulary_size, (size, short.sequences, short.sequence_length))
    moments: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if workers > 1 else threads)
    try:
        train_proxies(
            short, sequences, {}, seed=0, device=device, stack=size,
            progress=lambda step, losses: moments.append(time.perf_counter()), progress_every=1,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    per_step = size * batch * proxy.sequence_length
    return workers * per_step * (len(moments) - 1) / (moments[-1] - moments[0])
