"""How fast proxies train, and how much of their luck they share, on one CPU core.

    python -m benchmarks.proxy_throughput [--presets nano micro ...] [--seconds 5] [--pairs 12] [--dry]

Speed: K proxies stacked under vmap against one plain Hugging Face model, both with forward, backward and
AdamW on random tokens in one process and one thread. The ratio is what counts; absolute numbers depend on
the machine and on what else it does.

Luck: the difference of the losses of two mixtures on a small pool of artificial text, trained over and over
with other seeds. Once both mixtures share the seed of a pair (common random numbers), once each has its own;
the ratio of the variances says how many times more runs independent seeds would need.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import torch

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy import (
    PRESETS,
    DomainTokens,
    PresetName,
    ProxySpec,
    TokenPool,
    heldout_windows,
    stack_size,
    train_proxies,
)
from causalmix_core.proxy.spec import VOCABULARY
from causalmix_core.proxy.stack import new_stacks, work_through
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
SIZES = (1, 4, 8, 16)
ON_ONE_CORE: tuple[PresetName, ...] = ("nano", "micro", "milli", "centi")
"""Presets of which a few steps fit into a minute."""
ARMS = ({"words": 0.7, "sums": 0.3}, {"words": 0.4, "sums": 0.6})
LUCK = ProxySpec(hidden_size=16, sequence_length=32, tokens=40_000)


def per_second(step: Callable[[], None], tokens: int, seconds: float) -> float:
    """Tokens per second of a step that reads `tokens`; the first step, which allocates, does not count."""
    step()
    done, started = 0, time.perf_counter()
    while done == 0 or time.perf_counter() - started < seconds:
        step()
        done += 1
    return done * tokens / (time.perf_counter() - started)


def stacked(proxy: ProxySpec, count: int, seconds: float) -> float:
    """Tokens per second of `count` proxies trained as one."""
    stacks = new_stacks(proxy, range(count), count, 0, "cpu")
    shape = (count, proxy.batch_size, proxy.sequence_length)
    x = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, shape))

    def step() -> None:
        work_through(stacks, lambda stack: stack.step(x, proxy.learning_rate) and None)

    return per_second(step, int(x.numel()), seconds)


def plain(proxy: ProxySpec, seconds: float) -> float:
    """Tokens per second of one model in a plain loop, with transformers' default attention."""
    model = proxy.new_model(0, "sdpa")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    shape = (proxy.batch_size, proxy.sequence_length)
    x = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, shape))

    def step() -> None:
        model(input_ids=x, labels=x, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return per_second(step, int(x.numel()), seconds)


def artificial_pool(proxy: ProxySpec, seed: int) -> TokenPool:
    """Two domains: words of a small vocabulary, and sums. The documents are always the same."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghij"), rng.integers(2, 7))) for _ in range(60)]
    texts = {
        "words": [" ".join(rng.choice(words, 30)) for _ in range(600)],
        "sums": [
            " ".join(f"{a}+{b}={a + b};" for a, b in rng.integers(0, 99, (12, 2)).tolist())
            for _ in range(600)
        ],
    }
    train, heldout = {}, {}
    for domain, documents in texts.items():
        frame = pd.DataFrame({"text": documents, "size": [float(len(t)) for t in documents]})
        train[domain] = DomainTokens.from_frame(frame[:500], ["size"])
        heldout[domain] = heldout_windows(frame[500:], proxy.sequence_length, 64)
    return TokenPool(train, heldout, ("size",), seed)


def differences(pairs: int, shared: bool) -> dict[str, np.ndarray]:
    """Loss of the second mixture minus that of the first, by domain, of each pair: shape (pairs,)."""
    out: dict[str, list[float]] = {}
    for pair in range(pairs):
        seeds = (pair, pair) if shared else (pair, 1000 + pair)
        losses = []
        for seed, mixture in zip(seeds, ARMS, strict=True):
            pool = artificial_pool(LUCK, seed)
            rows = pool.sequences(pool.sub_pool({}), mixture, LUCK.sequences, LUCK.sequence_length)
            losses.append(train_proxies(LUCK, rows[None], pool.heldout, seed=seed).losses)
        for domain in losses[0]:
            out.setdefault(domain, []).append(float(losses[1][domain][0] - losses[0][domain][0]))
    return {domain: np.array(values) for domain, values in out.items()}


def speed_lines(presets: list[PresetName], seconds: float) -> list[str]:
    """One line of the table per preset."""
    lines = []
    for name in presets:
        proxy = PRESETS[name]
        try:
            chosen = stack_size(proxy, "cpu")
        except CausalMixError as error:
            print(f"{name} is left out: {error}")
            continue
        before = plain(proxy, seconds)
        speeds = {k: stacked(proxy, k, seconds) for k in SIZES}
        base = (before + plain(proxy, seconds)) / 2  # before and after: other programs come and go
        ratios = " | ".join(
            f"{'**' * (k == chosen)}{speeds[k] / base:.2f}{'**' * (k == chosen)}" for k in SIZES
        )
        lines.append(f"| {name} | {proxy.parameters:,} | {base:,.0f} | {ratios} |")
        print(lines[-1], flush=True)
    return lines


def luck_lines(pairs: int) -> list[str]:
    """One line of the table per domain."""
    shared, own = differences(pairs, True), differences(pairs, False)
    return [
        f"| {d} | {shared[d].mean():+.3f} | {shared[d].std(ddof=1):.4f} | {own[d].std(ddof=1):.4f} "
        f"| {own[d].var(ddof=1) / shared[d].var(ddof=1):.1f} |"
        for d in shared
    ]


def main() -> None:
    """Run from the command line; writes `results/proxy_throughput.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--presets", nargs="+", choices=get_args(PresetName), default=list(ON_ONE_CORE))
    parser.add_argument("--seconds", type=float, default=5.0, help="per figure")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of runs; variances need many")
    parser.add_argument("--dry", action="store_true", help="print the tables, do not write them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    speeds = "\n".join(speed_lines(options.presets, options.seconds))
    luck = "\n".join(luck_lines(options.pairs))
    sizes = " | ".join(f"K = {k}" for k in SIZES)
    first, second = ("/".join(f"{w:.0%} {d}" for d, w in arm.items()) for arm in ARMS)
    page = f"""# Training speed and shared luck of proxies

Measured with
`python -m benchmarks.proxy_throughput --seconds {options.seconds:g} --pairs {options.pairs}`
on one core ({platform.machine()}, torch {torch.__version__}).

## Speed

Tokens per second of a plain Hugging Face loop over one model, and the speed of K proxies trained as one stack
as a multiple of it. Bold: the K that the engine chooses on a CPU. K = 1 is not stacked.

| preset | parameters | plain, tokens/s | {sizes} |
|---|---|---|{"---|" * len(SIZES)}
{speeds}

## Common random numbers

Difference of the held-out losses of two mixtures ({first} and {second})
over {options.pairs} pairs of proxies of {LUCK.tokens:,} tokens: its mean, its standard deviation when both
mixtures share initial weights and the order of documents, the same when they do not, and the ratio of the
variances.

| domain | mean | shared seeds | own seeds | variance ratio |
|---|---|---|---|---|
{luck}
"""
    print(page)
    if not options.dry:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "proxy_throughput.md", page)


if __name__ == "__main__":
    main()
