"""The verbs of the run table: list, export, exclude, include."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from causalmix_core.cli_options import HERE, WorkspaceOption, user
from causalmix_core.corpus import list_snapshots, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.every_run import PROXY_NAME, all_runs, write_runs
from causalmix_core.probes.exclusions import exclude_runs, include_runs
from causalmix_core.probes.outcomes import LOSS
from causalmix_core.workspace import Workspace

runs_app = typer.Typer(no_args_is_help=True, help="Every probe that was trained: list, export, exclude.")
RunsArgument = Annotated[list[str] | None, typer.Argument(help="Names of runs, as `runs list` shows them.")]
JobOption = Annotated[str | None, typer.Option("--job", help="All runs of this swarm.")]
_MOST_NAMED = 5


def register(app: typer.Typer) -> None:
    """Add the verbs of the run table to the command line."""
    app.add_typer(runs_app, name="runs")


@runs_app.command("list")
def runs_list(
    job: JobOption = None,
    used: Annotated[bool, typer.Option("--used", help="Only runs that effects use.")] = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """List the runs: whether effects use them, the objective and every loss."""
    frame = _read(Workspace.open(workspace), job)
    if used:
        frame = frame[frame["use"] == "used"]
    if frame.empty:
        typer.echo("No runs.")
        return
    losses = [c for c in frame.columns if c.startswith(LOSS) and frame[c].notna().any()]
    shown = frame[["run", "use", PROXY_NAME, "objective", *losses, "reason"]]
    shown = shown.dropna(axis="columns", how="all").astype(object).where(shown.notna(), "")
    typer.echo(shown.to_string(index=False, float_format=lambda v: f"{v:.4f}"))


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


def _read(workspace: Workspace, job: str | None, *, trajectories: bool = False) -> pd.DataFrame:
    snapshot = open_snapshot(workspace).id if list_snapshots(workspace) else None
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
