"""The panels of consequences and tests, run by Streamlit's own test runner on known graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from causalmix_core.corpus import open_snapshot
from causalmix_core.graph import (
    CausalGraph,
    add_bidirected,
    add_edge,
    delete_edge,
    load_graph,
    saturated_graph,
    save_graph,
)
from causalmix_core.graph.falsification import save_tests
from causalmix_core.graph.falsification import test_graph as run_graph_tests
from causalmix_core.probes import RunTable, read_runs
from causalmix_core.workspace import Workspace
from jobs import task_jobs, task_status
from pages.graph_views.plain import plain


@pytest.fixture
def measured(workspace: Workspace) -> Workspace:
    """A workspace with 80 probes: each loss falls with its own weight, that of code also with a state."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 80)
    states = {"state/quality": rng.normal(size=80), "state/style": rng.normal(size=80)}
    snapshot = open_snapshot(workspace)
    losses = {
        f"loss/{d}": 3 - np.log(weights[:, i] + 0.03) + 0.3 * rng.normal(size=80)
        for i, d in enumerate(snapshot.domains)
    }
    losses["loss/code"] += 0.8 * states["state/quality"]
    base = {
        "run": [f"j-{i:02d}" for i in range(80)], "status": "finished", "assignment": "randomised",
        "snapshot": snapshot.id,
    }  # fmt: skip
    mixture = {f"weight/{d}": weights[:, i] for i, d in enumerate(snapshot.domains)}
    pd.DataFrame(base | mixture | states | losses).to_parquet(workspace.runs / "j.parquet")
    return workspace


@pytest.fixture
def runs(measured: Workspace) -> RunTable:
    return read_runs(measured.runs)


def true_graph(runs: RunTable) -> CausalGraph:
    graph = saturated_graph(runs, by="ana")
    keep = {(f"weight/{d}", f"loss/{d}") for d in runs.domains} | {("state/quality", "loss/code")}
    return graph.model_copy(update={"edges": tuple(e for e in graph.edges if (e.source, e.target) in keep)})


def script_of_consequences() -> None:
    import streamlit as st

    from causalmix_core.graph import apply
    from pages.graph_views import consequences

    def do(operation) -> None:
        st.session_state["graph"] = apply(st.session_state["graph"], operation, by="ana")

    state = st.session_state
    pointed = consequences.show(state["graph"], state["base"], state["runs"], state.get("selection"), do)
    state["pointed"], state["paths"] = list(pointed.highlight), [f"{p.words}: {p.why}" for p in pointed.paths]


def script_of_tests() -> None:
    import streamlit as st

    from causalmix_core.graph import apply
    from pages.graph_views import testing
    from pages.widgets.shell import open_workspace

    def do(operation) -> None:
        st.session_state["graph"] = apply(st.session_state["graph"], operation, by="ana")

    state = st.session_state
    testing.show(open_workspace(), "main", state["revision"], state["runs"], state["graph"], do)


def start(script, **state: object) -> AppTest:
    at = AppTest.from_function(script, default_timeout=60)
    for key, value in state.items():
        at.session_state[key] = value
    at.run()
    assert not at.exception
    return at


def words(at: AppTest) -> str:
    """Everything that is written, without the backslashes that keep names from being markup."""
    return "\n".join(e.value for kind in (at.markdown, at.caption) for e in kind).replace("\\", "")


def press(at: AppTest, key: str) -> None:
    at.button(key=key).click().run()
    assert not at.exception


def choose(at: AppTest, weight: str, outcome: str) -> None:
    at.selectbox(key="effect_domain").select(weight)
    at.selectbox(key="effect_outcome").select(outcome).run()
    assert not at.exception


def test_identified_excluded_and_what_the_drawing_points_at(runs: RunTable) -> None:
    graph = true_graph(runs)
    at = start(script_of_consequences, graph=graph, base=graph, runs=runs)
    choose(at, "weight/code", "loss/code")
    assert "identified" in words(at)
    assert "The effect may differ by state/quality" in words(at)
    assert at.session_state["pointed"] == []
    at.selectbox(key="effect_shown").select("the effect").run()
    assert at.session_state["pointed"] == ["loss/code", "weight/code", ("weight/code", "loss/code")]
    choose(at, "weight/prose", "loss/code")
    assert "its own effect is zero by assumption" in words(at)
    assert not at.button
    (table,) = at.dataframe
    why = dict(zip(table.value["Variable"], table.value["Why"], strict=True))
    assert "no weight" in why["state/quality"]
    assert "comes after the weight" in why["loss/prose"]


def test_a_hidden_cause_is_shown_and_mended_by_one_press(runs: RunTable) -> None:
    base = true_graph(runs)
    graph = add_bidirected(base, "weight/code", "loss/code", by="ana")
    at = start(script_of_consequences, graph=graph, base=base, runs=runs)
    choose(at, "weight/code", "loss/code")
    assert "not identified" in words(at)
    assert "weight/code <-> loss/code stays open" in words(at)
    assert "loss/code: the effect is no longer identified" in words(at)
    assert ("weight/code", "loss/code") in at.session_state["pointed"]
    assert "Make one only if you know it to be true" in words(at)
    button = next(b for b in at.button if "Remove" in b.label)
    press(at, button.key)
    assert at.session_state["graph"].bidirected() == []
    assert ("weight/code", "loss/code") in at.session_state["graph"].directed()
    assert "not identified" not in words(at)


def test_the_panel_turns_to_what_is_selected_once(runs: RunTable) -> None:
    from pages.widgets.graph_editor import SelectedEdge, SelectedNode

    graph = true_graph(runs)
    at = start(
        script_of_consequences, graph=graph, base=graph, runs=runs,
        selection=SelectedEdge(source="weight/sums", target="loss/sums"),
    )  # fmt: skip
    assert at.selectbox(key="effect_domain").value == "weight/sums"
    assert at.selectbox(key="effect_outcome").value == "loss/sums"
    choose(at, "weight/code", "loss/code")
    at.run()
    assert at.selectbox(key="effect_domain").value == "weight/code"
    at.session_state["selection"] = SelectedNode(id="loss/prose")
    at.run()
    assert at.selectbox(key="effect_domain").value == "weight/code"
    assert at.selectbox(key="effect_outcome").value == "loss/prose"


def test_what_an_edit_changes_is_said_and_a_lost_node_is_no_mistake(runs: RunTable) -> None:
    base = true_graph(runs)
    graph = delete_edge(base, "weight/prose", "loss/prose", by="ana")
    graph = add_edge(graph, "state/quality", "weight/code", by="ana")
    at = start(script_of_consequences, graph=graph, base=base, runs=runs)
    choose(at, "weight/code", "loss/code")
    assert "loss/prose: domain prose is now excluded" in words(at)
    assert "loss/code: state/quality is now held fixed" in words(at)
    assert at.session_state["paths"] == [
        "weight/code <- state/quality -> loss/code: closed by holding state/quality fixed"
    ]
    edges = tuple(e for e in base.edges if "loss/code" not in (e.source, e.target))
    nodes = tuple(n for n in base.nodes if n.id != "loss/code")
    at.session_state["graph"] = base.model_copy(update={"nodes": nodes, "edges": edges})
    at.run()
    assert not at.exception
    assert "loss/code: is no longer in the graph" in words(at)


def test_claims_are_listed_and_edges_that_the_runs_ask_for_can_be_drawn(
    measured: Workspace, runs: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(measured.root))
    missing = delete_edge(true_graph(runs), "state/quality", "loss/code", by="ana")
    graph = add_edge(missing, "weight/prose", "loss/sums", by="ana")
    at = start(script_of_tests, graph=graph, revision=None, runs=runs)
    assert "The runs contradict 1 of the graph's" in words(at)
    table = at.dataframe[0].value
    assert table["Adjusted p"].is_monotonic_increasing
    assert table["The runs say"][0] == "contradicted"
    assert (table["Unrelated"][0], table["once fixed"][0]) == ("state/quality and loss/code", "weight/code")
    assert "weight/prose -> loss/sums: the runs do without it" in words(at)
    assert "Save the graph; then it can be compared" in words(at)
    press(at, "ask-0")
    press(at, "drop-0")
    assert at.session_state["graph"].directed() != graph.directed()
    assert set(at.session_state["graph"].directed()) == set(true_graph(runs).directed())
    assert "The runs contradict none" in words(at)


def test_a_saved_comparison_is_shown_and_a_new_one_is_started_beside_the_page(
    measured: Workspace, runs: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(measured.root))
    graph = true_graph(runs)
    save_graph(measured, "main", graph, parent=None, by="ana")
    at = start(script_of_tests, graph=graph, revision=1, runs=runs)
    assert "has not been compared" in words(at)
    save_tests(measured, "main", 1, run_graph_tests(runs, graph, permutations=40))
    at.session_state["graph"] = add_edge(graph, "weight/prose", "loss/sums", by="ana")
    at.run()
    assert not at.exception
    assert "better than shuffled graphs" in words(at)
    assert "It knows more than a guess" in words(at)
    assert "Tested on 80 runs" in words(at)
    assert "without your unsaved changes" in words(at)
    started: list[str] = []
    monkeypatch.setattr("jobs.tasks.start_process", lambda folder, kind: started.append(kind))
    press(at, "test_graph")
    assert started == ["task"]
    (job,) = task_jobs(measured)
    task = task_status(measured, job).task
    assert (task.kind, task.name, task.revision) == ("test-graph", "main", 1)
    assert task.snapshot == open_snapshot(measured).id


def test_a_damaged_file_of_tests_and_too_few_runs_are_said_in_words(
    measured: Workspace, runs: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(measured.root))
    save_graph(measured, "main", true_graph(runs), parent=None, by="ana")
    Path(measured.graphs / "main" / "1.tests.json").write_text("{")
    at = start(script_of_tests, graph=load_graph(measured, "main").graph, revision=1, runs=runs)
    assert "is damaged" in at.error[0].value
    few = RunTable.from_frame(runs.frame.head(6))
    at = start(script_of_tests, graph=true_graph(few), revision=1, runs=few)
    assert "needs at least 8 runs; there are 6" in at.info[0].value


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    assert plain("weight/**a** <b> $x$ :red[y]") == r"weight/\*\*a\*\* \<b\> \$x\$ \:red\[y\]"
