"""What differs between two graphs, in words and with the reasons that curators gave.

The difference is between what the graphs say, not between what was done: an edge that was removed and
drawn again is no change. The reason of a change is that of the last edit that touched it.
"""

from __future__ import annotations

from collections.abc import Iterable

from causalmix_core.graph.model import CausalGraph, Edge, Edit, EditAction

_Pair = tuple[str | bool, ...]


def describe_changes(old: CausalGraph, new: CausalGraph) -> list[str]:
    """What differs from `old` to `new`, one change per line.

    A line reads `removed weight/code -> loss/math: 'math proxies never see code'`, or ends before the
    colon where nobody gave a reason. Empty when both have the same nodes, edges, notes and rules; who
    drew an edge and when is not compared.
    """
    why = _Reasons(old, new)
    before, after = {n.id for n in old.nodes}, {n.id for n in new.nodes}
    lines = [f"removed node {i}{why.of_node(i)}" for i in sorted(before - after)]
    lines += [f"added node {i}{why.of_node(i)}" for i in sorted(after - before)]
    was, now = _by_pair(old), _by_pair(new)
    for pair in sorted(was.keys() | now.keys()):
        lines += _edge_lines(was.get(pair), now.get(pair), why)
    barred = {(f.source, f.target): f for f in old.forbidden}
    bars = {(f.source, f.target): f for f in new.forbidden}
    for s, t in sorted(bars.keys() - barred.keys()):
        lines.append(f"forbade {s} -> {t}" + why.of_rule(s, t, "forbidden"))
    for s, t in sorted(barred.keys() - bars.keys()):
        if {s, t} <= after:
            lines.append(f"no longer forbids {s} -> {t}" + why.of_rule(s, t, "allowed"))
    return lines


class _Reasons:
    """The reasons of the edits that `new` has on top of `old`, the last one of each thing that changed."""

    def __init__(self, old: CausalGraph, new: CausalGraph) -> None:
        known = set(old.history)
        self._edits = [e for e in reversed(new.history) if e not in known]

    def of_node(self, node: str) -> str:
        """`: 'reason'` of a latent's coming or going, or nothing."""
        return _first(e for e in self._edits if e.source == node and not e.target)

    def of_edge(self, edge: Edge) -> str:
        """`: 'reason'` of what became of the edge between these nodes, or nothing."""
        ends, bidirected = {edge.source, edge.target}, edge.mark == "bidirected"
        return _first(
            e
            for e in self._edits
            if {e.source, e.target} == ends
            and (e.mark == "bidirected") == bidirected
            and e.action not in ("noted", "allowed")
        )

    def of_rule(self, source: str, target: str, action: EditAction) -> str:
        """`: 'reason'` of a rule's coming or going, or nothing."""
        return _first(e for e in self._edits if (e.source, e.target, e.action) == (source, target, action))


def _first(edits: Iterable[Edit]) -> str:
    edit = next(iter(edits), None)
    return f": {edit.why!r}" if edit is not None and edit.why else ""


def _by_pair(graph: CausalGraph) -> dict[_Pair, Edge]:
    return {(*sorted((e.source, e.target)), e.mark == "bidirected"): e for e in graph.edges}


def _edge_lines(old: Edge | None, new: Edge | None, why: _Reasons) -> list[str]:
    """What became of the edge of one pair of nodes."""
    if new is None:
        return [] if old is None else [f"removed {old.text}{why.of_edge(old)}"]
    if old is None:
        lines = [f"added {new.text}{why.of_edge(new)}"]
    elif old.arrow == new.arrow:
        lines = []
    elif "undirected" not in (old.mark, new.mark):
        lines = [f"reversed {old.text} to {new.text}{why.of_edge(new)}"]
    elif new.mark == "directed":
        lines = [f"oriented {old.text} as {new.text}{why.of_edge(new)}"]
    else:
        lines = [f"removed the direction of {old.text}{why.of_edge(new)}"]
    was = "plain" if old is None else old.status
    if new.status != was and new.status == "required":
        lines.append(f"required {new.text}{why.of_rule(new.source, new.target, 'required')}")
    elif new.status != was:
        lines.append(f"no longer requires {new.text}{why.of_rule(new.source, new.target, 'allowed')}")
    if new.note != (old.note if old else ""):
        lines.append(f"noted on {new.text}: {new.note!r}" if new.note else f"wiped the note on {new.text}")
    return lines
