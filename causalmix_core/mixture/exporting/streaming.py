"""MosaicML Streaming and LLM Foundry: the `streams` of a text loader with `proportion`.

A proportion is the part of the samples. LLM Foundry's converter packs documents into samples of equal length
(`--concat_tokens`), and then it is a part of the tokens; that is what is written. MDS files of single
documents would want row shares, and they also waste padding; the page on this format says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import heading
from causalmix_core.mixture.exporting.numbers import exact_shares, yaml_text
from causalmix_core.mixture.exporting.places import token_path
from causalmix_core.mixture.exporting.plain import unique
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

_WHAT = "MDS folders of packed tokens"


@dataclass(frozen=True)
class Streaming:
    """`proportion` is the part of the samples, which are sequences of equal length."""

    label: str = "MosaicML Streaming and LLM Foundry"
    meaning: Meaning = "part of the tokens"
    summary: str = (
        "Streams with proportions: parts of the samples. With MDS files of packed sequences "
        "(--concat_tokens) these "
        "are parts of the tokens; with one document per sample they would not be."
    )
    reads: Reads = "tokens"
    needs_counts: bool = False
    lists_zeros: bool = False

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One YAML file with a `train_loader` of LLM Foundry."""
        streams: dict[str, dict[str, object]] = {}
        for domain, share in exact_shares(blend.used_weights).items():
            path = token_path(blend, domain, "Streaming", _WHAT)
            place = {"remote": path} if "://" in path else {"local": path}
            streams[domain] = {**place, "proportion": share}
        content = {
            "train_loader": {
                "name": "text",
                "dataset": {"streams": streams, "shuffle": True, "shuffle_seed": blend.seed},
            }
        }
        note = heading(
            blend,
            self,
            "The MDS files must hold packed sequences (convert_dataset_*.py --concat_tokens ...).",
            f"Add max_seq_len, and train for {blend.token_budget} tokens (max_duration: "
            f"{blend.token_budget}tok).",
        )
        return [ExportedFile(f"{blend.name}.streams.yaml", yaml_text(content, note))]

    def read(self, text: str) -> dict[str, float]:
        """`proportion` by the name of the stream."""
        try:
            streams = yaml.safe_load(text)["train_loader"]["dataset"]["streams"]
            rows = [(str(name), float(stream["proportion"])) for name, stream in streams.items()]
        except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise CausalMixError(
                "This is no train_loader of LLM Foundry: it has no proportion per stream."
            ) from error
        return unique(rows)


STREAMING = Streaming()
