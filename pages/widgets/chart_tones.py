"""Colours and words that charts of effects share, in both themes.

Green is better and red is worse, whether an outcome is better low or high.
"""

from __future__ import annotations

import math

import numpy as np

from causalmix_core.effects import OBJECTIVE
from causalmix_core.probes.outcomes import direction_of
from pages.widgets.charts import better_worse, muted
from pages.widgets.shell import is_dark


def outcome_label(outcome: str) -> str:
    """An outcome as it stands on an axis."""
    return "the objective" if outcome == OBJECTIVE else outcome


def higher_is_better(outcome: str) -> bool:
    """Whether an outcome is better high; the objective is better low."""
    return direction_of(outcome) == "higher"


def tone(lower: float, upper: float, outcome: str) -> str:
    """The colour of an interval: better, worse, or not to be told from zero."""
    if lower <= 0 <= upper:
        return muted()
    good, bad = better_worse()
    return good if (lower > 0) == higher_is_better(outcome) else bad


def diverging(outcome: str) -> list[tuple[float, str]]:
    """From the largest fall to the largest rise, paler than elsewhere: numbers and dots lie on top."""
    good, middle, bad = ("#1f7a5a", quiet(), "#a34a2c") if is_dark() else ("#7cc9ab", quiet(), "#eda582")
    ends = (bad, good) if higher_is_better(outcome) else (good, bad)
    return [(0.0, ends[0]), (0.5, middle), (1.0, ends[1])]


def legend_on_top() -> dict[str, object]:
    """A legend above the figure, to the right."""
    return {"orientation": "h", "y": 1.0, "yref": "container", "yanchor": "top", "x": 1, "xanchor": "right"}


def signed(value: float) -> str:
    """A change or an effect, with its sign."""
    return f"{value:+.2g}" if abs(value) < 1e-4 else f"{value:+.4f}"


def decimals_of(values: np.ndarray) -> int:
    """Decimals at which the largest of some numbers has two digits, for all of them alike.

    Args:
        values: any shape; what is not finite does not count.
    """
    most = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return max(0, 1 - math.floor(math.log10(most))) if most > 0 else 0


def faded(colour: str, alpha: float) -> str:
    """A colour that lets others through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def ink() -> str:
    """What stands out from every colour."""
    return "#e7edf1" if is_dark() else "#17232b"


def ground() -> str:
    """The colour of the page."""
    return "#10171d" if is_dark() else "#ffffff"


def quiet() -> str:
    """The colour of a cell that says nothing."""
    return "#1a242c" if is_dark() else "#f2f5f7"


def warm() -> str:
    """What marks the present, beside the accent."""
    return "#f2b35c" if is_dark() else "#a34a00"
