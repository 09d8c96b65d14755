"""Which paths of a causal graph are open, and what closes them: the rules behind all that it implies.

A `Wiring` is a graph as d-separation reads it: every edge has a direction (`oriented_by_convention`), and a
bidirected edge stands for a common cause that is not drawn. It is plain sets, because the search for the
smallest edit looks at hundreds of slightly different graphs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import networkx as nx

from causalmix_core.graph.model import LATENT, CausalGraph

Arrow = Literal["->", "<-", "<->", "-"]

_MOST_STEPS = 5_000
"""Partial paths looked at: in a dense graph there are more than anybody could read."""


@dataclass(frozen=True)
class Wiring:
    """What d-separation needs to know of a graph.

    Attributes:
        nodes: sorted ids.
        arrows: directed edges, the open ones in the direction that convention gives them.
        shared: pairs (sorted) with a common cause that is not drawn.
        open: arrows whose direction is a convention, not knowledge.
    """

    nodes: tuple[str, ...]
    arrows: frozenset[tuple[str, str]]
    shared: frozenset[tuple[str, str]]
    open: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, graph: CausalGraph) -> Wiring:
        """The wiring of a graph."""
        open_ = frozenset(graph.oriented_by_convention())
        return cls(
            nodes=tuple(sorted(n.id for n in graph.nodes)),
            arrows=frozenset(graph.directed()) | open_,
            shared=frozenset((min(p), max(p)) for p in graph.bidirected()),
            open=open_,
        )

    @cached_property
    def dag(self) -> nx.DiGraph:
        """All of it as a DAG; a shared cause becomes the node `hidden(pair)`."""
        dag = nx.DiGraph()
        dag.add_nodes_from(self.nodes)
        dag.add_edges_from(self.arrows)
        for a, b in self.shared:
            dag.add_edges_from([(hidden((a, b)), a), (hidden((a, b)), b)])
        return dag

    def adjacent(self, a: str, b: str) -> bool:
        """Whether an edge links the two."""
        return (a, b) in self.arrows or (b, a) in self.arrows or (min(a, b), max(a, b)) in self.shared

    def without(self, a: str, b: str, *, shared: bool | None = None) -> Wiring:
        """The wiring without any edge between the two; with `shared`, only without that kind."""
        gone = {(a, b), (b, a)}
        arrows = self.arrows if shared is True else self.arrows - gone
        pairs = self.shared if shared is False else self.shared - gone
        return replace(self, arrows=arrows, shared=pairs, open=self.open & arrows)

    def turned(self, source: str, target: str) -> Wiring | None:
        """The wiring with `target -> source` instead; None if that closes a cycle."""
        arrows = self.arrows - {(source, target)} | {(target, source)}
        turned = replace(self, arrows=arrows, open=self.open - {(source, target)})
        return turned if nx.is_directed_acyclic_graph(turned.dag) else None


def hidden(pair: tuple[str, str]) -> str:
    """The node of `Wiring.dag`, and of the graph's `to_networkx`, behind a bidirected edge."""
    return f"{LATENT}{pair[0]} <-> {pair[1]}"


def backdoor_graph(dag: nx.DiGraph, treatments: Collection[str], outcome: str) -> nx.DiGraph:
    """The DAG without the first edge of every directed path from a treatment to the outcome.

    What still connects them is not the effect of the treatments. This is the proper backdoor graph of van
    der Zander, Liskiewicz and Textor (2014); dowhy's `get_proper_backdoor_graph` gives the same.
    """
    chosen = set(treatments)
    after = reached(dag.succ, chosen, beyond=lambda v: v not in chosen)
    before = reached(dag.pred, {outcome}, beyond=lambda v: v not in chosen) | {outcome}
    on_the_way = (after & before) - chosen
    cut = dag.copy()
    cut.remove_edges_from([(t, v) for t in chosen for v in dag.succ[t] if v in on_the_way])
    return cut


def reached(
    steps: Mapping[str, Iterable[str]], starts: Collection[str], beyond: Callable[[str], bool] | None = None
) -> set[str]:
    """Nodes that can be reached from `starts` in one step or more.

    Args:
        steps: of each node, the next ones: `dag.succ` for what it causes, `dag.pred` for its causes.
        starts: where to begin.
        beyond: whether the way goes on from a node; default: from all. Starts always go on.
    """
    seen: set[str] = set()
    queue = list(starts)
    while queue:
        for v in steps[queue.pop()]:
            if v not in seen:
                seen.add(v)
                if beyond is None or beyond(v):
                    queue.append(v)
    return seen


@dataclass(frozen=True)
class OpenPath:
    """A path along which information flows, as ids and the arrows between them."""

    nodes: tuple[str, ...]
    arrows: tuple[Arrow, ...]

    @property
    def text(self) -> str:
        """`a <- b -> c`."""
        steps = zip(self.arrows, self.nodes[1:], strict=True)
        return " ".join([self.nodes[0], *(f"{arrow} {node}" for arrow, node in steps)])

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(source, target) of each edge, as the arrows point; of other edges the ends in order."""
        return tuple(
            (b, a) if arrow == "<-" else (a, b)
            for a, arrow, b in zip(self.nodes, self.arrows, self.nodes[1:], strict=False)
        )


def open_paths(
    wiring: Wiring,
    dag: nx.DiGraph,
    starts: Iterable[str],
    end: str,
    given: Collection[str],
    most: int,
) -> tuple[list[OpenPath], bool]:
    """The shortest open simple paths from any of `starts` to `end` when `given` is held fixed.

    A path is open when every collider on it is held fixed, or causes what is, and nothing else on it is. It
    does not run through another start.

    Args:
        wiring: what the paths are written in.
        dag: `wiring.dag`, or a part of it such as its backdoor graph.
        starts: where a path may begin; those named first come first among paths of one length.
        end: where it ends.
        given: ids held fixed.
        most: paths to give back.

    Returns:
        The paths, shortest first, and whether these are all of them.
    """
    starts, given = [s for s in starts if s in dag], set(given)
    first = set(starts)
    unlocked = given | reached(dag.pred, given)
    # What cannot reach the end even on a walk that may repeat nodes is never begun.
    hopeful = _hopeful(dag, first, end, given, unlocked)
    near = {v: sorted({*dag.pred[v], *dag.succ[v]}) for v in dag}
    found: list[OpenPath] = []
    queue: deque[tuple[str, ...]] = deque((s,) for s in starts)
    steps = 0
    while queue:
        path = queue.popleft()
        steps += 1
        if len(found) >= most or steps > _MOST_STEPS:
            return found, False
        last = path[-1]
        if last == end:
            found.append(_written(wiring, dag, path))
            continue
        collides = len(path) > 1 and last in dag.succ[path[-2]]
        for v in near[last]:
            if v in path or v in first or (v, v in dag.succ[last]) not in hopeful:
                continue
            if len(path) > 1 and not (
                last in unlocked if collides and v in dag.pred[last] else last not in given
            ):
                continue
            queue.append((*path, v))
    return sorted(found, key=lambda p: len(p.nodes)), True


def separated(dag: nx.DiGraph, starts: Collection[str], end: str, given: Collection[str]) -> bool:
    """Whether `given` d-separates `starts` from `end`.

    networkx's `is_d_separator` answers the same, but takes a second where a hundred nodes are linked densely,
    and the search for an edit asks hundreds of times.
    """
    return end not in _touched(dag, starts, set(given))


def smallest_separator(
    dag: nx.DiGraph, starts: Collection[str], end: str, allowed: Collection[str]
) -> set[str] | None:
    """A set within `allowed` that separates, and of which nothing can be left out; None if there is none.

    If any set does, the allowed ancestors do; of these, those stay that are met from both sides (van der
    Zander and Liskiewicz 2020). networkx's `find_minimal_d_separator` gives the same set.
    """
    chosen = set(allowed) & (reached(dag.pred, [*starts, end]))
    met = _touched(dag, starts, chosen)
    if end in met:
        return None
    chosen &= met
    return chosen & _touched(dag, [end], chosen)


def _touched(dag: nx.DiGraph, starts: Collection[str], given: set[str]) -> set[str]:
    """Nodes that information from `starts` comes to, also those where it ends (Bayes ball, Shachter 1998)."""
    pred, succ = dag.pred, dag.succ
    unlocked = given | reached(pred, given)
    states = {(v, True) for s in starts for v in succ[s]} | {(v, False) for s in starts for v in pred[s]}
    queue = list(states)
    while queue:
        v, head = queue.pop()
        # On to a cause: a collider if it came by a head. On to an effect: never a collider.
        to_causes = v in unlocked if head else v not in given
        following = [(u, False) for u in pred[v]] if to_causes else []
        if v not in given:
            following += [(u, True) for u in succ[v]]
        for state in following:
            if state not in states:
                states.add(state)
                queue.append(state)
    return {v for v, _ in states}


def _hopeful(
    dag: nx.DiGraph, first: set[str], end: str, given: set[str], unlocked: set[str]
) -> set[tuple[str, bool]]:
    """Nodes from which an open walk reaches `end`; each with whether the edge into it has its head there.

    Args:
        dag: the DAG.
        first: nodes that no walk passes.
        end: where walks end.
        given: nodes that are held fixed.
        unlocked: these and what causes them: colliders that let information pass.
    """
    pred, succ = dag.pred, dag.succ
    hopeful = {(end, True), (end, False)}
    queue = list(hopeful)
    while queue:
        v, head_at_v = queue.pop()
        # The walk comes from u: along u -> v, which has its head at v, or against v -> u.
        for u in pred[v] if head_at_v else succ[v]:
            if u in first:
                continue
            # An edge with its tail at u makes u no collider; with its head it is one if the next has too.
            fork_or_chain = u not in given
            ways = ((True, fork_or_chain), (False, fork_or_chain)) if head_at_v else (
                (True, u in unlocked), (False, fork_or_chain)
            )  # fmt: skip
            for head_at_u, passes in ways:
                if passes and (u, head_at_u) not in hopeful:
                    hopeful.add((u, head_at_u))
                    queue.append((u, head_at_u))
    return hopeful


def _written(wiring: Wiring, dag: nx.DiGraph, path: tuple[str, ...]) -> OpenPath:
    """A path of the DAG in the edges that a curator sees."""
    named = set(wiring.nodes)
    nodes, arrows = [path[0]], list[Arrow]()
    for a, b in pairwise(path):
        if a not in named:
            arrows[-1] = "<->"
        elif (a, b) in wiring.open or (b, a) in wiring.open:
            arrows.append("-")
        else:
            arrows.append("->" if dag.has_edge(a, b) else "<-")
        if b in named:
            nodes.append(b)
    return OpenPath(tuple(nodes), tuple(arrows))
