"""A graph against the same graph shuffled: the true one stands out, a random one does not."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.falsification import GraphTests, load_tests, save_tests
from causalmix_core.graph.falsification import test_graph as run_graph_tests
from causalmix_core.graph.implications import Claim, Correlations, claims_of
from causalmix_core.graph.model import (
    CausalGraph,
    Edge,
    Node,
    Provenance,
    nodes_of,
    saturated_graph,
    tier_of,
)
from causalmix_core.graph.store import list_graphs, save_graph
from causalmix_core.probes import RunTable
from causalmix_core.workspace import Workspace, WorkspaceConfig

ASSUMED = Provenance(kind="assumed", by="test", at=datetime(2026, 1, 1, tzinfo=UTC))


def over(runs: RunTable, edges) -> CausalGraph:
    return CausalGraph(
        nodes=nodes_of(runs),
        edges=tuple(Edge(source=s, target=t, provenance=ASSUMED) for s, t in sorted(edges)),
    )


def true_edges(world) -> set[tuple[str, str]]:
    return world.weight_edges | world.state_edges | {("state/s0", "state/s1")}


def shuffled(edges, seed: int):
    """The edges with the weights and the pool states exchanged at random."""
    rng = random.Random(seed)
    new = {}
    for tier in ("state", "weight"):
        names = sorted({v for e in edges for v in e if tier_of(v) == tier})
        new |= dict(zip(names, rng.sample(names, len(names)), strict=True))
    return {(new[s], new.get(t, t)) for s, t in edges}


def test_the_true_graph_beats_its_shuffles_and_a_shuffled_one_does_not(make_world):
    large = []
    for seed in range(4):
        world = make_world(128, seed)
        true = run_graph_tests(world.runs, over(world.runs, true_edges(world)), permutations=60)
        assert true.shuffling.p_value <= 0.05
        assert true.shuffling.alike <= 0.05
        assert true.shuffling.standing == "better than chance"
        assert "knows more than a guess" in true.verdict
        wrong = over(world.runs, shuffled(true_edges(world), seed))
        large.append(run_graph_tests(world.runs, wrong, permutations=60).shuffling.p_value)
    assert min(large) > 0.05
    assert np.mean(large) > 0.3


def test_a_graph_that_claims_nothing_in_particular_cannot_be_told_from_a_guess(make_world):
    runs = make_world(64, 0).runs
    tests = run_graph_tests(runs, saturated_graph(runs, by="ana"), permutations=20)
    assert tests.shuffling.standing == "says too little"
    assert tests.shuffling.alike == 1
    assert "cannot be told from a guess" in tests.verdict


def test_nothing_to_test_is_no_comparison(make_world):
    runs = make_world(32, 0, states=2, domains=2, outcomes=1).runs
    states = ("state/s0", "state/s1")
    everything = {(s, t) for s in states for t in ("weight/d0", "weight/d1", "loss/m0")} | {states}
    everything |= {(w, "loss/m0") for w in ("weight/d0", "weight/d1")}
    tests = run_graph_tests(runs, over(runs, everything), permutations=20)
    assert tests.shuffling is None
    assert "nothing that these runs could contradict" in tests.verdict


def test_same_seed_same_result_in_silence_without_touching_global_randomness(make_world, capfd):
    world = make_world(64, 1)
    graph = over(world.runs, true_edges(world))
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    first = run_graph_tests(world.runs, graph, permutations=20, seed=5)
    assert np.random.random() == expected
    again = run_graph_tests(world.runs, graph, permutations=20, seed=5)
    assert first.model_copy(update={"tested_at": again.tested_at}) == again
    other = run_graph_tests(world.runs, graph, permutations=20, seed=6)
    assert other.shuffling.shuffled != first.shuffling.shuffled
    assert capfd.readouterr() == ("", "")


def test_progress_is_told_and_can_cancel(make_world):
    world = make_world(64, 1)
    graph = over(world.runs, true_edges(world))
    told: list[float] = []
    run_graph_tests(world.runs, graph, permutations=20, progress=lambda f, doing: told.append(f))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)

    def cancel(fraction: float, doing: str) -> None:
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_graph_tests(world.runs, graph, permutations=20, progress=cancel)


def test_impossible_numbers_are_refused(make_world):
    runs = make_world(64, 1).runs
    with pytest.raises(CausalMixError, match="3 shuffled graphs cannot be drawn; choose 20 to 10,000"):
        run_graph_tests(runs, saturated_graph(runs, by="ana"), permutations=3)


@pytest.fixture
def one_tier():
    """Pool state alone, where dowhy's test asks nothing that ours does not: a, b -> c -> d, and e."""
    rng = np.random.default_rng(0)
    n = 200
    a, b, e = rng.normal(size=(3, n))
    c = a + b + 0.7 * rng.normal(size=n)
    d = c + 0.7 * rng.normal(size=n)
    frame = pd.DataFrame({f"state/{k}": v for k, v in zip("abcde", (a, b, c, d, e), strict=True)})
    runs = RunTable.from_frame(frame.assign(**{"weight/w": 1.0, "loss/w": rng.normal(size=n)}))
    nodes = tuple(Node(id=f"state/{k}", tier="state") for k in "abcde")
    arrows = [("a", "c"), ("b", "c"), ("c", "d")]
    edges = tuple(Edge(source=f"state/{s}", target=f"state/{t}", provenance=ASSUMED) for s, t in arrows)
    return runs, CausalGraph(nodes=nodes, edges=edges)


def fisher_z(X, Y, Z=None) -> float:
    """Written apart from ours: residuals of a regression, then the normal tail."""
    from scipy.stats import norm

    X, Y = (np.asarray(v, float).reshape(len(v), -1)[:, 0] for v in (X, Y))
    Z = np.zeros((len(X), 0)) if Z is None else np.asarray(Z, float).reshape(len(X), -1)
    D = np.column_stack([np.ones(len(X)), Z])
    x, y = (v - D @ np.linalg.lstsq(D, v, rcond=None)[0] for v in (X, Y))
    r = np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1 + 1e-15, 1 - 1e-15)
    return float(2 * norm.sf(np.sqrt(len(X) - Z.shape[1] - 3) * abs(np.arctanh(r))))


def test_claims_and_verdict_agree_with_dowhy_where_it_applies(one_tier):
    """Its falsification exchanges nodes across tiers, so it applies where there is one tier."""
    from dowhy.gcm.falsify import FalsifyConst, falsify_graph, validate_lmc

    runs, graph = one_tier
    dag, data = graph.to_networkx(), runs.frame[runs.states]
    tests = {"independence_test": fisher_z, "conditional_independence_test": fisher_z, "n_jobs": 1}
    theirs = validate_lmc(dag, data, **tests)[FalsifyConst.P_VALUES]
    table = Correlations(runs)
    claims, _ = claims_of(graph)
    assert len(claims) == 7
    for claim in claims:
        assert isinstance(claim, Claim)
        assert table.partial(claim)[1] == pytest.approx(theirs[(claim.b, claim.a)][0], rel=1e-6)
    np.random.seed(0)
    verdict = falsify_graph(dag, data, n_permutations=60, show_progress_bar=False, **tests)
    ours = run_graph_tests(runs, graph, permutations=60).shuffling
    lmc = verdict.summary[FalsifyConst.VALIDATE_LMC][FalsifyConst.P_VALUE]
    alike = verdict.summary[FalsifyConst.VALIDATE_TPA][FalsifyConst.P_VALUE]
    assert ours.p_value == pytest.approx(lmc, abs=0.1)
    assert ours.alike == pytest.approx(alike, abs=0.1)


@pytest.fixture
def saved(tmp_path, make_world):
    world = make_world(32, 0)
    graph = over(world.runs, true_edges(world))
    workspace = Workspace.create(tmp_path / "w", WorkspaceConfig(name="test"))
    save_graph(workspace, "main", graph, parent=None, by="ana")
    return workspace, run_graph_tests(world.runs, graph, permutations=20)


def test_tests_are_kept_with_their_revision(saved):
    workspace, tests = saved
    assert load_tests(workspace, "main", 1) is None
    path = save_tests(workspace, "main", 1, tests)
    assert path == workspace.graphs / "main" / "1.tests.json"
    assert load_tests(workspace, "main", 1) == tests
    assert list_graphs(workspace) == {"main": [1]}
    later = tests.model_copy(update={"seed": 9})
    save_tests(workspace, "main", 1, later)
    assert load_tests(workspace, "main", 1) == later
    assert not list(workspace.graphs.rglob(".tmp-*"))
    assert GraphTests.model_validate_json(path.read_text()) == later


def test_missing_revisions_and_damaged_files_are_named(saved):
    workspace, tests = saved
    with pytest.raises(CausalMixError, match="no revision 4; it has 1"):
        save_tests(workspace, "main", 4, tests)
    with pytest.raises(CausalMixError, match="cannot be a name"):
        load_tests(workspace, "../up", 1)
    path = save_tests(workspace, "main", 1, tests)
    for text in ("{", path.read_text().replace('"seed"', '"weed"')):
        path.write_text(text)
        with pytest.raises(CausalMixError, match="is damaged") as caught:
            load_tests(workspace, "main", 1)
        assert str(path) in str(caught.value)
        assert "Test the graph again" in str(caught.value)
