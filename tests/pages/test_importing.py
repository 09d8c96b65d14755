"""Importing runs on the probes page: from files to a pool that the pages look at."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import read_runs
from causalmix_core.probes.importing import IMPORTERS, read_files
from causalmix_core.workspace import Workspace, WorkspaceConfig
from pages.probe_views.column_table import mapping_of, split_target, table_of_columns, with_edits
from tests.probes.importing.conftest import files_of, regmix_texts

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace without any text."""
    workspace = Workspace.create(tmp_path / "bare", WorkspaceConfig(name="Elsewhere"))
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
    return workspace


def open_import() -> AppTest:
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.switch_page("pages/probes.py").run()
    at.button_group(key="shown").set_value("import").run()
    assert not at.exception
    return at


def give(at: AppTest, **changes: str) -> AppTest:
    texts = regmix_texts(12) | changes
    files = [(f"{role}.csv", text.encode(), "text/csv") for role, text in texts.items()]
    at.file_uploader[0].set_value(files).run()
    assert not at.exception
    return at


def field(at: AppTest, kind: str, name: str):
    return next(w for w in getattr(at, kind) if str(w.key).startswith(name))


def press(at: AppTest) -> AppTest:
    next(b for b in at.button if b.key == "do_import").click().run()
    assert not at.exception
    return at


def test_files_become_runs_that_the_pages_look_at(bare: Workspace) -> None:
    at = open_import()
    assert "RegMix" in at.dataframe[0].value["Format"].tolist()
    at = give(at)
    assert field(at, "selectbox", "import_format").value == "regmix"
    assert field(at, "selectbox", "import_assignment").value == "randomised"
    assert "**12 rows can be used**: 3 domains, 2 results." in [m.value for m in at.markdown]
    assert any("divided by their sums" in c.value for c in at.caption)
    field(at, "text_input", "import_name").set_value("pile")
    field(at, "text_input", "import_proxy").set_value("1M llama")
    at = press(at)
    table = read_runs(bare.runs, "import-pile")
    assert len(table) == 12
    assert set(table.frame["proxy"]) == {'{"name": "1M llama"}'}
    assert at.button_group(key="shown").value == "runs"
    assert "Effects use **12 of 12 probes**" in " ".join(m.value for m in at.markdown)
    at.switch_page("pages/graph.py").run()
    assert not at.exception
    assert any(b.key == "discover" for b in at.button)


def test_bad_rows_bar_the_way_until_they_are_skipped(bare: Workspace) -> None:
    texts = regmix_texts(12)
    at = give(open_import(), outcomes=texts["outcomes"].replace("\n3,", "\n3,nan"))
    assert any("11 rows can be used**, **1 have a problem" in m.value for m in at.markdown)
    problems = next(d.value for d in at.dataframe if "Problem" in d.value)
    assert problems["Line"].tolist() == [4]
    assert next(b for b in at.button if b.key == "do_import").disabled
    field(at, "checkbox", "import_skip").check().run()
    press(at)
    assert len(read_runs(bare.runs)) == 11


def test_a_refusal_stays_on_the_page(bare: Workspace) -> None:
    press(give(open_import()))
    at = press(give(open_import()))
    assert "imported already" in at.error[0].value
    assert len(list(bare.runs.glob("*.parquet"))) == 1


def test_edits_of_the_columns_become_the_mapping() -> None:
    texts = {"mixtures": "run,a,b\n1,0.4,0.6\n", "outcomes": "run,arc,junk\n1,0.1,2\n"}
    tables = read_files("olmix", files_of(texts))
    columns = table_of_columns(tables, IMPORTERS["olmix"].guess(tables))
    assert columns["meaning"].tolist()[-1] == "result, direction not known"
    edited = with_edits(
        columns,
        {
            "edited_rows": {
                "1": {"name": "code"},
                "4": {"meaning": "result, higher is better", "name": None},
                "5": {"meaning": "not used"},
            }
        },
    )
    mapping = mapping_of(edited, assignment="adaptive")
    assert mapping.columns == {
        "mixtures": {"run": "run", "a": "weight/code", "b": "weight/b"},
        "outcomes": {"run": "run", "arc": "benchmark/arc"},
    }
    assert mapping.assignment == "adaptive"
    twice = with_edits(columns, {"edited_rows": {2: {"name": "a"}}})
    with pytest.raises(CausalMixError, match="a and b of the mixtures cannot both become weight/a"):
        mapping_of(twice)
    assert [split_target(t) for t in ("weight/a", "run", "", "benchmark-loss/x")] == [
        ("weight/", "a"), ("run", ""), ("", ""), ("benchmark-loss/", "x"),
    ]  # fmt: skip


def test_whose_runs_are_looked_at_is_asked_only_where_there_is_a_choice(bare: Workspace) -> None:
    def labels(at: AppTest) -> list[str]:
        return [s.label for s in at.sidebar.selectbox]

    row = {"weight/a": [0.2, 0.8], "weight/b": [0.8, 0.2], "loss/a": [1.0, 2.0], "status": "finished"}
    for name in ("one", "two"):
        frame = pd.DataFrame(row | {"run": [f"{name}-1", f"{name}-2"], "snapshot": f"import-{name}"})
        frame.assign(finished_at=pd.Timestamp("2026-01-01", tz="UTC")).to_parquet(
            bare.runs / f"{name}.parquet"
        )
        at = AppTest.from_file(str(APP), default_timeout=60).run()
        assert labels(at) == (["Runs from"] if name == "two" else [])
    assert at.sidebar.selectbox[0].options == ["import one (2 runs)", "import two (2 runs)"]
    at.sidebar.selectbox[0].select("import-two").run()
    at.switch_page("pages/probes.py").run()
    assert at.session_state["pool"] == "import-two"
