"""Every probe of a workspace: what is derived of it, and its trajectory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.effects import objective_shares
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.every_run import (
    IDENTITY,
    all_runs,
    objective_values,
    proxy_names,
    short,
    trajectories,
)
from causalmix_core.probes.exclusions import exclude_runs
from causalmix_core.proxy import PRESETS


def rows(job: str, n: int = 3, **columns: object) -> pd.DataFrame:
    w = np.linspace(0.2, 0.8, n)
    base = {
        "run": [f"{job}-{i}" for i in range(n)],
        "job": job,
        "status": "finished",
        "snapshot": "s1",
        "seed": 0,
        "proxy": PRESETS["nano"].model_dump_json(),
        "finished_at": pd.Timestamp("2026-01-01", tz="UTC"),
        "weight/a": w,
        "weight/b": 1 - w,
        "loss/a": np.arange(n) + 1.0,
        "loss/b": np.arange(n) + 2.0,
    }
    return pd.DataFrame(base | columns)


def test_nothing_is_left_out_and_every_row_says_what_it_is(tmp_path: Path) -> None:
    rows("one").to_parquet(tmp_path / "one.parquet")
    failed = rows("two", status=["failed", "finished", "finished"], proxy=PRESETS["micro"].model_dump_json())
    failed.loc[0, "loss/a"] = np.nan
    failed["finished_at"] += pd.Timedelta("1h")
    failed.to_parquet(tmp_path / "two.parquet")
    imported = pd.DataFrame(
        {"run": ["x"], "status": "finished", "snapshot": "s2", "weight/z": 1.0, "loss/z": 5.0, "note": "hi"}
    )
    imported.to_parquet(tmp_path / "imported.parquet")
    exclude_runs(tmp_path, ["two-2", "one-0"], reason="wrong text", by="ana")

    frame = all_runs(tmp_path, objective={"loss/a": 3.0, "loss/b": 1.0}, snapshot="s1").set_index("run")
    assert frame.index.tolist() == ["one-0", "one-1", "one-2", "two-0", "two-1", "two-2", "x"]
    assert frame["use"].tolist() == [
        "excluded", "other proxy", "other proxy", "failed", "used", "excluded", "other snapshot",
    ]  # fmt: skip
    assert frame.loc["one-1", "proxy_name"] == "llama 24k · 250k tokens"
    assert frame.loc["two-1", "proxy_name"] == "llama 98k · 1M tokens"
    assert frame["excluded"].tolist() == [True, False, False, False, False, True, False]
    assert frame.loc["one-0", ["reason", "excluded_by"]].tolist() == ["wrong text", "ana"]
    assert frame.loc["one-1", ["reason", "excluded_at", "assignment"]].isna().all()
    assert frame.loc["one-1", "objective"] == pytest.approx((3 * 2 + 3) / 4)
    assert frame.loc[["two-0", "x"], "objective"].isna().all()
    assert all_runs(tmp_path).set_index("run").loc["x", "objective"] == 5.0
    columns = ["run", *frame.columns]
    assert columns[: len(IDENTITY)] == list(IDENTITY)
    assert columns[len(IDENTITY) :] == [
        "weight/a", "weight/b", "weight/z", "loss/a", "loss/b", "loss/z", "note",
    ]  # fmt: skip


def test_an_empty_folder_is_an_empty_table(tmp_path: Path) -> None:
    frame = all_runs(tmp_path)
    assert frame.columns.tolist() == list(IDENTITY)
    assert frame.empty
    assert trajectories(tmp_path, ["a"]).empty


@given(
    st.dictionaries(st.sampled_from(["loss/a", "loss/b", "loss/c"]), st.floats(0.01, 10)), st.integers(0, 99)
)
def test_the_objective_is_the_one_that_effects_lower(objective: dict[str, float], seed: int) -> None:
    outcomes = ["loss/a", "loss/b", "loss/c"]
    losses = pd.DataFrame(np.random.default_rng(seed).uniform(1, 9, (4, 3)), columns=outcomes)
    shares = objective_shares(objective, outcomes)
    expected = sum(share * losses[o] for o, share in shares.items())
    found = objective_values(losses.assign(status="finished"), objective)
    assert found.tolist() == pytest.approx(expected.tolist())
    assert objective_values(losses.assign(status="failed"), objective).isna().all()


def test_trajectories_are_read_by_run_domain_and_tokens(tmp_path: Path) -> None:
    points = [
        {"tokens": 2, "loss/a": 3.0, "bpb/a": 4.0, "loss/b": None, "bpb/b": None},
        {"tokens": 1, "loss/a": 5.0, "loss/b": 6.0, "bpb/b": 7.0},
    ]
    rows("j", trajectory=[json.dumps(points), None, "[]"]).to_parquet(tmp_path / "j.parquet")
    rows("i", 1, trajectory=json.dumps(points[1:])).to_parquet(tmp_path / "i.parquet")
    table = trajectories(tmp_path, ["j-0", "i-0", "j-1", "j-2"])
    nan = float("nan")
    expected = pd.DataFrame(
        [
            ("j-0", 1, "a", 5.0, nan), ("j-0", 2, "a", 3.0, 4.0), ("j-0", 1, "b", 6.0, 7.0),
            ("j-0", 2, "b", nan, nan), ("i-0", 1, "a", 5.0, nan), ("i-0", 1, "b", 6.0, 7.0),
        ],
        columns=["run", "tokens", "domain", "loss", "bpb"],
    )  # fmt: skip
    pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize("damaged", ["{", '[{"loss/a": 1}]', '[{"tokens": 1, "loss/a": "low"}]'])
def test_a_damaged_trajectory_names_the_run(tmp_path: Path, damaged: str) -> None:
    rows("j", trajectory=damaged).to_parquet(tmp_path / "j.parquet")
    assert trajectories(tmp_path, []).empty
    with pytest.raises(CausalMixError, match="trajectory of run j-1"):
        trajectories(tmp_path, ["j-1"])


def test_proxies_of_one_size_are_told_apart_by_what_differs() -> None:
    nano = PRESETS["nano"]
    specs = [
        nano.model_dump_json(),
        nano.model_copy(update={"learning_rate": 1e-3}).model_dump_json(),
        nano.model_copy(update={"tokens": 1_250_000}).model_dump_json(),
        "RegMix 1M",
        "x" * 50 + "1",
        "x" * 50 + "2",
        '{"name": "theirs"}',
        "[1]",
    ]
    names = list(proxy_names(specs).values())
    assert names[:4] == [
        "llama 24k · 250k tokens · learning rate 0.005",
        "llama 24k · 250k tokens · learning rate 0.001",
        "llama 24k · 1.25M tokens",
        "RegMix 1M",
    ]
    assert names[6:] == ["theirs", "[1]"]
    assert len(set(names)) == len(specs)


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (999, "999"), (999.7, "1k"), (23_744, "23.7k"), (1.2e9, "1.2B")]
)
def test_large_numbers_are_short(value: float, words: str) -> None:
    assert short(value) == words
