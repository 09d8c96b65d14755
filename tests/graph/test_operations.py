"""What a browser sends is an operation, or is refused; it never breaks a page."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from causalmix_core.graph import GraphEditError, apply, describe_changes, parse_operation
from causalmix_core.graph.operations import Redo, Undo
from tests.graph.drawing import IDS, graph_of

START = ("a>b", "b-c", "weight/x>loss/x", "weight/x~loss/x")


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        ({"kind": "add", "source": "state/a", "target": "loss/y"}, ["added state/a -> loss/y: 'so'"]),
        ({"kind": "bidirect", "source": "loss/x", "target": "loss/y"}, ["added loss/x <-> loss/y: 'so'"]),
        ({"kind": "delete", "source": "weight/x", "target": "loss/x"}, ["removed weight/x -> loss/x: 'so'"]),
        (
            {"kind": "delete", "source": "loss/x", "target": "weight/x", "mark": "bidirected"},
            ["removed weight/x <-> loss/x: 'so'"],
        ),
        (
            {"kind": "reverse", "source": "state/a", "target": "state/b"},
            ["reversed state/a -> state/b to state/b -> state/a: 'so'"],
        ),
        (
            {"kind": "orient", "source": "state/c", "target": "state/b"},
            ["oriented state/b - state/c as state/c -> state/b: 'so'"],
        ),
        (
            {"kind": "require", "source": "state/a", "target": "state/b"},
            ["required state/a -> state/b: 'so'"],
        ),
        (
            {"kind": "forbid", "source": "state/a", "target": "state/b"},
            ["removed state/a -> state/b: 'so'", "forbade state/a -> state/b: 'so'"],
        ),
        (
            {"kind": "allow", "source": "state/a", "target": "loss/x"},
            ["no longer forbids state/a -> loss/x: 'so'"],
        ),
        (
            {"kind": "note", "source": "weight/x", "target": "loss/x", "note": "odd", "mark": "bidirected"},
            ["noted on weight/x <-> loss/x: 'odd'"],
        ),
        (
            {"kind": "add-latent", "name": "mood", "effects": ["loss/y"]},
            ["added node latent/mood: 'so'", "added latent/mood -> loss/y"],
        ),
        ({"kind": "delete-latent", "node": "latent/u"}, ["removed node latent/u: 'so'"]),
    ],
)
def test_each_operation_does_what_it_says(sent, changes):
    graph = graph_of(*START, ids=(*IDS, "latent/u"), forbidden=["a>loss/x"])
    if sent["kind"] != "note":
        sent = sent | {"why": "so"}
    edited = apply(graph, parse_operation(json.loads(json.dumps(sent))), by="ana")
    assert describe_changes(graph, edited) == changes
    assert edited.history[-1].by == "ana"


def test_undo_and_redo_are_operations_of_a_desk():
    assert parse_operation({"kind": "undo"}) == Undo()
    assert parse_operation({"kind": "redo"}) == Redo()


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [],
        "add",
        {},
        {"kind": "drop"},
        {"kind": "add", "source": "state/a"},
        {"kind": "add", "source": "state/a", "target": ""},
        {"kind": "add", "source": "state/a", "target": 3},
        {"kind": "add", "source": "state/a", "target": "state/b", "by": "somebody else"},
        {"kind": "add", "source": "state/a", "target": "x" * 201},
        {"kind": "add", "source": "state/a", "target": "loss/x", "why": "x" * 2001},
        {"kind": "add", "source": "state/\ud800", "target": "loss/x"},
        {"kind": "delete", "source": "state/a", "target": "state/b", "mark": "dotted"},
        {"kind": "add-latent", "name": "u", "effects": "loss/x"},
        {"kind": "undo", "steps": 3},
    ],
)
def test_anything_else_is_refused_at_the_border(sent):
    with pytest.raises(ValidationError):
        parse_operation(sent)


_ids = st.one_of(st.sampled_from([*IDS, "latent/u", "u", ""]), st.text(max_size=5))
_kinds = ["add", "bidirect", "delete", "reverse", "orient", "require", "forbid", "allow", "note",
          "add-latent", "delete-latent", "undo", "redo", "nonsense"]  # fmt: skip
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_likely = st.fixed_dictionaries(
    {"kind": st.sampled_from(_kinds)},
    optional={
        "source": _ids, "target": _ids, "why": st.text(max_size=5), "note": st.text(max_size=5),
        "mark": st.sampled_from(["directed", "undirected", "bidirected", None, 3]), "name": _ids,
        "node": _ids, "effects": st.lists(_ids, max_size=2), "more": _json,
    },
)  # fmt: skip
_complete = st.builds(
    lambda kind, s, t: {"kind": kind, "source": s, "target": t},
    st.sampled_from(_kinds[:8]), st.sampled_from(IDS), st.sampled_from(IDS),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_complete, _likely, _json), max_size=8))
def test_any_json_is_an_edit_or_a_refusal(sent):
    graph = graph_of(*START)
    for value in sent:
        try:
            operation = parse_operation(value)
            if not isinstance(operation, Undo | Redo):
                graph = apply(graph, operation, by="ana")
        except (ValidationError, GraphEditError):
            continue
    assert type(graph).model_validate_json(graph.model_dump_json()) == graph
