"""A graph that exists is acyclic and respects the tiers; an edit that would break this is refused."""

from datetime import UTC, datetime

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    TIER_RANK,
    CausalGraph,
    Edge,
    GraphEditError,
    Node,
    Provenance,
    add_edge,
    delete_edge,
    describe_changes,
    nodes_of,
    reverse_edge,
    saturated_graph,
    tier_of,
)
from causalmix_core.probes import RunTable

IDS = ("state/a", "state/b", "state/c", "weight/x", "weight/y", "loss/x", "loss/y")
FOUND = Provenance(kind="discovered", by="ana", at=datetime(2026, 5, 3, tzinfo=UTC), detail="BOSS")


def graph_of(*edges, ids=IDS):
    """`a>b` is directed, `a-b` is not; states may be named by their letter."""

    def parse(text):
        mark = "directed" if ">" in text else "undirected"
        s, t = (p if "/" in p else f"state/{p}" for p in text.split(">" if ">" in text else "-"))
        return Edge(source=s, target=t, mark=mark, provenance=FOUND)

    return CausalGraph(nodes=tuple(Node(id=i, tier=tier_of(i)) for i in ids), edges=tuple(map(parse, edges)))


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
        (["a>b", "b>c", "c>a"], "cycle: state/a -> state/b -> state/c -> state/a"),
    ],
)
def test_invalid_graph_is_refused(edges, words):
    with pytest.raises(ValidationError) as caught:
        graph_of(*edges)
    assert words in str(caught.value)


def test_node_twice_and_tier_that_contradicts_the_id_are_refused():
    with pytest.raises(ValidationError, match="state/a stands in the graph twice"):
        graph_of(ids=("state/a", "state/a"))
    with pytest.raises(ValidationError, match="loss/x is an outcome, not 'weight'"):
        Node(id="loss/x", tier="weight")


@pytest.mark.parametrize(
    ("edit", "source", "target", "words"),
    [
        (add_edge, "state/a", "state/b", "already has the edge state/a -> state/b"),
        (add_edge, "state/b", "state/a", "already has the edge state/a -> state/b. Reverse it instead"),
        (add_edge, "state/c", "state/a", "the cycle state/c -> state/a -> state/b -> state/c"),
        (add_edge, "state/a", "state/a", "two different nodes"),
        (add_edge, "state/a", "loss/z", "there is no node loss/z"),
        (add_edge, "weight/x", "weight/y", "one decision (their sum is 1)"),
        (add_edge, "loss/x", "loss/y", "same moment"),
        (add_edge, "loss/x", "state/a", "loss/x is an outcome and state/a is pool state"),
        (delete_edge, "state/a", "loss/y", "Cannot remove state/a -> loss/y: the graph has no such edge"),
        (delete_edge, "state/b", "state/a", "runs the other way, state/a -> state/b"),
        (reverse_edge, "state/a", "loss/y", "Cannot reverse state/a -> loss/y: the graph has no such edge"),
        (reverse_edge, "weight/x", "loss/x", "Cannot reverse weight/x -> loss/x: loss/x is an outcome"),
    ],
)
def test_refused_edits_name_the_edge_and_the_reason(edit, source, target, words):
    graph = graph_of("a>b", "b>c", "weight/x>loss/x")
    with pytest.raises(GraphEditError) as caught:
        edit(graph, source, target, by="ana")
    assert words in str(caught.value)
    assert source in str(caught.value)
    assert target in str(caught.value)


def test_reversing_into_a_cycle_gives_its_path():
    graph = graph_of("a>b", "b>c", "a>c")
    with pytest.raises(GraphEditError, match="the cycle state/c -> state/a -> state/b -> state/c"):
        reverse_edge(graph, "state/a", "state/c", by="ana")


def test_edits_keep_who_and_why_even_of_a_removed_edge():
    graph = graph_of("a>b", "weight/x>loss/x")
    edited = reverse_edge(graph, "state/a", "state/b", by="ben", why="b comes first")
    edited = add_edge(edited, "weight/y", "loss/x", by="ben", why="overlap")
    edited = delete_edge(edited, "weight/x", "loss/x", by="eva", why="a fluke")
    assert edited.directed() == [("state/b", "state/a"), ("weight/y", "loss/x")]
    turned, added = (e.provenance for e in edited.edges)
    assert (turned.kind, turned.by, turned.why) == ("reversed", "ben", "b comes first")
    assert turned.detail == "before: state/a -> state/b, discovered by ana (BOSS)"
    assert (added.kind, added.why) == ("added", "overlap")
    assert [(e.action, e.by, e.why) for e in edited.history] == [
        ("reversed", "ben", "b comes first"),
        ("added", "ben", "overlap"),
        ("removed", "eva", "a fluke"),
    ]
    assert set(describe_changes(graph, edited)) == {
        "added weight/y -> loss/x",
        "removed weight/x -> loss/x",
        "reversed state/a -> state/b to state/b -> state/a",
    }
    assert graph == graph_of("a>b", "weight/x>loss/x")


def test_an_undirected_edge_can_be_oriented_either_way_and_removed_by_either_name():
    graph = graph_of("a-b")
    assert add_edge(graph, "state/a", "state/b", by="x").directed() == [("state/a", "state/b")]
    assert reverse_edge(graph, "state/a", "state/b", by="x").directed() == [("state/b", "state/a")]
    assert delete_edge(graph, "state/b", "state/a", by="x").edges == ()
    oriented = add_edge(graph, "state/b", "state/a", by="x")
    assert oriented.edges[0].provenance.kind == "reversed"
    assert describe_changes(graph, oriented) == ["oriented state/a - state/b as state/b -> state/a"]
    assert describe_changes(oriented, graph) == ["removed the direction of state/b -> state/a"]


def test_orienting_into_a_cycle_is_refused():
    graph = graph_of("a>b", "b>c", "c-a")
    with pytest.raises(GraphEditError, match="state/c -> state/a -> state/b -> state/c"):
        add_edge(graph, "state/c", "state/a", by="x")
    assert ("state/a", "state/c") in graph.to_networkx().edges


def test_describe_changes_names_nodes():
    small = graph_of(ids=("state/a", "loss/x"))
    large = graph_of(ids=("state/a", "loss/x", "weight/x"))
    assert describe_changes(small, large) == ["added node weight/x"]
    assert describe_changes(large, small) == ["removed node weight/x"]
    assert describe_changes(large, large) == []


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


def test_graph_survives_json():
    graph = delete_edge(graph_of("a-b", "weight/x>loss/x"), "weight/x", "loss/x", by="x", why="ü")
    assert CausalGraph.model_validate_json(graph.model_dump_json()) == graph


_edit = st.tuples(
    st.sampled_from([add_edge, delete_edge, reverse_edge]), st.sampled_from(IDS), st.sampled_from(IDS)
)


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from([(), ("a-b", "b-c"), ("a-b", "b-c", "a-c"), ("a>b", "b-c")]),
    edits=st.lists(_edit, max_size=30),
)
def test_any_edits_leave_a_valid_graph_or_refuse(start, edits):
    graph = graph_of(*start)
    for edit, source, target in edits:
        try:
            edited = edit(graph, source, target, by="x")
        except GraphEditError:
            continue
        assert describe_changes(graph, edited) != []
        graph = edited
        dag = graph.to_networkx()
        assert nx.is_directed_acyclic_graph(dag)
        assert set(graph.directed()) <= set(dag.edges)
        assert (
            dag.number_of_edges()
            == len(graph.edges)
            == len({frozenset((e.source, e.target)) for e in graph.edges})
        )
        for s, t in dag.edges:
            assert TIER_RANK[tier_of(s)] <= TIER_RANK[tier_of(t)]
            assert tier_of(s) != tier_of(t) or tier_of(s) == "state"
        shuffled = CausalGraph(nodes=graph.nodes[::-1], edges=graph.edges[::-1])
        assert list(shuffled.to_networkx().edges) == list(dag.edges)
