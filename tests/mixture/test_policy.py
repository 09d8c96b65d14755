"""Suggestions: valid mixtures for every input, better than the reference where the truth is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects import fit_effects
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import saturated_graph
from causalmix_core.mixture.policy import POLICIES, suggest
from causalmix_core.mixture.simplex import proportional, total_variation
from causalmix_core.probes.runs import RunTable

DOMAINS = ["books", "code", "math", "web"]
EVEN = proportional(dict.fromkeys(DOMAINS, 1.0))
NEED = np.array([[0.2, 0.05, 0.05, 0.4], [0.02, 0.5, 0.1, 0.1], [0.02, 0.3, 0.5, 0.05]])
STATE = {"state/quality": 0.0}


def true_losses(weights, quality=0.0):
    """Three losses by a power law of what helps them; books help little."""
    return 2 + 0.1 * np.reshape(quality, (-1, 1)) + (0.05 + weights @ NEED.T) ** -0.5


def draw_runs(n, noise, seed=0):
    rng = np.random.default_rng(seed)
    strength = 4 * np.exp(rng.uniform(np.log(0.5), np.log(4), n))
    weights = 0.01 + 0.96 * np.stack([rng.dirichlet(s * np.full(4, 0.25)) for s in strength])
    quality = rng.normal(size=n)
    losses = true_losses(weights, quality)
    losses = losses + noise * losses.std(axis=0) * rng.normal(size=losses.shape)
    return RunTable.from_frame(
        pd.DataFrame(
            {
                "state/quality": quality,
                **{f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)},
                **{f"loss/{d}": losses[:, i] for i, d in enumerate(("web", "code", "math"))},
            }
        )
    )


@pytest.fixture(scope="module")
def model():
    runs = draw_runs(48, noise=0.1)
    return fit_effects(runs, saturated_graph(runs, by="test"))


def as_array(mixture):
    return np.array([mixture[d] for d in DOMAINS])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("confidence", [True, False])
def test_the_suggestion_lowers_the_true_objective(model, policy, confidence):
    start = EVEN
    found = suggest(model, STATE, start, policy=policy, confidence=confidence)
    before, after = (true_losses(as_array(m)[None]).mean() for m in (start, found.mixture))
    assert after < before
    assert not found.stay
    objective = found.change.set_index("outcome").loc["objective"]
    assert objective["change"] < 0
    if confidence:
        assert objective["upper"] < 0
    best = min(
        true_losses(m[None]).mean()
        for m in np.random.default_rng(0).dirichlet(np.ones(4), 5000)
        if np.abs(m - 0.25).sum() / 2 <= 0.25
    )
    assert before - after > 0.6 * (before - best)


@pytest.mark.parametrize("policy", POLICIES)
def test_noise_gives_the_advice_to_stay(policy):
    runs = draw_runs(48, noise=0.1)
    rng = np.random.default_rng(1)
    noisy = RunTable.from_frame(runs.frame.assign(**{o: rng.normal(size=48) for o in runs.outcomes}))
    start = {"books": 0.1, "code": 0.2, "math": 0.3, "web": 0.4}
    found = suggest(fit_effects(noisy, saturated_graph(noisy, by="test")), STATE, start, policy=policy)
    assert found.stay
    assert found.mixture == found.reference == start
    assert found.distance == 0
    assert any(n.startswith("Stay") for n in found.notes)
    assert (found.change["change"].abs() < 1e-12).all()


@settings(max_examples=12, deadline=None)
@given(
    weights=st.lists(st.floats(0.0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.2),
    radius=st.floats(0.02, 1),
    locked=st.sampled_from(DOMAINS),
    ceiling=st.floats(0.0, 0.3),
    policy=st.sampled_from(POLICIES),
    seed=st.integers(0, 5),
)
def test_suggestions_are_mixtures_within_bounds_and_reach(
    model, weights, radius, locked, ceiling, policy, seed
):
    start = dict(zip(DOMAINS, (np.array(weights) / sum(weights)).tolist(), strict=True))
    bounds = {
        d: (start[d], start[d]) if d == locked else (0.0, min(1.0, start[d] + ceiling)) for d in DOMAINS
    }
    found = suggest(model, STATE, start, radius=radius, policy=policy, bounds=bounds, seed=seed)
    assert math.fsum(found.mixture.values()) == 1
    assert list(found.mixture) == DOMAINS
    for domain, (low, high) in bounds.items():
        assert low - 1e-12 <= found.mixture[domain] <= high + 1e-12
    assert found.distance <= radius + 1e-9
    assert found.distance == pytest.approx(total_variation(found.reference, found.mixture))


def test_the_same_seed_gives_the_same_suggestion(model):
    first, second = (suggest(model, STATE, EVEN, seed=4) for _ in range(2))
    assert first.mixture == second.mixture
    pd.testing.assert_frame_equal(first.change, second.change)


def test_search_stays_within_the_weights_of_the_runs(model):
    found = suggest(model, STATE, EVEN, radius=1, confidence=False)
    box = model.domain_box
    assert all(box.loc[d, "lower"] - 1e-9 <= found.mixture[d] <= box.loc[d, "upper"] + 1e-9 for d in DOMAINS)


def test_bounds_that_forbid_the_reference_move_the_start(model):
    found = suggest(model, STATE, EVEN, bounds={"books": (0.4, 0.5)})
    assert 0.4 <= found.mixture["books"] <= 0.5
    assert any("forbid the reference" in n for n in found.notes)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"code": (0.6, 1), "web": (0.6, 1)}, "code at least 0.6, web at least 0.6"),
        (dict.fromkeys(DOMAINS, (0.0, 0.2)), "less than 1: books at most 0.2"),
        ({"poems": (0, 1)}, "poems"),
        ({"code": (0.5, 0.1)}, "bounds of code"),
        ({"code": (0.9, 1.0)}, "bounds of code move at least 0.650"),
    ],
)
def test_bounds_that_cannot_be_met_name_the_domains(model, bounds, said):
    with pytest.raises(CausalMixError, match=said):
        suggest(model, STATE, EVEN, bounds=bounds)


@pytest.mark.parametrize("radius", [0, -1, 1.5, float("nan")])
def test_a_radius_that_is_no_share_is_refused(model, radius):
    with pytest.raises(CausalMixError, match="radius"):
        suggest(model, STATE, EVEN, radius=radius)


def test_a_far_state_is_noted(model):
    found = suggest(model, {"state/quality": 30.0}, EVEN)
    assert any("Mahalanobis" in n for n in found.notes)
