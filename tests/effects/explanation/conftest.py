"""A world with known effects: what code does depends on one pool state, and two domains work together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from causalmix_core.effects import EffectModel, fit_effects
from causalmix_core.graph import delete_edge, saturated_graph
from causalmix_core.probes.runs import RunTable

DOMAINS = ["books", "code", "junk", "web"]
DUPLICATION, LENGTH, SOURCE = "state/duplication", "state/length", "state/source"


def duplication_effect(duplication: np.ndarray) -> np.ndarray:
    """By what the use of code is multiplied."""
    return 1 - (duplication - 0.3) / 0.25


def code_loss(weights: np.ndarray, state: np.ndarray) -> np.ndarray:
    return 3 + 0.002 * state[:, 1] - duplication_effect(state[:, 0]) * weights[:, 1] + 0.3 * weights[:, 0]


def quiz(weights: np.ndarray) -> np.ndarray:
    """Better high; books and web are worth more together."""
    return 0.3 + weights[:, 1] + 6 * weights[:, 0] * weights[:, 3]


@dataclass(frozen=True)
class Known:
    """Fitted effects, the pool and the mixture to ask at."""

    model: EffectModel
    state: dict[str, float]
    mixture: dict[str, float]


@pytest.fixture(scope="session")
def table() -> RunTable:
    rng = np.random.default_rng(5)
    n = 72
    weights = 0.02 + 0.92 * rng.dirichlet(np.full(4, 1.5), n)
    state = np.column_stack([rng.uniform(0.1, 0.5, n), rng.normal(100, 20, n), np.full(n, 7.0)])
    frame = pd.DataFrame(state, columns=[DUPLICATION, LENGTH, SOURCE])
    frame[[f"weight/{d}" for d in DOMAINS]] = weights
    frame["loss/code"] = code_loss(weights, state) + rng.normal(0, 0.01, n)
    frame["benchmark/quiz"] = quiz(weights) + rng.normal(0, 0.01, n)
    return RunTable.from_frame(frame.assign(assignment="randomised"))


@pytest.fixture(scope="session")
def known(table: RunTable) -> Known:
    """Junk has no path to the loss, and no pool state one to the quiz."""
    graph = saturated_graph(table, by="test")
    wrong = [("weight/junk", "loss/code"), *((s, "benchmark/quiz") for s in table.states)]
    for edge in wrong:
        graph = delete_edge(graph, *edge, by="test")
    model = fit_effects(table, graph, calibrated=False)
    state = {DUPLICATION: 0.2, LENGTH: 100.0, SOURCE: 7.0}
    return Known(model, state, {"books": 0.3, "code": 0.3, "junk": 0.2, "web": 0.2})


@pytest.fixture(scope="session")
def blind(table: RunTable) -> EffectModel:
    """Fitted by an estimator that looks at weights alone."""
    return fit_effects(
        table, saturated_graph(table, by="test"), estimator="linear_regression", calibrated=False
    )
