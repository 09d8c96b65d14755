"""Asks policies and puts their answers side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import Constraints, Violation, broken, resolve
from causalmix_core.mixture.policies.analytical import analytical
from causalmix_core.mixture.policies.baselines import best_probe, proportional, unimax, uniform
from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.policies.regmix import regmix
from causalmix_core.mixture.policies.search import search
from causalmix_core.mixture.policies.trust_region import step_towards, trust_region
from causalmix_core.mixture.room import exact_mixture, nearest
from causalmix_core.mixture.simplex import Mixture, check_mixture, total_variation

if TYPE_CHECKING:
    from causalmix_core.effects.model import EffectModel

PolicyName = Literal[
    "trust_region", "search", "analytical", "regmix", "best_probe", "unimax", "proportional", "uniform"
]
POLICY_NAMES: tuple[PolicyName, ...] = get_args(PolicyName)
RADIUS = 0.25
"""Weight that may move where nothing else is said."""


@dataclass(frozen=True)
class PolicyInfo:
    """A policy and what a curator should know of it.

    Attributes:
        label: its name on a page.
        source: where it comes from.
        summary: what it does, in plain words.
        propose: weights (K,), or None where it has no answer.
        no_answer: why it may have none.
        bounded: whether it keeps to the constraints by itself.
    """

    label: str
    source: str
    summary: str
    propose: Callable[[Problem], np.ndarray | None]
    no_answer: str = ""
    bounded: bool = False


POLICIES: dict[PolicyName, PolicyInfo] = {
    "trust_region": PolicyInfo(
        "Trust region (T)",
        "own; sequential linear programming on the lower confidence bound of the gain",
        "Goes where the gain is surest: it looks at the bad end of the interval, stays within reach of the "
        "reference and within what the runs have tried, and keeps all constraints.",
        trust_region,
        bounded=True,
    ),
    "search": PolicyInfo(
        "Search (paper's policy S)",
        "CausalMix, arXiv 2607.01104",
        "Draws 100,000 mixtures around the reference and averages the best 100 predictions. It looks at no "
        "interval.",
        search,
        bounded=True,
    ),
    "analytical": PolicyInfo(
        "Analytical (paper's policy A)",
        "CausalMix, arXiv 2607.01104",
        "Weights each domain by what it does of its own, and drops those that do not help.",
        analytical,
        no_answer="No domain helps of its own in this pool state.",
        bounded=True,
    ),
    "regmix": PolicyInfo(
        "RegMix",
        "RegMix, Liu et al. 2024 (arXiv 2407.01492)",
        "Boosted trees on the weights alone; the mean of the best 128 of 100,000 drawn mixtures. It knows neither "
        "the pool state nor your constraints.",
        regmix,
    ),
    "best_probe": PolicyInfo(
        "Best probe",
        "the runs",
        "The mixture of the run that measured best; in part it was lucky.",
        best_probe,
    ),
    "unimax": PolicyInfo(
        "UniMax",
        "Chung et al. 2023 (arXiv 2304.09151)",
        "Even weights, but no domain is read more often than allowed (4 times where nothing is said).",
        unimax,
        no_answer="It needs the tokens of the pool and a token budget that they can fill.",
    ),
    "proportional": PolicyInfo(
        "By size",
        "tokens of the pool",
        "Each domain as often as it occurs in the pool.",
        proportional,
        no_answer="It needs the tokens of the pool.",
    ),
    "uniform": PolicyInfo("Even", "-", "The same weight for every domain.", uniform),
}


@dataclass(frozen=True)
class Suggestion:
    """What a policy proposes.

    Attributes:
        mixture: the proposed weights; they sum to exactly one. Where a policy that looks at effects predicts
            nothing better than staying: the reference, or the nearest allowed mixture to it.
        policy: how it was found.
        reference: where it starts from.
        change: predicted change from the reference: columns outcome, change, lower, upper (95%).
        distance: total variation between reference and mixture: the weight that moves.
        stay: nothing better than staying was found.
        violations: constraints that it breaks; policies that look at none may.
        notes: what to know about it, in plain words.
    """

    mixture: Mixture
    policy: PolicyName
    reference: Mixture
    change: pd.DataFrame
    distance: float
    stay: bool
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
        no_harm: outcome -> by how much it may get worse.
        step: how far to go from the reference to what the policy proposes, above 0 and up to 1.
        seed: of what is drawn.

    Raises:
        CausalMixError: constraints that clash (named), an unknown policy or outcome, a step that is no share, or
            a state or reference that does not fit the model.
    """
    if policy not in POLICIES:
        raise CausalMixError(f"There is no policy {policy!r}; choose one of: {', '.join(POLICIES)}.")
    if not 0 < step <= 1:
        raise CausalMixError(f"The step is {step:g}; it is the part of the way to go, above 0 and up to 1.")
    asked = Constraints(radius=RADIUS) if constraints is None else constraints
    limits = resolve(asked, model.domains, tokens, check_mixture(reference, model.domains))
    epochs = asked.max_epochs if isinstance(asked.max_epochs, float | int) else None
    problem = Problem(
        model, state, limits, tokens, asked.token_budget, epochs, confidence, dict(no_harm or {}), seed
    )
    return _ask(problem, policy, step)


def policy_table(problem: Problem, policies: Sequence[PolicyName] = POLICY_NAMES) -> list[Suggestion]:
    """Every policy's proposal, in the order of `policies`; those without an answer say why in their notes."""
    return [_ask(problem, policy, 1.0) for policy in policies]


def _ask(problem: Problem, policy: PolicyName, step: float) -> Suggestion:
    info, limits = POLICIES[policy], problem.limits
    start = exact_mixture(limits.reference, limits.domains)
    notes = []
    if warning := problem.model.extrapolation(problem.state):
        notes.append(warning)
    proposed = info.propose(problem)
    if proposed is None:
        notes.append(info.no_answer)
        proposed = limits.reference
    if step < 1:
        proposed = step_towards(limits, proposed, step)
    if policy == "trust_region" and problem.score(proposed[None])[0] >= -1e-12:
        notes.append(_stay_words(problem))
        proposed = limits.reference
    mixture = exact_mixture(proposed, limits.domains)
    if info.bounded and broken(limits, mixture):
        mixture = nearest(limits, mixture)
        notes.append("The constraints forbid the reference; this is the nearest mixture that they allow.")
    change = problem.model.change(problem.state, start, mixture)
    notes += _harm_notes(problem, mixture)
    return Suggestion(
        mixture=mixture,
        policy=policy,
        reference=start,
        change=change,
        distance=total_variation(start, mixture),
        stay=total_variation(start, mixture) < 1e-9,
        violations=tuple(broken(limits, mixture)),
        notes=tuple(notes),
    )


def _stay_words(problem: Problem) -> str:
    return (
        "Stay: no mixture within reach is predicted to be better"
        + (" with 95% confidence. More probes narrow the intervals." if problem.confidence else ".")
    )


def _harm_notes(problem: Problem, mixture: Mixture) -> list[str]:
    """Which protected outcomes may get worse by more than their margin."""
    weights = np.array([mixture[d] for d in problem.limits.domains])[None]
    over = problem.harm(weights)[0]
    return [
        f"{outcome if outcome != OBJECTIVE else 'the objective'} may get worse by {margin + by:.4g}, more than the "
        f"{margin:.4g} that you allow."
        for (outcome, margin), by in zip(problem.no_harm.items(), over, strict=True)
        if by > 1e-9
    ]
