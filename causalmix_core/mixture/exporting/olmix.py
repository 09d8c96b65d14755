"""olmix: the parts `data` and `mix` of a launch configuration.

After the examples of allenai/olmix (`configs/examples/launch`): `data.sources` says what there is, `mix` how
much of it, with nested weights that multiply along the path; `repetition_factor` becomes OLMo-core's
`max_repetition_ratio`. A domain is a source of its own here, so its weight stands there as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import counted, heading
from causalmix_core.mixture.exporting.numbers import exact_shares, yaml_text
from causalmix_core.mixture.exporting.olmo_core import ARRAYS, repetition
from causalmix_core.mixture.exporting.places import token_paths
from causalmix_core.mixture.exporting.plain import unique
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

_RESERVED = ("weight", "repetition_factor")


@dataclass(frozen=True)
class Olmix:
    """`weight` is the part of the training tokens."""

    label: str = "olmix"
    meaning: Meaning = "part of the tokens"
    summary: str = (
        "The parts `data` and `mix` of a launch file: each source's part of the tokens and how often it "
        "may be "
        "repeated. Sources are NumPy files of tokens."
    )
    reads: Reads = "tokens"
    needs_counts: bool = False
    lists_zeros: bool = False

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One YAML file to be merged into a launch configuration."""
        shares = exact_shares(blend.used_weights)
        often = repetition(blend, shares)
        mix: dict[str, dict[str, object]] = {}
        sources = []
        for domain, share in shares.items():
            _check_name(domain)
            sources.append({"name": domain, "paths": list(token_paths(blend, domain, self.label, ARRAYS))})
            mix[domain] = {"weight": share}
            if domain in often:
                mix[domain]["repetition_factor"] = often[domain]
        note = heading(
            blend,
            self,
            f"Add name, infra, training and eval; training should last {blend.token_budget} tokens.",
            counted(blend)
            if often
            else "The pool's tokens are not known, so no source may be repeated (repetition_factor is 1).",
        )
        return [
            ExportedFile(
                f"{blend.name}.olmix.yaml", yaml_text({"data": {"sources": sources}, "mix": mix}, note)
            )
        ]

    def read(self, text: str) -> dict[str, float]:
        """The weights of `mix`; nested ones multiplied along their path and named `source:topic`."""
        try:
            rows = list(_leaves(yaml.safe_load(text)["mix"], (), 1.0))
        except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise CausalMixError(
                "This is no mix of olmix: it has no weight per source under `mix`."
            ) from error
        return unique(rows)


def _leaves(node: dict[str, object], path: tuple[str, ...], weight: float) -> list[tuple[str, float]]:
    found = []
    for name, value in node.items():
        if name in _RESERVED:
            continue
        if not isinstance(value, dict):
            raise ValueError(name)
        own = weight * float(value.get("weight", 1.0))
        below = _leaves(value, (*path, name), own)
        found += below or [(":".join((*path, name)), own)]
    return found


def _check_name(domain: str) -> None:
    if domain in _RESERVED or ":" in domain:
        raise CausalMixError(
            f"olmix cannot carry the name {domain}: `:` separates its levels, and weight and "
            "repetition_factor are "
            "keys of its own. Rename the domain, or export for OLMo-core."
        )


OLMIX = Olmix()
