"""Linear and mixed-integer programs over mixtures, solved by HiGHS through scipy.

All constraints are linear in the weights, in what moves up and down from the reference, and in yes-or-no
variables where a domain may be dropped or left alone. cvxpy would hand the same program to the same solver after
compiling it for tens of milliseconds, which is too long for a slider that asks for two programs per domain.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from causalmix_core.mixture.constraints import ROUNDING, Limits


@dataclass
class Program:
    """Rows and variables of a program; the first K variables are the weights.

    Attributes:
        count: number of variables.
        rows: coefficients, lowest and highest of each row.
        integer: 1 for a yes-or-no variable.
    """

    count: int
    rows: list[tuple[np.ndarray, float, float]] = field(default_factory=list)
    integer: list[int] = field(default_factory=list)

    def add(self, terms: dict[int, float], lowest: float, highest: float) -> None:
        """Add a row: lowest <= sum of coefficient times variable <= highest."""
        row = np.zeros(self.count)
        for place, value in terms.items():
            row[place] = value
        self.rows.append((row, lowest, highest))


def solve(
    limits: Limits,
    cost: np.ndarray,
    *,
    away_cost: float = 0.0,
    away: np.ndarray | None = None,
    near_radius: float | None = None,
) -> np.ndarray | None:
    """The allowed mixture with the lowest cost.

    Args:
        limits: what it must keep to; only `limits.limits` and the other fields count, feasible or not.
        cost: of each weight, shape (K,).
        away_cost: cost of each unit of weight away from `away`.
        away: mixture that a second distance is counted from, shape (K,); None: the reference.
        near_radius: at most this much weight differs from `away`; None: any.

    Returns:
        Weights, shape (K,), or None where no mixture is allowed.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    k = len(limits.domains)
    counted = limits.most_domains is not None and limits.most_domains < k
    stepped = limits.smallest_change > ROUNDING
    # weights; up and down from the reference; up and down from `away`; above zero; moves up; moves down
    places = np.arange(k)
    program = Program(8 * k)
    up, down, over, under = (i * k + places for i in (1, 2, 3, 4))
    used, rises, falls = (i * k + places for i in (5, 6, 7))
    program.add(dict.fromkeys(places.tolist(), 1.0), 1.0, 1.0)
    for limit in limits.limits:
        program.add(dict.fromkeys(limit.domains, 1.0), limit.lowest, limit.highest)
    start = limits.reference
    target = start if away is None else away
    for i in range(k):
        program.add({i: 1.0, int(up[i]): -1.0, int(down[i]): 1.0}, start[i], start[i])
        program.add({i: 1.0, int(over[i]): -1.0, int(under[i]): 1.0}, target[i], target[i])
        if counted:
            program.add({i: 1.0, int(used[i]): -1.0}, -1.0, 0.0)
        if stepped:
            least = limits.smallest_change
            for move, flag in ((up[i], rises[i]), (down[i], falls[i])):
                program.add({int(move): 1.0, int(flag): -1.0}, -1.0, 0.0)  # moves only if it is said to move
                program.add({int(move): 1.0, int(flag): -least}, 0.0, 1.0)  # and then far enough
            program.add({int(rises[i]): 1.0, int(falls[i]): 1.0}, 0.0, 1.0)
    if limits.radius is not None:
        program.add(dict.fromkeys([*up.tolist(), *down.tolist()], 1.0), 0.0, 2 * limits.radius)
    if near_radius is not None:
        program.add(dict.fromkeys([*over.tolist(), *under.tolist()], 1.0), 0.0, 2 * near_radius)
    if counted:
        program.add(dict.fromkeys(used.tolist(), 1.0), 0.0, float(limits.most_domains or k))
    objective = np.zeros(program.count)
    objective[:k] = cost
    objective[np.concatenate([over, under])] = away_cost
    integrality = np.zeros(program.count)
    if counted:
        integrality[used] = 1
    if stepped:
        integrality[np.concatenate([rises, falls])] = 1
    found = milp(
        objective,
        constraints=LinearConstraint(
            np.array([r[0] for r in program.rows]),
            np.array([r[1] for r in program.rows]),
            np.array([r[2] for r in program.rows]),
        ),
        integrality=integrality,
        bounds=Bounds(0.0, 1.0),
    )
    if not found.success:
        return None
    return _tidy(np.asarray(found.x[:k]))


def _tidy(weights: np.ndarray) -> np.ndarray:
    """Weights without the solver's tolerance: none negative, summing to one."""
    clean = np.where(weights < 1e-8, 0.0, weights)
    return np.asarray(clean / clean.sum())
