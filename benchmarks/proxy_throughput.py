"""How fast proxies train on a CPU: K at a time as one stacked model against a plain loop.

    python -m benchmarks.proxy_throughput [--presets nano micro ...] [--seconds 5] [--dry]

On the whole machine: as many workers as the engine starts, each with its stack, against a plain loop that
uses all cores as threads, as torch does unless told otherwise. On one core, for how K matters:

K proxies stacked under vmap against one plain Hugging Face model, both with forward, backward and AdamW on
random tokens in one process and one thread. The ratio is what counts; absolute numbers depend on the machine
and on what else it does, so the plain loop is timed before and after.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from causalmix_core.corpus.measuring import cores
from causalmix_core.errors import CausalMixError
from causalmix_core.proxy import (
    PRESETS,
    PresetName,
    ProxySpec,
    stack_size,
)
from causalmix_core.proxy.spec import VOCABULARY
from causalmix_core.proxy.stack import new_stacks, work_through
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
SIZES = (1, 4, 8, 16)
STACKED_PRESETS: tuple[PresetName, ...] = ("nano", "micro", "milli", "centi")
"""Presets that are timed at all sizes; of larger ones only what the engine chooses, a step takes long."""


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


def whole_machine(name: PresetName, seconds: float) -> tuple[float, float, int]:
    """Tokens per second of a plain loop on all cores, and of the engine's workers together; and how many."""
    workers = cores()

    def together(role: str, count: int) -> float:
        threads = {"OMP_NUM_THREADS": "1"} if count > 1 else {}
        command = [sys.executable, "-m", "benchmarks.proxy_throughput", "--part", role, name, str(seconds)]
        parts = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads})
            for _ in range(count)
        ]
        return sum(float(part.communicate()[0].split()[-1]) for part in parts)

    before, engine, after = together("plain", 1), together("worker", workers), together("plain", 1)
    return (before + after) / 2, engine, workers


def part(role: str, name: PresetName, seconds: float) -> float:
    """Tokens per second of one of the processes that `whole_machine` starts."""
    proxy = PRESETS[name]
    if role == "plain":
        return plain(proxy, seconds)
    torch.set_num_threads(1)
    return stacked(proxy, stack_size(proxy, "cpu", cores()), seconds)


def machine_lines(presets: list[PresetName], seconds: float) -> list[str]:
    """One line of the table of the whole machine per preset."""
    lines = []
    for name in presets:
        loop, engine, workers = whole_machine(name, seconds)
        lines.append(f"| {name} | {loop:,.0f} | {engine:,.0f} | **{engine / loop:.2f}** |")
        print(lines[-1], f"{workers} workers", flush=True)
    return lines


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
        sizes = SIZES if name in STACKED_PRESETS else (chosen,)
        speeds = {k: stacked(proxy, k, seconds) for k in sizes}
        base = (before + plain(proxy, seconds)) / 2  # before and after: other programs come and go
        ratios = " | ".join(
            f"{'**' * (k == chosen)}{speeds[k] / base:.2f}{'**' * (k == chosen)}" if k in speeds else ""
            for k in SIZES
        )
        lines.append(f"| {name} | {proxy.parameters:,} | {base:,.0f} | {ratios} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Run from the command line; writes `results/proxy_throughput.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--presets", nargs="+", choices=get_args(PresetName), default=list(get_args(PresetName))
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="per figure")
    parser.add_argument("--dry", action="store_true", help="print the tables, do not write them")
    parser.add_argument("--part", nargs=3, metavar=("ROLE", "PRESET", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        role, name, seconds = options.part
        print(part(role, name, float(seconds)))
        return
    machine = "\n".join(machine_lines(options.presets, options.seconds))
    torch.set_num_threads(1)
    speeds = "\n".join(speed_lines(options.presets, options.seconds))
    sizes = " | ".join(f"K = {k}" for k in SIZES)
    page = f"""# Training speed of proxies

Measured with
`python -m benchmarks.proxy_throughput --seconds {options.seconds:g} --presets {" ".join(options.presets)}`
({platform.machine()}, {cores()} cores, torch {torch.__version__}).

## The whole machine

Tokens per second of a plain Hugging Face loop over one model in float32 that uses all cores as threads, and
of the engine: one worker per core, each with the stack that it would train.

| preset | plain loop | engine | ratio |
|---|---|---|---|
{machine}

Proxies that are not stacked on a CPU (micro and up) gain from a process per core instead of threads.

## One core

Tokens per second of a plain Hugging Face loop over one model in float32, and the speed of K proxies
trained as one stack as a multiple of it. Bold: the K that the engine chooses on a CPU. K = 1 is not stacked.
Proxies in bfloat16 (deca, hecto) gain from it where the processor computes in it.

| preset | parameters | plain, tokens/s | {sizes} |
|---|---|---|{"---|" * len(SIZES)}
{speeds}

On a GPU: not yet measured.
"""
    print(page)
    if not options.dry:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "proxy_throughput.md", page)


if __name__ == "__main__":
    main()
