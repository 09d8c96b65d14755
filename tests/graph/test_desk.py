"""A draft on the desk: every step can be taken back and done again, and nothing is lost on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.graph import Desk, GraphEditError, parse_operation
from causalmix_core.graph.desk import MOST_STEPS
from causalmix_core.graph.operations import Redo, Undo
from tests.graph.drawing import IDS, graph_of


def add(source, target):
    return parse_operation({"kind": "add", "source": source, "target": target, "why": "so"})


def test_steps_are_undone_and_redone():
    start = Desk.opened(graph_of("a>b"), 3)
    one = start.do(add("state/b", "state/c"), by="ana")
    two = one.do(add("weight/x", "loss/x"), by="ana")
    assert two.changes() == ["added weight/x -> loss/x: 'so'", "added state/b -> state/c: 'so'"]
    assert two.do(Undo(), by="ana").present == one.present
    back = two.undo().undo()
    assert (back.present, back.changes(), back.can_undo, back.can_redo) == (start.present, [], False, True)
    assert back.redo().do(Redo(), by="ana") == two
    assert (start.can_undo, start.can_redo) == (False, False)


def test_a_refused_edit_leaves_the_desk_as_it_is():
    desk = Desk.opened(graph_of("a>b"), None).do(add("state/b", "state/c"), by="ana")
    with pytest.raises(GraphEditError, match="would close the cycle"):
        desk.do(add("state/c", "state/a"), by="ana")
    with pytest.raises(GraphEditError, match="nothing to redo"):
        desk.redo()
    with pytest.raises(GraphEditError, match="nothing to undo"):
        desk.undo().undo()
    assert len(desk.present.edges) == 2


def test_a_discovery_is_one_step_and_a_new_step_forgets_what_was_undone():
    found = graph_of("a>c", "b>c")
    desk = Desk.opened(graph_of("a>b"), 1).put(found)
    assert desk.present == found
    assert desk.undo().present == graph_of("a>b")
    other = desk.undo().put(graph_of())
    assert not other.can_redo
    assert other.undo().present == graph_of("a>b")


def test_after_saving_the_changes_are_none_and_steps_can_still_be_taken_back():
    desk = Desk.opened(graph_of("a>b"), 1).put(graph_of()).saved(2)
    assert (desk.parent, desk.changes()) == (2, [])
    assert desk.undo().changes() == ["added state/a -> state/b"]


def test_the_oldest_steps_are_forgotten():
    desk = Desk.opened(graph_of(), 1)
    for i in range(MOST_STEPS + 5):
        desk = desk.put(graph_of("a>b") if i % 2 == 0 else graph_of())
    assert len(desk.past) == MOST_STEPS
    assert desk.base == graph_of()


_edit = st.builds(
    lambda kind, s, t: parse_operation({"kind": kind, "source": s, "target": t}),
    st.sampled_from(["add", "bidirect", "delete", "reverse", "orient", "require", "forbid", "allow"]),
    st.sampled_from(IDS),
    st.sampled_from(IDS),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(_edit, _edit, st.just(Undo()), st.just(Redo())), max_size=25))
def test_undo_inverts_every_step_and_redo_inverts_undo(operations):
    desk = Desk.opened(graph_of("a>b", "b-c", "weight/x>loss/x"), 1)
    for operation in operations:
        try:
            after = desk.do(operation, by="ana")
        except GraphEditError:
            continue
        if not isinstance(operation, Undo | Redo):
            assert after.undo().present == desk.present
            assert after.undo().redo() == after
        desk = after
    last, steps = desk, 0
    while desk.can_undo:
        desk, steps = desk.undo(), steps + 1
    assert desk.present == desk.base
    for _ in range(steps):
        desk = desk.redo()
    assert desk == last
