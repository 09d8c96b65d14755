"""The list of policies and what a curator should know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from causalmix_core.mixture.policies.analytical import analytical
from causalmix_core.mixture.policies.baselines import best_probe, proportional, uniform, unimax
from causalmix_core.mixture.policies.problem import Problem
from causalmix_core.mixture.policies.regmix import regmix
from causalmix_core.mixture.policies.search import search
from causalmix_core.mixture.policies.trust_region import trust_region

PolicyName = Literal[
    "trust_region", "search", "analytical", "regmix", "best_probe", "unimax", "proportional", "uniform"
]
POLICY_NAMES: tuple[PolicyName, ...] = get_args(PolicyName)


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
        uses_effects: whether it asks the fitted effects.
        slow: whether its first answer takes many seconds, so that a page shows the others first; it is kept
            after.
    """

    label: str
    source: str
    summary: str
    propose: Callable[[Problem], np.ndarray | None]
    no_answer: str = ""
    bounded: bool = False
    uses_effects: bool = False
    slow: bool = False


POLICIES: dict[PolicyName, PolicyInfo] = {
    "trust_region": PolicyInfo(
        "Trust region (T)",
        "own; sequential linear programming on the lower confidence bound of the gain",
        "Goes where the gain is surest: it looks at the bad end of the interval, stays within reach of the "
        "reference and within what the runs have tried, and keeps all constraints.",
        trust_region,
        bounded=True,
        uses_effects=True,
    ),
    "search": PolicyInfo(
        "Search (paper's policy S)",
        "CausalMix, arXiv 2607.01104",
        "Draws 100,000 mixtures around the reference and averages the best 100 predictions. It looks at no "
        "interval.",
        search,
        bounded=True,
        uses_effects=True,
    ),
    "analytical": PolicyInfo(
        "Analytical (paper's policy A)",
        "CausalMix, arXiv 2607.01104",
        "Weights each domain by what it does of its own, and drops those that do not help. It looks at no "
        "interval.",
        analytical,
        no_answer="No domain helps of its own in this pool state.",
        bounded=True,
        uses_effects=True,
    ),
    "regmix": PolicyInfo(
        "RegMix",
        "RegMix, Liu et al. 2024 (arXiv 2407.01492)",
        "Boosted trees on the weights alone; the mean of the best 128 of 100,000 drawn mixtures. It knows "
        "neither the pool state nor your constraints.",
        regmix,
        slow=True,
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
