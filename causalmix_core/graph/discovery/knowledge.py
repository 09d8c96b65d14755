"""What is known before a search: the tiers, how the runs were assigned, required and forbidden edges.

`Knowledge` holds what a curator says of a graph; `Rules` applies it, with the tiers, to the columns of one
table. Every method reads the rules, and what a method returns is held against them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import networkx as nx
from pydantic import BaseModel, ConfigDict

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import CausalGraph, Tier, tier_of

Pair = tuple[str, str]
"""(cause, effect)."""


class Knowledge(BaseModel):
    """Edges that must and must not be there, as (cause, effect)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: tuple[Pair, ...] = ()
    forbidden: tuple[Pair, ...] = ()

    @classmethod
    def of(cls, graph: CausalGraph) -> Self:
        """What the curator of a graph has required and forbidden."""
        return cls(
            required=tuple(sorted((e.source, e.target) for e in graph.edges if e.status == "required")),
            forbidden=tuple(sorted({(f.source, f.target) for f in graph.forbidden})),
        )

    def among(self, names: Iterable[str]) -> Self:
        """The part that speaks of these columns only."""
        known = set(names)
        return type(self)(
            required=tuple(p for p in self.required if known.issuperset(p)),
            forbidden=tuple(p for p in self.forbidden if known.issuperset(p)),
        )

    def __bool__(self) -> bool:
        return bool(self.required or self.forbidden)


@dataclass(frozen=True)
class Rules:
    """What may cause what among the columns of a table.

    Attributes:
        names: the columns.
        causes: per column, the indices of the columns that may point to it.
        required: per column, those that must.
        randomised: whether every mixture was drawn at random.
    """

    names: tuple[str, ...]
    causes: tuple[frozenset[int], ...]
    required: tuple[frozenset[int], ...]
    randomised: bool

    @classmethod
    def over(cls, names: Sequence[str], knowledge: Knowledge, *, randomised: bool) -> Self:
        """Apply tiers, design and knowledge to columns; knowledge of other columns is left aside.

        Raises:
            CausalMixError: the knowledge contradicts itself, the tiers or the design.
        """
        index = {name: i for i, name in enumerate(names)}
        known = knowledge.among(names)
        forbidden = set(known.forbidden)
        _refuse_contradictions(known, randomised=randomised)
        causes = tuple(
            frozenset(
                i
                for i, other in enumerate(names)
                if _in_time(other, name, randomised=randomised) and (other, name) not in forbidden
            )
            for name in names
        )
        required: list[set[int]] = [set() for _ in names]
        for source, target in known.required:
            required[index[target]].add(index[source])
        return cls(tuple(names), causes, tuple(map(frozenset, required)), randomised)

    def tier(self, v: int) -> Tier:
        """The tier of a column."""
        return tier_of(self.names[v])

    def of_tier(self, tier: Tier) -> list[int]:
        """Indices of the columns of a tier."""
        return [v for v in range(len(self.names)) if self.tier(v) == tier]

    def may(self, source: int, target: int) -> bool:
        """Whether an edge may point from `source` to `target`."""
        return source in self.causes[target]

    def must(self, source: int, target: int) -> bool:
        """Whether an edge has to point from `source` to `target`."""
        return source in self.required[target]

    def linked_in_time(self, a: int, b: int) -> bool:
        """Whether tiers and design, apart from the curator's word, allow an edge between the two."""
        return any(
            _in_time(self.names[s], self.names[t], randomised=self.randomised) for s, t in ((a, b), (b, a))
        )

    def candidates(self, v: int) -> list[int]:
        """Who may point to `v` beyond those that must."""
        return sorted(self.causes[v] - self.required[v])


def _in_time(source: str, target: str, *, randomised: bool) -> bool:
    """Whether tiers and design let `source` be a cause of `target`."""
    if source == target:
        return False
    causes: dict[Tier, tuple[Tier, ...]] = {
        "state": ("state",),
        "weight": () if randomised else ("state",),
        "outcome": ("state", "weight"),
        "latent": (),
    }
    return tier_of(source) in causes[tier_of(target)]


def _refuse_contradictions(known: Knowledge, *, randomised: bool) -> None:
    both = sorted(set(known.required) & set(known.forbidden))
    if both:
        source, target = both[0]
        raise CausalMixError(f"{source} -> {target} is required and forbidden at once. Lift one of the two.")
    for source, target in known.required:
        if _in_time(source, target, randomised=randomised):
            continue
        if randomised and tier_of(target) == "weight" and tier_of(source) == "state":
            raise CausalMixError(
                f"{source} -> {target} is required, but every mixture of these runs was drawn at random, so "
                "nothing has caused a weight. Make the edge plain, or use other runs."
            )
        raise CausalMixError(
            f"{source} -> {target} is required, but causes come first (pool state, then weights, then "
            "outcomes). Make the edge plain."
        )
    required = nx.DiGraph(sorted(known.required))
    if not nx.is_directed_acyclic_graph(required):
        loop = [source for source, _ in nx.find_cycle(required)]
        raise CausalMixError(
            f"The required edges form a cycle: {' -> '.join([*loop, loop[0]])}. Make one of them plain."
        )
