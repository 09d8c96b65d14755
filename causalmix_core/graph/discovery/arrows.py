"""What a search returns, and how it is held against what is known.

Searches return arrows. `obey` makes them keep to the rules, says in words whatever it had to change, and
fails loudly where it cannot: a graph never contradicts what its curator has said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import networkx as nx
import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.model import Mark

HIDDEN_CAUSE = "a hidden common cause is not excluded"
"""Note of an edge whose head is certain and whose tail is not."""

_TAIL, _HEAD, _CIRCLE = -1, 1, 2


class Arrow(NamedTuple):
    """An edge as a search returns it; columns by index."""

    source: int
    target: int
    mark: Mark
    note: str = ""


@dataclass
class Found:
    """What a search has found.

    Attributes:
        arrows: at most one per pair of columns.
        notes: what a curator must know to read them.
    """

    arrows: list[Arrow]
    notes: list[str] = field(default_factory=list)


def read_marks(marks: np.ndarray, columns: Sequence[int]) -> list[Arrow]:
    """Arrows from causal-learn's matrix: `marks[i, j]` is the mark at i; tail -1, head 1, circle 2.

    Two heads mean, in PC, that two colliders disagree: the edge is kept without a direction. `read_pag`
    reads the result of FCI, where they mean a hidden common cause.

    Args:
        marks: shape (k, k).
        columns: which column of the table each row stands for.
    """
    arrows = []
    for i, j in combinations(range(len(columns)), 2):
        at_i, at_j = marks[i, j], marks[j, i]
        if at_i == 0 and at_j == 0:
            continue
        if at_i == at_j:
            arrows.append(Arrow(columns[i], columns[j], "undirected"))
        elif at_j == _HEAD:
            arrows.append(Arrow(columns[i], columns[j], "directed"))
        else:
            arrows.append(Arrow(columns[j], columns[i], "directed"))
    return arrows


def read_pag(marks: np.ndarray, columns: Sequence[int]) -> list[Arrow]:
    """Arrows from the partial ancestral graph that FCI returns.

    `-->` is directed and `<->` bidirected. `o->` is directed with the note that a hidden common cause is
    not excluded: the head is certain, the tail is not. `o-o` has no certain end: it is undirected, with
    the same note.
    """
    arrows = []
    for i, j in combinations(range(len(columns)), 2):
        at_i, at_j = marks[i, j], marks[j, i]
        if at_i == 0 and at_j == 0:
            continue
        if at_i == at_j == _HEAD:
            arrows.append(Arrow(columns[i], columns[j], "bidirected"))
        elif _HEAD not in (at_i, at_j):
            arrows.append(Arrow(columns[i], columns[j], "undirected", HIDDEN_CAUSE))
        else:
            source, target = (i, j) if at_j == _HEAD else (j, i)
            note = HIDDEN_CAUSE if marks[source, target] == _CIRCLE else ""
            arrows.append(Arrow(columns[source], columns[target], "directed", note))
    return arrows


def obey(found: Found, rules: Rules) -> Found:
    """The arrows, made to keep to the rules; what had to be changed is in the notes.

    An edge with one forbidden direction takes the other. One with two is left out, unless it may stand for
    a hidden common cause, and then it does. A required edge that is missing is added. Directions among pool
    state that follow from these are drawn (Meek 1995, "Causal inference and causal explanation with
    background knowledge"). Cycles, which contradictory tests of a finite sample can leave, lose their
    directions.

    Raises:
        CausalMixError: the result would still break the rules.
    """
    obeying = _Obeying(found, rules)
    obeying.settle()
    obeying.add_required()
    obeying.mend_cycles()
    obeying.follow()
    result = Found(sorted(obeying.arrows.values()), obeying.notes)
    check(result.arrows, rules)
    return result


def check(arrows: Iterable[Arrow], rules: Rules) -> None:
    """Refuse arrows that break the rules.

    Raises:
        CausalMixError: an edge against tiers, design or knowledge, a required edge that is missing, two
            edges for one pair, or a cycle.
    """
    name = rules.names
    arrows = list(arrows)
    broken = []
    directed = {(a.source, a.target) for a in arrows if a.mark == "directed"}
    for a in arrows:
        both = (rules.may(a.source, a.target), rules.may(a.target, a.source))
        hidden = rules.linked_in_time(a.source, a.target)
        allowed = {"directed": both[0], "undirected": all(both), "bidirected": hidden}[a.mark]
        if not allowed:
            broken.append(f"{name[a.source]} to {name[a.target]} ({a.mark})")
    broken += [
        f"{name[s]} -> {name[t]} is missing"
        for t in range(len(name))
        for s in sorted(rules.required[t])
        if (s, t) not in directed
    ]
    if len({frozenset((a.source, a.target)) for a in arrows}) < len(arrows):
        broken.append("two edges between the same nodes")
    if not nx.is_directed_acyclic_graph(nx.DiGraph(sorted(directed))):
        broken.append("a cycle")
    if broken:
        raise CausalMixError(
            f"The search broke what is known: {'; '.join(broken)}. Nothing was changed. Try another method."
        )


class _Obeying:
    def __init__(self, found: Found, rules: Rules) -> None:
        self.rules = rules
        self.notes = list(found.notes)
        self.arrows = {frozenset((a.source, a.target)): a for a in found.arrows}
        self.oriented = False

    def _name(self, a: int, b: int) -> str:
        return f"{self.rules.names[a]} -> {self.rules.names[b]}"

    def settle(self) -> None:
        """Take from every arrow what the rules exclude."""
        for pair, arrow in list(self.arrows.items()):
            a, b = arrow.source, arrow.target
            forward, backward = self.rules.may(a, b), self.rules.may(b, a)
            if arrow.mark == "bidirected" and self.rules.linked_in_time(a, b):
                continue  # says nothing about what one does to the other
            if not forward and not backward and arrow.note and self.rules.linked_in_time(a, b):
                self.arrows[pair] = Arrow(a, b, "bidirected")
            elif not forward and not backward:
                del self.arrows[pair]
                if self.rules.linked_in_time(a, b):
                    self.notes.append(
                        f"{self.rules.names[a]} and {self.rules.names[b]} look linked in the runs, but every "
                        "edge between them is forbidden: none is drawn."
                    )
            elif arrow.mark == "directed" and not forward:
                self.arrows[pair] = Arrow(b, a, "directed", arrow.note)
                self.oriented = True
                self.notes.append(
                    f"The search drew {self._name(a, b)}, which is forbidden: the edge is turned round."
                )
            elif arrow.mark == "undirected" and not (forward and backward):
                source, target = (a, b) if forward else (b, a)
                self.arrows[pair] = Arrow(source, target, "directed", arrow.note)
                self.oriented = True

    def add_required(self) -> None:
        """Draw what has to be there."""
        for t, sources in enumerate(self.rules.required):
            for s in sorted(sources):
                old = self.arrows.get(frozenset((s, t)))
                if old is not None and old[:3] == (s, t, "directed"):
                    continue
                self.arrows[frozenset((s, t))] = Arrow(s, t, "directed")
                self.oriented = True
                if old is None:
                    self.notes.append(
                        f"{self._name(s, t)} was not found; it is drawn because it is required."
                    )
                elif old.mark != "undirected":
                    self.notes.append(
                        f"The search read the edge between {self.rules.names[s]} and {self.rules.names[t]} "
                        f"otherwise; {self._name(s, t)} is drawn because it is required."
                    )

    def mend_cycles(self) -> None:
        """Take the direction from the edges of every cycle, but never from a required one."""
        while True:
            dag = nx.DiGraph([(a.source, a.target) for a in self.arrows.values() if a.mark == "directed"])
            loops = [sorted(group) for group in nx.strongly_connected_components(dag) if len(group) > 1]
            if not loops:
                return
            for group in sorted(loops):
                open_, dropped = [], []
                for pair, arrow in list(self.arrows.items()):
                    a, b = arrow.source, arrow.target
                    if not pair <= set(group) or arrow.mark != "directed" or self.rules.must(a, b):
                        continue
                    if self.rules.may(b, a):
                        self.arrows[pair] = Arrow(a, b, "undirected")
                        open_.append(arrow)
                    else:
                        del self.arrows[pair]
                        dropped.append(arrow)
                names = ", ".join(self.rules.names[v] for v in group)
                note = f"The tests contradict each other about directions among {names}: "
                if open_:
                    note += "their edges are left without a direction"
                if dropped:
                    left_out = ", ".join(self._name(a.source, a.target) for a in dropped)
                    note += f"{', and ' if open_ else ''}{left_out} is left out"
                self.notes.append(note + ".")

    def follow(self) -> None:
        """Draw the directions among pool state that follow from those that knowledge has set."""
        while self.oriented:
            dag = nx.DiGraph([(a.source, a.target) for a in self.arrows.values() if a.mark == "directed"])
            dag.add_nodes_from(range(len(self.rules.names)))
            for pair, arrow in sorted(self.arrows.items(), key=lambda item: item[1]):
                if arrow.mark != "undirected":
                    continue
                ways = ((arrow.source, arrow.target), (arrow.target, arrow.source))
                way = next((w for w in ways if self._follows(*w, dag)), None)
                if way is not None and not nx.has_path(dag, way[1], way[0]):
                    self.arrows[pair] = Arrow(*way, "directed", arrow.note)
                    break
            else:
                return

    def _follows(self, b: int, c: int, dag: nx.DiGraph) -> bool:
        """Whether one of Meek's four rules makes `b - c` into `b -> c`."""

        def linked(u: int, v: int) -> bool:
            return frozenset((u, v)) in self.arrows

        if any(not linked(a, c) for a in dag.predecessors(b)):
            return True  # else a new collider
        if any(dag.has_edge(a, c) for a in dag.successors(b)):
            return True  # else a cycle
        into_c = [a for a in dag.predecessors(c) if self._open(b, a)]
        if any(not linked(a, d) for a, d in combinations(into_c, 2)):
            return True
        return any(
            dag.has_edge(d, a) and self._open(b, d) and not linked(d, c)
            for a in dag.predecessors(c)
            if linked(a, b)
            for d in dag.predecessors(a)
        )

    def _open(self, u: int, v: int) -> bool:
        arrow = self.arrows.get(frozenset((u, v)))
        return arrow is not None and arrow.mark == "undirected"
