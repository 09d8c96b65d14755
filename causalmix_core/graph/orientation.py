"""Directions for edges that the runs leave without one, so that dowhy can read the graph as a DAG."""

from __future__ import annotations

import networkx as nx


def extension(
    nodes: list[str], directed: list[tuple[str, str]], undirected: list[tuple[str, str]]
) -> list[tuple[str, str]] | None:
    """Directions for `undirected` that give a DAG without new colliders; None if there are none.

    Dor and Tarsi (1992): repeatedly take a node that has no arrow out of it and whose undirected
    neighbours are linked to all its other neighbours, point its undirected edges at it, and set it
    aside.

    Args:
        nodes: in the order in which they are tried.
        directed: (source, target) pairs, acyclic.
        undirected: pairs without a direction.
    """
    into = {v: {s for s, t in directed if t == v} for v in nodes}
    out = {v: {t for s, t in directed if s == v} for v in nodes}
    free: dict[str, set[str]] = {v: set() for v in nodes}
    for s, t in undirected:
        free[s].add(t)
        free[t].add(s)
    near = {v: into[v] | out[v] | free[v] for v in nodes}
    left = list(nodes)
    chosen: list[tuple[str, str]] = []
    while left:
        sink = next(
            (v for v in left if not out[v] and all(near[v] - {u} <= near[u] for u in free[v])),
            None,
        )
        if sink is None:
            return None
        chosen += [(u, sink) for u in free[sink]]
        left.remove(sink)
        for u in near[sink]:
            out[u].discard(sink)
            free[u].discard(sink)
            near[u].discard(sink)
    return chosen


def orders(
    nodes: list[str], directed: list[tuple[str, str]], undirected: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Directions for `undirected` along a topological order of `directed`; ties go by name.

    Args:
        nodes: all of them.
        directed: (source, target) pairs, acyclic.
        undirected: pairs without a direction.
    """
    order = nx.DiGraph()
    order.add_nodes_from(nodes)
    order.add_edges_from(directed)
    rank = {v: i for i, v in enumerate(nx.lexicographical_topological_sort(order))}
    return [(s, t) if rank[s] < rank[t] else (t, s) for s, t in undirected]
