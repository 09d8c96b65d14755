"""Constraints: what is said of them, by name, and what a mixture breaks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import Constraints, Group, broken, resolve

DOMAINS = ["books", "code", "math", "web"]
EVEN = dict.fromkeys(DOMAINS, 0.25)
TOKENS = {"books": 100, "code": 400, "math": 50, "web": 4000}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bounds": {"code": (0.5, 0.1)}}, "bounds of code"),
        ({"bounds": {"code": (-0.1, 0.1)}}, "bounds of code"),
        ({"locked": {"code": 1.2}}, "locked at 1.2"),
        ({"groups": [{"name": "all code", "domains": ["code"], "lowest": 0.4, "highest": 0.2}]}, "all code"),
        ({"max_epochs": 0.0}, "positive number of epochs"),
        ({"max_epochs": {"code": float("nan")}}, "positive number of epochs"),
        ({"radius": 1.5}, "radius"),
        ({"radius": 0}, "radius"),
        ({"most_domains": 0}, "most_domains"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_is_no_constraint_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        Constraints.model_validate(fields)


@pytest.mark.parametrize(
    "constraints",
    [
        Constraints(bounds={"poems": (0, 1)}),
        Constraints(locked={"poems": 0.1}),
        Constraints(max_epochs={"poems": 2}, token_budget=10),
        Constraints(groups=(Group(name="verse", domains=("code", "poems")),)),
    ],
)
def test_unknown_domains_are_named_with_those_that_exist(constraints):
    with pytest.raises(
        CausalMixError, match="poems, which is no domain of these runs: books, code, math, web"
    ):
        resolve(constraints, DOMAINS, TOKENS, EVEN)


def test_constraints_survive_a_file():
    asked = Constraints(
        bounds={"code": (0.1, 0.3)},
        locked={"web": 0.2},
        groups=(Group(name="text", domains=("books", "web"), highest=0.5),),
        token_budget=1000,
        max_epochs={"math": 4.0},
        smallest_change=0.02,
        most_domains=3,
        radius=0.2,
    )
    assert Constraints.model_validate_json(asked.model_dump_json()) == asked


def test_repetition_is_tokens_times_epochs_over_the_budget():
    limits = resolve(Constraints(token_budget=1000, max_epochs=2), DOMAINS, TOKENS, EVEN)
    assert limits.upper.tolist() == [0.2, 0.8, 0.1, 1.0]
    only = resolve(Constraints(token_budget=1000, max_epochs={"math": 4}), DOMAINS, TOKENS, EVEN)
    assert only.upper.tolist() == [1.0, 1.0, 0.2, 1.0]
    assert "math read at most 4 times, 200 of 1k tokens: at most 20%" in only.limits[0].words


@pytest.mark.parametrize(
    ("constraints", "tokens", "said"),
    [
        (Constraints(max_epochs=2), TOKENS, "token budget"),
        (Constraints(max_epochs=2, token_budget=10**9), None, "tokens are not known"),
    ],
)
def test_repetition_that_cannot_be_judged_is_said_and_not_silently_dropped(constraints, tokens, said):
    limits = resolve(constraints, DOMAINS, tokens, EVEN)
    assert (limits.upper == 1).all()
    assert said in limits.notes[0]


def test_a_pool_without_the_domain_whose_repetition_is_limited():
    with pytest.raises(CausalMixError, match="Repetition of math is limited, but the pool has no tokens"):
        resolve(Constraints(max_epochs={"math": 2}, token_budget=10), DOMAINS, {"web": 5}, EVEN)


def test_the_order_of_names_does_not_matter():
    asked = Constraints(
        bounds={"web": (0, 0.5), "code": (0.1, 1)}, locked={"math": 0.3}, max_epochs=2, token_budget=900
    )
    turned = Constraints(
        bounds={"code": (0.1, 1), "web": (0, 0.5)}, locked={"math": 0.3}, max_epochs=2, token_budget=900
    )
    backwards = dict(reversed(TOKENS.items()))
    tokens = {**TOKENS, "math": 1000}
    first = resolve(asked, DOMAINS, tokens, EVEN)
    second = resolve(turned, DOMAINS[::-1], {**backwards, "math": 1000}, dict(reversed(EVEN.items())))
    assert first.domains == second.domains
    assert first.limits == second.limits


def test_what_a_mixture_breaks_is_said_worst_first():
    asked = Constraints(
        bounds={"code": (0, 0.2)},
        groups=(Group(name="text", domains=("books", "web"), lowest=0.6),),
        smallest_change=0.05,
        most_domains=3,
        radius=0.4,
    )
    limits = resolve(asked, DOMAINS, None, EVEN)
    assert broken(limits, {"books": 0.35, "code": 0.2, "math": 0.0, "web": 0.45}) == []
    found = broken(limits, {"books": 0.04, "code": 0.7, "math": 0.24, "web": 0.02})
    assert [v.by for v in found] == sorted((v.by for v in found), reverse=True)
    said = " | ".join(v.words for v in found)
    for part in (
        "code at most 20%; the mixture has 70%",
        "text (books + web) at least 60%; the mixture has 6%",
        "at most 3 domains above zero; the mixture has 4",
        "math moves 1%",
        "the mixture moves 45%",
    ):
        assert part in said


def test_a_reference_that_is_no_mixture_is_refused():
    with pytest.raises(CausalMixError, match="no weight for web"):
        resolve(Constraints(), DOMAINS, None, {"books": 0.5, "code": 0.25, "math": 0.25})
