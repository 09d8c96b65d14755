"""The example of docs/METHOD.md in which removing one wrong edge changes the suggestion, computed anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from causalmix_core.effects import fit_effects
from causalmix_core.graph import CausalGraph, delete_edge, saturated_graph
from causalmix_core.mixture import Suggestion, suggest
from causalmix_core.probes import RunTable

METHOD = Path(__file__).parents[2] / "docs" / "METHOD.md"
STATE = {"state/log_bytes": 0.0}
EVEN = {"code": 1 / 3, "web": 1 / 3, "junk": 1 / 3}


def runs() -> RunTable:
    """32 noisy runs of a world in which code and web lower the loss on Python, and junk does nothing."""
    rng = np.random.default_rng(3)
    weights = rng.dirichlet([2, 2, 2], 32)
    loss = 3.0 - 0.35 * np.log(weights[:, 0] + 0.05) - 0.25 * np.log(weights[:, 1] + 0.05)
    frame = {
        "run": [f"r{i}" for i in range(32)],
        "status": "finished",
        "assignment": "randomised",
        "weight/code": weights[:, 0],
        "weight/web": weights[:, 1],
        "weight/junk": weights[:, 2],
        "state/log_bytes": rng.normal(size=32),
        "loss/python": loss + rng.normal(0, 0.15, 32),
    }
    return RunTable.from_frame(pd.DataFrame(frame))


def suggestion(graph: CausalGraph) -> Suggestion:
    model = fit_effects(runs(), graph, objective={"loss/python": 1.0})
    return suggest(model, STATE, EVEN)


def test_removing_the_wrong_edge_turns_stay_into_a_suggestion() -> None:
    everything = saturated_graph(runs(), by="you")
    assert suggestion(everything).stay
    right = delete_edge(everything, "weight/junk", "loss/python", by="you", why="junk is nothing like Python")
    found = suggestion(right)
    assert not found.stay
    said = {d: round(100 * w) for d, w in found.mixture.items()}
    page = " ".join(METHOD.read_text().split())
    assert f"{said['code']}% code, {said['web']}% web and {said['junk']}% junk" in page
