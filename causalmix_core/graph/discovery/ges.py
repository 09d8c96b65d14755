"""GES tier by tier: greedy equivalence search among pool state, then the causes of all that comes later.

Chickering 2002, "Optimal structure identification with greedy search". causal-learn's GES takes no
background knowledge, so it searches pool state alone, where time says nothing. For a variable whose causes
all come earlier, the two phases of GES are to add causes while the score rises and then to drop them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from causalmix_core.graph.discovery.arrows import Arrow, Found, read_marks
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.methods import DiscoverySettings
from causalmix_core.graph.discovery.score import Score


def search_ges(
    values: np.ndarray, rules: Rules, settings: DiscoverySettings, tick: Callable[[], None]
) -> Found:
    """Greedy equivalence search.

    Args:
        values: standardised, shape (n, p).
        rules: over the p columns; what they say among pool state is not read.
        settings: `penalty` is read.
        tick: called now and then; what it raises ends the search.
    """
    from causallearn.search.ScoreBased.GES import ges

    tick()
    states = rules.of_tier("state")
    arrows: list[Arrow] = []
    if len(states) > 1:
        found = ges(
            values[:, states], "local_score_BIC_from_cov", lambda_value=settings.penalty
        )  # its default penalty, 0.5, adds false edges
        arrows = read_marks(found["G"].graph, states)
    score = Score(values, settings.penalty, rules.required)
    for v in range(len(rules.names)):
        if rules.tier(v) == "state":
            continue
        tick()
        _, grown = score.grow(v, rules.candidates(v))
        _, kept = score.shrink(v, grown)
        arrows += [Arrow(u, v, "directed") for u in [*kept, *sorted(rules.required[v])]]
    return Found(arrows)
