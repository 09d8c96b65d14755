"""How good are the mixtures that policies propose, and do they gain what is predicted?

    python -m benchmarks.policy_regret [--seeds 20] [--pools 2] [--quick]

Simulated worlds with known truth, of three kinds. On the surface that RegMix measured, four pool states
change how strong domains are, and decided the mixtures of the runs. In bowls, the best of five domains'
mixtures follows the pool state, which decided the mixtures too. By laws, losses of six domains fall by a
power law, an exponential law or a random smooth function in turn, and mixtures are randomised; there the pool
changes how much a mixture matters, but, except with the random function, hardly which one is best. From each,
512 runs are drawn and fitted as a curator fits them. Every policy then proposes mixtures for pools like those
of the runs, and for pools that are shifted by 1.25 standard deviations, without a new run.

- regret: true objective of the proposal less that of the best mixture there is, over the regret of keeping
  the reference, which is the mean mixture of the runs: 0 is best, 1 is as good as keeping. Means over worlds.
- harm: share of pools for which the proposal is truly worse than the reference.
- inside: share of the proposals other than to stay whose true gain lies inside the 95% interval that was
  shown with them. The best of many predictions is in part the luckiest; this is where it would show.

No constraints but those of the simplex, since RegMix knows none. `25 points` is T with the product's default
reach, `prediction` is T without caution: it takes the best prediction in place of the surest gain.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.worlds import (
    World,
    draw_law_world,
    draw_regmix_world,
    draw_softmax_world,
    named,
    shared_tables,
)
from causalmix_core import __version__
from causalmix_core.effects import EffectModel, fit_effects
from causalmix_core.mixture import POLICY_NAMES, Constraints, PolicyName, Problem, ask, pose
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
RUNS = 512
SHIFT = 1.25
KINDS = {"regmix": "On RegMix's surface", "bowls": "In bowls that follow the pool", "laws": "By laws"}
POOLS = ("like the runs'", "shifted")
KEEP = "keep the reference"
NEAR = "trust_region, 25 points"
BOLD = "trust_region, prediction"
SURE = 1e-9
BUDGET = 10**9
TOKENS = 4 * 10**8
WANTED_INSIDE = (0.90, 0.97)
WANTED_RATIO = 1 / 3


@dataclass(frozen=True)
class Answer:
    """A proposal and what was shown with it."""

    policy: str
    weights: np.ndarray
    lower: float
    upper: float
    stays: bool


def draw_world(kind: str, seed: int) -> World | None:
    """A world of a kind; None where RegMix's tables are not at hand."""
    if kind == "regmix":
        tables = shared_tables()
        return draw_regmix_world(tables, seed) if tables else None
    bowls = kind == "bowls"
    world = draw_softmax_world(5, seed) if bowls else draw_law_world(seed, state_dependent=True, domains=6)
    shift = np.random.default_rng([11, seed]).normal(size=len(world.states))
    return replace(world, shift=SHIFT * shift / np.sqrt((shift**2).sum()))


def answers(
    model: EffectModel, state: dict[str, float], reference: dict[str, float], seed: int
) -> Iterator[Answer]:
    """What every policy proposes for a pool."""
    sizes = np.random.default_rng([12, seed]).dirichlet(np.full(len(reference), 4.0))
    tokens = {d: int(TOKENS * s) for d, s in zip(reference, sizes, strict=True)}

    def problem(radius: float | None, confidence: bool = True) -> Problem:
        asked = Constraints(radius=radius, token_budget=BUDGET)
        return pose(
            model, state, reference,
            constraints=asked, tokens=tokens, seed=seed, confidence=confidence,
        )  # fmt: skip

    free = problem(None)
    for policy in POLICY_NAMES:
        yield _answer(free, policy, policy)
    yield _answer(problem(0.25), "trust_region", NEAR)
    yield _answer(problem(None, confidence=False), "trust_region", BOLD)


def _answer(problem: Problem, policy: PolicyName, label: str) -> Answer:
    found = ask(problem, policy)
    lower, upper = found.change.iloc[-1][["lower", "upper"]].astype(float)  # of the objective
    weights = np.array([found.mixture[d] for d in problem.limits.domains])
    return Answer(label, weights, lower, upper, found.distance < SURE)


def best_of(world: World, state: np.ndarray, start: np.ndarray, rng: np.random.Generator) -> float:
    """The lowest true objective of any mixture: of many drawn, and of others ever nearer to the best."""
    k = len(start)
    drawn = np.vstack([start, rng.dirichlet(np.ones(k), 2000), rng.dirichlet(4 * k * start + 1e-3, 1000)])
    value = world.objective(drawn, np.tile(state, (len(drawn), 1)))
    best, mixture = float(value.min()), drawn[value.argmin()]
    for strength in (30, 100, 300, 1000, 3000):
        near = rng.dirichlet(strength * np.maximum(mixture, 1e-3), 600)
        value = world.objective(near, np.tile(state, (len(near), 1)))
        if value.min() < best:
            best, mixture = float(value.min()), near[value.argmin()]
    return best


def score(kind: str, seed: int, runs: int, pools: int) -> list[dict[str, object]]:
    """One row per pool and policy of one world."""
    world = draw_world(kind, seed)
    if world is None:
        return []
    table = world.runs(runs, seed)
    model = fit_effects(table, world.graph(table), seed=seed)
    start = table.weights().mean(axis=0)
    start = start / start.sum()
    reference, rng = named(start, world.domains), np.random.default_rng([seed, 4])
    rows: list[dict[str, object]] = []
    for place in POOLS:
        states = world.pools(pools, rng) if place == "shifted" else world.draw_states(pools, rng)
        for x in states:
            best = best_of(world, x, start, rng)

            def loss(weights: np.ndarray, x: np.ndarray = x) -> float:
                return float(world.objective(weights[None], x[None])[0])

            kept = loss(start)
            where = {"kind": kind, "seed": seed, "pool": place}
            rows.append({**where, "policy": KEEP, "regret": kept - best, "kept": kept - best, "harm": 0.0})
            for a in answers(model, named(x, world.states), reference, seed):
                true = loss(a.weights)
                off = abs(true - kept - (a.lower + a.upper) / 2) / max((a.upper - a.lower) / 2, SURE)
                rows.append(
                    {
                        **where,
                        "policy": a.policy,
                        "regret": true - best,
                        "kept": kept - best,
                        "harm": float(true > kept + SURE),
                        "stays": float(a.stays),
                        "off": np.nan if a.stays else off,
                        "inside": np.nan if a.stays else float(off <= 1),
                        "distance": np.abs(a.weights - start).sum() / 2,
                    }
                )
    return rows


def measure(seeds: int, runs: int, pools: int) -> pd.DataFrame:
    """Rows of all worlds."""
    rows: list[dict[str, object]] = []
    for seed in range(seeds):
        for kind in KINDS:
            rows += score(kind, seed, runs, pools)
        print(f"world {seed + 1} of {seeds}", flush=True)
    return pd.DataFrame(rows)


def regrets(rows: pd.DataFrame) -> pd.DataFrame:
    """Regret over that of keeping, by kind, policy, pool and world: a ratio of means over pools."""
    sums = rows.groupby(["kind", "policy", "pool", "seed"], sort=False)[["regret", "kept"]].sum()
    return (sums["regret"] / sums["kept"]).rename("regret").reset_index()


def verdicts(rows: pd.DataFrame) -> list[str]:
    """What was wanted, and whether it was reached."""
    mean = regrets(rows).groupby(["policy", "pool", "kind"])["regret"].mean()
    said = []
    for pool, most in (("shifted", WANTED_RATIO), (POOLS[0], 1.0)):
        ours, theirs = mean["trust_region", pool], mean["regmix", pool]
        parts = ", ".join(f"{KINDS[k].lower()} {ours[k] / theirs[k]:.2f}" for k in KINDS if k in ours)
        whole = ours.mean() / theirs.mean()
        above = [KINDS[k].lower() for k in KINDS if k in ours and ours[k] > most * theirs[k]]
        said.append(
            f"Regret of T over RegMix's, pools {pool}: {whole:.2f} over all worlds ({parts}), wanted at most "
            f"{most:.2f}: {'reached' if whole <= most else 'MISSED'}"
            + (f"; not reached {', '.join(above)}." if above else ", in each kind.")
        )
    inside = rows[rows["policy"].isin(["trust_region", NEAR])].dropna(subset="inside")
    spread = float(inside.groupby(["kind", "seed"])["inside"].mean().std() / np.sqrt(rows["seed"].nunique()))
    low, high = WANTED_INSIDE
    share = float(inside["inside"].mean())
    said.append(
        f"Gains predicted by T inside their 95% interval: {share:.1%} ± {spread:.1%} of {len(inside)}, "
        f"wanted {low:.0%} to {high:.0%}: {'reached' if low <= share <= high else 'MISSED'}. Intervals "
        f"{inside['off'].quantile(0.95):.2f} times as wide would have held 95%."
    )
    return said


def markdown(rows: pd.DataFrame, command: str, seconds: float) -> str:
    """The result as a page."""
    parts = []
    for kind in (k for k in KINDS if k in set(rows["kind"])):
        mine = rows[rows["kind"] == kind]
        regret = regrets(mine).groupby(["policy", "pool"], sort=False)["regret"].agg(["mean", "sem"])
        other = mine.groupby("policy", sort=False)[["harm", "stays", "inside", "distance"]].mean()
        lines = []
        for policy, row in zip(map(str, other.index), other.to_dict("records"), strict=True):
            found = regret.loc[policy].loc[list(POOLS)].to_numpy(dtype=float)
            cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in found]
            cells += ["-" if np.isnan(v) else f"{v:.0%}" for v in (row["harm"], row["stays"], row["inside"])]
            cells += ["-" if np.isnan(row["distance"]) else f"{row['distance']:.2f}"]
            lines.append(f"| {policy} | " + " | ".join(cells) + " |")
        parts.append(
            f"## {KINDS[kind]}\n\n| policy | regret, pools {POOLS[0]} | regret, pools shifted | harm | "
            "stays | inside | weight moved |\n|---|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
        )
    text = (__doc__ or "").split("\n\n", 2)[2]
    return f"""# How good are the mixtures that policies propose?

Measured with `{command}` on {platform.machine()}, causalmix {__version__}, in {seconds:.0f} s:
{rows["seed"].nunique()} worlds of each kind.

{text}
{chr(10).join("- " + v for v in verdicts(rows))}

{chr(10).join(parts)}"""


def main() -> None:
    """Run from the command line; writes `results/policy_regret.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--pools", type=int, default=2, help="pools of each kind per world")
    parser.add_argument("--quick", action="store_true", help="3 worlds, 128 runs, 2 pools, nothing written")
    options = parser.parse_args()
    seeds, runs, pools = (3, 128, 2) if options.quick else (options.seeds, RUNS, options.pools)
    started = time.perf_counter()
    rows = measure(seeds, runs, pools)
    page = markdown(
        rows, f"python -m benchmarks.policy_regret --seeds {seeds}", time.perf_counter() - started
    )
    print(page)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "policy_regret.md", page)


if __name__ == "__main__":
    main()
