"""How many probes does it take to rank mixtures? Every estimator on RegMix's published runs, side by side.

    python -m benchmarks.regmix_accuracy [--subsets 20] [--quick]

RegMix (Liu et al. 2024, arXiv 2407.01492) trained 512 proxies of 1M parameters on mixtures of 17 domains,
and 256 more to test with, and measured 13 losses of each. Estimators are fitted to random subsets of the
512 and rank the 256. Nothing is fitted to these; but the priors of the Gaussian process and of the law were
chosen with RegMix's tables in view, so what they gain over LightGBM with RegMix's settings from few runs is a
little flattered. The tables are looked for where the other benchmarks look for them.

A figure is Spearman's rank correlation of predicted and measured losses, of Pile-CC and averaged over the
13 losses, by its mean over the subsets (the median beside it). An estimator that cannot rank at all counts
as 0. For the Gaussian process the table also says how often its 95% intervals held the measured losses, as
the process gives them and as calibrated on left-out runs, and what a fit of 13 losses took on one thread.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.worlds import shared_tables
from causalmix_core import __version__
from causalmix_core.effects.calibration import calibrate
from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName, Response
from causalmix_core.effects.sample import Sample
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
COMPARED: tuple[EstimatorName, ...] = (
    "gaussian_process",
    "gp_law",
    "mixing_law",
    "lightgbm",
    "linear_regression",
)
OURS: EstimatorName = "gaussian_process"
RUNS = (16, 32, 64, 128, 256, 512)
GOALS = {("Pile-CC", 16): 0.930, ("Pile-CC", 32): 0.970, ("Pile-CC", 64): 0.986, ("Pile-CC", 512): 0.995}
GOALS |= {("mean of 13", 64): 0.983}
WEIGHT, LOSS = "train_the_pile_", "metric/the_pile_"
PILE_CC = f"{LOSS}pile_cc_val_loss"


@dataclass(frozen=True)
class Tables:
    """RegMix's runs to learn from, and those to test with.

    Attributes:
        seen: the 512.
        weights: of the tests, shape (256, 17).
        losses: of the tests, shape (256, 13).
        pile_cc: which of the losses is that of Pile-CC.
    """

    seen: Sample
    weights: np.ndarray
    losses: np.ndarray
    pile_cc: int

    @classmethod
    def read(cls, folder: Path) -> Tables:
        """Read the four tables; rows of weights are scaled to sum to one, which rounding made them miss."""

        def one(part: str) -> tuple[np.ndarray, pd.DataFrame]:
            mixtures = pd.read_csv(folder / f"{part}_mixture_1m.csv").set_index("index")
            losses = pd.read_csv(folder / f"{part}_pile_loss_1m.csv").set_index("index").loc[mixtures.index]
            weights = mixtures[[c for c in mixtures.columns if c.startswith(WEIGHT)]].to_numpy(float)
            return weights / weights.sum(axis=1, keepdims=True), losses

        weights, losses = one("train")
        test_weights, test_losses = one("test")
        columns = [c for c in losses.columns if c.startswith(LOSS)]
        return cls(
            seen=without_state(weights, losses[columns].to_numpy(float)),
            weights=test_weights,
            losses=test_losses[columns].to_numpy(float),
            pile_cc=columns.index(PILE_CC),
        )


def without_state(weights: np.ndarray, outcomes: np.ndarray) -> Sample:
    """A sample of runs that have no pool state."""
    return Sample(weights, np.zeros((len(weights), 0)), np.zeros(0, dtype=int), outcomes)


def score(tables: Tables, name: EstimatorName, runs: int, subset: int) -> dict[str, float]:
    """Fit one estimator to a random subset of the runs and score it on the tests."""
    which = np.random.default_rng([runs, subset]).permutation(len(tables.seen))[:runs]
    sample, empty = tables.seen.rows(which), np.zeros((len(tables.weights), 0))
    started = time.process_time()
    response = ESTIMATORS[name].make().fit(sample, subset)
    seconds = time.process_time() - started
    predicted = response.mean(tables.weights, empty)
    ranked = rank_correlations(predicted, tables.losses)
    found = {"Pile-CC": ranked[tables.pile_cc], "mean of 13": ranked.mean(), "seconds": seconds}
    if name == OURS and isinstance(response, Response):
        error = np.hypot(response.error(tables.weights, empty), response.noise)
        off = np.abs(predicted - tables.losses) / error
        quantile = calibrate(sample, ESTIMATORS[name], response, subset).prediction
        held = (off <= 1.96).mean(axis=0)
        found |= {"held": held.mean(), "held least": held.min(), "held calibrated": (off <= quantile).mean()}
    return found


def rank_correlations(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each column; 0 where a prediction is the same for all mixtures."""
    from scipy.stats import rankdata

    a, b = rankdata(predicted, axis=0), rankdata(measured, axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    length = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.where(length > 0, (a * b).sum(axis=0) / np.maximum(length, 1e-300), 0.0)


def compare(tables: Tables, subsets: int) -> pd.DataFrame:
    """Scores of every estimator on every subset: columns estimator, runs, subset and those of `score`."""
    rows = []
    for runs in RUNS:
        # Larger subsets share most of their runs, so they differ less; all 512 are one subset.
        repeats = 1 if runs == len(tables.seen) else max(subsets * min(1, 64 / runs), 1)
        for subset in range(int(repeats)):
            for name in COMPARED:
                found = score(tables, name, runs, subset)
                rows.append({"estimator": name, "runs": runs, "subset": subset, **found})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame, command: str) -> str:
    """The result as a page."""
    grouped = table.groupby(["estimator", "runs"])[list(table.columns[3:])]
    mean, median = grouped.mean().to_dict(), grouped.median().to_dict()
    counts = table[table["estimator"] == OURS].groupby("runs").size().to_dict()
    goals = []
    for (what, runs), goal in GOALS.items():
        cells = []
        for figures in (mean[what], median[what]):
            reached = {n: float(figures[n, runs]) for n in COMPARED}
            words = [f"{ESTIMATORS[n].label} {v:.4f}" for n, v in reached.items() if v >= goal]
            cells.append("; ".join(words) or "none")
        goals.append(f"| {what} | {runs} | {goal:.3f} | {' | '.join(cells)} |")
    parts = []
    for what in ("Pile-CC", "mean of 13"):
        rows = "\n".join(
            f"| {ESTIMATORS[name].label} | "
            + " | ".join(f"{mean[what][name, n]:.4f} ({median[what][name, n]:.4f})" for n in RUNS)
            + " |"
            for name in COMPARED
        )
        head = " | ".join(f"{n} runs" for n in RUNS)
        parts.append(f"## {what}\n\n| estimator | {head} |\n|---{'|---' * len(RUNS)}|\n{rows}\n")
    shown = [mean[what] for what in ("held", "held least", "held calibrated", "seconds")]
    rows = "\n".join(
        f"| {n} | {counts[n]} | " + " | ".join(f"{figures[OURS, n]:.3f}" for figures in shown) + " |"
        for n in RUNS
    )
    return f"""# How many probes does it take to rank mixtures?

Measured with `{command}` on {platform.machine()}, causalmix {__version__}. RegMix's 1M runs: fitted to
random subsets of 512, scored on 256 others. Mean over the subsets of Spearman's rank correlation, the
median in brackets.

| loss | runs | goal | reached by the mean of | reached by the median of |
|---|---|---|---|---|
{chr(10).join(goals)}

{chr(10).join(parts)}
## Intervals and time of the Gaussian process

Share of measured losses of the 256 inside the 95% interval: over all 13 losses, of the loss with the least,
and after calibration on left-out runs. Seconds of the processor for a fit of 13 losses, on one thread.

| runs | subsets | inside | least | calibrated | seconds |
|---|---|---|---|---|---|
{rows}
"""


def main() -> None:
    """Run from the command line; writes `results/regmix_accuracy.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--subsets", type=int, default=20, help="of up to 64 runs; fewer of larger ones")
    parser.add_argument("--quick", action="store_true", help="2 subsets; nothing is written")
    options = parser.parse_args()
    folder = shared_tables()
    if folder is None:
        parser.exit(1, "RegMix's tables are not here: set REGMIX_1M to the folder that holds them.\n")
    table = compare(Tables.read(folder), 2 if options.quick else options.subsets)
    page = markdown(table, f"python -m benchmarks.regmix_accuracy --subsets {options.subsets}")
    print(page)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "regmix_accuracy.md", page)


if __name__ == "__main__":
    main()
