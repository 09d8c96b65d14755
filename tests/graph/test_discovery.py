"""Discovery finds the edges of simulated worlds and says in words what it cannot use."""

import random
from dataclasses import replace

import numpy as np
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import TIER_RANK, discover, tier_of
from causalmix_core.probes import RunTable


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
        ("pc", 512, {"precision": 0.8, "recall": 0.85}),
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


@pytest.mark.parametrize("method", ["boss", "pc"])
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
    for method in ("boss", "pc"):
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
    for method in ("boss", "pc"):
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
    for method in ("boss", "pc"):
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


@pytest.mark.parametrize("method", ["boss", "pc"])
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


def test_order_of_columns_and_rows_does_not_matter(make_world):
    runs = make_world(128, 4).runs
    shuffled = RunTable.from_frame(runs.frame.sample(frac=1, random_state=0)[runs.frame.columns[::-1]])
    for method in ("boss", "pc"):
        a, b = (discover(r, method, by="ana").graph for r in (runs, shuffled))
        assert [e.text for e in a.edges] == [e.text for e in b.edges]
