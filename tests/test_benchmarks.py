"""The benchmark that retrains a suggestion, on tiny proxies: it must keep working and be honest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.suggestion_holds import compare, markdown, train_pairs
from causalmix_core.corpus import open_snapshot
from causalmix_core.mixture import mixture_record, save_mixture
from causalmix_core.probes import SwarmSpec, design_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace


def test_reference_and_suggestion_are_trained_in_pairs_on_new_seeds(
    workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec]
) -> None:
    from causalmix_core.effects import fit_effects

    swarm = tiny_swarm(probes=20)
    snapshot = open_snapshot(workspace)
    probes = design_swarm(swarm, snapshot.tokens())
    pool = load_token_pool(snapshot, swarm)
    run_shard(pool, snapshot.id, swarm, probes, job="j", device="cpu").to_parquet(
        workspace.runs / "j.parquet"
    )
    question = gather(workspace)
    model = fit_effects(question.runs, question.graph, objective=question.objective)
    weights = {"code": 0.1, "prose": 0.1, "sums": 0.8}
    record = mixture_record(question, model, weights, name="sums", by="test")
    save_mixture(workspace, record, None)

    rows = train_pairs(workspace, record, seeds=2)
    assert rows["arm"].tolist() == ["reference", "suggested"] * 2
    assert not set(rows["seed"]) & set(question.runs.frame["seed"])
    table = compare(rows, record).set_index("outcome")
    arms = rows.groupby("arm")["loss/sums"].mean()
    assert np.isclose(table.loc["loss/sums", "change"], arms["suggested"] - arms["reference"])
    # four fifths of arithmetic, and the loss on arithmetic falls on every seed
    assert table.loc["loss/sums", "better"] == "2/2"
    assert table.loc["objective", "predicted"] == record.predicted["objective"].change
    page = markdown(table.reset_index(), record, "command", 1.0)
    assert "| loss/sums |" in page
    assert any(words in page for words in ("lowers", "RAISES", "cannot be told"))


def test_every_view_of_a_large_pool_is_timed(workspace: Workspace) -> None:
    from benchmarks.corpus_scale import time_views, views

    lines = time_views(open_snapshot(workspace))
    rows = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in lines if line.startswith("| ")}
    assert set(views()) < set(rows)
    assert all(int(rows[name]) >= 0 for name in views())


def test_discovery_is_scored_against_the_graph_that_made_the_runs() -> None:
    from benchmarks.discovery_recovery import PLAIN, compare, make_world, markdown, score

    world = make_world(0, shared=0.5)
    assert score(world.edges, world.edges) == {
        "SHD": 0, "precision": 1, "recall": 1, "directions": 1, "SHD weights": 0,
    }  # fmt: skip
    turned = {("loss/m0", "weight/d0", "directed"), ("state/a", "state/b", "directed")}
    true = {("weight/d0", "loss/m0", "directed"), ("state/b", "state/c", "undirected")}
    scores = score(turned, true)
    assert (scores["SHD"], scores["precision"], scores["directions"], scores["SHD weights"]) == (3, 0.5, 0, 1)
    table = compare(1, 0.5)
    assert table["SHD"].iloc[0] < table.loc[PLAIN, "SHD"] / 2
    page = markdown({0.5: table}, {"BOSS": 30.0}, "command", 2)
    assert "at most half, as wanted" in page
    assert "MISSES the goal of" in page


def test_a_corpus_is_read_with_its_figures(tmp_path: Path) -> None:
    from benchmarks.corpus_scale import read

    for domain in ("code", "web"):
        (tmp_path / "corpus" / domain).mkdir(parents=True)
        lines = (json.dumps({"text": f"{domain} document {i} has some words"}) for i in range(30))
        (tmp_path / "corpus" / domain / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "corpus" / "MANIFEST.json").write_text("{}")
    report = "\n".join(read(tmp_path / "corpus", tmp_path / "workspace"))
    assert "| documents | 60 in 2 domains |" in report
    assert "GiB |" in report


@pytest.mark.parametrize("name", ["softmax", "power", "exponential", "random", "planted", "regmix"])
def test_true_effects_of_a_world_are_the_slopes_of_its_surface(name: str) -> None:
    from benchmarks import worlds

    tables = worlds.shared_tables()
    if name == "regmix" and tables is None:
        pytest.skip("RegMix's 1M tables are neither in shared/data/regmix_1m nor where REGMIX_1M points")
    if name == "softmax":
        world = worlds.draw_softmax_world(5, 0)
    elif name == "planted":
        world = worlds.draw_planted_world(0, law="power")
    elif name == "regmix" and tables is not None:
        world = worlds.draw_regmix_world(tables, 0)
    else:
        world = worlds.draw_law_world(0, law=name, state_dependent=True)  # type: ignore[arg-type]
    runs = world.runs(40, seed=1)
    assert runs.frame.equals(world.runs(40, seed=1).frame)
    mixture, state = runs.weights().mean(axis=0), runs.state()[3]
    effects = world.effects(state, mixture)
    assert np.abs(effects).max() > 1e-4
    # one more point of everything in proportion changes nothing: the defining property of the effect
    assert np.abs(mixture @ effects).max() < 0.02 * np.abs(effects).max()
    step = 1e-3 * (np.eye(len(mixture))[0] - mixture)
    states = np.tile(state, (2, 1))
    ends = world.surface(np.array([mixture - step, mixture + step]), states)
    assert effects[0] == pytest.approx((ends[1] - ends[0]) * 5, rel=0.02, abs=1e-3 * np.abs(effects).max())


def test_coverage_counts_the_intervals_that_hold_the_truth() -> None:
    from benchmarks.interval_coverage import markdown, measure, summary

    rows = measure(1, [24], ["gaussian_process"], say=False)
    assert set(rows["kind"]) == {"randomised", "confounded"}
    assert rows[["effects", "predictions"]].to_numpy().min() > 0.5
    assert (rows["effects width"] > rows["effects error"] / 3).all()
    assert summary(rows).shape[0] == 2
    lied = rows.assign(effects=0.5)
    assert "MISSED by gaussian_process: effects at 24 runs 0.500" in markdown(lied, "command")


def test_suggestions_are_judged_by_the_true_loss() -> None:
    from benchmarks.effect_accuracy import KEEP, KNOWN, Setting, goals, score, summary
    from benchmarks.worlds import draw_softmax_world

    setting = Setting("small", lambda seed: draw_softmax_world(3, seed), 48)
    rows = pd.DataFrame([{"seed": 0, **row} for row in score(setting, 0, ["gaussian_process"], pools=2)])
    mean = summary(rows)
    assert 0 <= mean.loc[KNOWN, "guess"] < mean.loc["gaussian_process", "guess"]
    assert mean.loc["gaussian_process", "sure"] <= mean.loc[KEEP, "sure"] * 1.1
    assert 0 < mean.loc["gaussian_process", "error"] < 2
    worse = mean.assign(sure=mean["sure"].where(mean.index == KEEP, 9.0))
    assert any("MISSED" in line for line in goals("softmax-10", worse))


def test_a_planted_confounder_is_scored_by_the_bias_that_it_leaves() -> None:
    from benchmarks.planted_confounder import markdown, score, summary, without_confounder
    from benchmarks.worlds import draw_planted_world
    from benchmarks.worlds.planted import CONFOUNDER

    world = draw_planted_world(0, law="power", domains=3)
    runs = world.runs(64, 0)
    assert CONFOUNDER not in without_confounder(runs).frame
    rows = score(world, runs, "gaussian_process", 0).assign(method="gaussian_process", world=0, seed=0)
    found = summary(rows).loc["gaussian_process"]
    assert found["adjusted bias"] < found["naive bias"]
    assert "reached" in markdown(rows.assign(adjusted=rows["truth"]), 64, "command")
    assert "MISSED" in markdown(rows.assign(adjusted=rows["naive"]), 64, "command")


def test_the_wait_for_effects_is_set_beside_its_goal() -> None:
    from benchmarks.effect_speed import markdown

    page = markdown({"first answer": 11.0, "leaderboard": 20.0, "reopened": 0.1}, "size", "command")
    assert "| first answer | 11.00 | 10 | MISSED |" in page
    assert "| reopened | 0.10 | 0.3 | reached |" in page
