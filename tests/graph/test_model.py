"""A graph that exists is acyclic and respects tiers and rules; what it says follows from its marks."""

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import MOST_NODES, TIER_RANK, CausalGraph, Node, nodes_of, saturated_graph, tier_of
from causalmix_core.probes import RunTable
from tests.graph.drawing import IDS, edge_of, graph_of, graphs


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        (["a>b", "a>b"], "two edges between"),
        (["a>b", "b>a"], "two edges between"),
        (["a>a"], "two different nodes"),
        (["a>state/nowhere"], "there is no node state/nowhere"),
        (["weight/x>a"], "causes come first"),
        (["loss/x>weight/x"], "causes come first"),
        (["weight/x>weight/y"], "one decision"),
        (["loss/x>loss/y"], "same moment of the same proxy"),
        (["weight/x-loss/y"], "only an edge between pool states can lack a direction"),
        (["weight/x~weight/y"], "one decision"),
        (["latent/u~a"], "draw an edge from it to what it causes"),
        (["a>latent/u"], "what causes a latent is left out"),
        (["latent/u-a"], "only an edge between pool states can lack a direction"),
        (["a~b", "b~a"], "two edges between"),
        (["a-b", "a>b"], "two edges between"),
        (["a>b", "b>c", "c>a"], "cycle: state/a -> state/b -> state/c -> state/a"),
    ],
)
def test_invalid_graph_is_refused(edges, words):
    with pytest.raises(ValidationError) as caught:
        graph_of(*edges, ids=(*IDS, "latent/u"))
    assert words in str(caught.value)


def test_node_twice_and_tier_that_contradicts_the_id_are_refused():
    with pytest.raises(ValidationError, match="state/a stands in the graph twice"):
        graph_of(ids=("state/a", "state/a"))
    with pytest.raises(ValidationError, match="loss/x is an outcome, not 'weight'"):
        Node(id="loss/x", tier="weight")


def test_extension_makes_no_new_collider():
    graph = graph_of("a>b", "b-c")
    assert graph.oriented_by_convention() == [("state/b", "state/c")]
    chain = graph_of("a-b", "b-c").to_networkx()
    assert chain.in_degree("state/b") < 2


def test_extension_exists_even_where_every_choice_makes_a_collider():
    ids = (*IDS, "state/d")
    graph = graph_of("a>b", "c>d", "b-d", ids=ids)
    assert nx.is_directed_acyclic_graph(graph.to_networkx())
    assert graph.oriented_by_convention() == [("state/b", "state/d")]


def test_paths_follow_arrows_and_cannot_rule_out_undirected_edges():
    graph = graph_of("a-b", "b>weight/x", "weight/x>loss/x")
    assert graph.has_path("state/a", "loss/x")
    assert graph.has_path("state/b", "state/a")
    assert not graph.has_path("weight/x", "state/a")
    assert not graph.has_path("state/a", "loss/y")
    assert graph.parents("weight/x") == ["state/b"]
    assert graph.parents("state/a") == []
    with pytest.raises(CausalMixError, match="There is no node loss/z"):
        graph.has_path("state/a", "loss/z")
    with pytest.raises(CausalMixError, match="There is no node loss/z"):
        graph.parents("loss/z")


def test_saturated_graph_links_every_cause_to_every_outcome():
    frame = pd.DataFrame(
        {"weight/x": [0.5], "weight/y": [0.5], "state/a": [1.0], "loss/x": [2.0], "loss/y": [2.0]}
    )
    runs = RunTable.from_frame(frame)
    graph = saturated_graph(runs, "ana")
    causes = ["state/a", "weight/x", "weight/y"]
    assert set(graph.directed()) == {(c, y) for c in causes for y in ("loss/x", "loss/y")}
    assert {e.provenance.kind for e in graph.edges} == {"assumed"}
    assert graph.nodes == nodes_of(runs)
    assert [n.tier for n in graph.nodes] == ["state", "weight", "weight", "outcome", "outcome"]


@pytest.mark.parametrize(
    ("edges", "forbidden", "words"),
    [
        (["a>b"], ["a>b"], "state/a -> state/b: the edge is forbidden"),
        (["a-b"], ["b>a"], "state/a - state/b: the edge is forbidden"),
        ([], ["a>b", "a>b"], "state/a -> state/b is forbidden twice"),
        ([], ["loss/x>a"], "forbidden loss/x -> state/a: loss/x is an outcome"),
        ([], ["a>nowhere"], "there is no node state/nowhere"),
        ([edge_of("a-b", status="required")], [], "only an edge with a direction can be required"),
    ],
)
def test_rules_and_edges_that_contradict_are_refused(edges, forbidden, words):
    with pytest.raises(ValidationError) as caught:
        graph_of(*edges, forbidden=forbidden)
    assert words in str(caught.value)


def test_the_other_direction_and_a_latent_between_the_two_are_not_forbidden():
    graph = graph_of("a>b", "a~b", forbidden=["b>a"])
    assert graph.prohibition("state/b", "state/a").by == "ana"
    assert graph.prohibition("state/a", "state/b") is None


def test_too_many_nodes_are_declined_with_the_limit():
    ids = [f"state/{i}" for i in range(MOST_NODES + 1)]
    assert len(graph_of(ids=ids[1:]).nodes) == MOST_NODES
    with pytest.raises(ValidationError, match="201 nodes; at most 200"):
        graph_of(ids=ids)


@pytest.mark.parametrize("name", ["state/a <-> b", "", "x" * 201])
def test_impossible_names_are_refused(name):
    with pytest.raises(ValidationError):
        Node(id=name, tier=tier_of(name))


def test_a_bidirected_edge_stands_beside_another_and_is_no_path():
    graph = graph_of("weight/x~loss/x", "weight/x>loss/x", "a~b")
    assert graph.edge_between("loss/x", "weight/x").mark == "directed"
    assert graph.edge_between("loss/x", "weight/x", "bidirected").text == "weight/x <-> loss/x"
    assert graph.edge_between("state/b", "state/a").mark == "bidirected"
    assert graph.bidirected() == [("weight/x", "loss/x"), ("state/a", "state/b")]
    assert not graph.has_path("state/a", "state/b")
    assert graph.parents("loss/x") == ["weight/x"]


def test_latents_and_bidirected_edges_are_unobserved_causes_for_dowhy():
    graph = graph_of("latent/u>a", "latent/u>loss/x", "loss/x~a", ids=(*IDS, "latent/u"))
    dag = graph.to_networkx()
    hidden = "latent/loss/x <-> state/a"
    assert graph.unobserved() == [hidden, "latent/u"]
    assert graph.observed() == list(IDS)
    assert {v for v, observed in dag.nodes(data="observed") if observed == "no"} == {hidden, "latent/u"}
    assert sorted(dag.edges) == [
        (hidden, "loss/x"), (hidden, "state/a"), ("latent/u", "loss/x"), ("latent/u", "state/a"),
    ]  # fmt: skip
    assert graph.has_path("latent/u", "loss/x")
    assert not graph.has_path("state/a", "latent/u")


def test_directions_by_convention_make_no_collider_with_a_latent():
    assert graph_of("a~b", "b-c").oriented_by_convention() == [("state/b", "state/c")]
    drawn = graph_of("latent/u>b", "b-c", ids=(*IDS, "latent/u"))
    assert drawn.oriented_by_convention() == [("state/b", "state/c")]


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_any_graph_is_a_dag_for_dowhy_and_survives_json(graph):
    dag = graph.to_networkx()
    assert nx.is_directed_acyclic_graph(dag)
    assert set(graph.directed()) <= set(dag.edges)
    assert sorted(dag) == sorted([*graph.observed(), *graph.unobserved()])
    assert dag.number_of_edges() == len(graph.edges) + len(graph.bidirected())
    for s, t in dag.edges:
        assert TIER_RANK[tier_of(s)] <= TIER_RANK[tier_of(t)]
        assert tier_of(s) != tier_of(t) or tier_of(s) == "state"
    shuffled = CausalGraph(nodes=graph.nodes[::-1], edges=graph.edges[::-1])
    assert list(shuffled.to_networkx().edges) == list(dag.edges)
    assert CausalGraph.model_validate_json(graph.model_dump_json()) == graph
