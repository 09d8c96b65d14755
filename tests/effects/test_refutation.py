"""Refuters on worlds whose truth is known: real effects survive, made-up ones do not."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.estimators import ESTIMATORS, EstimatorInfo
from causalmix_core.effects.refutation import REFUTERS, Refutation, refute
from causalmix_core.effects.refutation.changed_samples import dummy_outcome, placebo, random_common_cause
from causalmix_core.effects.refutation.judging import (
    Estimate,
    Replicates,
    judge_bootstrap,
    judge_confounded,
    judge_movement,
    judge_null,
    judge_subsets,
    overall,
)
from causalmix_core.effects.sample import Sample
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import add_bidirected, delete_edge, saturated_graph
from causalmix_core.probes.runs import RunTable

DOMAINS = ["books", "code", "web"]
CENTRE = dict.fromkeys(DOMAINS, 1 / 3)
STATE = {"state/age": 0.0}
N = 60


class Regression:
    """Least squares on log weights and, where asked, the state; its errors are off by a known factor."""

    def __init__(self, *, adjusts=True, honesty=1.0, fewest=0):
        self.adjusts, self.honesty, self.fewest = adjusts, honesty, fewest

    def fit(self, sample, seed):
        if len(np.unique(sample.weights, axis=0)) < self.fewest:
            raise CausalMixError("Too few runs.")
        fitted = Line(adjusts=self.adjusts, honesty=self.honesty)
        design = fitted.design(sample.weights, sample.state)
        fitted.coefficients, *_ = np.linalg.lstsq(design, sample.outcomes, rcond=None)
        freedom = len(design) - design.shape[1]
        fitted.noise = np.sqrt(((sample.outcomes - design @ fitted.coefficients) ** 2).sum(axis=0) / freedom)
        fitted.covariance = np.linalg.pinv(design.T @ design)
        fitted.degrees_of_freedom = float(freedom)
        return fitted


class Line(Regression):
    def design(self, weights, state):
        held = state if self.adjusts else state[:, :0]
        return np.column_stack([np.ones(len(weights)), np.log(weights + 0.05), held])

    def mean(self, weights, state):
        return self.design(weights, state) @ self.coefficients

    def error(self, weights, state):
        return self._width(self.design(weights, state))

    def contrast(self, start, end, state):
        rows = np.tile(state, (len(end), 1))
        moved = self.design(end, rows) - self.design(np.broadcast_to(start, end.shape), rows)
        return moved @ self.coefficients, self._width(moved)

    def restricted(self, outcomes):
        raise NotImplementedError

    def _width(self, rows):
        scale = np.sqrt(np.einsum("ri,ij,rj->r", rows, self.covariance, rows))
        return self.honesty * np.outer(scale, self.noise)


@pytest.fixture
def with_estimator(monkeypatch):
    """Puts a regression of known quality in the place of an estimator."""

    def put(**quality):
        info = EstimatorInfo(
            "Regression", "test", "test", lambda: Regression(**quality), probabilistic=True,
            uses_state=quality.get("adjusts", True),
        )  # fmt: skip
        monkeypatch.setitem(ESTIMATORS, "linear_regression", info)

    return put


def world(effect=0.3, confounding=0.0, assignment="randomised", seed=0, noise=0.1, n=N):
    """loss/books falls with the logarithm of books; loss/web depends on no mixture."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    weights = rng.dirichlet([3, 3, 3], n)
    weights[:, 0] *= np.exp(confounding * x)
    weights /= weights.sum(axis=1, keepdims=True)
    frame = pd.DataFrame({f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)})
    books = 2 - effect * np.log(weights[:, 0] + 0.05) + 0.4 * x + noise * rng.normal(size=n)
    web = 3 + 0.4 * x + noise * rng.normal(size=n)
    return RunTable.from_frame(
        frame.assign(**{"state/age": x, "loss/books": books, "loss/web": web, "assignment": assignment})
    )


def refuted(runs, estimator="linear_regression", **options):
    graph = options.pop("graph", None) or saturated_graph(runs, by="test")
    return refute(runs, graph, estimator=estimator, state=STATE, mixture=CENTRE, **options)


def of(found, domain, outcome):
    return next(e for e in found.effects if (e.domain, e.outcome) == (domain, outcome))


def test_a_true_effect_survives_everything(with_estimator):
    with_estimator()
    runs = world(assignment="observational")
    found = refuted(runs)
    books = of(found, "books", "loss/books")
    assert [c.verdict for c in books.checks] == ["passed"] * 6
    assert (books.verdict, books.words) == ("passed", "Survived all 6 refutations.")
    assert books.check("placebo").p_value < 0.02
    assert abs(books.check("placebo").mean) < 0.2 * abs(books.effect)
    assert abs(books.check("subset").mean / books.effect - 1) < 0.2
    assert of(found, "books", "loss/web").verdict != "passed"


def test_by_design_nothing_hidden_is_simulated(with_estimator):
    with_estimator()
    found = refuted(world())
    check = of(found, "books", "loss/books").check("unobserved_confounder")
    assert check.verdict == "does not apply"
    assert "drawn at random" in check.words
    assert of(found, "books", "loss/books").words == "Survived all 5 refutations."


def test_where_there_are_no_effects_nothing_passes_even_with_intervals_that_lie(with_estimator):
    with_estimator(honesty=0.2)
    shown = []
    for seed in range(6):
        found = refuted(world(effect=0.0, seed=seed))
        shown += [e for e in found.effects if e.verdict != "not shown"]
    assert len(shown) > 20
    assert sum(e.check("placebo").verdict == "passed" for e in shown) <= 1
    assert sum(e.verdict == "failed" for e in shown) > 0.7 * len(shown)


def test_intervals_that_lie_are_found_out_by_the_bootstrap(with_estimator):
    with_estimator(honesty=0.2)
    books = of(refuted(world(effect=0.05)), "books", "loss/books")
    assert books.check("bootstrap").ratio > 2.5
    assert books.check("bootstrap").verdict == "failed"
    assert books.verdict == "failed"
    with_estimator()
    assert 0.6 < of(refuted(world()), "books", "loss/books").check("bootstrap").ratio < 1.5


def test_a_confounder_that_is_measured_but_ignored_fails_on_the_dummy_outcome(with_estimator):
    runs = world(effect=0.0, confounding=0.6, assignment="observational")
    with_estimator(adjusts=False)
    ignored = of(refuted(runs), "books", "loss/web")
    assert ignored.check("dummy_outcome").verdict == "failed"
    assert "the method makes it" in ignored.check("dummy_outcome").words
    assert ignored.check("random_common_cause").verdict == "does not apply"
    assert ignored.verdict == "failed"
    with_estimator()
    held = of(refuted(runs), "books", "loss/web")
    assert held.verdict == "not shown"


def test_a_hidden_confounder_of_its_own_strength_overturns_what_it_fakes(with_estimator):
    with_estimator()
    runs = world(effect=0.0, confounding=0.5, assignment="observational", noise=0.2)
    blind = RunTable.from_frame(runs.frame.assign(**{"state/age": np.random.default_rng(9).normal(size=N)}))
    faked = of(refuted(blind), "books", "loss/web")
    assert faked.verdict != "not shown"
    weak = of(refuted(blind, strength=0.01), "books", "loss/web").check("unobserved_confounder")
    strong = of(refuted(blind, strength=0.6), "books", "loss/web").check("unobserved_confounder")
    assert weak.ratio > 0.8
    assert strong.ratio < 0.3
    assert strong.verdict in ("weak", "failed")


@pytest.mark.parametrize("estimator", ["gaussian_process", "linear_dml", "mixing_law"])
def test_every_kind_of_estimator_can_be_refuted(estimator):
    runs = world(n=32)
    found = refuted(runs, estimator, replicates=5)
    books = of(found, "books", "loss/books")
    assert books.effect < 0
    # The law allows no domain to do harm, so even shuffled runs give it an effect, only a smaller one.
    assert abs(books.check("placebo").mean) < abs(books.effect)
    assert all(e.verdict != "passed" for e in found.effects)
    assert any("nothing can pass" in note for note in found.notes)


def test_the_result_is_repeatable_complete_and_survives_a_file(with_estimator):
    with_estimator()
    runs = world(assignment="observational")
    told = []
    found = refuted(runs, replicates=6, progress=lambda fraction, text: told.append((fraction, text)))
    again = refuted(runs, replicates=6)
    assert found.effects == again.effects
    assert refuted(runs, replicates=6, seed=1).effects != found.effects
    assert Refutation.model_validate_json(found.model_dump_json()) == found
    assert "NaN" not in json.dumps(found.model_dump(mode="json"))
    assert [(e.outcome, e.domain) for e in found.effects] == [
        (o, d) for o in (*runs.outcomes, OBJECTIVE) for d in DOMAINS
    ]
    table = found.table()
    assert [c for c in table.columns if c in REFUTERS] == list(REFUTERS)
    assert len(found.numbers()) == len(found.effects) * len(REFUTERS)
    fractions = [f for f, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert any("Bootstrap" in text for _, text in told)
    assert str(len([e for e in found.effects if e.verdict != "not shown"])) in found.summary()


def test_progress_may_end_it(with_estimator):
    with_estimator()

    def stop(fraction, text):
        if fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refuted(world(), progress=stop)


def test_effects_that_the_graph_rules_out_are_not_refuted(with_estimator):
    with_estimator()
    runs = world()
    graph = saturated_graph(runs, by="test")
    for weight in runs.weight_columns:
        graph = delete_edge(graph, weight, "loss/web", by="test")
    found = refuted(runs, graph=graph)
    web = of(found, "web", "loss/web")
    assert (web.effect, web.verdict) == (0, "not shown")
    assert of(found, "books", "loss/books").verdict == "passed"


def test_an_outcome_that_one_run_varies_may_stand_still_in_a_subset(with_estimator):
    with_estimator()
    runs = world()
    rare = np.where(np.arange(N) == np.argmax(runs.frame["weight/web"]), 1.0, 0.0)
    odd = RunTable.from_frame(runs.frame.assign(**{"loss/web": rare}))
    found = refuted(odd)
    assert of(found, "web", "loss/web").verdict == "not shown"
    assert of(found, "books", "loss/books").verdict == "passed"
    assert not any("impossible" in note for note in found.notes)


def test_fits_that_are_impossible_are_counted(with_estimator):
    with_estimator(fewest=0.75 * N)
    found = refuted(world())
    assert any("fits to changed runs were impossible" in note for note in found.notes)
    assert of(found, "books", "loss/books").check("placebo").verdict == "passed"
    assert of(found, "books", "loss/books").check("subset").verdict == "passed"
    # Two thirds of the runs are in a bootstrap, the others twice or more.
    bootstrap = of(found, "books", "loss/books").check("bootstrap")
    assert (bootstrap.verdict, bootstrap.ratio) == ("does not apply", None)


def test_a_label_that_is_doubted_gets_a_hidden_cause(with_estimator):
    with_estimator()
    found = refuted(world(confounding=0.8))
    assert of(found, "books", "loss/books").check("unobserved_confounder").verdict != "does not apply"
    assert any("labelled randomised" in note for note in found.notes)


def test_what_the_graph_cannot_identify_is_weak_at_best(with_estimator):
    with_estimator()
    runs = world()
    graph = add_bidirected(saturated_graph(runs, by="test"), "weight/books", "loss/books", by="ana")
    books = of(refuted(runs, graph=graph), "books", "loss/books")
    assert {c.verdict for c in books.checks} == {"passed", "does not apply"}
    assert books.verdict == "weak"
    assert "association" in books.words


def test_processes_change_nothing_but_the_time():
    runs = world(n=24)
    alone = refuted(runs, "linear_regression", replicates=5, workers=0)
    assert refuted(runs, "linear_regression", replicates=5, workers=1).effects == alone.effects


def test_a_state_that_does_not_fit_is_refused(with_estimator):
    with_estimator()
    runs = world()
    with pytest.raises(CausalMixError, match="state/age"):
        refute(
            runs, saturated_graph(runs, by="test"), estimator="linear_regression", state={}, mixture=CENTRE
        )


def sample(n=40):
    rng = np.random.default_rng(0)
    state = rng.normal(size=(n, 2))
    return Sample(
        rng.dirichlet([1, 1, 1], n), state, np.array([0]), state @ [[1.0], [2.0]] + rng.normal(size=(n, 1))
    )


def test_what_each_refuter_does_to_the_runs():
    runs, order = sample(), np.random.default_rng(1).permutation(40)
    shuffled = placebo(runs, order)
    assert (shuffled.weights == runs.weights[order]).all()
    assert (shuffled.outcomes == runs.outcomes).all()
    dummy = dummy_outcome(runs, order)
    assert (dummy.weights == runs.weights).all()
    # What the state says of the outcome stays; what is left has nothing to do with the run any more.
    assert dummy.outcomes.mean() == pytest.approx(runs.outcomes.mean())
    design = np.column_stack([np.ones(40), runs.state])
    before, after = (np.linalg.lstsq(design, s.outcomes, rcond=None)[0][1:, 0] for s in (runs, dummy))
    assert after == pytest.approx(before, abs=0.6)
    wider = random_common_cause(runs, np.arange(40.0))
    assert wider.state.shape == (40, 3)
    assert wider.state[:, 2].tolist() == list(range(40))
    assert wider.modifiers.tolist() == [0]
    stateless = replace(runs, state=np.empty((40, 0)), modifiers=np.array([], dtype=int))
    assert random_common_cause(stateless, np.arange(40.0)).state.shape == (40, 1)
    assert sorted(dummy_outcome(stateless, order).outcomes[:, 0]) == pytest.approx(
        sorted(runs.outcomes[:, 0])
    )


def judged(judge, z, effects, error=1.0):
    """One effect of size z standard errors against effects in changed runs, shape (b, 1)."""
    found = np.asarray(effects, dtype=float).reshape(len(effects), -1)
    estimate = Estimate(np.array([z]), np.ones(1), np.full(1, 1.96), np.zeros(1, dtype=int))
    return judge(estimate, Replicates(found, np.full_like(found, error)))[0]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_among_effects_that_are_all_chance_hardly_any_passes(seed):
    rng = np.random.default_rng(seed)
    estimate = Estimate(rng.normal(size=42), np.ones(42), np.full(42, 1.96), np.repeat(np.arange(7), 6))
    found = Replicates(rng.normal(size=(20, 42)), np.ones((20, 42)))
    checks = judge_null("placebo", estimate, found)
    surest = np.abs(found.effect).max(axis=1)
    for check, effect in zip(checks, estimate.effect, strict=True):
        assert (check.verdict == "passed") == bool((np.abs(effect) > surest).all())


def test_the_family_is_held_to_its_level():
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(200):
        estimate = Estimate(rng.normal(size=20), np.ones(20), np.full(20, 1.96), np.zeros(20, dtype=int))
        found = Replicates(rng.normal(size=(20, 20)), np.ones((20, 20)))
        passed += any(c.verdict == "passed" for c in judge_null("placebo", estimate, found))
    assert 2 <= passed <= 20


def test_shuffled_runs_are_compared_by_how_sure_they_are():
    """Shuffling turns signal into noise: effects grow, and so do their errors."""
    wild = 4 * np.random.default_rng(0).normal(size=20)

    def judge(estimate, found):
        return judge_null("placebo", estimate, found)

    assert judged(judge, 4.0, wild, error=4.0).verdict == "passed"
    assert judged(judge, 4.0, wild, error=1.0).verdict == "failed"


def test_movement_spread_and_sign_have_their_thresholds():
    steady = 3 + 0.5 * np.array([1, -1] * 10)
    assert judged(judge_subsets, 3.0, steady).verdict == "passed"
    assert judged(judge_subsets, 3.0, 3 + 3.0 * (steady - 3)).verdict == "weak"
    assert judged(judge_subsets, 3.0, [3.0, -1.0] * 10).verdict == "failed"
    assert judged(judge_movement, 3.0, [3.4] * 20).verdict == "passed"
    assert judged(judge_movement, 3.0, [3.7] * 20).verdict == "weak"
    assert judged(judge_movement, 3.0, [1.5] * 20).verdict == "failed"
    # A strong effect may move by more than its small error and is still the same effect.
    assert judged(judge_movement, 30.0, [32.0] * 20).verdict == "passed"
    assert judged(judge_bootstrap, 3.0, 3 + np.array([1, -1] * 10)).verdict == "passed"
    assert judged(judge_bootstrap, 30.0, 30 + 2 * np.array([1, -1] * 10)).verdict == "weak"
    assert judged(judge_bootstrap, 3.0, 3 + 4 * np.array([1, -1] * 10)).verdict == "failed"


@pytest.mark.parametrize(("left", "verdict"), [(2.5, "passed"), (1.0, "weak"), (-0.5, "failed")])
def test_what_a_hidden_cause_leaves(left, verdict):
    estimate = Estimate(np.array([3.0]), np.ones(1), np.full(1, 1.96), np.zeros(1, dtype=int))
    check = judge_confounded(estimate, np.array([left]), 0.1)[0]
    assert (check.verdict, check.ratio) == (verdict, pytest.approx(left / 3))


def test_the_worst_verdict_counts():
    good = judged(judge_movement, 3.0, [3.1] * 20)
    bad = judged(judge_subsets, 3.0, [3.0, -1.0] * 10)
    assert overall((good, good)) == ("passed", "Survived all 2 refutations.")
    assert overall((good, bad)) == ("failed", "Failed: subsets of the runs.")
