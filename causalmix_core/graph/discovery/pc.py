"""PC within the tiers: an edge stays unless a test of independence allows to remove it.

Spirtes and Glymour 1991; conditions of up to three earlier variables, as in the temporal PC of Petersen et
al. (2021). With the kernel test of Zhang et al. (2011) it also sees dependence that is not linear.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from causalmix_core.graph.discovery.arrows import Arrow, Found, read_marks
from causalmix_core.graph.discovery.independence import MAX_CONDITION, TEST_NAME, test_class
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.methods import DiscoverySettings
from causalmix_core.graph.model import TIER_RANK


def search_pc(
    values: np.ndarray, rules: Rules, settings: DiscoverySettings, tick: Callable[[], None]
) -> Found:
    """The PC algorithm, with the test that `settings.method` names.

    Args:
        values: standardised, shape (n, p).
        rules: over the p columns.
        settings: `alpha` is read.
        tick: called at every test; what it raises ends the search.
    """
    from causallearn.search.ConstraintBased.PC import pc
    from causallearn.utils.cit import register_ci_test

    register_ci_test(TEST_NAME, test_class())
    found = pc(
        values,
        settings.alpha,
        TEST_NAME,
        background_knowledge=_background(rules),
        node_names=list(rules.names),
        max_k=MAX_CONDITION,
        show_progress=False,
        rules=rules,
        kernel="kci" if settings.method == "pc_kci" else "fisher_z",
        tick=tick,
    )
    rank = [TIER_RANK[rules.tier(v)] for v in range(len(rules.names))]
    arrows = []
    for arrow in read_marks(found.G.graph, range(len(rules.names))):
        a, b, _, _ = arrow
        if rank[a] == rank[b]:
            arrows.append(arrow)
        else:  # time decides, whatever the orientation rules made of it
            first, last = (a, b) if rank[a] < rank[b] else (b, a)
            arrows.append(Arrow(first, last, "directed"))
    return Found(arrows)


def _background(rules: Rules) -> object:
    """The rules in causal-learn's words.

    A pair of pool states with both directions forbidden is left to the tests: causal-learn takes an edge
    that knowledge removed for one that a test removed, and reads colliders from it.
    """
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

    knowledge = BackgroundKnowledge()
    nodes = [GraphNode(name) for name in rules.names]
    for v in range(len(nodes)):
        for u in range(len(nodes)):
            if u == v:
                continue
            if rules.must(u, v):
                knowledge.add_required_by_node(nodes[u], nodes[v])
            undecided = rules.linked_in_time(u, v) and not rules.may(v, u)
            both_states = rules.tier(u) == rules.tier(v) == "state"
            if not rules.may(u, v) and not (both_states and undecided):
                knowledge.add_forbidden_by_node(nodes[u], nodes[v])
    return knowledge
