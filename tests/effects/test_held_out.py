"""Runs are predicted by fits that have not seen them: not the runs, nor copies of them, nor their scale."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects.estimators import EstimatorInfo
from causalmix_core.effects.held_out import (
    Fold,
    kept_together,
    part,
    predict_held,
    repeated_runs,
    split_runs,
)
from causalmix_core.effects.sample import Sample
from causalmix_core.probes.runs import RunTable


@dataclass
class Nearest:
    """Remembers every run it was fitted to and answers with the nearest: the worst thing that could leak."""

    seen: list[Sample] = field(default_factory=list)

    def fit(self, sample: Sample, seed: int) -> Nearest:
        self.seen.append(sample)
        self.inputs, self.outcomes = np.hstack([sample.weights, sample.state]), sample.outcomes
        return self

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        apart = ((np.hstack([weights, state])[:, None] - self.inputs[None]) ** 2).sum(axis=2)
        return self.outcomes[apart.argmin(axis=1)]


def info(estimator: object) -> EstimatorInfo:
    return EstimatorInfo(label="test", source="", summary="", make=lambda: estimator)


def sample_of(n: int, seed: int = 0, outcomes: int = 2) -> Sample:
    rng = np.random.default_rng(seed)
    return Sample(
        rng.dirichlet(np.ones(3), n),
        rng.normal(size=(n, 2)),
        np.array([0, 1]),
        rng.normal(size=(n, outcomes)),
    )


labels = st.lists(st.integers(0, 12), min_size=2, max_size=60).filter(lambda v: len(set(v)) > 1)


@settings(max_examples=100, deadline=None)
@given(labels, st.integers(2, 8), st.integers(1, 3), st.integers(0, 5))
def test_folds_are_partitions_that_keep_together_what_belongs_together(together, folds, repeats, seed):
    found = split_runs(np.array(together), folds, repeats, seed)
    groups = len(set(together))
    assert len(found) == min(folds, groups) * (1 if folds >= groups else repeats)
    for repeat in {f.repeat for f in found}:
        mine = [f for f in found if f.repeat == repeat]
        assert sorted(np.concatenate([f.held for f in mine]).tolist()) == list(range(len(together)))
    for fold in found:
        assert sorted([*fold.seen, *fold.held]) == list(range(len(together)))
        assert len(fold.held) > 0
        assert not {together[i] for i in fold.seen} & {together[i] for i in fold.held}
    again = split_runs(np.array(together), folds, repeats, seed)
    assert all(np.array_equal(a.held, b.held) for a, b in zip(found, again, strict=True))


def test_folds_are_even_and_differ_between_repeats_and_seeds():
    found = split_runs(np.arange(52), 5, 2, seed=1)
    assert sorted(len(f.held) for f in found[:5]) == [10, 10, 10, 11, 11]
    assert not np.array_equal(found[0].held, found[5].held)
    assert not np.array_equal(found[0].held, split_runs(np.arange(52), 5, 2, seed=2)[0].held)
    with pytest.raises(ValueError, match="belong together"):
        split_runs(np.zeros(9))


def test_pool_states_are_put_on_the_scale_of_the_runs_that_are_seen():
    sample = sample_of(30)
    sample.state[20:, 0] += 100  # the held runs come from another pool
    sample.state[:20, 1] = 3.0  # and in that of the seen ones this did not vary
    seen, held = part(sample, Fold(0, 0, np.arange(20), np.arange(20, 30)))
    assert seen.state[:, 0].mean() == pytest.approx(0, abs=1e-9)
    assert seen.state[:, 0].std() == pytest.approx(1)
    assert held.state[:, 0].min() > 50
    assert (seen.state[:, 1] == 0).all()
    assert (held.state[:, 1] == 0).all()


def test_a_fit_sees_neither_the_held_runs_nor_anything_made_from_them():
    sample, fold = sample_of(24), Fold(0, 0, np.arange(16), np.arange(16, 24))
    first, second = Nearest(), Nearest()
    before = predict_held(sample, info(first), fold, 0)
    other = Sample(sample.weights.copy(), sample.state.copy(), sample.modifiers, sample.outcomes.copy())
    other.weights[16:] = sample.weights[16:][::-1]
    other.state[16:] *= 7
    other.outcomes[16:] += 1000
    predict_held(other, info(second), fold, 0)
    for name in ("weights", "state", "outcomes"):
        assert np.array_equal(getattr(first.seen[0], name), getattr(second.seen[0], name))
    assert len(first.seen[0]) == 16
    assert before.mean.shape == (8, 2)


def test_a_copy_of_a_run_is_held_out_with_it(make_runs):
    rng = np.random.default_rng(0)
    weights, state = rng.dirichlet(np.ones(3), 20), rng.normal(size=(20, 2))
    runs = make_runs(np.tile(state, (3, 1)), np.tile(weights, (3, 1)), rng.normal(size=(60, 1)).repeat(3, 1))
    together, said = kept_together(runs)
    assert len(set(together)) == 20
    assert "40 of them repeat a mixture" in said
    # Outcomes of copies are equal here, so whatever leaks is predicted exactly.
    outcome = np.tile(rng.normal(size=(20, 1)), (3, 1))
    sample = Sample(runs.weights(), runs.state(), np.array([0]), outcome)

    def explained(labels: np.ndarray) -> float:
        error = []
        for fold in split_runs(labels, 5, 1):
            error.append((predict_held(sample, info(Nearest()), fold, 0).mean - outcome[fold.held]) ** 2)
        return 1 - float(np.concatenate(error).mean() / outcome.var())

    assert explained(np.arange(60)) > 0.7  # what carelessness would have shown
    assert explained(together) < 0


def test_pools_are_held_out_whole(make_runs):
    rng = np.random.default_rng(0)
    runs = make_runs(rng.normal(size=(30, 2)), rng.dirichlet(np.ones(3), 30), rng.normal(size=(30, 3)))
    mixed = RunTable.from_frame(runs.frame.assign(snapshot=["a"] * 12 + ["b"] * 10 + ["c"] * 8))
    together, said = kept_together(mixed)
    assert "3 pools" in said
    folds = split_runs(together)
    assert sorted(len(f.held) for f in folds) == [8, 10, 12]


def test_an_outcome_that_stands_still_among_the_seen_runs_is_expected_to_stay():
    sample = sample_of(20)
    sample.outcomes[:15, 1] = 2.5
    found = predict_held(sample, info(Nearest()), Fold(0, 0, np.arange(15), np.arange(15, 20)), 0)
    assert (found.mean[:, 1] == 2.5).all()
    assert (found.at_reference[:, 1] == 2.5).all()
    assert np.ptp(found.mean[:, 0]) > 0


def test_repeated_runs_are_found_whatever_the_last_digits():
    weights = np.array([[0.1, 0.9], [0.1 + 1e-12, 0.9], [0.2, 0.8], [0.1, 0.9]])
    state = np.array([[1.0], [1.0], [1.0], [2.0]])
    label = repeated_runs(weights, state)
    assert label[0] == label[1]
    assert len(set(label.tolist())) == 3
