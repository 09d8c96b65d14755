"""Policies: from effects to a proposed mixture, or to the advice to stay; and what one would do without
effects.

`POLICIES` is the only list of them. `suggest` asks one, `policy_table` all of them (of a problem that `pose`
makes), each with what it is predicted to change.
"""

from causalmix_core.mixture.policies.problem import Problem, pose
from causalmix_core.mixture.policies.registry import POLICIES, POLICY_NAMES, PolicyInfo, PolicyName
from causalmix_core.mixture.policies.suggestion import Suggestion, ask, policy_table, suggest

__all__ = [
    "POLICIES",
    "POLICY_NAMES",
    "PolicyInfo",
    "PolicyName",
    "Problem",
    "Suggestion",
    "ask",
    "policy_table",
    "pose",
    "suggest",
]
