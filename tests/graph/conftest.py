"""A world whose causal graph is known, for the tests of this room."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from causalmix_core.probes import RunTable


@dataclass(frozen=True)
class World:
    runs: RunTable
    weight_edges: set[tuple[str, str]]
    state_edges: set[tuple[str, str]]


def _make_world(n, seed, *, domains=6, states=3, outcomes=6, noise=0.6, assignment="randomised"):
    """Outcomes fall with the logarithm of two weights each; a pool state moves some of them.

    `state/s1` is caused by `state/s0`. Outcomes of a run share half of their noise, as losses of one
    proxy do. Unless assigned at random, the weight of d0 follows `state/s2`.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, states))
    X[:, 1] += 0.8 * X[:, 0]
    W = rng.dirichlet(np.ones(domains), n)
    if assignment != "randomised":
        W[:, 0] = (W[:, 0] + 0.05) * np.exp(X[:, 2])
        W /= W.sum(axis=1, keepdims=True)
    F = -np.log(W + 0.02)
    F = (F - F.mean(axis=0)) / F.std(axis=0)
    by_weight = np.zeros((domains, outcomes))
    by_state = np.zeros((states, outcomes))
    for m in range(outcomes):
        by_weight[rng.choice(domains, 2, replace=False), m] = rng.uniform(0.5, 1.2, 2)
        if m % 3:
            by_state[rng.integers(states), m] = rng.choice([-1, 1]) * rng.uniform(0.5, 0.9)
    error = np.sqrt(0.5) * (rng.normal(size=(n, 1)) + rng.normal(size=(n, outcomes)))
    Y = 3 + F @ by_weight + X @ by_state + noise * error
    frame = pd.DataFrame(
        {f"weight/d{k}": W[:, k] for k in range(domains)}
        | {f"state/s{j}": X[:, j] for j in range(states)}
        | {f"loss/m{m}": Y[:, m] for m in range(outcomes)}
    ).assign(assignment=assignment)
    return World(
        runs=RunTable.from_frame(frame),
        weight_edges={(f"weight/d{k}", f"loss/m{m}") for k, m in zip(*by_weight.nonzero(), strict=True)},
        state_edges={(f"state/s{j}", f"loss/m{m}") for j, m in zip(*by_state.nonzero(), strict=True)},
    )


@pytest.fixture(scope="session")
def make_world():
    return _make_world
