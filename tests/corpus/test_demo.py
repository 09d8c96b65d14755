from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from causalmix_core.corpus import DEMO_DESCRIPTIONS, Document, ingest, iter_documents, open_snapshot
from causalmix_core.corpus.demo import write_demo_corpus
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace, WorkspaceConfig

MAX_BYTES = 300_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    sources = write_demo_corpus(folder, MAX_BYTES)
    Workspace.create(folder / "workspace", WorkspaceConfig(name="demo", domains=sources))
    return folder


def test_every_domain_is_written_within_the_limits(demo):
    assert {p.name for p in demo.iterdir()} == {*DEMO_DESCRIPTIONS, "workspace"}
    for domain in DEMO_DESCRIPTIONS:
        items = list(iter_documents(demo / domain, "text"))
        sizes = [len(d.text.encode()) for d in items if isinstance(d, Document)]
        assert len(sizes) == len(items) >= 10
        assert MAX_BYTES / 2 < sum(sizes) <= MAX_BYTES
        assert max(sizes) <= (16 << 10 if domain == "minified" else 32 << 10)


def test_the_demo_is_the_same_in_another_process_and_imports_nothing_it_reads(demo, tmp_path):
    code = (
        "import sys; from pathlib import Path; from causalmix_core.corpus.demo import write_demo_corpus; "
        f"write_demo_corpus(Path(sys.argv[1]), {MAX_BYTES}); "
        "print(sorted({'torch', 'scipy', 'sklearn', 'streamlit'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "[]"
    for domain in DEMO_DESCRIPTIONS:
        part = f"{domain}/part-0000.jsonl.zst"
        assert (tmp_path / part).read_bytes() == (demo / part).read_bytes()


def test_the_domains_have_the_character_that_is_claimed(demo):
    workspace = Workspace.open(demo / "workspace")
    ingest(workspace)
    table = open_snapshot(workspace).domain_table().set_index("domain")
    duplicates = table["near_duplicate_fraction"]
    assert duplicates["licences"] > 0.3
    assert duplicates.drop("licences").max() < duplicates["licences"] / 2
    with open_snapshot(workspace).connect() as con:
        means = con.execute(
            "SELECT domain, avg(whitespace_ratio) AS spaces, avg(mean_word_length) AS word, "
            "avg(alpha_ratio) AS letters FROM documents GROUP BY domain"
        ).df().set_index("domain")  # fmt: skip
    assert means["spaces"].idxmin() == means["word"].idxmax() == "minified"
    for prose in ("docstrings", "readmes", "licences"):
        assert means.loc[prose, "letters"] > means.loc["minified", "letters"]
        assert means.loc[prose, "spaces"] > 0.1


def test_a_limit_that_leaves_nothing_is_refused(tmp_path):
    with pytest.raises(CausalMixError, match="no text for the demo domain python"):
        write_demo_corpus(tmp_path, 10)
