"""DirectLiNGAM within the tiers: an order of pool state from the shape of its noise, then sparse fits.

Shimizu et al. 2011, "DirectLiNGAM". The order of the tiers is known, so only pool state is ordered. What is
kept of the earlier variables is decided by LiNGAM's own adaptive lasso, chosen by BIC.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import networkx as nx
import numpy as np

from causalmix_core.graph.discovery.arrows import Arrow, Found
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.methods import DiscoverySettings

_GAUSSIAN = 0.05


def search_lingam(
    values: np.ndarray, rules: Rules, settings: DiscoverySettings, tick: Callable[[], None]
) -> Found:
    """DirectLiNGAM.

    Args:
        values: standardised, shape (n, p).
        rules: over the p columns.
        settings: none is read.
        tick: called now and then; what it raises ends the search.
    """
    from causallearn.search.FCMBased.lingam.utils import predict_adaptive_lasso

    tick()
    states = rules.of_tier("state")
    order = _order(values, rules, states)
    later = [v for v in range(len(rules.names)) if rules.tier(v) != "state"]
    arrows = []
    for place, v in enumerate([*order, *later]):
        tick()
        if v in order:
            # A direction that is forbidden but that the order could not keep to is turned round afterwards.
            before = sorted(u for u in order[:place] if rules.may(u, v) or rules.may(v, u))
        else:
            before = sorted(rules.causes[v])
        if not before:
            continue
        with warnings.catch_warnings():  # a step of the path that adds nothing is no news
            warnings.simplefilter("ignore")
            weights = predict_adaptive_lasso(values, before, v)
        arrows += [Arrow(u, v, "directed") for u, w in zip(before, weights, strict=True) if abs(w) > 1e-9]
    notes = []
    if any(rules.tier(a.target) == "state" for a in arrows) and _looks_gaussian(values[:, states]):
        notes.append(
            "The pool state is bell-shaped, and then DirectLiNGAM guesses the directions among pool state: "
            "check them, or use another method."
        )
    return Found(arrows, notes)


def _order(values: np.ndarray, rules: Rules, states: list[int]) -> list[int]:
    """The causal order of pool state.

    LiNGAM is told by `prior[to, from]` what comes first: 1 for a required edge, and 0 for one that is
    forbidden in this direction alone, so that its other direction stays possible. Forbidden edges that
    would close a circle of such orders are left out.
    """
    from causallearn.search.FCMBased.lingam import DirectLiNGAM

    if len(states) < 2:
        return states
    prior = np.full((len(states), len(states)), -1)
    place = {v: i for i, v in enumerate(states)}
    first = nx.DiGraph()
    first.add_nodes_from(states)
    pairs = [(u, v) for u in states for v in states if u != v]
    for u, v in pairs:
        if rules.must(u, v):
            first.add_edge(u, v)
            prior[place[v], place[u]] = 1
    for u, v in pairs:
        if rules.may(u, v) and not rules.may(v, u) and not rules.must(u, v) and not nx.has_path(first, v, u):
            first.add_edge(u, v)
            prior[place[u], place[v]] = 0
    model = DirectLiNGAM(random_state=0, prior_knowledge=prior)
    model.fit(values[:, states])
    return [states[i] for i in model.causal_order_]


def _looks_gaussian(states: np.ndarray) -> bool:
    """Whether no column departs from a normal distribution (D'Agostino and Pearson 1973)."""
    from scipy.stats import normaltest

    if len(states) < 20:
        return False
    p_values = [float(normaltest(x).pvalue) for x in states.T]
    return min(p_values) > _GAUSSIAN / len(p_values)
