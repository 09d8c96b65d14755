"""OLMo-core: a `SourceMixtureList` in YAML.

The fields are those of `olmo_core.data.source_mixture.SourceMixtureConfig` (3.0): `target_ratio` is the part
of the requested tokens, `max_repetition_ratio` how often a source may be repeated. Without the latter a
source that is smaller than its part ends the run with an error, so it is written wherever the pool's tokens
are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import counted, heading
from causalmix_core.mixture.exporting.numbers import exact_shares, yaml_text
from causalmix_core.mixture.exporting.places import token_paths
from causalmix_core.mixture.exporting.plain import unique
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

ARRAYS = "arrays of tokens (.npy)"


def repetition(blend: Blend, shares: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """How often each domain may be repeated: the smallest cap of two decimals, at least 1, that is enough.

    From the shares as they are written: a cap that is short by one token ends OLMo-core's run.

    Returns:
        Domain -> cap; empty where the pool's tokens are not known.
    """
    if not blend.knows_tokens:
        return {}
    wanted = {d: share * blend.token_budget / (blend.pool[d].tokens or 1) for d, share in shares.items()}
    return {d: max(Decimal(1), w.quantize(Decimal("0.01"), ROUND_CEILING)) for d, w in wanted.items()}


@dataclass(frozen=True)
class OlmoCore:
    """`target_ratio` is the part of `requested_tokens`."""

    label: str = "OLMo-core"
    meaning: Meaning = "part of the tokens"
    summary: str = (
        "A source mixture: each source's part of the requested tokens, and how often it may be repeated. "
        "Sources are "
        "NumPy files of tokens."
    )
    reads: Reads = "tokens"
    needs_counts: bool = False
    lists_zeros: bool = False

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One YAML file for `SourceMixtureList.from_yaml`."""
        shares = exact_shares(blend.used_weights)
        often = repetition(blend, shares)
        sources: list[dict[str, object]] = []
        for domain, share in shares.items():
            source: dict[str, object] = {
                "source_name": domain,
                "target_ratio": share,
                "paths": list(token_paths(blend, domain, self.label, ARRAYS)),
            }
            if domain in often:
                source["max_repetition_ratio"] = often[domain]
            sources.append(source)
        note = heading(
            blend,
            self,
            "SourceMixtureDatasetConfig(source_list=SourceMixtureList.from_yaml(this file),",
            f"                           requested_tokens={blend.token_budget}, global_batch_size=...)",
            counted(blend)
            if often
            else "The pool's tokens are not known, so no source may be repeated (max_repetition_ratio is 1).",
        )
        return [ExportedFile(f"{blend.name}.olmo-core.yaml", yaml_text({"sources": sources}, note))]

    def read(self, text: str) -> dict[str, float]:
        """`target_ratio` by `source_name`."""
        try:
            sources = yaml.safe_load(text)["sources"]
            rows = [(str(s["source_name"]), float(s["target_ratio"])) for s in sources]
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise CausalMixError(
                f"This is no source mixture of {self.label}: it has no source_name and target_ratio per "
                "source."
            ) from error
        return unique(rows)


OLMO_CORE = OlmoCore()
