"""The verbs of mixtures: suggest one, compare policies, move to another pool, compare saved ones, report."""

from __future__ import annotations

from collections.abc import Mapping
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
from causalmix_core.mixture.comparison import compare_mixtures
from causalmix_core.mixture.constraints import listed
from causalmix_core.mixture.replay import grounds_of, refit, replay
from causalmix_core.mixture.report import report_html
from causalmix_core.mixture.robustness import graph_variants, robustness
from causalmix_core.mixture.shift import moved_question, pool_shift, shift_sentences
from causalmix_core.mixture.store import (
    Asked,
    PredictedChange,
    SavedMixture,
    find_mixture,
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
    app.command("compare-mixtures")(compare)
    app.command("report")(report)


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
        _replay(Workspace.open(workspace), saved)
        return
    chosen = "suggested" if name is None else name
    _check_name(chosen)
    opened = Workspace.open(workspace)
    asked = _asked(opened, options, policy, no_harm, sure, step, seed)
    question = gather(opened, graph, pool=pool)
    model = _fit(question, estimator or "gaussian_process")
    found = _suggestion(question, model, asked)
    record = _save(opened, question, model, found.mixture, asked, chosen)
    _print_weights(record.weights, record.reference)
    _print_changes(record.predicted)
    _print_notes(*question.runs.notes, *model.notes, *found.notes, *(v.words for v in found.violations))
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
        goal = row.change.set_index("outcome").loc[OBJECTIVE]
        broken = f"  breaks: {listed([v.words for v in row.violations])}" if row.violations else ""
        stays = "  (stay)" if row.stay else ""
        typer.echo(
            f"  {label:<30} {goal['change']:+.4f} [{goal['lower']:+.4f}, {goal['upper']:+.4f}]"
            f"  moves {row.distance:6.1%}{stays}{broken}"
        )
    if output is not None:
        write_atomic(output, _policy_frame(rows).to_csv(index=False))
        typer.echo(f"Wrote {output}")
    _print_notes(*question.runs.notes, *model.notes, *dict.fromkeys(n for r in rows for n in r.notes))


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
    _print_weights(answer.mixture, there.reference)
    for row in answer.change.to_dict("records"):
        span = f"[{row['lower']:+.4f}, {row['upper']:+.4f}]"
        typer.echo(f"  {row['outcome']:<20} {row['change']:+.4f} {span} predicted")
    _print_notes(
        *filter(None, (found.warning,)), *model.notes, *(n for n in answer.notes if n != found.warning)
    )
    if name is not None:
        record = _save(opened, there, model, answer.mixture, asked, name)
        typer.echo(f"Saved mixture {name}, revision {record.revision}. Next: causalmix export {name}")


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
            span = f"[{row['lower']:+.4f}, {row['upper']:+.4f}]"
            typer.echo(f"  {row['outcome']:<20} {row['change']:+.4f} {span}")
    typer.echo(
        "\nWhat differs in where they come from" if len(found.provenance) else "\nBoth rest on the same."
    )
    for row in found.provenance.to_dict("records"):
        typer.echo(f"  {row['what']}: {row['first']}  |  {row['second']}")
    _print_notes(*found.notes, *why)


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
    write_atomic(target, report_html(saved, again.question, again.model, firm, notes=again.differences))
    typer.echo(f"Wrote {target}. Open it in a browser; print it there to get a PDF.")
    _print_notes(*again.notes, *again.differences)


def _replay(workspace: Workspace, named: str) -> None:
    saved = find_mixture(workspace, named)
    found = replay(workspace, saved, show_progress)
    typer.echo(
        f"Mixture {saved.name}, revision {saved.revision}, saved {saved.saved_at:%Y-%m-%d %H:%M} by {saved.by}"
    )
    _print_weights(found.mixture, saved.reference)
    _print_changes(found.predicted)
    _print_notes(*found.notes, *(found.suggestion.notes if found.suggestion else ()))
    if found.differences:
        raise CausalMixError(
            f"Asked again, {saved.name} does not give the numbers in its file: {listed(found.differences)}. The file "
            "was edited, or libraries compute otherwise now; nothing was overwritten."
        )
    typer.echo(
        f"The same numbers as in {named}: all weights and predictions agree to 1e-9. Nothing was written."
    )


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


def _model_of(workspace: Workspace, saved: SavedMixture) -> tuple[EffectModel | None, list[str]]:
    """The effects of a saved mixture, fitted again, or words why not."""
    try:
        return refit(grounds_of(workspace, saved), saved, show_progress), []
    except CausalMixError as error:
        return None, [f"How far the two are apart is not known. {error}"]


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


def _print_weights(weights: Mapping[str, float], reference: Mapping[str, float]) -> None:
    for domain in sorted(weights):
        typer.echo(f"  {domain:<20} {weights[domain]:8.2%}   (reference {reference[domain]:.2%})")


def _print_changes(changes: Mapping[str, PredictedChange]) -> None:
    for outcome, change in changes.items():
        typer.echo(
            f"  {outcome:<20} {change.change:+.4f} [{change.lower:+.4f}, {change.upper:+.4f}] predicted"
        )


def _print_notes(*notes: str) -> None:
    for note in notes:
        typer.echo(f"Note: {note}")


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error
