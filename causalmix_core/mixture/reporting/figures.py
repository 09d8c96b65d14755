"""The figures of a report, drawn as SVG inside the HTML: bars, a waterfall, intervals.

Drawn by hand, because a charting library would bring megabytes of script into a file that is sent by mail,
and because paper has no tooltips: every number that matters stands as text beside its mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Tone = Literal["better", "worse", "unclear", "mark"]

WIDTH = 760
RIGHT = 170
"""Room for the words on the right."""
ROW = 24
LABELS = (90, 270)
"""Least and most room for the labels on the left."""
NOTHING = 1e-12
"""Values that differ by less lie on one place."""
LETTER = 6.9
"""Mean width of a letter of the labels."""


@dataclass(frozen=True)
class Interval:
    """One row of an interval chart.

    Attributes:
        label: what it is.
        value: the estimate.
        lower: of its 95% interval.
        upper: of its 95% interval.
        tone: its colour.
        words: what stands on the right.
    """

    label: str
    value: float
    lower: float
    upper: float
    tone: Tone
    words: str


@dataclass(frozen=True)
class Step:
    """One domain's part of a waterfall."""

    label: str
    value: float
    tone: Tone
    words: str


def signed(value: float, decimals: int = 4) -> str:
    """A change with its sign; one that rounds to nothing has none of its own."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}"


def weight_bars(rows: Sequence[tuple[str, float, float]], title: str) -> str:
    """A bar per domain with a tick where the reference stands.

    Args:
        rows: domain, weight and reference, parts of one.
        title: for those who hear the page.
    """
    most = max(0.01, *(max(w, r) for _, w, r in rows))
    scale = _Scale(0.0, most, [name for name, *_ in rows])
    parts = []
    for i, (name, weight, reference) in enumerate(rows):
        y = i * ROW
        x = scale.at(reference)
        parts += [
            _label(name, scale, y),
            f'<rect x="{scale.label}" y="{y + 5}" width="{scale.at(weight) - scale.label:.1f}" height="14" '
            'rx="2" '
            'fill="var(--mark)"/>',
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y + 2}" y2="{y + 22}" stroke="var(--ink)" '
            'stroke-width="2"/>',
            _words(f"{100 * weight:.2f}%  ({signed(100 * (weight - reference), 2)} points)", y),
        ]
    return _svg(parts, len(rows) * ROW, title)


def waterfall(steps: Sequence[Step], total: Interval, title: str) -> str:
    """Bars that hang on each other, from nothing to the whole change.

    Args:
        steps: contributions in the order in which they are added; their sum is the total's value.
        total: the whole change with its interval.
        title: for those who hear the page.
    """
    sums = [0.0]
    for step in steps:
        sums.append(sums[-1] + step.value)
    names = [total.label, *(s.label for s in steps)]
    scale = _Scale(min(*sums, total.lower, 0.0), max(*sums, total.upper, 0.0), names)
    height = (len(steps) + 1) * ROW
    parts = [_axis(scale, height)]
    for i, (step, start) in enumerate(zip(steps, sums, strict=False)):
        y, end = i * ROW, start + step.value
        left, right = sorted((scale.at(start), scale.at(end)))
        parts += [
            _label(step.label, scale, y),
            f'<rect x="{left:.1f}" y="{y + 5}" width="{max(right - left, 1):.1f}" height="14" rx="1" '
            f'fill="var(--{step.tone})"/>',
            f'<line x1="{scale.at(end):.1f}" x2="{scale.at(end):.1f}" y1="{y + 5}" y2="{y + ROW + 19}" '
            'stroke="var(--line)"/>',
            _words(step.words, y),
        ]
    parts.append(_interval(total, scale, len(steps) * ROW, strong=True))
    return _svg(parts, height + 22, title)


def intervals(rows: Sequence[Interval], title: str) -> str:
    """A dot and a bar per row on one axis with a line at zero."""
    ends = [0.0, *(v for r in rows for v in (r.lower, r.upper, r.value) if math.isfinite(v))]
    scale = _Scale(min(ends), max(ends), [r.label for r in rows])
    height = len(rows) * ROW
    parts = [_axis(scale, height), *(_interval(r, scale, i * ROW) for i, r in enumerate(rows))]
    return _svg(parts, height + 22, title)


class _Scale:
    """From values to places between the labels and the words."""

    def __init__(self, low: float, high: float, labels: Sequence[str]) -> None:
        longest = LETTER * max(len(name) for name in labels) + 14
        self.label = round(min(max(longest, LABELS[0]), LABELS[1]))
        if high - low < NOTHING:  # nothing differs from nothing: a mark in the middle
            low, high = low - 1.0, high + 1.0
        pad = 0.03 * (high - low)
        self.low, self.high = (low if low == 0 else low - pad), (high if high == 0 else high + pad)
        self._room = WIDTH - self.label - RIGHT

    def at(self, value: float) -> float:
        """Where a value lies, in units of the drawing."""
        return self.label + self._room * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Three to seven round numbers."""
        rough = (self.high - self.low) / 6
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [i * step for i in range(first, last + 1)]


def _axis(scale: _Scale, height: int) -> str:
    parts = []
    for tick in scale.ticks():
        x, zero = scale.at(tick), abs(tick) < 1e-12
        colour = "var(--quiet)" if zero else "#e8edf0"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height + 4}" stroke="{colour}"/>')
        parts.append(
            f'<text class="quiet" x="{x:.1f}" y="{height + 18}" '
            f'text-anchor="middle">{0.0 if zero else tick:g}</text>'
        )
    return "".join(parts)


def _interval(row: Interval, scale: _Scale, y: int, *, strong: bool = False) -> str:
    colour, middle = f"var(--{row.tone})", y + 12
    ends = [scale.at(v) for v in (row.lower, row.upper)]
    caps = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{middle - 4}" y2="{middle + 4}" stroke="{colour}" '
        'stroke-width="2"/>'
        for x in ends
    )
    return (
        _label(row.label, scale, y, strong=strong)
        + f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{middle}" y2="{middle}" stroke="{colour}" '
        f'stroke-width="2"/>{caps}<circle cx="{scale.at(row.value):.1f}" cy="{middle}" r="4.5" '
        f'fill="{colour}"/>' + _words(row.words, y, strong=strong)
    )


def _label(text: str, scale: _Scale, y: int, *, strong: bool = False) -> str:
    longest = int((scale.label - 10) / LETTER)
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return (
        f'<text x="{scale.label - 10}" y="{y + 16}" text-anchor="end"{_bold(strong)}>{escape(cut)}'
        f"<title>{escape(text)}</title></text>"
    )


def _words(text: str, y: int, *, strong: bool = False) -> str:
    return f'<text x="{WIDTH - RIGHT + 12}" y="{y + 16}"{_bold(strong)}>{escape(text)}</text>'


def _bold(strong: bool) -> str:
    return ' font-weight="600"' if strong else ""


def _svg(parts: Sequence[str], height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        + "".join(parts)
        + "</svg>"
    )
