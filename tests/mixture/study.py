"""A small workspace with text and simulated runs of it, for tests that need everything that a mixture rests
on."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from causalmix_core.corpus import STATE_FEATURES, open_snapshot
from causalmix_core.mixture.store import SavedMixture
from causalmix_core.workspace import Workspace

DOMAINS = ("code", "prose", "sums")
RUNS = 30


def losses(weights: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Each domain helps itself and, through the first state, code helps prose; (n, 3), nats."""
    helped = weights @ np.array([[1.0, 0.3, 0.1], [0.1, 1.0, 0.1], [0.0, 0.0, 0.6]])
    strength = np.exp(0.3 * state[:, :1])
    return 3 + strength * (0.08 + helped) ** -0.4


def write_runs(
    workspace: Workspace, count: int = RUNS, name: str = "simulated", seed: int = 0
) -> pd.DataFrame:
    """Rows of the run table as a finished swarm of `count` probes leaves them, around the snapshot's
    state."""
    snapshot = open_snapshot(workspace)
    rng = np.random.default_rng(seed)
    weights = 0.02 + 0.94 * rng.dirichlet(np.ones(len(DOMAINS)), size=count)
    centre = np.array(list(snapshot.state(STATE_FEATURES).values()))
    deviations = rng.normal(size=(count, len(centre)))
    measured = losses(weights, deviations) + 0.01 * rng.normal(size=(count, len(DOMAINS)))
    rows = pd.DataFrame(
        {
            "run": [f"{name}-{i:04d}" for i in range(count)],
            "job": name,
            "probe": range(count),
            "status": "finished",
            "snapshot": snapshot.id,
            "assignment": "randomised",
            "seed": np.arange(count) + 1000 * seed,
            **{f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)},
            **{
                f"state/{f}": centre[i] + 0.05 * abs(centre[i]) * deviations[:, i]
                for i, f in enumerate(STATE_FEATURES)
            },
            **{f"loss/{d}": measured[:, i] for i, d in enumerate(DOMAINS)},
        }
    )
    rows.to_parquet(workspace.runs / f"{name}-0000.parquet", index=False)
    return rows


def saved_mixture(name: str = "first", **fields: object) -> SavedMixture:
    """A saved mixture that nothing on disk backs; keywords replace its fields."""
    predicted = {"change": -0.1, "lower": -0.2, "upper": -0.05}
    expected = {"mean": 2.0, "lower": 1.8, "upper": 2.2}
    values = {
        "name": name,
        "saved_at": datetime(2026, 1, 2, tzinfo=UTC),
        "by": "ada",
        "software": "causalmix 0",
        "snapshot": "0123456789ab",
        "runs_of": "0123456789ab",
        "weights": {"code": 0.25, "web": 0.75},
        "reference": {"code": 0.5, "web": 0.5},
        "reference_is": "the weights by size",
        "state": {"state/log_bytes": 7.5},
        "tokens": {"code": 1000, "web": 4000},
        "asked": {"policy": "search", "constraints": {"radius": 0.25}},
        "objective": {"loss/code": 1.0},
        "estimator": "linear_dml",
        "graph": {"name": "main", "revision": 3},
        "runs": {"a": "0" * 16, "b": "1" * 16},
        "assignments": ["randomised"],
        "jobs": ["j1"],
        "predicted": {"loss/code": predicted, "objective": predicted},
        "expected": {"loss/code": expected, "objective": expected},
    }
    return SavedMixture.model_validate(values | fields)
