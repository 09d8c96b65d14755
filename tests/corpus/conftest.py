from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig

Pool = Callable[..., Workspace]


@pytest.fixture
def prose() -> Callable[[int, int], list[str]]:
    """`prose(n, seed)`: n distinct documents of random words, 20 to 80 words each."""

    def make(n: int, seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [
            " ".join(f"w{rng.integers(5000)}" for _ in range(rng.integers(20, 80))) + "\n" for _ in range(n)
        ]

    return make


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """`pool(code=[...], web=[...])`: a workspace whose domains are one `.jsonl` each."""

    def make(**domains: Iterable[str]) -> Workspace:
        sources = {}
        for name, texts in domains.items():
            file = tmp_path / "texts" / f"{name}.jsonl"
            file.parent.mkdir(exist_ok=True)
            file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
            sources[name] = DomainSource(path=str(file))
        return Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="test", domains=sources))

    return make
