"""The design view of the probes page: which swarm it would launch, and what it refuses in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from streamlit.testing.v1 import AppTest

from causalmix_core.probes import SwarmSpec
from causalmix_core.proxy import ProxySpec
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from pages.probe_views.proxy_panel import FINE_TUNE, first_mistake


def script() -> None:
    from causalmix_core.corpus import open_snapshot
    from pages.probe_views import designing
    from pages.widgets.shell import open_workspace

    workspace = open_workspace()
    designing.show(workspace, open_snapshot(workspace), first=True)


@pytest.fixture
def view(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return AppTest.from_function(script, default_timeout=60).run()


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[SwarmSpec]:
    """What would be launched; training it is the business of other tests."""
    swarms: list[SwarmSpec] = []

    def submit(self: LocalEngine, workspace: Workspace, swarm: SwarmSpec) -> str:
        swarms.append(swarm)
        return "20260101-000000-0000"

    monkeypatch.setattr(LocalEngine, "submit", submit)
    return swarms


def labelled(elements: object, label: str) -> object:
    return next(e for e in elements if e.label == label)  # type: ignore[attr-defined]


def launch(view: AppTest) -> None:
    labelled(view.button, "Launch the swarm").click()
    view.run()
    assert not view.exception


def test_the_first_click_launches_the_demos_swarm(view: AppTest, launched: list[SwarmSpec]) -> None:
    assert not view.exception
    launch(view)
    assert launched == [SwarmSpec()]


def test_family_and_tokenizer_reach_the_swarm(view: AppTest, launched: list[SwarmSpec]) -> None:
    labelled(view.selectbox, "Family").select("gpt2")
    labelled(view.toggle, "Read words and pieces of words").set_value(True)
    view.run()
    labelled(view.select_slider, "Vocabulary").set_value(1024)
    labelled(view.number_input, "Training tokens per probe").set_value(20_000)
    view.run()
    launch(view)
    assert launched[0].proxy == ProxySpec(family="gpt2", tokenizer="bpe", vocabulary=1024, tokens=20_000)


def test_a_pretrained_model_that_is_not_there_is_refused_before_launch(view: AppTest, tmp_path: Path) -> None:
    labelled(view.selectbox, "Proxy").select(FINE_TUNE)
    view.run()
    assert not [b for b in view.button if b.label == "Launch the swarm"]
    assert not view.error
    labelled(view.text_input, "Model").input(str(tmp_path / "nowhere"))
    view.run()
    assert not view.exception
    assert str(tmp_path / "nowhere") in view.error[0].value
    assert not [b for b in view.button if b.label == "Launch the swarm"]


def test_tasks_without_their_folder_are_refused(view: AppTest) -> None:
    labelled(view.text_input, "Tasks").input("arithmetic")
    view.run()
    assert "tasks_folder" in view.error[0].value


def test_a_proxy_beyond_the_memory_is_said_before_launch(
    view: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from causalmix_core.proxy import memory

    monkeypatch.setattr(memory, "_free_memory", lambda: 1 << 20)
    view.run()
    assert "parameters needs about" in view.error[0].value
    assert not [b for b in view.button if b.label == "Launch the swarm"]


def test_what_this_machine_holds_does_not_keep_a_swarm_from_a_cluster(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from causalmix_core.proxy import memory

    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(memory, "_free_memory", lambda: 1 << 20)
    view = AppTest.from_function(script, default_timeout=60).run()
    assert "parameters needs about" in view.error[0].value
    labelled(view.selectbox, "Train on").select("ray")
    view.run()
    assert not view.error
    launch(view)
    assert "127.0.0.1:1" in view.error[0].value  # the cluster itself is asked, and nobody answers there
    assert LocalEngine().jobs(workspace) == []


def test_a_mistake_is_one_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        ProxySpec(tokens=3)
    assert first_mistake(caught.value) == "tokens: Input should be greater than or equal to 1000."
    with pytest.raises(ValidationError) as caught:
        ProxySpec(hidden_size=24, heads=5)
    assert first_mistake(caught.value).startswith("Hidden_size 24 must divide")
