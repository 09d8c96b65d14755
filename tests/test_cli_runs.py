"""The run table on the command line: list, export, exclude, include."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.corpus import open_snapshot
from causalmix_core.probes import RunTable, read_exclusions, read_runs
from causalmix_core.workspace import Workspace
from tests.command_line import Run

DOMAINS = ("code", "prose", "sums")


@pytest.fixture
def trained(workspace: Workspace) -> Workspace:
    """A workspace with two swarms of four probes, one of which failed."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 8)
    frame = pd.DataFrame(
        {
            "run": [f"{job}-{i}" for job in ("first", "second") for i in range(4)],
            "job": ["first"] * 4 + ["second"] * 4,
            "status": ["finished"] * 7 + ["failed"],
            "snapshot": open_snapshot(workspace).id,
            "seed": 0,
            **{f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)},
            **{f"loss/{d}": 3 - weights[:, i] for i, d in enumerate(DOMAINS)},
            "trajectory": "[]",
        }
    )
    frame.loc[7, "loss/code"] = np.nan
    frame.to_parquet(workspace.runs / "all.parquet")
    return workspace


def test_excluded_runs_no_longer_count_until_they_are_included(causalmix: Run, trained: Workspace) -> None:
    here = ("-w", trained.root)
    said = causalmix("runs", "list", *here)
    assert said.status == 0
    assert [line.split()[:2] for line in said.out.splitlines()[1:]] == [
        *(["first-" + str(i), "used"] for i in range(4)),
        *(["second-" + str(i), "used"] for i in range(3)),
        ["second-3", "failed"],
    ]
    said = causalmix("runs", "exclude", "first-1", "second-0", "--reason", "wrong text", *here)
    assert said.out == "Excluded 2 runs.\n"
    assert read_runs(trained.runs).excluded == 2
    said = causalmix("runs", "list", "--job", "first", *here)
    excluded = said.out.splitlines()[2]
    assert excluded.split()[:2] == ["first-1", "excluded"]
    assert excluded.endswith("wrong text")
    assert "excluded" not in causalmix("runs", "list", "--used", *here).out
    said = causalmix("runs", "exclude", "--job", "first", "--reason", "all of it", *here)
    assert said.out == "Excluded 3 runs; 1 were excluded already.\n"
    assert read_exclusions(trained.runs)["first-1"].reason == "wrong text"
    said = causalmix("runs", "include", "first-1", "second-1", *here)
    assert said.out == "Included 1 runs again; 1 were not excluded.\n"
    assert read_runs(trained.runs).frame["run"].tolist() == ["first-1", "second-1", "second-2"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_an_export_holds_every_run_and_can_be_read_again(
    causalmix: Run, trained: Workspace, tmp_path: Path, ending: str
) -> None:
    causalmix("runs", "exclude", "first-0", "--reason", "wrong, or not", "-w", trained.root)
    output = tmp_path / f"out{ending}"
    said = causalmix("runs", "export", output, "-w", trained.root)
    assert said.out == f"Wrote 8 runs to {output}\n"
    table = pd.read_csv(output) if ending == ".csv" else pd.read_parquet(output)
    assert table["run"].tolist() == [f"{job}-{i}" for job in ("first", "second") for i in range(4)]
    assert table["use"].tolist() == ["excluded", *["used"] * 6, "failed"]
    assert table["reason"][0] == "wrong, or not"
    assert ("trajectory" in table) == (ending == ".parquet")
    again = RunTable.from_frame(table[table["use"] == "used"])
    assert again.weights() == pytest.approx(read_runs(trained.runs).weights())
    assert table["objective"].tolist()[:7] == pytest.approx([8 / 3] * 7)


def test_mistakes_are_one_line_and_change_nothing(
    refused: Callable[..., str], trained: Workspace, tmp_path: Path
) -> None:
    here = ("-w", trained.root)
    assert "Name the runs" in refused("runs", "exclude", "--reason", "x", *here)
    assert "Say why" in refused("runs", "exclude", "first-0", *here)
    assert "no run nope" in refused("runs", "exclude", "first-0", "nope", "--reason", "x", *here)
    assert "Swarms with runs: first, second" in refused("runs", "include", "--job", "third", *here)
    assert ".csv or .parquet" in refused("runs", "export", tmp_path / "out.json", *here)
    assert read_exclusions(trained.runs) == {}
