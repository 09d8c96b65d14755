"""Mixtures: the simplex they live in, policies that suggest one, saved mixtures and their export.

`suggest` proposes a mixture from fitted effects, `mixture_record` and `save_mixture` keep one with its
provenance, `export_saved` writes it as YAML.
"""

from causalmix_core.mixture.policy import POLICIES, Policy, Suggestion, suggest
from causalmix_core.mixture.record import export_saved, mixture_record
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
    "Mixture",
    "Policy",
    "SavedMixture",
    "Suggestion",
    "check_mixture",
    "export_saved",
    "in_units",
    "load_mixture",
    "mixture_names",
    "mixture_record",
    "proportional",
    "save_mixture",
    "suggest",
    "total_variation",
]
