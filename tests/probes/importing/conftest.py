"""Small tables of other people's runs, and where the published ones lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from causalmix_core.probes.importing import (
    IMPORTERS,
    ColumnMapping,
    FileRole,
    FormatName,
    ImportDraft,
    SourceFile,
    make_draft,
    read_files,
)

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "regmix_1m"
BESIDE = Path(__file__).parents[4] / "shared" / "data" / "regmix_1m"

Texts = Mapping[FileRole, str]
Draft = Callable[..., ImportDraft]


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder with RegMix's published tables."""
    for folder in (PUBLISHED, BESIDE):
        if folder.is_dir():
            return folder
    pytest.skip(f"RegMix's published tables are not in {PUBLISHED}.")


def files_of(texts: Texts, endings: Mapping[FileRole, str] | None = None) -> dict[FileRole, SourceFile]:
    return {
        role: SourceFile(f"{role}{(endings or {}).get(role, '.csv')}", text.encode())
        for role, text in texts.items()
    }


@pytest.fixture
def draft() -> Draft:
    """Reads texts as files of a format; keywords replace fields of the guessed mapping."""

    def make(
        format: FormatName,
        texts: Texts,
        mapping: ColumnMapping | None = None,
        step: int | None = None,
        ending: str = ".csv",
        **fields: object,
    ) -> ImportDraft:
        tables = read_files(format, files_of(texts, dict.fromkeys(texts, ending)), step)
        chosen = IMPORTERS[format].guess(tables) if mapping is None else mapping
        return make_draft(format, tables, chosen.model_copy(update=fields))

    return make


def regmix_texts(n: int = 6, seed: int = 0) -> dict[FileRole, str]:
    """A pair of tables as RegMix's code writes them, over three domains."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(3), n).round(3)
    losses = 5 - weights[:, [0, 2]] + rng.normal(0, 0.01, (n, 2))
    mixtures = ["index," + ",".join(f"train_the_pile_{d}" for d in ("arxiv", "github", "pile_cc"))]
    mixtures += [f"{i}," + ",".join(map(str, row)) for i, row in enumerate(weights, 1)]
    outcomes = ["index," + ",".join(f"metric/the_pile_{d}_val_loss" for d in ("arxiv", "pile_cc"))]
    outcomes += [f"{i}," + ",".join(map(str, row)) for i, row in enumerate(losses, 1)]
    return {"mixtures": "\n".join(mixtures) + "\n", "outcomes": "\n".join(outcomes) + "\n"}


def replace_line(text: str, line: int, new: str) -> str:
    """The text with another line, counted from 1."""
    lines = text.splitlines()
    lines[line - 1] = new
    return "\n".join(lines) + "\n"
