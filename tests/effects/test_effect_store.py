"""Results are kept for exactly the question that they answer, and found again by nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from causalmix_core.effects.effect_store import (
    LEADERBOARD,
    default_estimator,
    key_of,
    load_leaderboard,
    load_refutation,
    question_key,
    save_leaderboard,
    save_refutation,
)
from causalmix_core.effects.leaderboard import leaderboard
from causalmix_core.effects.leaderboard_result import LeaderboardSettings
from causalmix_core.effects.refutation.result import Refutation, RefutationSettings
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import delete_edge, saturated_graph
from causalmix_core.mixture.store import GraphReference
from causalmix_core.probes.runs import RunTable
from causalmix_core.question import Question
from causalmix_core.workspace import Workspace, WorkspaceConfig


@pytest.fixture
def kept(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="Effects"))


@pytest.fixture(scope="module")
def question(runs):
    return Question(
        pool="import-test",
        snapshot=None,
        runs=runs,
        graph=saturated_graph(runs, by="ana"),
        graph_reference=GraphReference(name="assumed", revision=None),
        objective={"loss/code": 0.5, "loss/math": 0.5},
        state=dict.fromkeys(runs.states, 0.0),
        reference=dict.fromkeys(runs.domains, 1 / len(runs.domains)),
    )


@pytest.fixture(scope="module")
def compared(question):
    settings = LeaderboardSettings(estimators=("linear_dml", "mixing_law"), repeats=1)
    return leaderboard(question.runs, question.graph, question.objective, settings=settings, workers=0)


def test_the_key_follows_from_what_a_result_depends_on(question):
    runs, key = question.runs, key_of(question)
    assert key == question_key(runs, question.graph, question.objective, question.reference)
    assert key == key_of(replace(question, graph=saturated_graph(runs, by="somebody else")))
    assert key == key_of(replace(question, graph_reference=GraphReference(name="other", revision=3)))
    assert key == key_of(replace(question, objective={**question.objective, "loss/web": 0.0}))
    shuffled = runs.frame[runs.frame.columns[::-1]]
    assert key == key_of(replace(question, runs=RunTable.from_frame(shuffled)))

    moved = runs.frame.assign(**{"loss/web": runs.frame["loss/web"] + 1e-9})
    renamed = runs.frame.rename(columns={"state/style": "state/zeal"})
    others = [
        replace(question, runs=RunTable.from_frame(moved)),
        replace(question, runs=RunTable.from_frame(runs.frame.iloc[1:])),
        replace(question, runs=RunTable.from_frame(runs.frame.assign(assignment="adaptive"))),
        replace(question, runs=RunTable.from_frame(renamed)),
        replace(question, graph=delete_edge(question.graph, "weight/code", "loss/web", by="ana")),
        replace(question, objective={"loss/code": 1.0}),
        replace(question, reference={**question.reference, "code": 0.2}),
    ]
    keys = [key, *map(key_of, others)]
    assert len(set(keys)) == len(keys)


def test_a_comparison_is_kept_and_decides_the_default(kept, question, compared):
    name, why = default_estimator(kept, question)
    assert name == "gaussian_process"
    assert "not yet compared" in why
    key = key_of(question)
    path = save_leaderboard(kept, key, compared)
    assert path == kept.effects / key / LEADERBOARD
    assert load_leaderboard(kept, key).value == compared
    assert default_estimator(kept, question) == (compared.chosen, compared.why)
    other = replace(question, objective={"loss/web": 1.0})
    assert "not yet compared" in default_estimator(kept, other)[1]


def test_a_damaged_file_is_ignored_in_words(kept, question, compared):
    key = key_of(question)
    path = save_leaderboard(kept, key, compared)
    path.write_text(path.read_text()[:-9])
    found = load_leaderboard(kept, key)
    assert found.value is None
    assert "is damaged" in found.problem
    name, why = default_estimator(kept, question)
    assert name == "gaussian_process"
    assert str(path) in why
    save_leaderboard(kept, key, compared)
    assert load_leaderboard(kept, key).value == compared


def test_refutations_of_different_effects_lie_side_by_side(kept, question):
    key = key_of(question)
    settings = RefutationSettings(
        estimator="linear_dml",
        objective=dict(question.objective),
        state=dict(question.state),
        mixture=dict(question.reference),
    )
    other = settings.model_copy(update={"estimator": "gp_law"})
    for one in (settings, other):
        found = Refutation(settings=one, runs=48, assignment=None, effects=(), notes=(), seconds=1.0)
        save_refutation(kept, key, found)
    assert load_refutation(kept, key, settings).value.settings == settings
    assert load_refutation(kept, key, other).value.settings == other
    assert load_refutation(kept, key, settings.model_copy(update={"seed": 1})).value is None
    assert len(list((kept.effects / key).iterdir())) == 2


def test_a_key_is_no_path(kept):
    with pytest.raises(CausalMixError, match="names no question"):
        load_leaderboard(kept, "../runs")
