"""What an importer is: it reads the files of one format as tables and guesses what their columns mean.

Everything else, from the checks of each row to the writing, is the same for all formats, so a new format is
one small module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from causalmix_core.probes.importing.files import FileRole, SourceFile, SourceTable
from causalmix_core.probes.importing.mapping import ColumnMapping
from causalmix_core.probes.runs import Assignment

FormatName = Literal["regmix", "olmix", "mixing-laws", "wandb", "mlflow", "table"]

Files = Mapping[FileRole, SourceFile]
Tables = dict[FileRole, SourceTable]


class Importer(Protocol):
    """One format of run tables.

    Attributes:
        label: its name in words.
        summary: which files, and what in them.
        roles: the files it needs; each inner tuple is one way to give them.
        assignment: how mixtures were chosen, where the format itself says so; else observational.
        has_steps: whether its files hold several steps of each run, of which one is chosen.
    """

    label: str
    summary: str
    roles: tuple[tuple[FileRole, ...], ...]
    assignment: Assignment
    has_steps: bool

    def read(self, files: Files, step: int | None = None) -> Tables:
        """The files as tables.

        Args:
            files: by role; exactly one of `roles`.
            step: of the training, where the format has several; None: the last that all runs have.

        Raises:
            CausalMixError: a file is not of this format.
        """
        ...

    def guess(self, tables: Tables) -> ColumnMapping:
        """What the columns mean, as far as the headers and values tell."""
        ...
