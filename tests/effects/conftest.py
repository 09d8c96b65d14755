"""Simulated worlds whose true effects are known: losses by a law that the fitted shape only approximates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from causalmix_core.probes.runs import RunTable

DOMAINS = ["books", "code", "math", "news", "web", "wiki"]
STATES = ["state/entropy", "state/quality", "state/style"]


@dataclass(frozen=True)
class World:
    """c + s * (b + a'w)^-alpha or an exponential law, its strength depending on the pool state."""

    reference: np.ndarray
    transfer: np.ndarray
    exponent: np.ndarray
    offset: np.ndarray
    on_level: np.ndarray
    on_strength: np.ndarray
    exponential: bool

    @classmethod
    def draw(cls, seed: int) -> World:
        rng, k, p = np.random.default_rng(seed), len(DOMAINS), len(STATES)
        reference = np.maximum(rng.dirichlet(np.full(k, 4.0)), 0.03)
        transfer = rng.uniform(0.02, 0.4, (k, k))
        transfer[np.diag_indices(k)] = rng.uniform(0.8, 1.2, k)
        return cls(
            reference=reference / reference.sum(),
            transfer=transfer,
            exponent=rng.uniform(0.2, 0.6, k),
            offset=rng.uniform(0.03, 0.12, k),
            on_level=rng.normal(size=(k, p)) * 0.05,
            on_strength=rng.normal(size=(k, p)) * 0.05,
            exponential=seed % 2 == 1,
        )

    def losses(self, state: np.ndarray, weights: np.ndarray) -> np.ndarray:
        useful = weights @ self.transfer.T
        law = 1.6 * np.exp(-3 * useful) if self.exponential else (self.offset + useful) ** -self.exponent
        return 2 + state @ self.on_level.T + law * np.exp(state @ self.on_strength.T)

    def effects(self, state: np.ndarray, mixture: np.ndarray) -> np.ndarray:
        """Per +1 percentage point, (domain, outcome), numerically."""
        step = 1e-4
        rows = []
        for direction in np.eye(len(mixture)) - mixture:
            up, down = mixture + step * direction, mixture - step * direction
            rows.append((self.losses(state[None], up[None]) - self.losses(state[None], down[None]))[0])
        return 0.01 * np.array(rows) / (2 * step)

    def mixtures(self, n: int, rng: np.random.Generator) -> np.ndarray:
        strength = len(DOMAINS) * np.exp(rng.uniform(np.log(0.5), np.log(4), n))
        drawn = np.stack([rng.dirichlet(s * self.reference) for s in strength])
        return 0.01 + (1 - 0.01 * len(DOMAINS)) * drawn

    def runs(self, n: int, seed: int, noise: float = 0.1) -> RunTable:
        rng = np.random.default_rng(seed)
        state, weights = rng.normal(size=(n, len(STATES))), self.mixtures(n, rng)
        losses = self.losses(state, weights)
        losses = losses + noise * losses.std(axis=0) * rng.normal(size=losses.shape)
        return run_table(state, weights, losses)


def run_table(state: np.ndarray, weights: np.ndarray, losses: np.ndarray) -> RunTable:
    frame = pd.DataFrame(
        {
            **{s: state[:, i] for i, s in enumerate(STATES[: state.shape[1]])},
            **{f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS[: weights.shape[1]])},
            **{f"loss/{d}": losses[:, i] for i, d in enumerate(DOMAINS[: losses.shape[1]])},
            "assignment": "randomised",
        }
    )
    return RunTable.from_frame(frame)


@pytest.fixture
def draw_world() -> Callable[[int], World]:
    return World.draw


@pytest.fixture
def make_runs() -> Callable[[np.ndarray, np.ndarray, np.ndarray], RunTable]:
    return run_table


@pytest.fixture(scope="session")
def world() -> World:
    return World.draw(0)


@pytest.fixture(scope="session")
def runs(world: World) -> RunTable:
    return world.runs(48, seed=0)
