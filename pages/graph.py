"""The causal graph: discovered from the probes, corrected by the curator, every revision saved."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from causalmix_core.corpus import Snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    CausalGraph,
    DiscoveryMethod,
    GraphRevision,
    OutdatedRevision,
    add_edge,
    delete_edge,
    describe_changes,
    discover,
    list_graphs,
    load_graph,
    reverse_edge,
    saturated_graph,
    save_graph,
)
from causalmix_core.probes import RunTable
from causalmix_core.question import DEFAULT_GRAPH
from causalmix_core.workspace import Workspace
from pages.widgets.graph_chart import graph_figure
from pages.widgets.shell import (
    empty,
    guard,
    is_dark,
    next_step,
    run_page,
    runs_of,
    snapshot_of,
    title,
    user,
    warm_imports,
)

METHODS: dict[DiscoveryMethod, str] = {"boss": "BOSS (score-based)", "pc": "PC (independence tests)"}
METHOD_HELP = (
    "BOSS orders the variables so that few, strong edges explain the runs; it finds more of the true edges "
    "on few runs. PC removes every edge that a test of independence allows to remove."
)


class Desk:
    """The graph on this curator's desk: a draft on top of a saved revision, with undo."""

    def __init__(self, workspace: Workspace, runs: RunTable) -> None:
        self.workspace, self.runs = workspace, runs
        revisions = list_graphs(workspace).get(DEFAULT_GRAPH, [])
        self.newest = max(revisions) if revisions else None
        if "desk" not in st.session_state or not self._fits(self.graph):
            self.reload()

    def reload(self) -> None:
        """Put the newest saved revision on the desk, or the assumed graph when none is saved."""
        saved = self._fitting()
        graph = saved.graph if saved else saturated_graph(self.runs, by=user())
        st.session_state["desk"] = {
            "undo": [graph],
            "parent": self.newest,
            "base": graph,
            "saved": saved is not None,
            "notes": [],
        }

    def _fits(self, graph: CausalGraph) -> bool:
        """Whether a graph speaks of the same variables as the runs."""
        variables = {*self.runs.weight_columns, *self.runs.states, *self.runs.outcomes}
        return {n.id for n in graph.nodes} == variables

    def _fitting(self) -> GraphRevision | None:
        """The newest revision if it fits the runs."""
        if self.newest is None:
            return None
        revision = load_graph(self.workspace, DEFAULT_GRAPH, self.newest)
        return revision if self._fits(revision.graph) else None

    @property
    def graph(self) -> CausalGraph:
        """What is on the desk now."""
        graph: CausalGraph = st.session_state["desk"]["undo"][-1]
        return graph

    @property
    def parent(self) -> int | None:
        """The revision that the draft began from."""
        parent: int | None = st.session_state["desk"]["parent"]
        return parent

    @property
    def notes(self) -> list[str]:
        """What the last discovery said about its result."""
        notes: list[str] = st.session_state["desk"]["notes"]
        return notes

    def changes(self) -> list[str]:
        """Unsaved changes in words."""
        desk = st.session_state["desk"]
        if not desk["saved"]:
            return ["no revision saved yet"]
        return describe_changes(desk["base"], self.graph)

    def put(self, graph: CausalGraph, notes: list[str] | None = None) -> None:
        """Lay a new graph on the desk; the one before can be brought back."""
        st.session_state["desk"]["undo"].append(graph)
        if notes is not None:
            st.session_state["desk"]["notes"] = notes

    def undo(self) -> None:
        """Bring back the graph before the last change."""
        if len(st.session_state["desk"]["undo"]) > 1:
            st.session_state["desk"]["undo"].pop()

    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return len(st.session_state["desk"]["undo"]) > 1

    def save(self, note: str, snapshot: Snapshot) -> GraphRevision:
        """Save the draft as a new revision; refused when somebody saved another one meanwhile."""
        revision = save_graph(
            self.workspace,
            DEFAULT_GRAPH,
            self.graph,
            parent=self.parent,
            by=user(),
            note=note,
            snapshot=snapshot.id,
            runs=len(self.runs),
        )
        self.newest = revision.revision
        self.reload()
        return revision


def discovery(desk: Desk) -> None:
    """Search the runs for a graph."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.selectbox(
            "Method", list(METHODS), format_func=METHODS.__getitem__, width=240, help=METHOD_HELP
        )
        alpha = 0.05
        if method == "pc":
            alpha = st.number_input(
                "Level", 0.001, 0.5, 0.05, step=0.01, width=120,
                help="The level of each test; higher keeps more edges.",
            )  # fmt: skip
        if st.button("Discover from the probes", type="primary", icon=":material/search:"):
            with guard(), st.spinner("Searching the runs for a graph ..."):
                warm_imports().join()
                found = discover(desk.runs, method, alpha=alpha, by=user())
                desk.put(found.graph, found.notes)
            st.rerun()
        if st.button(
            "Assume all", icon=":material/all_inclusive:",
            help="Every weight and every pool state may matter for every outcome: the cautious choice "
            "on few, randomised runs.",
        ):  # fmt: skip
            desk.put(saturated_graph(desk.runs, by=user()), [])
            st.rerun()


def editing(desk: Desk) -> tuple[str, str] | None:
    """Add, delete and reverse edges; returns the edge to highlight."""
    graph = desk.graph
    add, change = st.columns(2, gap="large")
    with add.form("add-edge", border=True):
        st.markdown("**Add an edge**")
        from_, to = st.columns(2)
        sources = [*graph.tier("state"), *graph.tier("weight")]
        source = from_.selectbox("Cause", sources)
        target = to.selectbox("Effect", [*graph.tier("outcome"), *graph.tier("weight"), *graph.tier("state")])
        why = st.text_input("Why (kept with the edge)", key="why-add")
        if st.form_submit_button("Add", icon=":material/add:"):
            _edit(desk, lambda: add_edge(graph, source, target, by=user(), why=why))
    with change.container(border=True):
        st.markdown("**Change an edge**")
        if not graph.edges:
            st.caption("The graph has no edge.")
            return None
        index = st.selectbox(
            "Edge",
            range(len(graph.edges)),
            format_func=lambda i: graph.edges[i].text if i < len(graph.edges) else "",
            index=None,
            placeholder="choose an edge",
        )
        reason = st.text_input("Why", key="why-change")
        chosen = graph.edges[index] if index is not None and index < len(graph.edges) else None
        with st.container(horizontal=True):
            if st.button("Delete", icon=":material/delete:", disabled=chosen is None) and chosen:
                _edit(
                    desk,
                    lambda: delete_edge(graph, chosen.source, chosen.target, by=user(), why=reason),
                )
            if st.button("Reverse", icon=":material/swap_horiz:", disabled=chosen is None) and chosen:
                _edit(
                    desk,
                    lambda: reverse_edge(graph, chosen.source, chosen.target, by=user(), why=reason),
                )
    return (chosen.source, chosen.target) if chosen else None


def _edit(desk: Desk, change: Callable[[], CausalGraph]) -> None:
    """Apply an edit, or keep its refusal for the next run of the page."""
    try:
        desk.put(change())
    except CausalMixError as error:
        st.session_state["refusal"] = str(error)
    st.rerun()


def saving(desk: Desk, snapshot: Snapshot) -> None:
    """Unsaved changes, undo and saving."""
    changes = desk.changes()
    if refusal := st.session_state.pop("refusal", None):
        st.error(refusal, icon=":material/block:")
    if saved := st.session_state.pop("saved-revision", None):
        st.success(f"Saved as revision {saved}.", icon=":material/check:")
    if conflict := st.session_state.get("conflict"):
        st.error(conflict, icon=":material/error:")
        st.button("Drop my draft and load the newest", on_click=_take_newest)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        note = st.text_input("Note", placeholder="what this revision is about", width=320)
        if st.button("Save the graph", type="primary", icon=":material/save:", disabled=not changes):
            _save(desk, note, snapshot)
        if st.button("Undo", icon=":material/undo:", disabled=not desk.can_undo()):
            desk.undo()
            st.rerun()
    if changes and desk.newest is not None:
        shown = changes if len(changes) <= 6 else [*changes[:5], f"and {len(changes) - 5} more"]
        st.caption("Not saved yet: " + "; ".join(shown))
    elif changes:
        st.caption("No graph is saved yet; until then effects assume that everything may matter.")
    else:
        st.caption(f"This is revision {desk.newest}, which the effects rest on.")


def _save(desk: Desk, note: str, snapshot: Snapshot) -> None:
    try:
        st.session_state["saved-revision"] = desk.save(note, snapshot).revision
    except OutdatedRevision as error:
        st.session_state["conflict"] = str(error)
    except CausalMixError as error:
        st.session_state["refusal"] = str(error)
    st.rerun()


def _take_newest() -> None:
    """Clear the desk, so that the next run of the page lays the newest revision on it."""
    for key in ("desk", "conflict"):
        st.session_state.pop(key, None)


def history(workspace: Workspace) -> None:
    """Every saved revision with what changed."""
    revisions = list_graphs(workspace).get(DEFAULT_GRAPH, [])
    if not revisions:
        return
    with st.expander(f"Revisions ({len(revisions)})", icon=":material/history:"):
        for number in sorted(revisions, reverse=True)[:20]:
            revision = load_graph(workspace, DEFAULT_GRAPH, number)
            note = f" · {revision.note}" if revision.note else ""
            st.markdown(f"**{number}** · {revision.saved_at:%Y-%m-%d %H:%M} UTC · {revision.by}{note}")
            if revision.changes:
                more = len(revision.changes) - 8
                words = "; ".join(revision.changes[:8]) + (f"; and {more} more" if more > 0 else "")
                st.caption(words)


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title(
        "Graph",
        "What causes what: the pool's state comes first, then the weights you choose, then the losses. "
        "You know things the runs do not; correct it.",
    )
    try:
        snapshot = snapshot_of(workspace)
        runs = runs_of(workspace, snapshot)
    except CausalMixError as error:
        empty(str(error), "probes", "Go to the probes")
    desk = Desk(workspace, runs)
    discovery(desk)
    for note in desk.notes:
        st.caption(f":material/info: {note}")
    drawing = st.container()
    highlight = editing(desk)
    with drawing:
        st.plotly_chart(
            graph_figure(desk.graph, highlight, is_dark()),
            key="graph",
            theme=None,
            config={"displayModeBar": False},
        )
    saving(desk, snapshot)
    with st.expander("What an edge does to the estimate", icon=":material/help:"):
        st.markdown(
            "- **weight → loss**: the effect of that domain on that loss is estimated. Without a path "
            "from a weight to a loss the domain has no effect *of its own*; one point more of it still "
            "displaces the others, and that remains.\n"
            "- **pool state → loss**: the effect on that loss may depend on this state.\n"
            "- **pool state → weight**: the mixture was chosen with an eye on the state, so the state is "
            "adjusted for. In a randomised swarm there is no such edge.\n"
            "- Edges among weights (they are one decision) and among losses (measured at the same "
            "moment) are not possible."
        )
    history(workspace)
    next_step("effects", "see what one more point of each domain does")


run_page("graph", render)
