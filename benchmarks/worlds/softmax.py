"""Confounded worlds whose best mixture depends on the pool: a bowl around a softmax of the state.

`loss = base(x) + sum_k g_k (w_k - w*_k(x))^2` with `w*(x) = softmax(a + A' tanh(x_1, x_2))`. The pool
state decides, nonlinearly, both the loss and the mixtures that were run. A surface this simple under
nuisances this strong is where double machine learning is at home.
"""

from __future__ import annotations

import numpy as np

from benchmarks.worlds.world import World, losses_of, names_of, softmax, states_of

STATES = 6
NOISE = 0.1
"""Standard deviation of one run; mixtures move the loss by some .2, pools by about 1."""


def draw_softmax_world(domains: int, seed: int, noise: float = NOISE, strength: float = 1.0) -> World:
    """A world with `domains` domains, 6 pool states and one loss.

    Args:
        domains: K.
        seed: decides the world.
        noise: standard deviation of one run.
        strength: what mixtures do, as a multiple; 0: nothing at all.
    """
    rng = np.random.default_rng(1000 + seed)
    towards = 0.8 * rng.normal(size=(2, domains))
    centre = 0.3 * rng.normal(size=domains)
    bend = strength * rng.uniform(1.5, 4, domains) * domains / 5
    pull = 0.6 * rng.normal(size=(STATES, domains))
    level = 0.5 * rng.normal(size=STATES)
    root = np.linalg.cholesky(0.8 * np.eye(STATES) + 0.2)

    def draw_states(n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=(n, STATES)) @ root.T

    def assign(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        scores = states @ pull + 0.7 * rng.normal(size=(len(states), domains))
        scores[:, 0] += 0.5 * states[:, 2] ** 2 - 0.5
        return softmax(scores)

    def surface(weights: np.ndarray, states: np.ndarray) -> np.ndarray:
        best = softmax(centre + np.tanh(states[:, :2]) @ towards)
        base = 0.4 * states @ level + 0.3 * np.sin(2 * states[:, 2]) + 0.25 * states[:, 0] * states[:, 3]
        return np.asarray((base + ((weights - best) ** 2 * bend).sum(axis=1))[:, None])

    return World(
        domains=names_of(domains, "d"),
        states=states_of(STATES),
        outcomes=losses_of(1),
        assignment="observational",
        draw_states=draw_states,
        assign=assign,
        surface=surface,
        noise=np.array([noise]),
        shift=np.zeros(STATES),
    )
