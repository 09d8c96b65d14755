"""nanotron: one of its `data_stages`, with the folders and weights of a Nanoset.

The fields are those of `NanosetDatasetsArgs`: `dataset_weights` stand in the order of `dataset_folder` and
are parts of the samples of `sequence_length` tokens. A folder that runs out is read again. Names of domains
have no place there, so they stand in the comment.
"""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import heading
from causalmix_core.mixture.exporting.numbers import exact_shares, yaml_text
from causalmix_core.mixture.exporting.places import token_path
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

_WHAT = "folders of tokens (.ds, written by datatrove)"


@dataclass(frozen=True)
class Nanotron:
    """`dataset_weights` are parts of the samples, which are sequences of equal length."""

    label: str = "nanotron"
    meaning: Meaning = "part of the tokens"
    summary: str = (
        "A data stage with folders and weights: parts of the samples, which are sequences of equal length. "
        "A folder "
        "that runs out is read again."
    )
    reads: Reads = "tokens"
    needs_counts: bool = False

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One YAML file with the key `data_stages`."""
        shares = exact_shares(blend.used_weights)
        stage = {
            "name": blend.name,
            "start_training_step": 1,
            "data": {
                "dataset": {
                    "dataset_folder": [token_path(blend, d, self.label, _WHAT) for d in shares],
                    "dataset_weights": list(shares.values()),
                },
                "num_loading_workers": 1,
                "seed": blend.seed,
            },
        }
        note = heading(
            blend,
            self,
            f"In this order: {', '.join(shares)}.",
            f"Set tokens.train_steps so that it reads {blend.token_budget} tokens.",
        )
        return [ExportedFile(f"{blend.name}.nanotron.yaml", yaml_text({"data_stages": [stage]}, note))]


NANOTRON = Nanotron()
