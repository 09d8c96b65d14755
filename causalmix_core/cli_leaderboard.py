"""The verb that compares estimators: `causalmix leaderboard`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from causalmix_core.cli_options import HERE, PoolOption, WorkspaceOption, show_progress
from causalmix_core.effects import ESTIMATOR_NAMES
from causalmix_core.effects.effect_store import key_of, load_leaderboard, save_leaderboard
from causalmix_core.effects.held_out import FOLDS, REPEATS
from causalmix_core.effects.leaderboard import leaderboard
from causalmix_core.effects.leaderboard_result import Leaderboard, LeaderboardSettings, Row
from causalmix_core.effects.scoring import Score
from causalmix_core.errors import CausalMixError
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace

_HEAD = ("", "rank", "R2", "95% holds", "choice", "seconds", "repeats")


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("leaderboard")(compare)


def compare(
    workspace: WorkspaceOption = HERE,
    pool: PoolOption = None,
    graph: Annotated[
        str | None, typer.Option("--graph", help="A saved graph; default: the one that the pool uses.")
    ] = None,
    revision: Annotated[int | None, typer.Option("--revision", min=1, help="Default: the newest.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Compare this estimator; may be repeated.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts that are held out in turn.")] = FOLDS,
    repeats: Annotated[
        int, typer.Option(min=1, max=20, help="How often runs are parted anew, where time allows.")
    ] = REPEATS,
    seed: Annotated[int, typer.Option(help="Of the parts and of the estimators.")] = 0,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="Show this outcome instead of the objective.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compare again, even if these runs were compared like this.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare estimators and baselines on probes that they have not seen, and say which to use."""
    opened = Workspace.open(workspace)
    question = gather(opened, graph, revision, pool)
    key = key_of(question)
    settings = LeaderboardSettings(folds=folds, repeats=repeats, seed=seed)
    if only:
        if unknown := [name for name in only if name not in ESTIMATOR_NAMES]:
            raise CausalMixError(
                f"There is no estimator {', '.join(unknown)}. Choose from: {', '.join(ESTIMATOR_NAMES)}."
            )
        settings = settings.model_copy(update={"estimators": tuple(dict.fromkeys(only))})
    kept = load_leaderboard(opened, key)
    found = None if fresh else kept.value
    if found is None or found.settings != settings:
        found = leaderboard(
            question.runs,
            question.graph,
            question.objective,
            reference=question.reference,
            settings=settings,
            progress=show_progress,
        )
        save_leaderboard(opened, key, found)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    _print(found, outcome)
    if kept.problem:
        typer.echo(f"Note: {kept.problem}")


def _print(found: Leaderboard, outcome: str | None) -> None:
    scored = next((r for r in found.rows if r.outcomes), None)
    shown = outcome or (list(scored.outcomes)[-1] if scored else "objective")
    if scored is not None and shown not in scored.outcomes:
        raise CausalMixError(f"No outcome {shown} was compared; there are: {', '.join(scored.outcomes)}.")
    typer.echo(f"{shown}: {found.held_out}")
    rows = [_HEAD, *(_cells(r, shown) for r in found.rows if not r.failed)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    for row in rows:
        first, *rest = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, wide, strict=True))
        )
        typer.echo("  ".join([first, *rest]).rstrip())
    typer.echo(f"Best possible choice: {_said(found.best_possible)}.")
    typer.echo(found.why)
    for row_ in found.rows:
        if row_.failed or row_.unfit:
            typer.echo(f"Note: {row_.label}: {row_.failed or row_.unfit}.")
    for note in found.notes:
        typer.echo(f"Note: {note}")


def _cells(row: Row, outcome: str) -> tuple[str, ...]:
    score = row.outcomes[outcome]
    return (
        row.label,
        _said(score.rank),
        _said(score.r2),
        "" if score.coverage.mean is None else f"{score.coverage.mean:.0%}",
        _said(row.worth, significant=True),
        "" if row.seconds is None else f"{row.seconds:.2f}",
        str(row.repeats),
    )


def _said(score: Score, *, significant: bool = False) -> str:
    if score.mean is None or not math.isfinite(score.mean):
        return ""
    digits = "#.3g" if significant else ".3f"
    return f"{score.mean:{digits}}" + ("" if score.error is None else f" ± {score.error:#.2g}")
