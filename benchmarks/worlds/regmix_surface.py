"""Worlds on a real surface: the loss that RegMix measured, its 17 domains merged into six.

RegMix (Liu et al. 2024, arXiv 2407.01492) published 512 mixtures and the losses of 1M-parameter proxies
trained on them. The mean of the 13 losses, as a smooth function of six merged weights, is the true surface
here: a Gaussian process with a squared exponential kernel over square roots of the weights, a shape that no
estimator of ours assumes. Four pool states change how strong each domain is: a domain of strength s counts
as s times its weight. The same states moved the loss and decided the mixtures, and the pools that a mixture
is wanted for are shifted against those of the runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.worlds.world import World, losses_of, softmax, states_of

STATES = 4
SHIFT = 1.25
"""How far the pools in question lie from those of the runs, in standard deviations."""
GROUPS: dict[str, tuple[str, ...]] = {
    "code": ("github", "stackexchange", "ubuntu_irc", "hackernews"),
    "law": ("freelaw", "uspto_backgrounds"),
    "medicine": ("pubmed_central", "pubmed_abstracts", "nih_exporter"),
    "prose": ("gutenberg_pg_19", "europarl", "enron_emails", "wikipedia_en"),
    "science": ("arxiv", "dm_mathematics", "philpapers"),
    "web": ("pile_cc",),
}
AMPLITUDE, LENGTHS, NOISE = 11.6, (2.22, 9.51, 6.59, 5.43, 2.30, 3.46), 0.243
"""The kernel with the highest marginal likelihood for these tables, found once; groups in sorted order. What
it calls noise is mostly how a group divides among its domains."""
PREFIX = "train_the_pile_"


def shared_tables() -> Path | None:
    """The folder with RegMix's 1M tables; None where there is none.

    It is looked for in `$REGMIX_1M` and in `shared/data/regmix_1m` within and beside the checkout.
    """
    root = Path(__file__).parents[2]
    named = os.environ.get("REGMIX_1M")
    places = [Path(named)] if named else []
    places += [root / "shared/data/regmix_1m", root.parent / "shared/data/regmix_1m"]
    return next((p for p in places if (p / "train_mixture_1m.csv").is_file()), None)


def draw_regmix_world(tables: Path, seed: int) -> World:
    """A world on the RegMix surface.

    Args:
        tables: the folder with the four CSV files.
        seed: decides how pools change strengths, losses and mixtures.
    """
    surface_of, centre, deviation = _surface(tables)
    domains = sorted(GROUPS)
    rng = np.random.default_rng([9, seed])
    strengths = rng.normal(size=(STATES, len(domains)))
    level = rng.normal(size=(2, STATES))
    pull = 0.5 * rng.normal(size=(STATES, len(domains)))
    shift = rng.normal(size=STATES)
    shift *= SHIFT / np.sqrt((shift**2).sum())

    def draw_states(n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=(n, STATES))

    def assign(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return softmax(np.log(centre) + states @ pull + 0.8 * rng.normal(size=(len(states), len(centre))))

    def surface(weights: np.ndarray, states: np.ndarray) -> np.ndarray:
        counts = weights * np.exp(0.7 * np.tanh(states @ strengths * 0.5))
        loss = surface_of(counts / counts.sum(axis=1, keepdims=True))
        moved = states @ level[0] + np.sin(1.5 * states) @ level[1]
        return np.asarray((loss + 0.5 * deviation * moved)[:, None])

    return World(
        domains=domains,
        states=states_of(STATES),
        outcomes=losses_of(1),
        assignment="observational",
        draw_states=draw_states,
        assign=assign,
        surface=surface,
        noise=np.array([0.1 * deviation]),
        shift=shift,
    )


@lru_cache(maxsize=1)
def _surface(tables: Path) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, float]:
    """The surface over merged weights, the mean mixture of the runs and the spread of their losses."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    mixtures = pd.read_csv(tables / "train_mixture_1m.csv", index_col="index")
    losses = (
        pd.read_csv(tables / "train_pile_loss_1m.csv", index_col="index").loc[mixtures.index].mean(axis=1)
    )
    merged = np.column_stack(
        [mixtures[[PREFIX + d for d in GROUPS[group]]].sum(axis=1) for group in sorted(GROUPS)]
    )
    merged = merged / merged.sum(axis=1, keepdims=True)
    middle, deviation = float(losses.mean()), float(losses.std())
    kernel = ConstantKernel(AMPLITUDE**2) * RBF(LENGTHS) + WhiteKernel(NOISE)
    process = GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=None)
    process.fit(np.sqrt(merged), (losses - middle) / deviation)

    def surface(weights: np.ndarray) -> np.ndarray:
        return np.asarray(middle + deviation * process.predict(np.sqrt(np.maximum(weights, 0))))

    return surface, merged.mean(axis=0), deviation
