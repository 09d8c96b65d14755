"""The verbs of effects: estimate what a domain does, predict what a mixture would measure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from causalmix_core.cli_options import (
    HERE,
    EstimatorOption,
    GraphOption,
    PoolOption,
    WorkspaceOption,
    show_progress,
)
from causalmix_core.effects import fit_effects
from causalmix_core.probes.importing import SourceFile, headers_of, read_new_mixtures, resolve_outcome
from causalmix_core.question import Question, gather
from causalmix_core.workspace import Workspace, write_atomic


def register(app: typer.Typer) -> None:
    """Add the verbs of effects to the command line."""
    app.command("estimate")(estimate)
    app.command("predict")(predict)


def estimate(
    workspace: WorkspaceOption = HERE,
    graph: GraphOption = None,
    estimator: EstimatorOption = "gaussian_process",
    pool: PoolOption = None,
    output: Annotated[Path | None, typer.Option(help="Also write the effects to this .csv.")] = None,
) -> None:
    """Estimate what one more percentage point of each domain does to each outcome."""
    question = gather(Workspace.open(workspace), graph, pool=pool)
    model = fit_effects(
        question.runs,
        question.graph,
        estimator=estimator,
        objective=question.objective,
        progress=show_progress,
    )
    effects = model.effects(question.state, question.reference)
    if output is not None:
        write_atomic(output, effects.to_csv(index=False))
    typer.echo("Effect of +1 percentage point of a domain, taken from the others in proportion")
    typer.echo(f"(at {question.reference_is}; change of the outcome; 95% interval; * = differs from zero)")
    for outcome, rows in effects.groupby("outcome", sort=False):
        typer.echo(f"\n{outcome}")
        for row in rows.itertuples():
            mark = "*" if row.distinguishable else " "
            span = f"[{row.lower:+.5f}, {row.upper:+.5f}]"
            typer.echo(f"  {row.domain:<20} {row.effect:+.5f} {span} {mark}")
    for note in (*question.runs.notes, *model.notes):
        typer.echo(f"Note: {note}")


def predict(
    mixtures: Annotated[
        Path, typer.Option(metavar="FILE", help="Mixtures to predict for, one per row: a .csv or .parquet.")
    ],
    outcome: Annotated[
        str, typer.Option(help="What to predict: loss/code, code, or its name in the imported table.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv to write.")],
    workspace: WorkspaceOption = HERE,
    graph: GraphOption = None,
    estimator: EstimatorOption = "gaussian_process",
    pool: PoolOption = None,
) -> None:
    """Predict what new runs on given mixtures would measure, with the 95% interval of one run."""
    opened = Workspace.open(workspace)
    question = gather(opened, graph, pool=pool)
    headers = headers_of(opened.runs, question.pool)
    wanted = resolve_outcome(outcome, question.runs.outcomes, headers)
    asked = read_new_mixtures(SourceFile.of(mixtures), question.runs, headers)
    # Only what is asked for is fitted: tables have dozens of outcomes.
    runs = replace(question.runs, outcomes=[wanted])
    model = fit_effects(runs, question.graph, estimator=estimator, progress=show_progress)
    states, said = _states(question, asked.states)
    found = model.predict(asked.weights, states, [wanted])
    numbers = found[["mean", "lower", "upper"]].reset_index(drop=True)
    table = pd.concat([asked.index, numbers], axis="columns")
    write_atomic(output, table.to_csv(index=False))
    typer.echo(
        f"Wrote {wanted} of {len(table):,} mixtures to {output}, predicted from {len(runs):,} runs by "
        f"{estimator}."
    )
    for note in (*question.runs.notes, *asked.notices, *said, *model.notes):
        typer.echo(f"Note: {note}")


def _states(question: Question, given: pd.DataFrame | None) -> tuple[np.ndarray, list[str]]:
    """The pool states to predict at, one row for all or one per mixture, and what to say of them."""
    if given is not None:
        return given.to_numpy(float), []
    state = np.array([[question.state[s] for s in question.runs.states]], dtype=float)
    if not question.runs.states:
        return state, []
    where = "the pool's" if question.snapshot else "the mean of the runs"
    return state, [f"The mixtures come without a pool state; {where} is used: {_said(question)}."]


def _said(question: Question) -> str:
    return ", ".join(f"{s.partition('/')[2]} {question.state[s]:.4g}" for s in question.runs.states)
