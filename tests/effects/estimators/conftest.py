"""Samples from worlds whose truth is known, and how effects are read off a surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from causalmix_core.effects.sample import Sample


@dataclass(frozen=True)
class Confounded:
    """The pool state raises the loss and decides the mixture; log-shaped effects of three domains."""

    strength: tuple[float, ...] = (1.0, 0.5, 0.2)

    def surface(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        useful = np.log(weights + 0.1) @ np.array(self.strength)
        return (1.2 * state[:, 0] - 0.4 * useful)[:, None]

    def sample(self, n: int, seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        state = rng.normal(size=(n, 2))
        logits = state @ np.array([[1, -1, 0], [0, 0.5, -0.5]]) + 0.6 * rng.normal(size=(n, 3))
        weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        outcomes = self.surface(weights, state) + 0.05 * rng.normal(size=(n, 1))
        return Sample(weights, state, np.arange(2), outcomes)


def per_point(response, mixture: np.ndarray, state: np.ndarray, step: float = 0.01) -> np.ndarray:
    """Effect per +1 percentage point of each domain, taken from the others in proportion, (domains, m)."""
    half = step / 2 * (np.eye(len(mixture)) - mixture)
    states = np.tile(state, (len(mixture), 1))
    return (response.mean(mixture + half, states) - response.mean(mixture - half, states)) * (0.01 / step)


@pytest.fixture(scope="session")
def confounded() -> Confounded:
    return Confounded()


@pytest.fixture(scope="session")
def effects_of():
    return per_point


@pytest.fixture(scope="session")
def sample_of():
    """Draws runs from a world whose states have mean 0 and standard deviation 1."""

    def draw(world, n: int, seed: int, *, noise: float = 0.05) -> Sample:
        runs = world.runs(n, seed, noise)
        modifiers = np.arange(len(runs.states))
        return Sample(runs.weights(), runs.state(), modifiers, runs.frame[runs.outcomes].to_numpy())

    return draw
