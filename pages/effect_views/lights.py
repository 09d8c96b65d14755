"""Traffic lights of refutations, the same in every view; never by colour alone."""

from __future__ import annotations

from typing import cast

from causalmix_core.effects.refutation import REFUTERS, RefutedEffect, Verdict
from pages.widgets.shell import is_dark

LIGHTS: dict[Verdict, tuple[str, str, str]] = {
    "passed": ("survived", "green", ":material/check_circle:"),
    "weak": ("weak", "orange", ":material/warning:"),
    "failed": ("failed", "red", ":material/cancel:"),
    "not shown": ("not told from zero", "gray", ":material/remove:"),
    "does not apply": ("does not apply", "gray", ":material/remove:"),
}
"""Word, colour and icon of each verdict."""
_SIGNS: dict[Verdict, str] = {"passed": "✓", "weak": "~", "failed": "✗"}


def sign_of(verdict: Verdict) -> str:
    """A verdict where there is no room for a word."""
    return _SIGNS.get(verdict, "–")


def colour_of(verdict: str) -> str:
    """The style of a table's cell for a verdict; none for other text."""
    tones = {
        "passed": "#173d31" if is_dark() else "#dcf1e8",
        "weak": "#4a3a17" if is_dark() else "#fbeed3",
        "failed": "#4d2418" if is_dark() else "#f9ddd2",
    }
    tone = tones.get(cast(Verdict, verdict))
    return f"background-color: {tone}" if tone else ""


def badge(effect: RefutedEffect | None) -> str:
    """How an effect came out of its refutations, as Markdown; None: nobody has tried."""
    if effect is None:
        return ":gray-badge[:material/hourglass_empty: not yet refuted]"
    word, colour, icon = LIGHTS[effect.verdict]
    bad = [REFUTERS[c.refuter].label.lower() for c in effect.checks if c.verdict == effect.verdict]
    why = f": {', '.join(bad)}" if effect.verdict in ("weak", "failed") and bad else ""
    return f":{colour}-badge[{icon} {word}{why}]"
