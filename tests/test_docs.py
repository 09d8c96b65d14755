"""The documentation is tested: every command, option of a file and setting must be in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from causalmix_core.corpus import REASON_LABELS
from causalmix_core.effects import EstimatorName
from causalmix_core.graph import DiscoveryMethod
from causalmix_core.mixture import POLICIES
from causalmix_core.workspace import FOLDERS, DomainSource, MixedSource, WorkspaceConfig
from tests.command_line import commands

ROOT = Path(__file__).parents[1]
DOCS = {p.name: p.read_text(encoding="utf-8") for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
VERBS = sorted(commands())


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_is_documented(verb: str) -> None:
    assert f"`causalmix {verb}`" in DOCS["WORKSPACE.md"]


def test_no_command_is_documented_that_does_not_exist() -> None:
    text = "\n".join(DOCS.values())
    named = set(re.findall(r"(?:`|^)causalmix ([a-z][a-z-]*)", text, re.M))
    assert named - {verb.split()[0] for verb in VERBS} == set()


@pytest.mark.parametrize("setting", [*WorkspaceConfig.model_fields])
def test_every_setting_is_documented(setting: str) -> None:
    assert f"| `{setting}` |" in DOCS["WORKSPACE.md"]


@pytest.mark.parametrize("setting", [*DomainSource.model_fields])
def test_every_setting_of_a_source_is_documented(setting: str) -> None:
    assert f"| `domains.<name>.{setting}` |" in DOCS["WORKSPACE.md"]


def test_every_setting_of_a_mixed_source_is_documented() -> None:
    own = set(MixedSource.model_fields) - set(DomainSource.model_fields)
    assert own
    assert not [s for s in own if f"| `mixed_sources[].{s}` |" not in DOCS["WORKSPACE.md"]]


def test_every_folder_of_a_workspace_is_documented() -> None:
    assert not [f for f in FOLDERS if f"\n{f}/" not in DOCS["WORKSPACE.md"]]


@pytest.mark.parametrize("choices", [EstimatorName, DiscoveryMethod])
def test_every_method_is_documented(choices: object) -> None:
    names = choices.__args__  # type: ignore[attr-defined]
    assert names
    assert not [n for n in (*names, *POLICIES) if f"- `{n}`" not in DOCS["METHOD.md"]]


def test_reasons_for_skipping_are_words() -> None:
    assert all(" " in label or label.isalpha() for label in REASON_LABELS.values())


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    links = re.findall(r"\]\(([^)#:]+)\)", DOCS[name])
    assert not [link for link in links if not (folder / link).exists()]
