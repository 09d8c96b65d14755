"""Which pool state moves the effect of which domain: Shapley values of the effect as a function of the state.

The states are the players and the effect at a run's state, less the effect in the middle of the runs' states,
is what they share (Shapley 1953; Lundberg and Lee 2017, arXiv 1705.07874; with one reference state:
Sundararajan and Najmi 2020, arXiv 1908.08474). There are few states, so every coalition is evaluated: the
values are exact for the fitted effects and add up, where sampling (kernel SHAP) or a stand-in for the model
(tree SHAP on the interpreter) would bring an error of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from causalmix_core.effects.explanation.asking import HIGH, LOW, changing_states, check_asked, run_states
from causalmix_core.effects.model import EffectModel

MOST_PLAYERS = 6
"""States that share the effect: each one more doubles the work. The idlest are left out beyond."""
MOST_ROWS = 1024
"""Pool states at which the effects are evaluated, coalitions included."""
MOST_STATES = 64
"""Runs' states that are explained."""
STEADY = 0.5
"""Rank correlation of state and contribution from which on an effect is said to rise or to fall with it."""

Tendency = Literal["rises", "falls", "mixed"]
"""How an effect goes with a state: as a number, so that a negative effect that fades rises."""


@dataclass(frozen=True)
class Contributions:
    """What each pool state adds to the effects in some of the runs' states.

    Attributes:
        outcome: what the effects are on.
        domains: whose effects.
        states: columns of the pool state that share them; empty where none may change them.
        left_out: states that hardly move any effect and were held in the middle, because of their number.
        points: states of some runs, in their own units, shape (s, p).
        values: contributions to the effect per +1 percentage point, shape (s, p, K). Over all states they sum
            to the effect there less the effect in the middle of the runs' states.
    """

    outcome: str
    domains: list[str]
    states: list[str]
    left_out: list[str]
    points: np.ndarray
    values: np.ndarray

    def table(self) -> pd.DataFrame:
        """Columns domain, outcome, state, size (mean absolute contribution), tendency; largest first."""
        rows = [
            (d, self.outcome, s, float(np.abs(self.values[:, i, k]).mean()), self._tendency(i, k))
            for k, d in enumerate(self.domains)
            for i, s in enumerate(self.states)
        ]
        table = pd.DataFrame(rows, columns=["domain", "outcome", "state", "size", "tendency"])
        return table.sort_values(
            ["size", "domain", "state"], ascending=[False, True, True], ignore_index=True
        )

    def _tendency(self, state: int, domain: int) -> Tendency:
        from scipy.stats import rankdata

        x, y = self.points[:, state], self.values[:, state, domain]
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return "mixed"
        rank = float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
        return "mixed" if abs(rank) < STEADY else "rises" if rank > 0 else "falls"


def contributions(
    model: EffectModel, outcome: str, mixture: Mapping[str, float], domains: Sequence[str] | None = None
) -> Contributions:
    """Share out how the effects on one outcome differ between the runs' pool states.

    Args:
        model: fitted effects.
        outcome: what the effects are on.
        mixture: where the point is added.
        domains: whose effects; None: all.

    Raises:
        CausalMixError: unknown domain or outcome, or the mixture does not fit the runs.
    """
    check_asked(model, None, outcome)
    chosen, names = list(model.domains if domains is None else domains), changing_states(model, outcome)
    for domain in chosen:
        check_asked(model, domain, outcome)
    middle = model.runs.state().mean(axis=0)

    def effect(columns: list[int], rows: np.ndarray) -> np.ndarray:
        full = np.tile(middle, (len(rows), 1))
        full[:, columns] = rows
        return model.effects_over(full, mixture, domains=chosen, outcomes=[outcome])[0][:, :, 0]

    columns = [model.runs.states.index(n) for n in names]
    if not columns:
        return Contributions(outcome, chosen, [], [], np.empty((0, 0)), np.empty((0, 0, len(chosen))))
    players = _busiest(columns, model.runs.state(), effect)
    most = min(MOST_STATES, MOST_ROWS // 2 ** len(players))
    points = run_states(model, most)[:, players]
    return Contributions(
        outcome=outcome,
        domains=chosen,
        states=[model.runs.states[c] for c in players],
        left_out=[n for n, c in zip(names, columns, strict=True) if c not in players],
        points=points,
        values=shapley(lambda rows: effect(players, rows), points, middle[players]),
    )


def shapley(
    function: Callable[[np.ndarray], np.ndarray], points: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """Exact Shapley values against one reference, by evaluating every coalition.

    Args:
        function: (r, p) -> (r, q).
        points: what is explained, shape (s, p); p up to about 10.
        reference: what a player that stands aside is set to, shape (p,).

    Returns:
        Shape (s, p, q); sums over p to `function(points) - function(reference)`.
    """
    s, p = points.shape
    members = np.array([[bool(c >> i & 1) for i in range(p)] for c in range(2**p)])
    rows = np.where(members[1:, None, :], points[None], reference)  # the empty coalition is one row for all
    found = function(np.concatenate([reference[None], rows.reshape(-1, p)]))
    worth = np.concatenate([np.tile(found[:1], (s, 1))[None], found[1:].reshape(2**p - 1, s, -1)])
    values = np.zeros((s, p, found.shape[1]))
    for i in range(p):
        for c in np.flatnonzero(~members[:, i]):
            size = int(members[c].sum())
            share = math.factorial(size) * math.factorial(p - size - 1) / math.factorial(p)
            values[:, i] += share * (worth[c | 1 << i] - worth[c])
    return values


def _busiest(
    columns: list[int], states: np.ndarray, effect: Callable[[list[int], np.ndarray], np.ndarray]
) -> list[int]:
    """The columns that move some effect most, each on its own, in their order."""
    if len(columns) <= MOST_PLAYERS:
        return columns
    swing = []
    for column in columns:
        low, high = effect([column], np.quantile(states[:, column], [LOW, HIGH])[:, None])
        swing.append(float(np.abs(high - low).max()))
    kept = sorted(range(len(columns)), key=lambda i: -swing[i])[:MOST_PLAYERS]
    return [columns[i] for i in sorted(kept)]
