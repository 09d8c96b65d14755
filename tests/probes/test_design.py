from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec, design_swarm

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
