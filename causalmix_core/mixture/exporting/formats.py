"""The registry of export formats. To add one: a module that implements `ExportFormat`, a line here, a golden
file in `tests/mixture/exporting/golden` and a page in `docs/export`; the tests walk this registry and ask
for both.
"""

from __future__ import annotations

from typing import Literal

from causalmix_core.mixture.exporting.axolotl import AXOLOTL
from causalmix_core.mixture.exporting.huggingface import HUGGING_FACE
from causalmix_core.mixture.exporting.litdata import LITDATA
from causalmix_core.mixture.exporting.llama_factory import LLAMA_FACTORY
from causalmix_core.mixture.exporting.megatron import MEGATRON
from causalmix_core.mixture.exporting.nanotron import NANOTRON
from causalmix_core.mixture.exporting.olmix import OLMIX
from causalmix_core.mixture.exporting.olmo_core import OLMO_CORE
from causalmix_core.mixture.exporting.plain import CSV, JSON, YAML
from causalmix_core.mixture.exporting.protocol import ExportFormat
from causalmix_core.mixture.exporting.streaming import STREAMING
from causalmix_core.mixture.exporting.trl_fractions import TRL

FormatName = Literal[
    "yaml", "json", "csv", "megatron", "olmo-core", "olmix", "datasets", "trl", "axolotl", "streaming",
    "nanotron",
    "litdata", "llama-factory",
]  # fmt: skip

FORMATS: dict[FormatName, ExportFormat] = {
    "yaml": YAML,
    "json": JSON,
    "csv": CSV,
    "megatron": MEGATRON,
    "olmo-core": OLMO_CORE,
    "olmix": OLMIX,
    "datasets": HUGGING_FACE,
    "trl": TRL,
    "axolotl": AXOLOTL,
    "streaming": STREAMING,
    "nanotron": NANOTRON,
    "litdata": LITDATA,
    "llama-factory": LLAMA_FACTORY,
}
