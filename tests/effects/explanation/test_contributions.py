"""Shapley values: exact on functions whose values are known, and right about which state acts."""

from importlib import import_module
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects.explanation import contributions, shapley
from tests.effects.explanation.conftest import DUPLICATION, LENGTH


def by_orders(function, point, reference):
    """The definition: what a player adds, averaged over all orders in which players can join."""
    p = len(point)
    values = np.zeros(p)
    orders = list(permutations(range(p)))
    for order in orders:
        row = reference.copy()
        for player in order:
            before = function(row[None])[0, 0]
            row[player] = point[player]
            values[player] += (function(row[None])[0, 0] - before) / len(orders)
    return values


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), p=st.integers(1, 4))
def test_values_are_those_of_the_definition_and_add_up(seed, p):
    rng = np.random.default_rng(seed)
    bend, mix = rng.normal(size=p), rng.normal(size=(p, p))

    def function(rows):
        return (np.sin(rows) @ bend + np.einsum("ri,ij,rj->r", rows, mix, rows))[:, None]

    points, reference = rng.normal(size=(3, p)), rng.normal(size=p)
    values = shapley(function, points, reference)
    assert values.shape == (3, p, 1)
    assert values.sum(axis=1)[:, 0] == pytest.approx((function(points) - function(reference[None]))[:, 0])
    assert values[0, :, 0] == pytest.approx(by_orders(function, points[0], reference))


def test_a_linear_function_is_shared_out_term_by_term():
    slope = np.array([[1.0, -1.0], [2.0, 0.0], [0.0, 3.0]])
    points, reference = np.arange(6.0).reshape(2, 3), np.array([1.0, 1.0, 1.0])
    values = shapley(lambda rows: rows @ slope, points, reference)
    assert values == pytest.approx((points - reference)[:, :, None] * slope)


def test_the_state_that_acts_has_the_contribution(known):
    found = contributions(known.model, "loss/code", known.mixture)
    table = found.table()
    assert set(table["domain"]) == set(known.model.domains)
    first = table.iloc[0]
    assert (first["domain"], first["state"], first["tendency"]) == ("code", DUPLICATION, "rises")
    idle = table[(table["domain"] == "code") & (table["state"] == LENGTH)]["size"].iloc[0]
    assert idle < 0.1 * first["size"]
    k, middle = found.domains.index("code"), known.model.runs.state().mean(axis=0)
    rows = np.tile(middle, (len(found.points) + 1, 1))
    rows[1:, [known.model.runs.states.index(s) for s in found.states]] = found.points
    effect = known.model.effects_over(rows, known.mixture, domains=["code"], outcomes=["loss/code"])[0][
        :, 0, 0
    ]
    assert found.values[:, :, k].sum(axis=1) == pytest.approx(effect[1:] - effect[0], abs=1e-12)


def test_where_no_state_may_act_there_is_nothing_to_share(known):
    found = contributions(known.model, "benchmark/quiz", known.mixture)
    assert found.states == []
    assert found.table().empty


def test_of_too_many_states_the_idlest_are_left_out(known, monkeypatch):
    module = import_module("causalmix_core.effects.explanation.contributions")
    monkeypatch.setattr(module, "MOST_PLAYERS", 1)
    found = contributions(known.model, "loss/code", known.mixture, ["code"])
    assert (found.states, found.left_out, found.domains) == ([DUPLICATION], [LENGTH], ["code"])
