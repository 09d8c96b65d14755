"""What every verb of the command line shares: options, who asks, and progress on a terminal."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from causalmix_core.effects import EstimatorName

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", "-w", envvar="CAUSALMIX_WORKSPACE", help="The workspace folder."),
]
GraphOption = Annotated[
    str | None,
    typer.Option(
        "--graph",
        help="Name of the causal graph. Default: main, or the import's; without a saved one, all may matter.",
    ),
]
EstimatorOption = Annotated[
    EstimatorName, typer.Option("--estimator", help="How effects are estimated (see docs/METHOD.md).")
]
PoolOption = Annotated[
    str | None,
    typer.Option(
        "--pool",
        help="Whose runs: an import, a snapshot's id, or current. Default: current, else the newest import.",
    ),
]
HERE = Path()


def user() -> str:
    """Who saves: the account that runs the command; a container may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def show_progress(fraction: float, what: str) -> None:
    """One line that is rewritten on a terminal; nothing where output is read by a program."""
    if sys.stderr.isatty():
        end = "\n" if fraction >= 1 else ""
        typer.echo(f"\r\033[K{fraction:4.0%} {what}{end}", err=True, nl=False)
