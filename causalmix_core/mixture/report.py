"""A report of a saved mixture that a curator can send: which mixture, why it is this one, and how far to
trust it.

One HTML file without any request to anywhere: it opens from a mail, offline, and a browser's print makes a
PDF of it. The reader decides about a training run and has not seen the app, so the answer stands first and
everything that it rests on after it, limits included.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from causalmix_core.effects import ESTIMATORS, OBJECTIVE
from causalmix_core.mixture.comparison import objective_words, provenance_words
from causalmix_core.mixture.policies import POLICIES
from causalmix_core.mixture.reporting.reasons import others, pool_shift_part, why
from causalmix_core.mixture.reporting.statements import (
    MOVED,
    constraints,
    pool_state,
    predictions,
    span,
    tone_of,
    weights,
)
from causalmix_core.mixture.reporting.style import listing, page, section, table
from causalmix_core.mixture.simplex import total_variation
from causalmix_core.mixture.store import SavedMixture
from causalmix_core.probes.runs import pool_words

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel
    from causalmix_core.mixture.robustness import Robustness
    from causalmix_core.mixture.shift import PoolShift
    from causalmix_core.question import Question

ROUNDING = 1e-9


def report_html(
    saved: SavedMixture,
    question: Question,
    model: EffectModel,
    robustness: Robustness | None = None,
    shift: PoolShift | None = None,
    *,
    notes: Sequence[str] = (),
) -> str:
    """Write the report of a saved mixture.

    Args:
        saved: the mixture; its recorded numbers are what the report states.
        question: what it answers, gathered again or by a replay.
        model: the effects that it rests on, fitted to the question's runs.
        robustness: how the suggestion holds when what it rests on changes; None: not computed.
        shift: what differs between the pool of the runs and the mixture's; None: they are the same.
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
        section("The mixture", weights(saved)),
        section("Why this mixture", *why(saved, model)),
        section("What it is predicted to change", *predictions(saved)),
        section("What it keeps to", *constraints(saved)),
        section("Would others have suggested it?", *(others(robustness) if robustness else ())),
        section("The pool", pool_state(saved, model), *(pool_shift_part(shift) if shift else ())),
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
    tone = tone_of(goal.lower, goal.upper, OBJECTIVE)
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
            f"95% interval of the change: {span(goal.lower, goal.upper)}. It moves "
            f"{100 * moved:.1f} points of weight from {escape(saved.reference_is)}."
        )
    return (
        f'<div class="verdict {tone}"><p class="said">{said}</p><p>{more}</p>'
        f'<p class="quiet small">The objective is {escape(objective_words(saved.objective))}; lower is '
        "better.</p>"
        "</div>"
    )


def _warnings(saved: SavedMixture, model: EffectModel, notes: Sequence[str]) -> list[str]:
    found = list(notes)
    if saved.snapshot != saved.runs_of:
        found.append(
            f"No run was trained on this pool: effects were learned on {pool_words(saved.runs_of)} and "
            "carried over by "
            "the pool state."
        )
    if far := model.extrapolation(saved.state):
        found.append(far)
    tried = model.domain_box.astype(float).to_dict("index")
    outside = [
        d
        for d in saved.domains
        if not tried[d]["lower"] - ROUNDING <= saved.weights[d] <= tried[d]["upper"] + ROUNDING
    ]
    if outside:
        found.append(
            f"Runs have hardly tried weights like these for {', '.join(outside)}: this is an extrapolation."
        )
    return found


def _limits(saved: SavedMixture, question: Question, model: EffectModel) -> list[str]:
    found = [
        "Predictions are for proxies of the size that was trained. A larger model may rank mixtures "
        "differently.",
        "An interval covers chance and not knowing the shape of the surface. It does not cover a wrong "
        "causal graph, "
        "a cause that nobody measured, or a pool unlike those of the runs.",
    ]
    if set(saved.assignments) - {"randomised"}:
        found.append(
            "Not all mixtures of the runs were chosen at random, so the effects rest on what the graph says "
            "must be "
            "held fixed."
        )
    return [*found, *question.runs.notes, *model.notes]


def _provenance(saved: SavedMixture) -> str:
    words = provenance_words(saved)
    labels = {str(name): info.label for name, info in ESTIMATORS.items()}
    words["estimator"] = labels.get(saved.estimator, saved.estimator)
    words["policy"] = _found_by(saved)
    return table(["", ""], [[escape(k), escape(v)] for k, v in words.items()], set(), "facts")


def _replay_words(saved: SavedMixture) -> str:
    command = escape(f"causalmix suggest --from mixtures/{saved.name}.json")
    return f"<p>Anyone with the workspace can compute these numbers again: <code>{command}</code></p>"
