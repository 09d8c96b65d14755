"""The benchmark that retrains a suggestion, on tiny proxies: it must keep working and be honest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

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
    record = mixture_record(question, model, weights, name="sums", by="test", policy="manual")
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
