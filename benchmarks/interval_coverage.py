"""Do 95% intervals hold the truth in 95% of cases? Simulated worlds, every estimator side by side.

    python -m benchmarks.interval_coverage [--seeds 20] [--quick]

Worlds of three kinds of laws, with and without effects that differ between pools, in turn: first with
randomised mixtures, then with mixtures that the pool decided. From each, 24 to 512 runs are drawn and
fitted as a curator fits them. Intervals are those of the product: of effects per point at five mixtures in
three pool states, and of the outcomes of new runs.

Coverage is the share of intervals that hold the truth, over all worlds; the number behind it is the
standard error over worlds, which intervals of one world share their luck in. Width is half of the interval
over the root mean square of the true effects (for predictions: over the standard deviation of outcomes),
because a wide enough interval always holds the truth.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.worlds import World, draw_law_world, named
from causalmix_core import __version__
from causalmix_core.effects import OBJECTIVE, EffectModel, EstimatorName, fit_effects
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
RUNS = (24, 48, 128, 512)
MIXTURES, POOLS, NEW_RUNS = 5, 3, 200
ESTIMATORS: tuple[EstimatorName, ...] = ("gaussian_process", "gp_law", "linear_dml", "causal_forest_dml")
GOALS = {"randomised": (0.93, 0.97), "confounded": (0.90, 0.98)}
OURS: EstimatorName = "gaussian_process"


def score(world: World, runs: int, estimator: EstimatorName, seed: int) -> dict[str, float]:
    """Coverage and width of the intervals of one fit: of effects and of predictions."""
    table = world.runs(runs, seed)
    model = fit_effects(table, world.graph(table), estimator=estimator, seed=seed)
    rng = np.random.default_rng([seed, 3])
    held, width, size, bias = _effects(model, world, table.weights(), rng)
    weights, states, outcomes = world.draw(NEW_RUNS, rng)
    predicted = model.predict(weights, states)
    inside, half = [], []
    for i, outcome in enumerate(world.outcomes):
        mine = predicted[predicted["outcome"] == outcome].sort_values("row")
        inside.append((mine["lower"] <= outcomes[:, i]) & (outcomes[:, i] <= mine["upper"]))
        half.append((mine["upper"] - mine["lower"]).mean() / 2 / outcomes[:, i].std())
    return {
        "effects": float(held.mean()),
        "effects width": width / size,
        "effects error": bias,
        "predictions": float(np.mean(inside)),
        "predictions width": float(np.mean(half)),
    }


def _effects(
    model: EffectModel, world: World, weights: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float, float, float]:
    """Which intervals of effects hold the truth, their mean half width, the size of true effects, the error.

    Asked at the mean mixture and at mixtures like those of the runs, in the mean state and in states of the
    kind of the runs'; outcomes and the objective alike.
    """
    states = np.vstack([np.zeros(len(world.states)), world.draw_states(POOLS - 1 + MIXTURES - 1, rng)])
    mixtures = np.vstack([weights.mean(axis=0), world.assign(states[POOLS:], rng)])
    held, half, true, errors = [], [], [], []
    for x in states[:POOLS]:
        for mixture in mixtures:
            frame = model.effects(named(x, world.states), named(mixture, world.domains))
            effects = world.effects(x, mixture)
            truth = np.column_stack([effects, effects.mean(axis=1)]).T.ravel()
            order = [*world.outcomes, OBJECTIVE]
            frame = frame.set_index(["outcome", "domain"]).loc[[(o, d) for o in order for d in world.domains]]
            held.append((frame["lower"] <= truth) & (truth <= frame["upper"]))
            half.append((frame["upper"] - frame["lower"]) / 2)
            true.append(truth)
            errors.append(frame["effect"] - truth)
    size = float(np.sqrt(np.mean(np.square(true))))
    error = float(np.sqrt(np.mean(np.square(errors)))) / size
    return np.array(held), float(np.mean(half)), size, error


def measure(
    seeds: int, sizes: Sequence[int], estimators: Sequence[EstimatorName], *, first: int = 0, say: bool = True
) -> pd.DataFrame:
    """One row per kind of world, world, number of runs and estimator."""
    rows = []
    for seed in range(first, first + seeds):
        for kind in GOALS:
            world = draw_law_world(seed, confounded=kind == "confounded")
            for runs in sizes:
                for estimator in estimators:
                    started = time.perf_counter()
                    scores = score(world, runs, estimator, seed)
                    seconds = time.perf_counter() - started
                    rows.append(
                        {"kind": kind, "seed": seed, "runs": runs, "method": estimator}
                        | scores
                        | {"seconds": seconds}
                    )
        if say:
            print(f"world {seed - first + 1} of {seeds}", flush=True)
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over worlds, with the standard error of both coverages."""
    groups = rows.drop(columns="seed").groupby(["kind", "method", "runs"], sort=False)
    mean, error = groups.mean(), groups.sem()
    return mean.assign(**{f"{c} se": error[c] for c in ("effects", "predictions")})


def markdown(rows: pd.DataFrame, command: str) -> str:
    """The result as a page."""
    parts = []
    for kind, (low, high) in GOALS.items():
        mean = summary(rows).loc[kind].reset_index()
        lines, ours = [], []
        for _, row in mean.iterrows():
            method, runs = str(row["method"]), int(row["runs"])
            cells = [
                f"{row[what]:.3f} ± {row[what + ' se']:.3f}{'' if low <= row[what] <= high else ' *'}"
                for what in WHAT
            ]
            widths = [
                f"{row['effects width']:.2f}",
                f"{row['effects error']:.2f}",
                f"{row['predictions width']:.2f}",
            ]
            lines.append(
                "| " + " | ".join([method, str(runs), *cells, *widths, f"{row['seconds']:.1f}"]) + " |"
            )
            if method == OURS:
                ours += [(f"{what} at {runs} runs", row[what], row[what + " se"]) for what in WHAT]
        missed = [f"{words} {value:.3f} ± {se:.3f}" for words, value, se in ours if not low <= value <= high]
        verdict = f"MISSED by {OURS}: {'; '.join(missed)}." if missed else f"Reached by {OURS} everywhere."
        pooled = ", ".join(
            f"{what} {np.mean([value for words, value, _ in ours if words.startswith(what)]):.3f}"
            for what in WHAT
        )
        parts.append(
            f"""## {TITLES[kind]}

Wanted: {low:.0%} to {high:.0%}. {verdict} Over all numbers of runs: {pooled}. A star marks what lies outside.

| estimator | runs | effects | predictions | effect width | effect error | prediction width | s |
|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}
"""
        )
    text = (__doc__ or "").split("\n\n", 2)[2]
    return f"""# Do 95% intervals hold the truth in 95% of cases?

Measured with `{command}` on {platform.machine()}, causalmix {__version__}:
{rows["seed"].nunique()} worlds of each kind.

{text}
{chr(10).join(parts)}"""


WHAT = ("effects", "predictions")
TITLES = {"randomised": "Mixtures drawn at random", "confounded": "Mixtures that the pool decided"}


def main() -> None:
    """Run from the command line; writes `results/interval_coverage.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--runs", type=int, nargs="*", default=list(RUNS))
    parser.add_argument("--estimators", nargs="*", default=list(ESTIMATORS))
    parser.add_argument("--quick", action="store_true", help="3 worlds, up to 48 runs, nothing written")
    options = parser.parse_args()
    seeds, sizes = (3, [24, 48]) if options.quick else (options.seeds, options.runs)
    page = markdown(
        measure(seeds, sizes, options.estimators), f"python -m benchmarks.interval_coverage --seeds {seeds}"
    )
    print(page)
    if not options.quick and tuple(sizes) == RUNS and tuple(options.estimators) == ESTIMATORS:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "interval_coverage.md", page)


if __name__ == "__main__":
    main()
