"""How mixtures came about, and where there are runs to go by, on runs made for the purpose."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects.overlap import assignment_report, overlap_report, point_support
from causalmix_core.effects.state_terms import held_out_r2, state_terms
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.runs import RunTable

DOMAINS = ["books", "code", "web"]


def table(weights, state=None, assignment="randomised", **columns):
    names = DOMAINS[: weights.shape[1]]
    frame = pd.DataFrame({f"weight/{d}": weights[:, i] for i, d in enumerate(names)})
    for i, name in enumerate(["state/age", "state/quality"][: 0 if state is None else state.shape[1]]):
        frame[name] = state[:, i]
    frame["loss/code"] = np.arange(len(frame), dtype=float)
    return RunTable.from_frame(frame.assign(assignment=assignment, **columns))


def tilted(weights, by, towards=1):
    """Mixtures with more of one domain where `by` is high."""
    moved = weights.copy()
    moved[:, towards] *= np.exp(by)
    return moved / moved.sum(axis=1, keepdims=True)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    return rng.dirichlet([2, 2, 2], 60), rng.normal(size=(60, 2))


def test_random_mixtures_are_believed(drawn):
    report = assignment_report(table(*drawn))
    assert (report.kind, report.doubted, report.counts) == ("randomised", False, {"randomised": 60})
    assert report.state_p_value > 0.005
    assert all(w.by_state < 0.2 for w in report.weights)
    assert "drawn at random" in report.sentences[0]
    assert "The runs agree" in report.sentences[1]
    assert report.order_p_value is None


def test_a_label_that_the_pool_state_contradicts_is_doubted(drawn):
    weights, state = drawn
    report = assignment_report(table(tilted(weights, state[:, 0]), state))
    assert report.doubted
    assert {w.domain: w for w in report.weights}["code"].by_state > 0.1
    assert any("The label is in doubt" in s and "code" in s for s in report.sentences)
    observed = assignment_report(table(tilted(weights, state[:, 0]), state, "observational"))
    assert not observed.doubted
    assert any("makes a difference" in s for s in observed.sentences)


def test_few_honest_swarms_are_doubted():
    rng = np.random.default_rng(3)
    doubted = [
        assignment_report(table(rng.dirichlet([1, 1, 1], 24), rng.normal(size=(24, 2)))).doubted
        for _ in range(12)
    ]
    assert sum(doubted) <= 1


def test_later_runs_with_other_mixtures_are_seen(drawn):
    weights, _ = drawn
    times = pd.date_range("2026-01-01", periods=60, freq="h", tz="UTC")
    still = assignment_report(table(weights, None, "adaptive", finished_at=times))
    moving = assignment_report(
        table(tilted(weights, np.linspace(-2, 2, 60)), None, "adaptive", finished_at=times)
    )
    assert not any("Later runs" in s for s in still.sentences)
    assert moving.order_p_value < 0.005
    assert any("Later runs have other mixtures" in s and "code" in s for s in moving.sentences)
    assert "a guide" in moving.sentences[0]
    one_shard = table(weights, finished_at=times[0])
    assert assignment_report(one_shard).order_p_value is None


@pytest.mark.parametrize(
    ("assignment", "kind", "said"),
    [
        (["observational"] * 60, "observational", "as good as the graph"),
        (["randomised"] * 40 + ["adaptive"] * 20, "mixed", "40 randomised and 20 adaptive"),
        (["adaptive"] * 40 + ["observational"] * 20, "mixed", "None were drawn at random"),
        ([None] * 60, None, "Nothing is recorded"),
    ],
)
def test_other_assignments_are_read_differently(drawn, assignment, kind, said):
    report = assignment_report(table(*drawn, assignment=assignment))
    assert report.kind == kind
    assert said in report.sentences[0]


def test_a_weight_that_never_moves_is_predicted_by_nothing():
    rng = np.random.default_rng(0)
    part = rng.uniform(0.1, 0.7, 30)
    weights = np.column_stack([np.full(30, 0.2), part, 0.8 - part])
    report = assignment_report(table(weights, rng.normal(size=(30, 1))))
    assert report.weights[0].by_state == 0
    assert report.table()["domain"].tolist() == DOMAINS


def test_runs_without_state_are_not_tested(drawn):
    report = assignment_report(table(drawn[0]))
    assert report.state_p_value is None
    assert [w.by_state for w in report.weights] == [None] * 3


def test_support_counts_runs_and_regions():
    rng = np.random.default_rng(0)
    state = np.repeat([0.0, 1.0, 2.0], 20)[:, None]
    code = np.where(state[:, 0] < 2, rng.uniform(0, 0.6, 60), 0.3 + rng.uniform(-0.02, 0.02, 60))
    code[:5] = 0.005
    weights = np.column_stack([np.full(60, 0.3), code, 0.7 - code])
    found = overlap_report(table(weights, state))
    by_domain = {d.domain: d for d in found.domains}
    assert by_domain["books"].effective_runs == pytest.approx(60)
    assert by_domain["code"].runs_with == (code > 0.01).sum()
    assert by_domain["code"].lower == pytest.approx(np.quantile(code, 0.01))
    assert [(r.region, r.runs) for r in found.regions] == [("low", 20), ("middle", 20), ("high", 20)]
    high = found.regions[2]
    assert high.spread["code"] < 0.2
    assert high.runs_with["code"] == 20
    assert any("state/age is high" in w and "hardly vary" in w and "code" in w for w in found.warnings)
    assert len(found.region_table()) == 9
    assert found.domain_table()["domain"].tolist() == DOMAINS


def test_too_few_runs_for_effects_that_depend_on_the_state(drawn):
    weights, state = drawn
    few = overlap_report(table(weights, state))
    assert any("20 per domain) are too few" in w and "150 to 300 runs" in w for w in few.warnings)
    rng = np.random.default_rng(1)
    many = overlap_report(table(rng.dirichlet([2, 2, 2], 300), rng.normal(size=(300, 1))))
    assert many.warnings == ()
    stateless = overlap_report(table(weights))
    assert stateless.warnings == ()
    assert stateless.regions == ()


def test_a_domain_that_few_runs_hold_is_named():
    rng = np.random.default_rng(0)
    rare = np.where(np.arange(40) < 4, 0.1, 0.0)
    part = rng.uniform(0.2, 0.8, 40) * (1 - rare)
    found = overlap_report(table(np.column_stack([rare, part, 1 - rare - part])))
    assert any("books (4)" in w for w in found.warnings)
    assert found.domains[0].effective_runs == pytest.approx(4)


def test_a_point_among_the_runs_and_points_outside(drawn):
    runs = table(*drawn)
    centre, state = dict.fromkeys(DOMAINS, 1 / 3), {"state/age": 0.0, "state/quality": 0.0}
    inside = point_support(runs, centre, state)
    assert (inside.inside, inside.outside) == (True, {})
    corner = point_support(runs, {"books": 1.0, "code": 0.0, "web": 0.0}, state)
    assert not corner.inside
    assert set(corner.outside) == set(DOMAINS)
    assert corner.nearest > corner.usual
    far = point_support(runs, centre, {**state, "state/age": 9.0})
    assert not far.inside
    assert "standard deviations" in far.words
    assert point_support(runs, centre).state_distance is None
    with pytest.raises(CausalMixError, match="state/quality"):
        point_support(runs, centre, {"state/age": 0.0})


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 59))
def test_every_run_is_its_own_nearest(row):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([2, 2, 2], 60)
    found = point_support(table(weights), dict(zip(DOMAINS, weights[row].tolist(), strict=True)))
    assert found.nearest == pytest.approx(0, abs=1e-9)


def test_held_out_r2_agrees_with_leaving_runs_out_one_by_one():
    rng = np.random.default_rng(0)
    state = rng.normal(size=(25, 2))
    terms, values = state_terms(state), state @ [[1.0], [0.5]] + rng.normal(size=(25, 1))
    missed, by_mean = [], []
    for i in range(25):
        rest = np.arange(25) != i
        fitted = np.linalg.lstsq(terms[rest], values[rest], rcond=None)[0]
        missed.append(values[i] - terms[i] @ fitted)
        by_mean.append(values[i] - values[rest].mean())
    expected = 1 - np.sum(np.square(missed)) / np.sum(np.square(by_mean))
    assert held_out_r2(terms, values) == pytest.approx(expected)


def test_squares_need_runs_and_leave_with_their_state():
    state = np.random.default_rng(0).normal(size=(60, 2))
    assert state_terms(state).shape[1] == 6
    assert state_terms(state, without=[1]).shape[1] == 3
    assert state_terms(state[:59]).shape[1] == 3
