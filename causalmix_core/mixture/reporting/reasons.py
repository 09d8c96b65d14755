"""The parts of a report that argue: contributions, other pools, other analysts."""

from __future__ import annotations

import math
from collections.abc import Collection
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.explanation import effect_sentences, state_name
from causalmix_core.mixture.reporting.figures import (
    Interval,
    Step,
    intervals,
    signed,
    waterfall,
)
from causalmix_core.mixture.reporting.statements import MOVED, span, tone_of
from causalmix_core.mixture.reporting.style import listing, table
from causalmix_core.mixture.shift import shift_sentences
from causalmix_core.mixture.simplex import total_variation
from causalmix_core.mixture.store import SavedMixture
from causalmix_core.mixture.waterfall import contributions
from causalmix_core.probes.outcomes import direction_of

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel
    from causalmix_core.mixture.robustness import Robustness
    from causalmix_core.mixture.shift import PoolShift

MOST_REASONS = 5
MOST_COLUMNS = 9
"""Outcomes beside the objective in the table of contributions: more do not fit on paper."""


def why(saved: SavedMixture, model: EffectModel) -> list[str]:
    """Which domain contributes what to the change of the objective, and to every outcome."""
    if total_variation(saved.weights, saved.reference) < MOVED:
        return ["<p>The mixture is the reference: nothing moves.</p>"]
    parts = contributions(model, saved.state, saved.reference, saved.weights)
    mine = parts[parts["outcome"] == OBJECTIVE].sort_values("contribution")
    goal = saved.predicted[OBJECTIVE]
    moved = mine[mine["moved"].abs() >= MOVED]
    steps = [
        Step(
            str(r["domain"]), r["contribution"], "better" if r["contribution"] < 0 else "worse",
            f"{signed(r['contribution'])}  ({signed(100 * r['moved'], 2)} points)",
        )
        for r in moved.to_dict("records")
    ]  # fmt: skip
    total = Interval(
        "together", goal.change, goal.lower, goal.upper, tone_of(goal.lower, goal.upper, OBJECTIVE),
        signed(goal.change),
    )  # fmt: skip
    drawn = waterfall(steps, total, "Contribution of each domain to the change of the objective")
    return [
        f"<figure>{drawn}<figcaption>What each domain's move contributes to the predicted change of the "
        "objective; "
        "left is better. A domain contributes what its weight moves, times its mean effect on the way; the "
        "contributions add up to the change. The last row is the change with its 95% "
        "interval.</figcaption></figure>",
        listing(_reasons(saved, model, moved)),
        _heat(parts, saved),
    ]


def _reasons(saved: SavedMixture, model: EffectModel, moved: pd.DataFrame) -> list[str]:
    """The largest contributions in words, each with the effect that it comes from."""
    effects = effect_sentences(model, saved.state, saved.reference)
    mine = effects[effects["outcome"] == OBJECTIVE]
    said = dict(zip(mine["domain"], mine["sentence"], strict=True))
    found = []
    largest = moved.reindex(moved["contribution"].abs().sort_values(ascending=False).index)
    for row in largest.head(MOST_REASONS).to_dict("records"):
        domain = row["domain"]
        verb = "rises" if row["moved"] > 0 else "falls"
        what = "lowers" if row["contribution"] < 0 else "raises"
        ends = f"{100 * saved.reference[domain]:.2f}% to {100 * saved.weights[domain]:.2f}%"
        found.append(
            f"{domain} {verb} from {ends}, which {what} the objective by {abs(row['contribution']):.4f}. "
            f"{said[domain]}"
        )
    return found


def _heat(parts: pd.DataFrame, saved: SavedMixture) -> str:
    """Contributions of domains to outcomes, the darker the larger against the outcome's largest."""
    outcomes = [o for o in saved.predicted if o != OBJECTIVE]
    if len(outcomes) < 2:
        return ""
    shown = sorted(outcomes, key=lambda o: -saved.objective.get(o, 0.0))[:MOST_COLUMNS]
    grid = {o: rows.set_index("domain")["contribution"].to_dict() for o, rows in parts.groupby("outcome")}
    rows = []
    for domain in sorted(saved.domains, key=lambda d: -abs(saved.weights[d] - saved.reference[d])):
        rows.append([escape(domain), *(_cell(grid[o][domain], grid[o].values(), o) for o in shown)])
    left_out = (
        f" {len(outcomes) - len(shown)} more outcomes are left out." if len(shown) < len(outcomes) else ""
    )
    return (
        "<h3>Contribution of each domain to each outcome</h3>"
        + table(["Domain", *shown], rows, set(range(1, len(shown) + 1)), "heat")
        + f'<p class="quiet small">Green is better, red is worse.{left_out}</p>'
    )


def _cell(value: float, column: Collection[float], outcome: str) -> str:
    most = max(abs(v) for v in column)
    alpha = 0.45 * abs(value) / most if most > 0 else 0.0
    good = (value < 0) != (direction_of(outcome) == "higher" and outcome != OBJECTIVE)
    colour = f"rgba(10,107,79,{alpha:.2f})" if good else f"rgba(176,58,16,{alpha:.2f})"
    return f'<td class="n" style="background:{colour}">{signed(value)}</td>'


def others(found: Robustness) -> list[str]:
    """What other estimators, graphs and steps would suggest, and predict of this mixture."""
    good = found.table[found.table["problem"] == ""]
    ways = good[good["varied"].isin(["estimator", "graph"])]
    parts = [f"<p>{escape(found.summary)}</p>"]
    if len(ways):
        rows = [
            Interval(
                r["variant"], r["ours"], r["ours_lower"], r["ours_upper"],
                tone_of(r["ours_lower"], r["ours_upper"], OBJECTIVE), signed(r["ours"]),
            )
            for r in ways.to_dict("records")
        ]  # fmt: skip
        drawn = intervals(rows, "What other models predict of this mixture")
        parts.append(
            f"<figure>{drawn}<figcaption>The change of the objective that others predict for this very "
            "mixture; left "
            "is better.</figcaption></figure>"
        )
    body = [
        [
            escape(r["variant"]),
            f"{100 * r['distance']:.1f}" + (" (stay)" if r["stays"] else ""),
            signed(r["change"]),
            span(r["lower"], r["upper"]),
        ]
        for r in good.to_dict("records")
    ]
    parts.append("<h3>What each of them would suggest instead</h3>")
    parts.append(
        table(["Variant", "Points away from this mixture", "Its own change", "95%"], body, {1, 2, 3})
    )
    failed = found.table[found.table["problem"] != ""]
    parts.append(
        listing([f"{r['variant']}: {r['problem']}" for r in failed.to_dict("records")] + list(found.notes))
    )
    return parts


def pool_shift_part(found: PoolShift) -> list[str]:
    """What differs between the pool of the runs and the mixture's, and what that does to the effects."""
    rows = [
        [
            escape(state_name(r["state"])), f"{r['before']:.4g}", f"{r['after']:.4g}",
            "" if math.isnan(r["deviations"]) else f"{r['deviations']:+.2f}",
            "yes" if r["covered"] else "no",
        ]
        for r in found.states.to_dict("records")
    ]  # fmt: skip
    heads = ["Pool state", "Pool of the runs", "This pool", "Change, deviations", "Covered by runs"]
    return [
        "<h3>What differs from the pool that the runs were trained on</h3>",
        table(heads, rows, {1, 2, 3}),
        "<h3>What that does to the effects on the objective</h3>",
        listing(shift_sentences(found, OBJECTIVE)),
    ]
