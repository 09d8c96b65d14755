"""A small world whose true losses are known, and effects fitted to its runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalmix_core.effects import EffectModel, fit_effects
from causalmix_core.graph import saturated_graph
from causalmix_core.probes import RunTable

DOMAINS = ["books", "code", "math", "web"]
NEED = np.array([[0.2, 0.05, 0.05, 0.4], [0.02, 0.5, 0.1, 0.1], [0.02, 0.3, 0.5, 0.05]])
OUTCOMES = ["loss/web", "loss/code", "loss/math"]


def true_losses(weights: np.ndarray, quality: np.ndarray | float = 0.0) -> np.ndarray:
    """Three losses, (n, 3) as in `OUTCOMES`, by a power law of what helps them; books help little."""
    return 2 + 0.1 * np.reshape(quality, (-1, 1)) + (0.05 + weights @ NEED.T) ** -0.5


def draw_runs(n: int, noise: float, seed: int = 0) -> RunTable:
    rng = np.random.default_rng(seed)
    strength = 4 * np.exp(rng.uniform(np.log(0.5), np.log(4), n))
    weights = 0.01 + 0.96 * np.stack([rng.dirichlet(s * np.full(4, 0.25)) for s in strength])
    quality = rng.normal(size=n)
    losses = true_losses(weights, quality)
    losses = losses + noise * losses.std(axis=0) * rng.normal(size=losses.shape)
    return RunTable.from_frame(
        pd.DataFrame(
            {
                "state/quality": quality,
                **{f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)},
                **{o: losses[:, i] for i, o in enumerate(OUTCOMES)},
            }
        )
    )


@pytest.fixture(scope="session")
def runs() -> RunTable:
    return draw_runs(48, noise=0.1)


@pytest.fixture(scope="session")
def model(runs: RunTable) -> EffectModel:
    return fit_effects(runs, saturated_graph(runs, by="test"))
