"""How small an effect these runs could show, and how many more probes would make intervals half as wide.

An effect of size e is told from zero with probability 80% when e is at least (z_.975 + z_.80) standard errors
(Cohen 1988; Gelman and Hill 2007, chapter 20): the interval must exclude zero although the estimate scatters.
What a number of further probes would be worth follows before any is trained: the error of a Gaussian process
depends on which mixtures were tried, hardly on what came out. So it is conditioned on further mixtures drawn
like the present ones, with the outcomes that it expects of them, until its intervals are half as wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from causalmix_core.effects.estimators import ESTIMATORS, Response
from causalmix_core.effects.estimators.discrepancy import WithError
from causalmix_core.effects.estimators.gp_posterior import RUNS_FOR_ERROR
from causalmix_core.effects.group_fit import GroupFit, StateScale
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.refutation.refitting import KeepsHyperparameters
from causalmix_core.effects.sample import Sample
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture

POWER_QUANTILE = 0.8416
"""z_.80: how far the estimate may scatter towards zero in four of five cases."""
NORMAL_QUANTILE = 1.9600
MOST_TIMES = 16
"""Beyond so many times the present runs nothing is promised."""
_DOUBLINGS = 2
"""How often the number of runs is doubled; beyond, the trend of the intervals is extended."""
_FLOOR = 1e-3
"""Added to weights before their logarithm is taken, so that a domain may be missing."""


@dataclass(frozen=True)
class MoreProbes:
    """How many more probes would halve the intervals of an outcome.

    Attributes:
        more: further probes; None: more than `MOST_TIMES` as many as there are, or no number of them.
        present: how many there are.
        sizes: numbers of runs that were looked at, the present one first.
        widths: width of the intervals at these, relative to the present one.
        extended: whether the answer lies beyond these and extends their trend.
        words: the answer in a sentence.
    """

    more: int | None
    present: int
    sizes: tuple[int, ...]
    widths: tuple[float, ...]
    extended: bool
    words: str


def detectable_effects(
    model: EffectModel, state: Mapping[str, float], mixture: Mapping[str, float]
) -> pd.DataFrame:
    """The smallest effect of each domain on each outcome that these runs would show.

    Args:
        model: fitted effects.
        state: pool state by column.
        mixture: where a point is added.

    Returns:
        Columns domain, outcome, effect, half_width (of the 95% interval), detectable: the size of an effect
        that has a chance of 80% to be told from zero. Units of the outcome per +1 percentage point. Outcomes
        that nothing reaches are left out.

    Raises:
        CausalMixError: the state or the mixture does not fit the runs.
    """
    frame = model.effects(state, mixture)
    frame = frame[frame["outcome"].isin([o for g in model.groups for o in g.outcomes])]
    half = (frame["upper"] - frame["lower"]) / 2
    found = frame[["domain", "outcome", "effect"]].assign(
        half_width=half, detectable=half * (1 + POWER_QUANTILE / NORMAL_QUANTILE)
    )
    return found.reset_index(drop=True)


def more_probes(
    model: EffectModel,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
    outcome: str = OBJECTIVE,
    *,
    seed: int = 0,
) -> MoreProbes:
    """How many more probes, drawn like the present ones, would halve the intervals of one outcome.

    Args:
        model: fitted effects.
        state: pool state of the effects.
        mixture: where a point is added.
        outcome: whose effects.
        seed: of the further mixtures.

    Raises:
        CausalMixError: an outcome without effects, or a state or mixture that does not fit the runs.
    """
    group = next((g for g in model.groups if outcome in g.outcomes), None)
    if group is None:
        raise CausalMixError(f"{outcome} has no effects that more probes could make surer.")
    scale = StateScale.of(model.runs)
    model.extrapolation(state)  # refuses a state that does not fit
    x = scale.standardise(np.array([state[c] for c in scale.columns], dtype=float))
    w = np.array(list(check_mixture(mixture, model.domains).values()))
    one = _alone(group, group.outcomes.index(outcome))
    present = len(one.sample)
    sizes, widths = [present], [1.0]
    if 2 * present > RUNS_FOR_ERROR:
        # The process counts no more runs for its errors: the last doubling tells what the next one brings.
        rows = np.linspace(0, present - 1, min(present, RUNS_FOR_ERROR)).astype(int)
        now, half = (_refitted(one, one.sample.rows(r)) for r in (rows, rows[::2]))
        sizes.append(2 * present)
        widths.append(_width(now, half, x, w))
    else:
        new = _like(one.sample, (2**_DOUBLINGS - 1) * present, seed)
        for doubling in range(1, 1 + _DOUBLINGS):
            size = present * 2**doubling
            if widths[-1] > 0.5 and size <= RUNS_FOR_ERROR:
                sizes.append(size)
                widths.append(_width(_conditioned(one, new, size - present), one, x, w))
    needed = _halved(sizes, widths)
    more = None if needed is None or needed > MOST_TIMES * present else max(1, round(needed - present))
    return MoreProbes(
        more=more,
        present=present,
        sizes=tuple(sizes),
        widths=tuple(widths),
        extended=widths[-1] > 0.5,
        words=_more_words(more, present, outcome, not isinstance(group.response, KeepsHyperparameters)),
    )


def power_words(detectable: pd.DataFrame, outcome: str, runs: int) -> str:
    """What these runs can see of one outcome, in a sentence.

    Args:
        detectable: as `detectable_effects` gives it.
        outcome: which outcome.
        runs: how many there are.
    """
    rows = detectable[(detectable["outcome"] == outcome) & (detectable["detectable"] > 0)]
    if rows.empty:
        return f"These {runs} probes say nothing about effects on {outcome}."
    rows = rows.sort_values("detectable")
    best, worst = rows.iloc[0], rows.iloc[-1]
    unit = " nats" if outcome.startswith("loss/") else ""
    return (
        f"For half of the domains these {runs} probes can see effects on {outcome} of "
        f"{rows['detectable'].median():.2g}{unit} per point or more ({best['detectable']:.2g} for "
        f"{best['domain']}, {worst['detectable']:.2g} for {worst['domain']})."
    )


def _alone(group: GroupFit, outcome: int) -> GroupFit:
    """The same fit of one outcome only, as a Gaussian process that can be conditioned on further runs."""
    sample = group.sample.with_outcomes(group.sample.outcomes[:, [outcome]])
    response: Response = group.response
    if isinstance(response, WithError):
        response = response.reference
    if isinstance(response, KeepsHyperparameters):
        response = response.restricted([outcome])
    else:
        fitted = ESTIMATORS["gaussian_process"].make().fit(sample, 0)
        assert isinstance(fitted, Response)
        response = fitted
    return replace(group, outcomes=[group.outcomes[outcome]], sample=sample, response=response)


def _like(sample: Sample, n: int, seed: int) -> Sample:
    """Further mixtures and states, drawn like the present ones; outcomes are zero.

    The logarithms of weights and the states are drawn from a normal distribution with the mean and covariance
    of the present runs, so that what the pool state had to do with the mixtures stays.
    """
    rng = np.random.default_rng(seed)
    d = sample.weights.shape[1]
    rest = np.maximum(1 - sample.weights.sum(axis=1, keepdims=True), 0)  # domains that the graph excludes
    logs = np.log(np.hstack([sample.weights, rest]) + _FLOOR)
    known = np.hstack([logs - logs.mean(axis=1, keepdims=True), sample.state])
    covariance = np.atleast_2d(np.cov(known, rowvar=False))
    drawn = rng.multivariate_normal(known.mean(axis=0), covariance, size=n, method="eigh")
    weights = np.maximum(np.exp(drawn[:, : d + 1]) - _FLOOR, 0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return Sample(
        weights[:, :d], drawn[:, d + 1 :], sample.modifiers, np.zeros((n, sample.outcomes.shape[1]))
    )


def _conditioned(group: GroupFit, new: Sample, n: int) -> GroupFit:
    """The fit with the first `n` further runs, had they come out as expected."""
    taken = new.rows(np.arange(n))
    expected = group.response.mean(taken.weights, taken.state)
    both = Sample(
        np.vstack([group.sample.weights, taken.weights]),
        np.vstack([group.sample.state, taken.state]),
        group.sample.modifiers,
        np.vstack([group.sample.outcomes, expected]),
    )
    return _refitted(group, both)


def _refitted(group: GroupFit, sample: Sample) -> GroupFit:
    """The fit with the same covariance to other runs."""
    assert isinstance(group.response, KeepsHyperparameters)
    return replace(group, sample=sample, response=group.response.refitted(sample))


def _width(after: GroupFit, before: GroupFit, state: np.ndarray, mixture: np.ndarray) -> float:
    """How wide intervals are after, relative to before: the geometric mean over domains."""
    new, old = (g.effects(state, mixture)[1][:, 0] for g in (after, before))
    known = old > 0  # a domain whose effect is 0 by assumption has no error to shrink
    return float(np.exp(np.mean(np.log(new[known] / old[known]))))


def _halved(sizes: Sequence[int], widths: Sequence[float]) -> float | None:
    """The number of runs at which intervals are half as wide, along straight lines in logarithms.

    Between two sizes that were looked at; beyond them, along the line from the first to the last.
    """
    n, w = np.log(sizes), np.log(widths)
    if w[-1] > math.log(0.5):
        slope = (w[-1] - w[0]) / (n[-1] - n[0])
        return None if slope >= -0.05 else float(np.exp(n[-1] + (math.log(0.5) - w[-1]) / slope))
    return float(np.exp(np.interp(-math.log(0.5), -w, n)))


def _more_words(more: int | None, present: int, outcome: str, borrowed: bool) -> str:
    if more is None:
        said = (
            f"It would take more than {MOST_TIMES} times these {present} probes to halve the intervals on "
            f"{outcome}."
        )
    else:
        digits = 1 if more < 100 else 2
        about = round(more, digits - len(str(more)))
        said = f"About {about:,} more probes like these {present} would halve the intervals on {outcome}."
    if borrowed:
        said += " How far this estimator's shape is off shrinks with no number of probes and is not counted."
    return said
