"""Sensitivity: how strong a cause that nobody measured would have to be to overturn an effect.

`sensitivity` answers for every effect of a model, in numbers and in words; docs/REFUTERS.md says how to read
them.
"""

from causalmix_core.effects.sensitivity.assessing import sensitivity
from causalmix_core.effects.sensitivity.hidden_cause import FreeVariation, free_variation, robustness_value
from causalmix_core.effects.sensitivity.result import Benchmark, EffectSensitivity, Sensitivity, Standing

__all__ = [
    "Benchmark",
    "EffectSensitivity",
    "FreeVariation",
    "Sensitivity",
    "Standing",
    "free_variation",
    "robustness_value",
    "sensitivity",
]
