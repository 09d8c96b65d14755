"""How a swarm is divided on this machine: as much at once as its memory holds."""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec
from causalmix_core.proxy.memory import (
    SHARE,
    bytes_per_copy,
    bytes_per_proxy,
    free_memory,
    in_words,
    shared_bytes,
    stack_size,
    token_bytes,
)
from causalmix_core.proxy.spec import ProxySpec


@dataclass(frozen=True)
class Sizing:
    """How a swarm trains.

    Attributes:
        device: `cpu` or `cuda`.
        workers: how many shards train at the same time at most.
        shards: how many there are.
        per_shard: probes of the largest shard.
        shard_bytes: memory that a worker needs for it, estimated.
    """

    device: str
    workers: int
    shards: int
    per_shard: int
    shard_bytes: int


def divide(swarm: SwarmSpec, device: str, workers: int) -> Sizing:
    """Divide a swarm into shards.

    All proxies of a shard are held at once: weights, optimiser state and training tokens. Where the memory
    does not hold a proxy for each worker, there are fewer workers.

    Args:
        swarm: what is trained.
        device: `cpu` or `cuda`; on a GPU each worker has a card of its own.
        workers: places to train.

    Raises:
        CausalMixError: the memory does not hold a single proxy; the message has the estimate.
    """
    workers = min(workers, swarm.probes)
    while True:
        try:
            most = _most_per_shard(swarm.proxy, device, workers)
            break
        except CausalMixError:
            if workers == 1:
                raise
            workers -= 1
    shards = workers * -(-swarm.probes // (most * workers))
    shards = min(shards, swarm.probes)
    per_shard = -(-swarm.probes // shards)
    return Sizing(device, workers, shards, per_shard, _shard_bytes(swarm.proxy, device, per_shard))


def _most_per_shard(proxy: ProxySpec, device: str, workers: int) -> int:
    """The largest shard that a worker's memory holds, and that pays."""
    tokens = token_bytes(proxy)
    share = SHARE * free_memory("cpu") / workers
    if device == "cpu":
        most = stack_size(proxy, device, workers)
        while most > 1 and _shard_bytes(proxy, device, most) > share:
            most -= 1
        return most
    most = stack_size(proxy, device)
    if tokens > share:  # they wait in the memory of the machine
        raise CausalMixError(
            f"The training tokens of one proxy take {in_words(tokens)}; {in_words(share)} of this machine's "
            "memory can be planned with. Train on fewer tokens, or free memory."
        )
    return min(most, int(share / tokens))


def _shard_bytes(proxy: ProxySpec, device: str, probes: int) -> int:
    tokens = probes * token_bytes(proxy) if device == "cpu" else 0
    if proxy.pretrained is not None:
        return shared_bytes(proxy) + probes * bytes_per_copy(proxy) + tokens
    return probes * bytes_per_proxy(proxy, stacked=probes > 1) + tokens
