"""How much room there is: ranges with their reasons, and the nearest allowed mixture, for all inputs."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import (
    Constraints,
    Group,
    allowed_ranges,
    broken,
    nearest,
    resolve,
    total_variation,
)
from causalmix_core.mixture.exact import exact_mixture, settle
from causalmix_core.mixture.limits import ROUNDING, Limit
from causalmix_core.mixture.program import allows
from causalmix_core.mixture.room import bring_in, draw_back, no_freedom

DOMAINS = ["books", "code", "math", "news", "web"]
EVEN = dict.fromkeys(DOMAINS, 0.2)


def percent(low, high):
    """Weights as people give them; what is finer than a solver is tested by example."""
    return st.integers(low, high).map(lambda p: p / 100)


@st.composite
def mixtures(draw):
    parts = [draw(st.integers(0, 20)) for _ in DOMAINS]
    assume(sum(parts))
    return {d: p / sum(parts) for d, p in zip(DOMAINS, parts, strict=True)}


@st.composite
def any_constraints(draw, convex=False):
    some = st.sets(st.sampled_from(DOMAINS), min_size=2, max_size=4)
    low, high = sorted((draw(percent(0, 50)), draw(percent(30, 100))))
    return Constraints(
        bounds={d: (draw(percent(0, 15)), draw(percent(20, 100))) for d in draw(some)},
        locked={"web": draw(percent(0, 40))} if draw(st.booleans()) else {},
        groups=(Group(name="g", domains=tuple(draw(some)), lowest=low, highest=high),)
        * draw(st.integers(0, 1)),
        radius=draw(st.none() | percent(10, 60)),
        smallest_change=0.0 if convex else draw(st.sampled_from([0.0, 0.0, 0.05])),
        most_domains=None if convex else draw(st.none() | st.integers(2, 4)),
    )


def limits_of(constraints, reference):
    try:
        return resolve(constraints, DOMAINS, None, reference)
    except CausalMixError:
        assume(False)


few = settings(
    max_examples=12,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@few
@given(any_constraints(), mixtures(), mixtures())
def test_the_nearest_mixture_is_allowed_exact_and_its_own_nearest(constraints, reference, wanted):
    limits = limits_of(constraints, reference)
    found = nearest(limits, wanted)
    assert broken(limits, found) == []
    assert list(found) == DOMAINS
    assert math.fsum(found.values()) == 1
    for domain, weight in constraints.locked.items():
        assert found[domain] == weight
    for domain, (low, high) in constraints.bounds.items():
        assert low <= found[domain] <= high
    again = nearest(limits, found)
    assert again == pytest.approx(found, abs=1e-9)
    turned = nearest(limits, dict(reversed(wanted.items())))
    assert turned == found


@few
@given(any_constraints(convex=True), mixtures(), mixtures())
def test_no_allowed_mixture_is_nearer(constraints, reference, wanted):
    limits = limits_of(constraints, reference)
    found, target = nearest(limits, wanted), np.array(list(wanted.values()))
    mine = np.array(list(found.values()))
    others = bring_in(limits, np.random.default_rng(0).dirichlet(np.ones(5), 200), mine)
    assert ((others - target) ** 2).sum(axis=1).min() >= ((mine - target) ** 2).sum() - 1e-6


@few
@given(any_constraints(convex=True), mixtures())
def test_candidates_are_brought_in_and_drawn_back(constraints, reference):
    limits = limits_of(constraints, reference)
    centre = np.array(list(nearest(limits, reference).values()))
    drawn = np.random.default_rng(0).dirichlet(np.full(5, 0.5), 50)
    drawn[:10] = centre + 1e-13 * (drawn[:10] - centre)  # tiny moves
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kept in (draw_back(limits, drawn, centre), bring_in(limits, drawn, centre)):
            assert np.allclose(kept.sum(axis=1), 1)
            for row in kept:
                assert all(v.by < 10 * ROUNDING for v in broken(limits, exact_mixture(row, DOMAINS)))


def test_a_lock_does_not_hold_candidates_back():
    limits = resolve(
        Constraints(
            locked={"web": 0.2}, groups=(Group(name="g", domains=("books", "code"), lowest=0.4, highest=0.4),)
        ),
        DOMAINS,
        None,
        EVEN,
    )
    drawn = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    kept = bring_in(limits, drawn, np.full(5, 0.2))
    assert np.allclose(kept[:, 4], 0.2)
    assert np.allclose(kept[:, :2].sum(axis=1), 0.4)
    assert kept[:, 0].std() > 0.05
    assert kept[:, 2].std() > 0.05


@few
@given(any_constraints(), mixtures(), st.integers(0, 4))
def test_the_ends_of_ranges_are_reached_and_not_passed(constraints, reference, place):
    limits = limits_of(constraints, reference)
    start = nearest(limits, reference)
    domain = DOMAINS[place]
    range_ = allowed_ranges(limits)[domain]
    assert range_.lowest - ROUNDING <= start[domain] <= range_.highest + ROUNDING
    assert (range_.highest_because == "") == (range_.highest >= 1 - ROUNDING)
    assert (range_.lowest_because == "") == (range_.lowest <= ROUNDING)

    def reached(weight):
        at = Limit((place,), weight - 2 * ROUNDING, weight + 2 * ROUNDING, "here")
        return allows(replace(limits, limits=(*limits.limits, at)))

    assert reached(range_.lowest)
    assert reached(range_.highest)
    assert range_.highest > 0.998 or not reached(range_.highest + 1e-3)
    assert range_.lowest < 0.002 or not reached(range_.lowest - 1e-3)


def test_each_end_names_what_binds_it():
    asked = Constraints(
        bounds={"code": (0.1, 0.3), "books": (0.25, 1)},
        groups=(Group(name="text", domains=("news", "web"), highest=0.35, lowest=0.2),),
        token_budget=1000,
        max_epochs={"math": 2},
        radius=0.5,
    )
    ranges = allowed_ranges(resolve(asked, DOMAINS, dict.fromkeys(DOMAINS, 40), EVEN))
    assert (ranges["code"].lowest_because, ranges["code"].highest_because) == (
        "code at least 10%",
        "code at most 30%",
    )
    assert ranges["math"].highest == 0.08
    assert ranges["math"].highest_because.startswith("math read at most 2 times, 80 of 1k tokens")
    assert ranges["web"].highest == 0.35
    assert ranges["web"].highest_because == "text (news + web) at most 35%"
    # 0.20 of text and 0.10 of code leave 0.70 to books, which the reach alone would allow
    assert ranges["books"].highest == 0.7
    assert {*ranges["books"].highest_because.split("; ")} <= {
        "code at least 10%",
        "text (news + web) at least 20%",
        "at most 50% of the weight moves away from the reference",
    }
    reach = allowed_ranges(resolve(Constraints(radius=0.1), DOMAINS, None, EVEN))["web"]
    assert (reach.lowest, reach.highest) == (pytest.approx(0.1), pytest.approx(0.3))
    assert reach.highest_because == "at most 10% of the weight moves away from the reference"
    few = allowed_ranges(
        resolve(Constraints(most_domains=2, bounds=dict.fromkeys(DOMAINS, (0, 0.6))), DOMAINS, None, EVEN)
    )
    assert few["web"].highest_because == "web at most 60%"


def test_locks_that_leave_no_freedom_are_said():
    assert no_freedom(resolve(Constraints(), DOMAINS, None, EVEN)) is None
    assert (
        no_freedom(resolve(Constraints(locked=dict.fromkeys(DOMAINS[:3], 0.2)), DOMAINS, None, EVEN)) is None
    )
    said = no_freedom(resolve(Constraints(locked=dict.fromkeys(DOMAINS[:4], 0.2)), DOMAINS, None, EVEN))
    assert said is not None
    assert "one mixture only" in said
    assert "books locked at 20%" in said
    assert "one mixture only" in (
        no_freedom(resolve(Constraints(locked={"web": 1.0}), DOMAINS, None, EVEN)) or ""
    )


def test_few_domains_and_no_small_changes():
    reference = {"books": 0.08, "code": 0.3, "math": 0.1, "news": 0.15, "web": 0.37}
    limits = resolve(Constraints(most_domains=3, smallest_change=0.08), DOMAINS, None, reference)
    found = nearest(limits, reference)
    assert broken(limits, found) == []
    assert sum(w > 0 for w in found.values()) == 3
    assert found["books"] == found["math"] == 0
    assert total_variation(reference, found) == pytest.approx(0.18)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8).filter(lambda w: sum(w) > 1e-3))
def test_weights_are_settled_within_their_ends(parts):
    weights = np.array(parts) / sum(parts)
    low, high = np.zeros(len(parts)), np.full(len(parts), 1 / len(parts) + 0.05)
    found = settle(weights, low, high)
    assert (found >= low).all()
    assert (found <= high).all()
    assert found.sum() == pytest.approx(1)
    assert math.fsum(exact_mixture(found, [str(i) for i in range(len(parts))], low, high).values()) == 1
