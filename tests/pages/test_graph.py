"""The graph page as two curators use it at once, run by Streamlit's own test runner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from causalmix_core.corpus import STATE_FEATURES, open_snapshot
from causalmix_core.graph import load_graph, saturated_graph, save_graph
from causalmix_core.probes import read_runs
from causalmix_core.workspace import Workspace

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


def test_the_second_of_two_curators_sees_both_versions_and_loses_nothing(
    measured: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = page(measured, monkeypatch)
    other = saturated_graph(read_runs(measured.runs), by="bob")
    save_graph(measured, "main", other, parent=None, by="bob", note="mine first")
    button(at, "Save the graph").click().run()
    assert "bob" in at.error[0].value
    assert load_graph(measured, "main").by == "bob"
    button(at, "Save the graph").click().run()
    assert at.error, "the conflict stays until it is settled"
    button(at, "Drop my draft and load the newest").click().run()
    assert not at.error
    assert "This is revision 1" in " ".join(c.value for c in at.caption)


def test_discovery_edits_undo_and_save(measured: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page(measured, monkeypatch)
    button(at, "Discover from the probes").click().run()
    assert not at.exception
    at.selectbox[1].select("weight/code")
    at.selectbox[2].select("loss/code")
    button(at, "Add").click().run()
    assert "already" in at.error[0].value  # discovered, so it cannot be added again
    edge = at.selectbox[3]
    edge.select_index(0).run()
    button(at, "Delete").click().run()
    button(at, "Undo").click().run()
    button(at, "Save the graph").click().run()
    saved = load_graph(measured, "main")
    assert {(f"weight/{d}", f"loss/{d}") for d in ("code", "prose", "sums")} <= set(saved.graph.directed())
    assert at.success[0].value == "Saved as revision 1."
