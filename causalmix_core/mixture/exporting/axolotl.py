"""axolotl: the `datasets` part of its YAML, where `weight` is the part of a dataset that is kept.

The field came with axolotl's pull request 3690 (May 2026): above 0 and at most 1; below 1 the dataset is
shuffled and thinned out before tokenization; not for streaming. It is no share of a mixture, and it cannot
repeat. A domain that is read 2.5 times therefore stands there three times: twice whole and once by half, and
the run is one epoch long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend, Documents
from causalmix_core.mixture.exporting.heading import counted, heading
from causalmix_core.mixture.exporting.numbers import kept_part, yaml_text
from causalmix_core.mixture.exporting.places import builder_of, documents_of, flat_field
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

MOST_ENTRIES = 50
"""A file that names a domain more often helps nobody; the budget is too large for the pool."""


@dataclass(frozen=True)
class Axolotl:
    """`weight` is the part of a dataset's rows that is kept."""

    label: str = "axolotl"
    meaning: Meaning = "part of a domain that is kept"
    summary: str = (
        "Datasets with the part of each that is kept, at most 1; a domain that is read more often stands "
        "there "
        "several times. One epoch is the whole token budget."
    )
    reads: Reads = "documents"
    needs_counts: bool = True

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One YAML file with `datasets` and `num_epochs`."""
        entries = [
            entry | {"weight": part}
            for domain, often in blend.epochs().items()
            for part in _parts(domain, often)
            for entry in _entries(documents_of(blend, domain), domain)
        ]
        note = heading(
            blend,
            self,
            "Needs an axolotl with dataset weights (pull request 3690, May 2026); not for streaming.",
            f"One epoch is about {blend.token_budget} tokens.",
            counted(blend),
        )
        content = {"datasets": entries, "num_epochs": 1, "seed": blend.seed}
        return [ExportedFile(f"{blend.name}.axolotl.yaml", yaml_text(content, note))]


def _parts(domain: str, often: float) -> list[Decimal]:
    """Whole passes, and the part that is left; a remainder below a billionth is rounding."""
    whole = math.floor(often + 1e-9)
    if whole > MOST_ENTRIES:
        raise CausalMixError(
            f"{domain} would be read {often:.1f} times, and axolotl has no number for that: it would have "
            "to be named "
            f"{whole} times. Lower the token budget or the weight of {domain}."
        )
    rest = often - whole
    return [Decimal(1)] * whole + ([kept_part(domain, rest)] if rest > 1e-9 or not whole else [])


def _entries(documents: Documents, domain: str) -> list[dict[str, object]]:
    builder = builder_of(documents, domain)
    kind = {} if builder is None else {"ds_type": builder}
    field = flat_field(documents, domain, "axolotl")
    own = {} if field == "text" else {"field": field}
    return [{"path": path, **kind, "split": "train", "type": "completion", **own} for path in documents.paths]


AXOLOTL = Axolotl()
