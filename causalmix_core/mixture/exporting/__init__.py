"""Exports of a mixture: one module per trainer behind `ExportFormat`, listed in `FORMATS`.

`blend_of` gathers a saved mixture with what the pool holds, a format's `write` turns it into files,
`cautions` says what to know before training on them, `save_export` puts them on disk without overwriting
anything, and `read_export` loads the weights back where the format carries them.
"""

from causalmix_core.mixture.exporting.blend import Blend, DomainPool
from causalmix_core.mixture.exporting.building import Count, blend_of, export_saved
from causalmix_core.mixture.exporting.cautions import cautions
from causalmix_core.mixture.exporting.formats import FORMATS, FormatName
from causalmix_core.mixture.exporting.protocol import ExportedFile, ExportFormat, Meaning, ReadableFormat
from causalmix_core.mixture.exporting.reading import ReadBack, read_export, readable_formats
from causalmix_core.mixture.exporting.saving import save_export

__all__ = [
    "FORMATS",
    "Blend",
    "Count",
    "DomainPool",
    "ExportFormat",
    "ExportedFile",
    "FormatName",
    "Meaning",
    "ReadBack",
    "ReadableFormat",
    "blend_of",
    "cautions",
    "export_saved",
    "read_export",
    "readable_formats",
    "save_export",
]
