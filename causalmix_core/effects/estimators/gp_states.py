"""The same changes of mixture in many pool states, and how much they differ between two.

A change is a product of what the mixtures have in common with the runs' mixtures and what the state has in
common with their states, so many states cost little more than one. In the difference between two states all
drops out but the part of the kernel in which both act, A C: it is often known much better than either change.
"""

from __future__ import annotations

import numpy as np

from causalmix_core.effects.estimators.gp_kernel import likeness, matern
from causalmix_core.effects.estimators.gp_posterior import Process, Surface

CHUNK = 512
"""Rows whose variance is found at once."""


def changes_over(
    surface: Surface, start: np.ndarray, end: np.ndarray, states: np.ndarray, *, errors: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Changes of the mean in many states, and their variances or None, shape (s, c) each.

    Args:
        surface: of one outcome.
        start: shape (c, d).
        end: shape (c, d).
        states: shape (s, p).
        errors: whether to give variances, which takes longer.
    """
    shape = (len(states), len(end))
    means = []
    for process in surface.draws:
        acting, straight = _parts(process, start, end)
        mean = (process.strength(states) * process.alpha) @ acting.T + straight @ process.alpha
        means.append(np.broadcast_to(mean, shape).ravel())
    change = (surface.shares @ np.stack(means)).reshape(shape)
    if not errors:
        return change, None
    best = surface.best
    acting, straight = _parts(best, start, end)
    strength = best.strength(states)
    strength = np.broadcast_to(strength, (len(states), strength.shape[1]))
    step = max(1, CHUNK // len(end))
    explained = [
        surface.explained((strength[i : i + step, None] * acting + straight).reshape(-1, len(best.alpha)))
        for i in range(0, len(states), step)
    ]
    before = np.tile(best.before_moving(best.points(start), best.points(end)), len(states))
    return change, surface.total(np.stack(means), before, np.concatenate(explained)).reshape(shape)


def change_apart(
    surface: Surface, start: np.ndarray, end: np.ndarray, state: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Changes of the mean in `other` less those in `state`, and their variances, shape (c,) each.

    Args:
        surface: of one outcome.
        start: shape (c, d).
        end: shape (c, d).
        state: shape (p,).
        other: shape (p,).
    """
    best = surface.best
    chosen = list(best.layout.modifiers)
    if not chosen:
        return np.zeros(len(end)), np.zeros(len(end))

    def moved(process: Process) -> np.ndarray:
        acting, _ = _parts(process, start, end)
        return np.asarray(acting * (process.strength(other[None]) - process.strength(state[None])))

    means = np.stack([moved(p) @ p.alpha for p in surface.draws])
    step = best.points(end) - best.points(start)
    unlike = 1.0 - likeness((step**2).sum(axis=1), float(best.theta[best.layout.smooth]))
    short = np.exp(-best.theta[best.layout.modifier_lengths])
    apart = 1.0 - matern((((other - state)[chosen] * short) ** 2).sum(keepdims=True))
    before = 4 * best.variance("interaction") * unlike * apart
    return surface.shares @ means, surface.total(means, before, surface.explained(moved(best)))


def _parts(process: Process, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What changes share with the runs: the part that the state scales, and the straight one, (c, n) each."""
    begin, to = process.points(start), process.points(end)
    return process.alike(to) - process.alike(begin), process.linear(to - begin, process.scaled)
