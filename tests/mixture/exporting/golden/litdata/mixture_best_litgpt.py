# CausalMix mixture best, revision 3, for LitData and LitGPT. Made for pool 0123456789ab.
# The number of each domain is the part of the tokens.

from dataclasses import dataclass, field
from typing import Optional

from litdata import StreamingDataLoader
from litgpt.data import DataModule
from litgpt.tokenizer import Tokenizer
from torch.utils.data import DataLoader

from mixture_best_litdata import mixture


@dataclass
class Mixture(DataModule):
    """litgpt pretrain ... --data mixture_best_litgpt.Mixture --train.max_tokens 9000000"""

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
