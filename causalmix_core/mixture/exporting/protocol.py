"""What every export format is: a name, what its number means, and the files it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from causalmix_core.mixture.exporting.blend import Blend

Meaning = Literal["part of the tokens", "part of the rows", "part of a domain that is kept"]
Reads = Literal["nothing", "documents", "tokens"]
"""What lies at the paths of an export: none are needed; documents, which the workspace can name itself; or
tokens that the trainer's own tools have prepared, whose place somebody has to say."""


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export: its name and what it says."""

    name: str
    text: str


class ExportFormat(Protocol):
    """One trainer's way of writing a mixture."""

    @property
    def label(self) -> str:
        """Name of the trainer."""
        ...

    @property
    def meaning(self) -> Meaning:
        """What its number says."""
        ...

    @property
    def summary(self) -> str:
        """How the trainer uses it, in plain words."""
        ...

    @property
    def reads(self) -> Reads:
        """What lies at the paths that it names."""
        ...

    @property
    def needs_counts(self) -> bool:
        """Whether tokens and documents of the pool have to be known."""
        ...

    def write(self, blend: Blend) -> list[ExportedFile]:
        """The files, the one that a person opens first at the front.

        Raises:
            CausalMixError: a name or path that the format cannot carry, or something that it needs is
                unknown.
        """
        ...


@runtime_checkable
class ReadableFormat(ExportFormat, Protocol):
    """A format that carries domain names and parts of the tokens: its export can be loaded back."""

    @property
    def lists_zeros(self) -> bool:
        """Whether it names domains of weight zero too; otherwise a domain that is missing has none."""
        ...

    def read(self, text: str) -> dict[str, float]:
        """The weights by domain, as they stand in the file that `write` gives first.

        Raises:
            CausalMixError: this is no file of the format.
        """
        ...
