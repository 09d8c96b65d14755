"""An import on disk: whole or not there, once, with its origin, and a pool that effects can be asked of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import saturated_graph
from causalmix_core.pools import graph_of, list_pools, resolve_pool
from causalmix_core.probes import RunTable, all_runs, exclude_runs, read_runs
from causalmix_core.probes.importing import (
    SourceFile,
    headers_of,
    import_file,
    list_imports,
    read_new_mixtures,
    save_import,
)
from causalmix_core.question import choose_objective, gather
from causalmix_core.workspace import Workspace, WorkspaceConfig
from tests.probes.importing.conftest import Draft, files_of, regmix_texts

TABLE = (
    "run,weight/code,weight/prose,weight/sums,loss/code,benchmark/arc\n"
    + "\n".join(f"{i},0.{i},0.2,0.{8 - i},{3 - i / 10},{i / 10 if i > 1 else ''}" for i in range(1, 7))
)  # fmt: skip


@pytest.fixture
def bare(tmp_path: Path) -> Workspace:
    """A workspace without any text."""
    return Workspace.create(tmp_path / "bare", WorkspaceConfig(name="bare"))


def imported(
    workspace: Workspace, draft: Draft, name: str = "pile", seed: int = 0, **options: object
) -> object:
    texts = regmix_texts(seed=seed)
    return save_import(
        workspace, draft("regmix", texts), name, files=files_of(texts), by="ann", **options
    )  # fmt: skip


def test_an_import_is_a_pool_known_only_by_its_runs(bare: Workspace, draft: Draft) -> None:
    imported(bare, draft)
    table = read_runs(bare.runs, "import-pile")
    assert table.frame["run"].tolist() == [f"import-pile-000{i}" for i in range(1, 7)]
    assert set(table.frame["job"]) == set(table.frame["snapshot"]) == {"import-pile"}
    assert set(table.frame["assignment"]) == {"randomised"}
    assert (table.pool, table.outcomes) == ("import-pile", ["loss/arxiv", "loss/pile_cc"])
    assert table.direction("loss/arxiv") == "lower"
    listed = all_runs(bare.runs, snapshot="import-pile")
    assert set(listed["use"]) == {"used"}
    assert set(listed["proxy_name"]) == {"pile"}
    question = gather(bare)
    assert (question.pool, question.snapshot) == ("import-pile", None)
    assert question.reference_is == "the mean of 6 runs"
    assert question.reference == pytest.approx(
        dict(zip(table.domains, table.weights().mean(axis=0), strict=True))
    )
    exclude_runs(bare.runs, ["import-pile-0001"], reason="wrong", by="ann")
    assert len(read_runs(bare.runs, "import-pile")) == 5


def test_of_mixtures_that_were_chosen_the_pool_is_held_fixed(bare: Workspace, draft: Draft) -> None:
    text = "weight/a,weight/b,state/s,loss/a\n0.2,0.8,1,3\n0.5,0.5,2,2\n0.7,0.3,4,1\n"
    files = files_of({"table": text})
    for assignment in ("observational", "randomised"):
        found = draft("table", {"table": text}, assignment=assignment)
        if assignment == "observational":
            save_import(bare, found, assignment, files=files, by="ann")
        frame = found.frame.assign(assignment=assignment)
        edges = set(saturated_graph(RunTable.from_frame(frame), by="ann").directed())
        assert {("state/s", "loss/a"), ("weight/a", "loss/a"), ("weight/b", "loss/a")} <= edges
        chosen = {("state/s", "weight/a"), ("state/s", "weight/b")} <= edges
        assert chosen == (assignment == "observational")
    assert ("state/s", "weight/a") in gather(bare).graph.directed()


def test_the_record_says_where_it_came_from(bare: Workspace, draft: Draft) -> None:
    texts = regmix_texts()
    found = draft("regmix", texts)
    before = datetime.now(UTC)
    record = save_import(bare, found, "pile", files=files_of(texts), by="ann")
    assert list_imports(bare.runs) == [record]
    assert record.files["mixtures"].sha256 == files_of(texts)["mixtures"].sha256
    assert (record.format, record.by, record.runs, record.pool) == ("regmix", "ann", 6, "import-pile")
    assert before <= record.at <= datetime.now(UTC)
    assert headers_of(bare.runs, "import-pile")["metric/the_pile_pile_cc_val_loss"] == "loss/pile_cc"
    assert headers_of(bare.runs, "import-other") == {}


def test_the_same_runs_are_imported_once_and_a_name_is_taken_once(bare: Workspace, draft: Draft) -> None:
    imported(bare, draft)
    kept = import_file(bare.runs, "pile").read_bytes()
    with pytest.raises(CausalMixError, match=r"imported already, as pile on .* by ann"):
        imported(bare, draft, name="again")
    with pytest.raises(CausalMixError, match="an import named pile already, of other runs"):
        imported(bare, draft, seed=1)
    with pytest.raises(CausalMixError, match="cannot be a name"):
        imported(bare, draft, name="a/b", seed=1)
    assert [p.name for p in bare.runs.glob("*.parquet")] == ["import-pile.parquet"]
    assert import_file(bare.runs, "pile").read_bytes() == kept


def test_an_import_that_cannot_be_written_leaves_nothing(
    bare: Workspace, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CausalMixError, match="No space left"):
        imported(bare, draft)
    assert not list(bare.runs.glob("*.parquet"))
    assert not list(bare.runs.glob(".tmp-*"))


def test_pools_are_told_apart_and_the_usual_one_is_the_workspaces_own(
    workspace: Workspace, draft: Draft
) -> None:
    imported(workspace, draft, "old")
    imported(workspace, draft, "new", seed=1)
    assert [p.id for p in list_pools(workspace)] == ["import-new", "import-old"]
    assert resolve_pool(workspace) == "import-new", "the snapshot in use has no runs"
    assert resolve_pool(workspace, "old") == resolve_pool(workspace, "import-old") == "import-old"
    snapshot = open_snapshot(workspace).id
    assert resolve_pool(workspace, "current") == snapshot
    with pytest.raises(
        CausalMixError, match=r"no runs of a pool gone\. Pools with runs: import-new, import-old"
    ):
        resolve_pool(workspace, "gone")
    save_import(
        workspace, draft("table", {"table": TABLE}), "own", files=files_of({"table": TABLE}), by="ann",
        snapshot=snapshot,
    )  # fmt: skip
    assert resolve_pool(workspace) == snapshot
    assert [graph_of(p.id) for p in list_pools(workspace)] == ["main", "import-new", "import-old"]
    table = read_runs(workspace.runs, snapshot)
    assert table.outcomes == ["loss/code"]
    assert table.notes == ("benchmark/arc is left out: only 5 of 6 runs have it.",)
    assert gather(workspace).reference_is == "the weights by size"


def test_runs_of_two_pools_are_never_read_as_one(bare: Workspace, draft: Draft) -> None:
    for seed, name in enumerate(("one", "two")):
        texts = regmix_texts(seed=seed)
        found = draft("regmix", texts, proxy="the same model")
        save_import(bare, found, name, files=files_of(texts), by="ann")
    with pytest.raises(CausalMixError, match=r"of 2 pools \(import one, import two\)"):
        read_runs(bare.runs)


def test_runs_of_other_domains_do_not_count_for_a_snapshot(workspace: Workspace, draft: Draft) -> None:
    with pytest.raises(
        CausalMixError, match="no weight of code, prose, sums; the snapshot has no domain arxiv"
    ):
        imported(workspace, draft, snapshot=open_snapshot(workspace).id)
    strange = TABLE.replace("loss/code,", "state/mood,")
    found = draft("table", {"table": strange})
    with pytest.raises(CausalMixError, match="no numeric feature 'mood'"):
        save_import(
            workspace, found, "own", files=files_of({"table": strange}), by="ann", skip_bad_rows=True,
            snapshot=open_snapshot(workspace).id,
        )  # fmt: skip
    assert not list(workspace.runs.glob("*.parquet"))


def test_an_objective_chosen_for_one_pool_does_not_stop_another(bare: Workspace, draft: Draft) -> None:
    imported(bare, draft)
    save_import(bare, draft("table", {"table": TABLE}), "own", files=files_of({"table": TABLE}), by="ann")
    choose_objective(bare, read_runs(bare.runs, "import-pile"), {"loss/arxiv": 1.0})
    assert gather(bare, pool="pile").objective == {"loss/arxiv": 1.0}
    assert gather(bare, pool="own").objective == {"loss/code": 1.0}
    choose_objective(bare, read_runs(bare.runs, "import-own"), {"loss/code": 2.0})
    assert gather(bare, pool="pile").objective == {"loss/arxiv": 1.0}
    bare.save_config(bare.config().model_copy(update={"objective": {"loss/arxvi": 1.0}}))
    with pytest.raises(CausalMixError, match="loss/arxvi is no outcome"):
        gather(bare, pool="pile")
    bare.save_config(bare.config().model_copy(update={"objective": {"benchmark/arc": 1.0}}))
    with pytest.raises(CausalMixError, match="benchmark/arc is no outcome"):
        gather(bare, pool="own")


# ---- mixtures to predict for

RUNS = RunTable.from_frame(
    pd.DataFrame(
        {"weight/a": [0.2, 0.4], "weight/b-c": [0.8, 0.6], "state/s": [0.0, 1.0], "loss/a": [1.0, 2.0]}
    )
)


@pytest.mark.parametrize(
    "header", ["weight/a,weight/b-c", "a,b-c", "train_the_pile_a,train_the_pile_b-c", "a,mix.b"]
)
def test_mixtures_are_read_by_any_name_that_the_runs_know(header: str) -> None:
    text = f"{header},run,note\n0.5,0.501,x,1\n0.25,0.75,y,2\n"
    found = read_new_mixtures(SourceFile("c.csv", text.encode()), RUNS, {"mix.b": "weight/b-c"})
    assert found.weights == pytest.approx(np.array([[0.5 / 1.001, 0.501 / 1.001], [0.25, 0.75]]))
    assert (found.index.name, found.index.tolist()) == ("run", ["x", "y"])
    assert found.states is None
    assert "divided by their sums" in found.notices[0]
    assert found.notices[1] == "Columns that are not used: note."


def test_mixtures_may_carry_the_state_of_their_pool() -> None:
    found = read_new_mixtures(SourceFile("c.csv", b"s,a,b-c\n7,0.5,0.5\n"), RUNS)
    assert found.states is not None
    assert found.states.to_dict("records") == [{"state/s": 7.0}]
    assert (found.index.name, found.index.tolist()) == ("index", ["0"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n1\n", "no weight of b-c"),
        ("a,b-c\n0.5,0.6\n", "line 2: the weights do not sum to 1"),
        ("a,b-c\n0.5,-0.5\n", "line 2: b-c is -0.5. Give a finite number of at least 0"),
        ("a,b-c\n0.5,\n", "line 2: b-c is empty"),
        ("a,weight/a,b-c\n1,1,0\n", "a and weight/a both mean weight/a"),
        ("a,b-c\n1\n", "line 2: 1 fields"),
    ],
)
def test_bad_mixtures_are_refused_by_line(text: str, words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        read_new_mixtures(SourceFile("c.csv", text.encode()), RUNS)
