"""Asks policies and puts their answers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import Constraints
from causalmix_core.mixture.limits import Limits, Violation, broken
from causalmix_core.mixture.policies.problem import Problem, pose
from causalmix_core.mixture.policies.registry import POLICIES, POLICY_NAMES, PolicyInfo, PolicyName
from causalmix_core.mixture.room import as_mixture, nearest_weights
from causalmix_core.mixture.simplex import Mixture, total_variation

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

SURE = 1e-12
"""A predicted change nearer to zero than this is none."""


@dataclass(frozen=True)
class Suggestion:
    """What a policy proposes.

    Attributes:
        mixture: the proposed weights; they sum to exactly one.
        policy: how it was found.
        reference: where it starts from.
        change: predicted change from the reference: columns outcome, change, lower, upper (95%).
        distance: total variation between reference and mixture: the weight that moves.
        stay: it is the advice to stay: at the reference, or at the nearest mixture that the constraints
            allow.
        answered: whether the policy had an answer; `notes` say why not.
        violations: constraints that it breaks; policies that look at none may.
        notes: what to know about it, in plain words.
    """

    mixture: Mixture
    policy: PolicyName
    reference: Mixture
    change: pd.DataFrame
    distance: float
    stay: bool
    answered: bool
    violations: tuple[Violation, ...]
    notes: tuple[str, ...]


def suggest(
    model: EffectModel,
    state: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    policy: PolicyName = "trust_region",
    constraints: Constraints | None = None,
    tokens: Mapping[str, int] | None = None,
    confidence: bool = True,
    no_harm: Mapping[str, float] | None = None,
    step: float = 1.0,
    seed: int = 0,
) -> Suggestion:
    """Propose a mixture with a lower objective than the reference.

    Args:
        model: fitted effects.
        state: state of the pool that the mixture is for.
        reference: where to start.
        policy: one of `POLICIES`.
        constraints: what the mixture must keep to; None: at most 25 points of weight move.
        tokens: tokens of the pool by domain, for limits of repetition.
        confidence: whether the trust region asks for a gain with 95% confidence, or for a predicted one.
        no_harm: outcome -> by how much it may get worse than at the reference.
        step: how far to go from the reference to what the policy proposes, above 0 and up to 1.
        seed: of what is drawn.

    Raises:
        CausalMixError: constraints that clash (named), an unknown policy or outcome, a step that is no share,
            or a state or reference that does not fit the model.
    """
    if policy not in POLICIES:
        raise CausalMixError(f"There is no policy {policy!r}; choose one of: {', '.join(POLICIES)}.")
    problem = pose(
        model, state, reference,
        constraints=constraints, tokens=tokens, confidence=confidence, no_harm=no_harm, seed=seed,
    )  # fmt: skip
    return ask(problem, policy, step)


def policy_table(problem: Problem, policies: Sequence[PolicyName] = POLICY_NAMES) -> list[Suggestion]:
    """Every policy's proposal, in the order of `policies`; those without an answer say why in their notes.

    All but those that are `slow` answer within two seconds; a page asks for the slow ones after the others.
    """
    return [ask(problem, policy) for policy in policies]


def ask(problem: Problem, policy: PolicyName, step: float = 1.0) -> Suggestion:
    """One policy's proposal; arguments and errors as in `suggest`."""
    if not 0 < step <= 1:
        raise CausalMixError(f"The step is {step:g}; it is the part of the way to go, above 0 and up to 1.")
    info, limits = POLICIES[policy], problem.limits
    notes = list(limits.notes)
    if warning := problem.model.extrapolation(problem.state):
        notes.append(warning)
    if problem.fixed:
        notes.append(problem.fixed)
    if info.uses_effects and not problem.may_stay:
        notes.append(
            "The constraints forbid the reference; to stay is to take the nearest mixture they allow."
        )
    proposed = info.propose(problem)
    answered = proposed is not None
    if proposed is None:
        notes.append(info.no_answer)
        proposed = problem.start
    if step < 1 and answered:
        proposed = _part_of_the_way(limits, info, proposed, step)
    if policy == "trust_region" and problem.score(proposed[None])[0] >= -SURE:
        proposed = problem.start
        if not problem.fixed:
            notes.append(_stay_words(problem))
    mixture = as_mixture(limits, proposed)
    change = problem.model.change(problem.state, problem.reference, mixture)
    distance = total_variation(problem.reference, mixture)
    if info.uses_effects and distance > SURE:
        notes += _doubt(change)
    notes += _harm_notes(problem, proposed)
    return Suggestion(
        mixture=mixture,
        policy=policy,
        reference=as_mixture(limits, limits.reference),
        change=change,
        distance=distance,
        stay=info.uses_effects and bool(np.abs(proposed - problem.start).max() < SURE),
        answered=answered,
        violations=tuple(broken(limits, mixture)),
        notes=tuple(notes),
    )


def _part_of_the_way(limits: Limits, info: PolicyInfo, weights: np.ndarray, step: float) -> np.ndarray:
    """The mixture that goes a part of the way from the reference; allowed, if the policy keeps to what is
    allowed.

    A domain that must move far or not at all may then not move at all.
    """
    moved = limits.reference + step * (weights - limits.reference)
    return nearest_weights(limits, moved) if info.bounded else moved


def _stay_words(problem: Problem) -> str:
    said = "Stay: no mixture within reach is predicted to be better"
    if problem.confidence:
        said += " with 95% confidence"
    if problem.no_harm:
        said += f" and to keep {', '.join(problem.no_harm)} within what you allow"
    return said + (". More probes narrow the intervals." if problem.confidence else ".")


def _doubt(change: pd.DataFrame) -> list[str]:
    goal = change.iloc[-1]  # the objective
    if goal["change"] >= 0:
        return ["It is predicted to be no better than the reference."]
    if goal["upper"] >= 0:
        return ["Its gain is not distinguishable from zero."]
    return []


def _harm_notes(problem: Problem, weights: np.ndarray) -> list[str]:
    """Which protected outcomes may get worse by more than their margin."""
    over = problem.harm(weights[None])[0]
    return [
        f"{'The objective' if outcome == problem.model.outcomes[-1] else outcome} may get worse by "
        f"{margin + by:.4g}, more than the {margin:.4g} that you allow."
        for (outcome, margin), by in zip(problem.no_harm.items(), over, strict=True)
        if by > 1e-9
    ]
