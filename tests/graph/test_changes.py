"""What differs between two graphs is told in words, with the reasons that curators gave."""

from hypothesis import given, settings

from causalmix_core.graph import (
    CausalGraph,
    add_bidirected,
    add_edge,
    add_latent,
    allow_edge,
    delete_edge,
    delete_latent,
    describe_changes,
    forbid_edge,
    note_edge,
    require_edge,
    reverse_edge,
)
from tests.graph.drawing import edge_of, graph_of, graphs


def test_each_kind_of_change_has_its_words_and_its_reason():
    old = graph_of("a>b", "weight/x>loss/x", "b-c")
    new = reverse_edge(old, "state/a", "state/b", by="ben", why="b comes first")
    new = delete_edge(new, "weight/x", "loss/x", by="ben", why="math proxies never see code")
    new = add_edge(new, "weight/y", "loss/x", by="ben", why="overlap")
    new = add_edge(new, "state/c", "state/b", by="ben")
    new = add_bidirected(new, "weight/y", "loss/x", by="ben", why="chosen by feel")
    new = add_latent(new, "taste", ["loss/y"], by="ben", why="seen it")
    new = forbid_edge(new, "weight/x", "loss/y", by="ben", why="disjoint")
    new = require_edge(new, "weight/y", "loss/y", by="ben", why="by design")
    new = note_edge(new, "weight/y", "loss/x", "ask Eva", by="ben")
    assert describe_changes(old, new) == [
        "added node latent/taste: 'seen it'",
        "added latent/taste -> loss/y",
        "removed weight/x -> loss/x: 'math proxies never see code'",
        "added weight/y -> loss/x: 'overlap'",
        "noted on weight/y -> loss/x: 'ask Eva'",
        "added weight/y <-> loss/x: 'chosen by feel'",
        "added weight/y -> loss/y: 'by design'",
        "required weight/y -> loss/y: 'by design'",
        "reversed state/a -> state/b to state/b -> state/a: 'b comes first'",
        "oriented state/b - state/c as state/c -> state/b",
        "forbade weight/x -> loss/y: 'disjoint'",
    ]
    assert describe_changes(new, old) == [
        "removed node latent/taste",
        "removed latent/taste -> loss/y",
        "added weight/x -> loss/x",
        "removed weight/y -> loss/x",
        "removed weight/y <-> loss/x",
        "removed weight/y -> loss/y",
        "reversed state/b -> state/a to state/a -> state/b",
        "removed the direction of state/c -> state/b",
        "no longer forbids weight/x -> loss/y",
    ]


def test_lifted_rules_and_wiped_notes_are_told():
    old = graph_of(edge_of("a>b", status="required", note="odd"), forbidden=["a>c"])
    new = allow_edge(old, "state/a", "state/c", by="x", why="it may")
    new = allow_edge(new, "state/a", "state/b", by="x", why="not sure")
    new = note_edge(new, "state/a", "state/b", "", by="x")
    assert describe_changes(old, new) == [
        "no longer requires state/a -> state/b: 'not sure'",
        "wiped the note on state/a -> state/b",
        "no longer forbids state/a -> state/c: 'it may'",
    ]


def test_the_reason_is_that_of_the_last_edit_and_only_of_new_ones():
    first = delete_edge(graph_of("a>b"), "state/a", "state/b", by="x", why="a fluke")
    again = add_edge(first, "state/a", "state/b", by="x", why="no, it is there")
    assert describe_changes(first, again) == ["added state/a -> state/b: 'no, it is there'"]
    assert describe_changes(graph_of("a>b"), again) == []
    last = delete_edge(again, "state/a", "state/b", by="x")
    assert describe_changes(again, last) == ["removed state/a -> state/b"]


def test_a_removed_latent_takes_its_rules_along_in_silence():
    old = forbid_edge(add_latent(graph_of(), "u", by="x"), "latent/u", "loss/x", by="x")
    new = delete_latent(old, "latent/u", by="x", why="imagined")
    assert describe_changes(old, new) == ["removed node latent/u: 'imagined'"]


def test_nodes_are_named():
    small = graph_of(ids=("state/a", "loss/x"))
    large = graph_of(ids=("state/a", "loss/x", "weight/x"))
    assert describe_changes(small, large) == ["added node weight/x"]
    assert describe_changes(large, small) == ["removed node weight/x"]


def _says(graph: CausalGraph) -> tuple[object, ...]:
    return (
        {n.id for n in graph.nodes},
        {(e.arrow, e.status, e.note) for e in graph.edges},
        {(f.source, f.target) for f in graph.forbidden},
    )


@settings(max_examples=60, deadline=None)
@given(graphs(), graphs())
def test_there_are_no_words_exactly_when_both_say_the_same(one, other):
    assert describe_changes(one, one) == []
    assert (describe_changes(one, other) == []) == (_says(one) == _says(other))
    shuffled = CausalGraph(nodes=one.nodes[::-1], edges=one.edges[::-1], forbidden=one.forbidden[::-1])
    assert describe_changes(one, shuffled) == []
