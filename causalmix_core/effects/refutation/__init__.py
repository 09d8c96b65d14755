"""Refutation: attempts to break each effect, and in plain sight which of them succeeded.

`refute` fits the effects, fits them again to runs that were changed on purpose (mixtures shuffled, outcomes
replaced, runs left out, a further cause added), and gives each effect a verdict by each refuter with the
numbers behind it. docs/REFUTERS.md says what each of them can and cannot show.
"""

from causalmix_core.effects.refutation.refuting import refute
from causalmix_core.effects.refutation.result import (
    REFUTERS,
    Check,
    Refutation,
    RefutationSettings,
    RefutedEffect,
    RefuterInfo,
    RefuterName,
    Verdict,
)

__all__ = [
    "REFUTERS",
    "Check",
    "Refutation",
    "RefutationSettings",
    "RefutedEffect",
    "RefuterInfo",
    "RefuterName",
    "Verdict",
    "refute",
]
