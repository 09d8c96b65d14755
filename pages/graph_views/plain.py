"""Names as they are: what a curator or a file has named may look like markup."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~:$.&])")


def plain(text: str) -> str:
    """The text for a place that reads Markdown, so that it shows every character as it stands."""
    return _MARKUP.sub(r"\\\1", text)
