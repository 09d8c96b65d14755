"""The causal graph: what it is, how it is edited, discovered from runs, and saved.

A graph's nodes are the columns of the run table. `discover` learns one from finished probes,
`saturated_graph` assumes one, `add_edge`, `delete_edge` and `reverse_edge` change one and refuse what
cannot be, and `save_graph` keeps every revision.
"""

from causalmix_core.graph.discovery import Discovery, DiscoveryMethod, discover
from causalmix_core.graph.model import (
    TIER_RANK,
    CausalGraph,
    Edge,
    Edit,
    GraphEditError,
    Node,
    Provenance,
    Tier,
    add_edge,
    delete_edge,
    describe_changes,
    nodes_of,
    reverse_edge,
    saturated_graph,
    tier_of,
)
from causalmix_core.graph.store import GraphRevision, OutdatedRevision, list_graphs, load_graph, save_graph

__all__ = [
    "TIER_RANK",
    "CausalGraph",
    "Discovery",
    "DiscoveryMethod",
    "Edge",
    "Edit",
    "GraphEditError",
    "GraphRevision",
    "Node",
    "OutdatedRevision",
    "Provenance",
    "Tier",
    "add_edge",
    "delete_edge",
    "describe_changes",
    "discover",
    "list_graphs",
    "load_graph",
    "nodes_of",
    "reverse_edge",
    "saturated_graph",
    "save_graph",
    "tier_of",
]
