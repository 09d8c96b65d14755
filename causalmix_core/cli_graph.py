"""The verbs of the causal graph: discover, and list, show, diff, export and import what is saved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from causalmix_core.cli_options import HERE, PoolOption, WorkspaceOption, show_progress, user
from causalmix_core.corpus.snapshot import current_id
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import (
    METHODS,
    CausalGraph,
    DiscoveryMethod,
    DiscoverySettings,
    Edge,
    GraphRevision,
    Knowledge,
    agreements,
    consensus_graph,
    describe_changes,
    discover,
    edge_stability,
    list_graphs,
    load_graph,
    load_stability,
    save_graph,
    save_stability,
    stability_key,
)
from causalmix_core.graph.consensus import THRESHOLD
from causalmix_core.graph.formats import FORMAT_NAMES, GraphFormat, read_graph, write_graph
from causalmix_core.pools import DEFAULT_GRAPH, graph_of, list_pools, resolve_pool
from causalmix_core.probes import RunTable, read_runs
from causalmix_core.workspace import Workspace, write_atomic

graph_app = typer.Typer(no_args_is_help=True, help="Saved causal graphs: list, show, diff, export, import.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A graph, as `graph list` shows it.")]
RevisionOption = Annotated[int | None, typer.Option("--revision", min=1, help="Default: the newest.")]
FormatOption = Annotated[
    GraphFormat | None,
    typer.Option("--format", help="dot, dagitty, gml or json; default: by the file's name."),
]
_SUFFIXES: dict[str, GraphFormat] = {
    ".dot": "dot", ".gv": "dot", ".dagitty": "dagitty", ".txt": "dagitty", ".gml": "gml", ".json": "json",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the verbs of the causal graph to the command line."""
    app.command("discover")(discover_runs)
    app.add_typer(graph_app, name="graph")


def discover_runs(
    workspace: WorkspaceOption = HERE,
    method: Annotated[DiscoveryMethod, typer.Option(help="How to search (see docs/METHOD.md).")] = "boss",
    alpha: Annotated[float, typer.Option(help="Level of the tests of pc, pc_kci and fci.")] = 0.05,
    penalty: Annotated[
        float, typer.Option(help="What an edge costs boss and ges; higher keeps fewer edges.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the search and of the resamples.")] = 0,
    resamples: Annotated[
        int, typer.Option(min=0, help="Search so many random halves of the runs and keep what they agree on.")
    ] = 0,
    threshold: Annotated[
        float | None,
        typer.Option(help=f"Share of the resamples that must find an edge; default: {THRESHOLD}."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Save as this graph; what it requires and forbids is kept. Default: main, or the import's."
        ),
    ] = None,
    pool: PoolOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what the graph of that name requires and forbids.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show what each method finds, side by side; save nothing.")
    ] = False,
) -> None:
    """Discover a causal graph from the finished probes and save it as a new revision."""
    if threshold is not None and resamples == 0:
        raise CausalMixError(
            "--threshold is a share of resamples; say how many with --resamples, such as 100."
        )
    opened = Workspace.open(workspace)
    chosen = resolve_pool(opened, pool)
    name = name or graph_of(chosen)
    revisions = list_graphs(opened).get(name, [])
    known = load_graph(opened, name).graph if revisions and not fresh else None
    runs = read_runs(opened.runs, chosen)
    settings = DiscoverySettings(method=method, alpha=alpha, penalty=penalty, seed=seed)
    learner = _Learner(opened, runs, known, resamples, THRESHOLD if threshold is None else threshold)
    if compare:
        _compare(learner, settings)
        return
    graph, notes = learner.learn(settings)
    halves = f", {resamples} resamples, threshold {learner.threshold:g}" if resamples else ""
    saved = save_graph(
        opened,
        name,
        graph,
        parent=max(revisions) if revisions else None,
        by=user(),
        note=f"discovered with {method}{halves}",
        snapshot=chosen,
        runs=len(runs),
    )
    for edge in graph.edges:
        typer.echo(_line(edge))
    for note in notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"Saved graph {name}, revision {saved.revision}, from {len(runs)} probes.")


class _Learner:
    """Learns graphs from the same runs under the same knowledge."""

    def __init__(
        self,
        workspace: Workspace,
        runs: RunTable,
        known: CausalGraph | None,
        resamples: int,
        threshold: float,
    ) -> None:
        self.workspace, self.runs, self.known = workspace, runs, known
        self.resamples, self.threshold = resamples, threshold

    def learn(self, settings: DiscoverySettings) -> tuple[CausalGraph, list[str]]:
        """The graph that a method finds, or that its resamples agree on, with notes."""
        found = discover(
            self.runs,
            settings.method,
            alpha=settings.alpha,
            penalty=settings.penalty,
            seed=settings.seed,
            known=self.known,
            by=user(),
        )
        if self.resamples == 0:
            return found.graph, found.notes
        knowledge = Knowledge.of(self.known) if self.known is not None else Knowledge()
        # Before the work, so that a threshold out of range is said at once.
        if not 0 < self.threshold <= 1:
            raise CausalMixError(f"The threshold is {self.threshold}; choose a share above 0 and at most 1.")
        key = stability_key(self.runs, settings, knowledge, self.resamples, settings.seed)
        stability = load_stability(self.workspace, key)
        if stability is None:
            stability = edge_stability(
                self.runs,
                settings,
                knowledge,
                resamples=self.resamples,
                seed=settings.seed,
                progress=show_progress,
            )
            save_stability(self.workspace, stability)
        graph = consensus_graph(stability, self.threshold, known=self.known, by=user())
        alone = len({e.arrow for e in found.graph.edges} - {e.arrow for e in graph.edges})
        notes = [
            f"The graph holds what at least {self.threshold:.0%} of {self.resamples} random halves of the "
            f"runs agree on. {alone} edges that all runs together show are not among them."
        ]
        return graph, notes


def _compare(learner: _Learner, settings: DiscoverySettings) -> None:
    """Print a table of edges by methods; a method that cannot search these runs says why."""
    graphs: dict[str, CausalGraph] = {}
    refused = []
    for method in METHODS:
        if METHODS[method].most_runs is not None and method != settings.method:
            refused.append(f"{method} is left out: it takes minutes. Name it with --method to include it.")
            continue
        try:
            graphs[method], _ = learner.learn(settings.model_copy(update={"method": method}))
        except CausalMixError as error:
            if method == settings.method:
                raise
            refused.append(f"{method}: {error}")
    rows = agreements(graphs)
    wide = max((len(f"{r.a}  {r.b}") for r in rows), default=0)
    typer.echo(" " * (wide + 2) + "".join(f"{method:<8}" for method in graphs) + "agree")
    for row in rows:
        signs = "".join(f"{row.says[method] or '.':<8}" for method in graphs)
        typer.echo(f"{f'{row.a}  {row.b}':<{wide}}  {signs}{row.same}/{len(graphs)}")
    every = sum(row.same == len(graphs) for row in rows)
    typer.echo(
        f"{len(rows)} pairs are linked by some method, {every} in the same way by all. Nothing was saved."
    )
    for line in refused:
        typer.echo(f"Note: {line}")


def _line(edge: Edge) -> str:
    """An edge with what is known of it, such as `  81% a -> b (required): why`."""
    share = "" if edge.stability is None else f"{edge.stability:4.0%} "
    status = " (required)" if edge.status == "required" else ""
    return f"  {share}{edge.text}{status}" + (f": {edge.note}" if edge.note else "")


@graph_app.command("list")
def graph_list(workspace: WorkspaceOption = HERE) -> None:
    """List the saved graphs with their newest revision."""
    opened = Workspace.open(workspace)
    saved = list_graphs(opened)
    if not saved:
        typer.echo("No graph is saved.")
    for name, revisions in saved.items():
        newest = load_graph(opened, name, revisions[-1])
        note = f"  {newest.note}" if newest.note else ""
        typer.echo(
            f"{name:<20} revision {newest.revision:<4} {newest.saved_at:%Y-%m-%d %H:%M}  {newest.by:<12} "
            f"{len(newest.graph.edges)} edges{note}"
        )


@graph_app.command("show")
def graph_show(
    name: NameArgument = DEFAULT_GRAPH, revision: RevisionOption = None, workspace: WorkspaceOption = HERE
) -> None:
    """Show the edges of a saved graph, who drew them, and what is forbidden."""
    saved = load_graph(Workspace.open(workspace), name, revision)
    typer.echo(_headline(saved))
    for edge in saved.graph.edges:
        origin = edge.provenance
        why = f": {origin.why}" if origin.why else ""
        typer.echo(f"{_line(edge)}  [{origin.kind} by {origin.by}{why}]")
    for rule in saved.graph.forbidden:
        why = f": {rule.why}" if rule.why else ""
        typer.echo(f"  forbidden: {rule.text}  [by {rule.by}{why}]")


@graph_app.command("diff")
def graph_diff(
    name: NameArgument = DEFAULT_GRAPH,
    old: Annotated[
        int | None, typer.Option("--from", min=1, help="A revision; default: the parent of the other.")
    ] = None,
    new: Annotated[int | None, typer.Option("--to", min=1, help="A revision; default: the newest.")] = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Say what changed between two revisions of a graph, with the reasons given."""
    opened = Workspace.open(workspace)
    after = load_graph(opened, name, new)
    first = after.parent if old is None else old
    if first is None:
        raise CausalMixError(
            f"Revision {after.revision} of {name} is the first; there is nothing to compare it with."
        )
    before = load_graph(opened, name, first)
    lines = describe_changes(before.graph, after.graph)
    typer.echo(f"{name}, revision {before.revision} to {after.revision}")
    for line in lines or ["nothing changed"]:
        typer.echo(f"  {line}")


@graph_app.command("export")
def graph_export(
    name: NameArgument,
    output: Annotated[Path, typer.Argument(help="The file to write, or - for the terminal.")],
    format: FormatOption = None,
    revision: RevisionOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Write a saved graph for another program: DOT, dagitty, GML or JSON."""
    saved = load_graph(Workspace.open(workspace), name, revision)
    chosen = format or _SUFFIXES.get(output.suffix.lower())
    if chosen is None:
        raise CausalMixError(
            f"The name {output} does not say a format. End it in {', '.join(_SUFFIXES)}, or give --format."
        )
    text = write_graph(saved.graph, chosen)
    if str(output) == "-":
        typer.echo(text)
        return
    write_atomic(output, text)
    typer.echo(f"Wrote {_headline(saved)} as {FORMAT_NAMES[chosen]} to {output}")


@graph_app.command("import")
def graph_import(
    file: Annotated[Path, typer.Argument(help="The file to read, or - for standard input.")],
    name: Annotated[
        str | None, typer.Option(help="Save as this graph. Default: main, or the import's.")
    ] = None,
    format: FormatOption = None,
    note: Annotated[str, typer.Option(help="Why; kept with the revision.")] = "",
    pool: PoolOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Read a graph from DOT, dagitty, GML or JSON and save it as a new revision."""
    opened = Workspace.open(workspace)
    there_are_runs = bool(list_pools(opened))
    chosen = resolve_pool(opened, pool) if there_are_runs or pool else current_id(opened)
    known = _columns(opened, chosen) if there_are_runs else None
    graph = read_graph(_text(file), format, known=known, by=user())
    name = name or (graph_of(chosen) if chosen else DEFAULT_GRAPH)
    revisions = list_graphs(opened).get(name, [])
    saved = save_graph(
        opened,
        name,
        graph,
        parent=max(revisions) if revisions else None,
        by=user(),
        note=note or f"imported from {file.name}",
        snapshot=chosen,
    )
    typer.echo(f"Saved {_headline(saved)}.")


def _columns(workspace: Workspace, pool: str | None) -> list[str]:
    """The columns of the runs, which the names in a file are mapped to."""
    runs = read_runs(workspace.runs, pool)
    return [*runs.states, *runs.weight_columns, *runs.outcomes]


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CausalMixError(f"{file} is not a text file in UTF-8.") from error
    except OSError as error:
        raise CausalMixError(f"Cannot read {file}: {error.strerror}.") from error


def _headline(saved: GraphRevision) -> str:
    return f"graph {saved.name}, revision {saved.revision}, {len(saved.graph.edges)} edges"
