"""A report of a saved mixture that a curator can send: which mixture, why it is this one, and how far to trust it.

One HTML file without any request to anywhere: it opens from a mail, offline, and a browser's print makes a PDF of it.
The reader decides about a training run and has not seen the app, so the answer stands first and everything that it
rests on after it, limits included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalmix_core.effects import ESTIMATORS, OBJECTIVE
from causalmix_core.effects.explanation import state_name
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.comparison import provenance_words
from causalmix_core.mixture.constraints import Limits, amount, broken, percent, resolve
from causalmix_core.mixture.policies import POLICIES
from causalmix_core.mixture.report_figures import Interval, Step, Tone, intervals, waterfall, weight_bars
from causalmix_core.mixture.report_style import listing, page, section, table
from causalmix_core.mixture.room import allowed_ranges
from causalmix_core.mixture.simplex import total_variation
from causalmix_core.mixture.store import SavedMixture
from causalmix_core.mixture.waterfall import contributions
from causalmix_core.probes.outcomes import direction_of
from causalmix_core.probes.runs import pool_words

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel
    from causalmix_core.mixture.robustness import Robustness
    from causalmix_core.question import Question

MOVED = 5e-5
"""Weight below which a domain has not moved: it would read as 0.00 points."""
MOST_REASONS = 5
MOST_COLUMNS = 9
"""Outcomes beside the objective in the table of contributions: more do not fit on paper."""
AT_END = 1e-6
KINDS = (
    ("loss/", "Losses on held-out text, nats per token; lower is better"),
    ("bpb/", "Bits per byte; lower is better"),
    ("benchmark-loss/", "Benchmark losses; lower is better"),
    ("benchmark/", "Benchmarks; higher is better"),
)


def report_html(
    saved: SavedMixture,
    question: Question,
    model: EffectModel,
    robustness: Robustness | None = None,
    *,
    notes: Sequence[str] = (),
) -> str:
    """Write the report of a saved mixture.

    Args:
        saved: the mixture; its recorded numbers are what the report states.
        question: what it answers, gathered again or by a replay.
        model: the effects that it rests on, fitted to the question's runs.
        robustness: how the suggestion holds when what it rests on changes; None: not computed.
        notes: what else the reader has to know, such as numbers that a replay did not give again.

    Returns:
        A whole HTML file.

    Raises:
        CausalMixError: the model or the question does not fit the mixture.
    """
    parts = [
        _head(saved),
        _verdict(saved),
        "".join(f'<p class="warning">{escape(n)}</p>' for n in _warnings(saved, model, notes)),
        section("The mixture", _weights(saved)),
        section("Why this mixture", *_why(saved, model)),
        section("What it is predicted to change", *_predictions(saved)),
        section("What it keeps to", *_constraints(saved)),
        section("Would others have suggested it?", *(_robustness(robustness) if robustness else ())),
        section("The pool", _pool_state(saved, model)),
        section("Limits", listing(_limits(saved, question, model))),
        section("Where it comes from", _provenance(saved), _replay_words(saved)),
    ]
    return page(f"Data mixture {saved.name}", [p for p in parts if p])


def _head(saved: SavedMixture) -> str:
    return (
        f"<header><h1>Data mixture {escape(saved.name)}</h1>\n"
        f'<p class="quiet">For {escape(pool_words(saved.snapshot))} · revision {saved.revision} · saved '
        f"{saved.saved_at:%d %B %Y} by {escape(saved.by)} · {escape(_found_by(saved))}</p></header>"
    )


def _found_by(saved: SavedMixture) -> str:
    return "set by hand" if saved.policy == "manual" else f"suggested by {POLICIES[saved.policy].label}"


def _verdict(saved: SavedMixture) -> str:
    goal, moved = saved.predicted[OBJECTIVE], total_variation(saved.weights, saved.reference)
    tone = _tone(goal.lower, goal.upper, OBJECTIVE)
    if moved < MOVED:
        said = "Stay at the reference."
        more = "No mixture was found that is surely better than the one at hand."
        tone = "unclear"
    else:
        verb = "lower" if goal.change < 0 else "raise"
        sure = {
            "better": f"Predicted to {verb} the objective by {abs(goal.change):.4f}.",
            "worse": f"Predicted to make the objective worse by {abs(goal.change):.4f}.",
        }
        said = sure.get(tone, "No difference from the reference can be told.")
        more = (
            f"95% interval of the change: {_span(goal.lower, goal.upper)}; lower is better. It moves "
            f"{100 * moved:.1f} points of weight from {escape(saved.reference_is)}."
        )
    shares = ", ".join(f"{100 * share:.3g}% {escape(o)}" for o, share in saved.objective.items())
    return (
        f'<div class="verdict {tone}"><p class="said">{said}</p><p>{more}</p>'
        f'<p class="quiet small">The objective is the weighted mean of what counts: {shares}.</p></div>'
    )


def _warnings(saved: SavedMixture, model: EffectModel, notes: Sequence[str]) -> list[str]:
    found = list(notes)
    if saved.snapshot != saved.runs_of:
        found.append(
            f"No run was trained on this pool: effects were learned on {pool_words(saved.runs_of)} and carried over by "
            "the pool state."
        )
    if far := model.extrapolation(saved.state):
        found.append(far)
    box = model.domain_box
    outside = [
        d
        for d in saved.domains
        if not box.loc[d, "lower"] - 1e-9 <= saved.weights[d] <= box.loc[d, "upper"] + 1e-9
    ]
    if outside:
        found.append(
            f"Runs have hardly tried weights like these for {', '.join(outside)}: this is an extrapolation."
        )
    return found


def _weights(saved: SavedMixture) -> str:
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
            f"{100 * (weight - reference):+.2f}",
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


def _why(saved: SavedMixture, model: EffectModel) -> list[str]:
    if total_variation(saved.weights, saved.reference) < MOVED:
        return ["<p>The mixture is the reference: nothing moves.</p>"]
    parts = contributions(model, saved.state, saved.reference, saved.weights)
    mine = parts[parts["outcome"] == OBJECTIVE].sort_values("contribution")
    goal = saved.predicted[OBJECTIVE]
    moved = mine[mine["moved"].abs() >= MOVED]
    steps = [
        Step(
            str(r["domain"]), r["contribution"], "better" if r["contribution"] < 0 else "worse",
            f"{r['contribution']:+.4f}  ({100 * r['moved']:+.2f} points)",
        )
        for r in moved.to_dict("records")
    ]  # fmt: skip
    total = Interval(
        "together", goal.change, goal.lower, goal.upper, _tone(goal.lower, goal.upper, OBJECTIVE),
        f"{goal.change:+.4f}",
    )  # fmt: skip
    drawn = waterfall(steps, total, "Contribution of each domain to the change of the objective")
    return [
        f"<figure>{drawn}<figcaption>What each domain's move contributes to the predicted change of the objective; "
        "left is better. A domain contributes what its weight moves, times its mean effect on the way; the "
        "contributions add up to the change. The last row is the change with its 95% interval.</figcaption></figure>",
        listing(_reasons(saved, moved)),
        _heat(parts, saved),
    ]


def _reasons(saved: SavedMixture, moved: pd.DataFrame) -> list[str]:
    """The largest contributions in words."""
    found = []
    largest = moved.reindex(moved["contribution"].abs().sort_values(ascending=False).index)
    for row in largest.head(MOST_REASONS).to_dict("records"):
        domain, up = row["domain"], row["moved"] > 0
        verb = "rises" if up else "falls"
        what = "lowers" if row["contribution"] < 0 else "raises"
        better = "; better" if row["contribution"] < 0 else "; the price of what others gain"
        found.append(
            f"{domain} {verb} from {percent(saved.reference[domain])} to {percent(saved.weights[domain])}: this "
            f"{what} the objective by {abs(row['contribution']):.4f}{better}."
        )
    return found


def _heat(parts: pd.DataFrame, saved: SavedMixture) -> str:
    """Contributions of domains to outcomes, the darker the larger against the outcome's largest."""
    outcomes = [o for o in saved.predicted if o != OBJECTIVE]
    if len(outcomes) < 2:
        return ""
    shown = sorted(outcomes, key=lambda o: -saved.objective.get(o, 0.0))[:MOST_COLUMNS]
    grid = parts.pivot_table(index="domain", columns="outcome", values="contribution", sort=False)
    rows = []
    for domain in sorted(saved.domains, key=lambda d: -abs(saved.weights[d] - saved.reference[d])):
        rows.append([escape(domain), *(_cell(float(grid.loc[domain, o]), grid[o], o) for o in shown)])
    left_out = (
        f" {len(outcomes) - len(shown)} more outcomes are left out." if len(shown) < len(outcomes) else ""
    )
    return (
        "<h3>Contribution of each domain to each outcome</h3>"
        + table(["Domain", *shown], rows, set(range(1, len(shown) + 1)), "heat")
        + f'<p class="quiet small">Green is better, red is worse.{left_out}</p>'
    )


def _cell(value: float, column: pd.Series[float], outcome: str) -> str:
    most = float(column.abs().max())
    alpha = 0.45 * abs(value) / most if most > 0 else 0.0
    good = (value < 0) != (direction_of(outcome) == "higher" and outcome != OBJECTIVE)
    colour = f"rgba(10,107,79,{alpha:.2f})" if good else f"rgba(176,58,16,{alpha:.2f})"
    return f'<td class="n" style="background:{colour}">{value:+.4f}</td>'


def _predictions(saved: SavedMixture) -> list[str]:
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
        tone = _tone(p.lower, p.upper, o)
        rows_.append(
            [
                escape("the objective" if o == OBJECTIVE else o),
                f'<td class="n {tone}">{p.change:+.4f}</td>',
                _span(p.lower, p.upper),
                _word(tone),
                f"{v.mean:.4f}",
                _span(v.lower, v.upper, signed=False),
            ]
        )
    found.append(table(["Outcome", "Change", "95%", "", "Expected of a run", "95%"], rows_, {1, 2, 4, 5}))
    found.append(
        '<p class="quiet small">Changes are counted from the reference, in the unit of the outcome. Their intervals '
        "are widened to what held-out runs ask for. “Expected of a run” is what one new proxy run on this "
        "mixture would measure, its own noise included.</p>"
    )
    return found


def _change_row(saved: SavedMixture, outcome: str) -> Interval:
    p = saved.predicted[outcome]
    return Interval(
        outcome.partition("/")[2], p.change, p.lower, p.upper, _tone(p.lower, p.upper, outcome),
        f"{p.change:+.4f}",
    )  # fmt: skip


def _constraints(saved: SavedMixture) -> list[str]:
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
        parts.append("<p>No weight lies at the end of what is allowed.</p>")
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


def _robustness(found: Robustness) -> list[str]:
    good = found.table[found.table["problem"] == ""]
    others = good[good["varied"].isin(["estimator", "graph"])]
    parts = [f"<p>{escape(found.summary)}</p>"]
    if len(others):
        rows = [
            Interval(
                r["variant"], r["ours"], r["ours_lower"], r["ours_upper"],
                _tone(r["ours_lower"], r["ours_upper"], OBJECTIVE), f"{r['ours']:+.4f}",
            )
            for r in others.to_dict("records")
        ]  # fmt: skip
        drawn = intervals(rows, "What other models predict of this mixture")
        parts.append(
            f"<figure>{drawn}<figcaption>The change of the objective that others predict for this very mixture; left "
            "is better.</figcaption></figure>"
        )
    body = [
        [
            escape(r["variant"]),
            f"{100 * r['distance']:.1f}" + (" (stay)" if r["stays"] else ""),
            f"{r['change']:+.4f}",
            _span(r["lower"], r["upper"]),
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


def _pool_state(saved: SavedMixture, model: EffectModel) -> str:
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


def _limits(saved: SavedMixture, question: Question, model: EffectModel) -> list[str]:
    found = [
        "Predictions are for proxies of the size that was trained. A larger model may rank mixtures differently.",
        "An interval covers chance and not knowing the shape of the surface. It does not cover a wrong causal graph, "
        "a cause that nobody measured, or a pool unlike those of the runs.",
    ]
    if set(saved.assignments) - {"randomised"}:
        found.append(
            "Not all mixtures of the runs were chosen at random, so the effects rest on what the graph says must be "
            "held fixed."
        )
    return [*found, *question.runs.notes, *model.notes]


def _provenance(saved: SavedMixture) -> str:
    words = provenance_words(saved)
    words["estimator"] = (
        ESTIMATORS[saved.estimator].label if saved.estimator in ESTIMATORS else saved.estimator
    )  # type: ignore[index]
    return table(["", ""], [[escape(k), escape(v)] for k, v in words.items()], set())


def _replay_words(saved: SavedMixture) -> str:
    command = escape(f"causalmix suggest --from mixtures/{saved.name}.json")
    return f"<p>Anyone with the workspace can compute these numbers again: <code>{command}</code></p>"


def _tone(lower: float, upper: float, outcome: str) -> Tone:
    if not math.isfinite(lower + upper) or lower <= 0 <= upper:
        return "unclear"
    higher = outcome != OBJECTIVE and direction_of(outcome) == "higher"
    return "better" if (lower > 0) == higher else "worse"


def _word(tone: Tone) -> str:
    return {"better": "better", "worse": "worse", "unclear": "cannot be told from zero"}.get(tone, "")


def _span(lower: float, upper: float, *, signed: bool = True) -> str:
    sign = "+" if signed else ""
    return f"{lower:{sign}.4f} to {upper:{sign}.4f}"
