"""TRL: the `datasets` part of a script's YAML (`DatasetMixtureConfig`) with `fraction`.

In TRL 1.16 a fraction is the target share of rows: fractions are normalised, and the mixture is as large as
it can be without any dataset being read twice. So one epoch holds the mixture, and a larger budget takes
more epochs. Earlier versions do not know the field or read it otherwise; hence the version in the comment.
"""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import counted, heading
from causalmix_core.mixture.exporting.numbers import exact_shares, number_text, yaml_text
from causalmix_core.mixture.exporting.places import builder_of, documents_of, flat_field
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads


@dataclass(frozen=True)
class Trl:
    """`fraction` is the target part of the rows."""

    label: str = "TRL"
    meaning: Meaning = "part of the rows"
    summary: str = (
        "Fractions of a dataset mixture: target parts of the documents (TRL 1.16). No document is read "
        "twice in an "
        "epoch, so the scarcest domain limits the size; more tokens take more epochs."
    )
    reads: Reads = "documents"
    needs_counts: bool = True

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One YAML file with the key `datasets`."""
        datasets: list[dict[str, object]] = []
        fields: dict[str, str] = {}
        for domain, share in exact_shares(blend.row_shares()).items():
            documents = documents_of(blend, domain)
            fields[domain] = flat_field(documents, domain, self.label)
            builder = builder_of(documents, domain)
            entry: dict[str, object] = {"path": builder or documents.paths[0]}
            if builder is not None:
                entry["data_files"] = list(documents.paths)
            datasets.append(entry | {"split": "train", "columns": [fields[domain]], "fraction": share})
        if len(set(fields.values())) > 1:
            named = ", ".join(f"{d}: {f}" for d, f in fields.items())
            raise CausalMixError(
                "TRL reads the text of all domains from one column, but here it has several names "
                f"({named}). Leave "
                "out the mapped paths: then the snapshot's own files are named, whose column is text."
            )
        passes = max(blend.epochs().values())
        note = heading(
            blend,
            self,
            "Fractions of TRL 1.16 or newer: shares of the rows that give the mixture of tokens.",
            f"One epoch is about {round(blend.token_budget / passes)} tokens, as the scarcest domain is "
            "read once;",
            f"{blend.token_budget} tokens take num_train_epochs: {number_text(round(passes, 4))}",
            f"The text is in the column {next(iter(fields.values()))} (dataset_text_field).",
            counted(blend),
        )
        return [ExportedFile(f"{blend.name}.trl.yaml", yaml_text({"datasets": datasets}, note))]


TRL = Trl()
