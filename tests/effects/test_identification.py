"""Identification against graphs whose answer is known by hand."""

from datetime import UTC, datetime

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.effects import identify
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    CausalGraph,
    Edge,
    Node,
    Provenance,
    add_bidirected,
    add_edge,
    add_latent,
    tier_of,
)

NODES = ["state/a", "state/b", "state/c", "weight/x", "weight/y", "loss/x", "loss/y"]


def graph(*edges: tuple[str, str]) -> CausalGraph:
    said = Provenance(kind="assumed", by="test", at=datetime.now(UTC))
    return CausalGraph(
        nodes=tuple(Node(id=n, tier=tier_of(n)) for n in NODES),
        edges=tuple(Edge(source=s, target=t, provenance=said) for s, t in edges),
    )


def test_randomised_weights_need_no_adjustment():
    found = identify(graph(("weight/x", "loss/x"), ("weight/y", "loss/x"), ("state/a", "loss/x")), "loss/x")
    assert (found.treatments, found.excluded) == (("weight/x", "weight/y"), ())
    assert (found.adjustment, found.modifiers) == ((), ("state/a",))
    assert found.identified
    assert "no adjustment" in found.reason


def test_a_common_cause_is_adjusted_for_and_an_instrument_is_not():
    found = identify(
        graph(
            ("state/a", "weight/x"), ("state/a", "loss/x"), ("state/b", "weight/x"), ("weight/x", "loss/x")
        ),
        "loss/x",
    )
    assert found.adjustment == ("state/a",)
    # state/b acts through the weight: a directed path all the same.
    assert found.modifiers == ("state/a", "state/b")
    assert found.excluded == ("weight/y",)
    assert "weight/y has no path to loss/x" in found.reason


def test_no_weight_with_a_path():
    found = identify(graph(("weight/x", "loss/y"), ("state/a", "loss/x")), "loss/x")
    assert found.treatments == ()
    assert found.identified
    assert "No weight has a path" in found.reason


def test_an_unmeasured_common_cause_leaves_the_effect_unidentified():
    confounded = graph(("state/a", "weight/x"), ("state/a", "loss/x"), ("weight/x", "loss/x"))
    found = identify(confounded, "loss/x", observed=["state/b"])
    assert not found.identified
    assert "state/a" in found.reason


def test_a_measured_stand_in_blocks_the_path_of_an_unmeasured_cause():
    stand_in = graph(
        ("state/a", "state/b"), ("state/b", "weight/x"), ("state/a", "loss/x"), ("weight/x", "loss/x")
    )
    found = identify(stand_in, "loss/x", observed=["state/b"])
    assert (found.identified, found.adjustment) == (True, ("state/b",))


DIRECT = (("weight/x", "loss/x"), ("weight/y", "loss/y"))


def test_a_bidirected_edge_is_a_common_cause_that_nothing_can_hold_fixed():
    clean = graph(*DIRECT)
    confounded = add_bidirected(clean, "loss/x", "weight/x", by="ana")
    assert identify(clean, "loss/x").identified
    found = identify(confounded, "loss/x")
    assert (found.identified, found.treatments, found.adjustment) == (False, ("weight/x",), ())
    assert "(loss/x <-> weight/x)" in found.reason
    # The other outcome does not know of it.
    assert identify(confounded, "loss/y").identified


def test_a_bidirected_edge_alone_is_no_path():
    found = identify(add_bidirected(graph(("weight/y", "loss/x")), "weight/x", "loss/x", by="ana"), "loss/x")
    assert (found.treatments, found.excluded) == (("weight/y",), ("weight/x",))
    assert found.identified


def test_a_latent_with_two_children_opens_a_backdoor():
    one_child = add_latent(graph(*DIRECT), "mood", ["weight/x"], by="ana")
    assert identify(one_child, "loss/x").identified
    found = identify(add_edge(one_child, "latent/mood", "loss/x", by="ana"), "loss/x")
    assert not found.identified
    assert "(latent/mood)" in found.reason


def test_only_the_unmeasured_causes_that_confound_are_named():
    drawn = graph(*DIRECT, ("state/a", "weight/x"), ("state/a", "loss/x"), ("state/b", "loss/x"))
    drawn = add_latent(drawn, "harmless", ["loss/x"], by="ana")
    found = identify(drawn, "loss/x", observed=["state/c"])
    assert not found.identified
    assert "(state/a)" in found.reason


def test_a_blocked_latent_is_not_blamed_for_another():
    drawn = add_latent(graph(*DIRECT, ("state/a", "weight/x")), "blocked", ["state/a", "loss/x"], by="ana")
    found = identify(add_latent(drawn, "open", ["weight/x", "loss/x"], by="ana"), "loss/x")
    assert not found.identified
    assert "(latent/open)" in found.reason


def test_a_collider_that_must_be_held_fixed_blames_what_it_connects():
    drawn = graph(*DIRECT, ("state/a", "weight/x"), ("state/a", "loss/x"))
    drawn = add_latent(drawn, "u", ["weight/x", "state/a"], by="ana")
    found = identify(add_latent(drawn, "v", ["state/a", "loss/x"], by="ana"), "loss/x")
    assert not found.identified
    assert "(latent/u, latent/v)" in found.reason


def test_a_measured_state_on_the_way_from_a_latent_blocks_it():
    drawn = graph(*DIRECT, ("state/a", "weight/x"))
    latent = add_latent(drawn, "u", ["state/a", "loss/x"], by="ana")
    bidirected = add_bidirected(drawn, "state/a", "loss/x", by="ana")
    for found in (identify(latent, "loss/x"), identify(bidirected, "loss/x")):
        assert (found.identified, found.adjustment) == (True, ("state/a",))
    assert identify(latent, "loss/x").modifiers == ("state/a",)


def test_what_two_latents_cause_is_not_adjusted_for():
    """Holding the collider fixed would open the path (M-bias)."""
    drawn = add_bidirected(graph(*DIRECT), "weight/x", "state/a", by="ana")
    found = identify(add_bidirected(drawn, "state/a", "loss/x", by="ana"), "loss/x")
    assert (found.identified, found.adjustment) == (True, ())


def test_an_unknown_outcome_is_named():
    with pytest.raises(CausalMixError, match="no outcome loss/z; it has: loss/x, loss/y"):
        identify(graph(), "loss/z")


@settings(max_examples=30, deadline=None)
@given(
    st.sets(
        st.sampled_from(
            [(s, t) for i, s in enumerate(NODES) for t in NODES[i + 1 :] if tier_of(s) != tier_of(t)]
            + [("state/a", "state/b"), ("state/a", "state/c"), ("state/b", "state/c")]
        )
    )
)
def test_the_adjustment_set_blocks_every_backdoor_path(edges):
    found = identify(graph(*edges), "loss/x")
    assert found.identified
    assert all(a.startswith("state/") for a in found.adjustment)
    if found.treatments:
        # All effects of weights are direct here, so without those edges nothing may connect them.
        cut = nx.DiGraph()
        cut.add_nodes_from(NODES)
        cut.add_edges_from(e for e in edges if not (e[0] in found.treatments and e[1] == "loss/x"))
        assert nx.is_d_separator(cut, set(found.treatments), {"loss/x"}, set(found.adjustment))
