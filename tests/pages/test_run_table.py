"""The run table on the probes page: what it says, what can be marked, and what its charts draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from causalmix_core.corpus import open_snapshot
from causalmix_core.probes import all_runs, read_exclusions, read_runs
from causalmix_core.proxy import PRESETS
from causalmix_core.workspace import Workspace
from pages.probe_views.run_pictures import Drawn, default_axes, drawable, lower_is_better
from pages.probe_views.run_table import column_order
from pages.widgets import run_charts

DOMAINS = ("code", "prose", "sums")
DAY = pd.Timestamp("2026-01-01", tz="UTC")


def rows(job: str, n: int, seed: int, domains: tuple[str, ...] = DOMAINS, **columns: object) -> pd.DataFrame:
    """Probes of a known world: each loss falls with its own weight, and no two are equal."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(len(domains)), n)
    losses = 3 - np.log(weights + 0.1)
    points = [json.dumps([{"tokens": 9, **{f"loss/{d}": float(v) for d, v in zip(domains, r, strict=True)}}])
              for r in losses]  # fmt: skip
    base = {
        "run": [f"{job}-{i}" for i in range(n)],
        "job": job,
        "status": "finished",
        "snapshot": "s1",
        "seed": seed,
        "proxy": PRESETS["nano"].model_dump_json(),
        "finished_at": DAY,
        **{f"weight/{d}": weights[:, i] for i, d in enumerate(domains)},
        "state/x": rng.normal(size=n),
        **{f"loss/{d}": losses[:, i] for i, d in enumerate(domains)},
        "trajectory": points,
    }
    return pd.DataFrame(base | columns)


@pytest.fixture
def trained(workspace: Workspace) -> Workspace:
    """A workspace with two swarms, one of another proxy, and a failed probe."""
    snapshot = open_snapshot(workspace).id
    rows("old", 4, 0, snapshot=snapshot, proxy="small", finished_at=DAY - pd.Timedelta("1D")).to_parquet(
        workspace.runs / "old.parquet"
    )
    new = rows("new", 8, 1, snapshot=snapshot)
    new.loc[7, ["status", "loss/code"]] = ["failed", np.nan]
    new.to_parquet(workspace.runs / "new.parquet")
    return workspace


def script() -> None:
    from causalmix_core.corpus import open_snapshot
    from pages.probe_views import run_table
    from pages.widgets.shell import open_workspace

    workspace = open_workspace()
    run_table.show(workspace, open_snapshot(workspace).id)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch):
    def run(workspace: Workspace) -> AppTest:
        monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
        at = AppTest.from_function(script, default_timeout=60).run()
        assert not at.exception
        return at

    return run


def select(at: AppTest, *runs: str) -> AppTest:
    """Tick rows of the table, as the browser reports it."""
    shown = at.dataframe[0].value["run"].tolist()
    key = at.dataframe[0].proto.id.partition("-runs_table")
    key = key[1][1:] + key[2]
    at.session_state[key] = {
        "selection": {"rows": [shown.index(r) for r in runs], "columns": [], "cells": []}
    }
    at.run()
    assert not at.exception
    return at


def press(at: AppTest, key: str) -> AppTest:
    next(b for b in at.button if b.key == key).click().run()
    assert not at.exception
    return at


# ---- the view


def test_the_view_says_what_counts_and_lists_the_best_first(trained: Workspace, page) -> None:
    at = page(trained)
    assert "Effects use **7 of 12 probes**; left out: 4 of another proxy, 1 failed." in at.markdown[0].value
    table = at.dataframe[0].value
    assert len(table) == 12
    used = table[table["use"] == "used"]
    assert used["objective"].is_monotonic_increasing
    assert used[["weight/code", "weight/prose", "weight/sums"]].sum(axis=1).to_numpy() == pytest.approx(100)
    assert table["use"].iloc[-1] == "failed"
    assert any("Not drawn: 1 failed; 4 of another proxy" in c.value for c in at.caption)
    at.selectbox(key="runs_show").select("used").run()
    assert sorted(at.dataframe[0].value["run"]) == [f"new-{i}" for i in range(7)]
    at.multiselect(key="runs_swarm").select("old").run()
    assert "No probe meets" in at.info[0].value


def test_runs_are_excluded_with_a_reason_and_included_again(trained: Workspace, page) -> None:
    at = select(page(trained), "new-2", "new-7", "new-4")
    press(at, "runs_do_exclude")
    assert "Say why" in at.error[0].value
    assert read_exclusions(trained.runs) == {}
    next(t for t in at.text_input if str(t.key).startswith("runs_reason")).input("wrong half").run()
    press(at, "runs_do_exclude")
    marks = read_exclusions(trained.runs)
    assert sorted(marks) == ["new-2", "new-4", "new-7"]
    assert {m.reason for m in marks.values()} == {"wrong half"}
    assert "3 probes are excluded" in at.toast[0].value
    assert "1 failed, 2 excluded" in at.markdown[0].value
    assert "new-2" not in at.dataframe[0].value["run"].tolist()
    assert not at.error
    assert len(read_runs(trained.runs)) == 5

    at.selectbox(key="runs_show").select("excluded").run()
    table = at.dataframe[0].value.set_index("run")
    assert table.loc["new-4", ["use", "reason"]].tolist() == ["excluded", "wrong half"]
    press(select(at, "new-4"), "runs_include")
    assert sorted(read_exclusions(trained.runs)) == ["new-2", "new-7"]
    assert len(read_runs(trained.runs)) == 6


@pytest.mark.parametrize("chart", ["parallel", "mixtures", "weight", "curves"])
def test_every_chart_is_drawn_with_and_without_a_selection(trained: Workspace, page, chart: str) -> None:
    at = page(trained)
    at.session_state["runs_chart"] = chart
    at.run()
    assert not at.exception
    assert len(at.get("plotly_chart")) == 1
    select(at, "new-1", "new-3", "old-0")
    assert len(at.get("plotly_chart")) == 1


def test_without_runs_the_next_step_is_a_design(workspace: Workspace, page) -> None:
    at = page(workspace)
    assert "No probe has finished yet" in at.markdown[0].value
    assert [b.label for b in at.button] == ["Design a swarm", "Import runs"]
    assert not at.dataframe


def test_damaged_marks_are_named_in_words(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (trained.runs / "excluded.json").write_text("{")
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(trained.root))
    at = AppTest.from_function(script, default_timeout=60).run()
    assert not at.exception
    assert "excluded.json is damaged" in at.error[0].value


# ---- what stands in one chart


def test_only_probes_that_compare_are_drawn_together(tmp_path: Path) -> None:
    rows("used", 3, 0).to_parquet(tmp_path / "a.parquet")
    rows("proxy", 2, 1, proxy="small", finished_at=DAY - pd.Timedelta("1D")).to_parquet(
        tmp_path / "b.parquet"
    )
    rows("pool", 2, 2, snapshot="s2").to_parquet(tmp_path / "c.parquet")
    rows("bad", 1, 3, status="failed").to_parquet(tmp_path / "d.parquet")
    rows("more", 2, 4, (*DOMAINS, "web")).to_parquet(tmp_path / "e.parquet")
    frame = all_runs(tmp_path, snapshot="s1")
    frame = frame.sort_values("run", key=lambda r: ~r.str.startswith("used"), ignore_index=True)
    drawn = drawable(frame)
    assert drawn.frame["run"].tolist() == ["used-0", "used-1", "used-2"]
    assert drawn.domains == ["code", "prose", "sums"]
    assert drawn.outcomes == ["objective", "loss/code", "loss/prose", "loss/sums"]
    assert [words.split()[0] for words in drawn.left_out] == ["1", "2", "2", "2"]
    # Without any that effects use, those like the newest.
    rest = drawable(frame[frame["job"].isin(["proxy", "pool", "bad"])])
    assert rest.frame["run"].tolist() == ["pool-0", "pool-1"]
    assert drawable(frame[frame["job"] == "bad"]).outcomes == []


def test_imported_runs_have_neither_time_nor_proxy_and_are_drawn(tmp_path: Path) -> None:
    columns = ["run", "status", "snapshot", *(f"{kind}/{d}" for kind in ("weight", "loss") for d in DOMAINS)]
    rows("i", 5, 0)[columns].to_parquet(tmp_path / "i.parquet")
    frame = all_runs(tmp_path)
    assert len(drawable(frame).frame) == 5
    assert not {"job", "proxy_name", "finished_at", "reason"} & set(column_order(frame))


def many(n: int = 60) -> Drawn:
    """Probes of twelve domains, where one weight and one loss go with the objective alone."""
    rng = np.random.default_rng(0)
    domains = [f"d{i:02d}" for i in range(12)]
    weights = rng.dirichlet(np.ones(12), n)
    frame = pd.DataFrame({f"weight/{d}": weights[:, i] for i, d in enumerate(domains)})
    frame["objective"] = 3 - frame["weight/d07"]
    for d in domains:
        frame[f"loss/{d}"] = 3 + rng.normal(size=n)
    frame["loss/d03"] = -frame["objective"]
    frame["run"], frame["excluded"] = [f"r{i}" for i in range(n)], False
    return Drawn(frame, domains, ["objective", *(f"loss/{d}" for d in domains)], [])


def test_a_readable_number_of_axes_shows_what_matters_for_the_outcome() -> None:
    axes = default_axes(many(), "objective")
    assert len(axes) == run_charts.MOST_AXES
    assert axes == sorted(axes, key=lambda a: (not a.startswith("weight/"), a == "objective", a))
    assert "weight/d07" in axes
    assert "loss/d03" in axes  # what the objective is traded against
    assert axes[-1] == "objective"
    few = Drawn(many().frame, ["d00", "d01"], ["objective", "loss/d00"], [])
    assert default_axes(few, "loss/d00") == ["weight/d00", "weight/d01", "loss/d00", "objective"]


# ---- figures


def test_selected_lines_lie_on_top_of_the_others_and_the_best_on_top_of_all() -> None:
    frame = many().frame
    axes = [run_charts.Axis(c, frame[c], c.startswith("weight/")) for c in ("weight/d07", "objective")]
    colour = frame["objective"]
    line = run_charts.parallel(axes, colour, "objective").data[0].line
    heights = pd.Series(line.color)
    assert heights.corr(-colour, method="spearman") > 0.99
    assert (line.cmin, line.cmax) == pytest.approx(sorted(-v for v in run_charts.shade_range(colour)))
    picked = frame["run"].isin(["r3", "r5"])
    figure = run_charts.parallel(axes, colour, "objective", picked)
    heights = pd.Series(figure.data[0].line.color)
    assert heights[~picked].nunique() == 1
    assert heights[picked].min() > heights[~picked].max()
    scale = figure.data[0].line.colorscale
    assert [at for at, _ in scale] == sorted(at for at, _ in scale)
    assert (scale[0][0], scale[-1][0]) == (0, 1)
    assert figure.data[0].dimensions[0].range[0] == 0
    assert max(figure.data[0].dimensions[0].values) <= 100


@pytest.mark.parametrize("count", [2, 3, 12])
def test_mixtures_are_coloured_by_outcome_and_selected_ones_ringed(count: int) -> None:
    drawn = many()
    frame = drawn.frame.assign(excluded=drawn.frame["run"] == "r1")
    domains = drawn.domains[:count]
    figure, n = run_charts.mixtures_by_outcome(
        frame, domains, dict.fromkeys(domains, 1 / count), frame["objective"], "objective", {"r0"}
    )
    assert n == len(frame)
    dots = [t for t in figure.data if t.marker.coloraxis]
    assert len(dots) == (1 if count == 3 else count * (count - 1) // 2 if count < 6 else 15)
    for trace in dots:
        runs = pd.Series([words.split("<br>")[0] for words in trace.customdata])
        values = frame.set_index("run").loc[runs, "objective"].to_numpy()
        assert np.asarray(trace.marker.color) == pytest.approx(values)
        sizes = pd.Series(trace.marker.size, index=runs)
        assert sizes["r0"] > sizes.drop("r0").max()
        assert pd.Series(trace.marker.symbol, index=runs)["r1"] == "circle-open"
        assert values[-1] == values.min()  # drawn last, on top


def test_where_higher_is_better_high_is_blue_and_on_top() -> None:
    frame = many().frame
    score = (-frame["objective"]).rename("benchmark/quiz")
    axes = [run_charts.Axis("quiz", score, False)] * 2
    line = run_charts.parallel(axes, score, "quiz", lower=False).data[0].line
    assert pd.Series(line.color).corr(score, method="spearman") > 0.99
    assert line.colorscale[-1][1] == run_charts.shade()[0][1]
    figure, _ = run_charts.mixtures_by_outcome(
        frame,
        ["d00", "d01", "d02"],
        dict.fromkeys(["d00", "d01", "d02"], 1 / 3),
        score,
        "quiz",
        (),
        lower=False,
    )
    assert figure.layout.coloraxis.colorscale[-1][1] == run_charts.shade()[0][1]
    assert figure.data[0].marker.color[-1] == score.max()


def test_benchmarks_are_outcomes_with_a_direction(tmp_path: Path) -> None:
    score = np.linspace(0.2, 0.9, 5)
    columns = {"benchmark/quiz": score, "benchmark-loss/lines": 1 / score, "bpb/code": 1.0}
    rows("b", 5, 0, **columns).to_parquet(tmp_path / "b.parquet")
    frame = all_runs(tmp_path)
    assert drawable(frame).outcomes[-2:] == ["benchmark/quiz", "benchmark-loss/lines"]
    assert [lower_is_better(o) for o in drawable(frame).outcomes[-2:]] == [False, True]
    shown = column_order(frame)
    assert shown.index("loss/sums") < shown.index("benchmark/quiz") < shown.index("bpb/code")


def test_of_very_many_probes_a_part_spans_all_outcomes() -> None:
    colour = pd.Series(np.random.default_rng(0).normal(size=5000))
    always = pd.Series(False, index=colour.index)
    always[[17, 18]] = True
    index = run_charts.spread(colour, 100, always)
    assert 100 <= len(index) <= 102
    assert {17, 18, colour.idxmin(), colour.idxmax()} <= set(index)
    assert colour[index].is_monotonic_decreasing
    assert len(run_charts.spread(colour, 5000, always)) == 5000


@pytest.mark.parametrize("values", [[1.0, 1.0], [1.0, np.nan], [2.0]])
def test_colours_and_axes_of_equal_outcomes_have_a_length(values: list[float]) -> None:
    series = pd.Series(values)
    low, high = run_charts.shade_range(series)
    assert low < high
    figure = run_charts.parallel([run_charts.Axis("a", series, False)] * 2, series, "a")
    assert figure.data[0].dimensions[0].range[0] < figure.data[0].dimensions[0].range[1]


def test_curves_are_named_where_they_are_few() -> None:
    three = run_charts.three_curves(["a", "b", "c", "d", "e"])
    assert [(c.run, c.name) for c in three] == [("a", "best: a"), ("c", "median: c"), ("e", "worst: e")]
    assert [c.run for c in run_charts.three_curves(["a"])] == ["a"]
    few = run_charts.chosen_curves(list("abc"))
    assert [c.name for c in few] == ["a", "b", "c"]
    assert len({c.colour for c in few}) == 3
    many_curves = run_charts.chosen_curves([str(i) for i in range(20)])
    assert {c.name for c in many_curves} == {None}
    assert many_curves[0].colour == run_charts.shade()[0][1]
    assert many_curves[-1].colour == run_charts.shade()[-1][1]


def test_curves_have_a_panel_per_domain() -> None:
    table = pd.DataFrame(
        [(run, t, d, 1.0 / t, 2.0) for run in "ab" for t in (1, 2) for d in ("x", "y", "z", "w")],
        columns=["run", "tokens", "domain", "loss", "bpb"],
    )
    figure = run_charts.curves(table, run_charts.chosen_curves(["a", "b", "absent"]), "loss")
    assert sorted(a.text for a in figure.layout.annotations) == ["w", "x", "y", "z"]
    assert len(figure.data) == 8
    assert sum(t.showlegend for t in figure.data) == 2
    assert all(list(t.y) == [1.0, 0.5] for t in figure.data)
    assert all(
        set(t.y) == {2.0} for t in run_charts.curves(table, run_charts.chosen_curves(["a"]), "bpb").data
    )
