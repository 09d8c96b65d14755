"""Domains together: surfaces agree with the model and stay near the runs; pairs know their error."""

import numpy as np
import pytest

from causalmix_core.effects.explanation import interactions, pair_surface, triangle_surface
from causalmix_core.effects.explanation.pair_interactions import second_differences
from causalmix_core.errors import CausalMixError
from tests.effects.explanation.conftest import quiz


def test_a_pair_surface_says_what_the_model_says_near_the_runs(known):
    surface = pair_surface(known.model, "books", "web", "benchmark/quiz", known.state, known.mixture)
    shown = np.argwhere(np.isfinite(surface.change))
    assert 0.2 < len(shown) / surface.change.size < 0.9
    row, column = shown[len(shown) // 3]
    a, b = surface.x[column], surface.y[row]
    rest = (1 - a - b) / (known.mixture["code"] + known.mixture["junk"])
    mixture = {"books": a, "code": 0.3 * rest, "junk": 0.2 * rest, "web": b}
    said = known.model.change(known.state, known.mixture, mixture).set_index("outcome").loc["benchmark/quiz"]
    assert surface.change[row, column] == pytest.approx(said["change"], abs=1e-9)
    assert surface.half[row, column] == pytest.approx(said["upper"] - said["change"], rel=1e-6)
    truth = quiz(np.array([list(mixture.values())])) - quiz(np.array([list(known.mixture.values())]))
    assert surface.change[row, column] == pytest.approx(truth[0], abs=3 * surface.half[row, column])


def test_a_pair_surface_is_blank_where_weights_exceed_one_or_no_run_was(known):
    surface = pair_surface(known.model, "books", "web", "benchmark/quiz", known.state, known.mixture)
    a, b = np.meshgrid(surface.x, surface.y)
    assert np.isnan(surface.change[a + b > 1 + 1e-9]).all()
    tried = known.model.runs.weights()
    corner = (a > np.quantile(tried[:, 0], 0.99)) & (b > np.quantile(tried[:, 3], 0.99))
    assert corner.any()
    assert np.isnan(surface.change[corner]).all()
    assert surface.runs == pytest.approx(tried[:, [0, 3]])
    assert surface.now == (0.3, 0.2)


def test_a_triangle_holds_the_other_domains_and_is_zero_now(known):
    three = ("books", "code", "web")
    surface = triangle_surface(known.model, three, "benchmark/quiz", known.state, known.mixture)
    assert surface.total == pytest.approx(0.8)
    assert surface.shares.sum(axis=1) == pytest.approx(1)
    assert surface.now == pytest.approx(np.array([0.3, 0.3, 0.2]) / 0.8)
    shown = np.isfinite(surface.change)
    assert 0.1 < shown.mean() < 0.95
    weights = np.full((len(surface.shares), 4), known.mixture["junk"])
    weights[:, [0, 1, 3]] = 0.8 * surface.shares
    truth = quiz(weights) - quiz(np.array([list(known.mixture.values())]))
    assert np.corrcoef(surface.change[shown], truth[shown])[0, 1] > 0.97
    pure = surface.shares.max(axis=1) == 1
    assert np.isnan(surface.change[pure]).all()


def test_the_planted_interaction_is_the_strongest_and_known_with_its_interval(known):
    table = interactions(known.model, "benchmark/quiz", known.state, known.mixture)
    assert len(table) == 6
    first = table.iloc[0]
    assert {first["first"], first["second"]} == {"books", "web"}
    assert first["distinguishable"]
    w = np.array(list(known.mixture.values()))
    a, b = (0.05 * (np.eye(4)[k] - w) for k in (0, 3))
    truth = quiz((w + a + b)[None]) - quiz((w + a)[None]) - quiz((w + b)[None]) + quiz(w[None])
    assert first["lower"] <= truth[0] <= first["upper"]
    assert table["inside"].all()


def test_a_surface_without_bend_has_no_interaction(blind, known):
    table = interactions(blind, "loss/code", known.state, known.mixture)
    assert table["interaction"].to_numpy() == pytest.approx(0, abs=1e-9)
    assert not table["distinguishable"].any()


class Quadratic:
    """f(w) = b'phi(w) with b drawn from a known normal distribution: every variance is known."""

    domains = ("a", "b", "c")

    def __init__(self) -> None:
        root = np.random.default_rng(3).normal(size=(9, 9))
        self.spread, self.mean = root @ root.T, np.arange(9.0)

    def phi(self, w: np.ndarray) -> np.ndarray:
        return np.column_stack([w, w**2, w[:, [0]] * w[:, [1]], w[:, [0]] * w[:, [2]], w[:, [1]] * w[:, [2]]])

    def changes(self, state, reference, candidates, outcome):
        step = self.phi(candidates) - self.phi(np.array([list(reference.values())]))
        return step @ self.mean, np.sqrt(np.einsum("ri,ij,rj->r", step, self.spread, step))


def test_the_error_of_a_second_difference_follows_from_those_of_simple_ones():
    world, start, pairs = Quadratic(), np.array([0.5, 0.3, 0.2]), [(0, 1), (0, 2), (1, 2)]
    moves = 0.05 * (np.eye(3) - start)
    alone = start + moves
    both = np.array([start + moves[a] + moves[b] for a, b in pairs])
    mixture = dict(zip(world.domains, start, strict=True))
    value, error = second_differences(world, {}, mixture, alone, both, pairs, "y")
    for i, (a, b) in enumerate(pairs):
        four = world.phi(np.stack([both[i], alone[a], alone[b], start]))
        direction = np.array([1, -1, -1, 1]) @ four
        assert value[i] == pytest.approx(direction @ world.mean)
        assert error[i] == pytest.approx(np.sqrt(direction @ world.spread @ direction), rel=1e-6)


def test_what_cannot_be_drawn_is_refused_in_words(known):
    ask = (known.state, known.mixture)
    with pytest.raises(CausalMixError, match="2 different domains"):
        pair_surface(known.model, "web", "web", "loss/code", *ask)
    with pytest.raises(CausalMixError, match="3 different domains"):
        triangle_surface(known.model, ("web", "code", "web"), "loss/code", *ask)
    only = {"books": 1.0, "code": 0.0, "junk": 0.0, "web": 0.0}
    with pytest.raises(CausalMixError, match="have no weight in this mixture"):
        triangle_surface(known.model, ("code", "junk", "web"), "loss/code", known.state, only)
    with pytest.raises(CausalMixError, match="no domain wab"):
        pair_surface(known.model, "web", "wab", "loss/code", *ask)
