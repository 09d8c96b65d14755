"""How tables are sized: to their content where it is short, so that no empty rows hang below it."""

from __future__ import annotations

from typing import Literal

MOST_ROWS = 17
"""Rows that are shown without scrolling inside a table."""
_ROW = 35


def table_height(rows: int, most: int = MOST_ROWS) -> int | Literal["content"]:
    """The height of a table with so many rows, as Streamlit takes it."""
    return "content" if rows <= most else (1 + most) * _ROW
