"""A page with nothing but the graph editor, a desk and what Python heard of it, for the browser tests."""

import json
import random
import time
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from causalmix_core.graph import CausalGraph, Desk, Edge, Node, Operation, Provenance, tier_of
from pages.widgets.graph_editor import ShownPath, editor_state, graph_editor, settle

NOW = datetime(2025, 3, 1, tzinfo=UTC)
FOUND = Provenance(kind="discovered", by="ada", at=NOW, detail="BOSS, 240 runs")
GUESS = Provenance(kind="assumed", by="ada", at=NOW)


def graph_of(nodes: list[str], edges: list[Edge]) -> CausalGraph:
    return CausalGraph(nodes=tuple(Node(id=n, tier=tier_of(n)) for n in nodes), edges=tuple(edges))


def small() -> CausalGraph:
    """Eight nodes; one edge has no direction, and stabilities differ."""
    states = ["state/high_entropy_sum", "state/normalized_loss", "state/writing_style"]
    weights = ["weight/code", "weight/math", "weight/web"]
    losses = ["loss/code", "loss/math"]
    edges = [
        Edge(source=states[0], target=states[1], mark="undirected", provenance=FOUND, stability=0.55),
        Edge(source=states[1], target=losses[0], provenance=FOUND, stability=0.9),
        Edge(source=states[2], target=losses[1], provenance=FOUND, stability=0.3),
        Edge(source=weights[0], target=losses[0], provenance=FOUND, stability=1.0),
        Edge(source=weights[1], target=losses[1], provenance=FOUND, stability=0.8),
        Edge(source=weights[2], target=losses[1], provenance=GUESS),
    ]
    return graph_of([*states, *weights, *losses], edges)


def large() -> CausalGraph:
    """40 nodes and 150 edges, with names as long as those of real pools."""
    words = [
        "entropy",
        "repetition",
        "normalized_loss",
        "writing_style_formality",
        "markup_share",
        "readability",
    ]
    states = [f"state/{words[i % 6]}_{['web', 'books', 'wiki'][i % 3]}_{i}" for i in range(12)]
    domains = [
        "ArXiv", "BookCorpus2", "Books3", "DM Mathematics", "Enron Emails", "EuroParl", "FreeLaw", "GitHub",
        "Gutenberg (PG-19)", "HackerNews", "NIH ExPorter", "PhilPapers", "Pile-CC", "PubMed Abstracts",
        "PubMed Central", "StackExchange", "USPTO Backgrounds",
    ]  # fmt: skip
    weights = [f"weight/{d}" for d in domains]
    losses = [f"loss/{d}" for d in domains[:8]] + [
        "bench/arc_challenge",
        "bench/hellaswag",
        "bench/mmlu_stem",
    ]
    draw = random.Random(7)
    pairs: set[tuple[str, str]] = set()
    while len(pairs) < 150:
        kind = draw.random()
        if kind < 0.1:
            i, j = sorted(draw.sample(range(12), 2))
            pairs.add((states[i], states[j]))
        elif kind < 0.4:
            pairs.add((draw.choice(states), draw.choice(losses)))
        else:
            pairs.add((draw.choice(weights), draw.choice(losses)))
    edges = [
        Edge(source=a, target=b, provenance=FOUND, stability=round(draw.uniform(0.2, 1), 2))
        for a, b in sorted(pairs)
    ]
    for i in (3, 40, 90, 120):
        edges[i] = edges[i].model_copy(update={"status": "required", "note": "known from the literature"})
    return graph_of([*states, *weights, *losses], edges)


def hostile() -> CausalGraph:
    """Names that would break markup, selectors or objects."""
    nodes = [
        "state/<b>x</b>&\"'",
        "state/__proto__",
        "weight/🧪 émoji 👩‍🔬",
        "weight/a:b",
        "loss/</svg><script>",
    ]
    edges = [Edge(source=nodes[0], target=nodes[4], provenance=GUESS)]
    return graph_of(nodes, edges)


PATHS = (
    ShownPath(
        "weight/math <- state/writing_style -> loss/math", "open",
        ("weight/math", "state/writing_style", "loss/math"), (("state/writing_style", "loss/math"),),
    ),
    ShownPath("weight/math -> <b>loss</b>", "closed", ("weight/math",), ()),
)  # fmt: skip
WORLDS = {"small": small, "large": large, "hostile": hostile}

st.set_page_config(layout="wide")
state = st.session_state
query = st.query_params
state.runs = state.get("runs", 0) + 1
if "desk" not in state:
    state.desk = Desk.opened(WORLDS[query.get("world", "small")](), None)
    state.revision = 0
    state.done = []


def do(operation: Operation) -> None:
    """One edit; what was done is kept, to be compared with what the browser asked for."""
    state.done.append(operation.model_dump(exclude_defaults=True) | {"kind": operation.kind})
    state.desk = state.desk.do(operation, by="ada")


def clear() -> None:
    """Read the graph in a callback, as a page that saves does."""
    settle("editor", do)
    state.saved = len(state.desk.present.edges)
    state.desk = Desk.opened(state.desk.present, None)


left, middle, right = st.columns(3)
left.button("Plain rerun")
middle.button("Save", on_click=clear)
if right.button("Other graph"):
    state.desk = state.desk.put(small())
    state.revision += 1
visible = st.checkbox("Show the editor", value=True)
while "gate" in query and state.runs > 1 and not Path(query["gate"]).exists():
    time.sleep(0.02)  # a page that is busy until the test lets it go on
if "slow" in query:
    time.sleep(float(query["slow"]))  # a page that works while edits arrive

desk = state.desk
chosen = editor_state(desk.present, key="editor")
if visible:
    chosen = graph_editor(
        desk.present,
        key="editor",
        do=do,
        revision=state.revision,
        can_undo=desk.can_undo,
        can_redo=desk.can_redo,
        highlight=["weight/math", ("weight/math", "loss/math")] if "highlight" in query else (),
        paths_title="Other paths between math and loss/math",
        paths=PATHS if "paths" in query else (),
        read_only="read" in query,
    )
st.text(f"runs={state.runs} saved={state.get('saved')}")
st.text("selected=" + json.dumps(chosen.selected.model_dump() if chosen.selected else None))
st.text("positions=" + json.dumps(chosen.positions) + f" threshold={chosen.threshold}")
edges = sorted(
    f"{e.text}{' !' if e.status == 'required' else ''}{' # ' + e.note if e.note else ''}"
    for e in desk.present.edges
)
st.text("edges=" + json.dumps(edges, ensure_ascii=False))
st.text("forbidden=" + json.dumps([f.text for f in desk.present.forbidden]))
st.text("done=" + json.dumps(state.done, ensure_ascii=False))
st.text("why=" + json.dumps([e.why for e in desk.present.history if e.why]))
