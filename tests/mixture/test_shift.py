from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.corpus import ingest
from causalmix_core.effects import EffectModel, fit_effects
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import saturated_graph
from causalmix_core.mixture.record import mixture_record
from causalmix_core.mixture.replay import grounds_of
from causalmix_core.mixture.shift import MOST_EXACT, moved_question, pool_shift, shift_sentences
from causalmix_core.probes import RunTable
from causalmix_core.question import gather
from causalmix_core.workspace import DomainSource, Workspace
from tests.mixture.study import write_runs

DOMAINS = ["a", "b", "c"]


def bent(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A loss on which a helps the more the larger the first state, and nothing depends on the second."""
    return 3 - (1 + 0.8 * x[:, 0]) * np.sqrt(weights[:, 0] + 0.05) - 0.5 * np.sqrt(weights[:, 1] + 0.05)


def bent_runs(n: int = 80, states: int = 2) -> RunTable:
    rng = np.random.default_rng(0)
    weights, x = 0.02 + 0.94 * rng.dirichlet(np.ones(3), n), rng.normal(size=(n, states))
    return RunTable.from_frame(
        pd.DataFrame(
            {
                **{f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)},
                **{f"state/s{i}": x[:, i] for i in range(states)},
                "loss/a": bent(weights, x) + 0.005 * rng.normal(size=n),
            }
        )
    )


EVEN = dict.fromkeys(DOMAINS, 1 / 3)


@pytest.fixture(scope="module")
def bending() -> EffectModel:
    runs = bent_runs()
    return fit_effects(runs, saturated_graph(runs, by="t"))


def test_the_state_that_moved_an_effect_is_found(bending: EffectModel) -> None:
    before, after = {"state/s0": -0.5, "state/s1": -0.5}, {"state/s0": 0.5, "state/s1": 0.5}
    found = pool_shift(bending, before, after, EVEN)
    mine = found.effects.set_index(["domain", "outcome"]).loc[("a", "loss/a")]
    middle, step = np.full((2, 3), 1 / 3), 1e-4 * (np.eye(3)[0] - 1 / 3)
    slopes = [
        -(np.subtract(*bent(middle + np.outer([-1, 1], step), np.full((2, 2), x)))) / 2e-2
        for x in (-0.5, 0.5)
    ]
    assert mine["before"] == pytest.approx(slopes[0], abs=0.002)
    assert mine["difference"] == pytest.approx(slopes[1] - slopes[0], abs=0.002)
    assert mine["distinguishable"]
    assert mine["difference_lower"] < slopes[1] - slopes[0] < mine["difference_upper"]
    causes = found.causes[found.causes["domain"] == "a"].groupby("state")["contribution"].sum()
    assert abs(causes["state/s0"]) > 5 * abs(causes["state/s1"])
    line = shift_sentences(found, "loss/a")[0]
    assert line.startswith("+1 point of a: -0.00")
    assert "mostly because s0 rose from -0.5 to 0.5" in line
    assert found.warning is None


@pytest.mark.parametrize("states", [3, MOST_EXACT + 1])
def test_what_states_contribute_adds_up_to_the_difference(states: int) -> None:
    runs = bent_runs(40, states)
    model = fit_effects(runs, saturated_graph(runs, by="t"), calibrated=False)
    before = {f"state/s{i}": 0.0 for i in range(states)}
    after = {s: 0.3 * (-1) ** i for i, s in enumerate(before)}
    found = pool_shift(model, before, after, EVEN)
    keys = ["domain", "outcome"]
    sums = found.causes.groupby(keys)["contribution"].sum()
    wanted = found.effects.set_index(keys)["difference"]
    np.testing.assert_allclose(sums[wanted.index], wanted, atol=1e-10)
    assert set(found.causes["state"]) == set(before)


def test_the_same_pool_changes_nothing(bending: EffectModel) -> None:
    here = {"state/s0": 0.2, "state/s1": 0.1}
    found = pool_shift(bending, here, here, EVEN)
    assert found.causes.empty
    assert (found.effects["difference"] == 0).all()
    assert shift_sentences(found, "loss/a") == [
        "For no effect can the difference between the pools be told from zero."
    ]


def test_a_pool_beyond_the_runs_is_warned_of(bending: EffectModel) -> None:
    found = pool_shift(bending, {"state/s0": 0.0, "state/s1": 0.0}, {"state/s0": 9.0, "state/s1": 0.0}, EVEN)
    assert found.warning is not None
    assert "standard deviations" in found.warning
    assert "s0 is 9 (runs: " in found.warning
    assert found.states.set_index("state")["covered"].to_dict() == {"state/s0": False, "state/s1": True}


def test_a_pool_of_other_domains_is_refused_in_words(workspace: Workspace, tmp_path: Path) -> None:
    write_runs(workspace)
    question = gather(workspace)
    model = fit_effects(question.runs, question.graph, calibrated=False)
    saved = mixture_record(question, model, question.reference, name="old", by="ada")
    config = workspace.config()
    shutil.copy(config.domains["sums"].path, tmp_path / "maths.jsonl")
    domains = {d: s for d, s in config.domains.items() if d != "sums"}
    domains["maths"] = DomainSource(path=str(tmp_path / "maths.jsonl"))
    workspace.save_config(config.model_copy(update={"domains": domains}))
    ingest(workspace)
    with pytest.raises(CausalMixError, match="lacks sums and it has maths, which no run was trained on"):
        moved_question(workspace, question, "current")
    notes = grounds_of(workspace, saved).notes  # what it rests on is still there; the pool in use is another
    assert "does not fit the snapshot" in notes[0]
    assert "in use: it has no sums and it has maths besides" in notes[0]
    with pytest.raises(CausalMixError, match="no snapshot 'ffffffffffff'"):
        moved_question(workspace, question, "ffffffffffff")
