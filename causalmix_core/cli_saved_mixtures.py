"""The verbs of saved mixtures: compare two, report one, ask one again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from causalmix_core.cli_options import (
    HERE,
    WorkspaceOption,
    show_progress,
)
from causalmix_core.cli_printing import print_changes, print_notes, print_weights
from causalmix_core.effects import EffectModel
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.comparison import compare_mixtures
from causalmix_core.mixture.limits import listed
from causalmix_core.mixture.replay import Replay, grounds_of, refit, replay
from causalmix_core.mixture.report import report_html
from causalmix_core.mixture.reporting.figures import signed
from causalmix_core.mixture.robustness import graph_variants, robustness
from causalmix_core.mixture.shift import PoolShift, moved_question, pool_shift
from causalmix_core.mixture.store import (
    SavedMixture,
    find_mixture,
)
from causalmix_core.probes import IMPORT
from causalmix_core.workspace import Workspace, write_atomic


def register(app: typer.Typer) -> None:
    """Add the verbs of saved mixtures to the command line."""
    app.command("compare-mixtures")(compare)
    app.command("report")(report)


def compare(
    first: Annotated[str, typer.Argument(help="Name or file of a saved mixture.")],
    second: Annotated[str, typer.Argument(help="Name or file of another one.")],
    workspace: WorkspaceOption = HERE,
) -> None:
    """Put two saved mixtures side by side: weights, predictions, and what they rest on."""
    opened = Workspace.open(workspace)
    a, b = find_mixture(opened, first), find_mixture(opened, second)
    model, why = _model_of(opened, a)
    found = compare_mixtures(a, b, model)
    one, two = f"{a.name} r{a.revision}", f"{b.name} r{b.revision}"
    typer.echo(f"{'':<22}{one:>16}{two:>16}   difference")
    for row in found.weights.to_dict("records"):
        cells = "".join("-".rjust(16) if pd.isna(v) else f"{v:16.2%}" for v in (row["first"], row["second"]))
        apart = "" if pd.isna(row["difference"]) else f"{100 * row['difference']:+8.2f} points"
        typer.echo(f"  {row['domain']:<20}{cells}   {apart}")
    typer.echo("\nExpected of a new run, 95%")
    for row in found.predictions.to_dict("records"):
        cells = "   ".join(
            "-" if pd.isna(row[f"{w}_mean"])
            else f"{row[f'{w}_mean']:.4f} [{row[f'{w}_mean_lower']:.4f}, {row[f'{w}_mean_upper']:.4f}]"
            for w in ("first", "second")
        )  # fmt: skip
        typer.echo(f"  {row['outcome']:<20} {cells}")
    if found.apart is not None:
        typer.echo(f"\nPredicted change from {one} to {two} in {a.snapshot}, 95%")
        for row in found.apart.to_dict("records"):
            span = f"[{signed(row['lower'])}, {signed(row['upper'])}]"
            typer.echo(f"  {row['outcome']:<20} {signed(row['change'])} {span}")
    typer.echo(
        "\nWhat differs in where they come from" if len(found.provenance) else "\nBoth rest on the same."
    )
    for row in found.provenance.to_dict("records"):
        typer.echo(f"  {row['what']}: {row['first']}  |  {row['second']}")
    print_notes(*found.notes, *why)


def report(
    name: Annotated[str, typer.Argument(help="Name or file of a saved mixture.")] = "suggested",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The .html to write; default: NAME.html here.")
    ] = None,
    robust: Annotated[
        bool,
        typer.Option("--robustness/--quick", help="Whether to try other estimators, graphs and steps too."),
    ] = True,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Write a report of a saved mixture as one HTML file that prints, for whoever decides."""
    opened = Workspace.open(workspace)
    saved = find_mixture(opened, name)
    target = output or Path(f"{saved.name}.html")
    again = replay(opened, saved, show_progress)
    firm = None
    if robust:
        firm = robustness(
            again.question, again.model, saved.weights, saved.asked,
            tokens=saved.tokens, graphs=graph_variants(opened, again.question), progress=show_progress,
        )  # fmt: skip
    moved = _shift_since_the_runs(opened, again)
    text = report_html(saved, again.question, again.model, firm, moved, notes=again.differences)
    write_atomic(target, text)
    typer.echo(f"Wrote {target}. Open it in a browser; print it there to get a PDF.")
    print_notes(*again.notes, *again.differences)


def ask_again(workspace: Workspace, named: str) -> None:
    """Ask a saved mixture again, print its numbers and write nothing.

    Raises:
        CausalMixError: there is no such mixture, what it rests on is not what it was, or its numbers differ.
    """
    saved = find_mixture(workspace, named)
    found = replay(workspace, saved, show_progress)
    typer.echo(
        f"Mixture {saved.name}, revision {saved.revision}, saved {saved.saved_at:%Y-%m-%d %H:%M} by "
        f"{saved.by}"
    )
    print_weights(found.mixture, saved.reference)
    print_changes(found.predicted)
    print_notes(*found.notes, *(found.suggestion.notes if found.suggestion else ()))
    if found.differences:
        raise CausalMixError(
            f"Asked again, {saved.name} does not give the numbers in its file: {listed(found.differences)}. "
            "The file "
            "was edited, or libraries compute otherwise now; nothing was overwritten."
        )
    typer.echo(
        f"The same numbers as in {named}: all weights and predictions agree to 1e-9. Nothing was written."
    )


def _shift_since_the_runs(workspace: Workspace, again: Replay) -> PoolShift | None:
    """What differs between the pool of the runs and the mixture's; None where they are one, or the first is
    gone."""
    saved, states = again.saved, again.question.runs.states
    if saved.snapshot == saved.runs_of or saved.runs_of.startswith(IMPORT) or not states:
        return None
    try:
        there = moved_question(workspace, again.question, saved.runs_of)
    except CausalMixError:
        return None
    return pool_shift(again.model, there.state, saved.state, saved.reference)


def _model_of(workspace: Workspace, saved: SavedMixture) -> tuple[EffectModel | None, list[str]]:
    """The effects of a saved mixture, fitted again, or words why not."""
    try:
        return refit(grounds_of(workspace, saved), saved, show_progress), []
    except CausalMixError as error:
        return None, [f"How far the two are apart is not known. {error}"]
