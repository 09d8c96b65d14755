"""What an edit of the graph does to the effects: those that changed, before and after.

The graph decides what is held fixed, what is excluded and what may modify an effect, so an edit that looks
small can move numbers far from it. Both graphs are fitted to the same runs by the same estimator; what then
differs is the graph's doing alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError

NOTICEABLE = 0.05
"""An effect counts as changed when it, or an end of its interval, moves by more than this part of half the
wider interval. Less comes from fitting other outcomes beside it, and nobody could tell it apart."""
_KEYS = ["domain", "outcome"]
_VALUES = ["effect", "lower", "upper", "distinguishable", "basis"]


@dataclass(frozen=True)
class GraphDifference:
    """Effects under two graphs, compared.

    Attributes:
        changed: one row per effect that changed, the largest change against its interval first. Columns
            domain, outcome; `effect`, `lower`, `upper`, `distinguishable` and `basis`, each with `_before`
            and `_after`; `moved`, by how many halves of the wider interval the effect or an end of its
            interval moved; `restated`, whether the graph says something else of it now.
        restated: effects that the graph says something else of while their numbers stayed.
        same: effects that stayed as they were in both.
    """

    changed: pd.DataFrame
    restated: int
    same: int


def graph_difference(before: pd.DataFrame, after: pd.DataFrame) -> GraphDifference:
    """Compare the effects under two graphs.

    Args:
        before: as `EffectModel.effects` gives them, under the older graph.
        after: under the newer graph, of the same domains and outcomes.

    Raises:
        CausalMixError: the two are not of the same domains and outcomes.
    """
    both = before[_KEYS + _VALUES].merge(
        after[_KEYS + _VALUES], on=_KEYS, suffixes=("_before", "_after"), validate="one_to_one"
    )
    if not len(before) == len(after) == len(both):
        raise CausalMixError(
            "The two graphs are about other domains or outcomes, so their effects cannot be compared. "
            "Compare revisions that were made for the same runs."
        )
    half = (
        np.maximum(
            both["upper_before"] - both["lower_before"], both["upper_after"] - both["lower_after"]
        ).to_numpy()
        / 2
    )
    apart = np.max(
        [np.abs(both[f"{v}_after"] - both[f"{v}_before"]) for v in ("effect", "lower", "upper")], axis=0
    )
    # Where neither interval has a width, any difference is a change.
    both["moved"] = np.divide(apart, half, out=np.where(apart > 0, np.inf, 0.0), where=half > 0)
    both["restated"] = both["basis_before"] != both["basis_after"]
    changed = both["moved"] > NOTICEABLE
    return GraphDifference(
        changed=both[changed]
        .sort_values(["moved", *_KEYS], ascending=[False, True, True])
        .reset_index(drop=True),
        restated=int((both["restated"] & ~changed).sum()),
        same=int((~both["restated"] & ~changed).sum()),
    )
