"""Loads an export back: the weights by domain, as the file says them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.formats import FORMATS, FormatName
from causalmix_core.mixture.exporting.protocol import ReadableFormat
from causalmix_core.mixture.simplex import Mixture, check_mixture


@dataclass(frozen=True)
class ReadBack:
    """A mixture from a file.

    Attributes:
        weights: over the wanted domains.
        absent: domains that the file does not name, because its format leaves out those of weight zero.
    """

    weights: Mixture
    absent: tuple[str, ...]


def readable_formats() -> list[FormatName]:
    """The formats whose exports can be loaded back."""
    return [name for name, format in FORMATS.items() if isinstance(format, ReadableFormat)]


def read_export(text: str, name: FormatName, domains: Iterable[str]) -> ReadBack:
    """Read the weights of an export.

    Args:
        text: of the file.
        name: of its format.
        domains: that the mixture has to be over.

    Raises:
        CausalMixError: the format cannot be loaded back, the text is not of it, or its domains or weights
            are not a mixture over `domains`; nothing is renormalised.
    """
    format = FORMATS[name]
    if not isinstance(format, ReadableFormat):
        raise CausalMixError(
            f"An export for {format.label} says the {format.meaning} and no weights by domain, so it "
            "cannot be loaded "
            f"back. These can: {', '.join(readable_formats())}."
        )
    found = format.read(text)
    wanted = sorted(domains)
    absent = () if format.lists_zeros else tuple(d for d in wanted if d not in found)
    return ReadBack(check_mixture(found | dict.fromkeys(absent, 0.0), wanted), absent)
