"""One sentence per effect, in words that a curator can act on, and never surer than the interval.

"Cannot be told from zero" is an answer of its own. A pool state is mentioned only where the effect differs
between its low and its high values by more than both bands. A domain that the graph excludes is said to displace
others, not to act.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalmix_core.effects.explanation.asking import state_name
from causalmix_core.effects.explanation.curves import dependence
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel
from causalmix_core.probes.outcomes import direction_of
from causalmix_core.probes.runs import WEIGHT

MOST_DECIMALS = 8
"""Numbers that need more are written with a power of ten."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval."""

    value: float
    lower: float
    upper: float

    @property
    def clear(self) -> bool:
        """Whether it can be told from zero."""
        return self.lower > 0 or self.upper < 0

    @property
    def sign(self) -> int:
        """-1, 0 or 1, of the value."""
        return int(np.sign(self.value))


@dataclass(frozen=True)
class Dependence:
    """The effect where a pool state is low and where it is high."""

    state: str
    low: Estimate
    high: Estimate

    @property
    def clear(self) -> bool:
        """Whether the two bands keep apart."""
        return self.low.upper < self.high.lower or self.high.upper < self.low.lower


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
    strongest: dict[tuple[str, str], Dependence] = {}
    gaps: dict[tuple[str, str], float] = {}
    table = dependence(model, state, mixture)
    for row in table[table["distinguishable"].astype(bool)].itertuples():
        key = (row.domain, row.outcome)
        gap = max(row.low_lower - row.high_upper, row.high_lower - row.low_upper)
        if key not in gaps or gap > gaps[key]:
            gaps[key] = gap
            strongest[key] = Dependence(
                row.state,
                Estimate(row.low_effect, row.low_lower, row.low_upper),
                Estimate(row.high_effect, row.high_lower, row.high_upper),
            )
    fitted = {o for g in model.groups for o in g.outcomes}
    said, on = [], []
    for row in effects.itertuples():
        found = model.identifications[row.outcome]
        depends = strongest.get((row.domain, row.outcome))
        if row.outcome not in fitted:
            said.append(f"{_capital(outcome_words(row.outcome))} does not move with {row.domain}: {row.basis}")
        else:
            said.append(
                effect_sentence(
                    row.domain,
                    row.outcome,
                    Estimate(row.effect, row.lower, row.upper),
                    depends,
                    excluded=WEIGHT + row.domain in found.excluded,
                    identified=found.identified,
                )
            )
        on.append(depends.state if depends else "")
    return effects.assign(depends_on=on, sentence=said)


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
    clause = _clause(effect, depends, on) if depends is not None and depends.clear else ""
    if effect.clear:
        decimals = _decimals(effect)
        size, low, high = (
            _number(abs(v), decimals) for v in (effect.value, *sorted((effect.lower, effect.upper), key=abs))
        )
        side = "; higher is better" if direction_of(outcome) == "higher" else ""
        what = f"{point} {_verb(effect.sign)} {on} by {size} (95% {low} to {high}{side}) in this pool{clause}"
    else:
        what = f"the effect of {point} on {on} cannot be told from zero in this pool ({_around(effect)}){clause}"
    if excluded:
        what = (
            f"{domain} has no effect of its own on {on} under this graph; what remains comes from what it "
            f"displaces: {what}"
        )
    if not identified:
        what += "; the graph does not allow to call this an effect, it is an association"
    return f"{_capital(what)}."


def outcome_words(outcome: str) -> str:
    """An outcome as it is named in a sentence."""
    return "the objective" if outcome == OBJECTIVE else outcome


def _clause(effect: Estimate, depends: Dependence, on: str) -> str:
    """What the effect does where the pool state is low or high."""
    name, ends = state_name(depends.state), ((depends.high, "high"), (depends.low, "low"))
    if not effect.clear:  # bands that keep apart cannot both hold zero
        told = (f"{_verb(e.sign)} {on} when {name} is {where}" for e, where in ends if e.clear)
        return "; it " + " and ".join(told)
    for end, where in ends:
        if end.clear and end.sign == -effect.sign:
            return f"; the effect turns round when {name} is {where}"
    grows = effect.sign * (depends.high.value - depends.low.value) > 0
    return f"; the effect {'grows' if grows else 'fades'} when {name} is high"


def _verb(sign: int) -> str:
    return "raises" if sign > 0 else "lowers"


def _capital(text: str) -> str:
    """Domains keep their case: only the articles and numerals that open a sentence are written large."""
    first = text.split(" ", 1)[0]
    return text[0].upper() + text[1:] if first in ("one", "the") else text


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
    if 0 < value < 0.5 * 10.0**-decimals:
        decimals = -math.floor(math.log10(value))
    if decimals > MOST_DECIMALS:
        return f"{value:.1e}" if value else "0"
    return f"{value + 0.0:.{decimals}f}"  # + 0.0: no minus before a zero
