"""The causal graph: what it is, how it is edited, discovered from runs, and saved.

A graph's nodes are the columns of the run table, and latents that no run measures. `discover` learns one
from finished probes and `saturated_graph` assumes one. `add_edge` and its kin change one and refuse what
cannot be; `parse_operation` and `apply` do so for a browser, and a `Desk` adds undo and redo.
`save_graph` keeps every revision, `describe_changes` says in words what differs, and `read_graph` and
`write_graph` speak the formats of other programs.
"""

from causalmix_core.graph.changes import describe_changes
from causalmix_core.graph.consensus import Agreement, agreements, consensus_graph
from causalmix_core.graph.desk import Desk
from causalmix_core.graph.discovery import (
    METHODS,
    Discovery,
    DiscoveryMethod,
    DiscoverySettings,
    Knowledge,
    MethodFacts,
    discover,
)
from causalmix_core.graph.edits import (
    add_bidirected,
    add_edge,
    add_latent,
    allow_edge,
    delete_edge,
    delete_latent,
    forbid_edge,
    note_edge,
    orient_edge,
    require_edge,
    reverse_edge,
)
from causalmix_core.graph.formats import GraphFormat, GraphFormatError, read_graph, write_graph
from causalmix_core.graph.model import (
    LATENT,
    MOST_NODES,
    TIER_RANK,
    CausalGraph,
    Edge,
    EdgeStatus,
    Edit,
    Forbidden,
    GraphEditError,
    Mark,
    Node,
    Provenance,
    Tier,
    nodes_of,
    refusal,
    saturated_graph,
    tier_of,
)
from causalmix_core.graph.operations import EditOperation, Operation, apply, parse_operation
from causalmix_core.graph.stability import (
    EdgeShares,
    Stability,
    edge_stability,
    load_stability,
    save_stability,
    stability_key,
)
from causalmix_core.graph.store import (
    GraphRevision,
    OutdatedRevision,
    compare_revisions,
    list_graphs,
    load_graph,
    save_graph,
)

__all__ = [
    "LATENT",
    "METHODS",
    "MOST_NODES",
    "TIER_RANK",
    "Agreement",
    "CausalGraph",
    "Desk",
    "Discovery",
    "DiscoveryMethod",
    "DiscoverySettings",
    "Edge",
    "EdgeShares",
    "EdgeStatus",
    "Edit",
    "EditOperation",
    "Forbidden",
    "GraphEditError",
    "GraphFormat",
    "GraphFormatError",
    "GraphRevision",
    "Knowledge",
    "Mark",
    "MethodFacts",
    "Node",
    "Operation",
    "OutdatedRevision",
    "Provenance",
    "Stability",
    "Tier",
    "add_bidirected",
    "add_edge",
    "add_latent",
    "agreements",
    "allow_edge",
    "apply",
    "compare_revisions",
    "consensus_graph",
    "delete_edge",
    "delete_latent",
    "describe_changes",
    "discover",
    "edge_stability",
    "forbid_edge",
    "list_graphs",
    "load_graph",
    "load_stability",
    "nodes_of",
    "note_edge",
    "orient_edge",
    "parse_operation",
    "read_graph",
    "refusal",
    "require_edge",
    "reverse_edge",
    "saturated_graph",
    "save_graph",
    "save_stability",
    "stability_key",
    "tier_of",
    "write_graph",
]
