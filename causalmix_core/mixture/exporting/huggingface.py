"""Hugging Face datasets: a runnable Python file around `interleave_datasets`.

`probabilities` draw rows, so they are row shares. Of the stopping strategies only `first_exhausted` keeps
the shares and ends: `all_exhausted` repeats every domain until the rarest was read once, which for a domain
of a millionth is a million times too long, and `all_exhausted_without_replacement` goes on with what is left
when a domain has run out, so that a share of 0.3 can come out as 0.09. A domain that is read more than once
is therefore repeated beforehand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import counted, heading
from causalmix_core.mixture.exporting.numbers import comment_lines, exact_shares, number_text
from causalmix_core.mixture.exporting.places import builder_of, documents_of, flat_field
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

_CODE = '''
from datasets import Dataset, interleave_datasets, load_dataset

SEED = {seed}
ROWS = {rows}  # documents that hold about {budget} tokens
STOPPING_STRATEGY = "first_exhausted"  # the only one that keeps the shares; see `repeat`
DOMAINS = {{
    # domain: what load_dataset is given, the column of the text, how often it is read, its part of the rows
{domains}}}


def mixture(shuffle: bool = True) -> Dataset:
    """The mixed documents, with the column `text`."""
    parts, probabilities = [], []
    for source, column, repeat, part in DOMAINS.values():
        documents = load_dataset(**source, split="train").select_columns([column])
        if column != "text":
            documents = documents.rename_column(column, "text")
        if shuffle:
            documents = documents.shuffle(seed=SEED)
        parts.append(documents.repeat(repeat))
        probabilities.append(part)
    mixed = interleave_datasets(
        parts, probabilities=probabilities, seed=SEED, stopping_strategy=STOPPING_STRATEGY
    )
    return mixed.select(range(min(ROWS, len(mixed))))


if __name__ == "__main__":
    print(mixture())
'''


@dataclass(frozen=True)
class HuggingFace:
    """`probabilities` are parts of the rows."""

    label: str = "Hugging Face datasets"
    meaning: Meaning = "part of the rows"
    summary: str = (
        "Python code around interleave_datasets, which draws documents: a domain of long documents gets a "
        "smaller "
        "number than its part of the tokens. Stops when the first domain runs out; repeats those read more "
        "than once."
    )
    reads: Reads = "documents"
    needs_counts: bool = True

    def write(self, blend: Blend) -> list[ExportedFile]:
        """One Python file with a function `mixture()`."""
        epochs = blend.epochs()
        lines = []
        for domain, share in exact_shares(blend.row_shares()).items():
            documents = documents_of(blend, domain)
            builder = builder_of(documents, domain)
            source = (
                {"path": documents.paths[0]}
                if builder is None
                else {"path": builder, "data_files": list(documents.paths)}
            )
            field = flat_field(documents, domain, "select_columns")
            repeat = max(1, math.ceil(round(epochs[domain], 6)))
            lines.append(f"    {domain!r}: ({source!r}, {field!r}, {repeat}, {number_text(share)}),\n")
        code = _CODE.format(
            seed=blend.seed,
            rows=max(1, round(sum(blend.rows().values()))),
            budget=blend.token_budget,
            domains="".join(lines),
        )
        note = heading(blend, self, counted(blend))
        return [ExportedFile(f"{blend.name}_datasets.py", comment_lines(note) + code)]


HUGGING_FACE = HuggingFace()
