"""The comment at the top of an exported file: which mixture it is, and what its number means."""

from __future__ import annotations

from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.protocol import ExportFormat


def heading(blend: Blend, format: ExportFormat, *more: str) -> str:
    """Lines for a comment, without the comment's mark.

    Args:
        blend: what is exported.
        format: as what.
        more: further lines, such as how to use the file.
    """
    revision = blend.origin.get("revision")
    which = blend.name if revision is None else f"{blend.name}, revision {revision}"
    snapshot = blend.origin.get("snapshot")
    made = "" if snapshot is None else f" Made for pool {snapshot}."
    return "\n".join(
        (
            f"CausalMix mixture {which}, for {format.label}.{made}",
            f"The number of each domain is the {format.meaning}.",
            *more,
        )
    )


def counted(blend: Blend) -> str:
    """By what tokens were counted, for files whose numbers rest on it."""
    return f"Tokens of the pool are counted as {blend.tokenizer or 'somebody said'}."
