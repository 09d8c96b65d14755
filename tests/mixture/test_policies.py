"""Policies: valid for every input, as good as a search by brute force, honest where nothing helps."""

from __future__ import annotations

import importlib
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from causalmix_core.effects import fit_effects
from causalmix_core.effects.model import OWN_EPSILON
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import saturated_graph
from causalmix_core.mixture import (
    POLICIES,
    POLICY_NAMES,
    Constraints,
    Group,
    ask,
    broken,
    policy_table,
    pose,
    suggest,
    total_variation,
)
from causalmix_core.mixture.policies.candidates import draw_candidates
from causalmix_core.mixture.policies.trust_region import trust_region, within_runs
from causalmix_core.mixture.room import bring_in
from causalmix_core.probes import RunTable
from tests.mixture.conftest import DOMAINS, draw_runs, true_losses

# The packages export functions of the same names.
regmix_way = importlib.import_module("causalmix_core.mixture.policies.regmix")
search_way = importlib.import_module("causalmix_core.mixture.policies.search")
EVEN = dict.fromkeys(DOMAINS, 0.25)
ODD = {"books": 0.3, "code": 0.1, "math": 0.25, "web": 0.35}
STATE = {"state/quality": 0.0}
TOKENS = {"books": 1000, "code": 100, "math": 400, "web": 5000}
BY_EFFECTS = [p for p in POLICY_NAMES if POLICIES[p].uses_effects]
SEARCHED = 3_000


def as_array(mixture):
    return np.array([mixture[d] for d in DOMAINS])


def true_objective(mixture):
    return float(true_losses(as_array(mixture)[None]).mean())


@pytest.mark.parametrize("policy", BY_EFFECTS)
def test_the_suggestion_lowers_the_true_objective(model, policy):
    found = suggest(model, STATE, EVEN, policy=policy)
    assert not found.stay
    assert found.change.iloc[-1]["upper"] < 0
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), 5000)
    best = min(true_losses(m[None]).mean() for m in drawn if np.abs(m - 0.25).sum() / 2 <= 0.25)
    before = true_objective(EVEN)
    assert before - true_objective(found.mixture) > 0.6 * (before - best)


# What T must do at least as well as a search among many allowed mixtures.
CONVEX = {
    "reach": Constraints(radius=0.25),
    "tight": Constraints(
        radius=0.3,
        locked={"web": 0.3},
        groups=(Group(name="g", domains=("code", "math"), highest=0.5),),
        bounds={"books": (0.1, 0.4)},
    ),
}


@pytest.mark.parametrize(
    ("asked", "confidence", "no_harm"),
    [
        ("reach", True, {}),
        ("reach", False, {"loss/web": 0.02}),
        ("reach", True, {"loss/web": 0.05, "loss/code": 0.02}),
        ("tight", False, {}),
        ("tight", True, {"loss/web": 0.1}),
        ("tight", True, {"loss/web": 0.0}),
    ],
)
def test_t_is_as_good_as_a_search_by_brute_force(model, asked, confidence, no_harm):
    problem = pose(model, STATE, ODD, constraints=CONVEX[asked], confidence=confidence, no_harm=no_harm)
    found = trust_region(problem)
    rng = np.random.default_rng(0)
    drawn = np.vstack([rng.dirichlet(np.ones(4), SEARCHED), rng.dirichlet(30 * found + 0.01, SEARCHED)])
    drawn = bring_in(within_runs(problem), drawn, problem.start)
    harm = problem.harm(drawn).sum(axis=1)
    mine = problem.harm(found[None]).sum()
    # a lock below what is protected harms whatever else is chosen
    assert (mine > 0) == (asked == "tight" and bool(no_harm) and harm.min() > 0)
    assert mine <= harm.min() + 1e-3
    best = problem.score(drawn).min()
    assert problem.score(found[None])[0] <= best + 0.02 * abs(best) + 1e-6


def with_few(rng):
    """Mixtures of two domains."""
    rows = []
    for i, j in itertools.combinations(range(4), 2):
        share = rng.uniform(size=400)
        pair = np.zeros((400, 4))
        pair[:, i], pair[:, j] = share, 1 - share
        rows.append(pair)
    return np.vstack(rows)


def with_leaps(rng):
    """Mixtures in which some domains stay at the reference and the others move by chance."""
    start, rows = as_array(ODD), []
    for size in (2, 3, 4):
        for moved in itertools.combinations(range(4), size):
            block = np.tile(start, (2000, 1))
            block[:, moved] = rng.dirichlet(np.ones(size), 2000) * start[list(moved)].sum()
            rows.append(block)
    return np.vstack(rows)


@pytest.mark.parametrize(
    ("asked", "draw"),
    [
        (Constraints(most_domains=2), with_few),
        (Constraints(smallest_change=0.08, radius=0.3), with_leaps),
        (Constraints(smallest_change=0.12, radius=0.3, bounds={"web": (0.35, 1)}), with_leaps),
    ],
)
def test_t_finds_the_best_domains_to_keep_and_to_move(model, asked, draw):
    problem = pose(model, STATE, ODD, constraints=asked, confidence=False)
    found = trust_region(problem)
    low, high = within_runs(problem).lower, within_runs(problem).upper
    drawn = draw(np.random.default_rng(0))
    moved = np.abs(drawn - as_array(ODD))
    allowed = (drawn >= low - 1e-9).all(axis=1) & (drawn <= high + 1e-9).all(axis=1)
    allowed &= ((moved < 1e-9) | (moved >= asked.smallest_change)).all(axis=1)
    allowed &= moved.sum(axis=1) / 2 <= (asked.radius or 1)
    best = problem.score(drawn[allowed]).min()
    assert problem.score(found[None])[0] <= best + 0.03 * abs(best) + 1e-6
    assert broken(problem.limits, dict(zip(DOMAINS, found.tolist(), strict=True))) == []


def test_noise_gives_the_advice_to_stay():
    runs = draw_runs(48, noise=0.1)
    rng = np.random.default_rng(1)
    noisy = RunTable.from_frame(runs.frame.assign(**{o: rng.normal(size=48) for o in runs.outcomes}))
    fitted = fit_effects(noisy, saturated_graph(noisy, by="test"))
    found = suggest(fitted, STATE, ODD)
    assert found.stay
    assert found.mixture == pytest.approx(ODD)
    assert found.distance < 1e-12
    assert any(
        n.startswith("Stay: no mixture within reach is predicted to be better with 95%") for n in found.notes
    )
    assert (found.change["change"].abs() < 1e-12).all()
    other = suggest(fitted, STATE, ODD, policy="search")
    assert "Its gain is not distinguishable from zero." in other.notes


@settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    weights=st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(sum),
    radius=st.none() | st.integers(10, 60).map(lambda p: p / 100),
    ceiling=st.integers(5, 40).map(lambda p: p / 100),
    locked=st.booleans(),
    least=st.sampled_from([0.0, 0.05]),
    most=st.none() | st.integers(2, 3),
    policy=st.sampled_from(BY_EFFECTS),
    step=st.sampled_from([0.4, 1.0]),
)
def test_suggestions_keep_all_constraints(model, weights, radius, ceiling, locked, least, most, policy, step):
    start = dict(zip(DOMAINS, (np.array(weights) / sum(weights)).tolist(), strict=True))
    asked = Constraints(
        bounds={"code": (0.0, ceiling)},
        locked={"math": 0.15} if locked else {},
        smallest_change=least,
        most_domains=most,
        radius=radius,
    )
    try:
        problem = pose(model, STATE, start, constraints=asked)
    except CausalMixError:
        assume(False)
    found = ask(problem, policy, step)
    assert math.fsum(found.mixture.values()) == 1
    assert list(found.mixture) == DOMAINS
    assert found.violations == ()
    assert found.mixture["code"] <= ceiling
    assert not locked or found.mixture["math"] == 0.15
    assert found.distance == pytest.approx(total_variation(start, found.mixture))


def test_a_is_the_papers_formula(model):
    own = np.array(list(model.own_effects(STATE).values()))
    helps = np.maximum(-own, 0)
    found = suggest(model, STATE, EVEN, policy="analytical", constraints=Constraints())
    assert as_array(found.mixture) == pytest.approx(helps / helps.sum())
    # for w proportional to theta, sum theta log w is at its highest
    theta, w = helps, helps / helps.sum()
    others = np.random.default_rng(0).dirichlet(np.ones(4), 1000)
    assert (np.log(others + 1e-300) @ theta).max() <= np.log(w + 1e-300) @ theta + 1e-9
    assert OWN_EPSILON > 0


def test_s_is_the_mean_of_the_best_hundred(model, monkeypatch):
    monkeypatch.setattr(search_way, "CANDIDATES", 20_000)
    problem = pose(model, STATE, EVEN, constraints=Constraints(radius=0.25))
    drawn = draw_candidates(problem.limits, problem.start, 20_000, problem.seed)
    predicted = model.surface(STATE, drawn)
    expected = drawn[np.argsort(predicted, kind="stable")[:100]].mean(axis=0)
    assert as_array(ask(problem, "search").mixture) == pytest.approx(expected, abs=1e-6)


def test_unimax_gives_small_domains_all_they_have_and_the_rest_an_even_part(model):
    asked = Constraints(token_budget=4000, max_epochs=2)
    found = suggest(model, STATE, EVEN, policy="unimax", constraints=asked, tokens={**TOKENS, "code": 400})
    # 800 of code and 800 of math; the other two share what is left, 2400
    assert found.mixture == pytest.approx({"books": 0.3, "code": 0.2, "math": 0.2, "web": 0.3})
    few = suggest(
        model, STATE, EVEN, policy="unimax", constraints=Constraints(token_budget=400), tokens=TOKENS
    )
    assert few.mixture == pytest.approx(EVEN)


@pytest.mark.parametrize("tokens", [None, TOKENS])
def test_a_policy_without_an_answer_says_why(model, tokens):
    found = suggest(model, STATE, ODD, policy="unimax", constraints=Constraints(), tokens=tokens)
    assert not found.answered
    assert found.mixture == pytest.approx(ODD)
    assert any("token budget that they can fill" in n for n in found.notes)
    assert not found.stay


def test_baselines(model, runs):
    sizes = suggest(model, STATE, ODD, policy="proportional", tokens=TOKENS)
    assert sizes.mixture == pytest.approx({d: t / 6500 for d, t in TOKENS.items()})
    assert suggest(model, STATE, ODD, policy="uniform").mixture == pytest.approx(EVEN)
    probe = suggest(model, STATE, ODD, policy="best_probe")
    best = runs.frame[runs.outcomes].mean(axis=1).idxmin()
    assert as_array(probe.mixture) == pytest.approx(runs.weights()[best])
    assert [v.words for v in probe.violations] == [
        v.words for v in broken(pose(model, STATE, ODD).limits, probe.mixture)
    ]


def test_the_table_holds_every_policy_and_regmix_is_fitted_once(model, monkeypatch):
    monkeypatch.setattr(regmix_way, "CANDIDATES", 2_000)
    problem = pose(model, STATE, ODD, constraints=Constraints(radius=0.2, token_budget=5000), tokens=TOKENS)
    quick = [p for p in POLICY_NAMES if not POLICIES[p].slow]
    assert [s.policy for s in policy_table(problem, quick)] == quick
    before = regmix_way._proposed.cache_info()
    first, again = (ask(problem, "regmix") for _ in range(2))
    assert first.mixture == again.mixture
    other = ask(pose(model, {"state/quality": 1.0}, ODD), "regmix")
    assert other.mixture == first.mixture
    after = regmix_way._proposed.cache_info()
    assert after.misses - before.misses == 1
    assert after.hits - before.hits == 2


def test_step_goes_a_part_of_the_way(model):
    whole = suggest(model, STATE, ODD)
    half = suggest(model, STATE, ODD, step=0.5)
    assert as_array(half.mixture) == pytest.approx((as_array(ODD) + as_array(whole.mixture)) / 2)
    even = suggest(model, STATE, ODD, policy="uniform", step=0.5)
    assert as_array(even.mixture) == pytest.approx((as_array(ODD) + 0.25) / 2)
    for step in (0, -1, 1.5, float("nan")):
        with pytest.raises(CausalMixError, match="The step is"):
            suggest(model, STATE, ODD, step=step)


def test_no_harm_is_kept_or_said(model):
    free = suggest(model, STATE, ODD, constraints=Constraints(radius=0.4), confidence=False)
    web = free.change.set_index("outcome").loc["loss/web"]
    assert web["upper"] > 0.02  # the best mixture gives up on web
    asked = {"constraints": Constraints(radius=0.4), "no_harm": {"loss/web": 0.02}}
    kept = suggest(model, STATE, ODD, confidence=False, **asked)
    assert kept.change.set_index("outcome").loc["loss/web", "upper"] <= 0.02 + 1e-9
    assert kept.change.iloc[-1]["change"] < 0
    blind = suggest(model, STATE, ODD, policy="analytical", **asked)
    assert any(n.startswith("loss/web may get worse by") for n in blind.notes)


@pytest.mark.parametrize(
    ("no_harm", "said"), [({"loss/poems": 0.1}, "loss/poems"), ({"loss/web": -1.0}, "margin of loss/web")]
)
def test_no_harm_to_what_there_is_not(model, no_harm, said):
    with pytest.raises(CausalMixError, match=said):
        suggest(model, STATE, ODD, no_harm=no_harm)


def test_an_outcome_that_is_better_when_higher_is_protected_from_falling():
    runs = draw_runs(48, noise=0.1)
    score = 1 - runs.frame["loss/web"]
    turned = RunTable.from_frame(runs.frame.assign(**{"benchmark/web": score}))
    fitted = fit_effects(turned, saturated_graph(turned, by="test"), objective={"loss/code": 1.0})
    found = suggest(
        fitted, STATE, ODD, constraints=Constraints(), no_harm={"benchmark/web": 0.02}, confidence=False
    )
    assert found.change.set_index("outcome").loc["benchmark/web", "lower"] >= -0.02 - 1e-9
    assert found.change.iloc[-1]["change"] < 0


def test_constraints_that_forbid_the_reference_move_the_start(model):
    found = suggest(model, STATE, EVEN, constraints=Constraints(bounds={"books": (0.4, 0.5)}))
    assert 0.4 <= found.mixture["books"] <= 0.5
    assert any("forbid the reference" in n for n in found.notes)


def test_no_freedom_is_said(model):
    locked = dict(list(ODD.items())[:3])
    found = suggest(model, STATE, ODD, constraints=Constraints(locked=locked))
    assert found.mixture == pytest.approx(ODD)
    assert any("one mixture only" in n for n in found.notes)


def test_the_same_seed_gives_the_same_suggestion(model):
    first, second = (suggest(model, STATE, ODD, seed=4) for _ in range(2))
    assert first.mixture == second.mixture
    pd.testing.assert_frame_equal(first.change, second.change)


def test_t_stays_within_the_weights_of_the_runs(model):
    found = suggest(model, STATE, EVEN, constraints=Constraints(), confidence=False)
    tried, mine = model.runs.weights(), as_array(found.mixture)
    assert (mine >= tried.min(axis=0) - 1e-9).all()
    assert (mine <= tried.max(axis=0) + 1e-9).all()


def test_a_far_state_is_noted(model):
    assert any("Mahalanobis" in n for n in suggest(model, {"state/quality": 30.0}, EVEN).notes)


def test_an_unknown_policy_is_refused(model):
    with pytest.raises(CausalMixError, match="no policy 'magic'"):
        suggest(model, STATE, EVEN, policy="magic")
