from __future__ import annotations

import math

import numpy as np
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import Probe, SwarmSpec, design_swarm, reference_of
from causalmix_core.probes.design import READABLE
from causalmix_core.probes.design_summary import EPSILON, DesignSummary, describe_design


def summary_of(weights: np.ndarray, tilts: np.ndarray | None = None, **fields: object) -> DesignSummary:
    names = [f"d{i}" for i in range(weights.shape[1])]
    tilts = np.zeros((len(weights), 1)) if tilts is None else tilts
    probes = [
        Probe(
            number=i,
            mixture=dict(zip(names, map(float, w), strict=True)),
            tilt={f"x{j}": float(v) for j, v in enumerate(t)},
        )
        for i, (w, t) in enumerate(zip(weights, tilts, strict=True))
    ]
    reference = dict.fromkeys(names, 1 / len(names))
    return describe_design(probes, reference, dict.fromkeys(names, 1000), **{"budget": 900, **fields})


def with_logs(logs: np.ndarray) -> np.ndarray:
    """Weights whose log(w + EPSILON) are `logs`; they need not sum to one for a test of the algebra."""
    return np.exp(logs) - EPSILON


FACTORIAL = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) * 0.4 - 1.2


def test_an_orthogonal_design_counts_in_full() -> None:
    found = summary_of(with_logs(FACTORIAL))
    assert found.effective_probes == pytest.approx(8)
    assert found.condition == pytest.approx(1)
    assert found.correlation == pytest.approx(np.eye(3))
    assert found.constant == []


def test_correlated_log_weights_count_less_by_their_variance_inflation() -> None:
    # d1 = 0.6 d0 + 0.8 independent: correlation 0.6, so both inflate by 1 / (1 - 0.36)
    centred = FACTORIAL - FACTORIAL.mean(axis=0)
    centred[:, 1] = 0.6 * centred[:, 0] + 0.8 * centred[:, 1]
    found = summary_of(with_logs(centred - 1.5))
    inflation = 1 / (1 - 0.36)
    assert list(found.inflation.values()) == pytest.approx([inflation, inflation, 1])
    assert found.effective_probes == pytest.approx(8 / ((2 * inflation + 1) / 3))
    assert found.condition == pytest.approx(math.sqrt(1.6 / 0.4))


def test_effective_probes_are_the_precision_of_least_squares() -> None:
    swarm = SwarmSpec(probes=60, state_features=("x",))
    tokens = {"a": 5, "b": 3, "c": 2, "d": 9}
    probes = design_swarm(swarm, tokens)
    found = describe_design(probes, reference_of(swarm, tokens), tokens, budget=1)
    logs = np.log(np.array([list(p.mixture.values()) for p in probes]) + EPSILON)
    model = np.column_stack([np.ones(60), logs])
    variance = np.diag(np.linalg.inv(model.T @ model))[1:]
    uncorrelated = 1 / (60 * logs.var(axis=0))
    assert found.effective_probes == pytest.approx(60 / np.mean(variance / uncorrelated))
    assert 0 < found.effective_probes < 60


def test_a_collinear_design_counts_for_nothing() -> None:
    logs = FACTORIAL.copy()
    logs[:, 2] = logs[:, 0]
    found = summary_of(with_logs(logs))
    assert found.effective_probes == 0
    assert found.condition == math.inf
    assert found.inflation == {"d0": math.inf, "d1": pytest.approx(1), "d2": math.inf}
    assert found.correlation[0, 2] == pytest.approx(1)


def test_too_few_probes_and_weights_that_stand_still_count_for_nothing() -> None:
    rng = np.random.default_rng(0)
    assert summary_of(rng.dirichlet(np.ones(5), 5)).effective_probes == 0
    still = rng.dirichlet(np.ones(3), 20) * 0.8
    found = summary_of(np.column_stack([still, np.full(20, 0.2)]))
    assert found.constant == ["d3"]
    assert found.effective_probes == 0
    assert np.isfinite(found.correlation).all()


def test_ranges_epochs_and_nearness_by_hand() -> None:
    weights = np.array([[0.5, 0.5], [0.2, 0.8], [0.7, 0.3], [0.9, 0.1]])
    found = summary_of(weights, near=0.25, budget=900)
    assert found.domains["d0"].minimum == pytest.approx(0.2)
    assert found.domains["d0"].median == pytest.approx(0.6)
    assert found.domains["d0"].maximum == pytest.approx(0.9)
    assert found.domains["d0"].epochs == pytest.approx(0.9 * 900 / (READABLE * 1000))
    assert found.epochs == found.domains["d0"].epochs
    assert found.near_reference == 0.5
    assert found.spacing == pytest.approx((0.2 + 0.3 + 0.2 + 0.2) / 4)


def test_coverage_is_one_for_a_uniform_draw_and_more_for_an_even_spread() -> None:
    rng = np.random.default_rng(1)
    uniform = np.mean([summary_of(rng.dirichlet(np.ones(4), 200)).coverage for _ in range(8)])
    assert uniform == pytest.approx(1, abs=0.05)
    bunched = summary_of(0.25 + 0.1 * (rng.dirichlet(np.ones(4), 200) - 0.25))
    assert bunched.coverage == pytest.approx(0.1, abs=0.02)
    tokens = dict.fromkeys("abcd", 100)
    sobol = SwarmSpec(design="sobol", probes=200, state_features=("x",))
    even = describe_design(design_swarm(sobol, tokens), reference_of(sobol, tokens), tokens, budget=1)
    assert even.coverage > 1.05


def test_a_list_gone_through_twice_covers_as_much_as_once() -> None:
    weights = np.random.default_rng(2).dirichlet(np.ones(3), 10)
    once, twice = summary_of(weights), summary_of(np.vstack([weights, weights]))
    assert (once.mixtures, twice.mixtures, twice.probes) == (10, 10, 20)
    assert twice.coverage == pytest.approx(once.coverage)
    assert summary_of(np.full((3, 2), 0.5)).coverage == 0


def test_tilts_that_follow_a_weight_stand_out() -> None:
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), 100)
    free = rng.uniform(-1, 1, (100, 2))
    found = summary_of(weights, free)
    assert found.tilt_correlation < found.tilt_correlation_limit < 0.35
    free[:, 1] = -np.log(weights[:, 0] + EPSILON)
    assert summary_of(weights, free).tilt_correlation == pytest.approx(1)
    assert summary_of(weights).tilt_correlation == 0


def test_the_limit_holds_for_nineteen_of_twenty_independent_designs() -> None:
    rng = np.random.default_rng(4)
    below = [
        (s := summary_of(rng.dirichlet(np.ones(3), 40), rng.uniform(-1, 1, (40, 3)))).tilt_correlation
        <= s.tilt_correlation_limit
        for _ in range(200)
    ]
    assert np.mean(below) == pytest.approx(0.95, abs=0.04)


def test_one_probe_is_not_enough() -> None:
    with pytest.raises(CausalMixError, match="at least two"):
        summary_of(np.array([[0.5, 0.5]]))
