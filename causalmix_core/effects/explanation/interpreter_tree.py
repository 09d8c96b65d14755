"""A few rules on the pool state that reproduce how an effect differs between pools, as a small tree.

This is the CATE interpreter of the CausalMix paper (arXiv 2607.01104; econml's SingleTreeCateInterpreter),
for any estimator: a shallow regression tree is grown on the effects that the model sees in the runs' pool
states. It explains the model, not the pool, so it comes with its fidelity: how much of the effects' variation
the rules reproduce in pool states that the tree was not grown from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalmix_core.effects.explanation.asking import (
    Estimate,
    changing_states,
    check_asked,
    run_states,
    state_name,
    why_none,
)
from causalmix_core.effects.model import EffectModel

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor

MOST_STATES = 200
"""Pool states that a tree is grown from; more do not change rules this coarse."""
FEWEST_IN_LEAF = 5
WORTH = 0.01
"""Part of the effects' variance that a split has to take away."""
INDISTINCT = 0.05
"""Spread of an effect over pool states, in half intervals, below which there is nothing to explain."""
FOLDS = 5


@dataclass(frozen=True)
class Node:
    """A set of pool states and the effect there.

    Attributes:
        states: how many of the runs' pool states it holds.
        effect: mean of the effects, per +1 percentage point, in units of the outcome.
        lower: low end of the 95% band of that mean. The band is the mean of the states' own: errors in
            different states may go together, so averaging is not taken to shrink them.
        upper: high end.
        split: how it divides; None for a leaf.
    """

    states: int
    effect: float
    lower: float
    upper: float
    split: Split | None = None


@dataclass(frozen=True)
class Split:
    """A rule: pool states with `state` up to `threshold` go to `below`, the others to `above`.

    Attributes:
        state: column of the pool state.
        threshold: in the state's own unit.
        below: where the state is at most the threshold.
        above: where it is more.
        difference: effect in the middle of the states of `above` less that in the middle of `below`.
    """

    state: str
    threshold: float
    below: Node
    above: Node
    difference: Estimate


@dataclass(frozen=True)
class InterpreterTree:
    """How the effect of a domain on an outcome differs between pool states.

    Attributes:
        domain: whose weight moves.
        outcome: what it changes.
        root: the tree; None where there is nothing to draw, for which `words` gives the reason.
        fidelity: share of the effects' variance (R2) that the tree reproduces in pool states that it was not
            grown from, in five folds; NaN without a tree. At most 1; below 0 is worse than no tree.
        words: what to make of it, for a curator.
    """

    domain: str
    outcome: str
    root: Node | None
    fidelity: float
    words: str

    def nodes(self) -> list[Node]:
        """All nodes, each before those below it, the left side first."""
        return list(walk(self.root))

    def leaves(self) -> list[Node]:
        """The leaves from left to right."""
        return [n for n in self.nodes() if n.split is None]

    def path(self, state: Mapping[str, float]) -> list[Node]:
        """The nodes that a pool state passes, from the root to its leaf."""
        nodes, node = [], self.root
        while node is not None:
            nodes.append(node)
            if node.split is None:
                break
            node = node.split.below if state[node.split.state] <= node.split.threshold else node.split.above
        return nodes


def walk(node: Node | None) -> Iterator[Node]:
    """A node and all below it, the left side first."""
    if node is not None:
        yield node
        if node.split is not None:
            yield from walk(node.split.below)
            yield from walk(node.split.above)


def interpreter_tree(
    model: EffectModel, domain: str, outcome: str, mixture: Mapping[str, float], *, depth: int = 2
) -> InterpreterTree:
    """Grow the tree of one effect over the runs' pool states.

    Args:
        model: fitted effects.
        domain: whose weight moves.
        outcome: what it changes.
        mixture: where the point is added.
        depth: rules one after the other, at most; more than 3 is no longer read by anybody.

    Raises:
        CausalMixError: unknown domain or outcome, or the mixture does not fit the runs.
    """
    check_asked(model, domain, outcome)
    names = changing_states(model, outcome)
    if not names:
        return InterpreterTree(domain, outcome, None, math.nan, why_none(model, outcome))
    states = run_states(model, MOST_STATES)
    effects, halves = model.effects_over(states, mixture, domains=[domain], outcomes=[outcome], errors=True)
    assert halves is not None
    effect, half = effects[:, 0, 0], halves[:, 0, 0]
    columns = [model.runs.states.index(n) for n in names]
    if len(states) < 2 * FEWEST_IN_LEAF:
        words = f"The runs were made in {len(states)} pool states; rules need {2 * FEWEST_IN_LEAF} or more."
        return InterpreterTree(domain, outcome, None, math.nan, words)
    if effect.std() <= max(INDISTINCT * half.mean(), 1e-9 * np.abs(effect).max()):
        words = f"The model sees the same effect of {domain} on {outcome} in all pool states of the runs."
        return InterpreterTree(domain, outcome, None, math.nan, words)

    def apart(below: np.ndarray, above: np.ndarray) -> Estimate:
        middle, other = (states[side].mean(axis=0)[None] for side in (below, above))
        value, wide = model.effects_apart(middle, other, mixture, domains=[domain], outcomes=[outcome])
        return Estimate(*(float(value[0, 0, 0] + part * wide[0, 0, 0]) for part in (0, -1, 1)))

    root, fidelity = grow(states[:, columns], effect, half, names, depth, apart)
    if root.split is None:
        words = (
            "No rule on a single pool state divides the effects: they hardly differ, or only in few states."
        )
        return InterpreterTree(domain, outcome, None, math.nan, words)
    return InterpreterTree(domain, outcome, root, fidelity, _words(root, fidelity))


def grow(
    states: np.ndarray,
    effect: np.ndarray,
    half: np.ndarray,
    names: list[str],
    depth: int,
    apart: Callable[[np.ndarray, np.ndarray], Estimate],
) -> tuple[Node, float]:
    """Grow a tree on effects and say how well it reproduces those that it has not seen.

    Args:
        states: shape (s, p), in their own units.
        effect: shape (s,).
        half: half the 95% intervals, shape (s,).
        names: of the columns.
        depth: of the tree, at most.
        apart: given masks (s,) of two sides, how much larger the effect is in the second.

    Returns:
        The root and the R2 in left-out folds.
    """
    tree = _fit(states, effect, depth)
    seen = np.asarray(tree.decision_path(states).toarray(), dtype=bool)
    return _node(tree.tree_, 0, seen, effect, half, names, apart), _held_out(states, effect, depth)


def _fit(states: np.ndarray, effect: np.ndarray, depth: int) -> DecisionTreeRegressor:
    from sklearn.tree import DecisionTreeRegressor

    return DecisionTreeRegressor(
        max_depth=depth,
        min_samples_leaf=max(FEWEST_IN_LEAF, len(effect) // 10),
        min_impurity_decrease=WORTH * effect.var(),
        random_state=0,
    ).fit(states, effect)


def _held_out(states: np.ndarray, effect: np.ndarray, depth: int) -> float:
    fold = np.random.default_rng(0).permutation(len(effect)) % FOLDS
    missed, spread = 0.0, 0.0
    for k in range(FOLDS):
        grown, left = fold != k, fold == k
        tree = _fit(states[grown], effect[grown], depth)
        missed += float(((effect[left] - tree.predict(states[left])) ** 2).sum())
        spread += float(((effect[left] - effect[grown].mean()) ** 2).sum())
    return 1 - missed / spread


def _node(
    tree: object,
    at: int,
    seen: np.ndarray,
    effect: np.ndarray,
    half: np.ndarray,
    names: list[str],
    apart: Callable[[np.ndarray, np.ndarray], Estimate],
) -> Node:
    """sklearn's flat arrays as nodes; `seen[:, i]` says which states pass node i."""
    here = seen[:, at]
    mean, band = float(effect[here].mean()), float(half[here].mean())
    left, right = (int(side[at]) for side in (tree.children_left, tree.children_right))  # type: ignore[attr-defined]
    split = None
    if left >= 0:
        split = Split(
            state=names[int(tree.feature[at])],  # type: ignore[attr-defined]
            threshold=float(tree.threshold[at]),  # type: ignore[attr-defined]
            below=_node(tree, left, seen, effect, half, names, apart),
            above=_node(tree, right, seen, effect, half, names, apart),
            difference=apart(seen[:, left], seen[:, right]),
        )
    return Node(int(here.sum()), mean, mean - band, mean + band, split)


def _words(root: Node, fidelity: float) -> str:
    splits = [n.split for n in walk(root) if n.split is not None]
    rules = "One rule on the pool state" if len(splits) == 1 else f"{len(splits)} rules on the pool state"
    verb = "reproduces" if len(splits) == 1 else "reproduce"
    first = (
        f"{rules} {verb} {max(fidelity, 0):.0%} of how the model's effect differs between pool states "
        "(in states that the tree was not grown from)."
    )
    if fidelity < 0.5:
        first += " That is little: look at the curves instead."
    clear = [s for s in splits if s.difference.clear]
    if clear:
        return f"{first} The difference by {state_name(clear[0].state)} is larger than the uncertainty."
    return (
        f"{first} All differences lie within the uncertainty: these runs cannot tell whether the effect "
        "depends on the pool state."
    )
