"""Graphs drawn in one line, and arbitrary ones, for the tests of this room."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from causalmix_core.graph import (
    CausalGraph,
    Edge,
    Forbidden,
    Node,
    Provenance,
    refusal,
    tier_of,
)

IDS = ("state/a", "state/b", "state/c", "weight/x", "weight/y", "loss/x", "loss/y")
WHEN = datetime(2026, 5, 3, tzinfo=UTC)
FOUND = Provenance(kind="discovered", by="ana", at=WHEN, detail="BOSS")


def edge_of(text, **given):
    """`a>b` is directed, `a-b` is not, `a~b` shares a latent; states may be named by their letter."""
    mark = {">": "directed", "~": "bidirected"}.get(next((c for c in text if c in ">~"), ""), "undirected")
    sign = {"directed": ">", "bidirected": "~", "undirected": "-"}[mark]
    s, t = (p if "/" in p else f"state/{p}" for p in text.split(sign))
    return Edge(source=s, target=t, mark=mark, provenance=FOUND, **given)


def nodes_of_ids(ids):
    return tuple(Node(id=i, tier=tier_of(i)) for i in ids)


def graph_of(*edges, ids=IDS, forbidden=()):
    """A graph with edges such as `a>b`, and with rules such as `a>c`."""
    rules = [edge_of(f) for f in forbidden]
    return CausalGraph(
        nodes=nodes_of_ids(ids),
        edges=tuple(e if isinstance(e, Edge) else edge_of(e) for e in edges),
        forbidden=tuple(Forbidden(source=r.source, target=r.target, by="ana", at=WHEN) for r in rules),
    )


_names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
_awkward = st.sampled_from(
    ['"', "\\", '\\"', "a\\", "\\n", "\n", "\r\n", "<b>x</b>", "<", "&amp;", "&#34;", "&#128;", "👩‍💻",
     "node", "->", "<-", "a -> b", "{", "}", "]", "//", "/* */", "#", "#x", " ", "", "1", "é", "\u00a0",
     "\ufeff", "\x00", "\x85", "true", "latent", "a;b", "[latent]", "'"]
)  # fmt: skip
names = st.one_of(_awkward, _names).filter(lambda n: "<->" not in n)


@st.composite
def graphs(draw):
    """A valid graph over arbitrary names, with every kind of edge, rules, notes and stability."""
    ids = []
    for prefix, most in (("latent/", 2), ("state/", 4), ("weight/", 3), ("loss/", 3)):
        ids += [prefix + n for n in draw(st.lists(names, max_size=most, unique=True))]
    if not ids:
        ids = ["state/only"]
    edges, forbidden = [], []
    for i, s in enumerate(ids):
        for t in ids[i + 1 :]:
            kind = draw(st.sampled_from(["none", "none", "directed", "undirected", "required", "forbidden"]))
            mark = "undirected" if kind == "undirected" else "directed"
            if kind != "none" and refusal(set(ids), s, t, mark) is None:
                if kind == "forbidden":
                    forbidden.append(Forbidden(source=s, target=t, by=draw(names), at=WHEN, why=draw(names)))
                else:
                    status = "required" if kind == "required" else "plain"
                    edges.append(_edge(draw, s, t, mark, status))
            if draw(st.integers(0, 4)) == 0 and refusal(set(ids), s, t, "bidirected") is None:
                edges.append(_edge(draw, *draw(st.permutations([s, t])), "bidirected", "plain"))
    nodes = nodes_of_ids(draw(st.permutations(ids)))
    return CausalGraph(nodes=nodes, edges=tuple(edges), forbidden=tuple(forbidden))


def _edge(draw, source, target, mark, status):
    return Edge(
        source=source, target=target, mark=mark, status=status, provenance=FOUND,
        note=draw(st.one_of(st.just(""), names)),
        stability=draw(st.one_of(st.none(), st.floats(0, 1))),
    )  # fmt: skip
