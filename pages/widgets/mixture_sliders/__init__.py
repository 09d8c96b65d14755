"""The mixture sliders: one row per domain, moved together in the browser so that they always sum to 100 %.

Plain Streamlit sliders can move their siblings only after a rerun; this component moves them live and
reruns the page once, when the user lets go. Weights travel as whole units, so no sum is ever off by a
rounding. Markup, style and script are read as text: Streamlit serves component folders only for
distributions that carry a manifest of their own, while inline text works from a bare checkout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import streamlit as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import Mixture, check_mixture, in_units

__all__ = [
    "UNIT",
    "Released",
    "SliderRow",
    "Tone",
    "from_units",
    "last_released",
    "mixture_sliders",
    "to_units",
]

UNIT = 10_000
"""Units in a whole mixture: one unit is 0.01 %, the finest step that the number field shows."""

Tone = Literal["better", "worse", "unclear"]

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "causalmix.mixture_sliders",
    html=(_FOLDER / "sliders.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "sliders.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "sliders.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class SliderRow:
    """What one row shows.

    Attributes:
        domain: name of the domain; any text, shown as it is.
        units: its weight, in units of 0.01 %.
        reference_units: its weight in the reference, marked on the track.
        effect: the effect of +1 percentage point, as text; empty when there is none to show.
        interval: the interval of that effect, as text.
        tone: whether the effect is an improvement; shown as a word and as a colour.
        note: a short remark under the name.
        epochs: how often the domain would be read if it had all the weight; the browser then says under
            the name, live, how often it is read at its weight. None: not known.
        lowest: least weight that the constraints leave it, in units; what is allowed is shaded on the track.
        highest: most weight.
        lowest_because: the constraint that ends the range below, in words; empty where none does.
        highest_because: the constraint that ends it above.
        locked: whether the weight stays while others move.
    """

    domain: str
    units: int
    reference_units: int
    effect: str = ""
    interval: str = ""
    tone: Tone = "unclear"
    note: str = ""
    epochs: float | None = None
    lowest: int = 0
    highest: int = UNIT
    lowest_because: str = ""
    highest_because: str = ""
    locked: bool = False


@dataclass(frozen=True)
class Released:
    """What the user last settled on: units by domain, in the order of the rows, and the locked domains."""

    units: dict[str, int]
    locked: frozenset[str]


class _Payload(BaseModel):
    """The message of the browser; a closed shape, since anything can be sent over the wire."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    revision: int
    units: dict[str, Annotated[int, Field(ge=0, le=UNIT)]]
    locked: list[str]

    def fits(self, domains: Sequence[str]) -> bool:
        """Whether it speaks of exactly `domains` and sums to a whole."""
        return (
            self.units.keys() == set(domains)
            and sum(self.units.values()) == UNIT
            and self.units.keys() >= set(self.locked)
        )


def mixture_sliders(
    rows: Sequence[SliderRow], *, key: str, revision: int, top: int = UNIT
) -> Released | None:
    """Show the sliders and return what the user last released.

    Between two revisions the browser keeps its own values through reruns, so nothing jumps back during
    a drag, and `units` and `locked` of `rows` are where the revision starts. Raise `revision` whenever
    the program sets the values itself (a suggestion applied, another mixture opened): the browser then
    takes them over, and what was released before no longer counts.

    Args:
        rows: one per domain; `units` and `reference_units` each sum to `UNIT`.
        key: unique key of the component. The session also keeps what was last accepted, under
            ``f"{key}/released"``, so that the values survive a visit to another page.
        revision: number of the values that the program has set.
        top: units at the right end of the tracks: small weights are seen better on a shorter scale. It grows
            once a weight needs more.

    Returns:
        Weights and locks as last released in this revision, or None before the first release. A message
        that does not fit the rows is ignored and the value before it stays.

    Raises:
        CausalMixError: the rows are empty, name a domain twice, or do not sum to `UNIT`.
    """
    _check_rows(rows)
    released = last_released([row.domain for row in rows], key=key, revision=revision)
    if released is not None:
        rows = [
            replace(row, units=released.units[row.domain], locked=row.domain in released.locked)
            for row in rows
        ]
    _mount(
        key=key,
        data={"unit": UNIT, "top": top, "revision": revision, "rows": [asdict(row) for row in rows]},
        on_value_change=_rerun_only,
    )
    return released


def last_released(domains: Sequence[str], *, key: str, revision: int) -> Released | None:
    """What the user last released, known before the sliders are drawn.

    So a page can compute what it shows beside them in the same run. Running the page a second time for it
    would swallow a button that was pressed together with the release.

    Args:
        domains: the domains of the rows, in their order.
        key: key of the component.
        revision: number of the values that the program has set; older releases do not count.
    """
    memory = f"{key}/released"
    kept: _Payload | None = st.session_state.get(memory)
    for candidate in (_read(st.session_state.get(key)), kept):
        if candidate is not None and candidate.revision == revision and candidate.fits(domains):
            st.session_state[memory] = candidate
            return Released({d: candidate.units[d] for d in domains}, frozenset(candidate.locked))
    return None


def to_units(weights: Mapping[str, float]) -> dict[str, int]:
    """Round a mixture to whole units that sum to exactly `UNIT`, by largest remainder.

    Every weight is rounded up or down by less than one unit (0.01 %); among equal remainders the domain
    that sorts first is rounded up.

    Raises:
        CausalMixError: `weights` is not a mixture.
    """
    return in_units(check_mixture(weights, weights), UNIT)


def from_units(units: Mapping[str, int]) -> Mixture:
    """The mixture of whole units; the inverse of `to_units`.

    Raises:
        CausalMixError: a number of units is negative, or they do not sum to `UNIT`.
    """
    _check_units(units.values(), "weights")
    return {domain: value / UNIT for domain, value in units.items()}


def _rerun_only() -> None:
    """Streamlit keeps a component's value only if it is given a callback; the rerun is all we need."""


def _read(state: object) -> _Payload | None:
    """The browser's message in the component's session state, or None if there is none or it is malformed."""
    try:
        return _Payload.model_validate(state["value"])  # type: ignore[index]
    except (TypeError, KeyError, ValidationError):
        return None


def _check_units(units: Iterable[int], what: str) -> None:
    values = list(units)
    if any(value < 0 for value in values) or sum(values) != UNIT:
        raise CausalMixError(
            f"The {what} are {values} units; they must not be negative and must sum to {UNIT} (100 %)."
        )


def _check_rows(rows: Sequence[SliderRow]) -> None:
    domains = [row.domain for row in rows]
    twice = sorted({d for d in domains if domains.count(d) > 1})
    if twice:
        raise CausalMixError(f"The sliders name {', '.join(twice)} more than once; give each domain one row.")
    _check_units((row.units for row in rows), "weights of the sliders")
    _check_units((row.reference_units for row in rows), "reference weights of the sliders")
