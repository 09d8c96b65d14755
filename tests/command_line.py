"""What tests of the command line share: which commands there are, and how one is run in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import click
import pytest
import typer

from causalmix_core.cli import app, main


class Said(NamedTuple):
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Said]


def commands() -> dict[str, click.Command]:
    """Every command by its words, such as `ingest` or `source add`."""
    found: dict[str, click.Command] = {}

    def walk(group: click.Group, before: str) -> None:
        for name, command in group.commands.items():
            words = f"{before} {name}".strip()
            if hasattr(command, "commands"):
                walk(command, words)
            else:
                found[words] = command

    walk(typer.main.get_command(app), "")
    return found


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `causalmix <arguments>` through the entry point of the installed command."""

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["causalmix", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Said(ended.value.code if isinstance(ended.value.code, int) else 0, out, err)

    return run
