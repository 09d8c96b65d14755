"""Run tables from anywhere: other people's runs, read, explained, checked row by row, and their origin kept.

`read_files` and an importer of `IMPORTERS` read the files of a format; `make_draft` applies a `ColumnMapping`
(guessed, or from a person) and checks every row; `save_import` writes one file of the run table.
"""

from causalmix_core.probes.importing.draft import ImportDraft, make_draft
from causalmix_core.probes.importing.files import FileRole, RowProblem, SourceFile, SourceTable
from causalmix_core.probes.importing.formats import IMPORTERS, guess_format, read_files
from causalmix_core.probes.importing.mapping import ColumnMapping, mapping_yaml, read_mapping
from causalmix_core.probes.importing.mixtures import NewMixtures, read_new_mixtures
from causalmix_core.probes.importing.names import resolve_outcome
from causalmix_core.probes.importing.protocol import FormatName, Importer
from causalmix_core.probes.importing.saving import (
    ImportRecord,
    default_name,
    headers_of,
    import_file,
    list_imports,
    save_import,
)

__all__ = [
    "IMPORTERS",
    "ColumnMapping",
    "FileRole",
    "FormatName",
    "ImportDraft",
    "ImportRecord",
    "Importer",
    "NewMixtures",
    "RowProblem",
    "SourceFile",
    "SourceTable",
    "default_name",
    "guess_format",
    "headers_of",
    "import_file",
    "list_imports",
    "make_draft",
    "mapping_yaml",
    "read_files",
    "read_mapping",
    "read_new_mixtures",
    "resolve_outcome",
    "save_import",
]
