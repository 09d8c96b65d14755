"""What an edit of the graph does to the effects, on made-up effects and on fitted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.effects import OBJECTIVE, fit_effects
from causalmix_core.effects.graph_difference import NOTICEABLE, graph_difference
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import delete_edge, saturated_graph


def effects(rows: dict[tuple[str, str], tuple[float, float]], basis: str = "a path") -> pd.DataFrame:
    """(domain, outcome) -> (effect, half its interval)."""
    return pd.DataFrame(
        {
            "domain": [d for d, _ in rows],
            "outcome": [o for _, o in rows],
            "effect": [e for e, _ in rows.values()],
            "lower": [e - h for e, h in rows.values()],
            "upper": [e + h for e, h in rows.values()],
            "distinguishable": [abs(e) > h for e, h in rows.values()],
            "basis": basis,
        }
    )


BEFORE = {
    ("code", "loss/code"): (-0.5, 0.1),
    ("web", "loss/code"): (0.2, 0.4),
    ("web", "loss/web"): (-1.0, 0.2),
}


def test_only_what_changed_is_listed_with_the_largest_change_first() -> None:
    after = BEFORE | {("web", "loss/web"): (-0.9, 0.2), ("code", "loss/code"): (-0.1, 0.2)}
    found = graph_difference(effects(BEFORE), effects(after))
    assert found.changed[["domain", "outcome"]].to_numpy().tolist() == [
        ["code", "loss/code"],
        ["web", "loss/web"],
    ]
    assert found.changed["moved"].tolist() == pytest.approx([2.5, 0.5])  # an upper end by 0.5; all by 0.1
    first = found.changed.iloc[0]
    assert (first["effect_before"], first["effect_after"]) == (-0.5, -0.1)
    assert (first["distinguishable_before"], first["distinguishable_after"]) == (True, False)
    assert (found.restated, found.same) == (0, 1)


def test_another_statement_with_the_same_number_is_counted_and_not_listed() -> None:
    found = graph_difference(effects(BEFORE), effects(BEFORE, basis="another path"))
    assert found.changed.empty
    assert (found.restated, found.same) == (3, 0)


def test_an_effect_without_an_interval_that_appears_is_a_change() -> None:
    zero = {("code", "loss/code"): (0.0, 0.0)}
    assert graph_difference(effects(zero), effects(zero)).changed.empty
    assert len(graph_difference(effects(zero), effects({("code", "loss/code"): (0.1, 0.0)})).changed) == 1


@given(st.permutations(range(3)), st.integers(-20, 20), st.floats(0.01, 1))
def test_order_of_rows_and_direction_of_time_do_not_matter(order, steps, half) -> None:
    shift = 0.6 * NOTICEABLE * half * steps  # no multiple of it lies on the border
    before = effects({("a", f"loss/{i}"): (0.0, half) for i in range(3)})
    after = effects({("a", f"loss/{i}"): (shift * i, half) for i in range(3)}).iloc[list(order)]
    there, back = graph_difference(before, after), graph_difference(after, before)
    assert set(there.changed["outcome"]) == set(back.changed["outcome"])
    expected = {f"loss/{i}" for i in range(3) if abs(shift * i) > NOTICEABLE * half}
    assert set(there.changed["outcome"]) == expected
    assert len(there.changed) + there.same + there.restated == 3


def test_other_domains_are_refused() -> None:
    with pytest.raises(CausalMixError, match="other domains or outcomes"):
        graph_difference(effects(BEFORE), effects({**BEFORE, ("maths", "loss/web"): (0.0, 1.0)}))


def test_removing_the_edges_of_a_weight_shows_in_its_own_outcome_first(runs) -> None:
    """In a fitted model, the outcome whose edge went has changed; another that shares nothing has not."""
    graph = saturated_graph(runs, by="ana")
    state = dict(zip(runs.states, runs.state().mean(axis=0), strict=True))
    reference = dict(zip(runs.domains, runs.weights().mean(axis=0), strict=True))
    edited = delete_edge(graph, "weight/code", "loss/code", by="ana")
    before, after = (
        fit_effects(runs, g, estimator="linear_dml", calibrated=False).effects(state, reference)
        for g in (graph, edited)
    )
    found = graph_difference(before, after)
    mine = found.changed[found.changed["outcome"] == "loss/code"]
    assert "code" in set(mine["domain"])
    row = mine.set_index("domain").loc["code"]
    assert row["restated"]
    assert "no effect of its own" in row["basis_after"]
    assert abs(row["effect_after"]) < abs(row["effect_before"])
    assert set(found.changed["outcome"]) <= {"loss/code", OBJECTIVE}
    assert np.isfinite(found.changed["moved"]).all()
