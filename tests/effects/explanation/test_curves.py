"""Curves pass through what the model says of the pool, follow the truth, and say how sure a difference is."""

import numpy as np
import pytest

from causalmix_core.effects.explanation import dependence, effect_curves, response_curve
from causalmix_core.errors import CausalMixError
from tests.effects.explanation.conftest import DUPLICATION, LENGTH, SOURCE, duplication_effect


def effect_of(known, domain, outcome):
    frame = known.model.effects(known.state, known.mixture)
    return frame[(frame["domain"] == domain) & (frame["outcome"] == outcome)].iloc[0]


def test_curves_pass_through_the_present_effect_and_show_where_runs_were(known):
    curves = effect_curves(known.model, "code", "loss/code", known.state, known.mixture)
    assert [c.state for c in curves] == [DUPLICATION, LENGTH]  # the third state never varied
    here = effect_of(known, "code", "loss/code")
    for curve in curves:
        at = np.flatnonzero(curve.values == curve.now)
        assert len(at) == 1
        found = (curve.effect[at[0]], curve.lower[at[0]], curve.upper[at[0]])
        assert found == pytest.approx((here.effect, here.lower, here.upper))
        assert (np.diff(curve.values) > 0).all()
        assert curve.values[[0, -1]].tolist() == [curve.runs.min(), curve.runs.max()]


def test_a_pool_beyond_the_runs_is_on_the_curve(known):
    state = {**known.state, DUPLICATION: 0.9}
    curve = effect_curves(known.model, "code", "loss/code", state, known.mixture)[0]
    assert curve.values[-1] == curve.now == 0.9
    assert curve.runs.max() < 0.9


def test_the_curve_follows_the_truth_inside_its_band(known):
    curve = effect_curves(known.model, "code", "loss/code", known.state, known.mixture)[0]
    w = known.mixture
    truth = 0.01 * (-duplication_effect(curve.values) * (1 - w["code"]) - 0.3 * w["books"])
    inside = (curve.lower <= truth) & (truth <= curve.upper)
    assert inside.mean() > 0.9
    assert np.corrcoef(curve.effect, truth)[0, 1] > 0.99


def test_dependence_finds_the_state_that_acts_and_no_other(known):
    table = dependence(known.model, known.state, known.mixture)
    assert set(table["outcome"]) == {"loss/code", "objective"}  # no state may change effects on the quiz
    assert SOURCE not in set(table["state"])
    code = table[(table["domain"] == "code") & (table["outcome"] == "loss/code")].set_index("state")
    assert code.loc[DUPLICATION, "distinguishable"]
    assert code.loc[DUPLICATION, "difference"] > 0
    assert not code.loc[LENGTH, "distinguishable"]


def test_a_difference_is_surer_than_its_two_ends(known):
    table = dependence(known.model, known.state, known.mixture)
    assert table["difference"].to_numpy() == pytest.approx(
        table["high_effect"] - table["low_effect"], abs=1e-9
    )
    half = {e: (table[f"{e}_upper"] - table[f"{e}_lower"]) / 2 for e in ("low", "high", "difference")}
    assert (half["difference"] <= half["low"] + half["high"] + 1e-12).all()
    assert (half["difference"] < half["low"] + half["high"]).mean() > 0.9


def test_many_states_at_once_say_what_one_says(known):
    states = known.model.runs.state()[:3]
    effect, half = known.model.effects_over(
        states, known.mixture, domains=["web", "code"], outcomes=["objective", "loss/code"], errors=True
    )
    plain, nothing = known.model.effects_over(states, known.mixture)
    assert nothing is None
    for i, row in enumerate(states):
        frame = known.model.effects(dict(zip(known.model.runs.states, row, strict=True)), known.mixture)
        cells = frame.set_index(["domain", "outcome"])
        for k, domain in enumerate(["web", "code"]):
            for m, outcome in enumerate(["objective", "loss/code"]):
                cell = cells.loc[(domain, outcome)]
                assert effect[i, k, m] == pytest.approx(cell["effect"], abs=1e-9)
                assert half[i, k, m] == pytest.approx(cell["upper"] - cell["effect"], rel=1e-6)
        assert plain[i].T.ravel() == pytest.approx(frame["effect"].to_numpy(), abs=1e-9)


def test_the_response_is_zero_now_and_follows_the_truth(known):
    curve = response_curve(known.model, "code", "loss/code", known.state, known.mixture)
    now = np.flatnonzero(curve.weights == curve.now)[0]
    assert (curve.change[now], curve.lower[now], curve.upper[now]) == (0, 0, 0)
    w = known.mixture
    truth = -(duplication_effect(known.state[DUPLICATION]) + 0.3 * w["books"] / (1 - w["code"])) * (
        curve.weights - w["code"]
    )
    assert curve.change == pytest.approx(truth, abs=0.03)
    assert (curve.lower <= curve.upper).all()
    assert curve.level == pytest.approx(3 + 0.2 - 0.3 * 1.4 + 0.3 * 0.3, abs=0.02)
    assert curve.weights[[0, -1]].tolist() == [curve.runs.min(), curve.runs.max()]


def test_states_that_do_not_matter_leave_no_curves(known, blind):
    assert effect_curves(known.model, "code", "benchmark/quiz", known.state, known.mixture) == []
    assert effect_curves(blind, "code", "loss/code", known.state, known.mixture) == []
    assert dependence(blind, known.state, known.mixture).empty


def test_what_does_not_fit_is_refused_in_words(known):
    with pytest.raises(CausalMixError, match="no finite value of state/length"):
        effect_curves(known.model, "code", "loss/code", {DUPLICATION: 0.2, SOURCE: 7.0}, known.mixture)
    alone = {"books": 0.0, "code": 1.0, "junk": 0.0, "web": 0.0}
    with pytest.raises(CausalMixError, match="code has all the weight"):
        response_curve(known.model, "code", "loss/code", known.state, alone)
