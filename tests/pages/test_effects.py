"""The effects page and its views, run by Streamlit's own test runner on runs of a known world."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from causalmix_core.corpus import open_snapshot
from causalmix_core.effects import OBJECTIVE, fit_effects
from causalmix_core.effects.effect_store import key_of, save_leaderboard, save_refutation
from causalmix_core.effects.leaderboard import leaderboard
from causalmix_core.effects.leaderboard_result import LeaderboardSettings
from causalmix_core.effects.refutation import (
    REFUTERS,
    Check,
    Refutation,
    RefutationSettings,
    RefutedEffect,
    Verdict,
)
from causalmix_core.graph import delete_edge, saturated_graph, save_graph
from causalmix_core.question import Question, gather
from causalmix_core.workspace import Workspace

APP = Path(__file__).parents[2] / "app.py"
RUNS = 40


def write_runs(
    workspace: Workspace,
    n: int = RUNS,
    pool: str | None = None,
    states: bool = True,
    assignment: str = "randomised",
) -> None:
    """Runs of a known world: each loss falls with its own weight."""
    rng = np.random.default_rng(0)
    snapshot = open_snapshot(workspace)
    weights = rng.dirichlet(np.ones(3), n)
    columns: dict[str, object] = {
        "run": [f"{pool or 'j'}-{i:02d}" for i in range(n)],
        "status": "finished",
        "assignment": assignment,
        "snapshot": pool or snapshot.id,
    }
    columns |= {f"weight/{d}": weights[:, i] for i, d in enumerate(snapshot.domains)}
    if states:
        here = snapshot.state(workspace.config().state_features)
        columns |= {s: v + 0.1 * rng.normal(size=n) for s, v in here.items()}
    columns |= {
        f"loss/{d}": 3 - np.log(weights[:, i] + 0.05) + 0.05 * rng.normal(size=n)
        for i, d in enumerate(snapshot.domains)
    }
    pd.DataFrame(columns).to_parquet(workspace.runs / f"{pool or 'j'}.parquet")


@pytest.fixture(scope="module")
def shared(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with runs; tests that write into it make `mine`."""
    root = tmp_path_factory.mktemp("effects") / "workspace"
    shutil.copytree(_ingested, root)
    workspace = Workspace.open(root)
    write_runs(workspace)
    return workspace


@pytest.fixture
def mine(shared: Workspace, tmp_path: Path) -> Workspace:
    """The same, for one test alone."""
    shutil.copytree(shared.root, tmp_path / "mine")
    return Workspace.open(tmp_path / "mine")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """`open_page(workspace, view)`: the effects page, with the quickest estimator unless told."""

    def start(workspace: Workspace, view: str = "effects", estimator: str | None = "linear_dml") -> AppTest:
        monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
        at = AppTest.from_file(str(APP), default_timeout=60).run()
        if estimator:
            at.session_state["estimator"] = estimator
            at.session_state["own_estimator"] = True
        at.session_state["shown"] = view
        at.switch_page("pages/effects.py").run()
        assert not at.exception
        return at

    return start


def words(at: AppTest) -> str:
    """Everything that is written, without the backslashes that keep names from being markup."""
    kinds = (at.markdown, at.caption, at.info, at.success, at.warning, at.error)
    return "\n".join(e.value for kind in kinds for e in kind).replace("\\", "")


def charts(at: AppTest) -> int:
    return len(at.get("plotly_chart"))


def refutation(question: Question, verdicts: dict[tuple[str, str], Verdict]) -> Refutation:
    """A refutation that came out as told; every other effect survived."""
    model = fit_effects(
        question.runs, question.graph, estimator="linear_dml", objective=question.objective, calibrated=False
    )
    effects = []
    for row in model.effects(question.state, question.reference).itertuples():
        verdict = verdicts.get((row.domain, row.outcome), "passed")
        checks = tuple(
            Check(refuter=r, verdict=verdict if r == "placebo" else "passed", words=f"by {r}", p_value=0.25)
            for r in REFUTERS
        )
        effects.append(
            RefutedEffect(
                domain=row.domain, outcome=row.outcome, effect=row.effect, lower=row.lower, upper=row.upper,
                checks=checks, verdict=verdict, words=f"It {verdict}.",
            )
        )  # fmt: skip
    settings = RefutationSettings(
        estimator="linear_dml",
        objective=question.objective,
        state=question.state,
        mixture=question.reference,
    )
    return Refutation(
        settings=settings,
        runs=len(question.runs),
        assignment="randomised",
        effects=tuple(effects),
        notes=(),
        seconds=1.0,
    )


def test_every_effect_is_shown_with_what_it_rests_on(shared: Workspace, open_page) -> None:
    at = open_page(shared)
    said = words(at)
    assert f"{RUNS} probes** · graph assumed (none saved) · at the weights by size" in said
    assert "No refutation has been tried yet" in said
    assert charts(at) == 2
    at.selectbox(key="effects_outcome").select("loss/code").run()
    said = words(at)
    assert "One more point of code, taken from the rest, lowers loss/code by" in said
    assert "not yet refuted" in said
    assert "Rests on: weight/code has a path to loss/code in the graph" in said


def test_the_comparison_decides_the_default_until_the_curator_does(mine: Workspace, open_page) -> None:
    at = open_page(mine, "trust", estimator=None)
    assert at.selectbox(key="estimator").value == "gaussian_process"
    assert "have not been compared on these runs yet" in words(at)
    question = gather(mine)
    found = leaderboard(
        question.runs, question.graph, question.objective, reference=question.reference, workers=0,
        settings=LeaderboardSettings(estimators=("linear_dml", "linear_regression"), folds=2, repeats=1),
    )  # fmt: skip
    save_leaderboard(mine, key_of(question), found)
    at.run()
    assert at.selectbox(key="estimator").value == found.chosen == "linear_dml"
    assert found.why in words(at)
    table = at.dataframe[0].value
    assert table["Estimator"].tolist()[0] == "★ Linear DML"
    assert {"No effect", "Best constant mixture", "Keep the reference"} <= set(table["Estimator"])
    row = found.row("linear_dml")
    assert row is not None
    assert table["R²"].tolist()[0] == f"{row.outcomes[OBJECTIVE].r2.mean:.3f}"

    at.selectbox(key="estimator").select("linear_regression").run()
    assert "Your choice. By default it would be Linear DML." in words(at)
    at.switch_page("pages/mixture.py").run()
    assert at.selectbox(key="estimator").value == "linear_regression"


def test_trust_says_how_runs_came_about_and_what_they_can_show(shared: Workspace, open_page) -> None:
    at = open_page(shared, "trust")
    said = words(at)
    assert "drawn at random, so nothing can have caused both a mixture and its outcomes" in said
    assert f"For half of the domains these {RUNS} probes can see effects on" in said
    tables = {tuple(t.value.columns): t.value for t in at.dataframe}
    calibration = tables["Outcome", "Says", "Held", "Prediction", "Effect", "Change", "Runs"]
    assert calibration["Outcome"].tolist() == ["code", "prose", "sums", "objective"]
    question = gather(shared)
    model = fit_effects(question.runs, question.graph, estimator="linear_dml", objective=question.objective)
    expected = [model.interval_quantile(o) for o in model.outcomes]
    assert calibration["Change"].tolist() == pytest.approx(expected)
    assert (calibration["Effect"] < calibration["Change"]).all()
    support = tables["Domain", "Low", "High", "With", "Effective"]
    assert support["Domain"].tolist() == ["code", "prose", "sums"]


def test_what_effects_survived_is_in_plain_sight(mine: Workspace, open_page) -> None:
    question = gather(mine)
    save_refutation(mine, key_of(question), refutation(question, {("code", "loss/code"): "failed"}))
    at = open_page(mine, "refute")
    table = at.dataframe[0].value
    first = table.iloc[0]
    assert (first["Effect of"], first["on"], first["Verdict"]) == ("code", "code", "✗ failed")
    assert first["Placebo"] == "✗ p 0.25"
    assert table["Verdict"].tolist()[1:] == ["✓ survived"] * (len(table) - 1)
    assert "Placebo mixtures**, failed: by placebo" in words(at)
    robustness = at.dataframe[1].value["Robustness"]
    assert robustness.between(0, 100).all()

    at.segmented_control(key="shown").set_value("effects").run()
    at.selectbox(key="effects_outcome").select("loss/code").run()
    said = words(at)
    assert "1 failed" in said
    assert "failed: placebo mixtures" in said
    assert "survived" in said
    assert "not yet refuted" not in said


def test_explain_draws_the_effect_from_every_side(shared: Workspace, open_page) -> None:
    at = open_page(shared, "explain")
    at.selectbox(key="explain_domain").select("sums")
    at.selectbox(key="explain_outcome").select("loss/sums").run()
    assert not at.exception
    said = words(at)
    assert "One more point of sums, taken from the rest, lowers loss/sums by" in said
    for heading in ("Rules on the pool state", "Which pool state moves which effect", "Domains together"):
        assert f"**{heading}**" in said
    assert charts(at) >= 6


def test_an_edit_of_the_graph_shows_before_and_after(mine: Workspace, open_page) -> None:
    at = open_page(mine, "edits")
    assert "No graph is saved yet" in words(at)
    graph = saturated_graph(gather(mine).runs, by="ana")
    save_graph(mine, "main", graph, parent=None, by="ana")
    edited = delete_edge(graph, "weight/code", "loss/code", by="ana", why="it cannot")
    save_graph(mine, "main", edited, parent=1, by="ana")
    at.run()
    assert at.selectbox(key="effects_before").value == 1
    assert at.selectbox(key="effects_after").value == 2
    said = words(at)
    assert "removed weight/code -> loss/code: 'it cannot'" in said
    assert "effects changed** by more than" in said
    table = at.dataframe[0].value
    assert set(table["on"]) == {"code"}  # the objective is still reached by every weight
    mine_row = table[(table["Effect of"] == "code") & (table["on"] == "code")].iloc[0]
    assert "no effect of its own" in mine_row["It rests on"]

    at.selectbox(key="effects_before").select(0).run()
    assert "None of" not in words(at)
    at.selectbox(key="effects_after").select(1).run()
    assert "None of 12 effects has changed." in words(at)


def test_imported_runs_without_a_pool_say_where_effects_are_taken(mine: Workspace, open_page) -> None:
    (mine.runs / "j.parquet").unlink()
    write_runs(mine, pool="import-elsewhere", states=False, assignment="observational")
    at = open_page(mine, "explain")
    said = words(at)
    assert f"at the mean of {RUNS} runs" in said
    assert "The runs carry no pool state" in said
    assert "came about for reasons of their own" in at.warning[0].value


def test_the_objective_is_kept_in_the_workspace(mine: Workspace, open_page) -> None:
    at = open_page(mine)
    field = at.multiselect[0]
    assert field.value == ["loss/code", "loss/prose", "loss/sums"]
    field.set_value(["loss/sums"]).run()
    assert not at.exception
    assert mine.config().objective == {"loss/sums": 1.0}
    assert at.multiselect[0].value == ["loss/sums"]


def test_a_graph_of_other_runs_and_too_few_runs_are_said_in_words(mine: Workspace, open_page) -> None:
    graph = saturated_graph(gather(mine).runs, by="ana")
    fewer = tuple(n for n in graph.nodes if n.id != "loss/sums")
    edges = tuple(e for e in graph.edges if e.target != "loss/sums")
    save_graph(mine, "main", graph.model_copy(update={"nodes": fewer, "edges": edges}), parent=None, by="ana")
    at = open_page(mine)
    assert "was made for other runs: it lacks loss/sums" in words(at)
    shutil.rmtree(mine.graphs / "main")
    write_runs(mine, n=6)
    at = open_page(mine)
    assert "There are 6 finished probes" in words(at)
    assert at.get("page_link")[0].proto.label == "Go to the probes"
