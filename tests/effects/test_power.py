"""How small an effect the runs show, and what more probes would be worth, before any is trained."""

from __future__ import annotations

import numpy as np
import pytest

from causalmix_core.effects import OBJECTIVE, fit_effects
from causalmix_core.effects.power import MOST_TIMES, detectable_effects, more_probes, power_words
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import delete_edge, saturated_graph
from causalmix_core.probes.runs import RunTable


def named(values, columns):
    return dict(zip(columns, map(float, values), strict=True))


def two_outcomes(runs):
    return RunTable.from_frame(runs.frame.drop(columns=runs.outcomes[2:]))


@pytest.fixture(scope="module")
def asked(world):
    runs = two_outcomes(world.runs(32, seed=0, noise=0.3))
    model = fit_effects(runs, saturated_graph(runs, by="test"), calibrated=False)
    return model, dict.fromkeys(runs.states, 0.0), named(world.reference, runs.domains)


def test_an_effect_of_the_detectable_size_is_found_in_four_of_five_cases(asked):
    model, state, mixture = asked
    frame = detectable_effects(model, state, mixture)
    assert list(frame["outcome"].unique()) == [*model.runs.outcomes, OBJECTIVE]
    assert (frame["detectable"] > frame["half_width"]).all()
    # If a true effect has that size, the estimate scatters around it by one standard error.
    row = frame.iloc[0]
    estimates = row["detectable"] + row["half_width"] / 1.96 * np.random.default_rng(0).normal(size=20_000)
    assert (estimates > row["half_width"]).mean() == pytest.approx(0.80, abs=0.01)


def test_what_is_said_is_what_more_probes_then_do(world, asked):
    model, state, mixture = asked
    answer = more_probes(model, state, mixture, "loss/books")
    assert answer.present == 32
    assert list(answer.widths) == sorted(answer.widths, reverse=True)
    # Twice as many probes, trained for real: the intervals shrink about as foretold.
    more = two_outcomes(world.runs(64, seed=1, noise=0.3))
    later = fit_effects(more, saturated_graph(more, by="test"), calibrated=False)

    def width(fitted):
        frame = fitted.effects(state, mixture)
        frame = frame[frame["outcome"] == "loss/books"]
        return float(np.exp(np.log(frame["upper"] - frame["lower"]).mean()))

    assert width(later) / width(model) == pytest.approx(answer.widths[1], rel=0.35)
    again = more_probes(model, state, mixture, "loss/books")
    assert again == answer


def test_words_name_numbers_outcome_and_domains(asked):
    model, state, mixture = asked
    frame = detectable_effects(model, state, mixture)
    said = power_words(frame, "loss/code", 32)
    best = frame[frame["outcome"] == "loss/code"].sort_values("detectable").iloc[0]
    assert f"{best['detectable']:.2g} for {best['domain']}" in said
    assert "these 32 probes" in said
    assert "nats per point" in said
    answer = more_probes(model, state, mixture)
    assert OBJECTIVE in answer.words
    assert answer.more is None or answer.more < MOST_TIMES * 32


def test_a_shape_that_may_be_wrong_is_not_promised_to_get_better(world, asked):
    _, state, mixture = asked
    runs = two_outcomes(world.runs(32, seed=0, noise=0.3))
    model = fit_effects(
        runs, saturated_graph(runs, by="test"), estimator="linear_regression", calibrated=False
    )
    assert "shrinks with no number of probes" in more_probes(model, state, mixture).words


def test_an_outcome_without_effects_is_refused(world, asked):
    _, state, mixture = asked
    runs = two_outcomes(world.runs(32, seed=0))
    graph = saturated_graph(runs, by="test")
    for weight in runs.weight_columns:
        graph = delete_edge(graph, weight, "loss/code", by="test")
    model = fit_effects(runs, graph, calibrated=False)
    with pytest.raises(CausalMixError, match="loss/code has no effects"):
        more_probes(model, state, mixture, "loss/code")
    assert "loss/code" not in set(detectable_effects(model, state, mixture)["outcome"])
