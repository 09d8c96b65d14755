"""The share of resamples that find an edge: the same for any number of workers, kept, and stopped at once."""

import numpy as np
import psutil
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    DiscoverySettings,
    Knowledge,
    edge_stability,
    load_stability,
    save_stability,
    stability_key,
)
from causalmix_core.graph.stability import FOLDER, EdgeShares, Stability
from causalmix_core.graph.store import list_graphs
from causalmix_core.probes import RunTable
from causalmix_core.workspace import Workspace, WorkspaceConfig


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "workspace", WorkspaceConfig(name="Graphs"))


def test_true_edges_are_found_in_most_halves_and_false_ones_in_few(make_world):
    world = make_world(256, 0)
    shares = {
        (s.a, s.b): s for s in edge_stability(world.runs, DiscoverySettings(), resamples=20, workers=0).shares
    }
    true = {tuple(sorted(pair)) for pair in world.weight_edges | world.state_edges}
    true |= {("state/s0", "state/s1")}
    assert np.mean([shares[pair].linked if pair in shares else 0 for pair in true]) > 0.9
    assert max((s.linked for pair, s in shares.items() if pair not in true), default=0) <= 0.3
    assert shares["state/s0", "state/s1"].undirected > 0.8
    # a weight comes before an outcome, whatever their names
    assert all(s.forward == 0 for (a, b), s in shares.items() if a.startswith("loss") and b != a)


def test_the_number_of_workers_does_not_matter(make_world):
    """FCI prints where it is told not to, and uses causal-learn's own matrices: the hardest to isolate."""
    runs = make_world(128, 1).runs
    settings = DiscoverySettings(method="fci")
    found = [edge_stability(runs, settings, resamples=9, seed=3, workers=workers) for workers in (0, 2)]
    assert found[0].shares
    assert found[0].shares == found[1].shares
    assert found[0].key == found[1].key
    other = edge_stability(runs, settings, resamples=9, seed=4, workers=0)
    assert other.shares != found[0].shares
    assert other.key != found[0].key


def test_required_and_forbidden_edges_hold_in_every_half(make_world):
    world = make_world(128, 0)
    false = next(
        (f"weight/d{k}", "loss/m0") for k in range(6) if (f"weight/d{k}", "loss/m0") not in world.weight_edges
    )
    true = sorted(world.weight_edges)[0]
    knowledge = Knowledge(required=(false,), forbidden=(true,))
    found = edge_stability(world.runs, DiscoverySettings(), knowledge, resamples=6, workers=0)
    shares = {(s.a, s.b): s.linked for s in found.shares}
    assert shares["loss/m0", false[0]] == 1
    assert tuple(sorted(true)) not in shares


def test_a_stopped_search_leaves_no_process(make_world):
    class StopError(Exception):
        pass

    started = []

    def stop(fraction, doing):
        started.extend(psutil.Process().children())
        if started:
            raise StopError

    with pytest.raises(StopError):
        edge_stability(
            make_world(256, 0).runs, DiscoverySettings(method="pc"), resamples=500, workers=2, progress=stop
        )
    assert started
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def test_a_worker_that_is_killed_is_said_in_words(make_world):
    def kill(fraction, doing):
        for child in psutil.Process().children():
            child.kill()

    with pytest.raises(CausalMixError, match="process that does a part of the work has ended"):
        edge_stability(
            make_world(256, 0).runs, DiscoverySettings(method="pc"), resamples=500, workers=2, progress=kill
        )


def test_progress_reaches_the_end(make_world):
    told = []
    edge_stability(
        make_world(64, 0).runs,
        DiscoverySettings(),
        resamples=5,
        workers=0,
        progress=lambda fraction, doing: told.append((fraction, doing)),
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert told[-1] == (1.0, "5 resamples searched")


def test_a_column_that_is_constant_in_a_half_is_no_obstacle(make_world):
    frame = make_world(80, 0).runs.frame.copy()
    frame["state/rare"] = [1.0, *[0.0] * 79]
    found = edge_stability(RunTable.from_frame(frame), DiscoverySettings(), resamples=6, workers=0)
    assert "state/rare" in found.columns


def test_too_few_runs_and_impossible_numbers_are_refused_in_words(make_world):
    with pytest.raises(CausalMixError, match="until there are 40; now there are 39"):
        edge_stability(make_world(39, 0).runs, DiscoverySettings())
    assert edge_stability(make_world(40, 0).runs, DiscoverySettings(), resamples=1).size == 20
    for resamples in (0, 10_001):
        with pytest.raises(CausalMixError, match=f"{resamples} resamples are not possible"):
            edge_stability(make_world(64, 0).runs, DiscoverySettings(), resamples=resamples)


def test_results_are_kept_under_their_question(make_world, workspace):
    runs = make_world(64, 0).runs
    settings = DiscoverySettings()
    found = edge_stability(runs, settings, resamples=3)
    assert found.key == stability_key(runs, settings, Knowledge(), 3, 0)
    assert load_stability(workspace, found.key) is None
    path = save_stability(workspace, found)
    assert path.parent.name == FOLDER
    assert load_stability(workspace, found.key) == found
    assert list_graphs(workspace) == {}


def test_the_key_follows_what_decides_the_answer(make_world):
    runs = make_world(64, 0).runs
    base = stability_key(runs, DiscoverySettings(), Knowledge(), 10, 0)
    # BOSS reads no level
    assert stability_key(runs, DiscoverySettings(alpha=0.2), Knowledge(), 10, 0) == base
    elsewhere = Knowledge(required=(("latent/taste", "loss/m0"),))
    assert stability_key(runs, DiscoverySettings(), elsewhere, 10, 0) == base
    changed = runs.frame.copy()
    changed.loc[0, "loss/m0"] += 1e-9
    others = {
        stability_key(RunTable.from_frame(changed), DiscoverySettings(), Knowledge(), 10, 0),
        stability_key(
            RunTable.from_frame(runs.frame.assign(assignment="observational")),
            DiscoverySettings(),
            Knowledge(),
            10,
            0,
        ),
        stability_key(runs, DiscoverySettings(penalty=2), Knowledge(), 10, 0),
        stability_key(runs, DiscoverySettings(method="pc"), Knowledge(), 10, 0),
        stability_key(runs, DiscoverySettings(), Knowledge(forbidden=(("state/s0", "loss/m0"),)), 10, 0),
        stability_key(runs, DiscoverySettings(), Knowledge(), 11, 0),
        stability_key(runs, DiscoverySettings(), Knowledge(), 10, 1),
    }
    assert len(others | {base}) == 8


def test_a_damaged_or_foreign_file_is_named(make_world, workspace):
    found = edge_stability(make_world(64, 0).runs, DiscoverySettings(), resamples=2)
    path = save_stability(workspace, found)
    path.rename(path.with_name("0" * 32 + ".json"))
    with pytest.raises(CausalMixError, match="holds the result of another search"):
        load_stability(workspace, "0" * 32)
    path.write_text('{"key": 1}')
    with pytest.raises(CausalMixError, match=f"{found.key}.json is damaged"):
        load_stability(workspace, found.key)
    with pytest.raises(CausalMixError, match="names no result"):
        load_stability(workspace, "../../workspace")


@pytest.mark.parametrize(
    "fields",
    [
        {"a": "state/b", "b": "state/a"},
        {"forward": 0.7, "backward": 0.4},
        {"forward": 1.1},
        {"forward": -0.1},
    ],
)
def test_shares_that_cannot_be_are_refused(fields):
    whole = {
        "a": "state/a",
        "b": "state/b",
        **dict.fromkeys(["forward", "backward", "undirected", "bidirected"], 0.0),
    }
    EdgeShares.model_validate(whole)
    with pytest.raises(ValueError, match="1 validation error"):
        EdgeShares.model_validate(whole | fields)
    assert set(EdgeShares.model_fields) == set(whole)
    assert "shares" in Stability.model_fields
