from __future__ import annotations

import numpy as np
import pytest

from causalmix_core.effects import EffectModel
from causalmix_core.mixture.comparison import compare_mixtures, objective_words, provenance_words
from tests.mixture.conftest import DOMAINS
from tests.mixture.study import saved_mixture

EVEN = dict.fromkeys(DOMAINS, 0.25)
LEANING = {"books": 0.1, "code": 0.3, "math": 0.2, "web": 0.4}


def test_two_mixtures_side_by_side_with_what_lies_between_them(model: EffectModel) -> None:
    state = {"state/quality": 0.3}
    first = saved_mixture(weights=EVEN, reference=EVEN, state=state)
    second = saved_mixture("second", weights=LEANING, reference=EVEN, state=state, estimator="gp_law")
    found = compare_mixtures(first, second, model)
    assert found.distance == pytest.approx(0.2)
    assert found.weights.set_index("domain")["difference"].to_dict() == pytest.approx(
        {"books": -0.15, "code": 0.05, "math": -0.05, "web": 0.15}
    )
    assert found.apart is not None
    assert found.apart.equals(model.change(state, EVEN, LEANING))
    assert found.provenance["what"].tolist() == ["estimator"]
    assert found.notes == ()
    assert found.predictions.set_index("outcome").loc["loss/code", "second_mean_upper"] == 2.2


def test_what_differs_in_provenance_is_said_and_nothing_else() -> None:
    other = saved_mixture(
        "second",
        asked={"policy": "trust_region", "no_harm": {"loss/code": 0.01}, "constraints": {"radius": 0.1}},
        runs={"b": "1" * 16, "c": "2" * 16},
        objective={"loss/code": 0.75, "loss/web": 0.25},
        reference={"code": 0.4, "web": 0.6},
    )
    found = compare_mixtures(saved_mixture(), other)
    rows = found.provenance.set_index("what")
    assert set(rows.index) == {
        "objective", "policy", "constraints", "may not get worse", "reference", "runs that only it read",
    }  # fmt: skip
    assert rows.loc["runs that only it read"].tolist() == ["1: a", "1: c"]
    assert rows.loc["policy"].tolist() == ["search", "trust_region"]
    assert [n.split(",")[0] for n in found.notes] == [
        "They start from different references",
        "Their objectives weigh outcomes differently",
    ]
    assert found.apart is None


def test_mixtures_over_other_domains_are_not_forced_together(model: EffectModel) -> None:
    half = {"code": 0.5, "news": 0.5}
    found = compare_mixtures(saved_mixture(), saved_mixture("second", weights=half, reference=half), model)
    table = found.weights.set_index("domain")
    assert np.isnan(table.loc["web", "second"])
    assert np.isnan(table.loc["news", "difference"])
    assert found.distance is None
    assert found.apart is None
    assert "only first has web; only second has news" in found.notes[0]


def test_every_line_of_provenance_is_words() -> None:
    words = provenance_words(saved_mixture())
    assert all(words.values())
    assert words["runs"] == "2 of snapshot 0123456789ab, randomised"
    assert (
        objective_words({"a": 0.5, "b": 0.5, "c": 0.0}) == "the mean of 2 outcomes that count the same: a, b"
    )
    assert objective_words({"a": 0.75, "b": 0.25}) == "the weighted mean of 75% a, 25% b"
    assert objective_words({"a": 1.0}) == "a"
