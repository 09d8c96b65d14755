"""The verbs that take a mixture to a trainer and back: export, formats, import-mixture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from causalmix_core.cli_options import (
    HERE,
    EstimatorOption,
    GraphOption,
    PoolOption,
    WorkspaceOption,
    show_progress,
    user,
)
from causalmix_core.effects import fit_effects
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import load_mixture, mixture_names, mixture_record, save_mixture
from causalmix_core.mixture.exporting import (
    FORMATS,
    Count,
    FormatName,
    blend_of,
    cautions,
    read_export,
    save_export,
)
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the verbs of exports to the command line."""
    app.command()(export)
    app.command()(formats)
    app.command("import-mixture")(import_mixture)


def export(
    name: Annotated[str, typer.Argument(help="Name of a saved mixture.")] = "suggested",
    format: Annotated[
        FormatName, typer.Option("--format", "-f", help="Which trainer reads it; see `causalmix formats`.")
    ] = "yaml",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder, or file of a single-file format; default: stdout."),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=PATH", help="Where the trainer finds a domain; repeatable."),
    ] = None,
    split_path: Annotated[
        list[str] | None,
        typer.Option(metavar="SPLIT:DOMAIN=PATH", help="The same for the split valid or test; repeatable."),
    ] = None,
    count: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN=TOKENS/DOCUMENTS",
            help="What the pool holds by the trainer's tokenizer; default: as the snapshot counted.",
        ),
    ] = None,
    token_budget: Annotated[
        int | None, typer.Option(help="Tokens of the training run; default: the workspace's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For trainers that draw.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Write a saved mixture for a trainer, or as plain YAML, JSON or CSV."""
    chosen = FORMATS[format]
    blend = blend_of(
        Workspace.open(workspace),
        name,
        token_budget=token_budget,
        paths=_grouped(path, "--path", "DOMAIN=PATH"),
        split_paths=_splits(split_path),
        counts={d: _count(v, d) for d, v in _pairs(count, "--count", "DOMAIN=TOKENS/DOCUMENTS")},
        seed=seed,
    )
    files = chosen.write(blend)
    if output is not None:
        for written in save_export(files, output, force=force):
            typer.echo(f"Wrote {written}")
    elif len(files) == 1:
        typer.echo(files[0].text, nl=False)
    else:
        named = ", ".join(f.name for f in files)
        raise CausalMixError(
            f"The format {format} writes {len(files)} files ({named}): give a folder, --output DIR."
        )
    for caution in cautions(blend, chosen):
        typer.echo(f"Note: {caution}", err=True)


def formats() -> None:
    """List the formats of exports: for which trainer, and what its number means."""
    for name, format in FORMATS.items():
        typer.echo(f"{name:<14} {format.label}: {format.meaning}\n{'':<14} {format.summary}")


def import_mixture(
    file: Annotated[Path, typer.Argument(help="An export: its first file.")],
    format: Annotated[
        FormatName | None, typer.Option("--format", "-f", help="Its format; default: by the end of its name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Save it under this name; default: only show it.")] = None,
    graph: GraphOption = None,
    estimator: EstimatorOption = "gaussian_process",
    pool: PoolOption = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Load an export back: its weights, checked against the domains of the runs."""
    chosen, text = format or _format_of(file), _text(file)
    opened = Workspace.open(workspace)
    question = gather(opened, graph, pool=pool)
    read = read_export(text, chosen, question.runs.domains)
    for domain, weight in read.weights.items():
        typer.echo(f"  {domain:<20} {weight:8.2%}   (reference {question.reference[domain]:.2%})")
    if read.absent:
        typer.echo(f"Note: {file} does not name {', '.join(read.absent)}: weight 0.")
    if name is None:
        return
    model = fit_effects(
        question.runs,
        question.graph,
        estimator=estimator,
        objective=question.objective,
        progress=show_progress,
    )
    record = mixture_record(question, model, read.weights, name=name, by=user())
    parent = load_mixture(opened, name).revision if name in mixture_names(opened) else None
    saved = save_mixture(opened, record, parent)
    typer.echo(f"Saved mixture {name}, revision {saved.revision}.")


def _format_of(file: Path) -> FormatName:
    by_suffix: dict[str, FormatName] = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".csv": "csv"}
    try:
        return by_suffix[file.suffix.lower()]
    except KeyError:
        raise CausalMixError(f"The name {file} does not say a format. Give --format.") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CausalMixError(f"{file} is not a text file in UTF-8.") from error
    except OSError as error:
        raise CausalMixError(f"Cannot read {file}: {error.strerror}.") from error


def _pairs(options: Iterable[str] | None, option: str, form: str) -> list[tuple[str, str]]:
    """`key=value` of an option that may be repeated."""
    found = []
    for text in options or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise CausalMixError(f"{option} takes {form}, not {text!r}.")
        found.append((key.strip(), value.strip()))
    return found


def _grouped(options: Iterable[str] | None, option: str, form: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, value in _pairs(options, option, form):
        found[key] = (*found.get(key, ()), value)
    return found


def _splits(options: Iterable[str] | None) -> dict[str, dict[str, tuple[str, ...]]]:
    form = "SPLIT:DOMAIN=PATH"
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for key, paths in _grouped(options, "--split-path", form).items():
        split, colon, domain = key.partition(":")
        if not colon or not split or not domain:
            raise CausalMixError(f"--split-path takes {form}, not {key!r}.")
        found.setdefault(split, {})[domain] = paths
    return found


def _count(text: str, domain: str) -> Count:
    tokens, _, documents = text.partition("/")
    try:
        count = Count(int(tokens.replace("_", "")), int(documents.replace("_", "")))
    except ValueError:
        count = Count(0, 0)
    if count.tokens <= 0 or count.documents <= 0:
        raise CausalMixError(
            f"--count of {domain} takes TOKENS/DOCUMENTS, two whole numbers above 0, not {text!r}."
        )
    return count
