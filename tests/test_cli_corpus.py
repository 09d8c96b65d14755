"""The verbs of the corpus, from adding a source to a filtered, measured snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from causalmix_core.corpus import list_snapshots, open_snapshot
from causalmix_core.workspace import Workspace, WorkspaceConfig
from tests.command_line import Run


def test_sources_are_added_listed_and_removed(
    causalmix: Run, refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Workspace.create(tmp_path / "study", WorkspaceConfig(name="Study")).root
    (tmp_path / "texts").mkdir()
    for part in range(2):
        rows = [
            {"body": f"document {part} {i} of many words", "kind": "web" if i % 2 else "code"}
            for i in range(9)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "texts" / f"all-{part}.jsonl").write_text(lines)
    monkeypatch.chdir(tmp_path)

    assert "Its fields are body, kind" in refused("source", "add", "texts", "-d", "web", "-w", root)
    said = causalmix(
        "source", "add", "texts/all-*.jsonl", "--domain-field", "kind", "--text-field", "body", "-w", root
    )
    assert said.out == f"Added {tmp_path}/texts/all-*.jsonl. Next: causalmix ingest\n"
    assert causalmix("source", "add", "texts", "-d", "books", "--text-field", "body", "-w", root).status == 0
    listed = causalmix("source", "list", "-w", root).out
    assert f"books                {tmp_path}/texts  (text in body)" in listed
    assert f"by kind              {tmp_path}/texts/all-*.jsonl  (text in body)" in listed
    assert "There is a domain books already" in refused("source", "add", "texts", "-d", "Books", "-w", root)
    assert causalmix("source", "remove", "books", "-w", root).out == "Removed books.\n"
    assert causalmix("ingest", "-w", root).status == 0
    assert open_snapshot(Workspace.open(root)).domains == ["code", "web"]


def test_the_pool_is_looked_at(
    causalmix: Run, refused: Callable[..., str], workspace: Workspace, tmp_path: Path
) -> None:
    root, table = workspace.root, tmp_path / "table.csv"
    said = causalmix("stats", "-w", root).out
    assert "sums" in said
    assert "Note: " in said  # three tiny domains
    assert causalmix("stats", "--feature", "digit_ratio", "-o", table, "-w", root).out.startswith(
        "Wrote 3 rows"
    )
    digits = pd.read_csv(table).set_index("domain")
    assert digits.loc["sums", "median"] > 0.5 > digits.loc["prose", "median"]
    causalmix("stats", "--rules", "-o", table, "-w", root)
    assert pd.read_csv(table).set_index("rule").loc["gopher_below_alpha_threshold", "sums %"] == 100
    assert "no numeric feature 'colour'" in refused("stats", "--feature", "colour", "-w", root)

    causalmix("documents", "--search", "dictionary", "--sort", "words", "--limit", 3, "-o", table, "-w", root)
    found = pd.read_csv(table)
    assert len(found) == 3
    assert found["text"].str.contains("dictionary", case=False).all()
    assert found["words"].is_monotonic_decreasing
    causalmix(
        "documents",
        "-d",
        "sums",
        "--at-least",
        "digit_ratio=0.1",
        "--at-most",
        "words=10",
        "-o",
        table,
        "-w",
        root,
    )
    assert pd.read_csv(table).empty
    assert "Write FEATURE=VALUE, such as words=50" in refused("documents", "--at-least", "words", "-w", root)
    assert "regular expression" in refused("documents", "--regex", "(", "-w", root)
    assert "either --search or --regex" in refused("documents", "--search", "a", "--regex", "b", "-w", root)

    causalmix("stats", "--languages", "-o", table, "-w", root)
    assert pd.read_csv(table)["selected"].sum() == open_snapshot(workspace).documents
    assert causalmix("documents", "--copies-of", "prose/0", "-o", table, "-w", root).status == 0
    assert "no document 999" in refused("documents", "--copies-of", "prose/999", "-w", root)
    assert "Write DOMAIN/NUMBER" in refused("documents", "--copies-of", "prose", "-w", root)

    divergence = causalmix("compare", "-o", table, "-w", root)
    assert divergence.status == 0
    apart = pd.read_csv(table, index_col="domain")
    assert apart.loc["code", "sums"] > apart.loc["code", "prose"] > apart.loc["code", "code"] == 0

    said = causalmix("sql", "SELECT domain, count(*) AS n FROM documents GROUP BY ALL ORDER BY n", "-w", root)
    assert said.out.split()[:4] == ["domain", "n", "code", "18"]
    assert "Only questions" in refused("sql", "DROP TABLE documents", "-w", root)
    assert "only the first 2 rows" in causalmix("sql", "FROM documents", "--max-rows", 2, "-w", root).err


def test_a_filter_makes_a_snapshot_and_the_old_one_can_be_used_again(
    causalmix: Run, refused: Callable[..., str], workspace: Workspace, tmp_path: Path
) -> None:
    root, table = workspace.root, tmp_path / "table.csv"
    first = open_snapshot(workspace)
    keep = "lines <= 40 AND NOT near_duplicate"
    said = causalmix(
        "filter", "save", "short", "--keep", keep, "-d", "prose", "--note", "shorter", "-w", root
    )
    assert said.out == "Saved filter short, revision 1. Next: causalmix filter preview short\n"
    assert "expression" in refused(
        "filter", "save", "bad", "--keep", "1); DROP TABLE documents; --", "-w", root
    )
    assert "short" in causalmix("filter", "list", "-w", root).out
    causalmix("filter", "preview", "short", "-o", table, "-w", root)
    tried = pd.read_csv(table).set_index("domain")
    assert tried["dropped"].to_dict()["code"] == tried["dropped"].to_dict()["sums"] == 0
    assert 0 < tried.loc["prose", "kept"] < tried.loc["prose", "documents"]

    said = causalmix("filter", "apply", "short", "-w", root)
    second = open_snapshot(workspace)
    assert f"Snapshot {second.id} made" in said.out
    assert second.id != first.id
    assert second.manifest.domains["prose"].documents == tried.loc["prose", "kept"]
    derived = second.manifest.derived
    assert derived is not None
    assert (derived.snapshot, derived.filter, derived.revision) == (first.id, "short", 1)
    assert "is there already" in causalmix("filter", "apply", "short", "--snapshot", first.id, "-w", root).out

    listed = causalmix("snapshots", "-w", root).out.splitlines()
    assert listed[0].startswith(f"* {second.id}")
    assert listed[0].endswith(f"from filter short of {first.id}")
    causalmix("compare", first.id, "-o", table, "-w", root)
    drift = pd.read_csv(table)
    assert set(drift["domain"]) == {"code", "prose", "sums"}
    assert (drift.loc[drift["domain"] == "code", "psi"] == 0).all()
    assert causalmix("snapshots", "--use", first.id, "-w", root).out.count("*") == 1
    assert open_snapshot(workspace).id == first.id
    assert len(list_snapshots(workspace)) == 2


def test_documents_are_measured_by_a_proxy_trained_on_them(
    causalmix: Run,
    refused: Callable[..., str],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from causalmix_core.proxy import PRESETS
    from tests.conftest import TINY

    monkeypatch.setitem(PRESETS, "micro", TINY)
    root = workspace.root
    said = causalmix("measure", "--max-tokens", 64, "-w", root)
    snapshot = open_snapshot(workspace)
    assert said.out.startswith("Measured normalized_loss, high_entropy_sum on ")
    assert said.out.endswith(f" documents of {snapshot.id}.\n")
    assert {"normalized_loss", "high_entropy_sum"} <= set(snapshot.features())
    causalmix("stats", "--feature", "normalized_loss", "-o", tmp_path / "loss.csv", "-w", root)
    loss = pd.read_csv(tmp_path / "loss.csv").set_index("domain")
    assert loss["median"].between(0, 6).all()  # a byte chosen blindly costs 5.5 nats
    assert loss["median"].nunique() == 3
    # What was measured can be a part of the pool's state from now on.
    config = workspace.config()
    workspace.save_config(config.model_copy(update={"state_features": ["normalized_loss", "log_bytes"]}))
    assert set(snapshot.state(workspace.config().state_features)) == {
        "state/normalized_loss",
        "state/log_bytes",
    }
    assert "nowhere" in refused("measure", "--model", "./nowhere", "-w", root)
