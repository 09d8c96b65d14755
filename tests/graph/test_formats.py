"""Graphs come from other programs and go back to them; what cannot be read says on which line and why."""

import json

import networkx as nx
import pydot
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from causalmix_core.graph import (
    Edge,
    GraphEditError,
    GraphFormatError,
    add_latent,
    delete_edge,
    load_graph,
    read_graph,
    save_graph,
    write_graph,
)
from causalmix_core.graph.formats import recognise
from causalmix_core.workspace import Workspace, WorkspaceConfig
from tests.graph.drawing import FOUND, IDS, edge_of, graph_of, graphs

COLUMNS = ["state/log_bytes", "weight/code", "weight/math", "loss/code", "loss/math"]
FULL = ("dot", "gml", "json")


def says(graph, *, full):
    """What a file keeps: of dagitty nodes and arrows, of the others notes, rules and stability too."""
    edges = {(e.arrow, e.status, e.stability, e.note) if full else e.arrow for e in graph.edges}
    rules = {(f.source, f.target, f.by, f.at, f.why) for f in graph.forbidden} if full else set()
    return [n.id for n in graph.nodes], edges, rules


@pytest.mark.parametrize("form", ["dot", "dagitty", "gml", "json"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs())
def test_any_graph_survives_the_round_trip(form, graph):
    text = write_graph(graph, form)
    assert text.encode("utf-8").decode("utf-8") == text
    assert recognise(text) == form
    back = read_graph(text, by="ben")
    assert says(back, full=form in FULL) == says(graph, full=form in FULL)
    if form == "json":
        assert back == graph
    else:
        assert all(e.provenance.kind == "imported" and e.provenance.by == "ben" for e in back.edges)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_networkx_reads_our_gml(graph):
    read = nx.parse_gml(write_graph(graph, "gml"))
    assert list(read) == [n.id for n in graph.nodes]
    assert sorted(read.edges()) == sorted((e.source, e.target) for e in graph.edges)


def test_networkx_gml_is_read():
    drawn = nx.DiGraph([("state/a", "loss/é\n\"x\""), ("weight/x", "loss/é\n\"x\"")])  # fmt: skip
    graph = read_graph("\n".join(nx.generate_gml(drawn)))
    assert set(graph.directed()) == set(drawn.edges)
    undirected = read_graph("\n".join(nx.generate_gml(nx.Graph([("state/b", "state/a")]))))
    assert undirected.undirected() == [("state/b", "state/a")]


def test_pydot_reads_our_dot():
    state, loss = 'state/say "hi"', "loss/<b>é 👩‍💻</b>"
    drawn = Edge(source=state, target=loss, provenance=FOUND)
    graph = graph_of(drawn, "a-b", "a~b", ids=(*IDS, state, loss))
    (read,) = pydot.graph_from_dot_data(write_graph(graph, "dot"))
    assert [(e.get_source(), e.get_destination(), e.get("dir")) for e in read.get_edges()] == [
        ('"state/say \\"hi\\""', f'"{loss}"', None),
        ('"state/a"', '"state/b"', "none"),
        ('"state/a"', '"state/b"', "both"),
    ]
    assert len(read.get_nodes()) == len(graph.nodes)


def test_a_graph_pasted_from_dagitty_net_works():
    graph = read_graph(
        'dag { bb="0,0,1,1" X [exposure,pos="0.1,0.2"] Y [outcome,pos="0.8,0.2"] Z [latent] '
        "X -> Y Z -> X Z -> Y X <-> Y }"
    )
    assert [n.id for n in graph.nodes] == ["weight/X", "Y", "latent/Z"]
    assert [e.text for e in graph.edges] == [
        "weight/X -> Y", "latent/Z -> weight/X", "latent/Z -> Y", "weight/X <-> Y",
    ]  # fmt: skip
    assert {e.provenance.detail for e in graph.edges} == {"from dagitty"}


def test_all_of_dagittys_arrows_groups_and_comments():
    graph = read_graph(
        """pdag {
        # the pool
        a -- b   /* no
                    direction */
        c <- b @-> d // a circle is open
        "my \\"var\\"" -> {a b}
        {a c} -> Y <- d; Y [outcome]
        e @-@ a
        f <-@ e
        }"""
    )
    assert [e.text.replace("state/", "") for e in graph.edges] == [
        "a - b", "b -> c", "b -> d", 'my "var" -> a', 'my "var" -> b', "a -> Y", "c -> Y", "d -> Y", "e - a",
        "e -> f",
    ]  # fmt: skip
    assert [e.target for e in graph.edges if "leaves open" in e.note] == ["state/d", "state/f"]


def test_dot_of_other_programs():
    graph = read_graph(
        """strict digraph "g" {
        graph [rankdir=LR]; node [shape=box];
        U [label="Unobserved Confounders", observed="no"];
        subgraph cluster_pool { label=pool; edge [dir=none]; "state/a" -> "state/b" }
        U -> {"weight/x" "loss/x"};
        "weight/x":e -> "loss/" + "x" [weight=-1.5];
        "state/b" -> "weight/x" [dir=back];
        "state/a" -> "loss/x" [dir=both, arrowhead=normal, arrowtail=none];
        }""".replace('"weight/x" [dir=back]', '"state/c" [dir=back]')
    )
    assert [e.text for e in graph.edges] == [
        "state/a - state/b", "latent/U -> weight/x", "latent/U -> loss/x", "weight/x -> loss/x",
        "state/c -> state/b", "state/a -> loss/x",
    ]  # fmt: skip


def test_dot_of_causal_learn_shows_its_names_as_labels():
    text = """digraph {
    0 [label="log_bytes"]; 1 [label="weight/code"]; 2 [label="loss_code"];
    0 -> 2 [arrowhead=empty, arrowtail=none, dir=both];
    1 -> 2 [arrowhead=empty, arrowtail=empty, dir=both];
    }"""
    graph = read_graph(text, known=COLUMNS)
    assert [e.text for e in graph.edges] == ["state/log_bytes -> loss/code", "weight/code <-> loss/code"]


def test_node_link_json_is_read():
    data = {
        "directed": True,
        "nodes": [{"id": "state/a"}, {"id": "loss/x"}, {"id": "u", "latent": True}],
        "links": [{"source": "state/a", "target": "loss/x"}, {"source": "u", "target": "loss/x"}],
    }
    assert [e.text for e in read_graph(json.dumps(data)).edges] == [
        "state/a -> loss/x",
        "latent/u -> loss/x",
    ]
    pairs = {"directed": False, "nodes": ["state/a", "state/b"], "edges": [["state/b", "state/a"]]}
    assert read_graph(json.dumps(pairs)).undirected() == [("state/b", "state/a")]


def test_a_saved_revision_is_read_with_its_history(tmp_path):
    workspace = Workspace.create(tmp_path / "w", WorkspaceConfig(name="test"))
    graph = delete_edge(graph_of("a>b"), "state/a", "state/b", by="ana", why="a fluke")
    save_graph(workspace, "main", graph, parent=None, by="ana")
    assert (
        read_graph((workspace.graphs / "main" / "1.json").read_text()) == load_graph(workspace, "main").graph
    )


def test_names_are_mapped_to_the_columns_that_they_can_mean():
    graph = read_graph(
        "dag { code [exposure] loss_code [outcome] LOG.bytes -> code -> loss_code }", known=COLUMNS
    )
    assert [e.text for e in graph.edges] == ["state/log_bytes -> weight/code", "weight/code -> loss/code"]
    assert [n.id for n in graph.nodes] == COLUMNS


@pytest.mark.parametrize("form", ["dot", "dagitty", "gml", "json"])
def test_our_own_files_fit_the_columns_and_keep_latents(form):
    graph = graph_of("weight/code>loss/math", ids=["weight/code", "loss/math"])
    text = write_graph(add_latent(graph, "mood", ["loss/math"], by="ana"), form)
    read = read_graph(text, known=COLUMNS)
    assert [n.id for n in read.nodes] == [*COLUMNS, "latent/mood"]
    assert [e.text for e in read.edges] == ["weight/code -> loss/math", "latent/mood -> loss/math"]
    with pytest.raises(GraphFormatError, match="no column"):
        read_graph(text, known=["weight/code", "loss/code"])


def test_json_of_other_columns_is_mapped_with_its_history():
    graph = graph_of("state/Log-Bytes>loss/math", ids=["state/Log-Bytes", "loss/math"])
    graph = delete_edge(graph, "state/Log-Bytes", "loss/math", by="ana", why="a fluke")
    read = read_graph(write_graph(graph, "json"), known=COLUMNS)
    assert (read.history[0].source, read.history[0].why) == ("state/log_bytes", "a fluke")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("dag {\n code -> loss_code }", 2, "'code' could be weight/code or loss/code"),
        ("dag {\n foo -> loss_code\n bar }", 2, "'foo', 'bar' are no columns of the runs, which have: st"),
        ("dag {\n weight_cod }", 2, "which have: weight/code, "),
        ('dag {\n weight_code "weight/code" }', 2, "both mean weight/code"),
        ("dag {\n weight_code [latent] }", 2, "weight/code is a weight, but the file calls it latent"),
        ("dag {\n weight_code -> weight_math }", 2, "the weights are one decision"),
        ("graph [ node [\n id 0 label \"foo\" ] ]", 1, "'foo' is no column"),
    ],
)  # fmt: skip
def test_names_that_fit_no_column_or_several_are_refused(text, line, words):
    with pytest.raises(GraphFormatError) as caught:
        read_graph(text, known=COLUMNS)
    assert caught.value.line == line
    assert words in str(caught.value)


MANY = " ".join(f"x{i}" for i in range(500))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "The text is empty"),
        (" \n// nothing\n", None, "The text is empty"),
        ("\n hello", 2, "none of DOT"),
        ("dag { }", None, "draws no node"),
        ("dag {\n a -> b\n", 3, "ends before the '{' of line 1 is closed"),
        ("dag {\n a ->\n}", 3, "Expected the name of a node, found '}'"),
        ('dag {\n "a -> b }', 2, "A quoted name begins here and does not end"),
        ("dag {\n /* a -> b }", 2, "A comment begins here and does not end"),
        ("dag {\n a [latent }", 2, "Expected ']'"),
        ("dag {\n a [latent=] }", 2, "Expected a name or a value, found ']'"),
        ('dag {\n "" -> a }', 2, "A node needs a name"),
        ("dag {a}\n b", 2, "but 'b' follows"),
        ("digraph {\n state/a -> b }", 2, "Unexpected '/'. Put a name with special characters in"),
        ("digraph {\n <b c }", 2, "does not end"),
        ("digraph {\n a -> b [stability=high] }", 2, "'high' is no number"),
        ("digraph {\n a -> b [stability=7] }", 2, "less than or equal to 1"),
        ('digraph { forbidden="[" a }', None, "The attribute 'forbidden'"),
        ("digraph {\n a -> b [dir=none, status=required] }", 2, "only an edge with a direction can be"),
        ("dag {\n a -> b\n b -> c\n c -> a }", 4, "state/a -> state/b -> state/c -> state/a (lines 2, 3, 4)"),
        ("dag {\n x [exposure] y [outcome]\n y -> x }", 3, "causes come first"),
        ("dag {\n u [latent]\n a -> u }", 3, "what causes a latent is left out"),
        ("dag {\n a -> b\n b <- a }", 3, "two edges between these nodes (first on line 2)"),
        ("dag {\n a -> b\n a -- b }", 3, "two edges between"),
        ("dag {\n a -> {b a} }", 2, "an edge needs two different nodes"),
        ('dag {\n "a <-> b" }', 2, "a name cannot hold '<->'"),
        (f"dag {{\n {'x' * 300} }}", 2, "at most 200 characters"),
        (f"dag {{ {MANY} }}", None, "500 nodes; at most 200"),
        (f"digraph {{ {{ {MANY} }} ->\n {{ {MANY} }} }}", 2, "500 nodes; at most 200"),
        ("digraph {" + "{" * 30 + "}" * 30 + "}", 1, "more than 20 deep"),
        ("{\n \"nodes\": [,] }", 2, "No valid JSON"),
        ("[" * 100_000, None, "nested too deep"),
        ("[]", None, "The JSON is no graph"),
        ('{"nodes": []}', None, "draws no node"),
        ('{"nodes": [{"name": 1}]}', None, "nodes.0: the node has no id"),
        ('{"nodes": ["a"], "edges": [["a"]]}', None, "edges.0: the edge has no source"),
        ('{"nodes": [{"id": "state/a", "tier": "weight"}]}', None, "nodes.0: node state/a is pool state"),
        ('{"nodes": ["\\ud800"]}', None, "cannot be a node"),
        (json.dumps({"nodes": list(range(500))}), None, "500 nodes; at most 200"),
        ("graph [\n node [ id 1 label \"a\n", 2, "A quoted text begins here and does not end"),
        ("graph [\n node [ id 1", 2, "The '[' of line 2 is not closed"),
        ("graph [\n node 3 ]", 2, "Expected '[' after 'node'"),
        ("graph [\n node [ id 1 ]\n edge [ source 1 target 2 ] ]", 3, "names the node 2"),
        ("graph [\n node [ label \"a\" ] ]", 2, "The node lacks its id"),
        ("graph [\n node [ id 1 ]\n node [ id 1 ] ]", 3, "two nodes with the id 1"),
        ("graph [\n node [ id 1 ]\n edge [ source 1 target 1 mark \"odd\" ] ]", 3, "The mark 'odd'"),
        ("graph [\n node [ id ] ]", 2, "Expected a number"),
        ("graph [\n" * 30, 21, "more than 20 deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where_and_why(text, line, words):
    with pytest.raises(GraphFormatError) as caught:
        read_graph(text)
    assert words in str(caught.value)
    assert caught.value.line == line
    assert (f"Line {line}: " in str(caught.value)) == (line is not None)


def test_a_format_that_was_asked_for_is_insisted_on():
    with pytest.raises(GraphFormatError, match="must begin with 'digraph' or 'graph', not with 'dag'"):
        read_graph("dag { a }", "dot")
    assert read_graph("digraph { a [latent] }", "dagitty").tier("latent") == ["latent/a"]


def test_a_giant_text_is_not_read():
    with pytest.raises(GraphFormatError, match="5,000,001 characters; at most 5,000,000"):
        read_graph("x" * 5_000_001)


def test_rules_of_a_file_may_not_contradict_its_edges():
    text = write_graph(graph_of("a>b", forbidden=["a>c"]), "dot")
    assert read_graph(text).prohibition("state/a", "state/c").by == "ana"
    with pytest.raises(GraphFormatError, match="the file also forbids this edge"):
        read_graph(text.replace('"state/a" -> "state/b"', '"state/a" -> "state/c"'))


_pieces = st.sampled_from(
    ["dag", "digraph", "pdag", "graph", "{", "}", "[", "]", "->", "<->", "--", "@->", '"', "a", "b", "=", ";",
     "\n", "latent", "node", "edge", "id", "1", "source", "target", "label", ":", ",", "<", ">", "\\", "#",
     "/*", "subgraph", '"nodes"', '"edges"', "null", "tier", "forbidden", "+", "&#34;", "\u2028"]
)  # fmt: skip
_starts = st.sampled_from(["dag {", "digraph {", "graph [", '{"nodes": [', "graph [ node [ id 1 ]", ""])


@settings(max_examples=400, deadline=None)
@given(
    _starts, st.lists(st.one_of(_pieces, st.text(max_size=4)), max_size=25), st.sampled_from([None, COLUMNS])
)
def test_any_text_is_a_graph_or_a_refusal(start, pieces, known):
    try:
        graph = read_graph(" ".join([start, *pieces]), known=known)
    except GraphEditError as refused:
        words, nodes = str(refused), ()
    else:
        words, nodes = "", graph.nodes
    assert words or nodes


def test_stability_is_kept_to_the_last_digit():
    for form in FULL:
        graph = graph_of(edge_of("a>b", stability=1e-17), edge_of("b>c", stability=0.1 + 0.2))
        assert [e.stability for e in read_graph(write_graph(graph, form)).edges] == [1e-17, 0.1 + 0.2]
