"""What a curator requires and forbids holds for every method, or the search says why it cannot."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    METHODS,
    CausalGraph,
    DiscoverySettings,
    Edge,
    Forbidden,
    Knowledge,
    Node,
    Provenance,
    add_latent,
    discover,
    forbid_edge,
    nodes_of,
    require_edge,
    tier_of,
)
from causalmix_core.graph.discovery.arrows import HIDDEN_CAUSE, Arrow, Found, check, obey, read_pag
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.search import search

FAST = [m for m in METHODS if m != "pc_kci"]
NAMES = ("state/a", "state/b", "state/c", "state/d", "weight/u", "weight/v", "loss/m", "loss/n")


def rules(required=(), forbidden=(), *, names=NAMES, randomised=True):
    return Rules.over(
        names, Knowledge(required=tuple(required), forbidden=tuple(forbidden)), randomised=randomised
    )


def known(runs, *, required=(), forbidden=()):
    graph = CausalGraph(nodes=nodes_of(runs))
    for s, t in required:
        graph = require_edge(graph, s, t, by="bea", why="it is so")
    for s, t in forbidden:
        graph = forbid_edge(graph, s, t, by="bea", why="it cannot be")
    return graph


@pytest.mark.parametrize("method", FAST)
def test_every_method_keeps_to_required_and_forbidden_edges(make_world, method):
    """Required: one that is false, one against the order of names. Forbidden: a true effect and more."""
    world = make_world(256, 0)
    true_effect = sorted(world.weight_edges)[0]
    false_effect = next(
        (f"weight/d{k}", "loss/m0") for k in range(6) if (f"weight/d{k}", "loss/m0") not in world.weight_edges
    )
    before = known(
        world.runs,
        required=[("state/s1", "state/s0"), ("state/s0", "state/s2"), false_effect],
        forbidden=[true_effect, ("state/s1", "state/s2"), ("state/s2", "state/s1")],
    )
    graph = discover(world.runs, method, known=before, by="ana").graph
    edges = {(e.source, e.target): e for e in graph.edges if e.mark == "directed"}
    for pair in before.required():
        assert edges[pair].status == "required"
        assert (edges[pair].provenance.by, edges[pair].provenance.why) == ("bea", "it is so")
    assert true_effect not in edges
    assert true_effect[::-1] not in edges
    link = graph.edge_between("state/s1", "state/s2")
    assert link is None or link.mark == "bidirected"
    assert graph.forbidden == before.forbidden
    assert {(e.action, e.why) for e in graph.history} == {
        ("required", "it is so"),
        ("forbidden", "it cannot be"),
    }
    # what is not spoken of is found as before
    assert len(set(edges) & world.weight_edges) >= 0.8 * len(world.weight_edges) - 1


@pytest.mark.parametrize("method", FAST)
def test_directions_follow_from_what_is_required(make_world, method):
    """s0 - s1 has no direction by itself; requiring or forbidding one decides it."""
    runs = make_world(512, 0).runs
    required = known(runs, required=[("state/s1", "state/s0")])
    forbidden = known(runs, forbidden=[("state/s0", "state/s1")])
    for before in (required, forbidden):
        graph = discover(runs, method, known=before, by="ana").graph
        assert ("state/s1", "state/s0") in graph.directed()


def test_what_a_discovery_cannot_carry_over_is_said(make_world):
    runs = make_world(128, 0).runs
    before = add_latent(known(runs), "taste", ["loss/m0"], by="bea")
    gone = Node(id="loss/gone", tier="outcome")
    before = CausalGraph(nodes=(*before.nodes, gone), edges=before.edges)
    before = forbid_edge(before, "weight/d0", "loss/gone", by="bea")
    found = discover(runs, known=before, by="ana")
    assert found.graph.forbidden == ()
    notes = "\n".join(found.notes)
    assert "do not measure latent/taste" in notes
    assert "weight/d0 -> loss/gone" in notes


def test_knowledge_that_cannot_hold_is_refused(make_world):
    runs = make_world(64, 0).runs
    before = known(runs, required=[("state/s0", "weight/d0")])
    with pytest.raises(CausalMixError, match="drawn at random, so nothing has caused a weight"):
        discover(runs, known=before, by="ana")
    with pytest.raises(CausalMixError, match="required and forbidden at once"):
        rules([("state/a", "state/b")], [("state/a", "state/b")])
    with pytest.raises(CausalMixError, match="causes come first"):
        rules([("loss/m", "state/b")])
    with pytest.raises(CausalMixError, match="form a cycle: state/a -> state/b -> state/a"):
        rules([("state/a", "state/b"), ("state/b", "state/a")])


def test_knowledge_is_read_from_a_graph_as_pairs():
    origin = Provenance(kind="added", by="bea", at="2026-01-01T00:00:00Z")
    rule = Forbidden(source="weight/u", target="loss/n", by="bea", at=origin.at)
    graph = CausalGraph(
        nodes=tuple(Node(id=n, tier=tier_of(n)) for n in NAMES),
        edges=(
            Edge(source="state/b", target="state/a", provenance=origin, status="required"),
            Edge(source="state/a", target="loss/m", provenance=origin),
        ),
        forbidden=(rule,),
    )
    assert Knowledge.of(graph) == Knowledge(
        required=(("state/b", "state/a"),), forbidden=(("weight/u", "loss/n"),)
    )


def test_what_breaks_the_rules_is_an_error():
    at = {name: v for v, name in enumerate(NAMES)}
    broken = {
        "weight/u to state/a": [Arrow(at["weight/u"], at["state/a"], "directed")],
        "loss/m to loss/n": [Arrow(at["loss/m"], at["loss/n"], "directed")],
        "two edges": [Arrow(0, 1, "directed"), Arrow(0, 1, "undirected")],
        "a cycle": [Arrow(0, 1, "directed"), Arrow(1, 2, "directed"), Arrow(2, 0, "directed")],
    }
    for said, arrows in broken.items():
        with pytest.raises(CausalMixError, match=said):
            check(arrows, rules())
    with pytest.raises(CausalMixError, match="state/a -> loss/m is missing"):
        check([], rules([("state/a", "loss/m")]))
    with pytest.raises(CausalMixError, match="state/a to state/b"):
        check([Arrow(0, 1, "undirected")], rules(forbidden=[("state/a", "state/b")]))


def test_marks_of_fci_are_read_as_documented():
    tail, head, circle = -1, 1, 2
    ends = {  # marks at the first and at the second
        (tail, head): (0, 1, "directed", ""),
        (circle, head): (0, 1, "directed", HIDDEN_CAUSE),
        (head, circle): (1, 0, "directed", HIDDEN_CAUSE),
        (head, head): (0, 1, "bidirected", ""),
        (circle, circle): (0, 1, "undirected", HIDDEN_CAUSE),
    }
    for (first, second), arrow in ends.items():
        assert read_pag(np.array([[0, first], [second, 0]]), [0, 1]) == [Arrow(*arrow)]


def test_a_link_whose_every_direction_is_forbidden_may_be_a_hidden_cause():
    both = rules(forbidden=[("state/a", "state/b"), ("state/b", "state/a")])
    assert obey(Found([Arrow(0, 1, "undirected", HIDDEN_CAUSE)]), both).arrows == [Arrow(0, 1, "bidirected")]
    found = obey(Found([Arrow(0, 1, "undirected")]), both)
    assert found.arrows == []
    assert "every edge between them is forbidden" in found.notes[0]


def test_meeks_rules_draw_what_follows():
    """a -> b is required; a - b - c without a - c, so b -> c, or b would be a collider."""
    chain = [Arrow(0, 1, "undirected"), Arrow(1, 2, "undirected")]
    assert obey(Found(chain), rules([("state/a", "state/b")])).arrows == [
        Arrow(0, 1, "directed"),
        Arrow(1, 2, "directed"),
    ]
    # closed by a - c: nothing follows for b - c but that the triangle has no cycle
    triangle = [*chain, Arrow(0, 2, "undirected")]
    forced = obey(Found(triangle), rules([("state/a", "state/b"), ("state/b", "state/c")])).arrows
    assert forced == [Arrow(0, 1, "directed"), Arrow(0, 2, "directed"), Arrow(1, 2, "directed")]


@st.composite
def knowledge_that_can_hold(draw):
    randomised = draw(st.booleans())
    free = rules(randomised=randomised)
    possible = [(s, t) for t in range(len(NAMES)) for s in sorted(free.causes[t])]
    order = draw(st.permutations(range(4)))
    required = [
        (s, t)
        for s, t in draw(st.lists(st.sampled_from(possible), unique=True, max_size=4))
        if t >= 4 or order.index(s) < order.index(t)
    ]
    forbidden = [
        pair
        for pair in draw(st.lists(st.sampled_from(possible), unique=True, max_size=8))
        if pair not in required
    ]
    named = [tuple((NAMES[s], NAMES[t]) for s, t in pairs) for pairs in (required, forbidden)]
    return Knowledge(required=named[0], forbidden=named[1]), randomised


@st.composite
def searches(draw):
    """Arbitrary arrows, as a search gone wrong would return them, and knowledge that can hold."""
    pairs = [(i, j) for i in range(len(NAMES)) for j in range(i)]
    arrows = []
    for i, j in draw(st.lists(st.sampled_from(pairs), unique=True, max_size=14)):
        source, target = draw(st.sampled_from([(i, j), (j, i)]))
        mark = draw(st.sampled_from(["directed", "undirected", "bidirected"]))
        states = tier_of(NAMES[i]) == tier_of(NAMES[j]) == "state"
        if mark == "undirected" and not states:
            continue
        arrows.append(Arrow(source, target, mark, draw(st.sampled_from(["", HIDDEN_CAUSE]))))
    knowledge, randomised = draw(knowledge_that_can_hold())
    return arrows, Rules.over(NAMES, knowledge, randomised=randomised)


@given(searches())
@settings(max_examples=300, deadline=None)
def test_whatever_a_search_returns_the_result_keeps_to_the_rules(case):
    arrows, applied = case
    result = obey(Found(arrows), applied).arrows  # raises where it could not
    pairs = {frozenset(a[:2]) for a in arrows}
    for arrow in result:
        assert frozenset(arrow[:2]) in pairs or applied.must(arrow.source, arrow.target)
    assert nx.is_directed_acyclic_graph(nx.DiGraph([a[:2] for a in result if a.mark == "directed"]))
    for arrow in result:
        if arrow.mark == "directed":
            assert applied.may(arrow.source, arrow.target)


@given(knowledge_that_can_hold(), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_every_method_bears_any_knowledge(case, seed):
    """Random data, so that knowledge and data disagree; a violation would be an error of `search`."""
    knowledge, randomised = case
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(60, len(NAMES))) @ (
        np.eye(len(NAMES)) + rng.normal(size=(len(NAMES), len(NAMES))) * (rng.random((len(NAMES),) * 2) < 0.3)
    )
    for method in FAST:
        found = search(
            data,
            NAMES,
            DiscoverySettings(method=method),
            knowledge,
            randomised=randomised,
            tick=lambda: None,
        )
        check(found.arrows, Rules.over(NAMES, knowledge, randomised=randomised))
