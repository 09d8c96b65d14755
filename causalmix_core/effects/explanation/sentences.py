"""One sentence per effect, in words that a curator can act on, and never surer than the interval.

"Cannot be told from zero" is an answer of its own. A pool state is mentioned only where the effect differs
distinguishably between its low and its high values. A domain that the graph excludes is said to displace
others, not to act.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from causalmix_core.effects.explanation.asking import Estimate, state_name
from causalmix_core.effects.explanation.curves import dependence
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel
from causalmix_core.probes.outcomes import direction_of
from causalmix_core.probes.runs import WEIGHT

MOST_DECIMALS = 8
"""Numbers that need more are written with a power of ten."""


@dataclass(frozen=True)
class Dependence:
    """The effect where a pool state is low and where it is high, and the second less the first."""

    state: str
    low: Estimate
    high: Estimate
    difference: Estimate


def effect_sentences(
    model: EffectModel, state: Mapping[str, float], mixture: Mapping[str, float]
) -> pd.DataFrame:
    """Say every effect in words.

    Args:
        model: fitted effects.
        state: of the pool; all states of the runs.
        mixture: where the point is added.

    Returns:
        The columns of `EffectModel.effects` and `depends_on` (the pool state that is mentioned, or empty) and
        `sentence`; same order of rows.

    Raises:
        CausalMixError: the state or the mixture does not fit the runs.
    """
    effects = model.effects(state, mixture)
    strongest = _strongest(dependence(model, state, mixture))
    fitted = {o for g in model.groups for o in g.outcomes}
    said, on = [], []
    for row in effects.to_dict("records"):
        domain, outcome = row["domain"], row["outcome"]
        found, depends = model.identifications[outcome], strongest.get((domain, outcome))
        if outcome in fitted:
            words = effect_sentence(
                domain,
                outcome,
                Estimate(row["effect"], row["lower"], row["upper"]),
                depends,
                excluded=WEIGHT + domain in found.excluded,
                identified=found.identified,
            )
        else:
            words = f"{_capital(outcome_words(outcome))} does not move with {domain}: {row['basis']}"
        said.append(words)
        on.append(depends.state if depends else "")
    return effects.assign(depends_on=on, sentence=said)


def _strongest(table: pd.DataFrame) -> dict[tuple[str, str], Dependence]:
    """By domain and outcome, the pool state whose difference is surest, of those that are distinguishable."""
    found: dict[tuple[str, str], Dependence] = {}
    for row in table[table["distinguishable"].astype(bool)].to_dict("records"):
        low, high = (
            Estimate(*(row[f"{end}_{p}"] for p in ("effect", "lower", "upper"))) for end in ("low", "high")
        )
        apart = Estimate(row["difference"], row["difference_lower"], row["difference_upper"])
        key = (row["domain"], row["outcome"])
        if key not in found or _sureness(apart) > _sureness(found[key].difference):
            found[key] = Dependence(row["state"], low, high, apart)
    return found


def _sureness(estimate: Estimate) -> float:
    return abs(estimate.value) / max((estimate.upper - estimate.lower) / 2, 1e-300)


def effect_sentence(
    domain: str,
    outcome: str,
    effect: Estimate,
    depends: Dependence | None = None,
    *,
    excluded: bool = False,
    identified: bool = True,
) -> str:
    """Say one effect in words.

    Args:
        domain: whose weight gains a point.
        outcome: what changes.
        effect: per +1 percentage point, in units of the outcome.
        depends: how it depends on a pool state; mentioned only where that is clear.
        excluded: whether the graph gives the domain no effect of its own.
        identified: whether the graph says that the effect follows from what was measured.

    Raises:
        ValueError: the effect or its interval is not finite.
    """
    if not math.isfinite(effect.value + effect.lower + effect.upper):
        raise ValueError(f"the effect of {domain} on {outcome} is not finite: {effect}")
    on = outcome_words(outcome)
    point = f"one more point of {domain}, taken from the rest,"
    clause = _clause(effect, depends, on) if depends is not None and depends.difference.clear else ""
    if effect.clear:
        side = "; higher is better" if direction_of(outcome) == "higher" else ""
        what = f"{point} {_verb(effect.sign)} {on} by {_size(effect, side)} in this pool{clause}"
    else:
        what = (
            f"the effect of {point} on {on} cannot be told from zero in this pool ({_around(effect)}){clause}"
        )
    if excluded:
        what = (
            f"{domain} has no effect of its own on {on} under this graph; what remains comes from what it "
            f"displaces: {what}"
        )
    if not identified:
        what += "; the graph does not allow to call this an effect, it is an association"
    return f"{_capital(what)}."


def interaction_sentence(
    first: str, second: str, outcome: str, together: Estimate, step: float, *, inside: bool
) -> str:
    """Say in words what two domains do together.

    Args:
        first: a domain.
        second: another.
        outcome: what they act on.
        together: what both do beyond the sum of what each does alone.
        step: weight that each gains.
        inside: whether the runs tried such weights.
    """
    on, points = outcome_words(outcome), f"{100 * step:.0f} more points"
    if together.clear:
        verb = _verb(together.sign).removesuffix("s")
        what = (
            f"{points} of {first} and {second} each {verb} {on} by {_size(together)} beyond the sum of what "
            "each does alone"
        )
    else:
        what = (
            f"{first} and {second} add up as far as these runs tell: what {points} of each do beyond the sum "
            f"cannot be told from zero ({_around(together)})"
        )
    return _capital(what) + ("." if inside else "; no run had such weights, so this is a guess.")


def outcome_words(outcome: str) -> str:
    """An outcome as it is named in a sentence."""
    return "the objective" if outcome == OBJECTIVE else outcome


def _clause(effect: Estimate, depends: Dependence, on: str) -> str:
    """What the effect does where the pool state is low or high."""
    name, ends = state_name(depends.state), ((depends.high, "high"), (depends.low, "low"))
    if not effect.clear:
        told = [f"{_verb(e.sign)} {on} when {name} is {where}" for e, where in ends if e.clear]
        return f"; it {' and '.join(told)}" if told else ""
    for end, where in ends:
        if end.clear and end.sign == -effect.sign:
            return f"; the effect turns round when {name} is {where}"
    grows = effect.sign * depends.difference.sign > 0
    return f"; the effect {'grows' if grows else 'fades'} when {name} is high"


def _verb(sign: int) -> str:
    return "raises" if sign > 0 else "lowers"


def _capital(text: str) -> str:
    """Domains keep their case: only the articles and numerals that open a sentence are written large."""
    first = text.split(" ", 1)[0]
    return text[0].upper() + text[1:] if first in ("one", "the") else text


def _size(effect: Estimate, side: str = "") -> str:
    """A clear effect without its sign, and its interval, the end nearer to zero first."""
    ends = sorted((effect.lower, effect.upper), key=abs)
    value, low, high = (_number(abs(v), _decimals(effect)) for v in (effect.value, *ends))
    return f"{value} (95% {low} to {high}{side})"


def _around(effect: Estimate) -> str:
    """An interval that holds zero, in words."""
    if effect.lower == effect.upper:
        return "it is 0"
    decimals = _decimals(effect)
    low, high = _number(-effect.lower, decimals), _number(effect.upper, decimals)
    return f"95%: {low} lower to {high} higher"


def _decimals(effect: Estimate) -> int:
    """Decimals at which half the interval has one digit, or two where the first is a 1."""
    half = (effect.upper - effect.lower) / 2
    scale = half if half > 0 else abs(effect.value) / 10
    if scale == 0:
        return 0
    exponent = math.floor(math.log10(scale))
    return max(0, (scale < 2 * 10.0**exponent) - exponent)


def _number(value: float, decimals: int) -> str:
    """A size with so many decimals; one that would look like zero keeps its first digit."""
    if 0 < value <= 0.5 * 10.0**-decimals:
        decimals = -math.floor(math.log10(value))
    if decimals > MOST_DECIMALS:
        return f"{value:.1e}" if value else "0"
    return f"{value + 0.0:.{decimals}f}"  # + 0.0: no minus before a zero
