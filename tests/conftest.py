"""A small real pool that tests share: three domains of text that comes with Python itself."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from causalmix_core.corpus import ingest
from causalmix_core.probes import SwarmSpec
from causalmix_core.proxy import ProxySpec
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig
from tests.command_line import Run, runner

TINY = ProxySpec(hidden_size=16, layers=1, heads=1, sequence_length=32, batch_size=4, tokens=4096)
"""A proxy that trains in a moment and still learns that bytes are not uniform."""


def write_domains(folder: Path) -> None:
    """Code, prose and arithmetic as `<folder>/<domain>.jsonl`."""
    import ast
    import pydoc_data.topics

    source = Path(ast.__file__).parent
    modules = "ast argparse bisect calendar csv dis fractions heapq inspect json/decoder json/encoder locale"
    modules += " mailbox pdb queue random shlex textwrap"
    code = [(source / f"{m}.py").read_text(encoding="utf-8")[:6000] for m in modules.split()]
    topics = pydoc_data.topics.topics
    prose = [topics[k][:4000] for k in sorted(topics, key=str) if len(topics[k]) > 400]
    rng = random.Random(0)
    sums = [
        "\n".join(
            f"{a} + {b} = {a + b}" for a, b in ((rng.randrange(999), rng.randrange(999)) for _ in "x" * 60)
        )
        for _ in range(60)
    ]
    for domain, texts in {"code": code, "prose": prose, "sums": sums}.items():
        lines = (json.dumps({"text": t}) for t in texts)
        (folder / f"{domain}.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="session")
def _ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    write_domains(folder)
    config = WorkspaceConfig(
        name="Tiny",
        domains={d: DomainSource(path=str(folder / f"{d}.jsonl")) for d in ("code", "prose", "sums")},
    )
    workspace = Workspace.create(folder / "workspace", config)
    ingest(workspace)
    return workspace.root


@pytest.fixture
def workspace(_ingested: Path, tmp_path: Path) -> Workspace:
    """A workspace of its own with a published snapshot of three small domains."""
    root = tmp_path / "workspace"
    shutil.copytree(_ingested, root)
    return Workspace.open(root)


@pytest.fixture
def tiny_swarm() -> Callable[..., SwarmSpec]:
    """Makes a swarm of tiny proxies; keywords go to `SwarmSpec`."""

    def make(probes: int = 4, tokens: int = TINY.tokens, **fields: object) -> SwarmSpec:
        return SwarmSpec(
            probes=probes,
            proxy=TINY.model_copy(update={"tokens": tokens}),
            **{"heldout_windows": 8, **fields},
        )

    return make


@pytest.fixture
def causalmix(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `causalmix <arguments>` in this process."""
    return runner(monkeypatch, capsys)


@pytest.fixture
def refused(causalmix: Run) -> Callable[..., str]:
    """Runs a command that has to end in one readable line on stderr; returns the line."""

    def run(*arguments: object) -> str:
        said = causalmix(*arguments)
        assert said.status == 1
        assert said.out == ""
        line, end = said.err.split("\n")
        assert line.startswith("causalmix: ")
        assert end == ""
        return line

    return run
