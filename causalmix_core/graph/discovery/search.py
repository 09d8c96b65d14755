"""Learn a causal graph from finished probes, with what is known built in.

`search` is what all methods share on a matrix, and what a resample runs; `discover` makes a graph of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.discovery.arrows import Arrow, Found, obey
from causalmix_core.graph.discovery.columns import (
    SPARE_RUNS,
    columns_of,
    features,
    is_randomised,
    standardised,
    usable,
)
from causalmix_core.graph.discovery.knowledge import Knowledge, Rules
from causalmix_core.graph.discovery.methods import (
    DEFAULT_METHOD,
    METHODS,
    DiscoveryMethod,
    DiscoverySettings,
)
from causalmix_core.graph.model import (
    MOST_NODES,
    CausalGraph,
    Edge,
    Edit,
    Forbidden,
    Provenance,
    nodes_of,
    tier_of,
)
from causalmix_core.probes import RunTable

Searcher = Callable[[np.ndarray, Rules, DiscoverySettings, Callable[[], None]], Found]


@dataclass(frozen=True)
class Discovery:
    """What a discovery found.

    Attributes:
        graph: over every column of the run table; edges carry the method and its settings.
        notes: what a curator must know to read the graph, in words.
        method: how it was found.
        runs: how many runs it was found from.
    """

    graph: CausalGraph
    notes: list[str]
    method: DiscoveryMethod
    runs: int


def discover(
    runs: RunTable,
    method: DiscoveryMethod = DEFAULT_METHOD,
    *,
    alpha: float = 0.05,
    penalty: float = 1.0,
    seed: int = 0,
    known: CausalGraph | None = None,
    tick: Callable[[], None] | None = None,
    by: str,
) -> Discovery:
    """Learn a causal graph from finished probes.

    Pool state and outcomes enter as they are, weights as `log(weight + 0.03)`. What each method can be told
    and how it keeps to it stands in `METHODS`; afterwards the result is held against all of it. Where every
    run was assigned at random, no edge into a weight is considered: the design excludes it.

    Args:
        runs: the run table, n rows.
        method: one of `METHODS`.
        alpha: level of the tests of PC and FCI, between 0 and 1.
        penalty: of BOSS and GES, in units of log(n) per edge, above 0.
        seed: of the orders that BOSS starts from; the result depends on nothing else.
        known: a graph whose required and forbidden edges hold for the result too, and stay with it.
        tick: called now and then; raise in it to stop the search.
        by: who ran the discovery.

    Raises:
        CausalMixError: fewer runs than variables + 5, a value that is missing or not finite, a setting out
            of range, a table too large for the method, or knowledge that contradicts itself or the runs.
    """
    settings = DiscoverySettings(method=method, alpha=alpha, penalty=penalty, seed=seed)
    settings.check()
    columns = columns_of(runs)
    data = features(runs, columns)
    randomised = is_randomised(runs)
    knowledge = Knowledge.of(known) if known is not None else Knowledge()
    refuse_too_large(data, columns, settings)
    found = search(data, columns, settings, knowledge, randomised=randomised, tick=tick or (lambda: None))
    rules = Rules.over(columns, knowledge, randomised=randomised)
    provenance = Provenance(
        kind="discovered", by=by, at=datetime.now(UTC), detail=f"{settings.text}, {len(runs)} runs"
    )
    notes = [*found.notes, *reading(found.arrows, rules, len(runs))]
    if known is not None:
        notes += _not_carried(known, columns)
    graph = graph_of(found.arrows, columns, provenance, runs, known)
    return Discovery(graph=graph, notes=notes, method=method, runs=len(runs))


def search(
    data: np.ndarray,
    columns: Sequence[str],
    settings: DiscoverySettings,
    knowledge: Knowledge,
    *,
    randomised: bool,
    tick: Callable[[], None],
) -> Found:
    """Arrows among `columns`, held to tiers, design and knowledge.

    Columns that a search cannot use (constant, or equal to another) get no edge but required ones.

    Args:
        data: shape (n, number of columns), weights bent, nothing missing.
        columns: names, `state/...`, `weight/...` or an outcome.
        settings: method and what it reads.
        knowledge: required and forbidden edges.
        randomised: whether every mixture was drawn at random.
        tick: called now and then; what it raises ends the search.

    Raises:
        CausalMixError: the knowledge contradicts itself or the design, or the result would break it.
    """
    rules = Rules.over(columns, knowledge, randomised=randomised)
    used, notes = usable(data, list(columns))
    if not used:
        return obey(Found([], notes), rules)
    names = [columns[v] for v in used]
    inner = Rules.over(names, knowledge, randomised=randomised)
    found = _searcher(settings.method)(standardised(data[:, used]), inner, settings, tick)
    arrows = [Arrow(used[a], used[b], mark, note) for a, b, mark, note in found.arrows]
    return obey(Found(arrows, [*notes, *found.notes]), rules)


def _searcher(method: DiscoveryMethod) -> Searcher:
    """The function that searches; its module may take seconds to import."""
    if method == "boss":
        from causalmix_core.graph.discovery.boss import search_boss

        return search_boss
    if method == "ges":
        from causalmix_core.graph.discovery.ges import search_ges

        return search_ges
    if method == "fci":
        from causalmix_core.graph.discovery.fci import search_fci

        return search_fci
    if method == "lingam":
        from causalmix_core.graph.discovery.lingam import search_lingam

        return search_lingam
    from causalmix_core.graph.discovery.pc import search_pc

    return search_pc


def refuse_too_large(data: np.ndarray, columns: list[str], settings: DiscoverySettings) -> None:
    """Refuse a table that the method cannot search.

    Raises:
        CausalMixError: too few runs for the variables, or too many of either for the method.
    """
    if len(columns) > MOST_NODES:
        raise CausalMixError(
            f"The runs have {len(columns)} pool states, weights and outcomes; "
            f"a graph holds at most {MOST_NODES}."
        )
    used, _ = usable(data, columns)
    runs, variables = len(data), len(used)
    needed = variables + SPARE_RUNS
    if runs < needed:
        raise CausalMixError(
            f"Discovery over {variables} variables needs at least {needed} runs; there are {runs}. "
            "Launch more probes, or use the graph that assumes every effect."
        )
    facts = METHODS[settings.method]
    most = [
        f"{limit} {what} (there are {have})"
        for limit, have, what in (
            (facts.most_variables, variables, "variables"),
            (facts.most_runs, runs, "runs"),
        )
        if limit is not None and have > limit
    ]
    if most:
        raise CausalMixError(
            f"{facts.label} can search at most {' and '.join(most)}: beyond that it would take hours. "
            "Use another method."
        )


def graph_of(
    arrows: Sequence[Arrow],
    columns: Sequence[str],
    provenance: Provenance,
    runs: RunTable,
    known: CausalGraph | None,
) -> CausalGraph:
    """The arrows as a graph; required edges stay as their curator drew them, forbidden ones forbidden."""
    kept = {(e.source, e.target): e for e in known.edges if e.status == "required"} if known else {}
    edges = []
    # The model refuses an edge against the tiers, so a search that broke them cannot go unnoticed.
    for source, target, mark, note in sorted((columns[a], columns[b], m, n) for a, b, m, n in arrows):
        old = kept.get((source, target))
        edges.append(
            old
            if old is not None
            else Edge(source=source, target=target, mark=mark, provenance=provenance, note=note)
        )
    return CausalGraph(
        nodes=nodes_of(runs),
        edges=tuple(edges),
        forbidden=_still_forbidden(known, columns),
        history=said_before(known, columns),
    )


def said_before(known: CausalGraph | None, columns: Sequence[str]) -> tuple[Edit, ...]:
    """The edits that required or forbade what still holds, so that their reasons outlive a discovery."""
    if known is None:
        return ()
    holds = {"required": set(known.required()), "forbidden": {(f.source, f.target) for f in known.forbidden}}
    return tuple(
        e
        for e in known.history
        if (e.source, e.target) in holds.get(e.action, ()) and {e.source, e.target} <= set(columns)
    )


def _still_forbidden(known: CausalGraph | None, columns: Sequence[str]) -> tuple[Forbidden, ...]:
    if known is None:
        return ()
    return tuple(f for f in known.forbidden if {f.source, f.target} <= set(columns))


def _not_carried(known: CausalGraph, columns: Sequence[str]) -> list[str]:
    """Notes on what the graph before had and no discovery can have."""
    notes = []
    gone = [n.id for n in known.nodes if n.tier == "latent"]
    if gone:
        notes.append(
            f"The runs do not measure {', '.join(gone)}, so no discovery can draw it: add it again by hand."
        )
    knowledge = Knowledge.of(known)
    here = knowledge.among(columns)
    left = [
        f"{s} -> {t}"
        for s, t in [*knowledge.required, *knowledge.forbidden]
        if (s, t) not in {*here.required, *here.forbidden} and tier_of(s) != "latent"
    ]
    if left:
        notes.append(f"The runs do not measure both ends of {', '.join(left)}: what was said of it is left.")
    return notes


def reading(arrows: Sequence[Arrow], rules: Rules, runs: int) -> list[str]:
    """Notes on how to read the edges that were found and the ones that were not."""
    notes = []
    if rules.randomised:
        notes.append("Every mixture was drawn at random, so no edge into a weight was considered.")
    elif any(rules.tier(a.target) == "weight" for a in arrows):
        notes.append(
            "Weights sum to 1: pool state that moves one domain moves the others too, "
            "so some edges into weights may only mirror another."
        )
    undirected = sum(a.mark == "undirected" for a in arrows)
    if undirected:
        what = "edge" if undirected == 1 else "edges"
        notes.append(
            f"{undirected} {what} among pool state could not be given a direction by the data: "
            "orient by hand what you know."
        )
    uncertain = sum(bool(a.note) and a.mark == "directed" for a in arrows)
    if uncertain:
        notes.append(
            f"{uncertain} of the edges may also come from a hidden common cause: their head is certain, "
            "their tail is not. They are drawn with their direction and say so in their note."
        )
    reached = {v for a in arrows for v in ((a.source, a.target) if a.mark == "bidirected" else (a.target,))}
    untouched = [
        name for v, name in enumerate(rules.names) if rules.tier(v) == "outcome" and v not in reached
    ]
    if untouched:
        notes.append(
            f"Nothing was found to influence {', '.join(untouched)}; "
            f"with {runs} runs a small effect can be missed."
        )
    return notes
