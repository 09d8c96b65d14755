"""How strong a hidden common cause would have to be to overturn an effect, beside what was measured.

The robustness value is the strength r = r_y = r_d at which the bias is as large as the effect. By itself it
says little; so it is set beside the measured states: one that explains as much of weight and outcome as the
strongest of them is a cause that could well have been missed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causalmix_core.effects.group_fit import StateScale
from causalmix_core.effects.identification import OBJECTIVE
from causalmix_core.effects.model import EffectModel
from causalmix_core.effects.overlap import assignment_report
from causalmix_core.effects.sensitivity.hidden_cause import (
    OFFSET,
    as_strong_as,
    explained_outcome,
    explained_weight,
    free_variation,
    robustness_value,
)
from causalmix_core.effects.sensitivity.result import Benchmark, EffectSensitivity, Sensitivity, Standing

POINT = 0.01
FRAGILE = 0.10
"""A hidden cause of this strength is nothing unusual: an effect that it overturns is called fragile."""


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
    shape = (len(model.outcomes), len(model.domains))
    effects_at = frame["effect"].to_numpy(float).reshape(shape)
    halves_at = (frame["upper"] - frame["lower"]).to_numpy(float).reshape(shape) / 2
    found: dict[tuple[str, str], EffectSensitivity] = {}
    for group in model.groups:
        held = group.sample.state
        on_outcome = explained_outcome(weights, held, group.sample.outcomes)
        for k, domain in enumerate(model.domains):
            on_weight = explained_weight(weights, held, k)
            unit = free_variation(weights, held, k).unit(group.response.noise) * slope[k]
            for i, outcome in enumerate(group.outcomes):
                at_row = model.outcomes.index(outcome)
                effect, half = float(effects_at[at_row, k]), float(halves_at[at_row, k])
                benchmarks = [
                    _benchmark(
                        columns[s], float(on_weight[j]), float(on_outcome[j, i]), float(unit[i]), effect, half
                    )
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
    on_weight, on_outcome = as_strong_as(weight_r2, outcome_r2)
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
        f"{said} One as strong as {worst.state} ({worst.weight_r2:.0%} of the weight, {worst.outcome_r2:.0%} "
        f"of the outcome) {does}."
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
            "shown there is association, and the figures say how strong that cause would have to be to "
            "explain all of it."
        )
    fragile = [f"{e.domain} on {e.outcome}" for e in effects if e.standing == "fragile"]
    shown = [e for e in effects if e.standing in ("fragile", "robust")]
    if fragile:
        said.append(
            f"{len(fragile)} of {len(shown)} distinguishable effects are fragile: a hidden cause as strong "
            f"as one of the measured states, or of {FRAGILE:.0%}, would overturn or hide them "
            f"({', '.join(fragile[:6])}" + (" and others)." if len(fragile) > 6 else ").")
        )
    elif shown:
        weakest = min(shown, key=lambda e: e.robustness)
        said.append(
            f"No distinguishable effect is fragile; the weakest is {weakest.domain} on {weakest.outcome}, "
            f"which takes a hidden cause of {weakest.robustness:.0%}."
        )
    return said
