"""`causalmix`: the steps from text to an exported mixture, as verbs.

Each verb calls what the pages call. Errors that the user can mend are one line on stderr and exit
status 1.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from causalmix_core import (
    __version__,
    cli_corpus,
    cli_effects,
    cli_explain,
    cli_export,
    cli_graph,
    cli_jobs,
    cli_leaderboard,
    cli_mixture,
    cli_refute,
    cli_runs,
    cli_saved_mixtures,
)
from causalmix_core.cli_options import (
    HERE,
    WorkspaceOption,
    show_progress,
)
from causalmix_core.corpus import discover_domains, open_snapshot, write_demo_corpus
from causalmix_core.corpus import ingest as ingest_pool
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import (
    Assignment,
    Design,
    SwarmSpec,
    design_swarm,
    fit_mixtures,
    load_engine,
    read_mixtures,
    unused_seed,
)
from causalmix_core.probes.mixture_list import MOST_ROWS
from causalmix_core.probes.sampling import grid_size
from causalmix_core.probes.settling import settle_swarm
from causalmix_core.proxy import PRESETS, PresetName, proxy_tokens
from causalmix_core.proxy.spec import Family, TokenizerKind, Tuning
from causalmix_core.workspace import (
    DomainSource,
    Workspace,
    WorkspaceConfig,
    scratch_path,
)

app = typer.Typer(
    name="causalmix",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Decide what a language model is trained on: from a pool of text to a mixture that was tested "
    "on real proxy models.\n\nThe way: init -> ingest -> probe -> discover -> estimate -> suggest -> "
    "export; between ingest and probe, look at the pool: stats, documents, compare, sql, filter, measure. "
    "`causalmix demo` walks the first three on text that every installation has; "
    "`causalmix ui` opens the same workspace in a browser.",
)

DEMO_OBJECTIVE = {"loss/python": 1.0, "loss/docstrings": 1.0, "loss/readmes": 1.0}
"""The demo's curator wants a model that is good at Python and at prose about it."""


cli_corpus.register(app)
cli_graph.register(app)
cli_jobs.register(app)
cli_leaderboard.register(app)
cli_refute.register(app)
cli_runs.register(app)
cli_effects.register(app)
cli_explain.register(app)
cli_mixture.register(app)
cli_saved_mixtures.register(app)
cli_export.register(app)


def main() -> None:
    """Run the command line; what the user can mend becomes one readable line."""
    try:
        app()
    except (CausalMixError, OSError) as error:  # OSError: no permission, a full disk
        typer.secho(f"causalmix: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"causalmix {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    # A callback of the option, because the group's own is not called without a verb.
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass


@app.command()
def init(
    workspace: Annotated[Path, typer.Argument(help="The folder to make the workspace in.")],
    name: Annotated[str, typer.Option(help="A name for people; default: the folder's name.")] = "",
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A folder with one subfolder, file or set of shards per domain (see docs/WORKSPACE.md).",
        ),
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
) -> None:
    """Make a workspace, with the domains found in a folder."""
    domains: dict[str, DomainSource] = {}
    if source is not None:
        domains = {
            d: DomainSource(path=s.path, text_field=text_field)
            for d, s in discover_domains(source.expanduser().absolute()).items()
        }
    made = Workspace.create(
        workspace, WorkspaceConfig(name=name or workspace.absolute().name, domains=domains)
    )
    typer.echo(f"Made the workspace {made.root}")
    for domain, where in domains.items():
        typer.echo(f"  {domain:<20} {where.path}")
    then = "causalmix ingest" if domains else f"list your domains in {made.config_path}, then run ingest"
    typer.echo(f"Next: {then} -w {workspace}" if domains else f"Next: {then}")


@app.command()
def probe(
    workspace: WorkspaceOption = HERE,
    probes: Annotated[
        int | None,
        typer.Option(help="How many proxies to train; default: 48, or one per mixture of a list or grid."),
    ] = None,
    proxy: Annotated[PresetName, typer.Option(help="Size of the proxy.")] = "nano",
    tokens: Annotated[int | None, typer.Option(help="Training tokens per proxy.")] = None,
    family: Annotated[Family | None, typer.Option(help="Architecture of the proxy; default: llama.")] = None,
    tokenizer: Annotated[
        TokenizerKind | None,
        typer.Option(help="bytes, or bpe: trained on the snapshot; a pretrained model brings its own."),
    ] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Tokens of the bpe; default: 4096.")] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Fine-tune this model: a folder, or a name on the hub."),
    ] = None,
    tuning: Annotated[
        Tuning | None, typer.Option(help="What of it is trained: full (default) or lora.")
    ] = None,
    lora_rank: Annotated[int | None, typer.Option(help="Rank of the adapters; default: 8.")] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="A benchmark of lm-evaluation-harness that every probe answers; repeatable."),
    ] = None,
    tasks_folder: Annotated[
        Path | None, typer.Option(help="Folder with the YAML files of the tasks and their data.")
    ] = None,
    design: Annotated[
        Design, typer.Option(help="How mixtures are chosen: dirichlet, sobol, grid or list.")
    ] = "dirichlet",
    mixtures: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mixtures to train: CSV, Parquet, JSON or YAML."),
    ] = None,
    assignment: Annotated[
        Assignment | None,
        typer.Option(help="How the mixtures of a list were chosen; default: not known, so observational."),
    ] = None,
    grid_steps: Annotated[
        int | None,
        typer.Option(min=1, help="Makes a grid: into how many parts a probe is shared out among domains."),
    ] = None,
    max_epochs: Annotated[
        float | None, typer.Option(help="How often a probe may read a domain at most.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of the design, the initial weights and the order; default: one not used yet."),
    ] = None,
    engine: Annotated[str, typer.Option(help="What runs the swarm: local or ray.")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many shards train at the same time at most.")
    ] = None,
    detach: Annotated[bool, typer.Option(help="Return at once; the swarm goes on.")] = False,
) -> None:
    """Train a swarm of small proxy models on many mixtures, in the background."""
    opened = Workspace.open(workspace)
    runner = load_engine(engine)
    chosen = unused_seed(runner, opened) if seed is None else seed
    options = _design_options(opened, design, mixtures, max_epochs, grid_steps, assignment)
    options |= {
        "tasks": tuple(task or ()),
        "tasks_folder": None if tasks_folder is None else str(tasks_folder),
    }
    made_of = {
        "family": family,
        "tokenizer": tokenizer,
        "vocabulary": vocabulary,
        "pretrained": pretrained,
        "tuning": tuning,
        "lora_rank": lora_rank,
    }
    swarm = _swarm(opened, probes, proxy, tokens, chosen, options, made_of)
    swarm = settle_swarm(swarm, opened)
    design_swarm(swarm, proxy_tokens(open_snapshot(opened), swarm.proxy))  # refused here, not later
    job = runner.submit(opened, swarm, workers)
    typer.echo(f"Job {job} runs in the background.")
    if not detach:
        cli_jobs.follow(opened, runner, job)


@app.command()
def demo(
    workspace: Annotated[Path, typer.Argument(help="Folder of the demo workspace.")] = Path("demo-workspace"),
    probes: Annotated[int, typer.Option(help="Proxies in the first swarm.")] = 48,
    tokens: Annotated[int | None, typer.Option(help="Training tokens per proxy.")] = None,
    keep: Annotated[bool, typer.Option(help="Leave a workspace that is already there as it is.")] = False,
) -> None:
    """Make the demo workspace from text of this very installation and start its first swarm."""
    if keep and (workspace / "workspace.yaml").exists():
        Workspace.open(workspace)
        typer.echo(f"The workspace {workspace} is there already; it is opened as it is.")
        return
    if workspace.exists() and (not workspace.is_dir() or any(workspace.iterdir())):
        raise CausalMixError(
            f"{workspace} exists and is not empty. Name another folder, or open it with "
            f"`causalmix ui -w {workspace}` if it is a workspace."
        )
    # Built beside its place and moved there when complete: half a demo is never opened as a whole one.
    scratch = scratch_path(workspace.absolute())
    try:
        made = Workspace.create(scratch, WorkspaceConfig(name="Demo"))
        swarm = _swarm(made, probes, "nano", tokens, seed=0)
        typer.echo("Collecting the demo corpus from this installation ...")
        sources = write_demo_corpus(scratch / "sources")
        made.save_config(
            WorkspaceConfig(
                name="Demo",
                domains={
                    d: DomainSource(path=str(Path(s.path).relative_to(scratch)), text_field=s.text_field)
                    for d, s in sources.items()
                },
                objective=DEMO_OBJECTIVE,
                token_budget=20_000_000,
            )
        )
        report = ingest_pool(made, progress=show_progress)
        scratch.rename(workspace.absolute())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for line in report.summary():
        typer.echo(f"  {line}")
    job = load_engine().submit(Workspace.open(workspace), swarm)
    typer.echo(f"Started the first swarm: {probes} probes in the background (job {job}).")


@app.command()
def ui(
    workspace: WorkspaceOption = HERE,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port; the next free one when taken.")] = 8501,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = False,
) -> None:
    """Open the workspace in a browser, on this machine only (127.0.0.1)."""
    opened = Workspace.open(workspace)
    free = _free_port(port)
    if free != port:
        typer.secho(f"Port {port} is taken; using {free}.", fg=typer.colors.YELLOW)
    root = Path(__file__).resolve().parent.parent
    typer.echo(f"CausalMix: http://127.0.0.1:{free}   (workspace {opened.root}; stop with Ctrl+C)")
    command = [
        sys.executable, "-m", "pages.widgets.server", "run", str(root / "app.py"),
        "--server.address=127.0.0.1", f"--server.port={free}", "--browser.gatherUsageStats=false",
        f"--server.headless={'false' if open_browser and _has_display() else 'true'}",
    ]  # fmt: skip
    environment = {**os.environ, "CAUSALMIX_WORKSPACE": str(opened.root)}
    try:
        sys.exit(subprocess.run(command, cwd=root, env=environment, check=False).returncode)
    except KeyboardInterrupt:
        sys.exit(0)


def _design_options(
    workspace: Workspace,
    design: Design,
    mixtures: Path | None,
    max_epochs: float | None,
    grid_steps: int | None,
    assignment: Assignment | None,
) -> dict[str, object]:
    """The fields of a swarm that its options of design give."""
    options: dict[str, object] = {"design": design, "max_epochs": max_epochs, "assignment": assignment}
    if grid_steps is not None:
        if mixtures is not None or design not in ("dirichlet", "grid"):
            raise CausalMixError("--grid-steps makes a grid; leave it out with another design.")
        domains = len(open_snapshot(workspace).domains)
        size = min(MOST_ROWS, grid_size(domains, grid_steps))
        return options | {"design": "grid", "grid_steps": grid_steps, "probes": size}
    if mixtures is None:
        return options
    if design not in ("dirichlet", "list"):
        raise CausalMixError(f"--mixtures is a design of its own; leave out --design {design}.")
    fitted = fit_mixtures(read_mixtures(mixtures), sorted(open_snapshot(workspace).domains), mixtures.name)
    for notice in fitted.notices:
        typer.echo(f"Note: {notice}")
    return options | {"design": "list", "mixtures": tuple(fitted.mixtures)}


def _swarm(
    workspace: Workspace,
    probes: int | None,
    preset: PresetName,
    tokens: int | None,
    seed: int,
    options: dict[str, object] | None = None,
    made_of: Mapping[str, object] | None = None,
) -> SwarmSpec:
    """Build a swarm from options; an option out of range becomes words."""
    given = {k: v for k, v in (made_of or {}).items() if v is not None}
    size = PRESETS[preset].model_dump()
    if "pretrained" in given:  # it has its own shape, and the learning rate follows from how it is tuned
        size = {k: size[k] for k in ("sequence_length", "batch_size", "tokens", "precision") if k in size}
    proxy = size | given | ({} if tokens is None else {"tokens": tokens})
    fields = {
        "proxy": proxy,
        "seed": seed,
        "state_features": tuple(workspace.config().state_features),
        **(options or {}),
        **({} if probes is None else {"probes": probes}),
    }
    try:
        return SwarmSpec.model_validate(fields)
    except ValidationError as error:
        lines = [
            ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))))
            for e in error.errors()
        ]
        raise CausalMixError(f"That swarm cannot be made: {'; '.join(lines)}.") from error


def _free_port(wanted: int) -> int:
    last = min(wanted + 49, 65535)
    for port in range(wanted, last + 1):
        with socket.socket() as probe_socket:
            try:
                probe_socket.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CausalMixError(f"No free port from {wanted} to {last}. Choose another with --port.")


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
