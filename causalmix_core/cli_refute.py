"""The verb that tries to break the effects: `causalmix refute`."""

from __future__ import annotations

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
)
from causalmix_core.effects import fit_effects
from causalmix_core.effects.effect_store import key_of, load_refutation, save_refutation
from causalmix_core.effects.overlap import assignment_report, overlap_report
from causalmix_core.effects.refutation import REFUTERS, Refutation, RefutationSettings, RefutedEffect, refute
from causalmix_core.effects.refutation.result import (
    FEWEST_REPLICATES,
    MOST_REPLICATES,
    REPLICATES,
    STRENGTH,
)
from causalmix_core.effects.sensitivity import sensitivity
from causalmix_core.errors import CausalMixError
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace, write_atomic

_SIGNS = {"passed": "ok", "weak": "weak", "failed": "FAILED", "not shown": "-", "does not apply": "n/a"}
_HEADS = ("placebo", "dummy", "random", "subset", "bootstrap", "hidden")


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("refute")(refute_effects)


def refute_effects(
    workspace: WorkspaceOption = HERE,
    graph: GraphOption = None,
    estimator: EstimatorOption = "gaussian_process",
    pool: PoolOption = None,
    replicates: Annotated[
        int,
        typer.Option(min=FEWEST_REPLICATES, max=MOST_REPLICATES, help="Changed sets of runs per refuter."),
    ] = REPLICATES,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    strength: Annotated[
        float,
        typer.Option(help="Of the simulated hidden cause: share of weight and outcome that it explains."),
    ] = STRENGTH,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="Show the effects on this outcome only.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write every number to this .csv.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Refute again, even if these effects were refuted like this.")
    ] = False,
) -> None:
    """Try to break every effect, and say which of them survived."""
    if not 0 < strength < 1:
        raise CausalMixError(f"The strength of a hidden cause lies between 0 and 1; {strength} does not.")
    opened = Workspace.open(workspace)
    question = gather(opened, graph, pool=pool)
    settings = RefutationSettings(
        estimator=estimator,
        objective=question.objective,
        state=question.state,
        mixture=question.reference,
        replicates=replicates,
        seed=seed,
        strength=strength,
    )
    key = key_of(question)
    kept = load_refutation(opened, key, settings)
    found = None if fresh else kept.value
    if found is None:
        found = refute(
            question.runs,
            question.graph,
            estimator=estimator,
            objective=question.objective,
            state=question.state,
            mixture=question.reference,
            replicates=replicates,
            seed=seed,
            strength=strength,
            progress=show_progress,
        )
        save_refutation(opened, key, found)
    effects = _of(found, outcome)
    if output is not None:
        write_atomic(output, found.numbers().to_csv(index=False))
    model = fit_effects(question.runs, question.graph, estimator=estimator, objective=question.objective)
    _print(found, effects)
    for sentence in (
        *assignment_report(question.runs).sentences,
        *overlap_report(question.runs).warnings,
        *sensitivity(model, question.state, question.reference).sentences,
    ):
        typer.echo(sentence)
    for note in (*found.notes, kept.problem):
        if note:
            typer.echo(f"Note: {note}")


def _of(found: Refutation, outcome: str | None) -> list[RefutedEffect]:
    effects = [e for e in found.effects if outcome is None or e.outcome == outcome]
    if not effects:
        names = ", ".join(dict.fromkeys(e.outcome for e in found.effects))
        raise CausalMixError(f"There is no outcome {outcome} among the effects; there are: {names}.")
    return effects


def _print(found: Refutation, effects: list[RefutedEffect]) -> None:
    typer.echo(
        f"Effects of +1 point by {found.settings.estimator}, {found.runs} runs; each refuter changed them "
        f"{found.settings.replicates} times"
    )
    wide = max(len(e.domain) for e in effects)
    for outcome in dict.fromkeys(e.outcome for e in effects):
        typer.echo(f"\n{outcome:<{wide + 12}} " + "".join(f"{head:<10}" for head in _HEADS))
        for e in effects:
            if e.outcome == outcome:
                signs = "".join(f"{_SIGNS[e.check(name).verdict]:<10}" for name in REFUTERS)
                typer.echo(f"  {e.domain:<{wide}} {e.effect:+.5f}  {signs}{e.words}")
    typer.echo(f"\n{found.summary()}")
