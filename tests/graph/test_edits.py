"""An edit leaves a valid graph or is refused in words; it never changes the graph that it was given."""

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.graph import (
    MOST_NODES,
    GraphEditError,
    add_bidirected,
    add_edge,
    add_latent,
    allow_edge,
    delete_edge,
    delete_latent,
    describe_changes,
    forbid_edge,
    note_edge,
    orient_edge,
    require_edge,
    reverse_edge,
)
from tests.graph.drawing import IDS, edge_of, graph_of, graphs


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
        (orient_edge, "state/a", "state/b", "it has a direction already"),
        (orient_edge, "state/b", "state/a", "Reverse it instead"),
        (orient_edge, "state/a", "loss/x", "no edge without a direction"),
        (require_edge, "state/b", "state/a", "the graph has state/a -> state/b. Reverse it first"),
        (require_edge, "state/c", "state/a", "the cycle state/c -> state/a -> state/b -> state/c"),
        (forbid_edge, "loss/x", "state/a", "needs no forbidding"),
        (allow_edge, "state/a", "state/b", "neither forbidden nor required"),
        (add_bidirected, "weight/x", "weight/y", "one decision"),
        (add_bidirected, "state/a", "state/a", "two different nodes"),
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
    assert graph == graph_of("a>b", "weight/x>loss/x")


def test_an_undirected_edge_can_be_oriented_either_way_and_removed_by_either_name():
    graph = graph_of("a-b")
    assert add_edge(graph, "state/a", "state/b", by="x").directed() == [("state/a", "state/b")]
    assert reverse_edge(graph, "state/a", "state/b", by="x").directed() == [("state/b", "state/a")]
    assert delete_edge(graph, "state/b", "state/a", by="x").edges == ()
    oriented = add_edge(graph, "state/b", "state/a", by="x")
    assert oriented.edges[0].provenance.kind == "oriented"
    assert orient_edge(graph, "state/b", "state/a", by="x").directed() == oriented.directed()


def test_orienting_into_a_cycle_is_refused():
    graph = graph_of("a>b", "b>c", "c-a")
    with pytest.raises(GraphEditError, match="state/c -> state/a -> state/b -> state/c"):
        add_edge(graph, "state/c", "state/a", by="x")
    assert ("state/a", "state/c") in graph.to_networkx().edges


def test_a_required_edge_stays_until_it_is_made_plain():
    graph = require_edge(graph_of("a>b"), "state/a", "state/b", by="eva", why="by design")
    assert graph.required() == [("state/a", "state/b")]
    for edit in (delete_edge, reverse_edge, forbid_edge):
        with pytest.raises(GraphEditError, match=r"it is required\. Make it plain again first"):
            edit(graph, "state/a", "state/b", by="ben")
    with pytest.raises(GraphEditError, match="required already"):
        require_edge(graph, "state/a", "state/b", by="ben")
    plain = allow_edge(graph, "state/a", "state/b", by="ben")
    assert plain.edges == graph_of("a>b").edges
    assert reverse_edge(plain, "state/a", "state/b", by="ben").directed() == [("state/b", "state/a")]


def test_requiring_adds_what_is_missing_and_orients_what_has_no_direction():
    assert require_edge(graph_of(), "state/a", "loss/x", by="x").required() == [("state/a", "loss/x")]
    oriented = require_edge(graph_of("a-b"), "state/b", "state/a", by="x")
    assert (oriented.required(), oriented.undirected()) == ([("state/b", "state/a")], [])
    assert [e.action for e in oriented.history] == ["required"]


def test_a_forbidden_edge_does_not_come_back():
    graph = forbid_edge(graph_of("weight/x>loss/y"), "weight/x", "loss/y", by="eva", why="never sees it")
    assert graph.edges == ()
    for edit in (add_edge, require_edge):
        with pytest.raises(GraphEditError, match=r"is forbidden \(by eva: 'never sees it'\). Allow it first"):
            edit(graph, "weight/x", "loss/y", by="ben")
    with pytest.raises(GraphEditError, match="forbidden already"):
        forbid_edge(graph, "weight/x", "loss/y", by="ben")
    allowed = allow_edge(graph, "weight/x", "loss/y", by="ben")
    assert allowed.forbidden == ()
    assert add_edge(allowed, "weight/x", "loss/y", by="ben").directed() == [("weight/x", "loss/y")]


def test_forbidding_removes_an_edge_without_direction_and_leaves_the_rest():
    graph = graph_of("a-b", "a~b", "b>c")
    edited = forbid_edge(graph, "state/b", "state/a", by="x")
    assert [e.text for e in edited.edges] == ["state/a <-> state/b", "state/b -> state/c"]
    other_way = forbid_edge(graph_of("a>b"), "state/b", "state/a", by="x")
    assert other_way.directed() == [("state/a", "state/b")]
    with pytest.raises(GraphEditError, match="state/b -> state/a is forbidden"):
        reverse_edge(other_way, "state/a", "state/b", by="x")


def test_a_bidirected_edge_is_added_noted_and_removed_beside_another():
    graph = add_bidirected(graph_of("a>b"), "state/b", "state/a", by="x", why="same crawl")
    with pytest.raises(GraphEditError, match="already has the edge state/b <-> state/a"):
        add_bidirected(graph, "state/a", "state/b", by="x")
    with pytest.raises(GraphEditError, match="it has no direction"):
        reverse_edge(delete_edge(graph, "state/a", "state/b", by="x"), "state/a", "state/b", by="x")
    noted = note_edge(graph, "state/a", "state/b", "see the wiki", mark="bidirected", by="x")
    assert [e.note for e in noted.edges] == ["", "see the wiki"]
    assert [e.text for e in delete_edge(graph, "state/a", "state/b", by="x").edges] == ["state/b <-> state/a"]
    without = delete_edge(graph, "state/a", "state/b", mark="bidirected", by="x")
    assert without.edges == graph_of("a>b").edges


def test_a_note_stays_when_the_edge_turns_and_its_stability_does_not():
    graph = graph_of(edge_of("a>b", stability=0.9))
    noted = note_edge(graph, "state/a", "state/b", " odd ", by="x")
    assert (noted.edges[0].note, noted.edges[0].stability) == ("odd", 0.9)
    with pytest.raises(GraphEditError, match="has this note already"):
        note_edge(noted, "state/a", "state/b", "odd", by="x")
    turned = reverse_edge(noted, "state/a", "state/b", by="x").edges[0]
    assert (turned.note, turned.stability) == ("odd", None)
    assert note_edge(noted, "state/a", "state/b", "", by="x").edges == graph.edges


def test_latents_come_and_go_with_their_edges():
    graph = add_latent(graph_of("a>b"), "curator's mood 🎭", ["weight/x", "loss/x"], by="eva", why="seen it")
    node = "latent/curator's mood 🎭"
    assert graph.tier("latent") == [node]
    assert graph.directed()[1:] == [(node, "weight/x"), (node, "loss/x")]
    graph = forbid_edge(add_edge(graph, node, "state/a", by="x"), node, "loss/y", by="x")
    with pytest.raises(GraphEditError, match="what causes a latent is left out"):
        add_edge(graph, "state/a", node, by="x")
    gone = delete_latent(graph, node, by="x")
    assert (gone.nodes, gone.edges, gone.forbidden) == (graph_of().nodes, graph_of("a>b").edges, ())
    kept = require_edge(graph, node, "loss/x", by="x")
    with pytest.raises(GraphEditError, match="it is required"):
        delete_latent(kept, node, by="x")
    with pytest.raises(GraphEditError, match=r"state/a: it is no latent of the graph\. Latents: none"):
        delete_latent(graph_of(), "state/a", by="x")


@pytest.mark.parametrize(
    ("name", "effects", "words"),
    [
        ("", (), "it needs a name"),
        ("latent/ ", (), "it needs a name"),
        ("u", (), "the graph already has latent/u"),
        (" latent/u ", (), "the graph already has latent/u"),
        ("x" * 200, (), "at most 193 characters"),
        ("a\nb", (), "control characters"),
        ("a <-> b", (), "stands for an edge"),
        ("v", ("loss/x", "loss/x"), "loss/x is named twice"),
        ("v", ("latent/u",), "what causes a latent"),
        ("v", ("loss/nowhere",), "there is no node loss/nowhere"),
        ("v", ("latent/v",), "two different nodes"),
    ],
)
def test_impossible_latents_are_refused(name, effects, words):
    graph = graph_of(ids=(*IDS, "latent/u"))
    with pytest.raises(GraphEditError) as caught:
        add_latent(graph, name, effects, by="x")
    assert words in str(caught.value)


def test_a_full_graph_takes_no_latent():
    full = graph_of(ids=[f"state/{i}" for i in range(MOST_NODES)])
    with pytest.raises(GraphEditError, match="200 nodes, and 200 is the most"):
        add_latent(full, "u", by="x")


_PAIR_EDITS = (
    add_edge, delete_edge, reverse_edge, orient_edge, require_edge, forbid_edge, allow_edge, add_bidirected,
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(graphs(), st.data())
def test_any_edits_leave_a_valid_graph_or_refuse(graph, data):
    """A graph is checked when it is made, so that one comes back is the proof."""
    for _ in range(data.draw(st.integers(1, 12))):
        ids = st.sampled_from([n.id for n in graph.nodes] + ["state/nowhere"])
        edit, s, t = data.draw(st.sampled_from(_PAIR_EDITS)), data.draw(ids), data.draw(ids)
        before = graph.model_copy(deep=True)
        try:
            edited = edit(graph, s, t, by="x", why="because")
        except GraphEditError as refused:
            words = str(refused)
        else:
            words = ""
        assert graph == before
        if words:
            assert s in words
            assert t in words
            continue
        assert edited.history[:-1] == graph.history
        assert (edited.history[-1].by, edited.history[-1].why) == ("x", "because")
        assert describe_changes(graph, edited) != []
        assert nx.is_directed_acyclic_graph(edited.to_networkx())
        graph = edited


@settings(max_examples=80, deadline=None)
@given(graphs(), st.data())
def test_adding_then_removing_is_no_change(graph, data):
    ids = st.sampled_from([n.id for n in graph.nodes])
    s, t = data.draw(ids), data.draw(ids)
    if graph.edge_between(s, t, "undirected"):
        return
    for add, mark in ((add_edge, "directed"), (add_bidirected, "bidirected")):
        try:
            added = add(graph, s, t, by="x")
        except GraphEditError:
            continue
        assert delete_edge(added, s, t, mark=mark, by="x").edges == graph.edges
