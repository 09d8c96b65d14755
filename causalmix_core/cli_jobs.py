"""The verbs of background jobs: list, status, pause, resume, cancel, retry, move, log, delete.

A job is looked after by the engine that started it, which its own record names.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Annotated

import typer

from causalmix_core.cli_options import HERE, WorkspaceOption, show_progress
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE, SwarmEngine, SwarmStatus, load_engine
from causalmix_core.workspace import Workspace

jobs_app = typer.Typer(
    no_args_is_help=True, help="Swarms in the background: how they stand, and what becomes of them."
)
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job, as `jobs list` shows it.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Return at once; the swarm goes on.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of background jobs to the command line."""
    app.add_typer(jobs_app, name="jobs")


@jobs_app.command("list")
def list_jobs(workspace: WorkspaceOption = HERE) -> None:
    """List the swarms, newest first, and how they stand."""
    opened, engine = Workspace.open(workspace), load_engine()
    for job in engine.jobs(opened):
        try:
            at = engine.status(opened, job)
        except CausalMixError as error:
            typer.echo(f"{job}  {'damaged':<12} {error}")
            continue
        place = f"  place {at.queue_position} in the queue" if at.state == "queued" else ""
        done = f"{at.finished}/{at.swarm.probes} probes"
        typer.echo(f"{job}  {at.state:<12} {at.fraction:4.0%}  {done:<16} {at.engine}{place}")


@jobs_app.command()
def status(job: JobArgument, workspace: WorkspaceOption = HERE) -> None:
    """Show how a swarm stands: progress, workers, speed, and what went wrong."""
    opened = Workspace.open(workspace)
    _, at = _find(opened, job)
    typer.echo(f"{job}: {at.state}")
    for name, value in _facts(at):
        typer.echo(f"  {name:<16} {value}")


@jobs_app.command()
def cancel(job: JobArgument, workspace: WorkspaceOption = HERE) -> None:
    """Stop a swarm; its finished shards are kept, those in flight are dropped."""
    opened = Workspace.open(workspace)
    _find(opened, job)[0].cancel(opened, job)
    typer.echo(f"Asked job {job} to stop; its finished shards are kept.")


@jobs_app.command()
def pause(job: JobArgument, workspace: WorkspaceOption = HERE) -> None:
    """Stop a swarm where it is; `jobs resume` goes on from there."""
    opened = Workspace.open(workspace)
    _find(opened, job)[0].pause(opened, job)
    typer.echo(f"Asked job {job} to pause. Go on with: causalmix jobs resume {job}")


@jobs_app.command()
def resume(job: JobArgument, detach: DetachOption = False, workspace: WorkspaceOption = HERE) -> None:
    """Go on with a swarm that was paused, cancelled or interrupted, or that failed."""
    opened = Workspace.open(workspace)
    engine, _ = _find(opened, job)
    engine.resume(opened, job)
    typer.echo(f"Job {job} runs in the background.")
    if not detach:
        follow(opened, engine, job)


@jobs_app.command()
def retry(job: JobArgument, detach: DetachOption = False, workspace: WorkspaceOption = HERE) -> None:
    """Train the diverged probes of a swarm again; their old rows stay on record."""
    opened = Workspace.open(workspace)
    engine, _ = _find(opened, job)
    count = engine.retry(opened, job)
    typer.echo(f"Job {job} trains {count} diverged probes again, in the background.")
    if not detach:
        follow(opened, engine, job)


@jobs_app.command()
def move(
    job: JobArgument,
    up: Annotated[int, typer.Option("--up", min=0, help="So many places to the front.")] = 0,
    down: Annotated[int, typer.Option("--down", min=0, help="So many places to the back.")] = 0,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Move a waiting swarm in the queue."""
    if bool(up) == bool(down):
        raise CausalMixError("Say either --up or --down, and how many places.")
    opened = Workspace.open(workspace)
    engine, _ = _find(opened, job)
    engine.move(opened, job, down - up)
    typer.echo(f"Job {job} has place {engine.status(opened, job).queue_position} in the queue.")


@jobs_app.command()
def log(
    job: JobArgument,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many at most.")] = 200,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Print what happened to a swarm and what its processes printed last."""
    opened = Workspace.open(workspace)
    typer.echo(load_engine().log(opened, job, lines))


@jobs_app.command()
def delete(
    job: JobArgument,
    runs: Annotated[bool, typer.Option("--runs", help="Also delete its probes from the run table.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Delete a swarm that does not run; its probes stay in the run table unless --runs is given."""
    opened = Workspace.open(workspace)
    engine, at = _find(opened, job)
    probes = at.finished + at.diverged
    what = f"job {job} and its {probes} probes" if runs else f"job {job}; its {probes} probes stay"
    if at.state not in LIVE and not yes:
        if not sys.stdin.isatty():
            raise CausalMixError(f"This would delete {what}. Repeat it with --yes.")
        typer.confirm(f"Delete {what}?", abort=True)
    gone = engine.delete(opened, job, runs)
    typer.echo(f"Deleted job {job} and {gone} probes." if runs else f"Deleted {what}.")


def follow(workspace: Workspace, engine: SwarmEngine, job: str) -> None:
    """Print progress until a job ends. Ctrl+C leaves the job running.

    Raises:
        CausalMixError: the job did not finish; the message says why.
    """
    typer.echo("Ctrl+C stops watching, not the job.")
    try:
        while (at := engine.status(workspace, job)).state in LIVE:
            show_progress(min(at.fraction, 0.99), _doing(at))
            time.sleep(1)
    except KeyboardInterrupt:
        typer.echo(f"\nJob {job} goes on. See it with: causalmix jobs status {job}")
        return
    show_progress(1.0, f"{at.finished}/{at.swarm.probes} probes")
    typer.echo(f"Job {job}: {at.state}, {at.finished} probes finished, {at.diverged} diverged.")
    if at.state != "finished":
        raise CausalMixError(at.message or f"The job is {at.state}; go on with: causalmix jobs resume {job}")


def _find(workspace: Workspace, job: str) -> tuple[SwarmEngine, SwarmStatus]:
    """How a job stands, and the engine that started it."""
    at = load_engine().status(workspace, job)
    return load_engine(at.engine), at


def _doing(at: SwarmStatus) -> str:
    if at.state == "queued":
        return f"waits for a place to train (place {at.queue_position} in the queue)"
    left = f", {at.seconds_left:.0f} s left" if at.seconds_left is not None else ""
    return f"{at.finished}/{at.swarm.probes} probes{left}"


def _facts(at: SwarmStatus) -> list[tuple[str, str]]:
    facts = [
        ("submitted", f"{datetime.fromtimestamp(at.started_at):%Y-%m-%d %H:%M:%S}"),
        ("engine", at.engine),
        ("probes", f"{at.finished} of {at.swarm.probes} finished, {at.diverged} diverged"),
        ("tokens", f"{at.tokens_done:,} of {at.tokens_total:,} ({at.fraction:.0%})"),
        ("trained for", f"{at.seconds:.0f} s"),
    ]
    if at.queue_position is not None:
        facts.append(("place in queue", str(at.queue_position)))
    if at.state in LIVE:
        facts.append(("workers", str(at.workers)))
        if at.tokens_per_second is not None and at.seconds_left is not None:
            facts.append(("speed", f"{at.tokens_per_second:,.0f} tokens/s, {at.seconds_left:.0f} s left"))
    if at.message:
        facts.append(("message", at.message))
    return facts
