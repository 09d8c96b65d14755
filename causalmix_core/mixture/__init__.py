"""Mixtures: the simplex they live in, what they must keep to, policies that suggest one, saved mixtures,
export.

`suggest` proposes a mixture from fitted effects under `Constraints`, `policy_table` puts all policies side by
side, `allowed_ranges` says how far each weight may go and why, `pareto_front` weighs two outcomes against
each other, `exchange_effect` says what one point from one domain to another does. `mixture_record` and
`save_mixture` keep a mixture with its provenance, `export_saved` writes it as YAML, and `exporting` for
each trainer.
"""

from causalmix_core.mixture.constraints import Constraints, Group, resolve
from causalmix_core.mixture.exchange import exchange_effect
from causalmix_core.mixture.exporting import export_saved
from causalmix_core.mixture.limits import Limits, Violation, broken
from causalmix_core.mixture.pareto import pareto_front
from causalmix_core.mixture.policies import (
    POLICIES,
    POLICY_NAMES,
    PolicyInfo,
    PolicyName,
    Problem,
    Suggestion,
    ask,
    policy_table,
    pose,
    suggest,
)
from causalmix_core.mixture.record import mixture_record
from causalmix_core.mixture.room import Range, allowed_ranges, nearest
from causalmix_core.mixture.simplex import (
    Mixture,
    check_mixture,
    in_units,
    proportional,
    total_variation,
)
from causalmix_core.mixture.store import SavedMixture, load_mixture, mixture_names, save_mixture

__all__ = [
    "POLICIES",
    "POLICY_NAMES",
    "Constraints",
    "Group",
    "Limits",
    "Mixture",
    "PolicyInfo",
    "PolicyName",
    "Problem",
    "Range",
    "SavedMixture",
    "Suggestion",
    "Violation",
    "allowed_ranges",
    "ask",
    "broken",
    "check_mixture",
    "exchange_effect",
    "export_saved",
    "in_units",
    "load_mixture",
    "mixture_names",
    "mixture_record",
    "nearest",
    "pareto_front",
    "policy_table",
    "pose",
    "proportional",
    "resolve",
    "save_mixture",
    "suggest",
    "total_variation",
]
