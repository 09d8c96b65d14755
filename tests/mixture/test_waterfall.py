from __future__ import annotations

import numpy as np
import pytest

from causalmix_core.effects import EffectModel, fit_effects
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import saturated_graph
from causalmix_core.mixture.waterfall import contributions
from causalmix_core.probes import RunTable
from tests.mixture.conftest import DOMAINS, OUTCOMES, draw_runs, true_losses

STATE = {"state/quality": 0.0}
REFERENCE = dict.fromkeys(DOMAINS, 0.25)
MIXTURE = {"books": 0.05, "code": 0.3, "math": 0.25, "web": 0.4}


def true_contributions(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """What each domain's move does, by the true surface's slopes on a fine way, (domain, outcome)."""
    found = np.zeros((len(start), len(OUTCOMES)))
    steps = 400
    for t in (np.arange(steps) + 0.5) / steps:
        here = start + t * (end - start)
        for k, direction in enumerate(np.eye(len(start)) - here):
            both = here + 1e-5 * np.outer([1, -1], direction)
            up, down = true_losses(both)
            found[k] += (end[k] - start[k]) * (up - down) / 2e-5 / steps
    return found


@pytest.mark.parametrize("estimator", ["gaussian_process", "lightgbm"])
def test_contributions_add_up_to_the_predicted_change(runs: RunTable, estimator: str) -> None:
    model = fit_effects(runs, saturated_graph(runs, by="t"), estimator=estimator, calibrated=False)  # type: ignore[arg-type]
    table = contributions(model, STATE, REFERENCE, MIXTURE)
    sums = table.groupby("outcome")["contribution"].sum()
    change = model.change(STATE, REFERENCE, MIXTURE).set_index("outcome")["change"]
    np.testing.assert_allclose(sums[change.index], change, atol=1e-12)
    still = table[table["domain"] == "math"]
    assert (still["moved"] == 0).all()
    assert (still["contribution"] == 0).all()


def test_contributions_are_those_of_the_true_surface() -> None:
    runs = draw_runs(120, noise=0.001)
    model = fit_effects(runs, saturated_graph(runs, by="t"), calibrated=False)
    table = contributions(model, STATE, REFERENCE, MIXTURE)
    found = table.pivot_table(index="domain", columns="outcome", values="contribution").loc[DOMAINS, OUTCOMES]
    ends = (np.array(list(m.values())) for m in (REFERENCE, MIXTURE))
    true = true_contributions(*ends)
    np.testing.assert_allclose(found, true, atol=0.1 * np.abs(true).max())


def test_nowhere_to_go_contributes_nothing(model: EffectModel) -> None:
    assert (contributions(model, STATE, REFERENCE, REFERENCE)["contribution"] == 0).all()


def test_other_domains_are_refused(model: EffectModel) -> None:
    with pytest.raises(CausalMixError, match="unknown domain news"):
        contributions(model, STATE, REFERENCE, {**MIXTURE, "news": 0.0})
