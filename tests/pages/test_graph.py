"""The graph page as two curators use it at once, run by Streamlit's own test runner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from causalmix_core.corpus import STATE_FEATURES, open_snapshot
from causalmix_core.graph import Operation, delete_edge, load_graph, saturated_graph, save_graph
from causalmix_core.graph.operations import Delete, Forbid, Require, Undo
from causalmix_core.probes import read_runs
from causalmix_core.workspace import Workspace
from pages.graph_views.draft import Draft

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture
def measured(workspace: Workspace) -> Workspace:
    """A workspace with 30 run rows of a known world: each loss falls with its own weight."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 30)
    domains = open_snapshot(workspace).domains
    frame = pd.DataFrame(
        {
            "run": [f"j-{i:02d}" for i in range(30)],
            "status": "finished",
            "assignment": "randomised",
            "snapshot": open_snapshot(workspace).id,
            **{f"weight/{d}": weights[:, i] for i, d in enumerate(domains)},
            **{f"state/{f}": rng.normal(size=30) for f in STATE_FEATURES},
            **{f"loss/{d}": 3 - np.log(weights[:, i] + 0.05) for i, d in enumerate(domains)},
        }
    )
    frame.to_parquet(workspace.runs / "j.parquet")
    return workspace


def page(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.switch_page("pages/graph.py").run()
    assert not at.exception
    return at


def button(at: AppTest, label: str):
    return next(b for b in at.button if b.label == label)


def press(at: AppTest, label: str) -> AppTest:
    button(at, label).click().run()
    assert not at.exception
    return at


def captions(at: AppTest) -> str:
    return " ".join(c.value for c in at.caption)


def draft(at: AppTest) -> Draft:
    found: Draft = at.session_state["graph_draft"]
    return found


def edit(at: AppTest, operation: Operation) -> AppTest:
    """One edit as the editor would pass it on; its gestures are tested in the browser."""
    held = draft(at)
    held.desk = held.desk.do(operation, by="ada")
    at.run()
    assert not at.exception
    return at


def test_of_two_curators_the_second_sees_both_versions_and_chooses(
    measured: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = page(measured, monkeypatch)
    everything = saturated_graph(read_runs(measured.runs), by="bob")
    theirs = delete_edge(everything, "weight/sums", "loss/code", by="bob", why="sums are not code")
    save_graph(measured, "main", theirs, parent=None, by="bob", note="mine first")
    edit(at, Delete(source="weight/prose", target="loss/sums"))

    press(at, "Save the graph")
    assert "bob saved revision 1 (mine first)" in at.error[0].value
    shown = " ".join(m.value for m in at.markdown)
    assert "added weight/sums -> loss/code" in shown
    assert "removed weight/prose -> loss/sums" in shown
    assert load_graph(measured, "main").by == "bob"
    assert press(at, "Save the graph").error, "the conflict stays until it is settled"

    press(at, "Take theirs")
    assert not at.error
    assert "This is revision 1" in captions(at)
    assert not draft(at).graph.edge_between("weight/sums", "loss/code")
    edit(at, Undo())
    assert draft(at).graph.edge_between("weight/sums", "loss/code")
    assert not draft(at).graph.edge_between("weight/prose", "loss/sums")


def test_mine_can_be_saved_on_top_of_theirs(measured: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page(measured, monkeypatch)
    save_graph(measured, "main", saturated_graph(read_runs(measured.runs), by="bob"), parent=None, by="bob")
    edit(at, Delete(source="weight/prose", target="loss/sums", why="no prose in sums"))
    press(at, "Save the graph")
    press(at, "Save mine on top")
    assert at.success[0].value == "Saved as revision 2."
    saved = load_graph(measured, "main")
    assert (saved.revision, saved.parent) == (2, 1)
    assert saved.changes == ("removed weight/prose -> loss/sums: 'no prose in sums'",)
    assert load_graph(measured, "main", 1).by == "bob"


def test_discover_assume_save_and_compare_revisions(
    measured: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = page(measured, monkeypatch)
    press(at, "Discover from the probes")
    assert "drawn at random" in captions(at)
    assert draft(at).graph.edge_between("weight/code", "loss/code")
    press(at, "Save the graph")
    assert at.success[0].value == "Saved as revision 1."
    assert "This is revision 1" in captions(at)

    edit(at, Require(source="weight/code", target="loss/code", why="known"))
    edit(at, Forbid(source="weight/prose", target="loss/code", why="never"))
    press(at, "Discover from the probes")
    kept = draft(at).graph
    edge = kept.edge_between("weight/code", "loss/code")
    assert edge is not None
    assert edge.status == "required"
    assert [f.text for f in kept.forbidden] == ["weight/prose -> loss/code"]
    press(at, "Save the graph")
    assert "forbade weight/prose -> loss/code" in " ".join(m.value for m in at.markdown)

    press(at, "Assume all")
    assert len(draft(at).graph.edges) == 3 * (3 + len(STATE_FEATURES))
    edit(at, Undo())
    assert draft(at).graph == kept


def test_a_pasted_graph_is_laid_on_the_desk_or_refused_with_its_line(
    measured: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = page(measured, monkeypatch)
    before = draft(at).graph
    field = next(t for t in at.text_area if t.label == "Text of a graph")
    field.input('dag {\n"weight/code" -> "loss/code"\n"loss/code" -> "weight/code"\n}').run()
    press(at, "Put it on the desk")
    assert "Line 3" in at.error[0].value
    assert draft(at).graph == before
    field.input('dag { "weight/code" -> "loss/code" }').run()
    press(at, "Put it on the desk")
    assert not at.error
    assert [e.text for e in draft(at).graph.edges] == ["weight/code -> loss/code"]


def test_methods_are_laid_side_by_side(measured: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page(measured, monkeypatch)
    press(at, "Search with every quick method")
    table = next(d.value for d in at.dataframe if "Agree" in d.value)
    assert {"BOSS", "GES", "PC", "FCI", "DirectLiNGAM"} < set(table.columns)
    top = table.iloc[0]
    assert (top["From"], top["To"]) in {(f"weight/{d}", f"loss/{d}") for d in ("code", "prose", "sums")}
    assert top["Agree"] == 5
    edit(at, Forbid(source="weight/prose", target="loss/code", why="never"))
    assert not [d for d in at.dataframe if "Agree" in d.value], "found without that rule"
