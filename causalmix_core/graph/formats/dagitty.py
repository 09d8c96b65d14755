"""The text of dagitty.net and of the R package dagitty: `dag { X [exposure] Y [outcome] X -> Y X <-> Y }`.

Weights are written as exposures and losses as outcomes. dagitty knows neither required edges nor notes,
stability, reasons or what is forbidden: these are not written.
"""

from __future__ import annotations

from collections import Counter

from causalmix_core.graph.formats.dot import as_draft
from causalmix_core.graph.formats.draft import Draft
from causalmix_core.graph.formats.syntax import parse
from causalmix_core.graph.formats.tokens import quoted
from causalmix_core.graph.model import CausalGraph, Mark, Tier

KEYWORDS = ("dag", "pdag", "mag", "pag")

_ROLES: dict[Tier, str] = {"state": "", "weight": "exposure,", "outcome": "outcome,", "latent": "latent,"}
_ARROWS: dict[Mark, str] = {"directed": "->", "undirected": "--", "bidirected": "<->"}
_COLUMN: dict[Tier, float] = {"latent": -1.5, "state": -0.5, "weight": 0.5, "outcome": 1.5}
"""Where each tier stands from left to right on dagitty's canvas."""


def read_dagitty(text: str) -> Draft:
    """What a dagitty text says.

    Raises:
        GraphFormatError: it breaks the grammar; with the line.
    """
    return as_draft(parse(text, (*KEYWORDS, "digraph", "graph")))


def write_dagitty(graph: CausalGraph) -> str:
    """The graph as dagitty text: nodes with their roles, and edges."""
    lines = ["pdag {" if graph.undirected() else "dag {"]
    row: Counter[Tier] = Counter()
    for node in graph.nodes:
        spot = f'pos="{_COLUMN[node.tier]},{row[node.tier] * 0.25 - 1:.2f}"'
        row[node.tier] += 1
        lines.append(f"{quoted(node.id)} [{_ROLES[node.tier]}{spot}]")
    lines += [f"{quoted(e.source)} {_ARROWS[e.mark]} {quoted(e.target)}" for e in graph.edges]
    return "\n".join([*lines, "}", ""])
