"""Is a confounder adjusted for where the graph has it, and flagged where it lacks it?

    python -m benchmarks.planted_confounder [--seeds 20] [--runs 256] [--quick]

Worlds with three kinds of laws and 5 domains, in which one pool state moved both the mixtures and the loss,
by about as much as chance and mixtures did. Each is fitted twice: with that state in runs and graph, and
without it in either, as if nobody had measured it. Four draws of runs of each world tell bias from noise.

- bias: root mean square over domains and worlds of the mean error over the draws, at the mean mixture and
  mean state, over that of the true effects.
- The naive fit is then asked how sensitive it is (partial R2, Cinelli and Hazlett 2020). The planted
  strength is what the fit that has the state measures of it: how much it explains of what is left of a
  weight and of the loss. Flagged: an effect whose robustness value is below that strength.
"""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.worlds import World, draw_planted_world, named
from benchmarks.worlds.laws import LAWS
from benchmarks.worlds.planted import CONFOUNDER
from causalmix_core import __version__
from causalmix_core.effects import EstimatorName, fit_effects
from causalmix_core.effects.sensitivity import EffectSensitivity, robustness_value, sensitivity
from causalmix_core.probes import RunTable
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
DRAWS = 4
ESTIMATORS: tuple[EstimatorName, ...] = ("gaussian_process", "linear_dml", "causal_forest_dml")
GOAL = 0.25


def without_confounder(runs: RunTable) -> RunTable:
    """The runs as if nobody had measured the confounder."""
    states = [s for s in runs.states if s != CONFOUNDER]
    return replace(runs, frame=runs.frame.drop(columns=CONFOUNDER), states=states)


def score(world: World, runs: RunTable, estimator: EstimatorName, seed: int) -> pd.DataFrame:
    """One row per domain: the truth, both estimates, and what sensitivity says of the naive one."""
    mixture = runs.weights().mean(axis=0)
    truth = world.effects(np.zeros(len(world.states)), mixture)[:, 0]
    rows: dict[str, dict[str, EffectSensitivity]] = {}
    for name, table in (("adjusted", runs), ("naive", without_confounder(runs))):
        model = fit_effects(table, world.graph(table), estimator=estimator, seed=seed)
        state = named(np.zeros(len(table.states)), table.states)
        said = sensitivity(model, state, named(mixture, world.domains))
        rows[name] = {e.domain: e for e in said.of(world.outcomes[0])}
    return pd.DataFrame(
        [
            {"domain": d, "truth": truth[i], **_compare(rows["adjusted"][d], rows["naive"][d], truth[i])}
            for i, d in enumerate(world.domains)
        ]
    )


def _compare(adjusted: EffectSensitivity, naive: EffectSensitivity, truth: float) -> dict[str, float | bool]:
    planted = next(b for b in adjusted.benchmarks if b.state == CONFOUNDER)
    # The equal strength towards weight and loss that can do as much as the planted one.
    as_strong = robustness_value(
        math.sqrt(planted.outcome_r2 * planted.weight_r2 / max(1 - planted.weight_r2, 1e-9))
    )
    error = abs(naive.effect - truth)
    # What the confounder can do to the naive fit: by its robustness value, as much as the whole effect.
    ratio = naive.robustness / math.sqrt(max(1 - naive.robustness, 1e-12))
    reach = abs(naive.effect) * as_strong / math.sqrt(max(1 - as_strong, 1e-12)) / max(ratio, 1e-12)
    return {
        "adjusted": adjusted.effect,
        "naive": naive.effect,
        "adjusted holds": abs(adjusted.effect - truth) <= adjusted.half,
        "naive holds": error <= naive.half,
        "naive holds, widened": error <= naive.half + reach,
        "sure": abs(naive.effect) > naive.half,
        "overturned": abs(naive.effect) > naive.half and naive.effect * truth < 0,
        "strength": as_strong,
        "robustness": naive.robustness,
        "flagged": naive.robustness <= as_strong,
    }


def measure(seeds: int, runs: int, estimators: Sequence[EstimatorName], *, say: bool = True) -> pd.DataFrame:
    """One row per estimator, draw and domain; every `DRAWS` seeds share a world."""
    rows = []
    for seed in range(seeds):
        number = seed // DRAWS
        world = draw_planted_world(number, law=LAWS[number % len(LAWS)])
        table = world.runs(runs, seed)
        for estimator in estimators:
            found = score(world, table, estimator, seed)
            rows.append(found.assign(method=estimator, world=number, seed=seed))
        if say:
            print(f"draw {seed + 1} of {seeds}", flush=True)
    return pd.concat(rows, ignore_index=True)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per estimator: bias of both fits, coverage, and how many overturned effects are flagged."""
    found = []
    for method, mine in rows.groupby("method", sort=False):
        errors = mine.assign(
            adjusted=mine["adjusted"] - mine["truth"],
            naive=mine["naive"] - mine["truth"],
        )
        mean = errors.groupby(["world", "domain"])[["adjusted", "naive", "truth"]].mean()
        size = np.sqrt((mean**2).mean())
        wrong, right = mine[mine["overturned"]], mine[mine["sure"] & ~mine["overturned"]]
        found.append(
            {
                "method": method,
                "naive bias": size["naive"] / size["truth"],
                "adjusted bias": size["adjusted"] / size["truth"],
                "ratio": size["adjusted"] / size["naive"],
                "adjusted holds": mine["adjusted holds"].mean(),
                "naive holds": mine["naive holds"].mean(),
                "naive holds, widened": mine["naive holds, widened"].mean(),
                "overturned": len(wrong),
                "flagged": wrong["flagged"].mean() if len(wrong) else math.nan,
                "sure": len(right),
                "flagged though right": right["flagged"].mean() if len(right) else math.nan,
                "strength": mine["strength"].median(),
            }
        )
    return pd.DataFrame(found).set_index("method")


def markdown(rows: pd.DataFrame, runs: int, command: str) -> str:
    """The result as a page."""
    found = summary(rows)
    lines = [
        f"| {method} | {r['naive bias']:.2f} | {r['adjusted bias']:.3f} | {r['ratio']:.2f} "
        f"| {r['naive holds']:.0%} | {r['adjusted holds']:.0%} | {r['naive holds, widened']:.0%} "
        f"| {_of(r, 'flagged', 'overturned')} | {_of(r, 'flagged though right', 'sure')} |"
        for method, r in found.iterrows()
    ]
    ratio = float(found.iloc[0]["ratio"])
    verdict = "reached" if ratio <= GOAL else "MISSED"
    text = (__doc__ or "").split("\n\n", 2)[2]
    return f"""# Is a confounder adjusted for where the graph has it, and flagged where it lacks it?

Measured with `{command}` on {platform.machine()}, causalmix {__version__}: {rows["world"].nunique()} worlds,
{rows["seed"].nunique()} draws of {runs} runs. Wanted: a bias of at most {GOAL:g} of the naive
one; {found.index[0]} has {ratio:.2f}: {verdict}. Median planted strength: a partial R2 of
{found.iloc[0]["strength"]:.2f}.

{text}
| estimator | naive bias | adjusted bias | ratio | naive holds | adjusted holds | naive, widened \
| overturned, flagged | right, flagged |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

Holds: share of 95% intervals that hold the truth. Widened: by all the bias that a confounder of the planted
strength could make. Overturned: the naive fit is 95% sure of the wrong sign; right: of the right one.
"""


def _of(row: pd.Series[float], share: str, count: str) -> str:
    number = int(row[count])
    return f"{round(row[share] * number)} of {number}" if number else "none"


def main() -> None:
    """Run from the command line; writes `results/planted_confounder.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=256)
    parser.add_argument("--estimators", nargs="*", default=list(ESTIMATORS))
    parser.add_argument("--quick", action="store_true", help="one world, 128 runs, nothing written")
    options = parser.parse_args()
    seeds, runs = (DRAWS, 128) if options.quick else (options.seeds, options.runs)
    command = f"python -m benchmarks.planted_confounder --seeds {seeds} --runs {runs}"
    page = markdown(measure(seeds, runs, options.estimators), runs, command)
    print(page)
    if not options.quick and tuple(options.estimators) == ESTIMATORS:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "planted_confounder.md", page)


if __name__ == "__main__":
    main()
