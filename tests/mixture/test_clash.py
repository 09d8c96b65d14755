"""Constraints that no mixture meets: the clash is real, irreducible, and short enough to read."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import Constraints, Group, resolve
from causalmix_core.mixture.clash import only, smallest_clash
from causalmix_core.mixture.limits import Limit, Limits
from causalmix_core.mixture.program import allows

DOMAINS = ["books", "code", "math", "web"]
EVEN = dict.fromkeys(DOMAINS, 0.25)
MANY = [f"d{i:02d}" for i in range(17)]


def refusal(constraints, domains=DOMAINS, tokens=None):
    with pytest.raises(CausalMixError) as caught:
        resolve(constraints, domains, tokens, dict.fromkeys(domains, 1 / len(domains)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("constraints", "parts"),
    [
        (
            Constraints(bounds={"code": (0.6, 1), "web": (0.6, 1), "math": (0.1, 1)}),
            ["The lowest weights sum to 120%, more than 100%", "code at least 60%", "web at least 60%"],
        ),
        (
            Constraints(bounds=dict.fromkeys(DOMAINS, (0, 0.2))),
            ["The highest weights sum to 80%, less than 100%"],
        ),
        (Constraints(locked=dict.fromkeys(DOMAINS, 0.2)), ["The locked weights sum to 80%, less than 100%"]),
        (Constraints(locked={"code": 0.7, "web": 0.4}), ["The locked weights sum to 110%, more than 100%"]),
        (
            Constraints(
                bounds={"code": (0.4, 1)}, groups=(Group(name="g", domains=("code", "math"), highest=0.3),)
            ),
            ["These 2 clash", "code at least 40%", "g (code + math) at most 30%"],
        ),
        (
            Constraints(bounds={"code": (0.9, 1)}, radius=0.3),
            ["code at least 90% (the reference has 25%)", "at most 30% of the weight moves"],
        ),
        (
            Constraints(most_domains=2, radius=0.4),
            ["at most 2 domains above zero (to get there from the reference moves at least 50%)"],
        ),
        (
            Constraints(most_domains=2, bounds=dict.fromkeys(DOMAINS, (0, 0.4))),
            ["With at most 2 domains above zero, the highest weights sum to 80%, less than 100%"],
        ),
        (
            Constraints(locked={"code": 0.26}, smallest_change=0.05),
            ["code locked at 26%", "a domain stays or moves at least 5%"],
        ),
        (
            Constraints(bounds={"code": (0, 0.2)}, locked={"code": 0.3}),
            ["code at most 20%", "code locked at 30%"],
        ),
    ],
)
def test_the_clash_is_named_in_words(constraints, parts):
    said = refusal(constraints)
    assert all(part in said for part in parts), said


def test_what_has_no_part_in_the_clash_is_not_mentioned():
    said = refusal(Constraints(bounds={"code": (0.6, 1), "web": (0.6, 1), "math": (0, 0.3)}, radius=0.9))
    assert "math" not in said
    assert "moves away" not in said


@pytest.mark.parametrize("constraints", [Constraints(bounds=dict.fromkeys(MANY, (0, 0.05)))])
def test_seventeen_constraints_do_not_make_seventeen_lines(constraints):
    said = refusal(constraints, MANY)
    assert "sum to 85%, less than 100%" in said
    assert "and 13 more" in said
    assert len(said) < 250


def test_a_budget_beyond_what_repetition_allows():
    tokens = dict.fromkeys(DOMAINS, 300_000)
    said = refusal(Constraints(token_budget=20_000_000, max_epochs=4), DOMAINS, tokens)
    assert "the pool holds 1.2M tokens readable 4 times, which makes 4.8M; the budget is 20M" in said
    assert "17 or more epochs" in said
    own = refusal(Constraints(token_budget=20_000_000, max_epochs=dict.fromkeys(DOMAINS, 4)), DOMAINS, tokens)
    assert "which makes 4.8M" in own
    enough = Constraints(token_budget=4_800_000, max_epochs=4)
    assert resolve(enough, DOMAINS, tokens, EVEN).upper.tolist() == [0.25] * 4


share = st.floats(0, 1)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    ends=st.lists(st.tuples(st.integers(0, 4), st.booleans(), share), min_size=2, max_size=6),
    group=st.tuples(st.sets(st.integers(0, 4), min_size=2, max_size=4), st.booleans(), share),
    radius=st.none() | st.floats(0.05, 0.5),
    most=st.none() | st.integers(1, 3),
    least=st.sampled_from([0.0, 0.0, 0.1]),
)
def test_a_clash_is_infeasible_and_irreducible(ends, group, radius, most, least):
    names = tuple(f"d{i}" for i in range(5))

    def limit(places, low, at, words):
        return Limit(tuple(sorted(places)), at if low else 0.0, 1.0 if low else at, words)

    limits = Limits(
        names,
        resolve(Constraints(), names, None, dict.fromkeys(names, 0.2)).reference,
        (
            *(limit({i}, low, at, f"end {j}") for j, (i, low, at) in enumerate(ends)),
            limit(group[0], group[1], group[2], "group"),
        ),
        smallest_change=least,
        most_domains=most,
        radius=radius,
    )
    clash = smallest_clash(limits)
    assume(clash)
    assert not allows(only(limits, clash))
    for part in clash:
        assert allows(only(limits, [p for p in clash if p is not part]))
