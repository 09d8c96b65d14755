"""The verbs of the run table: list, import, export, exclude, include."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from causalmix_core.cli_options import HERE, PoolOption, WorkspaceOption, user
from causalmix_core.errors import CausalMixError
from causalmix_core.pools import list_pools, resolve_pool
from causalmix_core.probes.every_run import PROXY_NAME, all_runs, write_runs
from causalmix_core.probes.exclusions import exclude_runs, include_runs
from causalmix_core.probes.importing import (
    IMPORTERS,
    ColumnMapping,
    FileRole,
    FormatName,
    ImportDraft,
    SourceFile,
    default_name,
    make_draft,
    mapping_yaml,
    read_files,
    read_mapping,
    save_import,
)
from causalmix_core.probes.importing.mapping import checked
from causalmix_core.probes.importing.names import UNKNOWN, outcome_column
from causalmix_core.probes.outcomes import LOSS, Direction, direction_of
from causalmix_core.probes.runs import WEIGHT, Assignment
from causalmix_core.workspace import Workspace, write_atomic

runs_app = typer.Typer(
    no_args_is_help=True,
    help="Every probe, trained here or elsewhere: list, import, export, exclude.",
)
RunsArgument = Annotated[list[str] | None, typer.Argument(help="Names of runs, as `runs list` shows them.")]
JobOption = Annotated[str | None, typer.Option("--job", help="All runs of this swarm.")]
_MOST_NAMED = 5
_PREVIEW_ROWS = 5


def register(app: typer.Typer) -> None:
    """Add the verbs of the run table to the command line."""
    app.add_typer(runs_app, name="runs")


@runs_app.command("list")
def runs_list(
    job: JobOption = None,
    used: Annotated[bool, typer.Option("--used", help="Only runs that effects use.")] = False,
    pool: PoolOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """List the runs: whether effects use them, the objective and every loss."""
    frame = _read(Workspace.open(workspace), job, pool=pool)
    if used:
        frame = frame[frame["use"] == "used"]
    if frame.empty:
        typer.echo("No runs.")
        return
    losses = [c for c in frame.columns if c.startswith(LOSS) and frame[c].notna().any()]
    shown = frame[["run", "use", PROXY_NAME, "objective", *losses, "reason"]]
    shown = shown.dropna(axis="columns", how="all").astype(object).where(shown.notna(), "")
    typer.echo(shown.to_string(index=False, float_format=lambda v: f"{v:.4f}"))


@runs_app.command("import")
def runs_import(
    format: Annotated[FormatName, typer.Option(help="What the files are (see docs/IMPORT.md).")] = "table",
    mixtures: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The weights of each run (regmix, olmix, table).")
    ] = None,
    outcomes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What each run measured (regmix, olmix, table, mixing-laws)."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights and outcomes in one (wandb, mlflow, table).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the import; default: after the file.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the columns mean, as YAML or JSON.")
    ] = None,
    lower: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Outcomes that are better when lower; * for many; repeatable."),
    ] = None,
    higher: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Outcomes that are better when higher.")
    ] = None,
    domains: Annotated[
        str | None, typer.Option(help="Names for the weights in a path, in order: code,web (mixing-laws).")
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="Which step to read; default: the last most runs have (mixing-laws).")
    ] = None,
    assignment: Annotated[
        Assignment | None,
        typer.Option(help="How the mixtures were chosen; default: as the format says, else observational."),
    ] = None,
    missing_is_zero: Annotated[
        bool, typer.Option("--missing-is-zero", help="An empty weight means: none of that domain was read.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave rows with a problem out, and count them.")
    ] = False,
    proxy: Annotated[str | None, typer.Option(help="The model that was trained, in words.")] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(help="Count as runs of this snapshot (or current); its domains must be the same."),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be read.")] = False,
    save_mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write what the columns mean, to edit it.")
    ] = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Read runs from elsewhere: RegMix, olmix, Data Mixing Laws, W&B, MLflow, or any table."""
    opened = Workspace.open(workspace)
    paths: dict[FileRole, Path | None] = {"mixtures": mixtures, "outcomes": outcomes, "table": table}
    files = {role: SourceFile.of(path) for role, path in paths.items() if path is not None}
    tables = read_files(format, files, step)
    chosen = IMPORTERS[format].guess(tables) if mapping is None else read_mapping(mapping)
    chosen = _directed(_with_domains(chosen, domains), lower or [], higher or [])
    told: dict[str, object] = {} if assignment is None else {"assignment": assignment}
    told |= {} if proxy is None else {"proxy": proxy}
    told |= {"missing_is_zero": True} if missing_is_zero else {}
    draft = make_draft(format, tables, chosen.model_copy(update=told))
    if save_mapping is not None:
        write_atomic(save_mapping, mapping_yaml(draft.mapping))
        typer.echo(f"Wrote {save_mapping}; change it and give it as --mapping.")
    if preview:
        _show(draft)
        return
    record = save_import(
        opened,
        draft,
        name or default_name(files, format),
        files=files,
        by=user(),
        skip_bad_rows=skip_bad_rows,
        snapshot=resolve_pool(opened, snapshot) if snapshot else None,
    )
    for notice in record.notices:
        typer.echo(f"Note: {notice}")
    typer.echo(
        f"Imported {record.runs:,} runs of {len(draft.domains)} domains with {len(draft.outcomes)} outcomes "
        f"as {record.name}; their mixtures were chosen: {draft.mapping.assignment}."
    )
    if snapshot:
        typer.echo(
            "They count as runs of the snapshot, of a proxy of their own: the proxy that came last counts."
        )
    else:
        typer.echo(f"Next: causalmix discover --pool {record.name}, or estimate --pool {record.name}")


def _with_domains(mapping: ColumnMapping, domains: str | None) -> ColumnMapping:
    """Names for the weights that have only a place."""
    if domains is None:
        return mapping
    places = [t for t in mapping.headers().values() if t.startswith(f"{WEIGHT}domain-")]
    names = [d.strip() for d in domains.split(",")]
    if len(names) != len(places):
        raise CausalMixError(
            f"--domains names {len(names)} domains, but "
            + (f"a mixture in the files has {len(places)}." if places else "the weights have names already.")
        )
    return mapping.with_targets(dict(zip(places, [WEIGHT + n for n in names], strict=True)))


def _directed(mapping: ColumnMapping, lower: list[str], higher: list[str]) -> ColumnMapping:
    """The mapping with the directions that were given, by header or by name, with * for anything."""
    columns: dict[FileRole, dict[str, str]] = {
        role: dict(targets) for role, targets in mapping.columns.items()
    }
    said: tuple[tuple[Direction, list[str]], ...] = (("lower", lower), ("higher", higher))
    for direction, patterns in said:
        for pattern in patterns:
            hits = 0
            for targets in columns.values():
                for header, target in targets.items():
                    bare = target.partition("/")[2]
                    measured = target.startswith(UNKNOWN) or direction_of(target) is not None
                    if measured and (fnmatchcase(header, pattern) or fnmatchcase(bare, pattern)):
                        targets[header] = outcome_column(header, bare, direction)
                        hits += 1
            if not hits:
                raise CausalMixError(f"No outcome in the files is called {pattern}. `--preview` lists them.")
    return checked(mapping.model_dump() | {"columns": columns})


def _show(draft: ImportDraft) -> None:
    """What an import would read, and what the columns were taken for."""
    for role, targets in draft.mapping.columns.items():
        typer.echo(f"What the columns of the {role} mean:")
        for header, target in targets.items():
            typer.echo(f"  {header:<40} {target}")
    typer.echo(f"How the mixtures were chosen: {draft.mapping.assignment}")
    shown = draft.frame.head(_PREVIEW_ROWS)
    if not shown.empty:
        typer.echo(shown.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    typer.echo(f"{len(draft.frame):,} rows can be used, {draft.bad_rows} have a problem.")
    for refusal in draft.refusals:
        typer.echo(f"Refused: {refusal}")
    for problem in draft.problems:
        typer.echo(f"Problem: {problem}")
    for notice in draft.notices:
        typer.echo(f"Note: {notice}")


@runs_app.command("export")
def runs_export(
    output: Annotated[Path, typer.Argument(help="A .csv or .parquet; only the latter holds trajectories.")],
    job: JobOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Write every run with its weights, pool state, losses and marks to a file."""
    frame = _read(Workspace.open(workspace), job, trajectories=output.suffix == ".parquet")
    write_runs(frame, output)
    typer.echo(f"Wrote {len(frame):,} runs to {output}")


@runs_app.command("exclude")
def runs_exclude(
    runs: RunsArgument = None,
    reason: Annotated[str, typer.Option(help="Why; others will want to know.")] = "",
    job: JobOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Let runs no longer count for effects; they stay on disk and can be included again."""
    opened = Workspace.open(workspace)
    chosen = _chosen(opened, runs, job)
    new = exclude_runs(opened.runs, chosen, reason=reason, by=user())
    old = len(chosen) - len(new)
    typer.echo(f"Excluded {len(new)} runs" + (f"; {old} were excluded already." if old else "."))


@runs_app.command("include")
def runs_include(
    runs: RunsArgument = None,
    job: JobOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Let excluded runs count again."""
    opened = Workspace.open(workspace)
    chosen = _chosen(opened, runs, job)
    again = include_runs(opened.runs, chosen)
    others = len(chosen) - len(again)
    typer.echo(f"Included {len(again)} runs again" + (f"; {others} were not excluded." if others else "."))


def _read(
    workspace: Workspace, job: str | None, *, pool: str | None = None, trajectories: bool = False
) -> pd.DataFrame:
    snapshot = resolve_pool(workspace, pool) if list_pools(workspace) or pool else None
    frame = all_runs(
        workspace.runs,
        objective=workspace.config().objective,
        snapshot=snapshot,
        trajectories=trajectories,
    )
    if job is None:
        return frame
    own = frame[frame["job"] == job]
    if own.empty:
        known = ", ".join(sorted(frame["job"].dropna().unique())) or "none"
        raise CausalMixError(f"There are no runs of a swarm {job}. Swarms with runs: {known}.")
    return own.reset_index(drop=True)


def _chosen(workspace: Workspace, runs: list[str] | None, job: str | None) -> list[str]:
    """The runs that were named; a name that no run has is refused before anything is written."""
    if bool(runs) == (job is not None):
        raise CausalMixError("Name the runs, or give --job for all runs of a swarm.")
    if job is not None:
        return [str(run) for run in _read(workspace, job)["run"]]
    known = set(_read(workspace, None)["run"])
    asked = list(dict.fromkeys(runs or []))
    if unknown := [run for run in asked if run not in known]:
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        raise CausalMixError(
            f"There is no run {', '.join(unknown[:_MOST_NAMED])}{more}. `causalmix runs list` shows them all."
        )
    return asked
