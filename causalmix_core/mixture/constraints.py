"""What a mixture must keep to: bounds, locks, groups, repetition, small changes, number of domains, reach.

`Constraints` is what a curator says, by name, and what is saved with a mixture. `resolve` turns it into
`Limits` (limits.py), so that a slider can say what binds it. Constraints that no mixture meets are refused
with the smallest set of them that clashes (clash.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.clash import check_clash
from causalmix_core.mixture.limits import ROUNDING, Limit, Limits, amount, listed, percent, times
from causalmix_core.mixture.simplex import check_mixture


class Group(BaseModel):
    """Domains whose weights together have bounds, such as all code.

    Attributes:
        name: for people.
        domains: which domains.
        lowest: the least that their weights may sum to.
        highest: the most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    domains: tuple[str, ...] = Field(min_length=1)
    lowest: float = Field(default=0.0, ge=0, le=1)
    highest: float = Field(default=1.0, ge=0, le=1)


class Constraints(BaseModel):
    """What a curator asks of every suggestion; everything is by domain name.

    Attributes:
        bounds: lowest and highest weight of a domain.
        locked: the weight that a domain has to have.
        groups: bounds of sums.
        token_budget: tokens of the training run; None: repetition is not limited.
        max_epochs: how often a domain may be read: one number for all, or by domain; domains that are not
            named are not limited. Takes effect with a token budget and known tokens of the pool.
        smallest_change: a domain stays at the reference or moves by at least this weight.
        most_domains: at most so many weights are above zero.
        radius: at most this much weight moves away from the reference (total variation); None: any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bounds: dict[str, tuple[float, float]] = {}
    locked: dict[str, float] = {}
    groups: tuple[Group, ...] = ()
    token_budget: int | None = Field(default=None, gt=0)
    max_epochs: dict[str, float] | float | None = None
    smallest_change: float = Field(default=0.0, ge=0, le=1)
    most_domains: int | None = Field(default=None, ge=1)
    radius: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _shares(self) -> Constraints:
        for domain, (low, high) in self.bounds.items():
            if not 0 <= low <= high <= 1:
                raise ValueError(
                    f"the bounds of {domain} are {low:g} to {high:g}; they need 0 <= lowest <= highest <= 1"
                )
        for domain, weight in self.locked.items():
            if not 0 <= weight <= 1:
                raise ValueError(f"{domain} is locked at {weight:g}, which is no weight between 0 and 1")
        for group in self.groups:
            if group.lowest > group.highest:
                raise ValueError(f"the lowest sum of {group.name} is above its highest")
        epochs = self.max_epochs
        values = epochs.values() if isinstance(epochs, dict) else [] if epochs is None else [epochs]
        if any(not math.isfinite(v) or v <= 0 for v in values):
            raise ValueError("a domain can be read more than 0 times only; give a positive number of epochs")
        return self


def resolve(
    constraints: Constraints,
    domains: Sequence[str],
    tokens: Mapping[str, int] | None,
    reference: Mapping[str, float],
) -> Limits:
    """Constraints as arrays over the domains.

    Args:
        constraints: what the curator says.
        domains: domains of the question.
        tokens: tokens of the pool by domain; None where the pool is not at hand, then repetition is unknown.
        reference: where changes are counted from.

    Raises:
        CausalMixError: a constraint names an unknown domain, or no mixture meets all of them; the message
            names the smallest set that clashes and what to loosen.
    """
    names = sorted(domains)
    start = np.array(list(check_mixture(reference, names).values()))
    _check_names(constraints, names)
    repetition, notes = _repetition(constraints, names, tokens)
    limits = Limits(
        domains=tuple(names),
        reference=start,
        limits=(
            *_own_limits(constraints, names),
            *repetition,
            *(limit for group in constraints.groups for limit in _group_limits(group, names)),
        ),
        smallest_change=constraints.smallest_change,
        most_domains=constraints.most_domains,
        radius=constraints.radius,
        notes=notes,
    )
    check_clash(limits)
    return limits


def _check_names(constraints: Constraints, domains: list[str]) -> None:
    epochs = constraints.max_epochs
    named = {
        "bounds": set(constraints.bounds),
        "locks": set(constraints.locked),
        "limits of repetition": set(epochs) if isinstance(epochs, dict) else set(),
        **{f"group {g.name}": set(g.domains) for g in constraints.groups},
    }
    for what, names in named.items():
        if unknown := sorted(names - set(domains)):
            raise CausalMixError(
                f"The {what} name {', '.join(unknown)}, which is no domain of these runs: "
                f"{', '.join(domains)}. Remove it from the constraints, or map it to one of these."
            )


def _own_limits(constraints: Constraints, domains: list[str]) -> list[Limit]:
    found = []
    for domain, (low, high) in sorted(constraints.bounds.items()):
        at = (domains.index(domain),)
        if low > 0:
            found.append(Limit(at, low, 1.0, f"{domain} at least {percent(low)}"))
        if high < 1:
            found.append(Limit(at, 0.0, high, f"{domain} at most {percent(high)}"))
    for domain, weight in sorted(constraints.locked.items()):
        words = f"{domain} locked at {percent(weight)}"
        found.append(Limit((domains.index(domain),), weight, weight, words, "lock"))
    return found


def _repetition(
    constraints: Constraints, domains: list[str], tokens: Mapping[str, int] | None
) -> tuple[list[Limit], tuple[str, ...]]:
    """w_k * budget <= epochs_k * tokens_k, for the domains whose repetition is limited, and notes."""
    epochs, budget = constraints.max_epochs, constraints.token_budget
    if epochs is None:
        return [], ()
    if budget is None:
        return [], ("Repetition is not limited: the token budget of the training run is not given.",)
    if tokens is None:
        return [], ("Repetition is not limited: the pool's tokens are not known.",)
    most = epochs if isinstance(epochs, dict) else dict.fromkeys(domains, epochs)
    if missing := sorted(set(most) - set(tokens)):
        raise CausalMixError(
            f"Repetition of {', '.join(missing)} is limited, but the pool has no tokens of it. Take the "
            "limit away or use a pool that holds it."
        )
    readable = {d: most[d] * tokens[d] for d in sorted(most)}
    if len(readable) == len(domains) and sum(readable.values()) < budget * (1 - ROUNDING):
        _refuse_budget(sum(tokens[d] for d in domains), sum(readable.values()), budget, epochs)
    found = []
    for domain, most_tokens in readable.items():
        highest = most_tokens / budget
        if highest < 1:
            words = (
                f"{domain} read at most {times(most[domain])}, {amount(most_tokens)} of {amount(budget)} "
                f"tokens: at most {percent(highest)}"
            )
            found.append(Limit((domains.index(domain),), 0.0, highest, words, "repetition"))
    return found, ()


def _refuse_budget(pool: int, readable: float, budget: int, epochs: dict[str, float] | float) -> None:
    often = "each readable as often as you allow" if isinstance(epochs, dict) else f"readable {times(epochs)}"
    needed = math.ceil(budget / max(pool, 1))
    raise CausalMixError(
        f"The token budget is beyond what repetition allows: the pool holds {amount(pool)} tokens {often}, "
        f"which makes {amount(readable)}; the budget is {amount(budget)}. Lower the budget, allow {needed} "
        "or more epochs, or add text."
    )


def _group_limits(group: Group, domains: list[str]) -> list[Limit]:
    """One limit per end, so that a slider names the end that it runs into."""
    names = sorted(set(group.domains))
    at, of = tuple(domains.index(d) for d in names), f"{group.name} ({listed(names, ' + ')})"
    if group.lowest == group.highest:
        return [Limit(at, group.lowest, group.highest, f"{of} exactly {percent(group.lowest)}", "group")]
    found = []
    if group.lowest > 0:
        found.append(Limit(at, group.lowest, 1.0, f"{of} at least {percent(group.lowest)}", "group"))
    if group.highest < 1:
        found.append(Limit(at, 0.0, group.highest, f"{of} at most {percent(group.highest)}", "group"))
    return found
