"""One graph from a table of shares: acyclic and within what is known, whatever the table says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    CausalGraph,
    DiscoverySettings,
    Edge,
    Knowledge,
    Node,
    Provenance,
    agreements,
    consensus_graph,
    forbid_edge,
    require_edge,
    tier_of,
)
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.stability import EdgeShares, Stability

NAMES = ("state/a", "state/b", "state/c", "state/d", "weight/u", "weight/v", "loss/m", "loss/n")
WAYS = ("forward", "backward", "undirected", "bidirected")


def table(shares, *, knowledge=None, randomised=True, method="boss"):
    """shares: (a, b) -> {way: share}."""
    return Stability(
        key="0" * 32,
        settings=DiscoverySettings(method=method),
        knowledge=knowledge or Knowledge(),
        randomised=randomised,
        columns=NAMES,
        runs=100,
        size=50,
        resamples=100,
        seed=0,
        shares=tuple(
            EdgeShares(a=a, b=b, **(dict.fromkeys(WAYS, 0.0) | found)) for (a, b), found in shares.items()
        ),
        at=datetime.now(UTC),
    )


def arrows(graph):
    return {e.arrow for e in graph.edges}


def test_a_pair_is_drawn_as_most_resamples_have_it():
    stability = table(
        {
            ("state/a", "state/b"): {"forward": 0.5, "undirected": 0.3},
            ("state/a", "state/c"): {"forward": 0.3, "backward": 0.4},
            ("state/b", "state/c"): {"forward": 0.2, "undirected": 0.6},
            ("state/c", "state/d"): {"forward": 0.4, "backward": 0.4},
            ("loss/m", "weight/u"): {"backward": 0.9},
            ("loss/n", "weight/u"): {"backward": 0.4},
        }
    )
    graph = consensus_graph(stability, 0.5, by="ana")
    assert arrows(graph) == {
        ("state/a", "state/b", "directed"),
        ("state/c", "state/a", "directed"),
        ("state/b", "state/c", "undirected"),
        ("state/c", "state/d", "undirected"),  # a tie
        ("weight/u", "loss/m", "directed"),
    }
    shares = {e.text: e.stability for e in graph.edges}
    assert shares["weight/u -> loss/m"] == 0.9
    assert shares["state/a -> state/b"] == pytest.approx(0.8)
    detail = next(e for e in graph.edges if e.text == "state/c -> state/a").provenance.detail
    assert "40% state/c -> state/a, 30% state/a -> state/c" in detail
    assert "100 resamples of 50 runs" in detail


def test_the_edge_that_would_close_a_cycle_is_the_one_that_is_least_sure():
    stability = table(
        {
            ("state/a", "state/b"): {"forward": 0.9},
            ("state/b", "state/c"): {"forward": 0.8},
            ("state/a", "state/c"): {"backward": 0.7},
        }
    )
    assert arrows(consensus_graph(stability, 0.5, by="ana")) == {
        ("state/a", "state/b", "directed"),
        ("state/b", "state/c", "directed"),
        ("state/a", "state/c", "undirected"),
    }


def test_required_edges_stay_as_their_curator_drew_them():
    before = CausalGraph(nodes=tuple(Node(id=n, tier=tier_of(n)) for n in NAMES))
    before = require_edge(before, "weight/u", "loss/n", by="bea", why="by design")
    before = forbid_edge(before, "weight/v", "loss/n", by="bea", why="never seen")
    stability = table(
        {("loss/n", "weight/u"): {"backward": 0.2}, ("loss/n", "weight/v"): {"backward": 1.0}},
        knowledge=Knowledge.of(before),
    )
    graph = consensus_graph(stability, 0.5, known=before, by="ana")
    (edge,) = graph.edges
    assert (edge.text, edge.status, edge.stability) == ("weight/u -> loss/n", "required", 0.2)
    assert (edge.provenance.by, edge.provenance.why) == ("bea", "by design")
    assert graph.forbidden == before.forbidden
    assert [e.why for e in graph.history] == ["by design", "never seen"]
    # without the graph that said so, the knowledge of the search still holds
    (alone,) = consensus_graph(stability, 0.5, by="ana").edges
    assert (alone.text, alone.status) == ("weight/u -> loss/n", "required")


def test_edges_of_fci_say_that_their_tail_is_not_certain():
    shares = {
        ("loss/m", "weight/u"): {"backward": 0.9},
        ("loss/m", "state/a"): {"backward": 0.9},
        ("state/a", "state/b"): {"bidirected": 0.9},
    }
    notes = {e.text: e.note for e in consensus_graph(table(shares, method="fci"), 0.5, by="ana").edges}
    assert notes["weight/u -> loss/m"] == ""  # drawn at random
    assert "hidden common cause" in notes["state/a -> loss/m"]
    assert notes["state/a <-> state/b"] == ""
    assert not any(e.note for e in consensus_graph(table(shares), 0.5, by="ana").edges)


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold):
    with pytest.raises(CausalMixError, match="choose a share above 0 and at most 1"):
        consensus_graph(table({}), threshold, by="ana")


@st.composite
def tables(draw):
    """Any shares for any pairs, tiers or not, with knowledge that can hold."""
    pairs = [tuple(sorted((a, b))) for i, a in enumerate(NAMES) for b in NAMES[:i]]
    shares = {}
    for pair in draw(st.lists(st.sampled_from(pairs), unique=True, max_size=len(pairs))):
        parts = draw(st.lists(st.integers(0, 100), min_size=5, max_size=5).filter(any))
        shares[pair] = {way: part / sum(parts) for way, part in zip(WAYS, parts, strict=False)}
    randomised = draw(st.booleans())
    free = Rules.over(NAMES, Knowledge(), randomised=randomised)
    possible = [(s, t) for t in range(len(NAMES)) for s in sorted(free.causes[t])]
    order = draw(st.permutations(range(4)))
    required = [
        (s, t)
        for s, t in draw(st.lists(st.sampled_from(possible), unique=True, max_size=4))
        if t >= 4 or order.index(s) < order.index(t)
    ]
    forbidden = [
        p for p in draw(st.lists(st.sampled_from(possible), unique=True, max_size=8)) if p not in required
    ]
    named = [tuple((NAMES[s], NAMES[t]) for s, t in pairs) for pairs in (required, forbidden)]
    knowledge = Knowledge(required=named[0], forbidden=named[1])
    return table(shares, knowledge=knowledge, randomised=randomised)


@given(tables(), st.floats(0.01, 1), st.floats(0.01, 1))
@settings(max_examples=300, deadline=None)
def test_whatever_the_shares_the_graph_is_valid_and_grows_as_the_threshold_falls(stability, one, other):
    low, high = sorted((one, other))
    more, fewer = (consensus_graph(stability, t, by="ana") for t in (low, high))  # the model refuses cycles
    assert arrows(fewer) <= arrows(more)
    for graph in (more, fewer):
        assert set(stability.knowledge.required) <= set(graph.required())
        said = set(stability.knowledge.forbidden)
        assert not said & set(graph.directed())
        assert not said & {*graph.undirected(), *((b, a) for a, b in graph.undirected())}
        if stability.randomised:
            assert not [t for _, t in graph.directed() if tier_of(t) == "weight"]
    linked = {frozenset((s.a, s.b)): s.linked for s in stability.shares}
    for edge in fewer.edges:
        if edge.status != "required":
            assert linked[frozenset((edge.source, edge.target))] >= high - 1e-6


def graph_of(*edges):
    origin = Provenance(kind="discovered", by="ana", at=datetime.now(UTC))
    return CausalGraph(
        nodes=tuple(Node(id=n, tier=tier_of(n)) for n in NAMES),
        edges=tuple(Edge(source=s, target=t, mark=m, provenance=origin) for s, t, m in edges),
    )


def test_methods_are_laid_side_by_side():
    graphs = {
        "boss": graph_of(("state/a", "state/b", "directed"), ("weight/u", "loss/m", "directed")),
        "pc": graph_of(("state/b", "state/a", "directed"), ("weight/u", "loss/m", "directed")),
        "fci": graph_of(("state/b", "state/a", "bidirected"), ("weight/u", "loss/m", "directed")),
        "ges": graph_of(("state/a", "state/b", "undirected")),
    }
    first, second = agreements(graphs)
    assert (first.a, first.b, first.linked, first.same) == ("state/a", "state/b", 4, 1)
    assert first.says == {"boss": "->", "pc": "<-", "fci": "<->", "ges": "-"}
    assert (second.a, second.b, second.linked, second.same) == ("weight/u", "loss/m", 3, 3)
    assert second.says["ges"] == ""
    assert agreements({}) == agreements({"boss": graph_of()}) == []
