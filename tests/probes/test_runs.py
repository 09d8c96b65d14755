from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import RunTable, read_runs
from causalmix_core.probes.exclusions import exclude_runs, include_runs
from causalmix_core.probes.runs import read_rows, uses_of


def frame(n: int = 3, **columns: object) -> pd.DataFrame:
    w = np.linspace(0.2, 0.8, n)
    base = {
        "run": [f"j-{i}" for i in range(n)],
        "status": "finished",
        "snapshot": "s1",
        "weight/b": 1 - w,
        "weight/a": w,
        "state/x": np.arange(n, dtype=float),
        "loss/b": np.arange(n) + 1.0,
        "loss/a": np.arange(n) + 2.0,
    }
    return pd.DataFrame(base | columns)


def test_columns_are_known_by_name_and_never_by_position() -> None:
    table = RunTable.from_frame(frame())
    assert table.domains == ["a", "b"]
    assert table.outcomes == ["loss/a", "loss/b"]
    assert table.weights()[:, 0] == pytest.approx([0.2, 0.5, 0.8])
    shuffled = RunTable.from_frame(frame()[sorted(frame().columns)])
    assert (shuffled.weights() == table.weights()).all()
    assert table.state().shape == (3, 1)


def test_files_are_read_as_one_table_and_failed_probes_never(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "one.parquet")
    other = frame(run=["k-0", "k-1", "k-2"], status=["finished", "failed", "finished"])
    other.loc[1, "loss/a"] = np.nan
    other[sorted(other.columns)].to_parquet(tmp_path / "two.parquet")
    frame(run="half").to_parquet(tmp_path / ".tmp-1-x-three.parquet")
    table = read_runs(tmp_path, "s1")
    assert table.frame["run"].tolist() == ["j-0", "j-1", "j-2", "k-0", "k-2"]


def test_runs_of_other_snapshots_and_domains_are_left_out(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "one.parquet")
    other = frame(run=["k-0", "k-1", "k-2"], snapshot="s2")
    other.rename(columns={"weight/a": "weight/z", "loss/a": "loss/z"}).to_parquet(tmp_path / "two.parquet")
    assert read_runs(tmp_path, "s1").domains == ["a", "b"]
    assert read_runs(tmp_path, "s2").domains == ["b", "z"]
    with pytest.raises(CausalMixError, match="do not agree"):
        read_runs(tmp_path)


def test_no_runs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CausalMixError, match="causalmix probe"):
        read_runs(tmp_path)
    frame().to_parquet(tmp_path / "one.parquet")
    with pytest.raises(CausalMixError, match="of snapshot other"):
        read_runs(tmp_path, "other")


def test_bad_tables_are_refused() -> None:
    with pytest.raises(CausalMixError, match="weight/<domain>"):
        RunTable.from_frame(pd.DataFrame({"x": [1]}))
    with pytest.raises(CausalMixError, match="row 1 do not sum to 1"):
        RunTable.from_frame(frame(**{"weight/a": [0.2, 0.9, 0.8]}))
    with pytest.raises(CausalMixError, match="loss/a is missing or not finite"):
        RunTable.from_frame(frame(**{"loss/a": [1.0, np.inf, 2.0]}))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "good.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 not quite")
    with pytest.raises(CausalMixError, match=r"torn\.parquet.*Move the file away"):
        read_runs(tmp_path)


def test_only_probes_that_compare_are_read(tmp_path: Path) -> None:
    """A swarm of another proxy is left out, and a repeated swarm counts once."""
    day = pd.Timestamp("2026-01-01", tz="UTC")
    old = frame(proxy="small", seed=0, finished_at=day)
    new = frame(run=["k-0", "k-1", "k-2"], proxy="large", seed=0, finished_at=day + pd.Timedelta("1h"))
    again = new.assign(run=["l-0", "l-1", "l-2"], finished_at=day + pd.Timedelta("2h"))
    other_seed = again.assign(run=["m-0", "m-1", "m-2"], seed=1)
    for name, part in {"old": old, "new": new, "again": again, "other": other_seed}.items():
        part.to_parquet(tmp_path / f"{name}.parquet")
    table = read_runs(tmp_path, "s1")
    assert table.frame["run"].tolist() == ["k-0", "k-1", "k-2", "m-0", "m-1", "m-2"]
    assert table.left_out == 6


def test_of_a_probe_that_was_trained_again_the_finished_row_counts(tmp_path: Path) -> None:
    day = pd.Timestamp("2026-01-01", tz="UTC")
    first = frame(status=["finished", "failed", "failed"], finished_at=day)
    first.loc[1:, "loss/a"] = np.nan
    first.to_parquet(tmp_path / "j-0000.parquet")
    again = frame(status=["finished", "finished", "failed"], finished_at=day + pd.Timedelta("1h"))
    again.assign(**{"loss/b": 9.0}).to_parquet(tmp_path / "j-0001.parquet")
    table = read_runs(tmp_path, "s1")
    assert table.frame["run"].tolist() == ["j-0", "j-1"]
    assert table.frame["loss/b"].tolist() == [9.0, 9.0]  # of two finished rows, the newer one
    assert read_rows(tmp_path)["status"].tolist() == ["finished", "finished", "failed"]
    # A later failure does not undo a result.
    late = frame(status="failed", finished_at=day + pd.Timedelta("2h"))
    late.assign(**{"loss/a": np.nan}).to_parquet(tmp_path / "j-0002.parquet")
    assert read_runs(tmp_path, "s1").frame["run"].tolist() == ["j-0", "j-1"]


def test_every_probe_has_one_use_and_the_used_are_those_that_are_read(tmp_path: Path) -> None:
    day = pd.Timestamp("2026-01-01", tz="UTC")
    newest = {"proxy": "large", "seed": 0, "finished_at": day + pd.Timedelta("1h")}
    parts = {
        "used": frame(3, **newest),
        "other proxy": frame(**{**newest, "proxy": "small", "finished_at": day}),
        "failed": frame(status="failed", **{**newest, "seed": 1}),
        "other snapshot": frame(snapshot="s2", **newest),
        "repeat": frame(**{**newest, "finished_at": day}),
        "other state": frame(seed=2, proxy="large", finished_at=day).rename(columns={"state/x": "state/y"}),
        "excluded": frame(**{**newest, "seed": 3, "finished_at": day + pd.Timedelta("9h"), "proxy": "huge"}),
    }
    for i, (use, part) in enumerate(parts.items()):
        part.assign(run=[f"{i}-{use}-{n}" for n in range(3)]).to_parquet(tmp_path / f"{use}.parquet")
    marked = [f"6-excluded-{n}" for n in range(3)]
    exclude_runs(tmp_path, marked, reason="wrong text", by="ana")
    rows = read_rows(tmp_path)
    uses = uses_of(rows, "s1", marked)
    assert [run.split("-")[1] for run in rows["run"]] == uses.tolist()
    table = read_runs(tmp_path, "s1")
    assert table.frame["run"].tolist() == rows["run"][uses == "used"].tolist()
    assert (table.left_out, table.excluded) == (9, 3)
    assert table.states == ["state/x"]
    # Once they count again, the newest proxy is theirs.
    include_runs(tmp_path, marked)
    assert read_runs(tmp_path, "s1").frame["run"].tolist() == marked


def test_rows_without_a_seed_repeat_nothing(tmp_path: Path) -> None:
    """Imported tables do not say with which seed a model was trained: equal mixtures may be replicates."""
    same = {"weight/a": 0.5, "weight/b": 0.5, "state/x": 1.0}
    frame(4, **same, seed=None).to_parquet(tmp_path / "i.parquet")
    assert len(read_runs(tmp_path)) == 4


def test_all_of_them_excluded_says_how_to_go_on(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "one.parquet")
    exclude_runs(tmp_path, ["j-0", "j-1", "j-2"], reason="noise", by="ana")
    with pytest.raises(CausalMixError, match="All 3 finished probes of snapshot s1 are excluded"):
        read_runs(tmp_path, "s1")


def test_trajectories_stay_on_disk_unless_wanted(tmp_path: Path) -> None:
    frame(trajectory="[]").to_parquet(tmp_path / "one.parquet")
    assert "trajectory" not in read_runs(tmp_path).frame
    rows = read_rows(tmp_path, ["j-2", "j-0", "no such"], trajectories=True)
    assert rows["run"].tolist() == ["j-0", "j-2"]
    assert rows["trajectory"].tolist() == ["[]", "[]"]
