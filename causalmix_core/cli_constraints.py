"""Options by which verbs are told what a mixture must keep to, and what they add up to.

Options stand on top of a file: a bound of one domain replaces the file's bound of it and leaves the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import Constraints
from causalmix_core.mixture.constraints_file import checked_constraints, read_constraints

RADIUS = 0.25
"""Weight that may move where neither a file nor an option says."""

FileOption = Annotated[
    Path | None,
    typer.Option("--constraints", metavar="FILE", help="What the mixture must keep to, as YAML or JSON."),
]
BoundOption = Annotated[
    list[str] | None,
    typer.Option("--bound", metavar="DOMAIN=LOW:HIGH", help="Lowest and highest weight; repeatable."),
]
LockOption = Annotated[
    list[str] | None,
    typer.Option("--lock", metavar="DOMAIN=WEIGHT", help="A weight that has to stay; repeatable."),
]
GroupOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group", metavar="A+B=LOW:HIGH", help="Lowest and highest sum of several weights; repeatable."
    ),
]
EpochsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--max-epochs", metavar="[DOMAIN=]TIMES", help="How often a domain may be read at most; repeatable."
    ),
]
BudgetOption = Annotated[
    int | None,
    typer.Option("--token-budget", help="Tokens of the training run; default: the workspace's."),
]
RadiusOption = Annotated[
    float | None,
    typer.Option(
        "--radius", help=f"Reach: how much weight may move, 0 to 1 (total variation); default: {RADIUS}."
    ),
]
ChangeOption = Annotated[
    float | None,
    typer.Option("--smallest-change", help="A domain stays or moves at least this much weight."),
]
MostOption = Annotated[int | None, typer.Option("--most-domains", help="At most so many domains above zero.")]


@dataclass(frozen=True)
class ConstraintOptions:
    """What the options say, before it is checked."""

    file: Path | None = None
    bound: list[str] | None = None
    lock: list[str] | None = None
    group: list[str] | None = None
    max_epochs: list[str] | None = None
    token_budget: int | None = None
    radius: float | None = None
    smallest_change: float | None = None
    most_domains: int | None = None

    @property
    def given(self) -> bool:
        """Whether any option was used."""
        return any(v is not None and v != [] for v in vars(self).values())

    def constraints(self, token_budget: int) -> Constraints:
        """What they add up to.

        Args:
            token_budget: of the workspace, used where neither file nor option gives one.

        Raises:
            CausalMixError: a file or an option that cannot be understood, or a value out of range.
        """
        fields: dict[str, Any] = {"token_budget": token_budget, "radius": RADIUS}
        fields |= read_constraints(self.file) if self.file else {}
        if self.radius is not None and not 0 < self.radius <= 1:
            raise CausalMixError(
                f"The radius is {self.radius:g}; it is the weight that may move, above 0 and up to 1."
            )
        for name in ("token_budget", "radius", "smallest_change", "most_domains"):
            if getattr(self, name) is not None:
                fields[name] = getattr(self, name)
        bounds = {name: _span("--bound", text) for name, text in _named("--bound", self.bound)}
        locked = {name: _weight("--lock", text) for name, text in _named("--lock", self.lock)}
        fields["bounds"] = {**(fields.get("bounds") or {}), **bounds}
        fields["locked"] = {**(fields.get("locked") or {}), **locked}
        fields["groups"] = [*(fields.get("groups") or ()), *map(_group, _named("--group", self.group))]
        if self.max_epochs:
            fields["max_epochs"] = _epochs(self.max_epochs, fields.get("max_epochs"))
        return checked_constraints(fields, "The constraints do not fit")


def margins(no_harm: Iterable[str]) -> dict[str, float]:
    """`loss/code=0.01` or `loss/code` (not at all) as outcome -> margin.

    Raises:
        CausalMixError: a margin is no number.
    """
    found = {}
    for text in no_harm:
        name, given, margin = text.partition("=")
        found[name] = _number("--no-harm", text, margin) if given else 0.0
    return found


def _named(option: str, texts: list[str] | None) -> list[tuple[str, str]]:
    found = []
    for text in texts or ():
        name, given, value = text.rpartition("=")
        if not given or not name:
            raise CausalMixError(f"{option} {text}: write it as NAME=VALUE.")
        found.append((name, value))
    return found


def _span(option: str, text: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    if not colon:
        raise CausalMixError(
            f"{option} {text}: write the lowest and the highest weight as LOW:HIGH, such as 0:0.3."
        )
    return (_weight(option, low) if low else 0.0), (_weight(option, high) if high else 1.0)


def _group(named: tuple[str, str]) -> dict[str, Any]:
    names, span = named
    low, high = _span("--group", span)
    return {"name": names, "domains": names.split("+"), "lowest": low, "highest": high}


def _epochs(texts: list[str], before: Any) -> float | dict[str, float]:  # noqa: ANN401  # as a file has it
    alone = [t for t in texts if "=" not in t]
    named = {
        n: _number("--max-epochs", v, v) for n, v in _named("--max-epochs", [t for t in texts if "=" in t])
    }
    if alone and (named or len(alone) > 1):
        raise CausalMixError("--max-epochs: give one number for all domains, or DOMAIN=TIMES for each.")
    if alone:
        return _number("--max-epochs", alone[0], alone[0])
    return {**(before if isinstance(before, dict) else {}), **named}


def _weight(option: str, text: str) -> float:
    """`0.3` or `30%`."""
    if text.endswith("%"):
        return _number(option, text, text[:-1]) / 100
    return _number(option, text, text)


def _number(option: str, text: str, part: str) -> float:
    try:
        return float(part)
    except ValueError as error:
        raise CausalMixError(f"{option} {text}: {part!r} is no number.") from error
