from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.export import export_yaml
from causalmix_core.mixture.store import (
    GraphReference,
    PredictedChange,
    SavedMixture,
    load_mixture,
    mixture_names,
    save_mixture,
)
from causalmix_core.workspace import Workspace, WorkspaceConfig


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", WorkspaceConfig(name="W"))


def mixture(name: str = "first", **fields: object) -> SavedMixture:
    values = {
        "name": name,
        "saved_at": datetime(2026, 1, 2, tzinfo=UTC),
        "by": "ada",
        "snapshot": "0123456789ab",
        "weights": {"code": 1 / 3, "web": 2 / 3},
        "reference": {"code": 0.5, "web": 0.5},
        "policy": "search",
        "radius": 0.25,
        "objective": {"loss/code": 1.0},
        "state": {"state/log_bytes": 7.5},
        "graph": GraphReference(name="main", revision=3),
        "estimator": "linear_dml",
        "probes": 48,
        "jobs": ["j1"],
        "predicted": {"loss/code": PredictedChange(change=-0.1, lower=-0.2, upper=-0.05)},
    }
    return SavedMixture.model_validate(values | fields)


def test_saving_counts_revisions_and_refuses_outdated_ones(empty: Workspace) -> None:
    assert save_mixture(empty, mixture(), None).revision == 1
    assert save_mixture(empty, mixture(by="bob"), 1).revision == 2
    with pytest.raises(CausalMixError, match=r"at revision 2 now, but you worked from revision 1.*Nothing"):
        save_mixture(empty, mixture(by="eve"), 1)
    with pytest.raises(CausalMixError, match="no mixture of this name"):
        save_mixture(empty, mixture(by="eve"), None)
    assert load_mixture(empty, "first").by == "bob"
    assert mixture_names(empty) == ["first"]


def test_bad_names_and_damaged_files_are_named(empty: Workspace) -> None:
    with pytest.raises(CausalMixError, match="cannot be a name"):
        save_mixture(empty, mixture(name="../x"), None)
    with pytest.raises(CausalMixError, match="no mixture named nope"):
        load_mixture(empty, "nope")
    (empty.mixtures / "bad.json").write_text("{")
    with pytest.raises(CausalMixError, match=r"bad\.json is damaged"):
        load_mixture(empty, "bad")


def test_the_export_says_what_and_how_much_and_from_where() -> None:
    text = export_yaml(mixture(), {"code": 1000, "web": 4000}, {"web": "/data/web"}, 10_000)
    read = yaml.safe_load(text)
    assert [d["name"] for d in read["domains"]] == ["code", "web"]
    assert sum(round(d["weight"] * 1e6) for d in read["domains"]) == 1_000_000
    assert sum(d["train_tokens"] for d in read["domains"]) == 10_000 == read["token_budget"]
    web = read["domains"][1]
    assert web == {
        "name": "web",
        "weight": 0.666667,
        "train_tokens": 6667,
        "pool_tokens": 4000,
        "epochs": 1.6667,
        "source": "/data/web",
    }
    origin = read["provenance"]
    assert origin["snapshot"] == "0123456789ab"
    assert origin["graph"] == {"name": "main", "revision": 3}
    assert origin["probes"] == 48
    assert origin["predicted_change"]["loss/code"] == {"change": -0.1, "lower": -0.2, "upper": -0.05}


def test_an_export_that_does_not_fit_the_snapshot_is_refused() -> None:
    with pytest.raises(CausalMixError, match="unknown domain web"):
        export_yaml(mixture(), {"code": 1000}, {}, 100)
    with pytest.raises(CausalMixError, match="token budget is 0"):
        export_yaml(mixture(), {"code": 1000, "web": 1}, {}, 0)
