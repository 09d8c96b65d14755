"""What an edit of the graph does to the effects, on made-up effects and on fitted ones."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects import OBJECTIVE, fit_effects
from causalmix_core.effects.graph_difference import NOTICEABLE, compare_effects, graph_difference, touched
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import delete_edge, saturated_graph


def effects(rows: dict[tuple[str, str], tuple[float, float]]) -> pd.DataFrame:
    """(domain, outcome) -> (effect, half its interval)."""
    return pd.DataFrame(
        {
            "domain": [d for d, _ in rows],
            "outcome": [o for _, o in rows],
            "effect": [e for e, _ in rows.values()],
            "lower": [e - h for e, h in rows.values()],
            "upper": [e + h for e, h in rows.values()],
            "distinguishable": [abs(e) > h for e, h in rows.values()],
            "basis": "a path",
        }
    )


BEFORE = {
    ("code", "loss/code"): (-0.5, 0.1),
    ("web", "loss/code"): (0.2, 0.4),
    ("web", "loss/web"): (-1.0, 0.2),
}


def test_only_what_changed_is_listed_with_the_largest_change_first() -> None:
    after = BEFORE | {("web", "loss/web"): (-0.9, 0.2), ("code", "loss/code"): (-0.1, 0.2)}
    found = compare_effects(effects(BEFORE), effects(after), {"loss/code", "loss/web"})
    assert found.changed["outcome"].tolist() == ["loss/code", "loss/web"]
    assert found.changed["domain"].tolist() == ["code", "web"]
    assert found.changed["moved"].tolist() == pytest.approx([2.5, 0.5])  # an upper end by 0.5; all by 0.1
    first = found.changed.iloc[0]
    assert (first["effect_before"], first["effect_after"]) == (-0.5, -0.1)
    assert (first["distinguishable_before"], first["distinguishable_after"]) == (True, False)
    assert (found.same, found.beside, found.beside_most) == (1, 0, 0.0)


def test_what_moves_where_both_graphs_say_the_same_is_counted_apart() -> None:
    after = BEFORE | {("web", "loss/web"): (-0.9, 0.2), ("code", "loss/code"): (-0.1, 0.2)}
    found = compare_effects(effects(BEFORE), effects(after), {"loss/code"})
    assert found.changed["outcome"].tolist() == ["loss/code"]
    assert (found.same, found.beside) == (1, 1)
    assert found.beside_most == pytest.approx(0.5)


def test_an_effect_without_an_interval_that_appears_is_a_change() -> None:
    zero, one = ({("code", "loss/code"): (v, 0.0)} for v in (0.0, 0.1))
    assert compare_effects(effects(zero), effects(zero), {"loss/code"}).changed.empty
    assert len(compare_effects(effects(zero), effects(one), {"loss/code"}).changed) == 1


@settings(max_examples=25)
@given(st.permutations(range(3)), st.integers(-20, 20), st.floats(0.01, 1))
def test_order_of_rows_and_direction_of_time_do_not_matter(order, steps, half) -> None:
    shift = 0.6 * NOTICEABLE * half * steps  # no multiple of it lies on the border
    outcomes = {f"loss/{i}" for i in range(3)}
    before = effects({("a", o): (0.0, half) for o in sorted(outcomes)})
    after = effects({("a", f"loss/{i}"): (shift * i, half) for i in range(3)}).iloc[list(order)]
    there, back = compare_effects(before, after, outcomes), compare_effects(after, before, outcomes)
    expected = {f"loss/{i}" for i in range(3) if abs(shift * i) > NOTICEABLE * half}
    assert set(there.changed["outcome"]) == set(back.changed["outcome"]) == expected
    assert len(there.changed) + there.same == 3


def test_an_edge_that_goes_changes_the_effects_on_its_outcome_and_on_the_objective(runs) -> None:
    graph = saturated_graph(runs, by="ana")
    state = dict(zip(runs.states, runs.state().mean(axis=0), strict=True))
    reference = dict(zip(runs.domains, runs.weights().mean(axis=0), strict=True))
    edited = delete_edge(graph, "weight/code", "loss/code", by="ana")
    before, after = (fit_effects(runs, g, estimator="linear_dml", calibrated=False) for g in (graph, edited))
    assert touched(before, after) == {"loss/code", OBJECTIVE}
    found = graph_difference(before, after, state, reference)
    row = found.changed.set_index(["domain", "outcome"]).loc[("code", "loss/code")]
    assert "no effect of its own" in row["basis_after"]
    assert abs(row["effect_after"]) < abs(row["effect_before"])
    assert set(found.changed["outcome"]) <= {"loss/code", OBJECTIVE}
    fewer = replace(runs, frame=runs.frame.iloc[:-1])
    with pytest.raises(CausalMixError, match="cannot be compared"):
        graph_difference(
            before, fit_effects(fewer, graph, estimator="linear_dml", calibrated=False), state, reference
        )
