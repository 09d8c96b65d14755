"""How much of their luck the probes of a swarm share: the variance of a difference between two mixtures.

    python -m benchmarks.common_random_numbers [--seeds 24] [--tokens 100000] [--dry]

Real text (the demo corpus), the demo's proxy. The same mixtures are trained again for every seed; a seed
decides the initial weights, the sub-pool and the order of the documents. The probes of a swarm share a seed.
The difference of two mixtures then varies from seed to seed with the variance V(a) + V(b) - 2 C(a, b); had
each its own seed, with V(a) + V(b). Both are estimated from the same runs, and the ratio says how many times
more probes independent seeds would need for the same precision.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from causalmix_core.corpus import Snapshot, ingest, open_snapshot, write_demo_corpus
from causalmix_core.probes import LOSS, Probe, SwarmSpec, design_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import PRESETS
from causalmix_core.workspace import Workspace, WorkspaceConfig, write_atomic

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 20_000
"""Far from the seeds that people type for a swarm."""
MOVED = 0.2
"""Weight that moves between near mixtures: as far as a suggestion moves unless told otherwise."""
FAR = 6
"""Mixtures that are drawn as a swarm draws them."""


def near_mixtures(reference: Mapping[str, float]) -> list[dict[str, float]]:
    """The reference, and for each domain the mixture with `MOVED` of all weight moved into it."""
    moved = [
        {d: (1 - MOVED) * w + MOVED * (d == into) for d, w in reference.items()} for into in sorted(reference)
    ]
    return [dict(reference), *moved]


def train(
    snapshot: Snapshot, swarm: SwarmSpec, mixtures: Sequence[dict[str, float]], seeds: int
) -> dict[str, np.ndarray]:
    """Train the same mixtures for every seed; held-out losses by domain, shape (seeds, mixtures)."""
    probes = [Probe(number=n, mixture=m, tilt={}) for n, m in enumerate(mixtures)]
    losses: dict[str, list[np.ndarray]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        own = swarm.model_copy(update={"seed": seed})
        rows = run_shard(load_token_pool(snapshot, own), snapshot.id, own, probes, job="luck", device="cpu")
        for domain in snapshot.domains:
            losses.setdefault(domain, []).append(rows[LOSS + domain].to_numpy())
        print(f"seed {seed - FIRST_SEED + 1} of {seeds}", flush=True)
    return {domain: np.array(values) for domain, values in losses.items()}


def ratios(losses: np.ndarray, pairs: Sequence[tuple[int, int]]) -> dict[str, float]:
    """What sharing a seed saves, for the losses on one domain.

    Args:
        losses: shape (seeds, mixtures).
        pairs: which mixtures are compared.

    Returns:
        The pooled standard deviations of a difference with own and with shared seeds, the ratio of the
        pooled variances, and the least ratio of any pair.
    """
    covariance = np.cov(losses, rowvar=False)
    own = np.array([covariance[a, a] + covariance[b, b] for a, b in pairs])
    shared = own - 2 * np.array([covariance[a, b] for a, b in pairs])
    return {
        "own": float(np.sqrt(own.mean())),
        "shared": float(np.sqrt(shared.mean())),
        "ratio": float(own.mean() / shared.mean()),
        "least": float((own / shared).min()),
    }


def table(losses: Mapping[str, np.ndarray], pairs: Sequence[tuple[int, int]]) -> str:
    """One row per domain, and one for the mean of all."""
    found = {domain: ratios(values, pairs) for domain, values in losses.items()}
    found["**mean of all domains**"] = ratios(np.mean(list(losses.values()), axis=0), pairs)
    lines = [
        f"| {d} | {r['own']:.4f} | {r['shared']:.4f} | {r['ratio']:.1f} | {r['least']:.1f} |"
        for d, r in found.items()
    ]
    head = [
        "| held-out loss of | own seeds | shared seed | variance ratio | least of all pairs |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(head + lines)


def main() -> None:
    """Run from the command line; writes `results/common_random_numbers.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=100_000, help="per probe")
    parser.add_argument("--dry", action="store_true", help="print the tables, do not write them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    swarm = SwarmSpec(probes=FAR, proxy=PRESETS["nano"].model_copy(update={"tokens": options.tokens}))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "demo", WorkspaceConfig(name="Demo"))
        domains = write_demo_corpus(workspace.root / "sources")
        workspace.save_config(WorkspaceConfig(name="Demo", domains=domains))
        ingest(workspace)
        snapshot = open_snapshot(workspace)
        near = near_mixtures(snapshot.weights_by_size())
        far = [p.mixture for p in design_swarm(swarm, snapshot.tokens())]
        losses = train(snapshot, swarm, [*near, *far], options.seeds)
    count = len(near)
    page = f"""# Common random numbers: what probes gain from sharing a seed

Measured with
`python -m benchmarks.common_random_numbers --seeds {options.seeds} --tokens {options.tokens}`
({platform.machine()}, torch {torch.__version__}, {time.perf_counter() - started:.0f} s): the demo corpus,
proxies of the preset nano with {options.tokens:,} tokens, each mixture trained with {options.seeds} seeds.

Standard deviation, over seeds, of the difference between the held-out losses of two mixtures (nats per
token, pooled over the pairs): when each mixture has a seed of its own, and when both share it as the probes
of a swarm do. Ratio: own variance over shared variance; the last column is the pair that gains least.

## Near mixtures: what an effect or a suggestion asks about

The weights by size against those with {MOVED:.0%} of all weight moved into one domain: {count - 1} pairs.

{table(losses, [(0, n) for n in range(1, count)])}

## Far mixtures: any two probes of a swarm

{FAR} mixtures as a Dirichlet swarm draws them: {FAR * (FAR - 1) // 2} pairs. Where two mixtures read quite
different text, less of their luck is the same.

{table(losses, list(itertools.combinations(range(count, count + FAR), 2)))}
"""
    print(page)
    if not options.dry:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "common_random_numbers.md", page)


if __name__ == "__main__":
    main()
