"""From a saved mixture and its workspace to files, and back: on the command line and below it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import SavedMixture, export_saved, load_mixture, save_mixture
from causalmix_core.mixture.exporting import FORMATS, Count, ExportedFile, blend_of, save_export
from causalmix_core.mixture.store import GraphReference, PredictedChange
from causalmix_core.workspace import Workspace
from tests.command_line import Run
from tests.mixture.study import write_runs

WEIGHTS = {"code": 0.5, "prose": 0.2, "sums": 0.3}


def save(workspace: Workspace, **fields: object) -> SavedMixture:
    values = {
        "name": "next",
        "saved_at": datetime(2026, 1, 2, tzinfo=UTC),
        "by": "ada",
        "software": "causalmix 0",
        "snapshot": open_snapshot(workspace).id,
        "runs_of": open_snapshot(workspace).id,
        "weights": WEIGHTS,
        "reference": WEIGHTS,
        "reference_is": "the weights by size",
        "state": {"state/log_bytes": 7.5},
        "tokens": None,
        "asked": {"policy": "search"},
        "objective": {"loss/code": 1.0},
        "estimator": "linear_dml",
        "graph": GraphReference(name="main", revision=3),
        "runs": {"a": "0" * 16},
        "assignments": ["randomised"],
        "jobs": ["j1"],
        "predicted": {"loss/code": PredictedChange(change=-0.1, lower=-0.2, upper=-0.05)},
        "expected": {},
    }
    return save_mixture(workspace, SavedMixture.model_validate(values | fields), None)


@pytest.fixture
def saved(workspace: Workspace) -> Workspace:
    save(workspace)
    return workspace


def map_paths(workspace: Workspace, **paths: str | list[str]) -> None:
    workspace.save_config(workspace.config().model_copy(update={"export_paths": paths}))


def test_what_the_pool_holds_comes_from_the_snapshot(saved: Workspace) -> None:
    blend = blend_of(saved, "next")
    snapshot = open_snapshot(saved)
    assert blend.weights == WEIGHTS
    assert blend.token_budget == saved.config().token_budget
    assert blend.tokenizer == "bytes"
    for domain, pool in blend.pool.items():
        assert pool.tokens == snapshot.tokens()[domain]
        table = pq.read_table(pool.stored)  # the file that trainers of documents are pointed at
        assert table.num_rows == pool.documents
        assert "text" in table.column_names
        assert pool.source == str(saved.resolve(saved.config().domains[domain].path))


def test_paths_and_counts_can_be_said(saved: Workspace) -> None:
    map_paths(saved, code=["/a", "/b"], prose="/p")
    blend = blend_of(
        saved, "next", token_budget=7, paths={"prose": ("/mine",)}, counts={"sums": Count(900, 30)}
    )
    assert blend.pool["code"].mapped == ("/a", "/b")
    assert blend.pool["prose"].mapped == ("/mine",)
    assert blend.pool["sums"].mapped == ()
    assert blend.tokens_per_document("sums") == 30
    assert blend.token_budget == 7
    assert blend.tokenizer == "bytes, of sums as you said"


def test_what_does_not_fit_is_refused(saved: Workspace) -> None:
    with pytest.raises(CausalMixError, match="token budget is 0"):
        blend_of(saved, "next", token_budget=0)
    with pytest.raises(CausalMixError, match=r"has no domain math\. Its domains are code, prose, sums"):
        blend_of(saved, "next", paths={"math": ("/m",)})
    renamed = {"code": 0.5, "texts": 0.2, "sums": 0.3}
    save(saved, name="old", weights=renamed, reference=renamed)
    with pytest.raises(CausalMixError, match=r"no weight for prose; unknown domain texts"):
        blend_of(saved, "old")


def test_a_mixture_of_imported_runs_has_no_pool(saved: Workspace) -> None:
    save(saved, name="theirs", snapshot="import-theirs")
    read = yaml.safe_load(export_saved(saved, "theirs", 1000))
    assert {d["name"]: d["train_tokens"] for d in read["domains"]} == {"code": 500, "prose": 200, "sums": 300}
    assert not any({"pool_tokens", "epochs"} & set(d) for d in read["domains"])
    blend = blend_of(saved, "theirs")
    with pytest.raises(CausalMixError, match="--count code="):
        FORMATS["axolotl"].write(blend)
    counts = dict.fromkeys(WEIGHTS, Count(1000, 10))
    assert blend_of(saved, "theirs", counts=counts).tokenizer == "you said"


def test_the_plain_export_says_what_and_how_much_and_from_where(saved: Workspace) -> None:
    read = yaml.safe_load(export_saved(saved, "next", 10_001))
    assert sum(d["train_tokens"] for d in read["domains"]) == 10_001 == read["token_budget"]
    code = read["domains"][0]
    tokens = open_snapshot(saved).tokens()["code"]
    assert code["pool_tokens"] == tokens
    assert code["epochs"] == pytest.approx(code["train_tokens"] / tokens, abs=1e-4)
    origin = read["provenance"]
    assert origin["policy"] == "search"
    assert origin["graph"]["revision"] == 3
    assert origin["predicted_change"]["loss/code"] == {"change": -0.1, "lower": -0.2, "upper": -0.05}


class TestSaving:
    """Files are written whole, and nothing is overwritten unasked."""

    one = (ExportedFile("a.yaml", "1\n"),)
    two = (*one, ExportedFile("b.txt", "2\n"))

    def test_a_file_or_a_folder(self, tmp_path: Path) -> None:
        assert save_export(self.one, tmp_path / "mine.yaml") == [tmp_path / "mine.yaml"]
        assert save_export(self.one, tmp_path) == [tmp_path / "a.yaml"]
        assert save_export(self.two, tmp_path / "new" / "x") == [
            tmp_path / "new" / "x" / "a.yaml",
            tmp_path / "new" / "x" / "b.txt",
        ]

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "b.txt").write_text("mine")
        with pytest.raises(CausalMixError, match=r"b\.txt exists already\. Nothing was overwritten"):
            save_export(self.two, tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]
        assert (tmp_path / "b.txt").read_text() == "mine"
        save_export(self.two, tmp_path, force=True)
        assert (tmp_path / "b.txt").read_text() == "2\n"

    def test_two_files_are_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("mine")
        with pytest.raises(CausalMixError, match="writes 2 files"):
            save_export(self.two, tmp_path / "x.txt")


class TestCommandLine:
    """`causalmix export`, `causalmix formats`, `causalmix import-mixture`."""

    def test_export_for_a_trainer(self, causalmix: Run, saved: Workspace, tmp_path: Path) -> None:
        options = [x for d in WEIGHTS for x in ("--path", f"{d}=/tokens/{d}")]
        said = causalmix(
            "export", "next", "-w", saved.root, "--format", "megatron", "-o", tmp_path / "blend", *options
        )
        assert said.status == 0, said.err
        wrote = [line.removeprefix("Wrote ") for line in said.out.splitlines()]
        assert sorted(wrote) == sorted(str(p) for p in (tmp_path / "blend").iterdir())
        assert Path(wrote[0]).read_text() == "0.5 /tokens/code\n0.2 /tokens/prose\n0.3 /tokens/sums\n"

    def test_content_on_stdout_and_notes_beside_it(self, causalmix: Run, saved: Workspace) -> None:
        said = causalmix("export", "next", "-w", saved.root, "-f", "trl")
        assert len(yaml.safe_load(said.out)["datasets"]) == 3
        assert said.err.count("Note: ") == 2

    def test_formats_are_listed(self, causalmix: Run) -> None:
        said = causalmix("formats").out
        assert all(f"{name} " in said and format.meaning in said for name, format in FORMATS.items())

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["-f", "megatron"], "nobody has said where those of code lie"),
            (["-f", "llama-factory"], "writes 2 files"),
            (["--path", "code"], "--path takes DOMAIN=PATH, not 'code'"),
            (["--path", "math=/m"], "has no domain math"),
            (["--count", "code=12"], "two whole numbers above 0"),
            (["--split-path", "code=/x"], "--split-path takes SPLIT:DOMAIN=PATH"),
            (["--token-budget", "-1"], "token budget is -1"),
        ],
    )
    def test_mistakes(
        self, refused: Callable[..., str], saved: Workspace, options: list[str], words: str
    ) -> None:
        assert words in refused("export", "next", "-w", saved.root, *options)

    def test_a_file_that_is_there_stays(
        self, causalmix: Run, refused: Callable[..., str], saved: Workspace, tmp_path: Path
    ) -> None:
        target = tmp_path / "next.yaml"
        target.write_text("mine")
        assert "Nothing was overwritten" in refused("export", "next", "-w", saved.root, "-o", target)
        assert target.read_text() == "mine"
        causalmix("export", "next", "-w", saved.root, "-o", target, "--force")
        assert "token_budget" in target.read_text()

    def test_an_export_is_loaded_back(
        self, causalmix: Run, refused: Callable[..., str], saved: Workspace, tmp_path: Path
    ) -> None:
        write_runs(saved)
        target = tmp_path / "next.csv"
        assert causalmix("export", "next", "-w", saved.root, "-f", "csv", "-o", target).status == 0
        said = causalmix("import-mixture", target, "-w", saved.root)
        assert said.status == 0, said.err
        assert "code                   50.00%" in said.out
        assert "Saved" not in said.out
        again = causalmix(
            "import-mixture", target, "-w", saved.root, "--name", "back", "--estimator", "linear_regression"
        )
        assert again.out.endswith("Saved mixture back, revision 1.\n")
        assert load_mixture(saved, "back").weights == pytest.approx(WEIGHTS)
        assert load_mixture(saved, "back").policy == "manual"
        target.write_text(target.read_text().replace("code,0.5", "code,0.4"))
        assert "sum to 0.9" in refused("import-mixture", target, "-w", saved.root)
        assert "does not say a format" in refused("import-mixture", tmp_path / "x.txt", "-w", saved.root)
