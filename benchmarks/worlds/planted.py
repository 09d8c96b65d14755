"""A world with one planted confounder: a pool state that decides both the mixtures and the loss.

The confounder does not change what a weight does, so the true effects are the same whether or not it was
measured, and a fit that lacks it is wrong by its bias alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.worlds.laws import FLOOR, Law, draw_law_world
from benchmarks.worlds.world import World, softmax

CONFOUNDER = "state/confounder"
ON_MIXTURES = 0.7
"""What one standard deviation of it does to the scores that mixtures follow from; chance does as much."""
ON_LOSS = 0.3
"""What it does to the loss; mixtures do some .2."""


def draw_planted_world(seed: int, *, law: Law, domains: int = 5) -> World:
    """A world as of `laws`, with two harmless pool states and the confounder, which is the first column.

    Args:
        seed: decides the world.
        law: shape of the loss.
        domains: K.
    """
    base = draw_law_world(seed, law=law, state_dependent=False, domains=domains, states=2, outcomes=1)
    rng = np.random.default_rng([8, seed])
    pull = rng.normal(size=domains)
    pull *= ON_MIXTURES / np.sqrt(((pull - pull.mean()) ** 2).mean())

    def draw_states(n: int, rng: np.random.Generator) -> np.ndarray:
        return np.column_stack([rng.normal(size=n), base.draw_states(n, rng)])

    def assign(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        scores = np.outer(states[:, 0], pull) + ON_MIXTURES * rng.normal(size=(len(states), domains))
        return np.asarray(FLOOR + (1 - FLOOR * domains) * softmax(scores))

    def surface(weights: np.ndarray, states: np.ndarray) -> np.ndarray:
        return np.asarray(base.surface(weights, states[:, 1:]) + ON_LOSS * states[:, :1])

    return replace(
        base,
        states=[CONFOUNDER, *base.states],
        assignment="observational",
        draw_states=draw_states,
        assign=assign,
        surface=surface,
        shift=np.zeros(3),
    )
