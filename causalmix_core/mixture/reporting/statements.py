"""The parts of a report that state: weights, predictions, constraints and what binds, pool state."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.explanation import state_name
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import resolve
from causalmix_core.mixture.limits import Limits, amount, broken, percent
from causalmix_core.mixture.reporting.figures import (
    Interval,
    Tone,
    intervals,
    signed,
    weight_bars,
)
from causalmix_core.mixture.reporting.style import listing, table
from causalmix_core.mixture.room import allowed_ranges
from causalmix_core.mixture.simplex import total_variation
from causalmix_core.mixture.store import SavedMixture
from causalmix_core.probes.outcomes import direction_of

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

MOVED = 5e-5
"""Weight below which a domain has not moved: it would read as 0.00 points."""
AT_END = 1e-6
"""A weight this near to an end of what is allowed lies at it."""
KINDS = (
    ("loss/", "Losses on held-out text, nats per token; lower is better"),
    ("bpb/", "Bits per byte; lower is better"),
    ("benchmark-loss/", "Benchmark losses; lower is better"),
    ("benchmark/", "Benchmarks; higher is better"),
)


def weights(saved: SavedMixture) -> str:
    """The mixture against the reference: bars, and the numbers with tokens and epochs."""
    order = sorted(saved.domains, key=lambda d: -saved.weights[d])
    budget, tokens = saved.asked.constraints.token_budget, saved.tokens
    heads = ["Domain", "Weight", "Reference", "Change, points"]
    heads += ["Training tokens"] if budget else []
    heads += ["Tokens in the pool"] if tokens else []
    heads += ["Epochs"] if budget and tokens else []
    rows = []
    for d in order:
        weight, reference = saved.weights[d], saved.reference[d]
        row = [
            escape(d),
            f"{100 * weight:.2f}%",
            f"{100 * reference:.2f}%",
            signed(100 * (weight - reference), 2),
        ]
        row += [amount(weight * budget)] if budget else []
        row += [amount(tokens[d])] if tokens else []
        row += [f"{weight * budget / tokens[d]:.2f}"] if budget and tokens else []
        rows.append(row)
    bars = weight_bars([(d, saved.weights[d], saved.reference[d]) for d in order], "Weights by domain")
    planned = f" Planned for {amount(budget)} training tokens." if budget else ""
    return (
        f"<figure>{bars}<figcaption>Bars are the mixture, the black mark is the reference "
        f"({escape(saved.reference_is)}).{planned}</figcaption></figure>"
        + table(heads, rows, set(range(1, len(heads))))
    )


def predictions(saved: SavedMixture) -> list[str]:
    """What every outcome is predicted to change, and what a new run would measure."""
    found = []
    outcomes = [o for o in saved.predicted if o != OBJECTIVE]
    for prefix, words in KINDS:
        mine = [o for o in outcomes if o.startswith(prefix)]
        if not mine:
            continue
        rows = [_change_row(saved, o) for o in mine]
        drawn = intervals(rows, f"Predicted changes: {words}")
        found.append(f"<h3>{escape(words)}</h3><figure>{drawn}</figure>")
    rows_ = []
    for o in saved.predicted:
        p, v = saved.predicted[o], saved.expected[o]
        tone = tone_of(p.lower, p.upper, o)
        rows_.append(
            [
                escape("the objective" if o == OBJECTIVE else o),
                f'<td class="n {tone}">{signed(p.change)}</td>',
                span(p.lower, p.upper),
                _word(tone),
                f"{v.mean:.4f}",
                span(v.lower, v.upper, with_sign=False),
            ]
        )
    found.append(table(["Outcome", "Change", "95%", "", "Expected of a run", "95%"], rows_, {1, 2, 4, 5}))
    found.append(
        '<p class="quiet small">Changes are counted from the reference, in the unit of the outcome. Their '
        "intervals "
        "are widened to what held-out runs ask for. “Expected of a run” is what one new proxy run on this "
        "mixture would measure, its own noise included.</p>"
    )
    return found


def _change_row(saved: SavedMixture, outcome: str) -> Interval:
    p = saved.predicted[outcome]
    return Interval(
        outcome.partition("/")[2], p.change, p.lower, p.upper, tone_of(p.lower, p.upper, outcome),
        signed(p.change),
    )  # fmt: skip


def constraints(saved: SavedMixture) -> list[str]:
    """What was asked, what the mixture breaks of it, and which weights a constraint holds where they are."""
    try:
        limits = resolve(saved.asked.constraints, saved.domains, saved.tokens, saved.reference)
    except CausalMixError as error:
        return [f'<p class="warning">{escape(str(error))}</p>']
    said = _said_constraints(saved, limits)
    bad = broken(limits, saved.weights)
    ranges = allowed_ranges(limits)
    rows = []
    for d in saved.domains:
        found, weight = ranges[d], saved.weights[d]
        binds = ""
        if abs(weight - found.lowest) < AT_END and found.lowest_because:
            binds = found.lowest_because
        elif abs(weight - found.highest) < AT_END and found.highest_because:
            binds = found.highest_because
        if binds:
            rows.append(
                [
                    escape(d),
                    percent(weight),
                    f"{percent(found.lowest)} to {percent(found.highest)}",
                    escape(binds),
                ]
            )
    parts = [listing(said) if said else "<p>No constraint was given.</p>"]
    if bad:
        broken_words = "".join(f"<li>{escape(v.words)}</li>" for v in bad)
        parts.append(f'<div class="warning"><p>The mixture breaks:</p><ul>{broken_words}</ul></div>')
    if rows:
        parts.append("<h3>Weights that a constraint holds where they are</h3>")
        parts.append(table(["Domain", "Weight", "Allowed", "Because"], rows, {1, 2}))
    elif said:
        parts.append("<p>No weight lies at the end of what is allowed for it.</p>")
    moved = total_variation(saved.weights, saved.reference)
    if limits.radius is not None and moved > limits.radius - AT_END:
        parts.append(
            "<p>All of the weight that may move does: the reach is what keeps it from going further.</p>"
        )
    return parts


def _said_constraints(saved: SavedMixture, limits: Limits) -> list[str]:
    asked = saved.asked
    said = [x.words for x in limits.limits]
    if limits.radius is not None:
        used = total_variation(saved.weights, saved.reference)
        said.append(f"at most {percent(limits.radius)} of the weight moves; {percent(round(used, 4))} does")
    if limits.stepped:
        said.append(f"a domain stays or moves at least {percent(limits.smallest_change)}")
    if limits.most_domains is not None:
        said.append(f"at most {limits.most_domains} domains above zero")
    said += [f"{o} may not get worse by more than {margin:.4g}" for o, margin in asked.no_harm.items()]
    if asked.policy == "trust_region" and asked.confidence:
        said.append("a gain has to be sure: what counts is the bad end of its 95% interval")
    if asked.step < 1:
        said.append(f"only {percent(asked.step)} of the way to what the policy proposes is gone")
    return [*said, *limits.notes]


def pool_state(saved: SavedMixture, model: EffectModel) -> str:
    """The state of the pool beside what the runs have covered."""
    rows = []
    for state in model.runs.states:
        values = model.runs.frame[state].to_numpy(float)
        rows.append(
            [
                escape(state_name(state)), f"{saved.state[state]:.4g}", f"{np.median(values):.4g}",
                f"{values.min():.4g} to {values.max():.4g}",
            ]
        )  # fmt: skip
    if not rows:
        return "<p>The runs carry no pool state: effects hold for the pool that they were trained on.</p>"
    return table(["Pool state", "This pool", "Middle of the runs", "Range of the runs"], rows, {1, 2, 3})


def _word(tone: Tone) -> str:
    return {"better": "better", "worse": "worse", "unclear": "cannot be told from zero"}.get(tone, "")


def tone_of(lower: float, upper: float, outcome: str) -> Tone:
    """The colour of an interval: better, worse, or not to be told from zero."""
    if not math.isfinite(lower + upper) or lower <= 0 <= upper:
        return "unclear"
    higher = outcome != OBJECTIVE and direction_of(outcome) == "higher"
    return "better" if (lower > 0) == higher else "worse"


def span(lower: float, upper: float, *, with_sign: bool = True) -> str:
    """An interval in words."""
    if with_sign:
        return f"{signed(lower)} to {signed(upper)}"
    return f"{lower:.4f} to {upper:.4f}"
