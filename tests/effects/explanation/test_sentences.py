"""A sentence never says more than the interval, whatever the numbers."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from causalmix_core.effects.explanation import (
    Dependence,
    Estimate,
    effect_sentence,
    effect_sentences,
    interaction_sentence,
)

OUTCOMES = ["loss/code", "bpb/code", "benchmark-loss/wiki", "benchmark/quiz", "objective"]
NUMBER = r"\d+(?:\.\d+)?(?:e[+-]\d+)?"
size = st.floats(1e-7, 1e3)


@st.composite
def estimates(draw):
    value = draw(size) * draw(st.sampled_from([-1, 1]))
    return Estimate(value, value - draw(size), value + draw(size))


def test_a_clear_effect_in_words():
    said = effect_sentence(
        "code",
        "loss/code",
        Estimate(-0.012, -0.015, -0.009),
        Dependence(
            "state/duplication",
            Estimate(-0.018, -0.021, -0.015),
            Estimate(-0.004, -0.007, -0.001),
            Estimate(0.014, 0.011, 0.017),
        ),
    )
    assert said == (
        "One more point of code, taken from the rest, lowers loss/code by 0.012 (95% 0.009 to 0.015) in this "
        "pool; the effect fades when duplication is high."
    )


@pytest.mark.parametrize(
    ("low", "high", "clause"),
    [
        (Estimate(-1, -2, -0.5), Estimate(-5, -6, -4), "; the effect grows when length is high."),
        (Estimate(-5, -6, -4), Estimate(-1, -2, 0.1), "; the effect fades when length is high."),
        (Estimate(-5, -6, -4), Estimate(2, 1, 3), "; the effect turns round when length is high."),
        (Estimate(2, 1, 3), Estimate(-5, -6, -4), "; the effect turns round when length is low."),
    ],
)
def test_how_an_effect_goes_with_a_state(low, high, clause):
    apart = Estimate(
        high.value - low.value, *sorted((high.value - low.value - 1, high.value - low.value + 1))
    )
    said = effect_sentence(
        "web", "loss/a", Estimate(-3, -4, -2), Dependence("state/length", low, high, apart)
    )
    assert said.endswith(f"in this pool{clause}")


def test_an_effect_that_is_nothing_here_but_something_elsewhere():
    depends = Dependence("state/length", Estimate(-2, -3, -1), Estimate(2, 1, 3), Estimate(4, 3, 5))
    said = effect_sentence("web", "loss/a", Estimate(1, -2, 4), depends)
    assert said == (
        "The effect of one more point of web, taken from the rest, on loss/a cannot be told from zero in "
        "this pool (95%: 2 lower to 4 higher); it raises loss/a when length is high and lowers loss/a when "
        "length is low."
    )


def test_a_state_that_may_do_nothing_is_not_mentioned():
    depends = Dependence("state/length", Estimate(-2, -9, 5), Estimate(2, -5, 9), Estimate(4, -1, 9))
    assert "length" not in effect_sentence("web", "loss/a", Estimate(-3, -4, -2), depends)


def test_the_better_side_is_named_where_higher_is_better():
    clear = Estimate(0.02, 0.01, 0.03)
    assert "raises benchmark/quiz by 0.020 (95% 0.010 to 0.030; higher is better)" in effect_sentence(
        "code", "benchmark/quiz", clear
    )
    for outcome in ("loss/code", "benchmark-loss/wiki", "objective"):
        assert "higher is better" not in effect_sentence("code", outcome, clear)


def test_excluded_domains_displace_and_what_is_not_identified_is_association():
    said = effect_sentence("junk", "loss/code", Estimate(0.02, 0.01, 0.03), excluded=True)
    assert said.startswith(
        "junk has no effect of its own on loss/code under this graph; what remains comes from what it "
        "displaces: one more point of junk"
    )
    assert "association" in effect_sentence("a", "loss/a", Estimate(1, 0.5, 2), identified=False)


@settings(max_examples=100)
@given(effect=estimates(), outcome=st.sampled_from(OUTCOMES), excluded=st.booleans())
def test_words_and_numbers_agree_with_the_interval(effect, outcome, excluded):
    assume(effect.lower != 0 and effect.upper != 0)
    said = effect_sentence("web", outcome, effect, excluded=excluded)
    assert said.endswith(".")
    assert "significant" not in said
    clear = re.search(rf"(raises|lowers) .* by ({NUMBER}) \(95% ({NUMBER}) to ({NUMBER})", said)
    assert (clear is not None) == effect.clear == ("cannot be told from zero" not in said)
    ends = sorted((abs(effect.lower), abs(effect.upper)))
    if clear is None:
        around = re.search(rf"95%: ({NUMBER}) lower to ({NUMBER}) higher", said)
        assert around is not None
        shown, true = [float(v) for v in around.groups()], [-effect.lower, effect.upper]
    else:
        assert (clear.group(1) == "lowers") == (effect.value < 0)
        shown, true = [float(v) for v in clear.groups()[1:]], [abs(effect.value), *ends]
        assert shown[1] <= shown[0] <= shown[2]
    assert min(shown) > 0  # neither an effect nor an end of its interval may look like nothing
    half = (effect.upper - effect.lower) / 2
    for a, b in zip(shown, true, strict=True):
        assert abs(a - b) <= 0.5 * half + 0.05 * b


def test_numbers_without_an_interval_and_zeros_are_said_plainly():
    assert "by 0.50 (95% 0.50 to 0.50)" in effect_sentence("a", "loss/a", Estimate(0.5, 0.5, 0.5))
    assert "cannot be told from zero in this pool (it is 0)" in effect_sentence(
        "a", "loss/a", Estimate(0, 0, 0)
    )


def test_a_number_that_is_none_is_never_said():
    with pytest.raises(ValueError, match="effect of a on loss/a is not finite"):
        effect_sentence("a", "loss/a", Estimate(float("nan"), 0, 1))


def test_pairs_in_words():
    clear = Estimate(-0.02, -0.03, -0.01)
    assert interaction_sentence("code", "web", "loss/a", clear, 0.05, inside=True) == (
        "5 more points of code and web each lower loss/a by 0.020 (95% 0.010 to 0.030) beyond the sum of "
        "what each does alone."
    )
    said = interaction_sentence("code", "web", "loss/a", Estimate(0, -0.03, 0.03), 0.05, inside=False)
    assert "code and web add up" in said
    assert "cannot be told from zero (95%: 0.03 lower to 0.03 higher); no run had such weights" in said


def test_every_effect_of_a_model_gets_its_sentence(known):
    table = effect_sentences(known.model, known.state, known.mixture)
    effects = known.model.effects(known.state, known.mixture)
    assert table[effects.columns.tolist()].equals(effects)
    row = table.set_index(["domain", "outcome"])
    code = row.loc[("code", "loss/code")]
    assert code["sentence"].startswith(
        "One more point of code, taken from the rest, lowers loss/code by 0.01"
    )
    assert code["sentence"].endswith("the effect fades when duplication is high.")
    assert code["depends_on"] == "state/duplication"
    assert row.loc[("junk", "loss/code"), "sentence"].startswith("junk has no effect of its own on loss/code")
    quiz = table[table["outcome"] == "benchmark/quiz"]
    assert (quiz["depends_on"] == "").all()
    for said, clear in zip(table["sentence"], table["distinguishable"], strict=True):
        assert ("cannot be told from zero" in said) != clear
