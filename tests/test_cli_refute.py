"""`causalmix refute`: the table of verdicts, what is kept, and refusals in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.effects.refutation import REFUTERS
from causalmix_core.workspace import Workspace, WorkspaceConfig
from tests.command_line import Run

POOL = "import-elsewhere"
DOMAINS = ("code", "prose", "sums")


@pytest.fixture
def studied(tmp_path: Path) -> Workspace:
    """A workspace with imported runs in which code is good for its own loss and nothing else matters."""
    opened = Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="Refuted"))
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 40)
    loss = 3 - 0.5 * np.log(weights[:, 0] + 0.1) + 0.02 * rng.normal(size=40)
    rows = pd.DataFrame({f"weight/{d}": weights[:, k] for k, d in enumerate(DOMAINS)})
    rows = rows.assign(
        run=[f"run-{i:03d}" for i in range(40)],
        job=POOL,
        probe=range(40),
        status="finished",
        snapshot=POOL,
        assignment="randomised",
        **{"state/age": rng.normal(size=40), "loss/code": loss},
    )
    rows.to_parquet(opened.runs / "imported-0000.parquet", index=False)
    return opened


def test_effects_are_refuted_once_and_kept(causalmix: Run, studied: Workspace, tmp_path: Path) -> None:
    output = tmp_path / "checks.csv"
    asked = ("refute", "-w", studied.root, "--estimator", "linear_regression", "--replicates", 19)
    said = causalmix(*asked, "--output", output)
    assert (said.status, said.err) == (0, "")
    assert "40 runs; each refuter changed them 19 times" in said.out
    row = next(line for line in said.out.splitlines() if line.startswith("  code"))
    # No pool state is looked at and mixtures are random: neither test applies.
    assert row.split()[2:8] == ["ok", "ok", "n/a", "ok", "ok", "n/a"]
    assert "Survived all 4 refutations." in row
    assert "drawn at random" in said.out
    assert "too few to see how effects depend on the pool state" in said.out
    numbers = pd.read_csv(output)
    assert set(numbers["refuter"]) == set(REFUTERS)
    assert len(numbers) == 2 * 3 * len(REFUTERS)
    kept = list(studied.effects.rglob("refutation-*.json"))
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    only = causalmix(*asked, "--outcome", "objective")
    assert only.status == 0
    assert "loss/code" not in only.out.split("effects are distinguishable")[0]
    assert kept[0].stat().st_mtime_ns == before


def test_what_does_not_fit_is_refused(studied: Workspace, refused: Callable[..., str]) -> None:
    asked = ("refute", "-w", studied.root, "--estimator", "linear_regression", "--replicates", 5)
    assert "no outcome loss/zoo" in refused(*asked, "--outcome", "loss/zoo")
    assert "between 0 and 1" in refused(*asked, "--strength", "1.5")
