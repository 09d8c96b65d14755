"""Discovery: a causal graph from finished probes, by one of several methods, within what is known.

`discover` runs a method; `METHODS` says what each can be told and how it keeps to it; `Knowledge` is what
a curator has required and forbidden. Every result is held to tiers, design and knowledge before it is a
graph.
"""

from causalmix_core.graph.discovery.columns import WEIGHT_OFFSET
from causalmix_core.graph.discovery.knowledge import Knowledge
from causalmix_core.graph.discovery.methods import (
    DEFAULT_METHOD,
    METHODS,
    DiscoveryMethod,
    DiscoverySettings,
    MethodFacts,
)
from causalmix_core.graph.discovery.search import Discovery, discover

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "WEIGHT_OFFSET",
    "Discovery",
    "DiscoveryMethod",
    "DiscoverySettings",
    "Knowledge",
    "MethodFacts",
    "discover",
]
