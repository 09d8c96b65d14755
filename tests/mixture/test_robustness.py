from __future__ import annotations

import pytest

from causalmix_core.effects import EffectModel
from causalmix_core.graph import add_edge, delete_edge, saturated_graph, save_graph
from causalmix_core.mixture import Constraints, suggest
from causalmix_core.mixture.robustness import GraphVariant, graph_variants, robustness
from causalmix_core.mixture.store import Asked, GraphReference
from causalmix_core.probes import RunTable
from causalmix_core.question import Question
from causalmix_core.workspace import Workspace, WorkspaceConfig
from tests.mixture.conftest import DOMAINS

REFERENCE = dict.fromkeys(DOMAINS, 0.25)
ASKED = Asked(policy="trust_region", constraints=Constraints(radius=0.2), confidence=False)


def question_of(runs: RunTable, model: EffectModel) -> Question:
    return Question(
        pool="import-x",
        snapshot=None,
        runs=runs,
        graph=saturated_graph(runs, by="test"),
        graph_reference=GraphReference(name="assumed", revision=None),
        objective=model.objective,
        state={"state/quality": 0.0},
        reference=REFERENCE,
    )


def test_each_decision_is_changed_alone(runs: RunTable, model: EffectModel) -> None:
    question = question_of(runs, model)
    found = suggest(model, question.state, REFERENCE, constraints=ASKED.constraints, confidence=False)
    blind = question.graph
    for domain in ("code", "math"):
        for outcome in runs.outcomes:
            blind = delete_edge(blind, f"weight/{domain}", outcome, by="t")
    told: list[float] = []
    done = robustness(
        question, model, found.mixture, ASKED, estimators=("gaussian_process", "mixing_law", "linear_dml"),
        graphs=[GraphVariant("nothing but web and books", blind)],
        progress=lambda fraction, text: told.append(fraction),
    )  # fmt: skip
    table = done.table.set_index("variant")
    assert (table["problem"] == "").all()
    assert (done.table["varied"] == "estimator").sum() == 2  # the one at hand is no variant
    assert table.loc["100% of the way", "distance"] == pytest.approx(0, abs=1e-9)
    steps = table.loc[["25% of the way", "50% of the way", "75% of the way"], "distance"]
    assert steps.tolist() == pytest.approx(
        [0.75 * found.distance, 0.5 * found.distance, 0.25 * found.distance]
    )
    assert table.loc["at most 10% of the weight moves", "distance"] > 0.05
    # without code and math only the effect of web is left, and web helps: it gets what there is to move
    assert table.loc["nothing but web and books", "distance"] > 0.02
    assert (table["ours"] < 0).all()
    assert "Of 3 other ways to estimate, 3 predict" in done.summary
    assert told == sorted(told)
    assert told[-1] == 1


def test_an_estimator_that_cannot_answer_says_why(runs: RunTable, model: EffectModel) -> None:
    few = RunTable.from_frame(runs.frame.head(14))
    done = robustness(question_of(few, model), model, REFERENCE, ASKED, estimators=("linear_dml",))
    row = done.table.iloc[0]
    assert "needs at least 18 runs" in row["problem"]
    assert done.table[1:]["problem"].eq("").all()
    assert done.summary.startswith("Nothing could be varied")


def test_graphs_differ_in_what_people_decided(runs: RunTable, model: EffectModel, tmp_path: object) -> None:
    workspace = Workspace.create(tmp_path / "w", WorkspaceConfig(name="W"))  # type: ignore[operator]
    question = question_of(runs, model)
    assert graph_variants(workspace, question) == []
    first = delete_edge(question.graph, "weight/books", "loss/web", by="ada")
    first = delete_edge(first, "weight/math", "loss/web", by="ada")
    save_graph(workspace, "main", first, parent=None, by="ada")
    second = add_edge(first, "weight/books", "loss/web", by="eve")
    save_graph(workspace, "main", second, parent=1, by="eve")
    from dataclasses import replace

    edited = replace(question, graph=second, graph_reference=GraphReference(name="main", revision=2))
    found = graph_variants(workspace, edited)
    assert [v.words for v in found] == ["revision 1 of the graph", "without weight/books -> loss/web"]
    assert found[0].graph == first
    assert {e.arrow for e in found[1].graph.edges} == {e.arrow for e in first.edges}
    assert len(graph_variants(workspace, edited, most=1)) == 1
