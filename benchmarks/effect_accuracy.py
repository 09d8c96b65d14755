"""Are effects and suggestions right where the pool decided the mixtures? Every estimator side by side.

    python -m benchmarks.effect_accuracy [--seeds 20] [--pools 10] [--quick]

Simulated worlds with known truth: confounded worlds whose best mixture depends on the pool (5, 10 and 17
domains), and worlds on the surface that RegMix measured, with the pool shifted. Each estimator is fitted as
a curator fits it, with a graph that says that the pool may have decided the mixtures. For pools that it has
not seen it then gives effects, at the mean mixture of the runs, and a suggestion from there.

- effect error: root mean square error of effects, over the standard deviation of the true ones; 1 is as
  good as saying that every domain does what the average domain does.
- regret: true loss of the suggestion less that of the best mixture within the same reach. `sure` proposes
  only what is better with 95% confidence, as the product does; `guess` proposes the best prediction.
- stays: share of pools for which `sure` proposes to stay; harm: share whose suggestion is truly worse than
  staying.
- RegMix's way: LightGBM on weights alone; of 100,000 Dirichlet mixtures, the mean of the 128 with the lowest
  prediction, with no bound on what moves.

The policy is that of the product on fewer candidates: 3,000 within reach, the mean of the best 15, the same
for every estimator.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.worlds import World, draw_regmix_world, draw_softmax_world, named, shared_tables
from causalmix_core import __version__
from causalmix_core.effects import OBJECTIVE, EffectModel, EstimatorName, fit_effects
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
RADIUS = 0.5
"""The most weight that a suggestion may move, for all estimators; best mixtures lie .2 to .5 away."""
CANDIDATES, BEST = 3_000, 15
"""Of the search, fewer than the product's 100,000 and 100: the same for all, and a benchmark of minutes."""
REGMIX_CANDIDATES = 100_000
REGMIX_BEST = 128
KEEP, REGMIX = "keep the reference", "RegMix's way"
FIXED, KNOWN = "best fixed mixture (truth known)", "best mixture per pool (truth known)"
OURS: EstimatorName = "gaussian_process"
ESTIMATORS: tuple[EstimatorName, ...] = (
    "gaussian_process",
    "gp_law",
    "linear_dml_curved",
    "causal_forest_dml_curved",
    "linear_dml",
    "causal_forest_dml",
    "s_learner",
    "lightgbm",
)


@dataclass(frozen=True)
class Setting:
    """A kind of world.

    Attributes:
        title: heading of its table.
        draw: the world of a seed.
        runs: how many runs each has.
    """

    title: str
    draw: Callable[[int], World]
    runs: int


def settings() -> dict[str, Setting]:
    """The kinds of worlds; those on RegMix's surface only where its tables are."""
    found = {
        f"softmax-{k}": Setting(
            f"Confounded worlds, {k} domains, {n} runs", partial(draw_softmax_world, k), n
        )
        for k, n in ((5, 512), (10, 512), (17, 128))
    }
    found["noise-17"] = Setting(
        "Confounded worlds, 17 domains, 128 runs, ten times the noise",
        partial(draw_softmax_world, 17, noise=1.0),
        128,
    )
    found["idle-17"] = Setting(
        "Confounded worlds, 17 domains, 128 runs, in which mixtures do nothing",
        partial(draw_softmax_world, 17, strength=0.0),
        128,
    )
    tables = shared_tables()
    if tables is not None:
        found["regmix"] = Setting(
            "Worlds on the RegMix surface, 6 domains, 512 runs, pool shifted",
            partial(draw_regmix_world, tables),
            512,
        )
    return found


def score(
    setting: Setting, seed: int, estimators: Sequence[EstimatorName], pools: int
) -> Iterator[dict[str, object]]:
    """One row per method for one world: effect error, correlation, regrets, share of pools that stay."""
    world = setting.draw(seed)
    runs = world.runs(setting.runs, seed)
    graph = world.graph(runs)
    weights = runs.weights()
    reference = weights.mean(axis=0)
    rng = np.random.default_rng([seed, 1])
    states = world.pools(pools, rng)
    truth = np.stack([world.effects(x, reference)[:, 0] for x in states])
    candidates = _candidates(weights, reference, rng)
    losses = np.stack([world.objective(candidates, np.tile(x, (len(candidates), 1))) for x in states])
    best = np.array(
        [_best(world, x, candidates, y, reference, rng) for x, y in zip(states, losses, strict=True)]
    )

    def regret(mixtures: np.ndarray) -> float:
        return float((world.objective(mixtures, states) - best).mean())

    kept = world.objective(np.tile(reference, (pools, 1)), states)

    def harm(mixtures: np.ndarray) -> float:
        return float((world.objective(mixtures, states) > kept + 1e-12).mean())

    yield {"method": KEEP, "sure": regret(np.tile(reference, (pools, 1)))}
    yield {"method": FIXED, "guess": regret(np.tile(candidates[losses.mean(axis=0).argmin()], (pools, 1)))}
    known = [candidates[np.argsort(y)[:BEST]].mean(axis=0) for y in losses]
    yield {"method": KNOWN, "guess": regret(np.array(known))}
    for estimator in estimators:
        started = time.perf_counter()
        model = fit_effects(runs, graph, estimator=estimator, seed=seed)
        seconds = time.perf_counter() - started
        found = effects_of(model, states, reference)
        row: dict[str, object] = {
            "method": estimator,
            "seconds": seconds,
        }
        if truth.std() > 0:
            row["error"] = float(np.sqrt(((found - truth) ** 2).mean()) / truth.std())
            row["correlation"] = float(np.corrcoef(found.ravel(), truth.ravel())[0, 1])
        chosen = [suggestions(model, named(x, world.states), reference, candidates) for x in states]
        for i, kind in enumerate(("sure", "guess")):
            mixtures = np.array([c[i] for c in chosen])
            row[kind] = regret(mixtures)
            row[f"stay {kind}"] = float((mixtures == reference).all(axis=1).mean())
            row[f"harm {kind}"] = harm(mixtures)
        yield row
        if estimator == "lightgbm":
            mixture = regmix_suggestion(model, world, reference, seed)
            yield {
                "method": REGMIX,
                "error": row.get("error", np.nan),
                "guess": regret(np.tile(mixture, (pools, 1))),
            }


def suggestions(
    model: EffectModel, state: dict[str, float], reference: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the search policy proposes, with 95% confidence and without, from one set of candidates.

    As `causalmix_core.mixture.suggest` does: rank by the upper end of the interval of the change, or by the
    prediction; take the mean of the best; stay where that is not below zero.
    """
    start = named(reference, model.domains)

    def bound(mixtures: np.ndarray, confidence: bool) -> np.ndarray:
        change, error = model.changes(state, start, mixtures)
        return change + model.interval_quantile() * error if confidence else change

    change, error = model.changes(state, start, candidates)
    picked = []
    for confidence in (True, False):
        ranked = np.argsort(change + confidence * model.interval_quantile() * error, kind="stable")
        mean = candidates[ranked[:BEST]].mean(axis=0)
        picked.append(mean if bound(mean[None], confidence)[0] < 0 else reference)
    return picked[0], picked[1]


def effects_of(model: EffectModel, states: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Estimated effects on the objective, shape (pools, K)."""
    rows = []
    for x in states:
        frame = model.effects(named(x, model.runs.states), named(mixture, model.domains))
        mine = frame[frame["outcome"] == OBJECTIVE].set_index("domain")["effect"]
        rows.append(mine[model.domains].to_numpy(float))
    return np.array(rows)


def regmix_suggestion(model: EffectModel, world: World, reference: np.ndarray, seed: int) -> np.ndarray:
    """RegMix's simulation: the mean of the 128 mixtures of 100,000 that its LightGBM likes best.

    The model sees weights alone, so one answer serves all pools. Candidates are as spread out as the
    uniform distribution over mixtures, around the mean mixture of the runs.
    """
    rng = np.random.default_rng([seed, 2])
    candidates = rng.dirichlet(len(reference) * np.maximum(reference, 1e-3), REGMIX_CANDIDATES)
    state = named(np.zeros(len(world.states)), world.states)
    change, _ = model.changes(state, named(reference, world.domains), candidates)
    return np.asarray(candidates[np.argsort(change, kind="stable")[:REGMIX_BEST]].mean(axis=0))


def _candidates(weights: np.ndarray, reference: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mixtures within `RADIUS` of the reference and within the weights that 98% of the runs have tried."""
    low, high = np.quantile(weights, 0.01, axis=0), np.quantile(weights, 0.99, axis=0)
    kept = np.empty((0, len(reference)))
    while len(kept) < CANDIDATES:
        strength = len(reference) * np.exp(rng.uniform(0, np.log(100), (20_000, 1)))
        gammas = np.maximum(rng.standard_gamma(strength * np.maximum(reference, 1e-3)), 1e-300)
        drawn = gammas / gammas.sum(axis=1, keepdims=True)
        kept = np.vstack([kept, drawn[_within(drawn, reference, low, high)]])
    return kept[:CANDIDATES]


def _within(mixtures: np.ndarray, reference: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    inside = ((mixtures >= low) & (mixtures <= high)).all(axis=1)
    return np.asarray(inside & (np.abs(mixtures - reference).sum(axis=1) / 2 <= RADIUS))


def _best(
    world: World,
    state: np.ndarray,
    candidates: np.ndarray,
    losses: np.ndarray,
    reference: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """The lowest true objective within reach of one pool: of the candidates, and of others near the best."""
    low, high = candidates.min(axis=0), candidates.max(axis=0)
    best, mixture = float(losses.min()), candidates[losses.argmin()]
    for strength in (50, 200, 800, 3200):
        near = rng.dirichlet(strength * np.maximum(mixture, 1e-3), 1000)
        near = near[_within(near, reference, low, high)]
        found = world.objective(near, np.tile(state, (len(near), 1)))
        if len(near) and found.min() < best:
            best, mixture = float(found.min()), near[found.argmin()]
    return best


def measure(
    which: Sequence[str], seeds: int, pools: int, estimators: Sequence[EstimatorName], *, say: bool = True
) -> dict[str, pd.DataFrame]:
    """Scores by setting: one row per world and method."""
    tables = {}
    for name, setting in settings().items():
        if name not in which:
            continue
        rows = []
        for seed in range(seeds):
            rows += [{"seed": seed, **row} for row in score(setting, seed, estimators, pools)]
            if say:
                print(f"{name}: world {seed + 1} of {seeds}", flush=True)
        tables[name] = pd.DataFrame(rows)
    return tables


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over worlds, one row per method, in the order in which they were scored."""
    return rows.drop(columns="seed").groupby("method", sort=False).mean()


def goals(name: str, mean: pd.DataFrame) -> list[str]:
    """What was wanted of our default in this kind of world, and whether it was reached."""
    if OURS not in mean.index:
        return []
    scores = {column: mean[column].to_dict() for column in mean}
    lines = []

    def goal(text: str, value: float, most: float) -> None:
        lines.append(
            f"- {'Reached' if value <= most else 'MISSED'}: {text}: {value:.3f}, wanted at most {most:g}."
        )

    def ratio(column: str, mine: str, of: str, theirs: str) -> float:
        return float(scores[mine][OURS] / scores[theirs][of])

    if name == "softmax-5" and REGMIX in mean.index:
        goal(
            "effect error over that of LightGBM on weights alone",
            ratio("error", "error", REGMIX, "error"),
            0.1,
        )
        for kind in ("sure", "guess"):
            goal(f"regret ({kind}) over that of RegMix's way", ratio(kind, kind, REGMIX, "guess"), 0.25)
    if name == "softmax-10":
        for kind in ("sure", "guess"):
            goal(f"regret ({kind}) over that of keeping the reference", ratio(kind, kind, KEEP, "sure"), 0.7)
    if name == "softmax-17":
        goal("regret (sure) over that of keeping the reference", ratio("sure", "sure", KEEP, "sure"), 1.0)
    if name in ("softmax-17", "noise-17"):
        goal(
            "share of pools whose suggestion (sure) is truly worse than staying",
            scores["harm sure"][OURS],
            0.05,
        )
    if name == "idle-17":
        goal("share of pools for which it does not suggest to stay", 1 - scores["stay sure"][OURS], 0.05)
    if name == "regmix":
        for kind in ("sure", "guess"):
            if "causal_forest_dml" in mean.index:
                goal(
                    f"regret ({kind}) over that of the paper's causal forest (guess, as in the paper)",
                    ratio(kind, kind, "causal_forest_dml", "guess"),
                    0.5,
                )
            if REGMIX in mean.index:
                goal(f"regret ({kind}) over that of RegMix's way", ratio(kind, kind, REGMIX, "guess"), 0.2)
    return lines


def markdown(tables: dict[str, pd.DataFrame], command: str, seeds: int, pools: int) -> str:
    """The result as a page."""
    parts = []
    for name, rows in tables.items():
        mean = summary(rows)
        lines = [
            "| " + " | ".join([str(method), *(_cell(row, c) for c in COLUMNS)]) + " |"
            for method, row in mean.iterrows()
        ]
        parts.append(
            "\n".join(
                [
                    f"## {settings()[name].title if name in settings() else name}",
                    "",
                    *goals(name, mean),
                    "",
                    "| method | " + " | ".join(COLUMNS.values()) + " |",
                    "|---" * (1 + len(COLUMNS)) + "|",
                    *lines,
                    "",
                ]
            )
        )
    text = (__doc__ or "").split("\n\n", 2)[2]
    return f"""# Are effects and suggestions right where the pool decided the mixtures?

Measured with `{command}` on {platform.machine()}, causalmix {__version__}: {seeds} worlds of each kind,
{pools} pools in each. Lower is better everywhere but in the correlation and in how many stay.

{text}
{chr(10).join(parts)}"""


COLUMNS = {
    "error": "effect error",
    "correlation": "correlation",
    "sure": "regret, sure",
    "guess": "regret, guess",
    "stay sure": "stays",
    "harm sure": "harm, sure",
    "harm guess": "harm, guess",
    "seconds": "fit, s",
}


def _cell(row: pd.Series[float], column: str) -> str:
    value = row.get(column, np.nan)
    if not np.isfinite(value):
        return ""
    if column.startswith(("stay", "harm")):
        return f"{value:.0%}"
    return (
        f"{value:.1f}"
        if column == "seconds"
        else f"{value:.3f}"
        if column != "correlation"
        else f"{value:.2f}"
    )


def main() -> None:
    """Run from the command line; writes `results/effect_accuracy.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--pools", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=list(settings()), help="kinds of worlds")
    parser.add_argument("--estimators", nargs="*", default=list(ESTIMATORS))
    parser.add_argument("--quick", action="store_true", help="2 worlds, 5 pools, nothing written")
    options = parser.parse_args()
    seeds, pools = (2, 5) if options.quick else (options.seeds, options.pools)
    tables = measure(options.only, seeds, pools, options.estimators)
    page = markdown(
        tables, f"python -m benchmarks.effect_accuracy --seeds {seeds} --pools {pools}", seeds, pools
    )
    print(page)
    if not options.quick and options.only == list(settings()) and options.estimators == list(ESTIMATORS):
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "effect_accuracy.md", page)


if __name__ == "__main__":
    main()
