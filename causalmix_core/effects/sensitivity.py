"""How strong a hidden common cause would have to be to overturn an effect.

Mixtures that nobody drew at random may have a cause that nobody measured. How much of an effect it could
fake depends on two numbers only: the share of what is left of the weight, and of the outcome, that it
explains (partial R2; Cinelli and Hazlett 2020, "Making sense of sensitivity", JRSS B 82; Chernozhukov et al.
2022, "Long story short", for flexible fits). With s_y the noise of the outcome around the surface and s_d what
is left of the weight once pool state and the proportions of the other domains are held fixed,

    |bias| <= sqrt(r_y r_d / (1 - r_d)) s_y / s_d.

The robustness value is the strength r = r_y = r_d at which the bias is as large as the effect. It is set
beside what was measured: the observed states, and how much of weight and outcome each explains. Weights enter
as log(w + 0.03), of which only the scale at the mixture matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from causalmix_core.effects.group_fit import StateScale
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.overlap import AssignmentKind, assignment_report
from causalmix_core.effects.state_terms import orthonormal, state_terms

OFFSET = 0.03
POINT = 0.01
LARGEST = 0.999
"""A share of variance is kept below one."""
FRAGILE = 0.10
"""A hidden cause of this strength is nothing unusual: an effect that it overturns is called fragile."""

Standing = Literal["safe by design", "robust", "fragile", "not shown"]
"""`safe by design`: mixtures drawn at random have no hidden cause; `not shown`: not distinguishable from zero."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Benchmark(_Value):
    """A hidden cause as strong as a state that was measured.

    Attributes:
        state: the measured state.
        weight_r2: share of what is left of the weight that the state explains.
        outcome_r2: share of what is left of the outcome that it explains.
        bias: what a hidden cause of the same strength would add to the effect or take from it, per point.
        overturns: whether that is the whole effect.
        hides: whether it makes the effect indistinguishable from zero.
    """

    state: str
    weight_r2: float
    outcome_r2: float
    bias: float
    overturns: bool
    hides: bool


class EffectSensitivity(_Value):
    """One effect and the hidden causes that would overturn it.

    Attributes:
        domain: whose weight moves.
        outcome: which outcome.
        effect: per +1 point.
        half: half its 95% interval.
        robustness: strength that brings the effect to zero, 0 to 1.
        robustness_distinguishable: strength that makes it indistinguishable; 0 where it is not distinguishable.
        benchmarks: by measured state, the most dangerous first.
        standing: all of it in a word.
        words: the same in a sentence.
    """

    domain: str
    outcome: str
    effect: float
    half: float
    robustness: float
    robustness_distinguishable: float
    benchmarks: tuple[Benchmark, ...]
    standing: Standing
    words: str


class Sensitivity(_Value):
    """How sensitive every effect at one state and mixture is to causes that nobody measured.

    Attributes:
        state: of the effects.
        mixture: of the effects.
        assignment: how the mixtures of the runs came about.
        by_design: nothing hidden can have caused the mixtures, because they were drawn at random.
        effects: by outcome and domain.
        sentences: what to make of it.
    """

    state: dict[str, float]
    mixture: dict[str, float]
    assignment: AssignmentKind | None
    by_design: bool
    effects: tuple[EffectSensitivity, ...]
    sentences: tuple[str, ...]

    def of(self, outcome: str = OBJECTIVE) -> tuple[EffectSensitivity, ...]:
        """The effects on one outcome, by domain."""
        return tuple(e for e in self.effects if e.outcome == outcome)

    def table(self) -> pd.DataFrame:
        """Columns domain, outcome, effect, robustness, robustness_distinguishable, standing, words, benchmark."""
        return pd.DataFrame(
            [
                {
                    **e.model_dump(exclude={"benchmarks", "half"}),
                    "benchmark": e.benchmarks[0].state if e.benchmarks else None,
                }
                for e in self.effects
            ]
        )


@dataclass(frozen=True)
class FreeVariation:
    """What is left of log(w_k + 0.03) once pool state and the proportions of the others are held fixed.

    Attributes:
        residual: shape (n,).
        spread: its standard deviation, parameters allowed for.
    """

    residual: np.ndarray
    spread: float

    def unit(self, noise: np.ndarray) -> np.ndarray:
        """s_y / s_d of the module's formula, shape (m,): noise (m,) of the outcomes over this spread."""
        return np.asarray(noise / self.spread) if self.spread > 0 else np.full_like(noise, np.inf)

    def coefficient_bias(self, noise: np.ndarray, outcome_r2: float, weight_r2: float) -> np.ndarray:
        """The most that a hidden cause can add to the coefficient of log(w_k + 0.03), shape (m,).

        Args:
            noise: standard deviation of the outcomes around the surface, shape (m,).
            outcome_r2: share of that noise that the hidden cause explains.
            weight_r2: share of this variation that it explains.
        """
        return np.asarray(np.sqrt(outcome_r2 * weight_r2 / (1 - weight_r2)) * self.unit(noise))


def free_variation(weights: np.ndarray, state: np.ndarray, domain: int) -> FreeVariation:
    """How much the runs vary one weight by itself.

    Args:
        weights: shape (n, K).
        state: shape (n, p), standardised, what is held fixed.
        domain: index of the weight.
    """
    terms = np.column_stack([state_terms(state), _proportions(weights, domain)])
    left, freedom = _left(terms, np.log(weights[:, [domain]] + OFFSET))
    return FreeVariation(left[:, 0], float(np.sqrt((left**2).sum() / freedom)))


def sensitivity(model: EffectModel, state: Mapping[str, float], mixture: Mapping[str, float]) -> Sensitivity:
    """Say for every effect how strong a hidden common cause would have to be.

    Args:
        model: fitted effects.
        state: pool state of the effects, by column.
        mixture: where the point is added, by domain.

    Raises:
        CausalMixError: the state or the mixture does not fit the runs.
    """
    frame = model.effects(state, mixture)
    report = assignment_report(model.runs)
    by_design = report.kind == "randomised" and not report.doubted
    weights = model.runs.weights()
    at = np.array([mixture[d] for d in model.domains], dtype=float)
    # Change of log(w_k + 0.03) per point of domain k.
    slope = POINT * (1 - at) / (at + OFFSET)
    columns = StateScale.of(model.runs).columns
    rows = {(r.domain, r.outcome): r for r in frame.itertuples(index=False)}
    found: dict[tuple[str, str], EffectSensitivity] = {}
    for group in model.groups:
        held = group.sample.state
        on_outcome = _explained_outcome(weights, held, group.sample.outcomes)
        for k, domain in enumerate(model.domains):
            on_weight = _explained_weight(weights, held, k)
            unit = free_variation(weights, held, k).unit(group.response.noise) * slope[k]
            for i, outcome in enumerate(group.outcomes):
                row = rows[domain, outcome]
                effect, half = float(row.effect), float(row.upper - row.lower) / 2
                benchmarks = [
                    _benchmark(columns[s], on_weight[j], on_outcome[j, i], float(unit[i]), effect, half)
                    for j, s in enumerate(group.states)
                ]
                found[domain, outcome] = _one(
                    domain, outcome, effect, half, float(unit[i]), benchmarks, by_design
                )
    effects = tuple(found[d, o] for o in model.outcomes for d in model.domains if (d, o) in found)
    return Sensitivity(
        state=dict(state),
        mixture=dict(mixture),
        assignment=report.kind,
        by_design=by_design,
        effects=effects,
        sentences=tuple(_sentences(model, by_design, report.doubted, effects)),
    )


def robustness_value(ratio: float) -> float:
    """Strength r with r / sqrt(1 - r) = ratio (Cinelli and Hazlett 2020, section 4.2)."""
    squared = ratio**2
    return float(0.5 * (np.sqrt(squared**2 + 4 * squared) - squared)) if np.isfinite(ratio) else 1.0


def _one(
    domain: str,
    outcome: str,
    effect: float,
    half: float,
    unit: float,
    benchmarks: list[Benchmark],
    by_design: bool,
) -> EffectSensitivity:
    shown = abs(effect) > half
    zero = robustness_value(abs(effect) / unit) if unit > 0 else 1.0
    hidden = robustness_value(max(abs(effect) - half, 0.0) / unit) if unit > 0 else float(shown)
    benchmarks = sorted(benchmarks, key=lambda b: -b.bias)
    standing: Standing
    if not shown:
        standing = "not shown"
    elif by_design:
        standing = "safe by design"
    else:
        standing = "fragile" if zero < FRAGILE or any(b.hides for b in benchmarks) else "robust"
    return EffectSensitivity(
        domain=domain,
        outcome=outcome,
        effect=effect,
        half=half,
        robustness=zero,
        robustness_distinguishable=hidden,
        benchmarks=tuple(benchmarks),
        standing=standing,
        words=_words(domain, outcome, zero, hidden, benchmarks, standing),
    )


def _benchmark(
    state: str, weight_r2: float, outcome_r2: float, unit: float, effect: float, half: float
) -> Benchmark:
    """A hidden cause once as strong as this state, by the bound of Cinelli and Hazlett 2020, section 4.4."""
    weight_r2, outcome_r2 = min(float(weight_r2), 0.49), min(float(outcome_r2), LARGEST)
    on_weight = weight_r2 / (1 - weight_r2)
    shared = weight_r2**2 / (1 - weight_r2) ** 2
    on_outcome = (1 + np.sqrt(shared)) ** 2 / (1 - shared) * outcome_r2 / (1 - outcome_r2)
    on_weight, on_outcome = min(on_weight, LARGEST), min(float(on_outcome), 1.0)
    bias = float(np.sqrt(on_outcome * on_weight / (1 - on_weight)) * unit) if on_weight > 0 else 0.0
    return Benchmark(
        state=state,
        weight_r2=weight_r2,
        outcome_r2=outcome_r2,
        bias=bias,
        overturns=bias >= abs(effect) > 0,
        hides=bias > 0 and bias >= abs(effect) - half > 0,
    )


def _words(
    domain: str,
    outcome: str,
    zero: float,
    hidden: float,
    benchmarks: list[Benchmark],
    standing: Standing,
) -> str:
    if standing == "not shown":
        return f"The effect of {domain} on {outcome} is not distinguishable from zero as it is."
    needed = (
        f"a hidden cause would have to explain {zero:.0%} of what is left of the weight of {domain} and of "
        f"{outcome} to bring the effect to zero, and {hidden:.0%} to make it indistinguishable from zero."
    )
    if standing == "safe by design":
        return f"No hidden cause is possible where mixtures were drawn at random. Otherwise {needed}"
    said = needed[0].upper() + needed[1:]
    if not benchmarks or benchmarks[0].bias <= 0:
        return f"{said} No measured state has to do with both, so there is nothing to compare this with."
    worst = benchmarks[0]
    does = (
        "would overturn it"
        if worst.overturns
        else "would hide it"
        if worst.hides
        else "would not overturn it"
    )
    return (
        f"{said} One as strong as {worst.state} ({worst.weight_r2:.0%} of the weight, {worst.outcome_r2:.0%} of "
        f"the outcome) {does}."
    )


def _sentences(
    model: EffectModel, by_design: bool, doubted: bool, effects: tuple[EffectSensitivity, ...]
) -> list[str]:
    said = []
    if by_design:
        said.append(
            "All mixtures were drawn at random, so nothing hidden can have caused them, and no effect can be "
            "due to confounding. The figures say what it would have taken otherwise."
        )
    elif doubted:
        said.append(
            "The runs are labelled randomised, but the pool state predicts their mixtures; hidden causes are "
            "therefore possible."
        )
    open_ = [o for o, found in model.identifications.items() if not found.identified and o != OBJECTIVE]
    if open_:
        said.append(
            f"The graph itself has an unmeasured common cause of the weights and {', '.join(open_)}: what is "
            "shown there is association, and the figures say how strong that cause would have to be to explain "
            "all of it."
        )
    fragile = [f"{e.domain} on {e.outcome}" for e in effects if e.standing == "fragile"]
    shown = [e for e in effects if e.standing in ("fragile", "robust")]
    if fragile:
        said.append(
            f"{len(fragile)} of {len(shown)} distinguishable effects are fragile: a hidden cause as strong as one "
            f"of the measured states, or of {FRAGILE:.0%}, would overturn or hide them ({', '.join(fragile[:6])}"
            + (" and others)." if len(fragile) > 6 else ").")
        )
    elif shown:
        weakest = min(shown, key=lambda e: e.robustness)
        said.append(
            f"No distinguishable effect is fragile; the weakest is {weakest.domain} on {weakest.outcome}, which "
            f"takes a hidden cause of {weakest.robustness:.0%}."
        )
    return said


def _proportions(weights: np.ndarray, domain: int) -> np.ndarray:
    """log of the proportions of the other domains among themselves, shape (n, K - 1); one K = 2: empty."""
    others = np.delete(weights, domain, axis=1)
    if others.shape[1] < 2:
        return np.empty((len(weights), 0))
    total = others.sum(axis=1, keepdims=True)
    even = np.full_like(others, 1 / others.shape[1])
    return np.asarray(np.log(np.divide(others, total, out=even, where=total > 0) + OFFSET))


def _left(terms: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, int]:
    """What the terms do not explain of each column, and its degrees of freedom (at least one)."""
    basis = orthonormal(terms)
    return np.asarray(values - basis @ (basis.T @ values)), max(len(terms) - basis.shape[1], 1)


def _partial_r2(full: np.ndarray, reduced: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share of what `reduced` leaves that `full` explains, adjusted for the number of terms, per column."""
    left, freedom = _left(full, values)
    before, freedom_before = _left(reduced, values)
    ratio = ((left**2).sum(axis=0) / freedom) / ((before**2).sum(axis=0) / freedom_before)
    return np.asarray(np.clip(1 - ratio, 0, LARGEST))


def _explained_weight(weights: np.ndarray, state: np.ndarray, domain: int) -> np.ndarray:
    """Partial R2 of each state with one weight, the proportions of the others held fixed, shape (p,)."""
    values, rest = np.log(weights[:, [domain]] + OFFSET), _proportions(weights, domain)
    if np.ptp(values) <= 0:
        return np.zeros(state.shape[1])
    full = np.column_stack([state_terms(state), rest])
    return np.array(
        [
            _partial_r2(full, np.column_stack([state_terms(state, without=[j]), rest]), values)[0]
            for j in range(state.shape[1])
        ]
    )


def _explained_outcome(weights: np.ndarray, state: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Partial R2 of each state with each outcome, the mixture held fixed, shape (p, m)."""
    rest = np.log(weights + OFFSET)
    full = np.column_stack([state_terms(state), rest])
    found = [
        _partial_r2(full, np.column_stack([state_terms(state, without=[j]), rest]), outcomes)
        for j in range(state.shape[1])
    ]
    return np.array(found).reshape(state.shape[1], outcomes.shape[1])
