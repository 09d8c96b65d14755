"""Effects on simulated worlds with known truth, and what is said where there is too little to go by."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects import ESTIMATORS, OBJECTIVE, fit_effects, minimum_runs
from causalmix_core.effects.fitting import FEWEST_RUNS
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import add_latent, delete_edge, saturated_graph
from causalmix_core.probes.runs import RunTable

SMOOTH = ["gaussian_process", "gp_law", "linear_dml"]


def named(values, columns):
    return dict(zip(columns, map(float, values), strict=True))


def saturated(runs):
    return saturated_graph(runs, by="test")


def without_edges(runs, *edges):
    graph = saturated(runs)
    for source, target in edges:
        graph = delete_edge(graph, source, target, by="test")
    return graph


@pytest.fixture(scope="module")
def model(runs):
    return fit_effects(runs, saturated(runs))


@pytest.fixture(scope="module")
def centre(runs):
    return named(runs.state().mean(axis=0), runs.states)


@pytest.fixture(scope="module")
def reference(world, runs):
    return named(world.reference, runs.domains)


@pytest.mark.parametrize("estimator", SMOOTH)
def test_effects_follow_the_truth_and_add_up_to_zero(world, runs, centre, reference, estimator):
    fitted = fit_effects(runs, saturated(runs), estimator=estimator)
    frame = fitted.effects(centre, reference)
    found = frame.pivot(index="domain", columns="outcome", values="effect")
    truth = world.effects(np.array(list(centre.values())), world.reference)
    assert np.corrcoef(found[runs.outcomes].to_numpy().ravel(), truth.ravel())[0, 1] > 0.95
    assert found.T.to_numpy() @ world.reference == pytest.approx(0, abs=1e-5)
    assert (frame["lower"] <= frame["effect"]).all()
    assert (frame["effect"] <= frame["upper"]).all()
    assert frame["distinguishable"].equals((frame["lower"] > 0) | (frame["upper"] < 0))


@pytest.mark.parametrize("estimator", ["gaussian_process", "linear_dml"])
def test_intervals_cover_the_truth(draw_world, estimator):
    effects, changes, predictions = [], [], []
    for seed in range(6):
        one = draw_world(seed)
        runs = one.runs(48, seed)
        fitted = fit_effects(runs, saturated(runs), estimator=estimator)
        rng = np.random.default_rng(seed)
        x = rng.normal(size=len(runs.states))
        state, start = named(x, runs.states), named(one.reference, runs.domains)
        frame = fitted.effects(state, start)
        truth = one.effects(x, one.reference)
        truth = np.column_stack([truth, truth.mean(axis=1)]).T.ravel()
        effects.append((frame["lower"] <= truth) & (truth <= frame["upper"]))
        for target in one.mixtures(5, rng):
            change = fitted.change(state, start, named(target, runs.domains))
            truth = (one.losses(x[None], target[None]) - one.losses(x[None], one.reference[None]))[0]
            truth = np.append(truth, truth.mean())
            changes.append((change["lower"] <= truth) & (truth <= change["upper"]))
        new = one.runs(40, seed + 100)
        said = fitted.predict(new.weights(), new.state(), runs.outcomes)
        truth = np.concatenate([new.frame[o].to_numpy() for o in runs.outcomes])
        predictions.append((said["lower"] <= truth) & (truth <= said["upper"]))
    assert np.mean(effects) >= 0.85
    assert np.mean(changes) >= 0.85
    # Wide enough, and not so wide that they say nothing.
    assert 0.9 <= np.mean(predictions) <= 0.995


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=6, max_size=6).filter(lambda w: sum(w) > 0.1))
def test_effects_add_up_to_zero_at_any_mixture(model, centre, weights):
    # A domain with less than half a point has nothing to give; its effect is that of the first point.
    weights = 0.01 + 0.94 * np.array(weights) / sum(weights)
    mixture = named(weights / weights.sum(), model.domains)
    found = model.effects(centre, mixture).pivot(index="outcome", columns="domain", values="effect")
    total = found[model.domains].to_numpy() @ np.array(list(mixture.values()))
    assert total == pytest.approx(0, abs=0.02 * np.abs(found.to_numpy()).max())
    assert np.isfinite(model.effects(centre, mixture)[["lower", "upper"]].to_numpy()).all()


def test_change_and_changes_agree_and_staying_changes_nothing(model, centre, reference):
    rng = np.random.default_rng(0)
    candidates = rng.dirichlet(np.ones(6), 20_000)
    mean, error = model.changes(centre, reference, candidates)
    row = model.change(centre, reference, named(candidates[7], model.domains)).set_index("outcome")
    assert row.loc[OBJECTIVE, "change"] == pytest.approx(mean[7])
    assert row.loc[OBJECTIVE, "upper"] == pytest.approx(mean[7] + model.interval_quantile() * error[7])
    still = model.change(centre, reference, reference)
    assert still[["change", "lower", "upper"]].to_numpy() == pytest.approx(0, abs=1e-9)


def test_an_effect_is_the_slope_of_the_predicted_change(model, centre, reference):
    start = np.array(list(reference.values()))
    towards = 0.001 * (np.eye(6) - start)
    up, _ = model.changes(centre, reference, start + towards)
    down, _ = model.changes(centre, reference, start - towards)
    frame = model.effects(centre, reference)
    expected = frame.loc[frame["outcome"] == OBJECTIVE, "effect"].to_numpy()
    assert (up - down) / 2 * 10 == pytest.approx(expected, rel=5e-3, abs=1e-6)


def test_an_excluded_domain_still_displaces_the_others(runs, centre, reference):
    fitted = fit_effects(runs, without_edges(runs, ("weight/books", "loss/code")))
    row = fitted.effects(centre, reference).set_index(["outcome", "domain"]).loc[("loss/code", "books")]
    assert fitted.own_effects(centre, "loss/code")["books"] == 0
    assert row["effect"] > 0
    assert "No path from weight/books to loss/code" in row["basis"]
    total = fitted.effects(centre, reference).pivot(index="outcome", columns="domain", values="effect")
    assert total.to_numpy() @ np.array(list(reference.values())) == pytest.approx(0, abs=1e-5)


def test_an_outcome_that_no_weight_reaches_has_effect_zero(runs, centre, reference):
    fitted = fit_effects(runs, without_edges(runs, *((w, "loss/code") for w in runs.weight_columns)))
    frame = fitted.effects(centre, reference)
    rows = frame[frame["outcome"] == "loss/code"]
    assert (rows[["effect", "lower", "upper"]] == 0).all(axis=None)
    assert not rows["distinguishable"].any()
    assert "No weight has a path to loss/code" in rows["basis"].iloc[0]
    assert fitted.changes(centre, reference, np.eye(6), "loss/code")[0].tolist() == [0.0] * 6
    assert not (frame[frame["outcome"] == "loss/web"]["effect"] == 0).any()


def test_effects_differ_between_states_once_there_are_runs_for_it(draw_world, make_runs):
    one, rng = draw_world(2), np.random.default_rng(1)
    always, with_quality = rng.uniform(0.5, 1, (6, 2)), rng.uniform(-0.4, 0.4, (6, 2))

    def draw(n):
        weights, state = one.mixtures(n, rng), rng.normal(size=(n, 1))
        phi = np.log(weights + 0.1)
        losses = -phi @ always - state * (phi @ with_quality)
        return make_runs(state, weights, losses + 0.05 * rng.normal(size=losses.shape))

    runs = draw(120)
    column = runs.states[0]
    fitted = fit_effects(runs, saturated(runs))
    for value in (-1.5, 1.5):
        frame = fitted.effects({column: value}, named(one.reference, runs.domains))
        theta = -(always + value * with_quality)
        truth = 0.01 * ((np.eye(6) - one.reference) / (one.reference + 0.1)) @ theta
        found = frame["effect"].to_numpy()[:12].reshape(2, 6).T
        assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.95
    over, half = fitted.effects_over(
        np.array([[-1.5], [1.5]]), named(one.reference, runs.domains), errors=True
    )
    last = fitted.effects({column: 1.5}, named(one.reference, runs.domains))
    flat = last["effect"].to_numpy().reshape(len(fitted.outcomes), 6).T
    assert over[1] == pytest.approx(flat)
    assert half[1].T.ravel() == pytest.approx((last["upper"] - last["effect"]).to_numpy())


def test_adjustment_undoes_confounding(draw_world, make_runs):
    one = draw_world(0)
    rng = np.random.default_rng(3)
    state = rng.normal(size=(160, 1))
    # A pool with much code gets more code, and its losses are higher whatever the mixture.
    tilt = np.exp(0.8 * state * np.array([0, 1, 0, 0, 0, 0]))
    weights = one.mixtures(160, rng) * tilt
    weights /= weights.sum(axis=1, keepdims=True)
    clean = one.losses(np.zeros((160, 3)), weights)
    runs = make_runs(state, weights, clean + state)
    blind = RunTable.from_frame(runs.frame.drop(columns=runs.states))
    truth = one.effects(np.zeros(3), one.reference)[1, 1]
    start = named(one.reference, runs.domains)

    def of_code(table, graph, state):
        frame = fit_effects(table, graph).effects(state, start).set_index(["outcome", "domain"])
        return frame.loc[("loss/code", "code"), "effect"]

    adjusted = of_code(runs, saturated(runs), {runs.states[0]: 0.0})
    confounded = of_code(blind, saturated(blind), {})
    assert abs(adjusted - truth) < 0.3 * abs(truth)
    assert abs(confounded - truth) > 2 * abs(adjusted - truth)


def test_what_the_graph_does_not_hold_fixed_is_not_looked_at(draw_world, make_runs):
    one, rng = draw_world(0), np.random.default_rng(2)
    weights, state = one.mixtures(60, rng), rng.normal(size=(60, 2))
    runs = make_runs(state, weights, one.losses(np.zeros((60, 3)), weights) + state[:, [1]])
    graph = without_edges(runs, *((runs.states[0], o) for o in runs.outcomes))
    fitted = fit_effects(runs, graph)
    assert all(g.states.tolist() == [1] for g in fitted.groups)
    start = named(one.reference, runs.domains)
    here, there = ({runs.states[0]: v, runs.states[1]: 0.0} for v in (-2.0, 2.0))
    pd.testing.assert_frame_equal(fitted.effects(here, start), fitted.effects(there, start))


def test_an_outcome_that_should_rise_enters_the_objective_with_a_minus_sign(runs, centre, reference):
    frame = runs.frame.assign(**{"benchmark/sums": -runs.frame["loss/code"]})
    both = RunTable.from_frame(frame)
    fitted = fit_effects(both, saturated(both), objective={"benchmark/sums": 1.0})
    wide = fitted.effects(centre, reference).pivot(index="domain", columns="outcome", values="effect")
    near = (
        0.1 * wide["loss/code"].abs().max()
    )  # which hyperparameters count beside the best is drawn by outcome
    assert wide[OBJECTIVE].to_numpy() == pytest.approx(wide["loss/code"].to_numpy(), abs=near)
    assert wide["benchmark/sums"].to_numpy() == pytest.approx(-wide["loss/code"].to_numpy(), abs=near)
    assert fit_effects(both, saturated(both)).objective["benchmark/sums"] == 0


def test_every_estimator_says_what_it_is():
    assert all(info.label and info.source and info.summary for info in ESTIMATORS.values())
    assert len({info.label for info in ESTIMATORS.values()}) == len(ESTIMATORS)


def test_a_latent_is_no_column_of_the_runs_and_no_modifier(runs):
    drawn = saturated(runs)
    for effect in (runs.weight_columns[0], runs.outcomes[0]):
        drawn = add_latent(drawn, f"of {effect}", [effect, *runs.outcomes[1:]], by="ana")
    fitted = fit_effects(runs, drawn)
    assert fitted.identifications[runs.outcomes[0]].identified
    assert not fitted.identifications[runs.outcomes[1]].identified
    assert fitted.identifications[runs.outcomes[1]].modifiers == tuple(sorted(runs.states))


def test_the_objective_is_the_weighted_mean(runs, centre, reference):
    fitted = fit_effects(runs, saturated(runs), objective={"loss/code": 3, "loss/math": 1})
    frame = fitted.effects(centre, reference).pivot(index="domain", columns="outcome", values="effect")
    expected = 0.75 * frame["loss/code"] + 0.25 * frame["loss/math"]
    assert fitted.objective["loss/code"] == 0.75
    # It is fitted as an outcome of its own, for the sake of its interval.
    assert frame[OBJECTIVE].to_numpy() == pytest.approx(expected.to_numpy(), abs=0.15 * expected.abs().max())


@pytest.mark.parametrize(
    ("objective", "said"),
    [({"loss/zoo": 1}, "loss/zoo"), ({"loss/code": -1}, "loss/code"), ({"loss/code": 0}, "importance 0")],
)
def test_an_objective_that_does_not_fit_is_refused(runs, objective, said):
    with pytest.raises(CausalMixError, match=said):
        fit_effects(runs, saturated(runs), objective=objective)


def test_too_few_runs_are_counted(world):
    runs = world.runs(23, seed=0)
    assert minimum_runs(6) == 24
    with pytest.raises(
        CausalMixError, match=r"There are 23 .* Linear DML need at least 24.* Gaussian process"
    ):
        fit_effects(runs, saturated(runs), estimator="linear_dml")
    assert any("first impression" in n for n in fit_effects(runs, saturated(runs)).notes)
    enough = world.runs(24, seed=0)
    assert any("are few" in n for n in fit_effects(enough, saturated(enough)).notes)
    with pytest.raises(CausalMixError, match=f"There are 7 .* at least {FEWEST_RUNS}. Launch 1 more"):
        fit_effects(world.runs(7, seed=0), saturated(runs))


def test_a_graph_of_other_runs_is_refused(runs):
    other = RunTable.from_frame(runs.frame.rename(columns={"weight/code": "weight/poems"}))
    with pytest.raises(CausalMixError, match=r"lacks weight/poems.*the runs lack weight/code"):
        fit_effects(other, saturated(runs))


def test_constant_columns_are_said_in_words(runs, centre, reference):
    frame = runs.frame.assign(**{"loss/code": 2.0, runs.states[0]: 0.5})
    still = RunTable.from_frame(frame)
    fitted = fit_effects(still, saturated(still))
    state = {**centre, runs.states[0]: 0.5}
    rows = fitted.effects(state, reference).set_index("outcome").loc["loss/code"]
    assert (rows["effect"] == 0).all()
    assert any("loss/code has the same value" in n for n in fitted.notes)
    assert any(f"{runs.states[0]} is the same in every run" in n for n in fitted.notes)
    assert fitted.extrapolation(state) is None
    assert "was 0.5 in every run" in fitted.extrapolation({**state, runs.states[0]: 0.9})


@pytest.mark.parametrize("estimator", SMOOTH)
def test_runs_without_pool_state(runs, reference, estimator):
    bare = RunTable.from_frame(runs.frame.drop(columns=runs.states))
    fitted = fit_effects(bare, saturated(bare), estimator=estimator)
    assert fitted.effects({}, reference)["distinguishable"].any()
    assert fitted.extrapolation({}) is None
    assert any("no pool state" in n for n in fitted.notes)


def test_two_domains(make_runs):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([2, 2], 30)
    losses = -np.log(weights + 0.1) + 0.01 * rng.normal(size=(30, 2))
    runs = make_runs(np.empty((30, 0)), weights, losses)
    frame = fit_effects(runs, saturated(runs)).effects({}, {"books": 0.5, "code": 0.5})
    row = frame.set_index(["outcome", "domain"]).loc[("loss/books", "books")]
    assert row["lower"] <= -0.01 * 0.5 / 0.6 <= row["upper"]
    assert row["distinguishable"]


def test_a_state_far_from_the_runs_is_warned_about(runs, model, centre):
    assert model.extrapolation(centre) is None
    assert "standard deviations" in model.extrapolation(dict.fromkeys(runs.states, 9.0))
    with pytest.raises(CausalMixError, match=runs.states[1]):
        model.extrapolation({**centre, runs.states[1]: float("nan")})


def test_progress_and_repeatability(runs, centre, reference, model):
    seen = []
    again = fit_effects(runs, saturated(runs), progress=lambda f, text: seen.append((f, text)))
    fractions = [f for f, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert all(text for _, text in seen)
    pd.testing.assert_frame_equal(again.effects(centre, reference), model.effects(centre, reference))


def test_the_slow_libraries_are_imported_only_when_needed():
    code = (
        "import sys, causalmix_core.effects, causalmix_core.mixture.policies; "
        "print([m for m in ('econml', 'dowhy', 'sklearn', 'torch', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_runs_with_one_and_the_same_mixture_are_refused(make_runs):
    rng = np.random.default_rng(0)
    weights = np.tile([0.25, 0.75], (30, 1))
    runs = make_runs(np.empty((30, 0)), weights, rng.normal(size=(30, 2)))
    with pytest.raises(CausalMixError, match="the same mixture"):
        fit_effects(runs, saturated(runs))
