"""What pages share, run outside a browser."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from pages.widgets.shell import open_workspace, runs_of


def shard(workspace: Workspace, number: int) -> None:
    frame = pd.DataFrame(
        {
            "run": [f"j-{number}"],
            "status": "finished",
            "snapshot": open_snapshot(workspace).id,
            "weight/code": 0.5,
            "weight/prose": 0.5,
            "loss/code": float(number),
            "loss/prose": 1.0,
        }
    )
    frame.to_parquet(workspace.runs / f"j-{number}.parquet")


def test_new_shards_are_seen(workspace: Workspace) -> None:
    pool = open_snapshot(workspace).id
    with pytest.raises(CausalMixError, match="no finished probes"):
        runs_of(workspace, pool)
    for number in range(3):
        shard(workspace, number)
        assert len(runs_of(workspace, pool)) == number + 1


def test_the_workspace_comes_from_the_environment(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
    assert open_workspace().root == workspace.root
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(tmp_path / "none"))
    with pytest.raises(CausalMixError, match="There is no workspace"):
        open_workspace()
