"""LitData and LitGPT: Python code around `CombinedStreamingDataset`.

Its weights draw samples. With `TokensLoader` a sample is a block of `block_size` tokens, so they are parts
of the tokens. With weights `iterate_over_all` must be off (LitData raises otherwise), and an epoch ends with
the first domain that runs out. LitGPT's own `LitData` module takes one folder only; the second file is a
module for several, made like its `TinyLlama` module.
"""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.heading import heading
from causalmix_core.mixture.exporting.numbers import comment_lines, exact_shares, number_text
from causalmix_core.mixture.exporting.places import token_path
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

_WHAT = "folders that litdata.optimize wrote with TokensLoader"
_DATASET = '''
from litdata import CombinedStreamingDataset, StreamingDataset, TokensLoader

SEED = {seed}
DOMAINS = {{
    # domain: its folder, its part of the tokens
{domains}}}


def mixture(block_size: int) -> CombinedStreamingDataset:
    """Blocks of tokens; an epoch ends when the first domain has run out."""
    parts = [
        StreamingDataset(
            input_dir=folder,
            item_loader=TokensLoader(block_size=block_size),
            shuffle=True,
            drop_last=True,
        )
        for folder, _ in DOMAINS.values()
    ]
    return CombinedStreamingDataset(
        datasets=parts,
        seed=SEED,
        weights=[part for _, part in DOMAINS.values()],
        iterate_over_all=False,
    )
'''
_MODULE = '''
from dataclasses import dataclass, field
from typing import Optional

from litdata import StreamingDataLoader
from litgpt.data import DataModule
from litgpt.tokenizer import Tokenizer
from torch.utils.data import DataLoader

from {module} import mixture


@dataclass
class Mixture(DataModule):
    """litgpt pretrain ... --data {name}.Mixture --train.max_tokens {budget}"""

    num_workers: int = 8
    batch_size: int = field(init=False, repr=False, default=1)
    seq_length: int = field(init=False, repr=False, default=2048)

    def connect(
        self, tokenizer: Optional[Tokenizer] = None, batch_size: int = 1, max_seq_length: Optional[int] = None
    ) -> None:
        self.batch_size = batch_size
        self.seq_length = (max_seq_length or 2048) + 1  # the token after the last is its target

    def train_dataloader(self) -> DataLoader:
        return StreamingDataLoader(
            mixture(self.seq_length),
            batch_size=self.batch_size,
            pin_memory=True,
            num_workers=self.num_workers,
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader:
        return self.train_dataloader()
'''


@dataclass(frozen=True)
class LitData:
    """`weights` are parts of the blocks of tokens."""

    label: str = "LitData and LitGPT"
    meaning: Meaning = "part of the tokens"
    summary: str = (
        "Python code around CombinedStreamingDataset, which draws blocks of tokens by weight, and a data "
        "module for "
        "LitGPT. An epoch ends when the first domain runs out."
    )
    reads: Reads = "tokens"
    needs_counts: bool = False

    def write(self, blend: Blend) -> list[ExportedFile]:
        """Two Python files: the dataset, and the module for LitGPT that imports it."""
        rows = "".join(
            f"    {domain!r}: ({token_path(blend, domain, 'LitData', _WHAT)!r}, {number_text(share)}),\n"
            for domain, share in exact_shares(blend.used_weights).items()
        )
        # A dot or a dash in a file's name would keep Python from importing it.
        stem = "".join(c if c.isalnum() else "_" for c in blend.name)
        dataset, module = f"mixture_{stem}_litdata", f"mixture_{stem}_litgpt"
        note = comment_lines(heading(blend, self))
        return [
            ExportedFile(f"{dataset}.py", note + _DATASET.format(seed=blend.seed, domains=rows)),
            ExportedFile(
                f"{module}.py",
                note + _MODULE.format(module=dataset, name=module, budget=blend.token_budget),
            ),
        ]


LITDATA = LitData()
