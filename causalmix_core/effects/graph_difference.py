"""What an edit of the graph does to the effects: those that changed, before and after.

The graph decides what is held fixed, what is excluded and what may modify an effect, so an edit that looks
small can move numbers far from it. Both graphs are fitted to the same runs by the same estimator. Outcomes
that the graph treats alike are fitted together, so an edit about one of them can move the others a little;
that is not what the graph says of them, and is counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel
from causalmix_core.errors import CausalMixError

NOTICEABLE = 0.05
"""An effect counts as changed when it, or an end of its interval, moves by more than this part of half the
wider interval."""
_KEYS = ["domain", "outcome"]
_VALUES = ["effect", "lower", "upper", "distinguishable", "basis"]


@dataclass(frozen=True)
class GraphDifference:
    """Effects under two graphs, compared.

    Attributes:
        changed: one row per effect that changed on an outcome of which the graphs say something different,
            the largest change against its interval first. Columns domain, outcome; `effect`, `lower`,
            `upper`, `distinguishable` and `basis`, each with `_before` and `_after`; `moved`, by how many
            halves of the wider interval the effect or an end of its interval moved.
        same: effects that stayed as they were.
        beside: effects that moved on outcomes of which both graphs say the same.
        beside_most: the most that one of those moved, in halves of the wider interval; 0 where none did.
    """

    changed: pd.DataFrame
    same: int
    beside: int
    beside_most: float


def graph_difference(
    before: EffectModel, after: EffectModel, state: Mapping[str, float], mixture: Mapping[str, float]
) -> GraphDifference:
    """Compare the effects under two graphs.

    Args:
        before: fitted under the older graph.
        after: fitted to the same runs under the newer one.
        state: pool state of the effects, by column.
        mixture: where the point is added, by domain.

    Raises:
        CausalMixError: the two are of other domains, outcomes or runs, or the state or the mixture does not
            fit the runs.
    """
    if (before.domains, before.outcomes, len(before.runs)) != (
        after.domains,
        after.outcomes,
        len(after.runs),
    ):
        raise CausalMixError(
            "The two graphs are about other domains or outcomes, so their effects cannot be compared. "
            "Compare revisions that were made for the same runs."
        )
    return compare_effects(
        before.effects(state, mixture), after.effects(state, mixture), touched(before, after)
    )


def touched(before: EffectModel, after: EffectModel) -> set[str]:
    """Outcomes of which the two graphs say something different, and the objective if one of them counts."""
    decisive = {"treatments", "held", "modifiers", "identified"}
    found = {
        o
        for o, said in before.identifications.items()
        if said.model_dump(include=decisive) != after.identifications[o].model_dump(include=decisive)
    }
    counted = {o for o, share in after.objective.items() if share > 0}
    return found | ({OBJECTIVE} if found & counted else set())


def compare_effects(before: pd.DataFrame, after: pd.DataFrame, touched: set[str]) -> GraphDifference:
    """Compare two tables of effects, as `EffectModel.effects` gives them.

    Args:
        before: the older effects.
        after: the newer ones, of the same domains and outcomes.
        touched: outcomes of which the graphs say something different.
    """
    both = before[_KEYS + _VALUES].merge(
        after[_KEYS + _VALUES], on=_KEYS, suffixes=("_before", "_after"), validate="one_to_one"
    )
    widths = [(both[f"upper_{when}"] - both[f"lower_{when}"]).to_numpy(float) for when in ("before", "after")]
    half = np.maximum(*widths) / 2
    apart = np.max(
        [np.abs(both[f"{v}_after"] - both[f"{v}_before"]) for v in ("effect", "lower", "upper")], axis=0
    )
    # Where neither interval has a width, any difference is a change.
    both["moved"] = np.divide(apart, half, out=np.where(apart > 0, np.inf, 0.0), where=half > 0)
    moved = both["moved"] > NOTICEABLE
    mine = both["outcome"].isin(touched)
    beside = both.loc[moved & ~mine, "moved"]
    return GraphDifference(
        changed=both[moved & mine]
        .sort_values(["moved", *_KEYS], ascending=[False, True, True])
        .reset_index(drop=True),
        same=int((~moved).sum()),
        beside=len(beside),
        beside_most=float(beside.max()) if len(beside) else 0.0,
    )
