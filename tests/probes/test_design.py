from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec, design_swarm
from causalmix_core.probes.design import READABLE, assignment_of
from causalmix_core.proxy import ProxySpec

FEATURES = ("x", "y")


def swarm_of(**fields: object) -> SwarmSpec:
    return SwarmSpec(state_features=FEATURES, **fields)


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 10**9), min_size=2),
    st.integers(0, 1000),
    st.floats(0, 0.09),
)
def test_every_probe_is_a_mixture_above_the_minimum(tokens: dict, seed: int, minimum: float) -> None:
    for probe in design_swarm(swarm_of(probes=5, seed=seed, minimum_weight=minimum), tokens):
        weights = np.array(list(probe.mixture.values()))
        assert list(probe.mixture) == sorted(tokens)
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        assert (weights >= minimum - 1e-12).all()
        assert set(probe.tilt) == set(FEATURES)


def test_a_larger_swarm_begins_with_the_same_probes() -> None:
    tokens = {"a": 10, "b": 20, "c": 5}
    small = design_swarm(swarm_of(probes=3), tokens)
    assert design_swarm(swarm_of(probes=9), dict(reversed(tokens.items())))[:3] == small
    assert design_swarm(swarm_of(probes=3, seed=1), tokens) != small


def test_mixtures_surround_the_reference_and_tilts_do_not_follow_them() -> None:
    swarm = swarm_of(probes=400, reference={"a": 0.6, "b": 0.3, "c": 0.1}, temperature=1.0)
    probes = design_swarm(swarm, {"a": 1, "b": 1, "c": 1})
    weights = np.array([list(p.mixture.values()) for p in probes])
    tilts = np.array([list(p.tilt.values()) for p in probes])
    assert weights.mean(axis=0) == pytest.approx([0.6, 0.3, 0.1], abs=0.05)
    assert weights[:, 0].std() > 0.1
    # randomised: no correlation beyond what 400 independent draws show
    cross = np.corrcoef(weights.T, tilts.T)[:3, 3:]
    assert np.abs(cross).max() < 0.2


@pytest.mark.parametrize(
    ("swarm", "tokens", "words"),
    [
        (SwarmSpec(), {"a": 1}, "at least two domains"),
        (SwarmSpec(minimum_weight=0.5), {"a": 1, "b": 1}, "leaves nothing to vary"),
        (SwarmSpec(reference={"a": 1.0}), {"a": 1, "b": 1}, "no weight for b"),
        (SwarmSpec(reference={"a": 0.5, "b": 0.4}), {"a": 1, "b": 1}, "sum to 0.9"),
    ],
)
def test_impossible_designs_say_why(swarm: SwarmSpec, tokens: dict, words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        design_swarm(swarm, tokens)


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="lower one first"):
        SwarmSpec(strength=(4.0, 0.5))


POOL = {"a": 40_000, "b": 20_000, "c": 5_000, "d": 1_000}
LIST = ({"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1}, {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4})


def weights_of(swarm: SwarmSpec, tokens: dict[str, int] = POOL) -> np.ndarray:
    return np.array([list(p.mixture.values()) for p in design_swarm(swarm, tokens)])


@pytest.mark.parametrize("design", ["dirichlet", "sobol", "grid", "list"])
def test_any_design_begins_alike_and_draws_states_apart_from_mixtures(design: str) -> None:
    fields = {"design": design, "mixtures": LIST if design == "list" else (), "grid_steps": 1}
    small = design_swarm(swarm_of(probes=5, **fields), POOL)
    large = design_swarm(swarm_of(probes=12, **fields), dict(reversed(POOL.items())))
    assert large[:5] == small
    assert [p.number for p in large] == list(range(12))
    assert len({tuple(p.tilt.values()) for p in large}) == 12


def test_a_longer_swarm_begins_alike_also_where_draws_are_rejected() -> None:
    # only a few mixtures fit into so narrow a space, so that most draws are too near to an earlier one
    fields = {"near_duplicate": 0.25, "minimum_weight": 0.1, "max_epochs": 3.0}
    proxy = ProxySpec(tokens=8_192)
    small = design_swarm(swarm_of(probes=10, proxy=proxy, **fields), POOL)
    large = design_swarm(swarm_of(probes=30, proxy=proxy, **fields), POOL)
    assert large[:10] == small
    free = design_swarm(swarm_of(probes=10, proxy=proxy, **fields | {"near_duplicate": 0.0}), POOL)
    assert [p.tilt for p in small] == [p.tilt for p in free]
    assert [p.mixture for p in small] != [p.mixture for p in free]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["dirichlet", "sobol", "grid"]),
    st.lists(st.integers(2_000, 10**6), min_size=2, max_size=6),
    st.integers(0, 99),
    st.floats(1.05, 4.0),
)
def test_no_probe_reads_a_domain_more_often_than_allowed(
    design: str, sizes: list[int], seed: int, slack: float
) -> None:
    tokens = {f"d{i}": size for i, size in enumerate(sizes)}
    budget = 8_192
    swarm = swarm_of(
        design=design, probes=16, seed=seed, minimum_weight=0.0, grid_steps=1, proxy=ProxySpec(tokens=budget),
        max_epochs=slack * budget / (READABLE * sum(sizes)),
    )  # fmt: skip
    try:
        weights = weights_of(swarm, tokens)
    except CausalMixError as error:
        assert design == "grid"
        assert "no point" in str(error)  # noqa: PT017 - a coarse grid may have none
        return
    epochs = weights * swarm.budget / (READABLE * np.array(sizes))
    assert epochs.max() <= swarm.max_epochs + 1e-9
    assert weights.sum(axis=1) == pytest.approx(1)
    assert weights.min() >= 0


def test_near_duplicates_are_drawn_again() -> None:
    # lopsided draws pile up in the corners of the simplex
    fields = {"probes": 24, "strength": (0.05, 0.1), "minimum_weight": 0.0}

    def nearest(weights: np.ndarray) -> float:
        distance = np.abs(weights[:, None] - weights[None]).sum(axis=2)
        return float((distance + 9 * np.eye(len(weights))).min())

    assert nearest(weights_of(swarm_of(near_duplicate=0.0, **fields))) < 1e-3
    assert nearest(weights_of(swarm_of(near_duplicate=0.05, **fields))) >= 0.05


def test_a_grid_is_gone_through_from_its_centre_and_then_again() -> None:
    swarm = swarm_of(design="grid", probes=14, grid_steps=2, minimum_weight=0.0)
    weights = weights_of(swarm, {"a": 1, "b": 1, "c": 1})
    assert len(np.unique(weights[:6].round(9), axis=0)) == 6
    assert weights[6:12] == pytest.approx(weights[:6])
    assert sorted(set((weights * 9).round(6).ravel())) == [1.0, 4.0, 7.0]  # (a + 1/3) / 3
    spread = ((weights[:6] - 1 / 3) ** 2).sum(axis=1)
    assert (np.diff(spread) >= -1e-12).all()


def test_a_list_is_taken_by_name_and_as_long_as_it_is() -> None:
    swarm = SwarmSpec(design="list", mixtures=(dict(reversed(LIST[0].items())), LIST[1]))
    assert swarm.probes == 2
    assert [p.mixture for p in design_swarm(swarm, POOL)] == [pytest.approx(m) for m in LIST]


def test_how_mixtures_were_assigned_is_known_or_said() -> None:
    assert assignment_of(SwarmSpec()) == "randomised"
    assert assignment_of(SwarmSpec(design="sobol")) == "randomised"
    assert assignment_of(SwarmSpec(design="grid")) == "randomised"
    assert assignment_of(SwarmSpec(design="list", mixtures=LIST)) == "observational"
    assert assignment_of(SwarmSpec(design="list", mixtures=LIST, assignment="adaptive")) == "adaptive"


def test_a_job_file_from_before_designs_had_names_still_loads() -> None:
    old = {
        "probes": 3,
        "seed": 4,
        "reference": {},
        "temperature": 0.5,
        "strength": [0.5, 4.0],
        "minimum_weight": 0.01,
        "tilt": 1.0,
        "heldout_windows": 64,
        "state_features": ["x", "y"],
    }
    swarm = SwarmSpec.model_validate(old)
    assert swarm == swarm_of(probes=3, seed=4)
    # what such a swarm drew before: resuming it goes on with the same probes
    assert weights_of(swarm)[2] == pytest.approx(
        [0.6740466676, 0.1813662856, 0.0955163108, 0.0490707360], abs=1e-9
    )
    assert SwarmSpec.model_validate_json(swarm.model_dump_json()) == swarm


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"design": "grid", "grid_steps": 12}, "has 455 points, more than the 48 probes"),
        ({"design": "grid", "grid_steps": 40}, "has 12,341 points; a swarm has at most 4,096"),
        ({"design": "grid", "grid_steps": 1, "tilt": 0.0}, "48 probes of 4 mixtures would repeat"),
        ({"max_epochs": 3.0}, r"minimum weight of 1.00% is too much for d \(at most 0.54%\)"),
        ({"max_epochs": 1.0, "minimum_weight": 0.0}, "Allow more than 8.41 epochs"),
        ({"design": "list", "mixtures": LIST, "max_epochs": 50.0}, "The list, row 2: d at 40.0%"),
        ({"design": "list", "mixtures": ({"a": 1.0},)}, "The list, row 1: .*no weight for b, c, d"),
    ],
)
def test_what_cannot_be_laid_out_says_why(fields: dict, words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        design_swarm(SwarmSpec(**fields), POOL)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"design": "list"}, "needs mixtures"),
        ({"mixtures": LIST}, "the design is not 'list'"),
        ({"design": "list", "mixtures": LIST, "probes": 1}, "2 mixtures, more than the 1 probes"),
        ({"design": "sobol", "assignment": "adaptive"}, "only a list can be assigned otherwise"),
        ({"design": "random"}, "design"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SwarmSpec(**fields)
