"""Worlds of many shapes, for asking whether 95% intervals hold the truth in 95% of cases.

Losses follow a power law in the useful part of the mixture (as scaling laws do), an exponential law (Data
Mixing Laws, Ye et al. 2024, arXiv 2403.16952), or a random smooth function, so that no estimator has the
right shape everywhere. Sizes, noise, smoothness and how far mixtures spread are drawn per world. Intervals
are honest on average over worlds such as these, which is all that a nominal level can mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from benchmarks.worlds.world import World, losses_of, names_of, softmax, states_of

Law = Literal["power", "exponential", "random"]
LAWS: tuple[Law, ...] = get_args(Law)
DOMAINS = (4, 6)
OUTCOMES = 2
WAVES = 300
"""Random Fourier features of a drawn function (Rahimi and Recht 2007)."""
FLOOR = 0.005
"""The least weight of a domain in any run."""


def draw_law_world(
    seed: int,
    *,
    law: Law | None = None,
    state_dependent: bool | None = None,
    confounded: bool = False,
    domains: int | None = None,
    states: int = 3,
    outcomes: int = OUTCOMES,
) -> World:
    """A world of a random shape.

    Args:
        seed: decides everything that is not given.
        law: shape of the losses; default: in turn by seed.
        state_dependent: whether effects differ between pools; default: in turn by seed. The level of
            the losses always does.
        confounded: whether the pool decided the mixtures.
        domains: K; default 4 to 6, which two dozen runs can tell apart.
        states: p.
        outcomes: m.
    """
    rng = np.random.default_rng([7, seed])
    law = law or LAWS[seed % len(LAWS)]
    if state_dependent is None:
        state_dependent = seed // len(LAWS) % 2 == 0
    count = domains or int(rng.integers(DOMAINS[0], DOMAINS[1] + 1))
    centre = np.maximum(rng.dirichlet(np.full(count, 4.0)), 0.03)
    centre /= centre.sum()
    spread = count * np.exp(rng.uniform(np.log(0.7), np.log(3)))
    pull = 0.5 * rng.normal(size=(states, count))
    shape = _law(law, count, outcomes, rng) if law != "random" else _random(count, 0, outcomes, rng)
    by_state = _random(count, states, outcomes, rng)
    strength = 0.2 * rng.normal(size=(states, outcomes))
    level = rng.normal(size=(2, states, outcomes)) * (0.5 if confounded else 0.25)

    def draw_states(n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=(n, states))

    def assign(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n = len(states)
        if confounded:
            drawn = softmax(np.log(centre) + states @ pull + 0.7 * rng.normal(size=(n, count)))
        else:
            gammas = np.maximum(rng.standard_gamma(spread * centre, size=(n, count)), 1e-12)
            drawn = gammas / gammas.sum(axis=1, keepdims=True)
        return np.asarray(FLOOR + (1 - FLOOR * count) * drawn)

    # Losses are brought to one scale, so that noise and levels are relative to what mixtures do.
    sample_states = draw_states(2000, rng)
    sample = assign(sample_states, rng)
    middle, scale = shape(sample, sample_states).mean(axis=0), shape(sample, sample_states).std(axis=0)

    def surface(weights: np.ndarray, states: np.ndarray) -> np.ndarray:
        value = (shape(weights, states) - middle) / scale
        if state_dependent:
            value = value * np.exp(states @ strength)
            if law == "random":
                value = value + 0.4 * by_state(weights, states)
        bend = np.sin(1.5 * states) @ level[1]
        return np.asarray(3 + 0.2 * (value + states @ level[0] + bend))

    return World(
        domains=names_of(count, "d"),
        states=states_of(states),
        outcomes=losses_of(outcomes),
        assignment="observational" if confounded else "randomised",
        draw_states=draw_states,
        assign=assign,
        surface=surface,
        noise=0.2 * rng.uniform(0.05, 0.3, outcomes),
        shift=np.zeros(states),
    )


Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _law(law: Law, domains: int, outcomes: int, rng: np.random.Generator) -> Shape:
    """Losses that fall with a useful part of the mixture; each outcome has a domain of its own."""
    useful = rng.uniform(0.02, 0.4, (outcomes, domains))
    useful[np.arange(outcomes), rng.integers(0, domains, outcomes)] = 1.0
    offset, exponent = rng.uniform(0.03, 0.12, outcomes), rng.uniform(0.2, 0.6, outcomes)
    rate = rng.uniform(2, 4, outcomes)

    def power(weights: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.asarray((offset + weights @ useful.T) ** -exponent)

    def exponential(weights: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-rate * (weights @ useful.T)))

    return power if law == "power" else exponential


def _random(domains: int, states: int, outcomes: int, rng: np.random.Generator) -> Shape:
    """Smooth random functions of the square roots of the weights and, with `states` > 0, of pool state."""
    lengths = rng.uniform(0.4, 1.2, domains)
    frequency = rng.normal(size=(WAVES, domains)) / lengths
    by_state = rng.normal(size=(WAVES, states)) / rng.uniform(2, 4, states) if states else None
    phase = rng.uniform(0, 2 * np.pi, WAVES)
    amplitude = rng.normal(size=(WAVES, outcomes)) * np.sqrt(2 / WAVES)

    def function(weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        angle = np.sqrt(np.maximum(weights, 0)) @ frequency.T + phase
        if by_state is not None:
            angle = angle + state @ by_state.T
        return np.asarray(np.cos(angle) @ amplitude)

    return function
