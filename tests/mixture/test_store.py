from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.store import (
    find_mixture,
    load_mixture,
    mixture_names,
    read_mixture,
    save_mixture,
    weights_for,
)
from causalmix_core.workspace import Workspace, WorkspaceConfig
from tests.mixture.study import saved_mixture


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", WorkspaceConfig(name="W"))


def test_saving_counts_revisions_and_refuses_outdated_ones(empty: Workspace) -> None:
    assert save_mixture(empty, saved_mixture(), None).revision == 1
    assert save_mixture(empty, saved_mixture(by="bob"), 1).revision == 2
    with pytest.raises(CausalMixError, match=r"at revision 2 now, but you worked from revision 1.*Nothing"):
        save_mixture(empty, saved_mixture(by="eve"), 1)
    with pytest.raises(CausalMixError, match="no mixture of this name"):
        save_mixture(empty, saved_mixture(by="eve"), None)
    assert load_mixture(empty, "first").by == "bob"
    assert mixture_names(empty) == ["first"]


def test_what_is_saved_is_read_back_bit_by_bit(empty: Workspace) -> None:
    odd = {"code": 0.1 + 0.2, "web": 1 - (0.1 + 0.2)}
    saved = save_mixture(empty, saved_mixture(weights=odd), None)
    assert load_mixture(empty, "first") == saved
    assert load_mixture(empty, "first").weights == odd


def test_a_mixture_is_found_by_name_and_by_file(empty: Workspace, tmp_path: Path) -> None:
    saved = save_mixture(empty, saved_mixture(), None)
    elsewhere = tmp_path / "copy.json"
    elsewhere.write_text(saved.model_dump_json())
    for named in ("first", "mixtures/first.json", "first.json", str(elsewhere)):
        assert find_mixture(empty, named) == saved
    with pytest.raises(CausalMixError, match=r"no file other\.json.*mixtures/first\.json"):
        find_mixture(empty, "other.json")
    with pytest.raises(CausalMixError, match=r"no mixture named other\. Saved mixtures: first"):
        find_mixture(empty, "other")


def test_bad_names_and_damaged_files_are_named(empty: Workspace) -> None:
    with pytest.raises(CausalMixError, match="cannot be a name"):
        save_mixture(empty, saved_mixture(name="../x"), None)
    (empty.mixtures / "bad.json").write_text("{")
    with pytest.raises(CausalMixError, match=r"bad\.json is damaged"):
        load_mixture(empty, "bad")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights": {"code": 0.25, "web": 0.85}}, r"the weights sum to 1\.1, not to 1"),
        ({"weights": {"code": -0.25, "web": 1.25}}, "negative or not finite"),
        ({"weights": {"code": 0.5, "news": 0.5}}, "of other domains"),
        ({"estimator": 3}, "estimator: "),
        ({"surprise": 1}, "surprise: "),
    ],
)
def test_an_edited_file_is_refused_and_never_made_to_fit(
    empty: Workspace, fields: dict[str, object], words: str
) -> None:
    path = empty.mixtures / "first.json"
    path.write_text(json.dumps(json.loads(saved_mixture().model_dump_json()) | fields))
    before = path.read_bytes()
    with pytest.raises(CausalMixError, match=words):
        read_mixture(path)
    with pytest.raises(CausalMixError, match=r"first\.json is damaged"):
        save_mixture(empty, saved_mixture(), 1)
    assert path.read_bytes() == before


def test_a_file_of_an_older_version_says_so(empty: Workspace) -> None:
    old = json.loads(saved_mixture().model_dump_json())
    for field in ("format", "asked", "runs", "software"):
        del old[field]
    (empty.mixtures / "old.json").write_text(json.dumps(old | {"policy": "search", "probes": 48}))
    with pytest.raises(CausalMixError, match=r"old\.json was saved by an older version.*left as it is"):
        load_mixture(empty, "old")


def test_weights_are_not_shared_out_anew_when_domains_changed() -> None:
    saved = saved_mixture()
    assert weights_for(saved, ["web", "code"], "snapshot x") == saved.weights
    with pytest.raises(CausalMixError, match="snapshot x: it has no code and it has scripts besides"):
        weights_for(saved, ["web", "scripts"], "snapshot x")
    with pytest.raises(CausalMixError, match=r"it has no web.*Nothing was changed"):
        weights_for(saved, ["code"], "snapshot x")
