"""Why an effect is what it is: rules, curves, contributions of pool states, surfaces and sentences.

Everything here reads an `EffectModel`, whichever estimator fitted it, and returns plain data; pages draw it.
"""

from causalmix_core.effects.explanation.asking import Estimate, changing_states, state_name, why_none
from causalmix_core.effects.explanation.contributions import Contributions, Tendency, contributions, shapley
from causalmix_core.effects.explanation.curves import (
    EffectCurve,
    ResponseCurve,
    dependence,
    effect_curves,
    response_curve,
)
from causalmix_core.effects.explanation.interpreter_tree import InterpreterTree, Node, Split, interpreter_tree
from causalmix_core.effects.explanation.pair_interactions import interactions
from causalmix_core.effects.explanation.sentences import (
    Dependence,
    effect_sentence,
    effect_sentences,
    interaction_sentence,
)
from causalmix_core.effects.explanation.surfaces import (
    PairSurface,
    TriangleSurface,
    pair_surface,
    triangle_surface,
)

__all__ = [
    "Contributions",
    "Dependence",
    "EffectCurve",
    "Estimate",
    "InterpreterTree",
    "Node",
    "PairSurface",
    "ResponseCurve",
    "Split",
    "Tendency",
    "TriangleSurface",
    "changing_states",
    "contributions",
    "dependence",
    "effect_curves",
    "effect_sentence",
    "effect_sentences",
    "interaction_sentence",
    "interactions",
    "interpreter_tree",
    "pair_surface",
    "response_curve",
    "shapley",
    "state_name",
    "triangle_surface",
    "why_none",
]
