"""Outcomes of a probe beside its losses, and in which direction each is better.

Beside `loss/<domain>`, in nats per token of the proxy, a row has `bpb/<domain>`, the same in bits per byte of
text, which compares proxies with different tokenizers; and for benchmarks `benchmark/<task>`, where higher is
better, or `benchmark-loss/<task>`, where the task's metric is one that should fall, such as a perplexity.
"""

from __future__ import annotations

from typing import Literal

from causalmix_core.probes.runs import BITS, LOSS

BENCHMARK = "benchmark/"
BENCHMARK_LOSS = "benchmark-loss/"

Direction = Literal["higher", "lower"]


def direction_of(column: str) -> Direction | None:
    """In which direction an outcome is better; None for a column that is no outcome."""
    if column.startswith(BENCHMARK):
        return "higher"
    return "lower" if column.startswith((LOSS, BITS, BENCHMARK_LOSS)) else None


def benchmark_column(task: str, higher_is_better: bool) -> str:
    """The column of a task's main metric."""
    return (BENCHMARK if higher_is_better else BENCHMARK_LOSS) + task
