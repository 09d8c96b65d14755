"""A world with known truth: it makes runs as a workspace would hold them and answers what is true.

The effect of a domain is taken exactly as the product defines it: the change of an outcome while one
percentage point is moved to the domain, centred on the mixture, taken from the others in proportion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from causalmix_core.graph import CausalGraph, Edge, Provenance, saturated_graph
from causalmix_core.probes import LOSS, STATE, WEIGHT, RunTable
from causalmix_core.probes.runs import Assignment

POINT = 0.01
"""One percentage point."""


@dataclass(frozen=True)
class World:
    """How runs come about, and the truth about them.

    Attributes:
        domains: K names, sorted.
        states: p pool-state columns, sorted.
        outcomes: m outcome columns, sorted; all of them losses.
        assignment: `randomised` where mixtures were drawn independently of the pool.
        draw_states: (n, generator) -> pool states, shape (n, p).
        assign: (states, generator) -> the mixtures that these pools were given, shape (n, K).
        surface: (weights, states) -> expected outcomes, shape (n, m).
        noise: standard deviation of one run around the surface, shape (m,).
        shift: added to the states of the pools that a mixture is wanted for, shape (p,).
    """

    domains: list[str]
    states: list[str]
    outcomes: list[str]
    assignment: Assignment
    draw_states: Callable[[int, np.random.Generator], np.ndarray]
    assign: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    surface: Callable[[np.ndarray, np.ndarray], np.ndarray]
    noise: np.ndarray
    shift: np.ndarray

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n runs as arrays: weights (n, K), states (n, p), noisy outcomes (n, m)."""
        states = self.draw_states(n, rng)
        weights = self.assign(states, rng)
        surface = self.surface(weights, states)
        return weights, states, surface + self.noise * rng.normal(size=surface.shape)

    def runs(self, n: int, seed: int) -> RunTable:
        """n runs as a run table."""
        weights, states, outcomes = self.draw(n, np.random.default_rng([seed, n]))
        columns = {
            **{c: states[:, i] for i, c in enumerate(self.states)},
            **{WEIGHT + d: weights[:, i] for i, d in enumerate(self.domains)},
            **{c: outcomes[:, i] for i, c in enumerate(self.outcomes)},
        }
        return RunTable.from_frame(pd.DataFrame(columns).assign(assignment=self.assignment))

    def graph(self, runs: RunTable) -> CausalGraph:
        """The graph that a curator who knows this world draws for its runs.

        Everything may matter for every outcome; where mixtures were not randomised, every pool state may
        also have decided every weight.
        """
        graph = saturated_graph(runs, by="benchmark")
        if self.assignment == "randomised":
            return graph
        known = Provenance(
            kind="assumed", by="benchmark", at=datetime.now(UTC), why="Pools decided mixtures."
        )
        decided = tuple(
            Edge(source=state, target=weight, provenance=known)
            for state in runs.states
            for weight in runs.weight_columns
        )
        return graph.model_copy(update={"edges": (*graph.edges, *decided)})

    def pools(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """States of pools that a mixture is wanted for, shape (n, p)."""
        return np.asarray(self.draw_states(n, rng) + self.shift)

    def effects(self, state: np.ndarray, mixture: np.ndarray) -> np.ndarray:
        """True effect of +1 point of each domain, shape (K, m).

        Args:
            state: shape (p,).
            mixture: shape (K,).
        """
        direction = np.eye(len(mixture)) - mixture
        # Half a point cannot be taken from a weight below it; there the whole point is added.
        back = np.where(mixture < POINT / 2, 0.0, POINT / 2)[:, None]
        states = np.tile(state, (len(mixture), 1))
        end = self.surface(mixture + (POINT - back) * direction, states)
        return np.asarray(end - self.surface(mixture - back * direction, states))

    def objective(self, weights: np.ndarray, states: np.ndarray) -> np.ndarray:
        """The true objective, the plain mean of all outcomes, shape (n,)."""
        return np.asarray(self.surface(weights, states).mean(axis=1))


def named(values: Iterable[float], names: Iterable[str]) -> dict[str, float]:
    """Values by name, as the library takes states and mixtures."""
    return dict(zip(names, map(float, values), strict=True))


def names_of(count: int, prefix: str) -> list[str]:
    """`count` names that sort in their order."""
    return [f"{prefix}{i:02d}" for i in range(count)]


def losses_of(count: int) -> list[str]:
    """Outcome columns."""
    return names_of(count, LOSS + "o")


def states_of(count: int) -> list[str]:
    """Pool-state columns."""
    return names_of(count, STATE + "s")


def softmax(values: np.ndarray) -> np.ndarray:
    """Mixtures from scores, shape (n, K)."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
