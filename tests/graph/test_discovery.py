"""Discovery finds the edges of simulated worlds and says in words what it cannot use."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import METHODS, TIER_RANK, discover, tier_of
from causalmix_core.probes import RunTable

FAST = [m for m in METHODS if m != "pc_kci"]
"""The kernel test takes minutes at these sizes; it has a small world of its own."""


def recovery(found, true):
    """(precision, recall)."""
    hit = len(found & true)
    return hit / max(len(found), 1), hit / len(true)


def edges_between(graph, source, target):
    return {(s, t) for s, t in graph.directed() if (tier_of(s), tier_of(t)) == (source, target)}


@pytest.mark.parametrize(
    ("method", "n", "least"),
    [
        ("boss", 512, {"precision": 0.95, "recall": 0.95}),
        ("boss", 128, {"precision": 0.9, "recall": 0.9}),
        ("ges", 512, {"precision": 0.95, "recall": 0.95}),
        ("pc", 512, {"precision": 0.8, "recall": 0.85}),
        ("fci", 512, {"precision": 0.8, "recall": 0.85}),
        ("lingam", 512, {"precision": 0.75, "recall": 0.95}),
    ],
)
def test_recovers_the_edges_of_known_worlds(make_world, method, n, least):
    counts = []
    for seed in range(3):
        world = make_world(n, seed)
        graph = discover(world.runs, method, by="ana").graph
        assert edges_between(graph, "state", "weight") == set()
        counts.append(
            [
                *recovery(edges_between(graph, "weight", "outcome"), world.weight_edges),
                *recovery(edges_between(graph, "state", "outcome"), world.state_edges),
            ]
        )
        assert graph.edge_between("state/s0", "state/s1") is not None
    weight_precision, weight_recall, state_precision, state_recall = np.mean(counts, axis=0)
    assert min(weight_precision, state_precision) >= least["precision"]
    assert min(weight_recall, state_recall) >= least["recall"]


@pytest.mark.parametrize("method", FAST)
def test_finds_the_pool_state_that_a_weight_followed(make_world, method):
    world = make_world(512, 1, assignment="observational")
    found = discover(world.runs, method, by="ana")
    assert ("state/s2", "weight/d0") in found.graph.directed()
    assert any("Weights sum to 1" in note for note in found.notes)
    for s, t in found.graph.directed():
        assert TIER_RANK[tier_of(s)] <= TIER_RANK[tier_of(t)]
        assert tier_of(s) != tier_of(t) or tier_of(s) == "state"


def test_two_domains_that_both_help_do_not_hide_each_other(make_world):
    """The best mixture lies inside: neither weight alone says anything about the outcome."""
    for seed in range(3):
        world = make_world(256, seed, domains=2, outcomes=2)
        graph = discover(world.runs, by="ana").graph
        assert edges_between(graph, "weight", "outcome") == world.weight_edges


def test_pool_state_that_is_the_sum_of_others_does_not_invent_edges(make_world):
    world = make_world(256, 0)
    frame = world.runs.frame.assign(**{"state/sum": lambda f: f["state/s0"] + f["state/s2"]})
    for method in ("boss", "ges", "pc"):
        graph = discover(RunTable.from_frame(frame), method, by="ana").graph
        assert world.weight_edges <= set(graph.directed())
        assert len(edges_between(graph, "weight", "outcome") - world.weight_edges) <= 2


def test_a_direction_that_the_data_cannot_tell_is_left_open(make_world):
    found = discover(make_world(512, 0).runs, by="ana")
    assert found.graph.undirected() == [("state/s0", "state/s1")]
    assert any("1 edge among pool state could not be given a direction" in note for note in found.notes)


def test_a_collider_among_pool_state_is_given_directions(make_world):
    runs = make_world(512, 0).runs
    rng = np.random.default_rng(0)
    frame = runs.frame.assign(**{"state/s0": rng.normal(size=512), "state/s2": rng.normal(size=512)})
    frame["state/s1"] = frame["state/s0"] + frame["state/s2"] + rng.normal(size=512)
    for method in ("boss", "ges", "pc"):
        graph = discover(RunTable.from_frame(frame), method, by="ana").graph
        assert {("state/s0", "state/s1"), ("state/s2", "state/s1")} <= set(graph.directed())


def test_edges_carry_method_settings_and_person(make_world):
    runs = make_world(64, 0).runs
    found = discover(runs, "boss", penalty=1.5, seed=3, by="ana")
    assert (found.method, found.runs) == ("boss", 64)
    provenance = found.graph.edges[0].provenance
    assert (provenance.kind, provenance.by) == ("discovered", "ana")
    assert provenance.detail == "BOSS, penalty 1.5, seed 3, 64 runs"
    assert any("drawn at random" in note for note in found.notes)


def test_constant_and_duplicate_columns_are_isolated_with_a_note(make_world):
    world = make_world(256, 0)
    frame = world.runs.frame.assign(**{"state/flat": 0.1, "state/s0_again": lambda f: 5 - 2 * f["state/s0"]})
    frame = frame.rename(columns={"loss/m0": "loss/a"}).assign(**{"loss/b": lambda f: f["loss/a"]})
    for method in FAST:
        found = discover(RunTable.from_frame(frame), method, by="ana")
        linked = {v for e in found.graph.edges for v in (e.source, e.target)}
        assert not linked & {"state/flat", "state/s0_again"}
        assert {n.id for n in found.graph.nodes} == set(frame.columns) - {"assignment"}
        notes = "\n".join(found.notes)
        assert "state/flat is the same in every run" in notes
        assert "state/s0_again moves exactly with state/s0" in notes
        assert found.graph.parents("loss/a") == found.graph.parents("loss/b") != []


def test_an_outcome_that_nothing_moves_is_named(make_world):
    frame = make_world(128, 0).runs.frame
    frame["loss/noise"] = np.random.default_rng(0).normal(size=128)
    found = discover(RunTable.from_frame(frame), by="ana")
    assert any(note.startswith("Nothing was found to influence loss/noise") for note in found.notes)


def test_too_few_runs_say_how_many_are_needed(make_world):
    with pytest.raises(CausalMixError, match="over 15 variables needs at least 20 runs; there are 19"):
        discover(make_world(19, 0).runs, by="ana")
    assert discover(make_world(20, 0).runs, by="ana").runs == 20


def test_a_table_with_more_columns_than_a_graph_holds_is_refused(make_world):
    frame = make_world(64, 0).runs.frame
    wide = pd.concat([frame, pd.DataFrame({f"state/x{i}": [0.0] * 64 for i in range(200)})], axis=1)
    with pytest.raises(
        CausalMixError, match="215 pool states, weights and outcomes; a graph holds at most 200"
    ):
        discover(RunTable.from_frame(wide), by="ana")


def test_missing_values_and_impossible_settings_are_refused(make_world):
    runs = make_world(64, 0).runs
    frame = runs.frame.copy()
    frame.loc[3, "state/s1"] = np.nan
    with pytest.raises(CausalMixError, match="state/s1 is missing or not finite"):
        discover(replace(runs, frame=frame), by="ana")
    with pytest.raises(CausalMixError, match=r"alpha is 1\.5"):
        discover(runs, "pc", alpha=1.5, by="ana")
    with pytest.raises(CausalMixError, match="penalty is nan"):
        discover(runs, penalty=float("nan"), by="ana")


@pytest.mark.parametrize("method", FAST)
def test_same_result_twice_in_silence_and_without_touching_global_randomness(make_world, method, capfd):
    runs = make_world(128, 2).runs
    random.seed(7)
    np.random.seed(7)
    expected = random.random(), np.random.random()
    random.seed(7)
    np.random.seed(7)
    first = discover(runs, method, seed=1, by="ana")
    assert (random.random(), np.random.random()) == expected
    again = discover(runs, method, seed=1, by="ana")
    assert [(e.text) for e in first.graph.edges] == [e.text for e in again.graph.edges]
    assert capfd.readouterr() == ("", "")


def test_the_hash_seed_of_the_process_does_not_matter():
    """Resamples are searched in several processes, and a graph must be found again tomorrow."""
    script = """
from benchmarks.discovery_recovery import make_world
from causalmix_core.graph import METHODS, discover
runs = make_world(2, shared=0).runs
for method in METHODS:
    if method != "pc_kci":
        print(method, [e.text for e in discover(runs, method, by="ana").graph.edges])
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    (same,) = said
    assert same.count("weight/d0 -> loss/") >= len(FAST)


def test_order_of_columns_and_rows_does_not_matter(make_world):
    runs = make_world(128, 4).runs
    shuffled = RunTable.from_frame(runs.frame.sample(frac=1, random_state=0)[runs.frame.columns[::-1]])
    for method in FAST:
        a, b = (discover(r, method, by="ana").graph for r in (runs, shuffled))
        assert [e.text for e in a.edges] == [e.text for e in b.edges]


def test_kernel_tests_see_what_is_not_linear():
    rng = np.random.default_rng(0)
    n = 120
    weights = rng.dirichlet(np.ones(2), n)
    state = rng.normal(size=n)
    frame = pd.DataFrame(
        {"weight/a": weights[:, 0], "weight/b": weights[:, 1], "state/s": state, "assignment": "randomised"}
    )
    frame["loss/bowl"] = state**2 + 0.3 * rng.normal(size=n)
    runs = RunTable.from_frame(frame)
    assert ("state/s", "loss/bowl") not in discover(runs, "pc", by="ana").graph.directed()
    assert discover(runs, "pc_kci", by="ana").graph.directed() == [("state/s", "loss/bowl")]


def test_a_table_too_large_for_kernel_tests_is_refused_in_words(make_world):
    with pytest.raises(CausalMixError, match=r"at most 10 variables \(there are 15\)"):
        discover(make_world(64, 0).runs, "pc_kci", by="ana")
    with pytest.raises(CausalMixError, match=r"at most 512 runs \(there are 513\)"):
        discover(make_world(513, 0, domains=2, states=3, outcomes=2).runs, "pc_kci", by="ana")


def test_fci_finds_a_hidden_common_cause():
    """A hidden H moves s1 and s2; a moves s1, b moves s2: only then a -> s1 <-> s2 <- b."""
    rng = np.random.default_rng(0)
    n = 2000
    hidden, a, b = rng.normal(size=(3, n))
    weights = rng.dirichlet(np.ones(2), n)
    frame = pd.DataFrame(
        {
            "state/a": a,
            "state/b": b,
            "state/s1": hidden + a + 0.5 * rng.normal(size=n),
            "state/s2": hidden + b + 0.5 * rng.normal(size=n),
            "weight/a": weights[:, 0],
            "weight/b": weights[:, 1],
            "loss/m": np.log(weights[:, 0] + 0.02) + rng.normal(size=n),
            "assignment": "randomised",
        }
    )
    graph = discover(RunTable.from_frame(frame), "fci", alpha=0.001, by="ana").graph
    assert [tuple(sorted(pair)) for pair in graph.bidirected()] == [("state/s1", "state/s2")]
    edges = {(e.source, e.target): e for e in graph.edges}
    for source, target in (("state/a", "state/s1"), ("state/b", "state/s2")):
        assert "hidden common cause" in edges[source, target].note
    # nothing hidden moves what was drawn at random
    drawn = [e for e in graph.edges if tier_of(e.source) == "weight"]
    assert drawn
    assert not any(e.note for e in drawn)


def test_lingam_gives_directions_on_noise_that_is_not_bell_shaped(make_world):
    rng = np.random.default_rng(0)
    frame = make_world(512, 0).runs.frame.copy()
    for chain in range(2):
        frame[f"state/s{2 * chain}"] = rng.uniform(-1, 1, 512)
    frame["state/s1"] = frame["state/s0"] + rng.uniform(-0.5, 0.5, 512)
    found = discover(RunTable.from_frame(frame), "lingam", by="ana")
    assert ("state/s0", "state/s1") in found.graph.directed()
    assert not any("bell-shaped" in note for note in found.notes)
    guessed = discover(make_world(512, 0).runs, "lingam", by="ana")
    assert any("bell-shaped" in note for note in guessed.notes)


def test_a_search_can_be_stopped(make_world):
    class StopError(Exception):
        pass

    def tick():
        raise StopError

    for method in FAST:
        with pytest.raises(StopError):
            discover(make_world(64, 0).runs, method, tick=tick, by="ana")


@pytest.mark.parametrize("states", [[], ["state/s0"]])
def test_one_pool_state_or_none_is_enough(make_world, states):
    world = make_world(256, 0)
    columns = [c for c in world.runs.frame if not c.startswith("state/") or c in states]
    runs = RunTable.from_frame(world.runs.frame[columns])
    for method in FAST:
        graph = discover(runs, method, by="ana").graph
        assert graph.tier("state") == states
        assert len(edges_between(graph, "weight", "outcome") & world.weight_edges) >= 8


@pytest.mark.parametrize("required", [frozenset(), frozenset({2})])
def test_dropping_a_cause_is_scored_as_a_fit_without_it(required):
    from causalmix_core.graph.discovery.score import Score

    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    data = np.column_stack([data, data[:, 0] + data[:, 1]])  # the last is a function of two
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    score = Score(data, 1.0, [required] * 7)
    for parents in ([0, 1, 4], [0, 1, 6]):
        everything = [*parents, *required]
        for dropped, value in zip(parents, score._without_each(5, parents), strict=True):
            kept = [u for u in everything if u != dropped]
            across = score.correlation[kept, 5]
            left = 1 - across @ np.linalg.pinv(score.correlation[np.ix_(kept, kept)]) @ across
            plain = -100 * np.log(left) - np.log(200) * (len(parents) - 1)
            assert value == pytest.approx(plain)
            assert score.score_nocache(5, [u for u in parents if u != dropped]) == pytest.approx(plain)
