"""LLaMA-Factory: `dataset_info.json` and the data arguments of a training YAML.

`interleave_probs` are handed to `interleave_datasets`, so they are parts of the rows. `interleave_under`
stops when the first dataset has run out, `interleave_over` when every one has been read once. Datasets and
probabilities are lists in one string, separated by commas, so a name can hold neither commas nor blanks.
"""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import counted, heading
from causalmix_core.mixture.exporting.numbers import exact_shares, json_text, number_text, yaml_text
from causalmix_core.mixture.exporting.places import builder_of, documents_of, flat_field, only
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

_UNREAD = (".gz", ".zst", ".ndjson")


@dataclass(frozen=True)
class LlamaFactory:
    """`interleave_probs` are parts of the rows."""

    label: str = "LLaMA-Factory"
    meaning: Meaning = "part of the rows"
    summary: str = (
        "Datasets and the probabilities with which their documents are drawn. Stops with the first domain "
        "that runs "
        "out if the budget needs none twice, else goes on until all have been read."
    )
    reads: Reads = "documents"
    needs_counts: bool = True

    def write(self, blend: Blend) -> list[ExportedFile]:
        """The arguments, and the list of datasets that they refer to."""
        shares = exact_shares(blend.row_shares())
        info: dict[str, object] = {}
        for domain in shares:
            _check_name(domain)
            documents = documents_of(blend, domain)
            path = only(documents.paths, domain, self.label)
            if path.lower().endswith(_UNREAD):
                raise CausalMixError(
                    f"{self.label} does not read {path} of {domain}; it reads .jsonl, .json, .parquet, "
                    ".csv, .arrow and .txt, not compressed."
                )
            local = builder_of(documents, domain) is not None or path.startswith(("/", ".", "~"))
            field = flat_field(documents, domain, self.label)
            info[domain] = {("file_name" if local else "hf_hub_url"): path, "columns": {"prompt": field}}
        over = max(blend.epochs().values()) > 1
        arguments = {
            "stage": "pt",
            "dataset_dir": ".",
            "dataset": ",".join(shares),
            "mix_strategy": "interleave_over" if over else "interleave_under",
            "interleave_probs": ",".join(number_text(s) for s in shares.values()),
        }
        note = heading(
            blend,
            self,
            "dataset_info.json must lie in dataset_dir.",
            f"Stop after {blend.token_budget} tokens with max_steps.",
            counted(blend),
        )
        return [
            ExportedFile(f"{blend.name}.llama-factory.yaml", yaml_text(arguments, note)),
            ExportedFile("dataset_info.json", json_text(info)),
        ]


def _check_name(domain: str) -> None:
    if "," in domain or any(c.isspace() for c in domain):
        raise CausalMixError(
            f"LLaMA-Factory cannot carry the name {domain!r}: it separates datasets by commas. Rename the "
            "domain."
        )


LLAMA_FACTORY = LlamaFactory()
