"""How fast this machine trains a proxy: measured on a few steps, to say before launch what a swarm takes."""

from __future__ import annotations

import time

import numpy as np

from causalmix_core.proxy.spec import VOCABULARY, ProxySpec
from causalmix_core.proxy.training import train_proxies

STEPS = 6
PROXIES = 8


def measure_throughput(proxy: ProxySpec, device: str, workers: int) -> float:
    """Training tokens per second of all workers together.

    Trains `PROXIES` proxies for `STEPS` steps on random tokens in this process, on one thread where
    several workers share the CPU, and multiplies by the workers. The first step, which allocates, does
    not count. Workers that share caches are somewhat slower than that: an estimate.

    Args:
        proxy: what to train.
        device: a torch device.
        workers: processes that will train side by side.
    """
    import torch

    short = proxy.model_copy(update={"tokens": STEPS * proxy.batch_size * proxy.sequence_length})
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, VOCABULARY, (PROXIES, short.sequences, short.sequence_length))
    moments: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if workers > 1 else threads)
    try:
        train_proxies(
            short, tokens, {}, seed=0, device=device,
            progress=lambda step, losses: moments.append(time.perf_counter()), progress_every=1,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    per_step = PROXIES * proxy.batch_size * proxy.sequence_length
    return workers * per_step * (len(moments) - 1) / (moments[-1] - moments[0])
