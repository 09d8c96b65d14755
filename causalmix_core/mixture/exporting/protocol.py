"""What every export format is: a name, what its number means, and the files it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from causalmix_core.mixture.exporting.blend import Blend

Meaning = Literal["part of the tokens", "part of the rows", "part of a domain that is kept"]


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export: its name and what it says."""

    name: str
    text: str


class ExportFormat(Protocol):
    """One trainer's way of writing a mixture.

    Attributes:
        label: of the trainer.
        meaning: what its number says.
        summary: how the trainer uses it, in plain words.
        needs_paths: whether every domain needs a path.
        needs_counts: whether tokens and documents of the pool have to be known.
    """

    label: str
    meaning: Meaning
    summary: str
    needs_paths: bool
    needs_counts: bool

    def write(self, blend: Blend) -> list[ExportedFile]:
        """The files, the one that a person opens first at the front.

        Raises:
            CausalMixError: a name or path that the format cannot carry, or something that it needs is unknown.
        """
        ...
