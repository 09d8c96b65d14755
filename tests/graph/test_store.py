"""Saved graphs: nothing is overwritten, nothing is lost, and a damaged file says which one it is."""

import threading
from datetime import UTC, datetime

import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    CausalGraph,
    Edge,
    Node,
    OutdatedRevision,
    Provenance,
    add_bidirected,
    add_edge,
    add_latent,
    compare_revisions,
    delete_edge,
    forbid_edge,
    list_graphs,
    load_graph,
    note_edge,
    save_graph,
)
from causalmix_core.workspace import Workspace, WorkspaceConfig


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "w", WorkspaceConfig(name="test"))


@pytest.fixture
def graph():
    found = Provenance(kind="discovered", by="ana", at=datetime.now(UTC))
    return CausalGraph(
        nodes=(
            Node(id="weight/code", tier="weight"),
            Node(id="loss/code", tier="outcome"),
            Node(id="loss/math", tier="outcome"),
        ),
        edges=(Edge(source="weight/code", target="loss/math", provenance=found),),
    )


def test_round_trip_keeps_everything(workspace, graph):
    first = save_graph(
        workspace, "main", graph, parent=None, by="ana", note="start", snapshot="ab12", runs=64
    )
    edited = delete_edge(graph, "weight/code", "loss/math", by="ben", why="a fluke")
    second = save_graph(workspace, "main", edited, parent=1, by="ben")
    assert load_graph(workspace, "main", 1) == first
    assert load_graph(workspace, "main") == second
    assert (first.revision, first.parent, first.changes) == (1, None, ())
    assert (first.snapshot, first.runs, first.note) == ("ab12", 64, "start")
    assert (second.revision, second.parent, second.by) == (2, 1, "ben")
    assert second.changes == ("removed weight/code -> loss/math: 'a fluke'",)
    assert second.graph.history[0].why == "a fluke"
    save_graph(workspace, "a.second-one", graph, parent=None, by="ana")
    assert list_graphs(workspace) == {"a.second-one": [1], "main": [1, 2]}


def test_any_two_revisions_are_compared_in_words(workspace, graph):
    save_graph(workspace, "main", graph, parent=None, by="ana")
    second = delete_edge(graph, "weight/code", "loss/math", by="ben", why="math never sees code")
    save_graph(workspace, "main", second, parent=1, by="ben")
    third = add_edge(second, "weight/code", "loss/code", by="ben")
    save_graph(workspace, "main", third, parent=2, by="ben")
    assert compare_revisions(workspace, "main", 1, 3) == [
        "added weight/code -> loss/code",
        "removed weight/code -> loss/math: 'math never sees code'",
    ]
    assert compare_revisions(workspace, "main", 3, 2) == ["removed weight/code -> loss/code"]
    with pytest.raises(CausalMixError, match="no revision 4; it has 1, 2, 3"):
        compare_revisions(workspace, "main", 1, 4)


def test_latents_rules_and_notes_are_saved(workspace, graph):
    drawn = add_latent(graph, "taste", ["loss/code"], by="ana")
    drawn = add_bidirected(drawn, "weight/code", "loss/code", by="ana")
    drawn = note_edge(drawn, "weight/code", "loss/math", '"odd" <b>🎭</b>', by="ana")
    drawn = forbid_edge(drawn, "weight/code", "loss/code", by="ana", why="disjoint")
    save_graph(workspace, "main", drawn, parent=None, by="ana")
    assert load_graph(workspace, "main").graph == drawn


def test_eleventh_revision_is_newer_than_the_second(workspace, graph):
    for parent in [None, *range(1, 11)]:
        save_graph(workspace, "main", graph, parent=parent, by="ana")
    assert load_graph(workspace, "main").revision == 11
    assert list_graphs(workspace)["main"] == list(range(1, 12))


def test_saving_on_an_outdated_revision_hands_both_back(workspace, graph):
    save_graph(workspace, "main", graph, parent=None, by="ana")
    theirs = delete_edge(graph, "weight/code", "loss/math", by="ben")
    save_graph(workspace, "main", theirs, parent=1, by="ben", note="clean up")
    mine = add_edge(graph, "weight/code", "loss/code", by="ana")
    with pytest.raises(OutdatedRevision) as caught:
        save_graph(workspace, "main", mine, parent=1, by="ana")
    assert caught.value.saved.graph == theirs
    assert caught.value.unsaved.graph == mine
    assert caught.value.unsaved.changes == ("added weight/code -> loss/code",)
    text = str(caught.value)
    assert "'main' is at revision 2 (saved by ben, 'clean up')" in text
    assert "started from revision 1" in text
    assert "Load revision 2" in text
    assert load_graph(workspace, "main").graph == theirs


def test_a_name_that_is_taken_is_not_started_anew(workspace, graph):
    save_graph(workspace, "main", graph, parent=None, by="ana")
    with pytest.raises(OutdatedRevision, match="started from no saved revision"):
        save_graph(workspace, "main", graph, parent=None, by="ben")
    assert list_graphs(workspace) == {"main": [1]}


@pytest.mark.parametrize("parent", [None, 1])
def test_of_writers_at_once_exactly_one_wins(workspace, graph, parent):
    if parent:
        save_graph(workspace, "main", graph, parent=None, by="ana")
    barrier = threading.Barrier(6)
    won, lost = [], []

    def save(who):
        barrier.wait()
        try:
            won.append(save_graph(workspace, "main", graph, parent=parent, by=who))
        except OutdatedRevision as error:
            lost.append(error)

    threads = [threading.Thread(target=save, args=(f"writer {i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 5
    assert load_graph(workspace, "main") == won[0]
    assert all(error.saved == won[0] for error in lost)
    assert {e.unsaved.by for e in lost} | {won[0].by} == {f"writer {i}" for i in range(6)}
    assert not list(workspace.graphs.rglob(".tmp-*"))


def test_unknown_graphs_and_revisions_say_what_there_is(workspace, graph):
    with pytest.raises(CausalMixError, match=r"There is no graph 'main'.*Saved graphs: none"):
        load_graph(workspace, "main")
    with pytest.raises(CausalMixError, match="no revision 3 to start from; nothing is saved under that name"):
        save_graph(workspace, "main", graph, parent=3, by="ana")
    save_graph(workspace, "main", graph, parent=None, by="ana")
    with pytest.raises(CausalMixError, match="Saved graphs: main"):
        load_graph(workspace, "other")
    with pytest.raises(CausalMixError, match="'main' has no revision 2; it has 1"):
        load_graph(workspace, "main", 2)
    with pytest.raises(CausalMixError, match="no revision 5 to start from; it has 1"):
        save_graph(workspace, "main", graph, parent=5, by="ana")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65])
def test_unusable_names_are_refused(workspace, graph, name):
    with pytest.raises(CausalMixError, match="cannot be a name"):
        save_graph(workspace, name, graph, parent=None, by="ana")
    with pytest.raises(CausalMixError, match="cannot be a name"):
        load_graph(workspace, name)
    assert list_graphs(workspace) == {}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "Invalid JSON"),
        (lambda text: "", "Invalid JSON"),
        (
            lambda text: text.replace('"weight/code",\n    "tier"', '"weight/math",\n    "tier"'),
            "no node weight/code",
        ),
        (lambda text: text.replace('"by"', '"bye"'), "by: Field required"),
        (lambda text: text.replace('"revision": 2', '"revision": 7'), "moved by hand"),
    ],
)
def test_a_damaged_file_names_itself_and_the_way_out(workspace, graph, damage, words):
    save_graph(workspace, "main", graph, parent=None, by="ana")
    save_graph(workspace, "main", graph, parent=1, by="ana")
    path = workspace.graphs / "main" / "2.json"
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(CausalMixError) as caught:
        load_graph(workspace, "main")
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "load revision 1" in str(caught.value)
    assert load_graph(workspace, "main", 1).graph == graph


def test_half_written_and_foreign_files_are_not_revisions(workspace, graph):
    save_graph(workspace, "main", graph, parent=None, by="ana")
    folder = workspace.graphs / "main"
    (folder / ".tmp-999999999-abc-2.json").write_text("{")
    (folder / "notes.json").write_text("{}")
    (folder / "02.json").write_text("{}")
    assert list_graphs(workspace) == {"main": [1]}
    save_graph(workspace, "main", graph, parent=1, by="ana")
    assert not list(folder.glob(".tmp-*"))
