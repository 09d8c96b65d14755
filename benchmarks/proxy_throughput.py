"""How fast proxies train: K stacked under vmap against one plain Hugging Face model, on one CPU core.

    python -m benchmarks.proxy_throughput [--preset nano]

Both run forward, backward and AdamW on random tokens in one process and one thread. The ratio is what
counts; absolute numbers depend on the machine and on what else it does.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

from causalmix_core.proxy import PRESETS, ProxySpec, train_proxies
from causalmix_core.proxy.spec import VOCABULARY
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
SIZES = (1, 4, 8, 16, 32)
STEPS = 24


def stacked(proxy: ProxySpec, count: int) -> float:
    """Tokens per second of `count` proxies trained as one."""
    short = proxy.model_copy(update={"tokens": STEPS * proxy.batch_size * proxy.sequence_length})
    shape = (count, short.sequences, short.sequence_length)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, shape)
    at: list[float] = []
    train_proxies(
        short, tokens, {}, seed=0, progress=lambda s, x: at.append(time.perf_counter()), progress_every=1
    )
    return count * (STEPS - 1) * proxy.batch_size * proxy.sequence_length / (at[-1] - at[0])


def plain(proxy: ProxySpec) -> float:
    """Tokens per second of one model in a plain loop, with transformers' default attention."""
    config = proxy.hf_config()
    config._attn_implementation = "sdpa"
    model = LlamaForCausalLM(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    shape = (proxy.batch_size, proxy.sequence_length)
    x = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, shape))
    started = 0.0
    for step in range(4 * STEPS):
        if step == 1:
            started = time.perf_counter()
        model(input_ids=x, labels=x, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return (4 * STEPS - 1) * int(x.numel()) / (time.perf_counter() - started)


def main() -> None:
    """Run from the command line; writes `results/proxy_throughput.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--preset", choices=list(PRESETS), default="nano")
    options = parser.parse_args()
    proxy = PRESETS[options.preset]
    torch.set_num_threads(1)
    base = plain(proxy)
    rows = [f"| plain loop, one model | {base:,.0f} | 1.0 |"]
    for count in SIZES:
        speed = stacked(proxy, count)
        rows.append(f"| {count} stacked | {speed:,.0f} | {speed / base:.1f} |")
    table = "\n".join(rows)
    page = f"""# Training speed of proxies

Measured with `python -m benchmarks.proxy_throughput --preset {options.preset}` on one core
({platform.machine()}, torch {torch.__version__}). Preset `{options.preset}`: hidden size
{proxy.hidden_size}, {proxy.layers} layers, {proxy.batch_size} sequences of {proxy.sequence_length} bytes
per step.

| | tokens per second | ratio |
|---|---|---|
{table}
"""
    print(page)
    RESULTS.mkdir(exist_ok=True)
    write_atomic(RESULTS / "proxy_throughput.md", page)


if __name__ == "__main__":
    main()
