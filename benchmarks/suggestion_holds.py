"""Does the suggested mixture hold? Train it and the reference afresh on new seeds and compare.

    python -m benchmarks.suggestion_holds WORKSPACE [--mixture suggested] [--seeds 8]

For every seed (none that the swarm used) one proxy trains on the reference and one on the suggestion:
same initial weights, same sub-pool, same order of documents. Losses are measured on the held-out
documents. The table says what came out, whichever wins, beside what was predicted.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from causalmix_core import __version__
from causalmix_core.corpus import open_snapshot
from causalmix_core.mixture import SavedMixture, load_mixture
from causalmix_core.probes import LOSS, Probe, SwarmSpec, read_runs
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import ProxySpec, choose_device
from causalmix_core.workspace import Workspace, write_atomic

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 10_000
"""Far from the seeds that people type for a swarm."""


def train_pairs(workspace: Workspace, mixture: SavedMixture, seeds: int) -> pd.DataFrame:
    """Train reference and suggestion once per new seed.

    Returns:
        One row per seed and arm: columns seed, arm (`reference` or `suggested`) and `loss/<domain>`.
    """
    snapshot = open_snapshot(workspace, mixture.snapshot)
    proxy = ProxySpec.model_validate_json(read_runs(workspace.runs, snapshot.id).frame["proxy"].iloc[0])
    arms = {"reference": mixture.reference, "suggested": mixture.weights}
    parts = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        swarm = SwarmSpec(probes=2, proxy=proxy, seed=seed)
        pool = load_token_pool(snapshot, swarm)
        probes = [Probe(number=i, mixture=w, tilt={}) for i, w in enumerate(arms.values())]
        rows = run_shard(pool, snapshot.id, swarm, probes, job=f"check-{seed}", device=choose_device())
        rows.insert(0, "arm", list(arms))
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def compare(rows: pd.DataFrame, mixture: SavedMixture) -> pd.DataFrame:
    """Measured and predicted change of every loss and of the objective.

    Returns:
        Columns outcome, reference, suggested (mean losses), change, low, high (paired 95 % t interval),
        better (seeds in which the suggestion is lower), predicted, predicted_low, predicted_high.
    """
    losses = [c for c in rows.columns if c.startswith(LOSS)]
    arms = {a: g.set_index("seed")[losses] for a, g in rows.groupby("arm")}
    for table in arms.values():
        table["objective"] = sum(w * table[o] for o, w in mixture.objective.items())
    out = []
    for outcome in [*losses, "objective"]:
        before, after = arms["reference"][outcome], arms["suggested"][outcome]
        difference = (after - before).to_numpy()
        n = len(difference)
        half = student.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
        predicted = mixture.predicted[outcome]
        out.append(
            {
                "outcome": outcome,
                "reference": before.mean(),
                "suggested": after.mean(),
                "change": difference.mean(),
                "low": difference.mean() - half,
                "high": difference.mean() + half,
                "better": f"{int((difference < 0).sum())}/{n}",
                "predicted": predicted.change,
                "predicted_low": predicted.lower,
                "predicted_high": predicted.upper,
            }
        )
    return pd.DataFrame(out)


def markdown(table: pd.DataFrame, mixture: SavedMixture, command: str, seconds: float) -> str:
    """The result as a page."""
    weights = "\n".join(
        f"| {d} | {mixture.reference[d]:.1%} | {mixture.weights[d]:.1%} |" for d in sorted(mixture.weights)
    )
    lines = "\n".join(
        f"| {r.outcome} | {r.reference:.4f} | {r.suggested:.4f} | {r.change:+.4f} "
        f"[{r.low:+.4f}, {r.high:+.4f}] | {r.better} | {r.predicted:+.4f} "
        f"[{r.predicted_low:+.4f}, {r.predicted_high:+.4f}] |"
        for r in table.itertuples()
    )
    goal = table.iloc[-1]
    verdict = (
        "The suggestion lowers the objective."
        if goal["high"] < 0
        else "The suggestion RAISES the objective."
        if goal["low"] > 0
        else "The difference in the objective cannot be told from zero."
    )
    return f"""# Does the suggested mixture hold?

{verdict} Measured with `{command}` on {platform.machine()}, causalmix {__version__}, in {seconds:.0f} s;
snapshot {mixture.snapshot}, {mixture.probes} probes, estimator {mixture.estimator}, policy
{mixture.policy}, trust radius {mixture.radius}. The objective is the weighted mean of
{", ".join(mixture.objective)}. Both arms were trained afresh on new seeds, in pairs that share initial
weights and documents. Losses are held-out, in nats per token; lower is better.

| outcome | reference | suggested | change (95 % interval) | seeds better | predicted (95 %) |
|---|---|---|---|---|---|
{lines}

| domain | reference | suggested |
|---|---|---|
{weights}
"""


def main() -> None:
    """Run from the command line; writes `results/suggestion_holds.md` and `.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--mixture", default="suggested")
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    workspace = Workspace.open(options.workspace)
    mixture = load_mixture(workspace, options.mixture)
    started = time.perf_counter()
    table = compare(train_pairs(workspace, mixture, options.seeds), mixture)
    command = (
        f"python -m benchmarks.suggestion_holds WORKSPACE --mixture {options.mixture} --seeds {options.seeds}"
    )
    page = markdown(table, mixture, command, time.perf_counter() - started)
    print(page)
    RESULTS.mkdir(exist_ok=True)
    write_atomic(RESULTS / "suggestion_holds.md", page)
    write_atomic(
        RESULTS / "suggestion_holds.json",
        json.dumps({"mixture": mixture.model_dump(mode="json"), "table": table.to_dict("records")}, indent=1),
    )


if __name__ == "__main__":
    main()
