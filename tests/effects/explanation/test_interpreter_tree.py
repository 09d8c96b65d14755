"""Rules on the pool state: what is planted is found, and nothing is drawn where there is nothing to say."""

import math

import numpy as np
import pytest

from causalmix_core.effects.explanation import Estimate, changing_states, interpreter_tree, why_none
from causalmix_core.effects.explanation.interpreter_tree import FEWEST_IN_LEAF, grow, walk
from causalmix_core.errors import CausalMixError
from tests.effects.explanation.conftest import DUPLICATION


def difference(effect):
    def apart(below, above):
        value = float(effect[above].mean() - effect[below].mean())
        return Estimate(value, value - 0.1, value + 0.1)

    return apart


def test_a_planted_rule_is_found_with_its_numbers():
    rng = np.random.default_rng(0)
    states = rng.uniform(size=(60, 3))
    effect = np.where(states[:, 1] <= 0.4, -2.0, 1.0)
    half = np.where(states[:, 1] <= 0.4, 0.5, 0.25)
    root, fidelity = grow(states, effect, half, ["a", "b", "c"], 2, difference(effect))
    assert root.split is not None
    assert root.split.state == "b"
    assert np.sort(states[states[:, 1] <= 0.4, 1])[-1] <= root.split.threshold
    assert root.split.threshold <= np.sort(states[states[:, 1] > 0.4, 1])[0]
    below, above = root.split.below, root.split.above
    assert (below.effect, below.lower, below.upper) == (-2.0, -2.5, -1.5)
    assert (above.effect, above.lower, above.upper) == (1.0, 0.75, 1.25)
    assert below.states + above.states == root.states == 60
    assert below.split is None
    assert root.split.difference.value == pytest.approx(3)
    assert fidelity > 0.9


def test_fidelity_is_that_of_states_that_were_not_seen():
    rng = np.random.default_rng(1)
    states, effect = rng.uniform(size=(60, 3)), rng.normal(size=60)
    _, fidelity = grow(states, effect, np.ones(60), ["a", "b", "c"], 3, difference(effect))
    assert fidelity < 0.1  # a tree of this depth reproduces a third of such noise where it has seen it


def test_a_tree_is_never_deeper_nor_its_leaves_smaller_than_asked():
    rng = np.random.default_rng(2)
    states = rng.uniform(size=(47, 2))
    effect = states[:, 0] ** 2 + states[:, 1]
    root, _ = grow(states, effect, np.zeros(47), ["a", "b"], 3, difference(effect))
    leaves = [n for n in walk(root) if n.split is None]
    assert 2 < len(leaves) <= 8
    assert min(n.states for n in leaves) >= FEWEST_IN_LEAF
    assert sum(n.states * n.effect for n in leaves) / 47 == pytest.approx(effect.mean())


def test_the_state_that_acts_makes_the_first_rule_and_pools_find_their_leaf(known):
    tree = interpreter_tree(known.model, "code", "loss/code", known.mixture)
    assert tree.root is not None
    assert tree.root.split is not None
    assert tree.root.split.state == DUPLICATION
    assert tree.root.split.difference.lower > 0  # code lowers the loss, less so where duplication is high
    assert tree.fidelity > 0.7
    assert "larger than the uncertainty" in tree.words
    effects = [leaf.effect for leaf in tree.leaves()]
    assert effects == sorted(effects)
    lowest, highest = (tree.path({**known.state, DUPLICATION: value}) for value in (0.1, 0.5))
    assert lowest[0] is highest[0] is tree.root
    assert lowest[-1] is tree.leaves()[0]
    assert highest[-1] is tree.leaves()[-1]


@pytest.mark.parametrize(
    ("domain", "outcome", "words"),
    [("code", "benchmark/quiz", "no pool state has a path"), ("web", "objective", "")],
)
def test_without_a_state_that_acts_there_are_words_instead_of_a_tree(known, domain, outcome, words):
    tree = interpreter_tree(known.model, domain, outcome, known.mixture)
    assert words in tree.words
    assert (tree.root is None) == math.isnan(tree.fidelity)
    if not changing_states(known.model, outcome):
        assert tree.root is None
        assert tree.words == why_none(known.model, outcome)


def test_an_estimator_that_ignores_the_state_says_so(blind, known):
    tree = interpreter_tree(blind, "code", "loss/code", known.mixture)
    assert tree.root is None
    assert "looks at the weights alone" in tree.words


def test_unknown_names_are_refused_with_those_that_there_are(known):
    with pytest.raises(CausalMixError, match="no domain cod in this model; it has: books, code"):
        interpreter_tree(known.model, "cod", "loss/code", known.mixture)
    with pytest.raises(CausalMixError, match="no outcome loss/cod in this model; it has: loss/code"):
        interpreter_tree(known.model, "code", "loss/cod", known.mixture)
