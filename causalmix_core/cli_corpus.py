"""The verbs of the corpus: sources, ingest, statistics, documents, comparison, SQL, filters, measuring.

Tables are printed for people; `--output FILE.csv` writes them for programs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from pydantic import ValidationError

from causalmix_core.cli_options import HERE, WorkspaceOption, show_progress, user
from causalmix_core.corpus import (
    FEATURES,
    RULES,
    Filter,
    MeasureSpec,
    Search,
    Selection,
    Snapshot,
    add_source,
    compare,
    explore,
    filters,
    list_snapshots,
    open_snapshot,
    remove_source,
    run_sql,
    use_snapshot,
)
from causalmix_core.corpus import apply_filter as apply_saved_filter
from causalmix_core.corpus import ingest as ingest_pool
from causalmix_core.corpus import measure_snapshot as measure_documents
from causalmix_core.corpus.comparisons import compared
from causalmix_core.corpus.filters import reads_texts
from causalmix_core.corpus.pool_warnings import warnings_of
from causalmix_core.corpus.sql import add_texts
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace, write_atomic

SnapshotOption = Annotated[
    str | None, typer.Option("--snapshot", help="Id of a snapshot; default: the one in use.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write a .csv instead of printing.")
]
DomainOption = Annotated[
    list[str] | None, typer.Option("--domain", "-d", help="Only this domain; may be repeated.")
]
_SHOWN_TEXT = 160

source_app = typer.Typer(no_args_is_help=True, help="List, add and remove the sources of the workspace.")
filter_app = typer.Typer(no_args_is_help=True, help="Save, try and apply filters: what is kept of a pool.")


def register(app: typer.Typer) -> None:
    """Add the verbs of the corpus to the command line."""
    app.add_typer(source_app, name="source")
    app.command()(ingest)
    app.command()(snapshots)
    app.command()(stats)
    app.command()(documents)
    app.command("compare")(compare_pools)
    app.command()(sql)
    app.add_typer(filter_app, name="filter")
    app.command()(measure)


@source_app.command("list")
def list_sources(workspace: WorkspaceOption = HERE) -> None:
    """List the sources."""
    config = Workspace.open(workspace).config()
    for name, source in config.domains.items():
        typer.echo(f"{name:<20} {source.path}  (text in {source.text_field})")
    for mixed in config.mixed_sources:
        typer.echo(f"{'by ' + mixed.domain_field:<20} {mixed.path}  (text in {mixed.text_field})")


@source_app.command("add")
def source_add(
    path: Annotated[str, typer.Argument(help="A file, a folder, or a pattern in quotes.")],
    name: Annotated[str | None, typer.Option("--domain", "-d", help="Name of the new domain.")] = None,
    domain_field: Annotated[
        str | None, typer.Option(help="Instead: the field in which documents name their domain.")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
    split: Annotated[str | None, typer.Option(help="Split of a Hugging Face dataset; or all.")] = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Add a domain, or a source whose documents name their domains."""
    # A relative path is meant from where the command runs, not from the workspace.
    where = str(Path(path).expanduser().absolute())
    add_source(
        Workspace.open(workspace), name, where, restricted=False, text_field=text_field, split=split,
        domain_field=domain_field,
    )  # fmt: skip
    typer.echo(f"Added {where}. Next: causalmix ingest")


@source_app.command("remove")
def source_remove(
    name: Annotated[str, typer.Argument(help="A domain, or the path of a mixed source.")],
    workspace: WorkspaceOption = HERE,
) -> None:
    """Take a source out of the workspace; its files and every snapshot stay."""
    remove_source(Workspace.open(workspace), name)
    typer.echo(f"Removed {name}.")


def ingest(workspace: WorkspaceOption = HERE) -> None:
    """Read the sources into a snapshot with statistics.

    Lines that cannot be used are skipped and counted, with their place. Unchanged sources make no new
    snapshot.
    """
    report = ingest_pool(Workspace.open(workspace), progress=show_progress)
    typer.echo(f"Snapshot {report.snapshot} " + ("made" if report.created else "is up to date"))
    for line in report.summary():
        typer.echo(f"  {line}")


def snapshots(
    use: Annotated[str | None, typer.Option(metavar="ID", help="Make this snapshot the one in use.")] = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """List the snapshots of the pool, newest first, or choose the one in use."""
    opened = Workspace.open(workspace)
    if use is not None:
        use_snapshot(opened, use)
    found = list_snapshots(opened)
    current = open_snapshot(opened).id if found else ""
    for snapshot in found:
        made = snapshot.manifest.derived
        origin = f"filter {made.filter} of {made.snapshot}" if made else "sources"
        mark = "*" if snapshot.id == current else " "
        typer.echo(
            f"{mark} {snapshot.id}  {snapshot.manifest.created_at:%Y-%m-%d %H:%M}  "
            f"{snapshot.documents:>10,} documents in {len(snapshot.domains)} domains, from {origin}"
        )


def stats(
    feature: Annotated[
        str | None, typer.Option(help="Quantiles of this feature by domain (docs/FEATURES.md).")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="How many documents break each rule.")] = False,
    languages: Annotated[bool, typer.Option("--languages", help="Documents by language.")] = False,
    domain: DomainOption = None,
    snapshot: SnapshotOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Show the domains of the pool and what stands out; or one feature, or the rules."""
    opened = Workspace.open(workspace)
    chosen = open_snapshot(opened, snapshot)
    selection = Selection(domains=tuple(domain or ()))
    with chosen.connect() as con:
        if feature is not None:
            _print(explore.quantiles(con, feature, selection), output)
        elif rules:
            table = explore.rule_table(con, selection)
            wide = table.pivot(index="rule", columns="domain", values="fraction").loc[list(RULES)]
            _print((100 * wide).round(1).add_suffix(" %").reset_index(), output)
        elif languages:
            _print(explore.language_counts(con, selection).drop(columns="documents"), output)
        else:
            table = chosen.domain_table()
            _print(table[table["domain"].isin(domain)] if domain else table, output)
            for warning in warnings_of(con, opened.config().token_budget):
                typer.echo(f"Note: {warning.domain} {warning.text}")


def documents(
    domain: DomainOption = None,
    search: Annotated[str | None, typer.Option(help="Words that the text contains.")] = None,
    regex: Annotated[str | None, typer.Option(help="A regular expression that the text matches.")] = None,
    at_least: Annotated[
        list[str] | None, typer.Option(help="FEATURE=VALUE, lower bound; may be repeated.")
    ] = None,
    at_most: Annotated[
        list[str] | None, typer.Option(help="FEATURE=VALUE, upper bound; may be repeated.")
    ] = None,
    breaks: Annotated[list[str] | None, typer.Option(help="A rule that is broken; may be repeated.")] = None,
    copies_of: Annotated[
        str | None, typer.Option(metavar="DOMAIN/NUMBER", help="Instead: the near-copies of this document.")
    ] = None,
    sort: Annotated[str | None, typer.Option(help="Order by this feature, highest first.")] = None,
    ascending: Annotated[bool, typer.Option(help="Lowest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    snapshot: SnapshotOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Look up documents by feature, rule or text."""
    if search and regex:
        raise CausalMixError("Give either --search or --regex.")
    wanted = search or regex
    ranges: dict[str, tuple[float | None, float | None]] = {}
    for low, bounds in ((True, at_least or []), (False, at_most or [])):
        for bound in bounds:
            name, value = _bound(bound)
            other = ranges.get(name, (None, None))
            ranges[name] = (value, other[1]) if low else (other[0], value)
    try:
        selection = Selection(
            domains=tuple(domain or ()),
            ranges=ranges,
            breaks_any=tuple(breaks or ()),
            search=Search(text=wanted, kind="regex" if regex else "text") if wanted else None,
        )
    except ValidationError as error:
        raise CausalMixError(error.errors()[0]["msg"] + ".") from error
    chosen = open_snapshot(Workspace.open(workspace), snapshot)
    with chosen.connect() as con:
        if copies_of is not None:
            rows = explore.siblings(chosen, con, *_document(copies_of), limit=limit)
        else:
            descending = not ascending and sort is not None
            rows = explore.page(chosen, con, selection, sort, descending, limit, offset)
    rows["rules"] = [" ".join(r) for r in rows["rules"]]
    if output is None:
        shown = [
            "domain",
            "document",
            "origin",
            "bytes",
            *([sort] if sort and sort != "bytes" else []),
            "text",
        ]
        rows["text"] = [" ".join(str(t)[:_SHOWN_TEXT].split()) for t in rows["text"]]
        rows = rows[shown]
    _print(rows, output)


def compare_pools(
    other_id: Annotated[
        str | None,
        typer.Argument(help="Id of another snapshot; without one, domains are compared."),
    ] = None,
    snapshot: SnapshotOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Compare the domains with each other, or the snapshot with another one."""
    opened = Workspace.open(workspace)
    chosen = open_snapshot(opened, snapshot)
    if other_id is None:
        typer.echo("Jensen-Shannon divergence between the words of the domains (0 same, 1 nothing in common)")
        with chosen.connect() as con:
            table = compare.similarity(con).round(3)
        _print(table.rename_axis("domain").reset_index(), output)
        return
    other = open_snapshot(opened, other_id)
    old, new = sorted((chosen, other), key=lambda s: s.manifest.created_at)
    found = compared(opened, old, new)
    typer.echo(f"From {found.old} to {found.new}")
    typer.echo(found.documents.to_string(index=False))
    typer.echo("\nDrift of the features, strongest first")
    _print(found.drift if output else found.drift.head(30).round(4), output)


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, DESCRIBE or SUMMARIZE.")],
    max_rows: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 1000,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time at most.")] = 30,
    snapshot: SnapshotOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Ask the read-only snapshot in SQL: tables documents, domains, files, skipped, ngrams, texts."""
    chosen = open_snapshot(Workspace.open(workspace), snapshot)
    result = run_sql(chosen, query, max_rows=max_rows, timeout_seconds=seconds)
    _print(result.frame, output)
    if result.truncated:
        typer.echo(f"Note: only the first {max_rows:,} rows.", err=True)


@filter_app.command("list")
def filter_list(workspace: WorkspaceOption = HERE) -> None:
    """List the saved filters."""
    opened = Workspace.open(workspace)
    for name in filters.filter_names(opened):
        saved = filters.load_filter(opened, name)
        typer.echo(f"{name:<20} revision {saved.revision}  {filters.predicate(saved)}  {saved.note}".rstrip())


@filter_app.command("save")
def filter_save(
    name: Annotated[str, typer.Argument(help="Name of the filter.")],
    keep: Annotated[
        str, typer.Option(help="SQL over the columns of documents that is true for what is kept.")
    ],
    domain: DomainOption = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    workspace: WorkspaceOption = HERE,
) -> None:
    """Save a filter, as a new revision where one of this name is there."""
    opened = Workspace.open(workspace)
    try:
        made = Filter(name=name, sql=keep, domains=tuple(domain or ()), note=note)
    except ValidationError as error:
        raise CausalMixError(f"{error.errors()[0]['msg'].removeprefix('Value error, ')}.") from error
    parent = filters.load_filter(opened, name).revision if name in filters.filter_names(opened) else None
    saved = filters.save_filter(opened, made, parent=parent, by=user())
    typer.echo(f"Saved filter {saved.name}, revision {saved.revision}. Next: causalmix filter preview {name}")


@filter_app.command("preview")
def filter_preview(
    name: Annotated[str, typer.Argument(help="Name of a saved filter.")],
    snapshot: SnapshotOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Show what a filter keeps and throws away, by domain."""
    opened = Workspace.open(workspace)
    chosen = open_snapshot(opened, snapshot)
    _print(_preview(chosen, filters.load_filter(opened, name)), output)


@filter_app.command("apply")
def filter_apply(
    name: Annotated[str, typer.Argument(help="Name of a saved filter.")],
    snapshot: SnapshotOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Make a new snapshot of the documents that a filter keeps; the old one stays."""
    opened = Workspace.open(workspace)
    chosen = open_snapshot(opened, snapshot)
    report = apply_saved_filter(opened, chosen, filters.load_filter(opened, name), progress=show_progress)
    typer.echo(f"Snapshot {report.snapshot} " + ("made" if report.created else "is there already"))
    for line in report.summary():
        typer.echo(f"  {line}")


def measure(
    model: Annotated[
        str,
        typer.Option(
            help="A causal language model: a path, a hub name, or 'reference' for a proxy that is trained on "
            "this pool first."
        ),
    ] = "reference",
    writing_style_model: Annotated[
        str | None, typer.Option(help="A sequence-regression model by path or hub name.")
    ] = None,
    writing_style_output: Annotated[
        int | None,
        typer.Option(min=0, help="Which number of a writing-style model that gives several; 0 for QuRater."),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=2, help="Of each document, from its beginning.")] = 512,
    snapshot: SnapshotOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Measure what language models say of every document: loss, high-entropy sum, writing style.

    Ctrl+C stops it; the same command goes on where it stopped.
    """
    opened = Workspace.open(workspace)
    chosen = open_snapshot(opened, snapshot)
    try:
        spec = MeasureSpec(
            model=model,
            writing_style_model=writing_style_model,
            writing_style_output=writing_style_output,
            max_tokens=max_tokens,
            batch_tokens=max(8192, max_tokens),
        )
    except ValidationError as error:
        raise CausalMixError(f"That cannot be measured: {error.errors()[0]['msg']}.") from error
    record = measure_documents(opened, chosen, spec, progress=show_progress)
    typer.echo(f"Measured {', '.join(record.features)} on {record.documents:,} documents of {chosen.id}.")


def _preview(snapshot: Snapshot, chosen: Filter) -> pd.DataFrame:
    with snapshot.connect() as con:
        if reads_texts(chosen):
            add_texts(con, snapshot)
        return filters.preview(con, chosen)


def _document(text: str) -> tuple[str, int]:
    domain, _, number = text.rpartition("/")
    if not domain or not number.isdecimal():
        raise CausalMixError(f"{text!r} names no document. Write DOMAIN/NUMBER, such as web/17.")
    return domain, int(number)


def _bound(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        example = f"{name or 'words'}=50"
        raise CausalMixError(
            f"{text!r} is no bound. Write FEATURE=VALUE, such as {example}; features are "
            f"{', '.join(n for n, f in FEATURES.items() if f.kind == 'number')}."
        ) from None


def _print(table: pd.DataFrame, output: Path | None) -> None:
    if output is not None:
        write_atomic(output, table.to_csv(index=False))
        typer.echo(f"Wrote {len(table):,} rows to {output}")
        return
    with pd.option_context("display.max_colwidth", _SHOWN_TEXT):
        typer.echo(table.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
