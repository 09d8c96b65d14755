"""The comparison of estimators: nothing leaks into it, what fails says why, and the choice is explained."""

from __future__ import annotations

import numpy as np
import pytest

from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.baselines import BASELINES
from causalmix_core.effects.choice import SIMPLICITY, Contender, choose
from causalmix_core.effects.estimators import ESTIMATOR_NAMES, ESTIMATORS, EstimatorInfo
from causalmix_core.effects.leaderboard import leaderboard
from causalmix_core.effects.leaderboard_result import Leaderboard, LeaderboardSettings
from causalmix_core.effects.scoring import average, rank_correlation, worth
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import saturated_graph
from causalmix_core.probes.runs import RunTable
from tests.effects.conftest import run_table

FAST = LeaderboardSettings(estimators=("linear_dml", "linear_regression"), repeats=2)


def saturated(runs):
    return saturated_graph(runs, by="test")


@pytest.fixture(scope="module")
def few():
    """Runs of three domains, small enough to fit all estimators in a moment."""
    rng = np.random.default_rng(3)
    weights, state = rng.dirichlet(np.full(3, 1.5), 36), rng.normal(size=(36, 1))
    losses = 0.3 * state - np.log(weights[:, :1] + 0.1) + 0.03 * rng.normal(size=(36, 1))
    return run_table(state, weights, losses)


@pytest.fixture(scope="module")
def compared(few):
    settings = LeaderboardSettings(folds=3, repeats=1)
    return leaderboard(few, saturated(few), settings=settings, workers=0)


def test_every_estimator_and_baseline_has_a_row(few, compared):
    assert {r.name for r in compared.rows} == {*ESTIMATOR_NAMES, *BASELINES}
    assert not [r for r in compared.rows if r.failed]
    process, nothing = compared.row("gaussian_process"), compared.row("no_effect")
    assert process.objective.rank.mean > 0.8
    assert process.objective.r2.mean > nothing.objective.r2.mean
    assert process.worth.mean < nothing.worth.mean
    assert compared.best_possible.mean <= min(r.worth.mean for r in compared.rows)
    assert list(process.outcomes) == [*few.outcomes, OBJECTIVE]
    assert 0.8 < process.objective.coverage.mean <= 1
    errors = [float(np.mean(r.errors)) for r in compared.rows if r.errors and not r.baseline]
    assert errors == sorted(errors)
    assert compared.row("linear_regression").unfit
    assert compared.chosen != "linear_regression"
    assert compared.row("linear_dml").r_score.mean is not None
    assert process.r_score.mean is None


def test_shuffled_outcomes_score_zero(few):
    """The leak detector: where nothing can be predicted, whatever is predicted has leaked."""
    order = np.random.default_rng(5).permutation(len(few))
    shuffled = few.frame.assign(**{o: few.frame[o].to_numpy()[order] for o in few.outcomes})
    runs = RunTable.from_frame(shuffled)
    found = leaderboard(runs, saturated(runs), settings=LeaderboardSettings(folds=3, repeats=1), workers=0)
    for row in found.rows:
        assert not row.failed
        for score in row.outcomes.values():
            assert score.r2.mean is None or score.r2.mean < 0.1, row.name
            assert score.rank.mean < 0.35, row.name
    assert found.chosen == "gaussian_process"
    assert "nothing to choose by" in found.why


def test_the_result_is_repeatable_and_survives_json(few):
    first = leaderboard(few, saturated(few), settings=FAST, workers=0)
    second = leaderboard(few, saturated(few), settings=FAST, workers=0)
    assert [r.model_copy(update={"seconds": 0}) for r in first.rows] == [
        r.model_copy(update={"seconds": 0}) for r in second.rows
    ]
    assert Leaderboard.model_validate_json(first.model_dump_json()) == first
    assert {r.repeats for r in first.rows} == {2}


def test_worker_processes_change_nothing(few):
    light = FAST.model_copy(update={"estimators": ("mixing_law", "linear_regression")})
    alone = leaderboard(few, saturated(few), settings=light, workers=0)
    helped = leaderboard(few, saturated(few), settings=light, workers=2)
    assert [r.errors for r in helped.rows] == [r.errors for r in alone.rows]


def test_an_estimator_that_cannot_be_fitted_says_why(few, monkeypatch):
    class Fails:
        def fit(self, sample, seed):
            raise CausalMixError("It needs 9 runs per leaf.")

    broken = EstimatorInfo(label="Broken", source="", summary="", make=Fails)
    monkeypatch.setitem(ESTIMATORS, "gaussian_process", broken)
    settings = FAST.model_copy(update={"estimators": ("gaussian_process", "linear_dml")})
    found = leaderboard(few, saturated(few), settings=settings, workers=0)
    assert found.row("gaussian_process").failed == "It needs 9 runs per leaf."
    assert found.rows[-1].name == "gaussian_process"
    assert found.chosen == "linear_dml"
    assert found.row("linear_dml").objective.coverage.mean is None  # nothing speaks for its errors


def test_it_can_be_stopped_and_says_how_far_it_is(few):
    said = []
    leaderboard(
        few, saturated(few), settings=FAST, workers=0, progress=lambda f, text: said.append((f, text))
    )
    fractions = [f for f, _ in said]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert any("Linear DML, fold 3 of 10" in text for _, text in said)

    class StopError(Exception):
        pass

    def stop(fraction, text):
        if fraction > 0.2:
            raise StopError

    with pytest.raises(StopError):
        leaderboard(few, saturated(few), settings=FAST, workers=0, progress=stop)


def test_further_repeats_are_left_out_when_time_is_short(few):
    found = leaderboard(few, saturated(few), settings=FAST, workers=0, budget=0.0)
    assert {r.repeats for r in found.rows if not r.baseline} == {1}
    assert any("less often for every estimator" in n for n in found.notes)
    assert {len(r.errors) for r in found.rows if r.errors and not r.baseline} == {5}


def test_where_the_state_decided_the_mixtures_blind_estimators_may_not_be_chosen(few):
    observed = RunTable.from_frame(few.frame.assign(assignment="observational"))
    settings = FAST.model_copy(update={"estimators": ("mixing_law", "linear_dml")})
    found = leaderboard(observed, saturated(observed), settings=settings, workers=0)
    assert "state/" in found.row("mixing_law").unfit
    assert found.row("linear_dml").unfit == ""
    assert leaderboard(few, saturated(few), settings=settings, workers=0).row("mixing_law").unfit == ""


def test_an_objective_that_nothing_reaches_is_said_in_words(few):
    from causalmix_core.graph import delete_edge

    graph = saturated(few)
    for weight in few.weight_columns:
        for outcome in few.outcomes:
            graph = delete_edge(graph, weight, outcome, by="test")
    with pytest.raises(CausalMixError, match="No weight has a path"):
        leaderboard(few, graph, settings=FAST, workers=0)


def contenders(**errors):
    noise = np.array([0.0, 0.02, -0.02, 0.01, -0.01])
    return [Contender(name, tuple(e + noise * w), 1 - e) for name, (e, w) in errors.items()]


NOTHING = (1.0, 1.02, 0.98, 1.01, 0.99)


def test_the_simplest_within_one_standard_error_of_the_best_is_chosen():
    found = choose(contenders(gaussian_process=(0.20, 1), gp_law=(0.199, 3)), NOTHING, 0.25)
    assert (found.name, found.best) == ("gaussian_process", "gp_law")
    assert "within one standard error" in found.why
    assert "R² 0.80" in found.why


def test_a_clear_lead_dethrones_the_default():
    found = choose(contenders(gaussian_process=(0.20, 1), s_learner=(0.10, 1)), NOTHING, 0.25)
    assert found.name == found.best == "s_learner"
    assert "predicts held-out runs best: rank correlation 0.90" in found.why
    assert "Gaussian process, the next best" in found.why


def test_what_may_not_be_chosen_is_not():
    best = Contender("lightgbm", (0.01,) * 5, 0.99, "ignores the pool state")
    assert choose([best, *contenders(s_learner=(0.5, 1))], NOTHING, 0.25).name == "s_learner"
    assert choose([best], NOTHING, 0.25).name == "gaussian_process"


def test_every_estimator_has_a_place_in_the_order():
    assert sorted(SIMPLICITY) == sorted(ESTIMATOR_NAMES)
    assert SIMPLICITY[0] == "gaussian_process"


def test_a_choice_is_worth_what_it_picks_and_ties_count_in_proportion():
    surplus = np.arange(20.0)
    assert worth(surplus, surplus) == 0.5
    assert worth(-surplus, surplus) == 18.5
    assert worth(np.zeros(20), surplus) == surplus.mean()
    tied = np.array([0.0, *[1.0] * 19])
    assert worth(tied, surplus) == pytest.approx((0 + surplus[1:].mean()) / 2)


def test_a_constant_prediction_ranks_nothing():
    truth = np.random.default_rng(0).normal(size=(9, 2))
    assert rank_correlation(np.column_stack([np.ones(9), truth[:, 1]]), truth).tolist() == [0.0, 1.0]


def test_the_standard_error_allows_for_folds_that_share_runs():
    """In 5-fold cross-validation it is 1.5 times the usual one (Nadeau and Bengio 2003)."""
    values = np.random.default_rng(0).normal(size=5)
    usual = values.std(ddof=1) / np.sqrt(5)
    assert average(values.tolist(), 0.25).error == pytest.approx(1.5 * usual)
    assert average([float("nan")], 0.25).mean is None
