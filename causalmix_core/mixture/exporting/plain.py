"""The plain export, for people and programs: what to train on, how much of it, and where that is from.

YAML, JSON and CSV say the same; CSV has no room for the provenance.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.numbers import exact_shares, json_text, number_text, yaml_text
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads
from causalmix_core.mixture.simplex import in_units

PLAIN = "causalmix/mixture"
VERSION = 1
_ABOUT = """\
A CausalMix data mixture. `weight` is the part of the training tokens that comes from a domain (the
weights sum to 1), `train_tokens` that part of `token_budget`, `pool_tokens` what the pool holds
(by the workspace's tokenizer) and `epochs` how often it is then read."""
_COLUMNS = ("name", "weight", "train_tokens", "pool_tokens", "pool_documents", "epochs", "source")


@dataclass(frozen=True)
class Plain:
    """Weights, token counts and provenance, for no trainer in particular."""

    suffix: Literal["yaml", "json", "csv"]
    label: str
    summary: str
    render: Callable[[Blend], str]
    rows_of: Callable[[str], Iterable[Mapping[str, Any]]]
    meaning: Meaning = "part of the tokens"
    reads: Reads = "nothing"
    needs_counts: bool = False
    lists_zeros: bool = True

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One file with every domain, also those of weight zero."""
        return [ExportedFile(f"{blend.name}.{self.suffix}", self.render(blend))]

    def read(self, text: str) -> dict[str, float]:
        """The column or key `weight` by `name`."""
        try:
            rows = [(str(row["name"]), float(row["weight"])) for row in self.rows_of(text)]
        except (KeyError, TypeError, ValueError, csv.Error, yaml.YAMLError) as error:
            raise CausalMixError(
                f"This is no mixture in {self.label}: it has no name and weight per domain."
            ) from error
        return unique(rows)


def unique(rows: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Weights by domain.

    Raises:
        CausalMixError: a domain stands there twice, or a weight is not a number.
    """
    found: dict[str, float] = {}
    for name, weight in rows:
        if name in found:
            raise CausalMixError(f"The domain {name} stands in the file twice. Keep one of its weights.")
        if not math.isfinite(weight):
            raise CausalMixError(f"The weight of {name} is {weight}. Correct the file.")
        found[name] = weight
    return found


def _domains(blend: Blend) -> list[dict[str, object]]:
    weights = exact_shares(blend.weights)
    train = in_units({d: float(w) for d, w in weights.items()}, blend.token_budget)
    rows: list[dict[str, object]] = []
    for domain, weight in weights.items():
        pool = blend.pool[domain]
        row: dict[str, object] = {"name": domain, "weight": weight, "train_tokens": train[domain]}
        if pool.tokens:
            row["pool_tokens"] = pool.tokens
            if pool.documents:
                row["pool_documents"] = pool.documents
            row["epochs"] = round(train[domain] / pool.tokens, 4)
        if pool.source:
            row["source"] = pool.source
        if pool.mapped:
            row["paths"] = list(pool.mapped)
        rows.append(row)
    return rows


def _content(blend: Blend) -> dict[str, object]:
    return {
        "format": PLAIN,
        "version": VERSION,
        "name": blend.name,
        "token_budget": blend.token_budget,
        "domains": _domains(blend),
        "provenance": dict(blend.origin),
    }


def _csv(blend: Blend) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in _domains(blend):
        written = {k: number_text(v) if k in ("weight", "epochs") else v for k, v in row.items()}  # type: ignore[arg-type]
        writer.writerow(written)
    return text.getvalue()


YAML = Plain(
    "yaml", "plain YAML", "Weights, token counts, epochs and where they come from.",
    lambda blend: yaml_text(_content(blend), _ABOUT), lambda text: yaml.safe_load(text)["domains"],
)  # fmt: skip
JSON = Plain(
    "json", "plain JSON", "What the plain YAML says, for programs.",
    lambda blend: json_text(_content(blend)), lambda text: json.loads(text)["domains"],
)  # fmt: skip
CSV = Plain(
    "csv", "plain CSV", "One row per domain, without the provenance, for a spreadsheet.",
    _csv, lambda text: csv.DictReader(io.StringIO(text)),
)  # fmt: skip
