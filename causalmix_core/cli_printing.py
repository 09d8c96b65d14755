"""How verbs of mixtures print weights, changes and notes."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from causalmix_core.mixture.reporting.figures import signed
from causalmix_core.mixture.store import (
    PredictedChange,
)


def print_weights(weights: Mapping[str, float], reference: Mapping[str, float]) -> None:
    """One line per domain, with its reference."""
    for domain in sorted(weights):
        typer.echo(f"  {domain:<20} {weights[domain]:8.2%}   (reference {reference[domain]:.2%})")


def print_changes(changes: Mapping[str, PredictedChange]) -> None:
    """One line per outcome, with its 95% interval."""
    for outcome, change in changes.items():
        typer.echo(
            f"  {outcome:<20} {signed(change.change)} [{signed(change.lower)}, {signed(change.upper)}] "
            "predicted"
        )


def print_notes(*notes: str) -> None:
    """One line per note."""
    for note in notes:
        typer.echo(f"Note: {note}")
