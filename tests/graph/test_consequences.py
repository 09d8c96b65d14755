"""What a graph says about an effect, on graphs whose answer is known by hand, and against dowhy."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects.identification import identify
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.consequences import Consequences, Highlight, consequences, what_changed
from causalmix_core.graph.edits import delete_edge, forbid_edge, require_edge
from causalmix_core.graph.model import CausalGraph, Edge, Mark, Node, Provenance, tier_of
from causalmix_core.graph.operations import apply
from causalmix_core.graph.separation import Wiring, backdoor_graph, open_paths, separated, smallest_separator

NODES = ["state/a", "state/b", "state/c", "weight/x", "weight/y", "loss/x", "loss/y"]
MARKS: dict[str, Mark] = {"->": "directed", "-": "undirected", "<->": "bidirected"}
ASSUMED = Provenance(kind="assumed", by="test", at=datetime(2026, 1, 1, tzinfo=UTC))


def graph(*edges: str) -> CausalGraph:
    """A graph over `NODES` and the latents that the edges name; an edge reads `a -> b`."""
    parts = [e.split() for e in edges]
    latents = sorted({v for p in parts for v in p if v.startswith("latent/")})
    return CausalGraph(
        nodes=tuple(Node(id=n, tier=tier_of(n)) for n in [*NODES, *latents]),
        edges=tuple(Edge(source=s, target=t, mark=MARKS[m], provenance=ASSUMED) for s, m, t in parts),
    )


def ask(*edges: str, observed: list[str] | None = None) -> Consequences:
    return consequences(graph(*edges, "weight/x -> loss/x"), "weight/x", "loss/x", observed)


def roles(said: Consequences) -> dict[str, str]:
    return {v.id: v.role for v in said.variables}


def fixes(said: Consequences) -> set[str]:
    return {r.words for r in said.remedies}


def test_chain_from_pool_state_to_weight_to_loss_needs_nothing():
    said = ask("state/a -> weight/x")
    assert (said.verdict, said.adjustment, said.paths) == ("identified", (), ())
    assert roles(said)["state/a"] == "no open path"
    assert "it moves weight/x but not loss/x" in next(v.why for v in said.variables if v.id == "state/a")
    assert said.modifiers == ("state/a",)
    assert said.remedies == ()


def test_fork_is_closed_by_its_common_cause():
    said = ask("state/a -> weight/x", "state/a -> loss/x")
    assert (said.verdict, said.adjustment) == ("identified", ("state/a",))
    first = said.variables[0]
    assert (first.id, first.held_fixed, first.role) == ("state/a", True, "common cause")
    assert first.why == "common cause of weight/x and loss/x"
    (path,) = said.paths
    assert path.text == "weight/x <- state/a -> loss/x"
    assert (path.closed, path.why) == (True, "closed by holding state/a fixed")
    assert path.highlight == Highlight(
        nodes=("weight/x", "state/a", "loss/x"), edges=(("state/a", "weight/x"), ("state/a", "loss/x"))
    )
    assert said.effect == Highlight(nodes=("loss/x", "weight/x"), edges=(("weight/x", "loss/x"),))


def test_what_only_moves_the_loss_is_left_alone_and_other_losses_come_after():
    said = ask("state/a -> loss/x", "weight/x -> loss/y")
    assert (said.adjustment, said.paths) == ((), ())
    assert roles(said) == {
        "state/a": "no open path", "state/b": "no open path", "state/c": "no open path",
        "weight/y": "other weight", "loss/y": "after the weight",
    }  # fmt: skip


def test_m_bias_names_the_collider():
    said = ask("latent/u -> weight/x", "latent/u -> state/b", "latent/v -> state/b", "latent/v -> loss/x")
    assert (said.verdict, said.adjustment, said.paths) == ("identified", (), ())
    assert roles(said)["state/b"] == "collider"
    assert roles(said)["latent/u"] == "not measured"


def test_butterfly_holds_the_collider_and_one_wing_fixed():
    """M-bias whose middle is also a common cause: the middle alone opens the M."""
    said = ask(
        "state/a -> weight/x", "state/a -> state/b", "state/c -> state/b", "state/c -> loss/x",
        "state/b -> weight/x", "state/b -> loss/x",
    )  # fmt: skip
    assert said.verdict == "identified"
    assert "state/b" in said.adjustment
    assert len(said.adjustment) == 2
    assert all(p.closed for p in said.paths)
    hidden_wings = ask(
        "weight/x <-> state/b", "state/b <-> loss/x", "state/b -> weight/x", "state/b -> loss/x"
    )
    assert hidden_wings.verdict == "not identified"
    opened = [p for p in hidden_wings.paths if "opens as soon as state/b is held fixed" in p.why]
    assert [p.text for p in opened] == ["weight/x <-> state/b <-> loss/x"]
    assert roles(hidden_wings)["state/b"] == "not enough"


@pytest.mark.parametrize(
    "edges",
    [("latent/u -> weight/x", "latent/u -> loss/x"), ("weight/x <-> loss/x",)],
)
def test_latent_common_cause_leaves_no_way_but_an_edit(edges):
    """There is no front door either: nothing lies between a weight and a loss."""
    said = ask(*edges)
    assert (said.verdict, said.adjustment) == ("not identified", ())
    assert [p.closed for p in said.paths] == [False]
    assert "nothing on it was measured" in said.reason
    assert {r.kinds for r in said.remedies} >= {("measure",), ("remove",), ("randomise",)}
    for remedy in said.remedies:
        after = graph(*edges, "weight/x -> loss/x")
        for operation in remedy.operations:
            after = apply(after, operation, by="test")
        if remedy.operations:
            assert consequences(after, "weight/x", "loss/x").verdict == "identified"
            assert ("weight/x", "loss/x") in after.directed()


def test_state_that_was_not_measured_in_the_runs():
    edges = ("state/a -> weight/x", "state/a -> loss/x")
    said = ask(*edges, observed=["state/b", "state/c"])
    assert said.verdict == "not identified"
    assert "measure state/a" in fixes(said)
    assert roles(said)["state/a"] == "not measured"
    assert said.modifiers == ()
    behind = ask("state/a -> state/b", "state/b -> weight/x", "state/a -> loss/x", observed=["state/b"])
    assert (behind.verdict, behind.adjustment) == ("identified", ("state/b",))


def test_no_path_is_zero_by_assumption_even_where_the_others_are_confounded():
    said = consequences(graph("weight/x -> loss/x", "weight/x <-> loss/x"), "weight/y", "loss/x")
    assert said.verdict == "excluded"
    assert "zero by assumption" in said.reason
    assert said.remedies == ()
    nothing = consequences(graph(), "weight/y", "loss/x")
    assert "No weight has a path to loss/x" in nothing.reason


def test_another_weights_confounder_concerns_every_weight_of_the_decision():
    said = ask("weight/y -> loss/x", "weight/y <-> loss/x")
    assert said.verdict == "not identified"
    assert said.treatments == ("weight/x", "weight/y")
    assert "The weights are one decision, so this concerns weight/x too" in said.reason


def test_required_edges_and_forbidden_directions_are_not_among_the_edits():
    edges = ("latent/u -> state/a", "state/a -> weight/x", "latent/u -> loss/x", "weight/x -> loss/x")
    drawn = graph(*edges)
    free = {o for r in consequences(drawn, "weight/x", "loss/x", []).remedies for o in r.operations}
    assert {(o.source, o.target) for o in free} == {tuple(e.split(" -> ")) for e in edges[:3]}
    drawn = require_edge(drawn, "state/a", "weight/x", by="ana")
    drawn = require_edge(drawn, "latent/u", "loss/x", by="ana")
    said = consequences(drawn, "weight/x", "loss/x", [])
    assert {(o.source, o.target) for r in said.remedies for o in r.operations} == {("latent/u", "state/a")}


def test_two_open_paths_ask_for_two_edits_at_once():
    said = ask("weight/x <-> loss/x", "latent/u -> weight/x", "latent/u -> loss/x")
    pairs = [r for r in said.remedies if r.kinds != ("randomise",)]
    assert pairs
    assert all(len(r.kinds) == 2 for r in pairs)
    assert any(
        {(o.kind, o.source, o.target) for o in r.operations}
        == {("delete", "weight/x", "loss/x"), ("delete", "latent/u", "loss/x")}
        for r in pairs
    ), fixes(said)


def test_a_direction_decides_and_turning_it_is_offered():
    """state/b as a collider blocks; turned into a common cause of the unmeasured kind it does not."""
    open_ = ask("state/a -> state/b", "state/a -> weight/x", "state/b -> loss/x", observed=["state/c"])
    assert open_.verdict == "not identified"
    turned = graph("state/c -> state/b", "state/a -> state/c", "state/a -> weight/x", "state/b -> loss/x",
                   "weight/x -> loss/x")  # fmt: skip
    said = consequences(turned, "weight/x", "loss/x", ["state/none"])
    kinds = {
        (k, o.source, o.target) for r in said.remedies for k, o in zip(r.kinds, r.operations, strict=False)
    }
    assert ("reverse", "state/c", "state/b") in kinds
    barred = forbid_edge(turned, "state/b", "state/c", by="ana")
    again = consequences(barred, "weight/x", "loss/x", ["state/none"])
    assert not any(r.kinds == ("reverse",) and r.operations[0].source == "state/c" for r in again.remedies)


def test_an_edge_without_direction_is_drawn_so_and_orienting_it_may_be_enough():
    edges = ("weight/x <-> state/b", "state/a - state/b", "state/a -> loss/x")
    said = ask(*edges, observed=["state/c"])
    assert [p.text for p in said.paths] == ["weight/x <-> state/b - state/a -> loss/x"]
    (orient,) = (r for r in said.remedies if r.kinds == ("orient",))
    assert orient.words == "orient state/b - state/a as state/a -> state/b"
    after = apply(graph(*edges, "weight/x -> loss/x"), orient.operations[0], by="test")
    assert ("state/a", "state/b") in after.directed()
    assert consequences(after, "weight/x", "loss/x", ["state/c"]).verdict == "identified"


def test_unknown_names_say_what_there_is():
    with pytest.raises(CausalMixError, match="no weight weight/z; it has: weight/x, weight/y"):
        consequences(graph(), "weight/z", "loss/x")
    with pytest.raises(CausalMixError, match="no outcome loss/z; it has: loss/x, loss/y"):
        consequences(graph(), "weight/x", "loss/z")


def test_what_changed_is_said_per_outcome():
    before = graph("weight/x -> loss/x", "weight/y -> loss/x", "state/a -> loss/x", "weight/x -> loss/y")
    assert what_changed(before, before) == []
    after = delete_edge(before, "weight/y", "loss/x", by="ana")
    assert what_changed(before, after) == ["loss/x: domain y is now excluded: no effect of its own"]
    assert what_changed(after, before) == [
        "loss/x: domain y is no longer excluded: its own effect is estimated"
    ]
    adjusted = graph(
        "weight/x -> loss/x", "weight/y -> loss/x", "state/a -> loss/x", "weight/x -> loss/y",
        "state/a -> weight/x",
    )  # fmt: skip
    assert what_changed(before, adjusted) == [
        "loss/x: state/a is now held fixed",
        "loss/y: the effect may now differ by state/a",
    ]
    confounded = graph(
        "weight/x -> loss/x", "weight/y -> loss/x", "state/a -> loss/x", "weight/x -> loss/y",
        "weight/x <-> loss/x",
    )  # fmt: skip
    assert what_changed(before, confounded) == [
        "loss/x: the effect is no longer identified: weight/x <-> loss/x stays open"
    ]
    assert what_changed(confounded, before) == ["loss/x: the effect is now identified"]


def test_a_dense_graph_lists_a_few_paths_and_says_that_there_are_more():
    states = [f"state/s{i}" for i in range(14)]
    edges = [(a, b) for i, a in enumerate(states) for b in states[i + 1 :]]
    edges += [(s, t) for s in states for t in ("weight/x", "loss/x")] + [("weight/x", "loss/x")]
    dense = CausalGraph(
        nodes=tuple(Node(id=n, tier=tier_of(n)) for n in [*states, "weight/x", "loss/x"]),
        edges=tuple(Edge(source=s, target=t, provenance=ASSUMED) for s, t in edges),
    )
    said = consequences(dense, "weight/x", "loss/x")
    assert said.adjustment == tuple(sorted(states))
    assert said.more_paths
    assert 10 <= len(said.paths) <= 30
    assert {len(p.nodes) for p in said.paths} == {3}


def random_graph(seed: int) -> CausalGraph:
    """Up to three of each tier, latents and every kind of edge that the tiers permit."""
    rng = random.Random(seed)
    order = ["latent/u", "latent/v", *NODES]
    edges: list[Edge] = []
    density = rng.uniform(0.15, 0.6)
    for i, s in enumerate(order):
        for t in order[i + 1 :]:
            a, b = tier_of(s), tier_of(t)
            if a == b != "state" or rng.random() > density:
                continue
            mark: Mark = "undirected" if a == b and rng.random() < 0.3 else "directed"
            edges.append(Edge(source=s, target=t, mark=mark, provenance=ASSUMED))
    for i, s in enumerate(NODES):
        for t in NODES[i + 1 :]:
            if not tier_of(s) == tier_of(t) == "weight" and rng.random() < density / 4:
                edges.append(Edge(source=s, target=t, mark="bidirected", provenance=ASSUMED))
    return CausalGraph(nodes=tuple(Node(id=n, tier=tier_of(n)) for n in order), edges=tuple(edges))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.sampled_from(["state/a", "state/b", "state/c"])))
def test_agrees_with_the_identification_of_dowhy(seed, observed):
    drawn = random_graph(seed)
    for outcome in drawn.tier("outcome"):
        theirs = identify(drawn, outcome, observed)
        for weight in drawn.tier("weight"):
            ours = consequences(drawn, weight, outcome, observed)
            assert (ours.treatments, ours.adjustment) == (theirs.treatments, theirs.adjustment)
            assert ours.modifiers == theirs.modifiers
            assert (ours.verdict == "excluded") == (weight in theirs.excluded)
            if ours.verdict != "excluded":
                assert (ours.verdict == "identified") == theirs.identified
                assert theirs.identified == all(p.closed for p in ours.paths)
                assert theirs.identified == (ours.remedies == ())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_every_edit_that_is_offered_identifies_the_effect(seed):
    drawn = random_graph(seed)
    said = consequences(drawn, "weight/x", "loss/x", ["state/a", "state/b"])
    for remedy in said.remedies:
        after = drawn
        for operation in remedy.operations:
            after = apply(after, operation, by="test")
        if remedy.operations:
            assert consequences(after, "weight/x", "loss/x", ["state/a", "state/b"]).verdict == "identified"
            assert len(remedy.operations) == len(remedy.kinds) <= 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.sampled_from(["state/a", "state/b", "state/c"])))
def test_there_is_an_open_path_exactly_where_d_separation_fails(seed, held):
    wiring = Wiring.of(random_graph(seed))
    paths, complete = open_paths(wiring, wiring.dag, ["weight/x"], "loss/x", held, most=10**6)
    assert complete
    closed = nx.is_d_separator(wiring.dag, {"weight/x"}, {"loss/x"}, held)
    assert closed == (not paths) == separated(wiring.dag, {"weight/x"}, "loss/x", held)
    assert len({p.text for p in paths}) == len(paths)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.sampled_from(["state/a", "state/b", "state/c", "weight/x"])))
def test_the_smallest_separator_is_that_of_networkx(seed, allowed):
    dag = Wiring.of(random_graph(seed)).dag
    theirs = nx.find_minimal_d_separator(dag, {"weight/y"}, {"loss/y"}, restricted=allowed)
    assert smallest_separator(dag, ["weight/y"], "loss/y", allowed) == theirs


def test_the_backdoor_graph_is_that_of_dowhy():
    from dowhy.graph import get_proper_backdoor_graph

    for seed in range(20):
        dag = random_graph(seed).to_networkx()
        assert set(Wiring.of(random_graph(seed)).dag.edges) == set(dag.edges)
        treatments = [w for w in ("weight/x", "weight/y") if nx.has_path(dag, w, "loss/x")]
        if treatments:
            theirs = get_proper_backdoor_graph(dag, treatments, ["loss/x"])
            assert set(backdoor_graph(dag, treatments, "loss/x").edges) == set(theirs.edges)
