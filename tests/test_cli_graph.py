"""The graph on the command line: discovery with its options, and what is saved, shown, exported, read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from causalmix_core.graph import forbid_edge, list_graphs, load_graph, require_edge, save_graph
from causalmix_core.graph.stability import FOLDER
from causalmix_core.workspace import Workspace
from tests.command_line import Run
from tests.test_cli import write_runs


@pytest.fixture
def probed(workspace: Workspace) -> Workspace:
    """A workspace with 60 finished probes."""
    write_runs(workspace, 60)
    return workspace


def test_what_resamples_agree_on_is_saved_and_not_searched_twice(causalmix: Run, probed: Workspace) -> None:
    arguments = ("discover", "-w", probed.root, "--resamples", 6)
    said = causalmix(*arguments, "--threshold", 0.9)
    assert said.status == 0, said.err
    assert re.search(r"100% weight/code -> loss/code\n", said.out)
    assert "at least 90% of 6 random halves" in said.out
    assert "Saved graph main, revision 1, from 60 probes." in said.out
    (kept,) = (probed.graphs / FOLDER).iterdir()
    before = kept.stat().st_mtime_ns
    assert causalmix(*arguments, "--threshold", 0.2).status == 0
    assert [p.stat().st_mtime_ns for p in (probed.graphs / FOLDER).iterdir()] == [before]
    shares = [load_graph(probed, "main", r).graph.edges for r in (1, 2)]
    assert {e.arrow for e in shares[0]} <= {e.arrow for e in shares[1]}
    assert all(e.stability is not None and e.stability >= 0.2 for e in shares[1])


def test_what_the_graph_requires_and_forbids_is_kept_until_told_otherwise(
    causalmix: Run, probed: Workspace
) -> None:
    assert causalmix("discover", "-w", probed.root, "--method", "ges").status == 0
    graph = load_graph(probed, "main").graph
    graph = require_edge(graph, "weight/code", "loss/prose", by="bea", why="style of comments")
    graph = forbid_edge(graph, "weight/sums", "loss/sums", by="bea", why="a test")
    save_graph(probed, "main", graph, parent=1, by="bea")
    for method in ("boss", "pc", "lingam"):
        said = causalmix("discover", "-w", probed.root, "--method", method)
        assert said.status == 0, said.err
        assert "weight/code -> loss/prose (required)\n" in said.out
        assert "weight/sums -> loss/sums" not in said.out
    shown = causalmix("graph", "show", "-w", probed.root).out
    assert "weight/code -> loss/prose (required)  [" in shown
    assert "forbidden: weight/sums -> loss/sums  [by bea: a test]" in shown
    said = causalmix("discover", "-w", probed.root, "--fresh")
    assert "weight/sums -> loss/sums\n" in said.out
    assert "required" not in said.out
    told = causalmix("graph", "diff", "-w", probed.root).out
    assert "main, revision 5 to 6\n" in told
    assert "added weight/sums -> loss/sums" in told


def test_methods_are_compared_without_saving(causalmix: Run, probed: Workspace) -> None:
    said = causalmix("discover", "-w", probed.root, "--compare")
    assert said.status == 0, said.err
    head, *rows = said.out.splitlines()
    assert head.split() == ["boss", "ges", "pc", "fci", "lingam", "agree"]
    row = next(r for r in rows if r.startswith("weight/code  loss/code"))
    assert row.split()[2:] == ["->"] * 5 + ["5/5"]
    assert "Nothing was saved." in said.out
    assert "pc_kci is left out" in said.out
    assert list_graphs(probed) == {}


def test_graphs_are_listed_exported_and_read_again(causalmix: Run, probed: Workspace, tmp_path: Path) -> None:
    assert causalmix("graph", "list", "-w", probed.root).out == "No graph is saved.\n"
    causalmix("discover", "-w", probed.root)
    assert re.match(
        r"main +revision 1 .*discovered with boss\n", causalmix("graph", "list", "-w", probed.root).out
    )
    graph = load_graph(probed, "main").graph
    for suffix in ("dot", "dagitty", "gml", "json"):
        file = tmp_path / f"graph.{suffix}"
        said = causalmix("graph", "export", "main", file, "-w", probed.root)
        assert said.status == 0, said.err
        assert str(file) in said.out
        said = causalmix("graph", "import", file, "-w", probed.root, "--name", suffix)
        assert said.status == 0, said.err
        read = load_graph(probed, suffix)
        assert read.note == f"imported from graph.{suffix}"
        assert {e.arrow for e in read.graph.edges} == {e.arrow for e in graph.edges}
        assert {n.id for n in read.graph.nodes} == {n.id for n in graph.nodes}
    printed = causalmix("graph", "export", "main", "-", "--format", "dot", "-w", probed.root).out
    assert printed.startswith("digraph")


def test_mistakes_are_one_line(
    causalmix: Run, refused: Callable[..., str], probed: Workspace, tmp_path: Path
) -> None:
    root = ("-w", probed.root)
    assert "say how many with --resamples" in refused("discover", *root, "--threshold", 0.5)
    assert "The threshold is 3.0" in refused("discover", *root, "--resamples", 5, "--threshold", 3)
    assert "penalty is -1" in refused("discover", *root, "--penalty", -1)
    assert "20000 resamples are not possible" in refused("discover", *root, "--resamples", 20_000)
    assert "There is no graph 'main'" in refused("graph", "show", *root)
    assert causalmix("discover", *root).status == 0
    assert "is the first" in refused("graph", "diff", *root)
    assert "has no revision 9" in refused("graph", "diff", *root, "--from", 9)
    assert "does not say a format" in refused("graph", "export", "main", tmp_path / "graph.docx", *root)
    assert "Cannot read" in refused("graph", "import", tmp_path / "none.dot", *root)
    (tmp_path / "bad.dot").write_bytes(b"digraph \xff")
    assert "UTF-8" in refused("graph", "import", tmp_path / "bad.dot", *root)
    (tmp_path / "odd.dot").write_text("digraph { a -> ")
    refused("graph", "import", tmp_path / "odd.dot", *root)
    assert list_graphs(probed) == {"main": [1]}
