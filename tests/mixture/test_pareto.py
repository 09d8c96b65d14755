"""Two outcomes against each other, one point from one domain to another, and another objective."""

from __future__ import annotations

import numpy as np
import pytest

from causalmix_core.effects import OBJECTIVE, fit_effects
from causalmix_core.effects.reweighting import with_objective
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import saturated_graph
from causalmix_core.mixture import Constraints, broken, exchange_effect, pareto_front, resolve
from causalmix_core.mixture.pareto import on_front
from tests.mixture.conftest import DOMAINS, OUTCOMES, true_losses

EVEN = dict.fromkeys(DOMAINS, 0.25)
STATE = {"state/quality": 0.0}


def test_no_candidate_betters_the_front(model):
    limits = resolve(Constraints(radius=0.3, bounds={"books": (0.1, 1)}), DOMAINS, None, EVEN)
    current = {"books": 0.4, "code": 0.2, "math": 0.2, "web": 0.2}
    frame = pareto_front(model, STATE, limits, "loss/web", "loss/code", current)
    drawn, last = frame[~frame["current"]], frame[frame["current"]].iloc[0]
    front = drawn[drawn["front"]]
    assert 5 < len(front) < len(drawn)
    costs = drawn[["loss/web", "loss/code"]].to_numpy()
    for row in front[["loss/web", "loss/code"]].to_numpy():
        better = (costs <= row).all(axis=1) & (costs < row).any(axis=1)
        assert not better.any()
    behind = drawn[~drawn["front"]][["loss/web", "loss/code"]].to_numpy()
    ours = front[["loss/web", "loss/code"]].to_numpy()
    assert all((ours <= row).all(axis=1).any() for row in behind)
    weights = frame[[f"weight/{d}" for d in DOMAINS]]
    assert weights.iloc[-1].tolist() == list(current.values())
    assert not last["front"]
    for row in weights[:-1].to_numpy():
        assert all(v.by < 1e-6 for v in broken(limits, dict(zip(DOMAINS, row.tolist(), strict=True))))
    assert (frame["loss/web lower"] <= frame["loss/web"]).all()
    # the ends of the front are what each outcome alone would choose
    tried = np.random.default_rng(0).dirichlet(np.ones(4), 5000)
    tried = tried[(np.abs(tried - 0.25).sum(axis=1) / 2 <= 0.3) & (tried[:, 0] >= 0.1)]
    for outcome in ("loss/web", "loss/code"):
        assert front[outcome].min() <= model.changes(STATE, EVEN, tried, outcome)[0].min() + 0.005


def test_the_objective_can_be_weighed_against_an_outcome(model):
    limits = resolve(Constraints(), DOMAINS, None, EVEN)
    assert pareto_front(model, STATE, limits, OBJECTIVE, "loss/web", EVEN)["front"].any()
    with pytest.raises(CausalMixError, match="against itself"):
        pareto_front(model, STATE, limits, "loss/web", "loss/web", EVEN)
    with pytest.raises(CausalMixError, match="no outcome loss/poems"):
        pareto_front(model, STATE, limits, "loss/web", "loss/poems", EVEN)


def test_the_front_by_hand():
    costs = np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [3.0, 1.0], [3.0, 3.0], [1.0, 4.0]])
    assert on_front(costs).tolist() == [True, True, False, True, False, False]


def test_one_point_from_one_domain_to_another(model):
    found = exchange_effect(model, STATE, EVEN, "code", "books").set_index("outcome")
    effects = model.effects(STATE, EVEN).set_index(["outcome", "domain"])["effect"]
    step = np.array([-0.005, 0.005, 0, 0])
    truth = (true_losses((0.25 + step)[None]) - true_losses((0.25 - step)[None]))[0]
    for outcome, true in zip(OUTCOMES, truth, strict=True):
        row = found.loc[outcome]
        # what slides in proportion is the difference of both effects
        assert row["effect"] == pytest.approx(
            effects[outcome, "code"] - effects[outcome, "books"], rel=0.02, abs=1e-5
        )
        assert row["lower"] <= true <= row["upper"]
        assert row["distinguishable"] == (row["lower"] > 0 or row["upper"] < 0)


def test_an_exchange_at_the_edge_and_one_that_is_none(model):
    edge = {"books": 0.002, "code": 0.0, "math": 0.5, "web": 0.498}
    assert np.isfinite(exchange_effect(model, STATE, edge, "code", "books")["effect"]).all()
    with pytest.raises(CausalMixError, match="no code in this mixture"):
        exchange_effect(model, STATE, edge, "books", "code")
    with pytest.raises(CausalMixError, match="give to itself"):
        exchange_effect(model, STATE, EVEN, "code", "code")
    with pytest.raises(CausalMixError, match="no domain poems"):
        exchange_effect(model, STATE, EVEN, "code", "poems")


def test_another_objective_is_that_of_a_fit_from_scratch(model, runs):
    shares = {"loss/web": 3.0, "loss/code": 1.0}
    quick = with_objective(model, shares)
    slow = fit_effects(runs, saturated_graph(runs, by="test"), objective=shares)
    assert quick.objective == slow.objective
    assert quick.identifications == slow.identifications
    assert quick.outcomes == slow.outcomes
    a, b = (m.effects(STATE, EVEN).set_index(["outcome", "domain"])["effect"] for m in (quick, slow))
    assert a.drop(OBJECTIVE).to_numpy() == pytest.approx(b.drop(OBJECTIVE).to_numpy())
    assert a[OBJECTIVE].to_numpy() == pytest.approx(b[OBJECTIVE].to_numpy(), rel=0.05, abs=2e-4)
    old = model.effects(STATE, EVEN).set_index(["outcome", "domain"])["effect"]
    assert a.drop(OBJECTIVE).equals(old.drop(OBJECTIVE))
    assert not np.allclose(a[OBJECTIVE], old[OBJECTIVE])
    with pytest.raises(CausalMixError, match="poems"):
        with_objective(model, {"loss/poems": 1.0})
