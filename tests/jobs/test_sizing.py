"""How a swarm is divided by what the machine's memory holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.corpus.measuring import cores
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec
from causalmix_core.proxy import PRESETS, memory
from causalmix_core.proxy.memory import SHARE, free_memory
from causalmix_core.workspace import Workspace
from jobs import LocalEngine, sizing
from jobs.sizing import divide

GIB = 1 << 30


def with_memory(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(memory, "_free_memory", lambda: size)


def a_swarm(probes: int = 48, preset: str = "nano", tokens: int | None = None) -> SwarmSpec:
    proxy = PRESETS[preset]  # type: ignore[index]
    return SwarmSpec(probes=probes, proxy=proxy.model_copy(update={"tokens": tokens or proxy.tokens}))


@given(st.integers(1, 400), st.integers(1, 64))
def test_every_worker_gets_as_many_shards_as_any_other(probes: int, workers: int) -> None:
    found = divide(a_swarm(probes), "cpu", workers)
    assert 1 <= found.workers <= min(workers, probes)
    assert found.shards <= probes
    assert found.shards % found.workers == 0 or found.shards == probes
    assert found.per_shard == -(-probes // found.shards)


def test_all_proxies_of_a_shard_fit_into_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory(monkeypatch, 8 * GIB)
    roomy = divide(a_swarm(), "cpu", 2)
    # 400 MB of tokens per probe: as many as before would need more than a worker has.
    tight = divide(a_swarm(tokens=200_000_000), "cpu", 2)
    assert tight.per_shard < roomy.per_shard
    for found in (roomy, tight):
        assert found.workers * found.shard_bytes <= SHARE * 8 * GIB


def test_there_are_fewer_workers_where_not_each_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = divide(a_swarm(preset="deci"), "cpu", 1).shard_bytes
    with_memory(monkeypatch, int(2.5 * alone / SHARE))
    assert divide(a_swarm(preset="deci"), "cpu", 8).workers == 2


def test_a_proxy_that_is_too_large_is_refused_with_the_estimate_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    with_memory(monkeypatch, 1 * GIB)
    swarm = a_swarm(preset="hecto")
    engine = LocalEngine()
    for ask in (engine.check, engine.submit):
        with pytest.raises(
            CausalMixError, match=r"One proxy of .* needs about [\d.]+ GiB to train; [\d.]+ MiB can"
        ):
            ask(workspace, swarm)
    assert engine.jobs(workspace) == []
    assert list(workspace.jobs.iterdir()) == []


def test_on_a_gpu_the_tokens_have_to_fit_into_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory(monkeypatch, 1 * GIB)
    monkeypatch.setattr(sizing, "stack_size", lambda proxy, device: 128)
    most = divide(a_swarm(128, tokens=50_000_000), "cuda", 1)
    assert most.per_shard * 100_000_000 <= SHARE * GIB
    with pytest.raises(CausalMixError, match=r"training tokens of one proxy take 1\.9 GiB"):
        divide(a_swarm(128, tokens=1_000_000_000), "cuda", 1)


def test_a_swarm_is_divided_without_loading_torch(workspace: Workspace) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from causalmix_core.probes import SwarmSpec\nfrom causalmix_core.workspace import Workspace\n"
        "from jobs import LocalEngine\n"
        "found = LocalEngine().check(Workspace(Path(sys.argv[1])), SwarmSpec(), workers=1)\n"
        "print(found.device, found.workers, 'torch' in sys.modules)\n"
    )
    if Path("/dev/nvidiactl").exists():
        pytest.skip("on a machine with a GPU torch is asked whether it can be used")
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "cpu 1 False\n"
    assert LocalEngine.means() == ("cpu", cores())
    assert free_memory("cpu") > 0
