"""Verdicts: when an effect has survived a refuter, when it is weak, and when it has failed.

Effects are compared in their own standard errors wherever chance is judged. Shuffling mixtures turns all that
the mixtures explain into noise, so effects of shuffled runs scatter far more widely than the real ones; taken
as they are, a small effect that is surely there would drown in what is really the signal of its neighbours.

Where many effects are shown, one of them looks sure by chance. So an effect passes only if it is surer than the
surest of all effects in (nearly) all sets of shuffled runs (the maximum statistic of Westfall and Young 1993);
one that only beats its own shuffled versions is called weak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.refutation.result import Check, RefuterName, Verdict

LEVEL = 0.05
"""Of p-values: at most this for an effect to be called surer than chance."""
BIAS_PASSED, BIAS_FAILED = 0.25, 0.5
"""Mean effect on a dummy outcome, as a share of the effect itself."""
BIAS_SURE = 3.0
"""Standard errors that this mean must lie away from zero to count."""
MOVED_PASSED, MOVED_FAILED = 0.5, 1.0
"""Movement under a random common cause, in standard errors of the effect."""
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
    """

    effect: np.ndarray
    error: np.ndarray
    half: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """Which are distinguishable from zero."""
        return np.abs(self.effect) > self.half


@dataclass(frozen=True)
class Replicates:
    """The same effects in changed runs, shape (replicates, effects) each; NaN where a fit was impossible."""

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
        chance = np.where(found.error > 0, np.abs(found.effect) / found.error, 0.0)
    chance[~np.isfinite(found.effect)] = np.nan
    usable = np.isfinite(chance).any(axis=1)
    effect, chance = found.effect[usable], chance[usable]
    b = len(chance)
    surest = np.nanmax(chance, axis=1, initial=0.0) if b else np.empty(0)
    own = (1 + (np.nan_to_num(chance) >= real).sum(axis=0)) / (b + 1)
    family = (1 + (surest[:, None] >= real).sum(axis=0)) / (b + 1)
    mean, spread = _moments(effect)
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = np.abs(mean) / np.abs(estimate.effect)
        sure = np.abs(mean) > BIAS_SURE * spread / np.sqrt(max(b, 1))
    checks = []
    for i in range(len(real)):
        biased = bool(sure[i]) and bias[i] > BIAS_PASSED
        verdict: Verdict
        if own[i] > max(LEVEL, 1 / (b + 1)) or (biased and bias[i] > BIAS_FAILED):
            verdict = "failed"
        elif family[i] > LEVEL or biased:
            verdict = "weak"
        else:
            verdict = "passed"
        words = _null_words(verdict, b, own[i], family[i], bias[i] if biased else None)
        checks.append(
            _check(refuter, verdict, words, mean[i], spread[i], own[i], bias[i] if biased else None)
        )
    return checks


def _null_words(verdict: Verdict, b: int, own: float, family: float, bias: float | None) -> str:
    nothing = f"in {b} sets of runs without any effect"
    if bias is not None:
        return f"{bias:.0%} of this effect appears {nothing}: the method finds it where it is not."
    if verdict == "failed":
        return f"{round(own * (b + 1)) - 1} times {nothing} chance makes this effect as surely."
    if 1 / (b + 1) > LEVEL:
        return f"Surer than chance {nothing}, but so few sets cannot say more than 1 in {b + 1}."
    if verdict == "weak":
        return (
            f"Surer than chance makes this effect {nothing} (p = {own:.3f}), but "
            f"{round(family * (b + 1)) - 1} times some other effect is as sure."
        )
    return f"Surer than all but {round(family * (b + 1)) - 1} of the surest effects {nothing} (p = {family:.3f})."


def judge_movement(estimate: Estimate, found: Replicates) -> list[Check]:
    """Random common cause: the effect must stay where it is."""
    mean, spread = _moments(found.effect)
    moved = _movement(estimate, found)
    checks = []
    for i, ratio in enumerate(moved):
        verdict = _graded(ratio, MOVED_PASSED, MOVED_FAILED)
        words = f"A cause of pure noise moves it by {ratio:.1f} standard errors" + (
            "." if verdict == "passed" else ": the effect hangs on what else is held fixed."
        )
        checks.append(_check("random_common_cause", verdict, words, mean[i], spread[i], None, ratio))
    return checks


def judge_subsets(estimate: Estimate, found: Replicates) -> list[Check]:
    """Subsets: the effect must keep its sign and move no more than its interval allows."""
    mean, spread = _moments(found.effect)
    moved = _movement(estimate, found)
    with np.errstate(invalid="ignore"):
        same = np.nanmean(np.sign(found.effect) == np.sign(estimate.effect), axis=0)
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
        moved = (found.effect - estimate.effect) / estimate.error
        return np.asarray(np.sqrt(np.nanmean(moved**2, axis=0)))


def _moments(effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.nanmean(effect, axis=0), np.nanstd(effect, axis=0, ddof=1)


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
