"""Two outcomes against each other: which mixtures cannot be bettered in one without losing in the other.

Mixtures are drawn around the reference and around what was best so far for one outcome, for the other and for
what lies between, a few times over. The front is that of predictions; it is drawn with intervals, because two
mixtures on it may well be told apart by nothing that the runs can show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.badness import badness_sign
from causalmix_core.mixture.limits import Limits
from causalmix_core.mixture.policies.candidates import SMALLEST_CENTRE, dirichlet, draw_candidates
from causalmix_core.mixture.room import bring_in, nearest_weights
from causalmix_core.mixture.simplex import check_mixture
from causalmix_core.probes.runs import WEIGHT

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

DRAWN = 600
"""Mixtures of the first round."""
ROUNDS = 3
NEAR = (60.0, 250.0, 1000.0)
"""Dirichlet concentration of each later round: closer and closer to what is on the front."""


def pareto_front(
    model: EffectModel,
    state: Mapping[str, float],
    limits: Limits,
    first: str,
    second: str,
    current: Mapping[str, float],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Candidate mixtures and which of them are on the front of two outcomes.

    Args:
        model: fitted effects.
        state: state of the pool.
        limits: what mixtures must keep to; yes-or-no constraints are not looked at.
        first: an outcome, or `objective`.
        second: another one.
        current: the mixture at hand, which is the last row, allowed or not.
        seed: of the draw.

    Returns:
        Columns `weight/<domain>`, for both outcomes `<outcome>`, `<outcome> lower`, `<outcome> upper`
        (predicted change from the reference and its 95% interval, in the units of the outcome), `front` (no
        other allowed candidate is better in one and no worse in the other) and `current`.

    Raises:
        CausalMixError: an unknown outcome, or the same one twice.
    """
    if first == second:
        raise CausalMixError(f"{first} cannot be weighed against itself; choose two outcomes.")
    reference = dict(zip(limits.domains, limits.reference.tolist(), strict=True))
    at_hand = np.array(list(check_mixture(current, limits.domains).values()))
    signs = np.array([badness_sign(first), badness_sign(second)])
    relaxed = limits.relaxed
    centre = nearest_weights(relaxed, limits.reference)

    def costs(mixtures: np.ndarray) -> np.ndarray:
        found = [model.changes(state, reference, mixtures, outcome)[0] for outcome in (first, second)]
        return np.asarray(signs * np.column_stack(found))

    drawn = np.vstack([centre, draw_candidates(relaxed, centre, DRAWN, seed)])
    found = costs(drawn)
    rng = np.random.default_rng(seed)
    for strength in NEAR[:ROUNDS]:
        best = drawn[on_front(found)]
        picked = best[rng.integers(0, len(best), DRAWN // 2)]
        near = bring_in(relaxed, dirichlet(strength * np.maximum(picked, SMALLEST_CENTRE), rng), centre)
        drawn, found = np.vstack([drawn, near]), np.vstack([found, costs(near)])
    rows = np.vstack([drawn, at_hand])
    frame = pd.DataFrame(rows, columns=[WEIGHT + d for d in limits.domains])
    for outcome in (first, second):
        change, error = model.changes(state, reference, rows, outcome)
        half = model.interval_quantile(outcome) * error
        frame[outcome], frame[f"{outcome} lower"], frame[f"{outcome} upper"] = (
            change,
            change - half,
            change + half,
        )
    frame["front"] = [*on_front(found), False]
    frame["current"] = [*([False] * len(drawn)), True]
    return frame


def on_front(costs: np.ndarray) -> np.ndarray:
    """Which rows of two costs (m, 2) no other row betters, (m,); lower is better; of equals, the first."""
    order = np.lexsort((costs[:, 1], costs[:, 0]))
    kept = np.zeros(len(costs), dtype=bool)
    lowest = np.inf
    for i in order:
        if costs[i, 1] < lowest:
            kept[i], lowest = True, costs[i, 1]
    return kept
