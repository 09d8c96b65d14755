"""The comparison of estimators on the command line."""

from __future__ import annotations

import json

from causalmix_core.effects.effect_store import LEADERBOARD
from causalmix_core.workspace import Workspace
from tests.command_line import Run
from tests.test_cli import write_runs


def test_estimators_are_compared_once_and_the_choice_is_explained(
    causalmix: Run, workspace: Workspace
) -> None:
    write_runs(workspace, 40)
    arguments = ("leaderboard", "-w", workspace.root, "--repeats", 1)
    arguments += ("--only", "mixing_law", "--only", "linear_regression")
    said = causalmix(*arguments)
    assert said.status == 0, said.err
    for label in ("Mixing law", "Linear regression (as in RegMix)", "No effect", "Best constant mixture"):
        assert label in said.out
    assert "objective: 40 runs, each predicted by fits to other runs." in said.out
    assert "for comparison only" in said.out

    files = list(workspace.effects.glob(f"*/{LEADERBOARD}"))
    assert len(files) == 1
    before = files[0].stat().st_mtime_ns
    as_json = json.loads(causalmix(*arguments, "--json").out)
    assert as_json["settings"]["estimators"] == ["mixing_law", "linear_regression"]
    assert files[0].stat().st_mtime_ns == before
    assert causalmix(*arguments, "--fresh").status == 0
    assert files[0].stat().st_mtime_ns > before

    wrong = causalmix(*arguments, "--outcome", "loss/zoo")
    assert wrong.status == 1
    assert "No outcome loss/zoo was compared; there are: loss/code" in wrong.err
