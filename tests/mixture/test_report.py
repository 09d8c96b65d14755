"""The report: one file, no request to anywhere, every recorded number in it, and nothing that could run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from causalmix_core.effects import OBJECTIVE, EffectModel
from causalmix_core.graph import saturated_graph
from causalmix_core.mixture.record import expected_values, mixture_record, predicted_changes
from causalmix_core.mixture.report import report_html
from causalmix_core.mixture.reporting.figures import Interval, Step, intervals, signed, waterfall, weight_bars
from causalmix_core.mixture.robustness import Robustness
from causalmix_core.mixture.shift import pool_shift
from causalmix_core.mixture.store import Asked, GraphReference, SavedMixture
from causalmix_core.probes import RunTable
from causalmix_core.question import Question
from tests.mixture.conftest import DOMAINS, OUTCOMES

REFERENCE = dict.fromkeys(DOMAINS, 0.25)
WEIGHTS = {"books": 0.1, "code": 0.3, "math": 0.2, "web": 0.4}
VOID = {"meta", "rect", "line", "circle"}


class Reader(HTMLParser):
    """Checks that every element is closed, and keeps names, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def question(runs: RunTable, model: EffectModel) -> Question:
    return Question(
        pool="import-x",
        snapshot=None,
        runs=runs,
        graph=saturated_graph(runs, by="test"),
        graph_reference=GraphReference(name="assumed", revision=None),
        objective=model.objective,
        state={"state/quality": 0.2},
        reference=REFERENCE,
        reference_is="the mean of 48 runs",
    )


@pytest.fixture(scope="module")
def saved(question: Question, model: EffectModel) -> SavedMixture:
    asked = Asked.model_validate(
        {
            "policy": "search",
            "constraints": {"radius": 0.2, "bounds": {"code": [0, 0.3]}, "token_budget": 10**9},
        }
    )
    record = mixture_record(question, model, WEIGHTS, name="next", by="ada", asked=asked)
    return record.model_copy(update={"tokens": dict.fromkeys(DOMAINS, 10**8)})


def test_a_report_asks_nobody_for_anything(
    saved: SavedMixture, question: Question, model: EffectModel
) -> None:
    text = report_html(saved, question, model)
    assert "http" not in text.lower()
    assert "url(" not in text
    assert "@import" not in text
    read = Reader(text)
    assert not {t for t, _ in read.tags} & {"script", "link", "img", "iframe", "object", "embed", "base", "a"}
    assert not [a for _, attrs in read.tags for a in attrs if a in ("src", "href") or a.startswith("on")]
    assert "@page" in text
    assert "@media print" in text


def test_every_recorded_number_stands_in_it(
    saved: SavedMixture, question: Question, model: EffectModel
) -> None:
    text = Reader(report_html(saved, question, model)).text
    goal = saved.predicted[OBJECTIVE]
    assert goal.upper < 0
    assert f"Predicted to lower the objective by {-goal.change:.4f}." in text
    assert "It moves 20.0 points of weight from the mean of 48 runs" in text
    for outcome in OUTCOMES:
        p, v = saved.predicted[outcome], saved.expected[outcome]
        assert f"{outcome} {signed(p.change)} {signed(p.lower)} to {signed(p.upper)}" in text
        assert f"{v.mean:.4f} {v.lower:.4f} to {v.upper:.4f}" in text
    assert re.search(r"web 40\.00% 25\.00% \+15\.00 400M 100M 4\.00", text)
    assert "code at most 30%" in text
    assert re.search(r"code 30% 5% to 30% code at most 30%", text)
    assert "All of the weight that may move does" in text
    assert "causalmix suggest --from mixtures/next.json" in text
    assert "suggested by Search" in text
    assert "books falls from 25.00% to 10.00%" in text


def test_names_cannot_put_anything_into_it(
    saved: SavedMixture, question: Question, model: EffectModel
) -> None:
    bad = "<script>alert('http')</script>"
    asked = saved.asked.model_validate(
        saved.asked.model_dump()
        | {"constraints": {"groups": [{"name": bad, "domains": ["code", "web"], "highest": 0.9}]}}
    )
    text = report_html(
        saved.model_copy(update={"by": bad, "reference_is": bad, "asked": asked}),
        question,
        model,
        notes=[bad],
    )
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4
    Reader(text)


def test_staying_and_worse_mixtures_are_said_plainly(
    saved: SavedMixture, question: Question, model: EffectModel
) -> None:
    def told(weights: dict[str, float]) -> str:
        record = saved.model_copy(
            update={
                "weights": weights,
                "predicted": predicted_changes(model, question, weights),
                "expected": expected_values(model, question, weights),
            }
        )
        return Reader(report_html(record, question, model)).text

    stay = told(REFERENCE)
    assert "Stay at the reference." in stay
    assert "nothing moves" in stay
    worse = told({"books": 0.85, "code": 0.05, "math": 0.05, "web": 0.05})
    assert "Predicted to make the objective worse by" in worse
    assert "The mixture breaks:" in worse


def test_another_pool_and_other_analysts_have_their_parts(
    saved: SavedMixture, question: Question, model: EffectModel
) -> None:
    moved = pool_shift(model, {"state/quality": -1.0}, saved.state, REFERENCE)
    row = {
        "varied": "estimator", "variant": "Mixing law", "distance": 0.03, "change": -0.2, "lower": -0.3,
        "upper": -0.1, "ours": -0.19, "ours_lower": -0.25, "ours_upper": -0.12, "stays": False, "problem": "",
    }  # fmt: skip
    failed = row | {"variant": "Linear DML", "problem": "it needs at least 18 runs"}
    firm = Robustness(pd.DataFrame([row, failed]), ("The graph was not varied.",))
    other = saved.model_copy(update={"runs_of": "import-y"})
    text = Reader(report_html(other, question, model, firm, moved)).text
    assert "No run was trained on this pool" in text
    assert "Of 1 other ways to estimate, 1 predict" in text
    assert "Linear DML: it needs at least 18 runs" in text
    assert "quality -1 0.2" in text
    plain = Reader(report_html(saved, question, model)).text
    assert "Would others have suggested it?" not in plain
    assert "What differs from the pool" not in plain


def test_a_weight_or_state_beyond_the_runs_is_warned_of(
    saved: SavedMixture, question: Question, model: EffectModel
) -> None:
    far = saved.model_copy(
        update={"state": {"state/quality": 30.0}, "weights": {"books": 0.0, "code": 0, "math": 0, "web": 1}}
    )
    text = Reader(report_html(far, question, model)).text
    assert "Runs have hardly tried weights like these for books, code, math, web" in text
    assert "standard deviations (Mahalanobis distance)" in text


def test_figures_draw_what_they_are_given() -> None:
    bars = weight_bars([("code", 0.5, 0.25), ("web", 0.5, 0.75)], "Weights")
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', bars)]
    assert widths[0] == widths[1] > 0
    steps = [Step("a", -0.3, "better", ""), Step("b", 0.1, "worse", "")]
    drawn = waterfall(steps, Interval("all", -0.2, -0.25, -0.15, "better", ""), "Waterfall")
    lengths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn)]
    assert lengths[0] / lengths[1] == pytest.approx(3, rel=0.01)
    dot = float(re.findall(r'<circle cx="([\d.]+)"', drawn)[0])
    ends = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', drawn)]
    assert dot == pytest.approx(ends[1] + lengths[1], abs=0.2)  # the bars end where the whole change is
    empty = intervals([Interval("flat", 0.0, 0.0, 0.0, "unclear", "")], "Nothing")
    assert "nan" not in empty.lower()
    assert np.isfinite(float(re.findall(r'<circle cx="([\d.]+)"', empty)[0]))


@pytest.mark.parametrize(
    ("value", "words"), [(-0.00001, "+0.0000"), (0.0, "+0.0000"), (-0.12345, "-0.1235"), (2.0, "+2.0000")]
)
def test_nothing_has_no_sign_of_its_own(value: float, words: str) -> None:
    assert signed(value) == words
