"""Hidden causes of known strength: what they fake, and whether they are flagged."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects import fit_effects
from causalmix_core.effects.sensitivity import free_variation, robustness_value, sensitivity
from causalmix_core.effects.sensitivity.hidden_cause import (
    OFFSET,
    as_strong_as,
    explained_outcome,
    explained_weight,
)
from causalmix_core.graph import add_bidirected, saturated_graph
from causalmix_core.probes.runs import RunTable

N = 100
DOMAINS = ["books", "code", "web"]


def confounded(assignment="observational", hidden=1.0, measured=0.0, seed=0):
    """Runs whose mixtures do nothing to loss/books: a cause of both, hidden or measured, fakes an effect."""
    rng = np.random.default_rng(seed)
    u, x = rng.normal(size=N), rng.normal(size=N)
    weights = rng.dirichlet([3, 3, 3], N)
    weights[:, 0] *= np.exp(0.5 * hidden * u + 0.5 * measured * x)
    weights /= weights.sum(axis=1, keepdims=True)
    loss = 2 + 0.3 * hidden * u + 0.3 * measured * x + 0.15 * rng.normal(size=N)
    frame = pd.DataFrame({f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)})
    frame = frame.assign(**{"state/age": x, "loss/books": loss, "assignment": assignment})
    return RunTable.from_frame(frame), u


def assessed(runs, graph=None, estimator="gaussian_process"):
    model = fit_effects(
        runs, graph or saturated_graph(runs, by="test"), estimator=estimator, calibrated=False
    )
    centre = dict.fromkeys(DOMAINS, 1 / 3)
    return sensitivity(model, {"state/age": 0.0}, centre)


@pytest.fixture(scope="module")
def hidden():
    runs, u = confounded()
    return runs, u, assessed(runs)


def test_a_hidden_confounder_is_flagged_at_its_own_strength(hidden):
    runs, u, found = hidden
    books = found.of("loss/books")[0]
    assert abs(books.effect) > books.half
    # Adding the hidden cause to what is measured tells how strong it really is.
    state = np.column_stack([runs.state(), u])
    on_weight = explained_weight(runs.weights(), state, 0)[1]
    on_outcome = explained_outcome(runs.weights(), state, runs.frame[["loss/books"]].to_numpy())[1, 0]
    assert 0.1 < on_weight < 0.6
    assert 0.3 < on_outcome < 0.95
    assert books.robustness <= max(on_weight, on_outcome)
    assert 0 < books.robustness_distinguishable < books.robustness


def test_the_bias_formula_is_that_of_a_regression_without_the_hidden_cause(hidden):
    runs, u, _ = hidden
    weights, state = runs.weights(), runs.state()
    y = runs.frame["loss/books"].to_numpy()
    variation = free_variation(weights, state, 0)
    short = variation.residual @ y / (variation.residual @ variation.residual)
    others = np.log(weights[:, 1:] / weights[:, 1:].sum(axis=1, keepdims=True) + OFFSET)
    x = state[:, 0]
    terms = np.column_stack([np.ones(N), x, x**2, others])
    long = np.linalg.lstsq(np.column_stack([np.log(weights[:, 0] + OFFSET), u, terms]), y, rcond=None)[0][0]

    def partial(target, given):
        left = [v - given @ np.linalg.lstsq(given, v, rcond=None)[0] for v in (target, u)]
        return np.corrcoef(*left)[0, 1] ** 2

    treatment = np.log(weights[:, 0] + OFFSET)
    with_weight = np.column_stack([terms, treatment])
    noise = np.array([np.std(y - with_weight @ np.linalg.lstsq(with_weight, y, rcond=None)[0])])
    spread = variation.residual.std()
    bias = np.sqrt(partial(y, with_weight) * partial(treatment, terms) / (1 - partial(treatment, terms)))
    assert bias * noise[0] / spread == pytest.approx(abs(short - long), rel=1e-6)


def test_a_measured_state_as_strong_as_the_hidden_cause_warns():
    runs, _ = confounded(hidden=1.0, measured=1.0)
    found = assessed(runs)
    books = found.of("loss/books")[0]
    worst = books.benchmarks[0]
    assert worst.state == "state/age"
    assert (books.standing, worst.hides) == ("fragile", True)
    assert "One as strong as state/age" in books.words
    assert any("fragile" in s and "books on loss/books" in s for s in found.sentences)


def test_random_mixtures_cannot_be_confounded():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([2, 2, 2], 60)
    frame = pd.DataFrame({f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)})
    x = rng.normal(size=60)
    loss = 2 - weights[:, 0] + 0.02 * x + 0.02 * rng.normal(size=60)
    frame = frame.assign(**{"state/age": x, "loss/books": loss, "assignment": "randomised"})
    found = assessed(RunTable.from_frame(frame))
    assert found.by_design
    assert "nothing hidden can have caused them" in found.sentences[0]
    books = found.of("loss/books")[0]
    assert books.standing == "safe by design"
    assert books.words.startswith("No hidden cause is possible")
    observed = assessed(RunTable.from_frame(frame.assign(assignment="observational")))
    assert not observed.by_design
    # A strong effect that no measured state has to do with stands on its own.
    assert observed.of("loss/books")[0].standing == "robust"
    assert any("No distinguishable effect is fragile" in s for s in observed.sentences)
    assert set(observed.table()["outcome"]) == {"loss/books", "objective"}


def test_a_latent_in_the_graph_is_said(hidden):
    runs, _, _ = hidden
    graph = add_bidirected(saturated_graph(runs, by="test"), "weight/books", "loss/books", by="ana")
    found = assessed(runs, graph)
    assert any("unmeasured common cause of the weights and loss/books" in s for s in found.sentences)


@settings(max_examples=50)
@given(st.floats(1e-3, 50))
def test_the_robustness_value_is_the_strength_that_fakes_the_effect(ratio):
    r = robustness_value(ratio)
    assert 0 < r < 1
    assert r / np.sqrt(1 - r) == pytest.approx(ratio, rel=1e-6)


@given(st.floats(0, 0.45), st.floats(0, 0.95))
def test_a_hidden_cause_like_a_state_is_at_least_as_strong(weight_r2, outcome_r2):
    on_weight, on_outcome = as_strong_as(weight_r2, outcome_r2)
    assert on_weight >= weight_r2
    assert on_outcome >= min(outcome_r2, 1)
    assert 0 <= on_outcome <= 1


def test_two_domains_and_a_weight_that_never_moves():
    rng = np.random.default_rng(0)
    first = rng.uniform(0.1, 0.9, 30)
    two = np.column_stack([first, 1 - first])
    assert free_variation(two, np.empty((30, 0)), 0).spread == pytest.approx(
        np.log(first + OFFSET).std(ddof=1)
    )
    still = np.column_stack([np.full(30, 0.2), 0.8 * two])
    assert free_variation(still, np.empty((30, 0)), 0).spread == pytest.approx(0, abs=1e-12)
