"""Two saved mixtures side by side: weights, what they are predicted to do, and what they rest on.

Changes from two different references cannot be compared with each other, so what a new run would measure
stands beside them. How much the two differ, with an interval, is asked of the model of one of them: most of
what is unknown is the same for both, so the difference of two overlapping intervals can be sure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from causalmix_core.mixture.limits import listed
from causalmix_core.mixture.simplex import total_variation
from causalmix_core.mixture.store import SavedMixture
from causalmix_core.probes.runs import pool_words

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

EQUAL = 1e-9
"""Shares of an objective that differ by less count the same."""


@dataclass(frozen=True)
class Comparison:
    """Two saved mixtures.

    Attributes:
        first: the one that differences are counted from.
        second: the other.
        weights: columns domain, first, second, difference; NaN where one has no such domain.
        predictions: columns outcome and, for each of the two, change, lower, upper from its own reference and
            mean, mean_lower, mean_upper of a new run: `first_change`, ...; NaN where one has no such outcome.
        provenance: columns what, first, second: only what differs, in words.
        distance: weight that has to move to turn one into the other; None where the domains differ.
        apart: outcome, change, lower, upper from the first to the second in the first's pool, by the first's
            model; None where nobody gave the model, or the domains differ.
        notes: what to know before comparing, in plain words.
    """

    first: SavedMixture
    second: SavedMixture
    weights: pd.DataFrame
    predictions: pd.DataFrame
    provenance: pd.DataFrame
    distance: float | None
    apart: pd.DataFrame | None
    notes: tuple[str, ...]


def compare_mixtures(
    first: SavedMixture, second: SavedMixture, model: EffectModel | None = None
) -> Comparison:
    """Put two saved mixtures side by side.

    Args:
        first: differences are counted from it.
        second: the other.
        model: the effects of the first, fitted again (see replay.py), for the difference with its interval.
    """
    alike = set(first.weights) == set(second.weights)
    apart = None
    if alike and model is not None:
        apart = model.change(first.state, first.weights, second.weights)
    return Comparison(
        first=first,
        second=second,
        weights=_weights(first, second),
        predictions=_predictions(first, second),
        provenance=_provenance(first, second),
        distance=total_variation(first.weights, second.weights) if alike else None,
        apart=apart,
        notes=tuple(_notes(first, second)),
    )


def _weights(first: SavedMixture, second: SavedMixture) -> pd.DataFrame:
    domains = sorted({*first.weights, *second.weights})
    frame = pd.DataFrame(
        {
            "domain": domains,
            "first": pd.Series([first.weights.get(d) for d in domains], dtype=float),
            "second": pd.Series([second.weights.get(d) for d in domains], dtype=float),
        }
    )
    return frame.assign(difference=frame["second"] - frame["first"])


def _predictions(first: SavedMixture, second: SavedMixture) -> pd.DataFrame:
    outcomes = [*first.predicted, *(o for o in second.predicted if o not in first.predicted)]
    columns: dict[str, list[float | None]] = {}
    for which, saved in (("first", first), ("second", second)):
        changes = [saved.predicted.get(o) for o in outcomes]
        values = [saved.expected.get(o) for o in outcomes]
        columns |= {
            f"{which}_change": [None if c is None else c.change for c in changes],
            f"{which}_lower": [None if c is None else c.lower for c in changes],
            f"{which}_upper": [None if c is None else c.upper for c in changes],
            f"{which}_mean": [None if v is None else v.mean for v in values],
            f"{which}_mean_lower": [None if v is None else v.lower for v in values],
            f"{which}_mean_upper": [None if v is None else v.upper for v in values],
        }
    return pd.DataFrame({"outcome": outcomes, **columns}).astype(dict.fromkeys(columns, float))


def _provenance(first: SavedMixture, second: SavedMixture) -> pd.DataFrame:
    pairs = zip(provenance_words(first).items(), provenance_words(second).values(), strict=True)
    rows = [(what, a, b) for (what, a), b in pairs if a != b]
    ours, theirs = sorted(set(first.runs) - set(second.runs)), sorted(set(second.runs) - set(first.runs))
    if (ours or theirs) and first.runs_of == second.runs_of:
        rows.append(("runs that only it read", _some(ours), _some(theirs)))
    return pd.DataFrame(rows, columns=["what", "first", "second"])


def provenance_words(saved: SavedMixture) -> dict[str, str]:
    """Where a saved mixture comes from, line by line, the same lines for all."""
    asked, graph = saved.asked, saved.graph
    assigned = " and ".join(saved.assignments) or "unknown"
    constraints = asked.constraints.model_dump(mode="json", exclude_defaults=True)
    return {
        "saved": f"{saved.saved_at:%Y-%m-%d %H:%M} UTC by {saved.by}, revision {saved.revision}",
        "pool": pool_words(saved.snapshot),
        "runs": f"{len(saved.runs):,} of {pool_words(saved.runs_of)}, {assigned}",
        "graph": f"{graph.name}, revision {graph.revision}" if graph.revision else "assumed: all may matter",
        "estimator": saved.estimator,
        "objective": objective_words(saved.objective),
        "policy": "set by hand" if asked.policy == "manual" else asked.policy,
        "constraints": json.dumps(constraints) if constraints else "none",
        "must be sure": "yes" if asked.confidence else "no",
        "may not get worse": _numbers(asked.no_harm) or "nothing protected",
        "step": f"{asked.step:.0%} of the way",
        "seed": str(asked.seed),
        "reference": f"{saved.reference_is}: {_numbers(saved.reference)}",
        "pool state": _numbers(saved.state) or "none",
        "software": saved.software,
    }


def objective_words(objective: Mapping[str, float]) -> str:
    """What counts and how much."""
    counts = {o: share for o, share in objective.items() if share > 0}
    if len(counts) == 1:
        return next(iter(counts))
    if max(counts.values()) - min(counts.values()) < EQUAL:
        return f"the mean of {len(counts)} outcomes that count the same: {', '.join(counts)}"
    return "the weighted mean of " + ", ".join(f"{100 * share:.3g}% {o}" for o, share in counts.items())


def _notes(first: SavedMixture, second: SavedMixture) -> list[str]:
    notes = []
    if set(first.weights) != set(second.weights):
        only = [
            f"only {a.name} has {', '.join(gone)}"
            for a, b in ((first, second), (second, first))
            if (gone := sorted(set(a.weights) - set(b.weights)))
        ]
        notes.append(
            f"The two are over other domains ({'; '.join(only)}), so no weight can be said to have moved."
        )
    if first.reference != second.reference:
        notes.append("They start from different references, so compare their values, not their changes.")
    if first.snapshot != second.snapshot:
        notes.append("They are for different pools; part of what differs is the pool, not the mixture.")
    if first.objective != second.objective:
        notes.append(
            "Their objectives weigh outcomes differently, so the rows of the objective do not compare."
        )
    return notes


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{k} {v:.4g}" for k, v in values.items())


def _some(names: list[str]) -> str:
    return f"{len(names)}: {listed(names, ', ')}" if names else "none"
