"""Linear and mixed-integer programs over mixtures, solved by HiGHS through scipy.

All constraints are linear in the weights, in what moves up and down from the reference, and in yes-or-no
variables where a domain may be dropped or left alone. cvxpy would hand the same program to the same solver
after compiling it for tens of milliseconds, which is too long for a slider that asks for two programs per
domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.mixture.exact import settle
from causalmix_core.mixture.limits import Limits, reach_words

GAP = 1e-9
"""How far from the best a mixed-integer answer may be."""
SOLVER = 1e-7
"""Weights below this are the solver's zero."""
DUAL = 1e-7
"""A constraint that the best cost reacts to by more than this per unit is binding."""


@dataclass(frozen=True)
class Optimum:
    """The best allowed mixture.

    Attributes:
        weights: shape (K,).
        cost: of the weights, and of the distance where one was priced.
        binding: constraints that together prove that nothing allowed is better, in words, the strongest
            first; known of programs without yes-or-no variables only.
    """

    weights: np.ndarray
    cost: float
    binding: tuple[str, ...]


class Program:
    """The constraints as one matrix, for asking about many costs.

    Args:
        limits: what to keep to, feasible or not.
        around: mixture that a second distance is counted from, shape (K,); None: there is none.
        within: at most this much weight differs from `around`; None: any.
        slopes: further rows, each (K,) factors of the weights and the most that they may sum to.
    """

    def __init__(
        self,
        limits: Limits,
        around: np.ndarray | None = None,
        within: float | None = None,
        slopes: Sequence[tuple[np.ndarray, float]] = (),
    ) -> None:
        k = len(limits.domains)
        moves = limits.stepped or limits.radius is not None
        self._limits, self._width = limits, 0
        self._rows: list[tuple[list[int], list[float], float, float, str]] = []
        self._weights = self._block(k)
        self._up, self._down = self._block(k * moves), self._block(k * moves)
        self._over, self._under = self._block(k * (around is not None)), self._block(k * (around is not None))
        self._used = self._block(k * limits.counted)
        self._rises, self._falls = self._block(k * limits.stepped), self._block(k * limits.stepped)
        self._sum(self._weights, 1.0, 1.0)
        for limit in limits.limits:
            most = limit.highest if limit.highest < 1 else np.inf
            least = limit.lowest if limit.lowest > 0 else -np.inf
            self._sum([self._weights[i] for i in limit.domains], least, most, limit.words)
        if moves:
            self._distance(limits.reference, self._up, self._down)
        if limits.radius is not None:
            self._sum([*self._up, *self._down], -np.inf, 2 * limits.radius, reach_words(limits.radius))
        if around is not None:
            self._distance(around, self._over, self._under)
            self._sum([*self._over, *self._under], -np.inf, np.inf if within is None else 2 * within)
        for factors, bound in slopes:
            self._row(self._weights, factors.tolist(), -np.inf, bound)
        if limits.counted and limits.most_domains is not None:
            for weight, used in zip(self._weights, self._used, strict=True):
                self._row([weight, used], [1, -1], -np.inf, 0.0)
            self._sum(self._used, -np.inf, limits.most_domains)
        if limits.stepped:
            self._leaps(limits.smallest_change)
        self._matrix = np.zeros((len(self._rows), self._width))
        for row, (places, values, *_) in enumerate(self._rows):
            self._matrix[row, places] = values
        self._least, self._most = np.array([(r[2], r[3]) for r in self._rows]).T
        self._integer = np.zeros(self._width)
        self._integer[[*self._used, *self._rises, *self._falls]] = 1

    def minimise(self, cost: np.ndarray, distance_cost: float = 0.0) -> Optimum | None:
        """The allowed mixture with the lowest cost; None where none is allowed.

        Args:
            cost: of each weight, shape (K,).
            distance_cost: of each unit of weight that differs from `around`.
        """
        objective = np.zeros(self._width)
        objective[self._weights] = cost
        objective[[*self._over, *self._under]] = distance_cost
        return self._integral(objective) if self._integer.any() else self._linear(objective)

    def _block(self, size: int) -> list[int]:
        """Places of new variables, each between 0 and 1."""
        self._width += size
        return list(range(self._width - size, self._width))

    def _row(
        self, places: list[int], values: list[float], least: float, most: float, words: str = ""
    ) -> None:
        self._rows.append((places, values, least, most, words))

    def _sum(self, places: list[int], least: float, most: float, words: str = "") -> None:
        self._row(places, [1.0] * len(places), least, most, words)

    def _distance(self, start: np.ndarray, more: list[int], less: list[int]) -> None:
        """weight - more + less = start: what is put on and what is taken away."""
        for places, here in zip(zip(self._weights, more, less, strict=True), start, strict=True):
            self._row(list(places), [1, -1, 1], float(here), float(here))

    def _leaps(self, least: float) -> None:
        """What moves is said to move, in one direction, and moves far enough."""
        for move, flag in zip([*self._up, *self._down], [*self._rises, *self._falls], strict=True):
            self._row([move, flag], [1, -1], -np.inf, 0.0)
            self._row([move, flag], [1, -least], 0.0, np.inf)
        for rises, falls in zip(self._rises, self._falls, strict=True):
            self._sum([rises, falls], -np.inf, 1.0)

    def _linear(self, objective: np.ndarray) -> Optimum | None:
        from scipy.optimize import linprog

        same = self._least == self._most
        above, below = ~same & np.isfinite(self._most), ~same & np.isfinite(self._least)
        found = linprog(
            objective,
            A_ub=np.vstack([self._matrix[above], -self._matrix[below]]),
            b_ub=np.concatenate([self._most[above], -self._least[below]]),
            A_eq=self._matrix[same],
            b_eq=self._least[same],
            bounds=(0.0, 1.0),
            method="highs",
        )
        if not found.success:
            return None
        force = np.zeros(len(self._rows))
        marginals = np.abs(np.asarray(found.ineqlin.marginals))
        force[above] += marginals[: above.sum()]
        force[below] += marginals[above.sum() :]
        force[same] = np.abs(np.asarray(found.eqlin.marginals))
        strongest = [i for i in np.argsort(-force, kind="stable") if force[i] > DUAL]
        words = dict.fromkeys(self._rows[i][4] for i in strongest if self._rows[i][4])
        return self._answer(found.x, float(found.fun), tuple(words))

    def _integral(self, objective: np.ndarray) -> Optimum | None:
        from scipy.optimize import Bounds, LinearConstraint, milp

        found = milp(
            objective,
            constraints=LinearConstraint(self._matrix, self._least, self._most),
            integrality=self._integer,
            bounds=Bounds(0.0, 1.0),
            options={"mip_rel_gap": GAP},
        )
        return self._answer(found.x, float(found.fun), ()) if found.success else None

    def _answer(self, values: np.ndarray, cost: float, binding: tuple[str, ...]) -> Optimum:
        weights = np.where(values[self._weights] < SOLVER, 0.0, values[self._weights])
        return Optimum(settle(weights, self._limits.lower, self._limits.upper), cost, binding)


def allows(limits: Limits) -> bool:
    """Whether any mixture keeps to the limits."""
    return Program(limits).minimise(np.zeros(len(limits.domains))) is not None
