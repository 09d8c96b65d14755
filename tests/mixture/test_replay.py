"""A saved mixture asked again gives the same numbers, whatever has happened since, or words why it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from causalmix_core.corpus import open_snapshot
from causalmix_core.effects import fit_effects
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import load_graph, save_graph
from causalmix_core.graph.edits import delete_edge
from causalmix_core.mixture import Constraints, suggest
from causalmix_core.mixture.record import mixture_record, run_digests
from causalmix_core.mixture.replay import Replay, grounds_of, replay
from causalmix_core.mixture.store import Asked, SavedMixture, load_mixture, save_mixture
from causalmix_core.probes import RunTable
from causalmix_core.probes.exclusions import exclude_runs
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace
from tests.mixture.study import DOMAINS, write_runs

ASKED = Asked(
    policy="trust_region",
    constraints=Constraints(
        radius=0.2,
        bounds={"code": (0.1, 0.45)},
        token_budget=600_000,
        max_epochs={"sums": 4.0},
    ),
    no_harm={"loss/prose": 0.5},
    step=0.75,
    seed=3,
)


@pytest.fixture(scope="module")
def _studied(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with runs, a graph of which an edge was removed, and a suggestion."""
    root = tmp_path_factory.mktemp("study") / "workspace"
    shutil.copytree(_ingested, root)
    workspace = Workspace.open(root)
    write_runs(workspace)
    graph = delete_edge(gather(workspace).graph, "weight/sums", "loss/code", by="ada", why="no path")
    save_graph(workspace, "main", graph, parent=None, by="ada")
    question = gather(workspace)
    model = fit_effects(question.runs, question.graph, objective=question.objective)
    found = suggest(
        model, question.state, question.reference, tokens=open_snapshot(workspace).tokens(),
        **{k: getattr(ASKED, k) for k in Asked.model_fields},
    )  # fmt: skip
    record = mixture_record(question, model, found.mixture, name="next", by="ada", asked=ASKED)
    save_mixture(workspace, record, None)
    return root


@pytest.fixture
def studied(_studied: Path, tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    shutil.copytree(_studied, root)
    return Workspace.open(root)


def edit_runs(workspace: Workspace, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = workspace.runs / "simulated-0000.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def saved_of(workspace: Workspace) -> SavedMixture:
    return load_mixture(workspace, "next")


def assert_same(found: Replay) -> None:
    assert found.differences == ()
    assert found.mixture == pytest.approx(found.saved.weights, abs=1e-12)
    assert found.predicted["objective"].lower == pytest.approx(
        found.saved.predicted["objective"].lower, abs=1e-12
    )


def test_the_same_numbers_come_out_after_everything_around_has_moved_on(studied: Workspace) -> None:
    before = {p: p.read_bytes() for p in studied.mixtures.iterdir() if p.is_file()}
    write_runs(studied, 12, name="later", seed=5)
    exclude_runs(studied.runs, ["simulated-0003"], by="eve", reason="an outlier")
    graph = delete_edge(load_graph(studied, "main").graph, "weight/code", "loss/sums", by="eve", why="x")
    save_graph(studied, "main", graph, parent=1, by="eve")
    config = studied.config()
    changed = config.model_copy(update={"objective": {"loss/code": 1.0}, "token_budget": 5})
    studied.save_config(changed)
    found = replay(studied, saved_of(studied))
    assert_same(found)
    assert found.question.graph_reference.revision == 1
    assert len(found.question.runs) == len(found.saved.runs)
    assert "1 of its runs have been excluded since (simulated-0003)" in found.notes[0]
    assert {p: p.read_bytes() for p in before} == before


def test_a_mixture_set_by_hand_keeps_its_weights_and_is_predicted_again(studied: Workspace) -> None:
    question = gather(studied)
    model = fit_effects(question.runs, question.graph, objective=question.objective)
    weights = dict(zip(DOMAINS, (0.5, 0.2, 0.3), strict=True))
    save_mixture(studied, mixture_record(question, model, weights, name="mine", by="ada"), None)
    shutil.rmtree(studied.snapshots / question.pool)
    found = replay(studied, load_mixture(studied, "mine"))
    assert_same(found)
    assert found.suggestion is None
    assert "is not in the workspace any more; its state" in found.notes[0]


def test_numbers_that_were_edited_are_told_from_those_that_come_out(studied: Workspace) -> None:
    saved = saved_of(studied)
    moved = {**saved.weights, "code": saved.weights["code"] + 1e-6, "sums": saved.weights["sums"] - 1e-6}
    found = replay(studied, saved.model_copy(update={"weights": moved}))
    assert [d.partition(" was ")[0] for d in found.differences] == ["weight of code", "weight of sums"]


def test_missing_runs_are_named(studied: Workspace) -> None:
    edit_runs(studied, lambda rows: rows.drop(index=[4, 7]))
    with pytest.raises(CausalMixError, match=r"2 of its 30 runs are not in.*simulated-0004, simulated-0007"):
        grounds_of(studied, saved_of(studied))


def test_failed_runs_are_missing(studied: Workspace) -> None:
    edit_runs(studied, lambda rows: rows.assign(status=["diverged", *["finished"] * 29]))
    with pytest.raises(CausalMixError, match="1 of its 30 runs are not in"):
        grounds_of(studied, saved_of(studied))


@pytest.mark.parametrize("column", ["loss/sums", "state/log_bytes"])
def test_changed_runs_are_named(studied: Workspace, column: str) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[9, column] += 1e-9
        return rows

    edit_runs(studied, change)
    with pytest.raises(CausalMixError, match=r"1 of its 30 runs do not say what they said.*simulated-0009"):
        grounds_of(studied, saved_of(studied))


def test_a_column_that_is_gone_is_named(studied: Workspace) -> None:
    edit_runs(studied, lambda rows: rows.drop(columns="state/log_bytes"))
    with pytest.raises(CausalMixError, match="no state/log_bytes any more"):
        grounds_of(studied, saved_of(studied))


def test_an_edited_graph_file_is_noticed(studied: Workspace) -> None:
    path = studied.graphs / "main" / "1.json"
    assert '"target":"loss/sums"' in path.read_text().replace(" ", "")
    path.write_text(load_graph(studied, "main").model_copy(
        update={"graph": delete_edge(load_graph(studied, "main").graph, "weight/sums", "loss/sums", by="x")}
    ).model_dump_json())  # fmt: skip
    with pytest.raises(CausalMixError, match="revision 1 of graph main, which is not what it was"):
        grounds_of(studied, saved_of(studied))
    shutil.rmtree(path.parent)
    with pytest.raises(CausalMixError, match="no graph 'main'"):
        grounds_of(studied, saved_of(studied))


def test_domains_or_numbers_that_do_not_fit_the_snapshot_are_refused(studied: Workspace) -> None:
    saved = saved_of(studied)
    tokens = saved.tokens or {}
    with pytest.raises(CausalMixError, match="has another tokens than was recorded"):
        grounds_of(studied, saved.model_copy(update={"tokens": {**tokens, "code": 1}}))
    state = {**saved.state, "state/log_bytes": 1.0}
    with pytest.raises(CausalMixError, match="has another state/log_bytes than was recorded"):
        grounds_of(studied, saved.model_copy(update={"state": state}))
    renamed = {"scripts" if d == "code" else d: w for d, w in saved.weights.items()}
    edited = saved.model_copy(update={"weights": renamed, "reference": renamed})
    with pytest.raises(CausalMixError, match="no weight/scripts any more"):
        grounds_of(studied, edited)


def test_an_estimator_of_another_version_is_named(studied: Workspace) -> None:
    with pytest.raises(CausalMixError, match="there is no estimator oracle"):
        replay(studied, saved_of(studied).model_copy(update={"estimator": "oracle"}))


def test_the_digest_of_a_run_does_not_depend_on_the_order_of_columns(runs: RunTable) -> None:
    frame = runs.frame.assign(run=[f"r{i}" for i in range(len(runs))])
    turned = RunTable.from_frame(frame[list(frame.columns[::-1])])
    digests = run_digests(RunTable.from_frame(frame))
    assert run_digests(turned) == digests
    assert len(set(digests.values())) == len(runs)
