"""The verb that explains effects: sentences, rules on the pool state and pairs of domains."""

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
from causalmix_core.effects import ESTIMATORS, OBJECTIVE, fit_effects
from causalmix_core.effects.explanation import (
    Estimate,
    InterpreterTree,
    Node,
    changing_states,
    effect_sentences,
    interaction_sentence,
    interactions,
    interpreter_tree,
    state_name,
    why_none,
)
from causalmix_core.effects.explanation.asking import check_asked
from causalmix_core.question import gather
from causalmix_core.workspace import Workspace, write_atomic

STRONGEST = 5
"""Pairs of domains that are printed."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("explain")(explain)


def explain(
    workspace: WorkspaceOption = HERE,
    outcome: Annotated[
        str, typer.Option(help="What the effects are on: an outcome of the runs, or objective.")
    ] = OBJECTIVE,
    domain: Annotated[str | None, typer.Option(help="Only this domain's effect; default: all.")] = None,
    depth: Annotated[int, typer.Option(min=1, max=3, help="Rules on the pool state one after another.")] = 2,
    graph: GraphOption = None,
    estimator: EstimatorOption = "gaussian_process",
    pool: PoolOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Also write every effect with its sentence to this .csv.")
    ] = None,
) -> None:
    """Say in words what each domain does to an outcome, what that depends on, and which pairs interact."""
    question = gather(Workspace.open(workspace), graph, pool=pool)
    model = fit_effects(
        question.runs,
        question.graph,
        estimator=estimator,
        objective=question.objective,
        progress=show_progress,
    )
    check_asked(model, domain, outcome)
    said = effect_sentences(model, question.state, question.reference)
    if output is not None:
        write_atomic(output, said.to_csv(index=False))
    domains = model.domains if domain is None else [domain]
    typer.echo(f"Effects at {question.reference_is}, by {ESTIMATORS[estimator].label}\n")
    for sentence in said[(said["outcome"] == outcome) & said["domain"].isin(domains)]["sentence"]:
        typer.echo(f"- {sentence}")
    typer.echo("\nDoes it depend on the pool state?\n")
    if changing_states(model, outcome):
        for name in domains:
            _print_tree(interpreter_tree(model, name, outcome, question.reference, depth=depth))
    else:
        typer.echo(f"- {why_none(model, outcome)}")
    typer.echo("\nDo domains act together?\n")
    pairs = interactions(model, outcome, question.state, question.reference)
    if domain is not None:
        pairs = pairs[(pairs["first"] == domain) | (pairs["second"] == domain)]
    for pair in pairs.head(STRONGEST).to_dict("records"):
        both = Estimate(pair["interaction"], pair["lower"], pair["upper"])
        words = interaction_sentence(
            pair["first"], pair["second"], outcome, both, pair["step"], inside=pair["inside"]
        )
        typer.echo(f"- {words}")
    if warning := model.extrapolation(question.state):
        typer.echo(f"\nNote: {warning}")


def _print_tree(tree: InterpreterTree) -> None:
    typer.echo(f"- {tree.domain}: {tree.words}")
    if tree.root is not None and any(n.split and n.split.difference.clear for n in tree.nodes()):
        _print_node(tree.root, "  ")


def _print_node(node: Node, indent: str) -> None:
    if node.split is None:
        band = f"95% {node.lower:+.5f} to {node.upper:+.5f}"
        typer.echo(f"{indent}{node.effect:+.5f} ({band}; {node.states} pool states)")
        return
    rule = f"{state_name(node.split.state)} {{}} {node.split.threshold:.4g}"
    for sign, side in (("<=", node.split.below), (">", node.split.above)):
        typer.echo(f"{indent}{rule.format(sign)}:")
        _print_node(side, indent + "  ")
