"""Verdicts: when an effect has survived a refuter, when it is weak, and when it has failed.

Effects are compared in their own standard errors wherever chance is judged. Shuffling mixtures turns all that
the mixtures explain into noise, so effects of shuffled runs scatter far more widely than the real ones; taken
as they are, a small effect that is surely there would drown in what is really the signal of its neighbours.

Where many effects are shown, one of them looks sure by chance. So an effect passes only if it is surer than
the surest of all effects in (nearly) all sets of shuffled runs (the maximum statistic of Westfall and Young
1993); one that is merely surer than most is called weak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.refutation.result import Check, RefuterName, Verdict

LEVEL = 0.05
"""Chance that an effect passes placebo or dummy outcome where no domain has any effect on anything."""
FEWEST_REPLICATES_TO_PASS = 19
"""Sets of runs without effects from which on that chance can be shown to be so small: 1 / (19 + 1)."""
CHANCE = 0.10
"""An effect fails if, where there are none, more than this share of the effects on its outcome are as sure.
An honest interval of 95% lets 5% through; one that lets twice as many through is none."""
BIAS_PASSED, BIAS_FAILED = 0.25, 0.5
"""Mean effect where there is none, as a share of the real one."""
BIAS_SURE = 2.0
"""Mean of that effect in its own standard errors, from which on it is a bias and not chance."""
MOVED_PASSED, MOVED_FAILED = (0.5, 0.1), (1.0, 0.25)
"""Movement under a random common cause: in standard errors, and as a share of the effect. Either is enough to
pass; both must be exceeded to fail."""
SUBSET_PASSED, SUBSET_FAILED = 1.0, 2.0
"""Movement in subsets, in standard errors; 80% of the runs are expected to move an effect by half of one."""
SIGN_PASSED, SIGN_FAILED = 0.95, 0.8
"""Share of subsets in which the effect keeps its sign."""
SPREAD_PASSED, SPREAD_FAILED = 1.5, 2.5
"""Spread of the bootstrap, in standard errors; 1 is expected."""
NORMAL = 1.96


@dataclass(frozen=True)
class Estimate:
    """The effects that are to be refuted, each array of shape (effects,).

    Attributes:
        effect: per +1 point.
        error: standard error.
        half: half the 95% interval, calibrated.
        outcome: which outcome each is on, as integers.
    """

    effect: np.ndarray
    error: np.ndarray
    half: np.ndarray
    outcome: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """Which are distinguishable from zero."""
        return np.asarray(np.abs(self.effect) > self.half)


@dataclass(frozen=True)
class Replicates:
    """The same effects in changed runs, shape (replicates, effects) each."""

    effect: np.ndarray
    error: np.ndarray


def judge_null(refuter: RefuterName, estimate: Estimate, found: Replicates) -> list[Check]:
    """Placebo and dummy outcome: nothing may be found, and what was found must be surer than that.

    Args:
        refuter: which of the two.
        estimate: the real effects.
        found: effects in runs where there are none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        real = np.abs(estimate.effect) / estimate.error
        signed = np.where(found.error > 0, found.effect / found.error, 0.0)
    chance, b = np.abs(signed), len(signed)
    surest = chance.max(axis=1)
    family = (1 + (surest[:, None] >= real).sum(axis=0)) / (b + 1)
    mean, spread = _moments(found.effect)
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = mean / estimate.effect
        sure = np.abs(signed.mean(axis=0)) > BIAS_SURE
    checks = []
    for i, outcome in enumerate(estimate.outcome):
        alike = chance[:, estimate.outcome == outcome]
        p_value = float((1 + (alike >= real[i]).sum()) / (alike.size + 1))
        biased = bool(sure[i]) and abs(bias[i]) > BIAS_PASSED
        verdict: Verdict
        if p_value > CHANCE or (biased and abs(bias[i]) > BIAS_FAILED):
            verdict = "failed"
        else:
            verdict = "weak" if family[i] > LEVEL or biased else "passed"
        words = _null_words(verdict, b, p_value, float(family[i]), float(bias[i]) if biased else None)
        checks.append(_check(refuter, verdict, words, mean[i], spread[i], p_value, float(family[i])))
    return checks


def _null_words(verdict: Verdict, b: int, p_value: float, family: float, bias: float | None) -> str:
    sets = f"{b} sets of runs without any effect"
    if bias is not None:
        return f"In {sets} {abs(bias):.0%} of this effect appears all the same: the method makes it."
    if verdict == "failed":
        return f"In {sets}, {p_value:.0%} of the effects on this outcome look as sure."
    if 1 / (b + 1) > LEVEL:
        return f"Surer than {1 - p_value:.1%} of the effects in {sets}; so few sets cannot show more."
    exceeded = round(family * (b + 1)) - 1
    if verdict == "weak":
        return (
            f"Surer than {1 - p_value:.1%} of the effects in {sets}, but in {exceeded} of them some effect "
            "is as sure: with so many effects, one of this kind can be chance."
        )
    return (
        f"Surer than {1 - p_value:.1%} of the effects in {sets}, and in all but {exceeded} of them surer "
        "than any."
    )


def judge_movement(estimate: Estimate, found: Replicates) -> list[Check]:
    """Random common cause: the effect must stay where it is."""
    mean, spread = _moments(found.effect)
    moved = _movement(estimate, found)
    checks = []
    for i, ratio in enumerate(moved):
        share = ratio * estimate.error[i] / max(abs(estimate.effect[i]), np.finfo(float).tiny)
        small = ratio <= MOVED_PASSED[0] or share <= MOVED_PASSED[1]
        large = ratio > MOVED_FAILED[0] and share > MOVED_FAILED[1]
        verdict: Verdict = "passed" if small else "failed" if large else "weak"
        words = f"A cause of pure noise moves it by {ratio:.1f} standard errors, {share:.0%} of it" + (
            "." if verdict == "passed" else ": the effect hangs on what else is held fixed."
        )
        checks.append(_check("random_common_cause", verdict, words, mean[i], spread[i], None, ratio))
    return checks


def judge_subsets(estimate: Estimate, found: Replicates) -> list[Check]:
    """Subsets: the effect must keep its sign and move no more than its interval allows."""
    mean, spread = _moments(found.effect)
    moved = _movement(estimate, found)
    same = (np.sign(found.effect) == np.sign(estimate.effect)).mean(axis=0)
    checks = []
    for i, ratio in enumerate(moved):
        verdict = _worse(
            _graded(ratio, SUBSET_PASSED, SUBSET_FAILED), _graded(-same[i], -SIGN_PASSED, -SIGN_FAILED)
        )
        words = (
            f"Keeps its sign in {same[i]:.0%} of the subsets and moves by {ratio:.1f} standard errors "
            "(about 0.5 is expected)."
        )
        checks.append(_check("subset", verdict, words, mean[i], spread[i], None, ratio))
    return checks


def judge_bootstrap(estimate: Estimate, found: Replicates) -> list[Check]:
    """Bootstrap: the effect must vary as its interval says, and not reach zero."""
    mean, spread = _moments(found.effect)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = spread / estimate.error
        away = np.abs(estimate.effect) / spread
    checks = []
    for i in range(len(ratio)):
        reach: Verdict = "passed" if away[i] > NORMAL else "weak" if away[i] > NORMAL / 2 else "failed"
        verdict = _worse(_graded(ratio[i], SPREAD_PASSED, SPREAD_FAILED), reach)
        low, high = estimate.effect[i] - NORMAL * spread[i], estimate.effect[i] + NORMAL * spread[i]
        words = (
            f"Drawn again, it varies {ratio[i]:.1f} times as much as its interval says; "
            f"95% by bootstrap: {low:.2g} to {high:.2g}."
        )
        checks.append(_check("bootstrap", verdict, words, mean[i], spread[i], None, ratio[i]))
    return checks


def judge_confounded(estimate: Estimate, adjusted: np.ndarray, strength: float) -> list[Check]:
    """Hidden common cause: what is left of the effect once it is taken out.

    Args:
        estimate: the real effects.
        adjusted: the effects without the hidden cause, shape (effects,).
        strength: partial R2 of the hidden cause with weight and outcome.
    """
    checks = []
    for effect, half, left in zip(estimate.effect, estimate.half, adjusted, strict=True):
        share = left / effect if effect else 0.0
        verdict: Verdict = "failed" if share <= 0 else "weak" if abs(left) <= half else "passed"
        says = {
            "passed": "would leave it distinguishable from zero",
            "weak": "would make it indistinguishable from zero",
            "failed": "would turn its sign",
        }[verdict]
        words = (
            f"A hidden cause of {strength:.0%} of what is left of this weight and of the outcome {says} "
            f"({share:.0%} of it would be left)."
        )
        checks.append(_check("unobserved_confounder", verdict, words, left, None, None, share))
    return checks


def overall(checks: tuple[Check, ...]) -> tuple[Verdict, str]:
    """All refuters together: the worst verdict, and in words which ones gave it."""
    from causalmix_core.effects.refutation.result import REFUTERS

    asked = [c for c in checks if c.verdict != "does not apply"]
    if not asked or any(c.verdict == "not shown" for c in asked):
        return "not shown", "Not distinguishable from zero: there is nothing to refute."
    for verdict in ("failed", "weak"):
        bad = [REFUTERS[c.refuter].label.lower() for c in asked if c.verdict == verdict]
        if bad:
            said = "Failed" if verdict == "failed" else "Weak"
            return verdict, f"{said}: {', '.join(bad)}."
    return "passed", f"Survived all {len(asked)} refutations."


def _movement(estimate: Estimate, found: Replicates) -> np.ndarray:
    """Root mean squared movement in standard errors, shape (effects,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(estimate.error > 0, (found.effect - estimate.effect) / estimate.error, 0.0)
    return np.asarray(np.sqrt((moved**2).mean(axis=0)))


def _moments(effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return effect.mean(axis=0), effect.std(axis=0, ddof=1)


def _graded(value: float, passed: float, failed: float) -> Verdict:
    return "passed" if value <= passed else "weak" if value <= failed else "failed"


def _worse(a: Verdict, b: Verdict) -> Verdict:
    order: tuple[Verdict, ...] = ("failed", "weak", "passed")
    return min(a, b, key=order.index)


def _check(
    refuter: RefuterName,
    verdict: Verdict,
    words: str,
    mean: float,
    spread: float | None,
    p_value: float | None,
    ratio: float | None,
) -> Check:
    """A check of plain numbers; what is not finite becomes None, since JSON has no NaN."""

    def plain(value: float | None) -> float | None:
        return float(value) if value is not None and np.isfinite(value) else None

    return Check(
        refuter=refuter,
        verdict=verdict,
        words=words,
        mean=plain(mean),
        spread=plain(spread),
        p_value=plain(p_value),
        ratio=plain(ratio),
    )
