"""The verbs that find a mixture: suggest one, compare policies, move to another pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from causalmix_core.cli_constraints import (
    BoundOption,
    BudgetOption,
    ChangeOption,
    ConstraintOptions,
    EpochsOption,
    FileOption,
    GroupOption,
    LockOption,
    MostOption,
    RadiusOption,
    margins,
)
from causalmix_core.cli_options import (
    HERE,
    EstimatorOption,
    PoolOption,
    WorkspaceOption,
    show_progress,
    user,
)
from causalmix_core.cli_options import GraphOption as CausalGraphOption
from causalmix_core.cli_printing import print_changes, print_notes, print_weights
from causalmix_core.cli_saved_mixtures import ask_again
from causalmix_core.effects import OBJECTIVE, EffectModel, EstimatorName, fit_effects
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import (
    POLICIES,
    Mixture,
    PolicyName,
    Suggestion,
    load_mixture,
    mixture_names,
    mixture_record,
    policy_table,
    pose,
    save_mixture,
)
from causalmix_core.mixture import suggest as suggest_mixture
from causalmix_core.mixture.limits import listed
from causalmix_core.mixture.reporting.figures import signed
from causalmix_core.mixture.shift import moved_question, pool_shift, shift_sentences
from causalmix_core.mixture.store import (
    Asked,
    SavedMixture,
)
from causalmix_core.question import Question, gather
from causalmix_core.workspace import Workspace, check_name, write_atomic

PolicyOption = Annotated[
    PolicyName | None,
    typer.Option("--policy", help="How the mixture is found (see docs/METHOD.md); default: trust_region."),
]
SureOption = Annotated[
    bool | None,
    typer.Option(
        "--sure/--predicted", help="Whether a gain has to be sure (95%) or only predicted; default: sure."
    ),
]
HarmOption = Annotated[
    list[str] | None,
    typer.Option(
        "--no-harm", metavar="OUTCOME[=MARGIN]", help="What may not get worse, or by how much; repeatable."
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Of what the policy draws; default: 0.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of mixtures to the command line."""
    app.command("suggest")(suggest)
    app.command("policies")(policies)
    app.command("shift")(shift)


def suggest(
    workspace: WorkspaceOption = HERE,
    graph: CausalGraphOption = None,
    estimator: Annotated[
        EstimatorName | None,
        typer.Option("--estimator", help="How effects are estimated; default: gaussian_process."),
    ] = None,
    pool: PoolOption = None,
    policy: PolicyOption = None,
    constraints: FileOption = None,
    bound: BoundOption = None,
    lock: LockOption = None,
    group: GroupOption = None,
    max_epochs: EpochsOption = None,
    token_budget: BudgetOption = None,
    radius: RadiusOption = None,
    smallest_change: ChangeOption = None,
    most_domains: MostOption = None,
    no_harm: HarmOption = None,
    sure: SureOption = None,
    step: Annotated[
        float | None, typer.Option(help="Part of the way from the reference to go, up to 1; default: 1.")
    ] = None,
    seed: SeedOption = None,
    name: Annotated[
        str | None, typer.Option(help="Save the mixture under this name; default: suggested.")
    ] = None,
    saved: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="Ask a saved mixture again: the same numbers, or words why not."
        ),
    ] = None,
) -> None:
    """Suggest a mixture from the effects and save it, or ask a saved one again."""
    options = ConstraintOptions(
        constraints, bound, lock, group, max_epochs, token_budget, radius, smallest_change, most_domains
    )
    if saved is not None:
        others = (graph, estimator, pool, policy, no_harm or None, sure, step, seed, name)
        if options.given or any(v is not None for v in others):
            raise CausalMixError("--from asks exactly what was asked before; leave the other options out.")
        ask_again(Workspace.open(workspace), saved)
        return
    chosen = "suggested" if name is None else name
    _check_name(chosen)
    opened = Workspace.open(workspace)
    asked = _asked(opened, options, policy, no_harm, sure, step, seed)
    question = gather(opened, graph, pool=pool)
    model = _fit(question, estimator or "gaussian_process")
    found = _suggestion(question, model, asked)
    record = _save(opened, question, model, found.mixture, asked, chosen)
    print_weights(record.weights, record.reference)
    print_changes(record.predicted)
    print_notes(*question.runs.notes, *model.notes, *found.notes, *(v.words for v in found.violations))
    typer.echo(f"Saved mixture {chosen}, revision {record.revision}. Next: causalmix export {chosen}")


def policies(
    workspace: WorkspaceOption = HERE,
    graph: CausalGraphOption = None,
    estimator: EstimatorOption = "gaussian_process",
    pool: PoolOption = None,
    constraints: FileOption = None,
    bound: BoundOption = None,
    lock: LockOption = None,
    group: GroupOption = None,
    max_epochs: EpochsOption = None,
    token_budget: BudgetOption = None,
    radius: RadiusOption = None,
    smallest_change: ChangeOption = None,
    most_domains: MostOption = None,
    no_harm: HarmOption = None,
    sure: SureOption = None,
    seed: SeedOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write weights and predictions to this .csv.")
    ] = None,
) -> None:
    """Put what every policy would suggest side by side, with what it is predicted to change."""
    opened = Workspace.open(workspace)
    options = ConstraintOptions(
        constraints, bound, lock, group, max_epochs, token_budget, radius, smallest_change, most_domains
    )
    asked = _asked(opened, options, None, no_harm, sure, None, seed)
    question = gather(opened, graph, pool=pool)
    model = _fit(question, estimator)
    problem = pose(
        model, question.state, question.reference,
        constraints=asked.constraints, tokens=_tokens(question), confidence=asked.confidence,
        no_harm=asked.no_harm, seed=asked.seed,
    )  # fmt: skip
    rows = policy_table(problem)
    typer.echo(
        f"Predicted change of the objective from {question.reference_is}; lower is better; 95% interval"
    )
    for row in rows:
        label = POLICIES[row.policy].label
        if not row.answered:
            typer.echo(f"  {label:<30} no answer: {POLICIES[row.policy].no_answer}")
            continue
        goal = row.change[row.change["outcome"] == OBJECTIVE].to_dict("records")[0]
        broken = f"  breaks: {listed([v.words for v in row.violations])}" if row.violations else ""
        stays = "  (stay)" if row.stay else ""
        typer.echo(
            f"  {label:<30} {signed(goal['change'])} [{signed(goal['lower'])}, {signed(goal['upper'])}]"
            f"  moves {row.distance:6.1%}{stays}{broken}"
        )
    if output is not None:
        write_atomic(output, _policy_frame(rows).to_csv(index=False))
        typer.echo(f"Wrote {output}")
    shared = [n for n in rows[0].notes if all(n in r.notes for r in rows)]
    own = [f"{POLICIES[r.policy].label}: {n}" for r in rows if r.answered for n in r.notes if n not in shared]
    print_notes(*question.runs.notes, *model.notes, *shared, *own)


def shift(
    to: Annotated[str, typer.Option("--to", help="Id of the other snapshot, or current.")],
    workspace: WorkspaceOption = HERE,
    graph: CausalGraphOption = None,
    estimator: EstimatorOption = "gaussian_process",
    pool: PoolOption = None,
    policy: PolicyOption = None,
    constraints: FileOption = None,
    bound: BoundOption = None,
    lock: LockOption = None,
    group: GroupOption = None,
    max_epochs: EpochsOption = None,
    token_budget: BudgetOption = None,
    radius: RadiusOption = None,
    smallest_change: ChangeOption = None,
    most_domains: MostOption = None,
    no_harm: HarmOption = None,
    sure: SureOption = None,
    seed: SeedOption = None,
    outcome: Annotated[str, typer.Option(help="Whose effects are explained.")] = OBJECTIVE,
    name: Annotated[str | None, typer.Option(help="Save the new pool's mixture under this name.")] = None,
) -> None:
    """Suggest a mixture for another snapshot without a new probe, and say what changed and why."""
    if name is not None:
        _check_name(name)
    opened = Workspace.open(workspace)
    options = ConstraintOptions(
        constraints, bound, lock, group, max_epochs, token_budget, radius, smallest_change, most_domains
    )
    asked = _asked(opened, options, policy, no_harm, sure, None, seed)
    question = gather(opened, graph, pool=pool)
    there = moved_question(opened, question, to)
    model = _fit(question, estimator)
    if outcome not in model.outcomes:
        raise CausalMixError(f"There is no outcome {outcome}; there are: {', '.join(model.outcomes)}.")
    found = pool_shift(model, question.state, there.state, question.reference)
    typer.echo(
        f"From {question.pool} to snapshot {there.pool}, by effects learned from {len(question.runs)} runs"
    )
    typer.echo("\nPool state (in the runs: lowest to highest)")
    for row in found.states.to_dict("records"):
        mark = "" if row["covered"] else "  OUTSIDE"
        typer.echo(
            f"  {row['state']:<28} {row['before']:10.4g} -> {row['after']:<10.4g}"
            f" ({row['deviations']:+.2f} deviations; {row['lowest']:.4g} to {row['highest']:.4g}){mark}"
        )
    typer.echo(f"\nEffects of +1 point on {outcome}, at {question.reference_is}")
    for line in shift_sentences(found, outcome):
        typer.echo(f"  {line}")
    answer = _suggestion(there, model, asked)
    typer.echo(f"\nMixture for snapshot {there.pool}, by {asked.policy}")
    print_weights(answer.mixture, there.reference)
    for row in answer.change.to_dict("records"):
        span = f"[{signed(row['lower'])}, {signed(row['upper'])}]"
        typer.echo(f"  {row['outcome']:<20} {signed(row['change'])} {span} predicted")
    print_notes(
        *filter(None, (found.warning,)), *model.notes, *(n for n in answer.notes if n != found.warning)
    )
    if name is not None:
        record = _save(opened, there, model, answer.mixture, asked, name)
        typer.echo(f"Saved mixture {name}, revision {record.revision}. Next: causalmix export {name}")


def _asked(
    workspace: Workspace,
    options: ConstraintOptions,
    policy: PolicyName | None,
    no_harm: list[str] | None,
    sure: bool | None,
    step: float | None,
    seed: int | None,
) -> Asked:
    if step is not None and not 0 < step <= 1:
        raise CausalMixError(f"The step is {step:g}; it is the part of the way to go, above 0 and up to 1.")
    return Asked(
        policy=policy or "trust_region",
        constraints=options.constraints(workspace.config().token_budget),
        confidence=sure is not False,
        no_harm=margins(no_harm or ()),
        step=1.0 if step is None else step,
        seed=seed or 0,
    )


def _fit(question: Question, estimator: EstimatorName) -> EffectModel:
    return fit_effects(
        question.runs,
        question.graph,
        estimator=estimator,
        objective=question.objective,
        progress=show_progress,
    )


def _suggestion(question: Question, model: EffectModel, asked: Asked) -> Suggestion:
    assert asked.policy != "manual"
    return suggest_mixture(
        model,
        question.state,
        question.reference,
        policy=asked.policy,
        constraints=asked.constraints,
        tokens=_tokens(question),
        confidence=asked.confidence,
        no_harm=asked.no_harm,
        step=asked.step,
        seed=asked.seed,
    )


def _tokens(question: Question) -> dict[str, int] | None:
    return question.snapshot.tokens() if question.snapshot else None


def _save(
    workspace: Workspace,
    question: Question,
    model: EffectModel,
    mixture: Mixture,
    asked: Asked,
    name: str,
) -> SavedMixture:
    record = mixture_record(question, model, mixture, name=name, by=user(), asked=asked)
    parent = load_mixture(workspace, name).revision if name in mixture_names(workspace) else None
    return save_mixture(workspace, record, parent)


def _policy_frame(rows: list[Suggestion]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "policy": row.policy,
                "distance": row.distance,
                "keeps_constraints": not row.violations,
                **{f"weight/{d}": w for d, w in row.mixture.items()},
                **{
                    f"{r['outcome']} {part}": r[part]
                    for r in row.change.to_dict("records")
                    for part in ("change", "lower", "upper")
                },
            }
            for row in rows
            if row.answered
        ]
    )


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error
