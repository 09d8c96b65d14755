"""What a probe measures, and in which direction each outcome is better.

`loss/<domain>` is the loss on held-out documents, in nats per token of the proxy; `bpb/<domain>` is the same
in bits per byte of text, which compares proxies with different tokenizers. `benchmark/<task>` is a result
that is better when higher; `benchmark-loss/<task>` one that is better when lower, such as a perplexity.
"""

from __future__ import annotations

from typing import Literal

LOSS = "loss/"
BITS = "bpb/"
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
