"""What a graph claims about the runs: tested where the truth is known, and kept to what can be tested."""

from __future__ import annotations

from datetime import UTC, datetime

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.implications import (
    Claim,
    Correlations,
    benjamini_hochberg,
    check_implications,
    claims_of,
)
from causalmix_core.graph.model import (
    TIER_RANK,
    CausalGraph,
    Edge,
    Mark,
    Node,
    Provenance,
    nodes_of,
    saturated_graph,
    tier_of,
)
from causalmix_core.graph.operations import apply
from causalmix_core.graph.separation import Wiring
from causalmix_core.probes import RunTable

ASSUMED = Provenance(kind="assumed", by="test", at=datetime(2026, 1, 1, tzinfo=UTC))


def over(runs, edges, mark: Mark = "directed") -> CausalGraph:
    return CausalGraph(
        nodes=nodes_of(runs),
        edges=tuple(Edge(source=s, target=t, mark=mark, provenance=ASSUMED) for s, t in sorted(edges)),
    )


def truth(world) -> set[tuple[str, str]]:
    return world.weight_edges | world.state_edges | {("state/s0", "state/s1")}


def test_the_true_graph_is_hardly_ever_contradicted(make_world):
    contradicted, worlds = 0, 12
    for seed in range(worlds):
        world = make_world(200, seed)
        said = check_implications(world.runs, over(world.runs, truth(world)))
        assert said.decided > 50
        contradicted += said.rejected > 0
        assert not [e for e in said.edges if e.supported is False]
    # At a level of 5% a true graph has any rejection in one world of twenty.
    assert contradicted <= 3


def test_of_what_is_rejected_few_claims_are_true(make_world):
    """False discovery rate: a claim is false when the two are adjacent in truth or linked by it."""
    false_alarms, rejections = 0, 0
    for seed in range(8):
        world = make_world(150, seed)
        edges = truth(world)
        dag = nx.DiGraph(sorted(edges))
        dag.add_nodes_from(v.id for v in nodes_of(world.runs))
        fewer = {e for e in edges if not e[0].startswith("state/")}
        for result in check_implications(world.runs, over(world.runs, fewer)).claims:
            if result.finding == "rejected":
                rejections += 1
                claim = result.claim
                false_alarms += nx.is_d_separator(dag, {claim.a}, {claim.b}, set(claim.given))
    assert rejections > 20
    assert false_alarms / rejections < 0.15


@pytest.mark.parametrize("kind", ["weight", "state"])
def test_a_missing_edge_is_asked_for_and_drawing_it_settles_the_matter(make_world, kind):
    for seed in (1, 2):
        world = make_world(256, seed)
        missing = sorted(world.weight_edges if kind == "weight" else world.state_edges)[0]
        graph = over(world.runs, truth(world) - {missing})
        said = check_implications(world.runs, graph)
        assert said.rejected
        assert said.claims[0].finding == "rejected"
        assert {said.claims[0].claim.a, said.claims[0].claim.b} == set(missing)
        assert [(e.source, e.target) for e in said.asked] == [missing]
        assert "strong, partial correlation" in said.asked[0].words
        mended = apply(graph, said.asked[0].operation, by="ana")
        assert check_implications(world.runs, mended).rejected == 0


def test_an_edge_that_is_not_there_is_not_supported(make_world):
    world = make_world(256, 1)
    absent = next(
        (w, o)
        for w in world.runs.weight_columns
        for o in world.runs.outcomes
        if (w, o) not in world.weight_edges
    )
    graph = over(world.runs, truth(world) | {absent})
    said = check_implications(world.runs, graph)
    assert [(e.source, e.target) for e in said.unsupported] == [absent]
    assert said.edges[0] == said.unsupported[0]
    assert 0 < said.unsupported[0].least < 0.3
    assert "do without it" in said.unsupported[0].words
    without = apply(graph, said.unsupported[0].operation, by="ana")
    assert absent not in without.directed()


def test_two_pool_states_ask_for_an_edge_whose_direction_is_open(make_world):
    world = make_world(256, 1)
    said = check_implications(world.runs, over(world.runs, truth(world) - {("state/s0", "state/s1")}))
    (asked,) = said.asked
    assert {asked.source, asked.target} == {"state/s0", "state/s1"}
    assert "its direction is not known" in asked.words


def test_an_undirected_and_a_bidirected_edge_are_tested_as_such(make_world):
    world = make_world(256, 1)
    for mark in ("undirected", "bidirected"):
        rest = over(world.runs, truth(world) - {("state/s0", "state/s1")})
        linked = over(world.runs, {("state/s0", "state/s1")}, mark)
        graph = CausalGraph(nodes=rest.nodes, edges=(*rest.edges, *linked.edges))
        said = check_implications(world.runs, graph)
        assert said.rejected == 0
        (edge,) = (e for e in said.edges if e.mark == mark)
        assert edge.supported


def test_pairs_of_weights_and_of_outcomes_are_never_tested_and_nothing_later_is_held_fixed(make_world):
    world = make_world(64, 0, assignment="observational")
    claims, left = claims_of(over(world.runs, truth(world)))
    assert left == 0
    pairs = {frozenset((tier_of(c.a), tier_of(c.b))) for c in claims}
    assert pairs == {
        frozenset(("state",)), frozenset(("state", "weight")), frozenset(("state", "outcome")),
        frozenset(("weight", "outcome")),
    }  # fmt: skip
    for claim in claims:
        earlier = {"state", "weight"} if tier_of(claim.b) == "outcome" else {"state"}
        assert {tier_of(v) for v in claim.given} <= earlier
        assert TIER_RANK[tier_of(claim.a)] <= TIER_RANK[tier_of(claim.b)]


def test_a_latent_cause_takes_a_claim_away(make_world):
    world = make_world(64, 0)
    graph = over(world.runs, truth(world) - {("state/s0", "state/s1")})
    hidden = CausalGraph(
        nodes=(*graph.nodes, Node(id="latent/u", tier="latent")),
        edges=(
            *graph.edges,
            *(Edge(source="latent/u", target=t, provenance=ASSUMED) for t in ("state/s0", "state/s1")),
        ),
    )
    pair = {"state/s0", "state/s1"}
    assert any({c.a, c.b} == pair for c in claims_of(graph)[0])
    assert not any({c.a, c.b} == pair for c in claims_of(hidden)[0])
    assert check_implications(world.runs, hidden).rejected == 0


def test_what_arithmetic_decides_is_left_open(make_world):
    frame = make_world(128, 0).runs.frame
    frame = frame.assign(**{"state/sum": frame["state/s0"] + frame["state/s2"], "state/flat": 0.5})
    runs = RunTable.from_frame(frame)
    graph = over(runs, {("state/s0", "loss/m0"), ("state/s2", "loss/m0")})
    said = check_implications(runs, graph)
    by_pair = {(c.claim.a, c.claim.b): c for c in said.claims}
    assert by_pair[("state/sum", "loss/m0")].finding == "undecidable"
    assert "arithmetic" in by_pair[("state/sum", "loss/m0")].words
    assert said.notes == ("state/flat is the same in every run: nothing about it can be tested.",)
    assert all(c.finding == "undecidable" for c in said.claims if "state/flat" in (c.claim.a, c.claim.b))
    assert said.claims[-1].finding == "undecidable"


@pytest.mark.parametrize(("n", "bends"), [(90, True), (45, False)])
def test_partial_correlation_is_that_of_regression_residuals(make_world, n, bends):
    """With ten runs per variable held fixed, weights are held fixed as they are too, not only bent."""
    from scipy.stats import norm

    runs = make_world(n, 3).runs
    given = ["state/s1", "weight/d1", "weight/d2"]
    found = Correlations(runs).partial(Claim(a="weight/d0", b="loss/m0", given=tuple(given)))
    data = runs.frame.assign(**{c: np.log(runs.frame[c] + 0.03) for c in runs.weight_columns})
    Z = np.column_stack([np.ones(n), data[given], *([runs.frame[given[1:]]] if bends else [])]).astype(float)
    left = [
        y - Z @ np.linalg.lstsq(Z, y, rcond=None)[0]
        for y in (data["weight/d0"].to_numpy(float), data["loss/m0"].to_numpy(float))
    ]
    r = np.corrcoef(*left)[0, 1]
    assert found is not None
    assert found[0] == pytest.approx(r, abs=1e-9)
    z = np.sqrt(n - (Z.shape[1] - 1) - 3) * abs(np.arctanh(r))
    assert found[1] == pytest.approx(2 * norm.sf(z), rel=1e-6)


@pytest.mark.parametrize("law", [lambda u: (0.05 + u) ** -0.4, lambda u: np.exp(-3 * u)])
def test_another_law_than_the_logarithm_does_not_ask_for_edges(law):
    asked = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        w = rng.dirichlet(np.ones(5), 400)
        y = law(w[:, 0] + 0.4 * w[:, 1])
        frame = pd.DataFrame({f"weight/{d}": w[:, i] for i, d in enumerate("abcde")})
        runs = RunTable.from_frame(frame.assign(**{"loss/a": y + 0.1 * y.std() * rng.normal(size=400)}))
        said = check_implications(runs, over(runs, {("weight/a", "loss/a"), ("weight/b", "loss/a")}))
        assert all(e.supported for e in said.edges)
        asked += len(said.asked)
    assert asked <= 1


def test_p_values_of_a_true_claim_are_uniform():
    """500 tables in which pool state and loss share only a weight that is held fixed."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(500):
        w = rng.dirichlet(np.ones(3), 60)
        s = rng.normal(size=60) + np.log(w[:, 0] + 0.03)
        y = np.log(w[:, 0] + 0.03) + rng.normal(size=60)
        frame = pd.DataFrame({f"weight/{d}": w[:, i] for i, d in enumerate("abc")})
        runs = RunTable.from_frame(frame.assign(**{"state/s": s, "loss/a": y}))
        found = Correlations(runs).partial(Claim(a="state/s", b="loss/a", given=("weight/a",)))
        p_values.append(found[1])
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.08
    assert 0.44 <= np.mean(np.array(p_values) < 0.5) <= 0.56


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=40))
def test_benjamini_hochberg_is_scipys(p_values):
    from scipy.stats import false_discovery_control

    expected = false_discovery_control(p_values) if p_values else []
    assert benjamini_hochberg(p_values) == pytest.approx(list(expected))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_every_claim_follows_from_the_graph(seed):
    rng = np.random.default_rng(seed)
    names = ["latent/u", "state/a", "state/b", "state/c", "weight/x", "weight/y", "loss/x"]
    edges = []
    for i, s in enumerate(names):
        for t in names[i + 1 :]:
            if (tier_of(s) != tier_of(t) or tier_of(s) == "state") and rng.random() < 0.4:
                edges.append(Edge(source=s, target=t, provenance=ASSUMED))
    graph = CausalGraph(nodes=tuple(Node(id=n, tier=tier_of(n)) for n in names), edges=tuple(edges))
    dag = Wiring.of(graph).dag
    claims, _ = claims_of(graph)
    for c in claims:
        assert nx.is_d_separator(dag, {c.a}, {c.b}, set(c.given))
    claimed = {frozenset((c.a, c.b)) for c in claims}
    for i, a in enumerate(names[1:], 1):
        for b in names[i + 1 :]:
            earlier = [v for v in names if v not in (a, b) and tier_of(v) in ("state", "weight")]
            if tier_of(b) != "outcome":
                earlier = [v for v in earlier if tier_of(v) == "state"]
            apart = nx.find_minimal_d_separator(dag, {a}, {b}, restricted=set(earlier)) is not None
            same = tier_of(a) == tier_of(b) != "state"
            if not same and not graph.edge_between(a, b):
                assert (frozenset((a, b)) in claimed) == apart


def test_a_graph_that_says_nothing_and_too_few_runs(make_world):
    runs = make_world(7, 0, states=2, domains=2, outcomes=2).runs
    with pytest.raises(CausalMixError, match="at least 8 runs; there are 7"):
        check_implications(runs, saturated_graph(runs, by="ana"))
    world = make_world(32, 0, states=2, domains=2, outcomes=2)
    everything = {
        (s, t)
        for s in [*world.runs.states, *world.runs.weight_columns]
        for t in [*world.runs.weight_columns, *world.runs.outcomes]
        if tier_of(s) != tier_of(t)
    } | {("state/s0", "state/s1")}
    said = check_implications(world.runs, over(world.runs, everything))
    assert (said.claims, said.asked) == ((), ())
    assert "nothing that these runs could contradict" in said.verdict


def test_a_large_graph_is_tested_in_part_and_says_so(make_world):
    world = make_world(64, 0)
    claims, left = claims_of(over(world.runs, truth(world)), most=10)
    assert len(claims) == 10
    assert left > 40
    assert all(c.b.startswith("loss/") for c in claims)
