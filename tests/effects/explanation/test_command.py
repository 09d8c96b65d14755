"""`causalmix explain`: sentences, rules and pairs on the command line, and the table it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from causalmix_core.probes.runs import RunTable
from causalmix_core.workspace import Workspace, WorkspaceConfig
from tests.command_line import Run


@pytest.fixture
def workspace(table: RunTable, tmp_path: Path) -> Workspace:
    """A workspace that knows only runs from elsewhere."""
    made = Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="elsewhere"))
    frame = table.frame.drop(columns="benchmark/quiz").assign(
        run=[f"r{i}" for i in range(len(table))],
        job="import-known",
        snapshot="import-known",
        status="finished",
        seed=range(len(table)),
        proxy="another",
        finished_at=pd.Timestamp("2026-01-01", tz="UTC"),
    )
    frame.to_parquet(made.runs / "known.parquet")
    return made


def test_explain_says_effects_rules_and_pairs(causalmix: Run, workspace: Workspace, tmp_path: Path) -> None:
    output = tmp_path / "effects.csv"
    said = causalmix(
        "explain", "--outcome", "loss/code", "--domain", "code", "-w", workspace.root, "--output", output
    )
    assert said.status == 0, said.err
    assert "- One more point of code, taken from the rest, lowers loss/code by 0.0" in said.out
    assert "the effect fades when duplication is high." in said.out
    assert "\n  duplication <= 0." in said.out
    assert "pool states)" in said.out
    assert said.out.count("code and ") + said.out.count(" and code") == 3  # its pairs, and no others
    written = pd.read_csv(output)
    assert {"domain", "outcome", "effect", "lower", "upper", "sentence"} <= set(written.columns)
    assert len(written) == 4 * 2
    assert any(f"- {sentence}" in said.out for sentence in written["sentence"])


def test_explain_refuses_what_it_does_not_know(refused: Callable[..., str], workspace: Workspace) -> None:
    line = refused("explain", "--outcome", "loss/cod", "-w", workspace.root)
    assert "no outcome loss/cod in this model; it has: loss/code, objective" in line
