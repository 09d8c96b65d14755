"""Would another analyst have suggested the same? The suggestion under other estimators, graphs and step
sizes.

Everything that a curator has decided and might have decided otherwise is changed one at a time: the
estimator, each edge that somebody drew or that the last revision of the graph changed, how far to go, and how
much weight may move. Each variant answers two questions: what would it suggest instead, and what does it
predict of *our* suggestion. A suggestion that all of them predict to be better stands on firm ground even
where their own suggestions differ, because surfaces are flat near their best point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import pandas as pd

from causalmix_core.effects import ESTIMATORS, OBJECTIVE, EffectModel, EstimatorName, minimum_runs, plan_fit
from causalmix_core.effects.calibration import calibrate
from causalmix_core.effects.fitting import fit_response
from causalmix_core.effects.group_fit import GroupFit
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import CausalGraph, Edge, load_graph
from causalmix_core.mixture.policies import Suggestion, suggest
from causalmix_core.mixture.simplex import total_variation
from causalmix_core.mixture.store import Asked
from causalmix_core.workspace import Workspace

if TYPE_CHECKING:
    from causalmix_core.question import Question

Varied = Literal["estimator", "graph", "step", "reach"]
OTHERS: tuple[EstimatorName, ...] = ("gaussian_process", "gp_law", "mixing_law", "linear_dml", "lightgbm")
"""Estimators of different kinds; all of them are quick on some hundred runs."""
STEPS = (0.25, 0.5, 0.75, 1.0)
REACHES = (0.5, 2.0)
"""Times the weight that may move."""
MOST_EDGES = 8
"""Edges that are left out one at a time; each costs a fit."""
ALIKE = 0.05
"""Weight that two suggestions may differ by and still be called alike."""
NUMBERS = ("change", "lower", "upper", "ours", "ours_lower", "ours_upper")

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class GraphVariant:
    """A graph that differs in something that a person decided.

    Attributes:
        words: what differs.
        graph: the graph.
    """

    words: str
    graph: CausalGraph


@dataclass(frozen=True)
class Robustness:
    """How a suggestion holds when what it rests on changes.

    Attributes:
        table: one row per variant. Columns varied, variant (words), distance (weight between its suggestion
            and ours), change, lower, upper (of the objective, from the reference to its own suggestion, by
            its own model), ours, ours_lower, ours_upper (what it predicts of our suggestion), stays (whether
            it advises to stay), problem (why there are no numbers; else empty).
        notes: what was not varied and why, in plain words.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """In one or two sentences, what the table says."""
        rows = self.table[(self.table["problem"] == "") & self.table["varied"].isin(["estimator", "graph"])]
        if rows.empty:
            return "Nothing could be varied that would say how firm the suggestion is."
        better, sure = int((rows["ours"] < 0).sum()), int((rows["ours_upper"] < 0).sum())
        near = int((rows["distance"] <= ALIKE).sum())
        return (
            f"Of {len(rows)} other ways to estimate, {better} predict that this mixture is better than the "
            "reference, "
            f"{sure} of them with 95% confidence. {near} would suggest a mixture within {100 * ALIKE:.0f} "
            "points of it."
        )


def robustness(
    question: Question,
    model: EffectModel,
    mixture: Mapping[str, float],
    asked: Asked,
    *,
    tokens: Mapping[str, int] | None = None,
    estimators: Sequence[EstimatorName] = OTHERS,
    graphs: Sequence[GraphVariant] = (),
    progress: Progress | None = None,
) -> Robustness:
    """Change what a suggestion rests on, one thing at a time.

    Args:
        question: what the suggestion answers.
        model: the effects that it rests on.
        mixture: the suggestion.
        asked: what the policy was asked. Of weights that a curator has set, only what others predict of them
            is of interest; the trust region then stands for the policy.
        tokens: tokens of the pool by domain, for limits of repetition.
        estimators: which others to try; the one at hand is passed over.
        graphs: other graphs, as `graph_variants` gives them; each costs a fit.
        progress: called with the fraction done and what is being done.

    Raises:
        CausalMixError: the constraints clash or the question does not fit the model.
    """
    say = progress or (lambda fraction, text: None)
    others = [e for e in estimators if e != model.estimator]
    total = len(others) + len(graphs) + len(STEPS) + len(REACHES)
    rows: list[dict[str, object]] = []

    def row(varied: Varied, words: str, fit: Callable[[], EffectModel], changed: Asked) -> None:
        say(len(rows) / total, f"Trying {words}")
        rows.append(_row(question, fit, mixture, changed, tokens) | {"varied": varied, "variant": words})

    for estimator in others:
        row("estimator", ESTIMATORS[estimator].label, _fit(question, question.graph, estimator, asked), asked)
    for variant in graphs:
        row("graph", variant.words, _fit(question, variant.graph, model.estimator, asked), asked)
    for step in STEPS:
        words = f"{step:.0%} of the way"
        row("step", words, lambda: model, asked.model_copy(update={"step": step}))
    radius = asked.constraints.radius
    for times in REACHES if radius is not None else ():
        reach = min(1.0, (radius or 1.0) * times)
        wider = asked.constraints.model_copy(update={"radius": reach})
        row(
            "reach", f"at most {reach:.0%} of the weight moves", lambda: model,
            asked.model_copy(update={"constraints": wider}),
        )  # fmt: skip
    say(1.0, "Variants are compared")
    notes = (
        [] if graphs else ["The graph was not varied: nobody has drawn or changed an edge that matters here."]
    )
    columns = ["varied", "variant", "distance", *NUMBERS, "stays", "problem"]
    return Robustness(pd.DataFrame(rows, columns=columns), tuple(notes))


def graph_variants(workspace: Workspace, question: Question, most: int = MOST_EDGES) -> list[GraphVariant]:
    """Graphs that differ from the question's in something that a person decided.

    The previous revision, and the graph without each directed edge into a weight or an outcome that somebody
    drew, turned or required, or that the last revision brought in; in this order, at most `most`.

    Raises:
        CausalMixError: a revision on disk is damaged.
    """
    graph, reference = question.graph, question.graph_reference
    found, new = [], set()
    if reference.revision is not None and reference.revision > 1:
        before = load_graph(workspace, reference.name, reference.revision - 1).graph
        new = {e.arrow for e in graph.edges} - {e.arrow for e in before.edges}
        if {e.arrow for e in before.edges} != {e.arrow for e in graph.edges} and _same_nodes(before, graph):
            found.append(GraphVariant(f"revision {reference.revision - 1} of the graph", before))
    for edge in graph.edges:
        decided = edge.provenance.kind in ("added", "reversed", "oriented") or edge.status == "required"
        if edge.mark == "directed" and (decided or edge.arrow in new):
            found.append(GraphVariant(f"without {edge.text}", _without(graph, edge)))
    return found[:most]


def _without(graph: CausalGraph, edge: Edge) -> CausalGraph:
    return graph.model_copy(update={"edges": tuple(e for e in graph.edges if e != edge)})


def _same_nodes(a: CausalGraph, b: CausalGraph) -> bool:
    return set(a.observed()) == set(b.observed())


def _fit(
    question: Question, graph: CausalGraph, estimator: EstimatorName, asked: Asked
) -> Callable[[], EffectModel]:
    """Fits what a suggestion looks at, and nothing else: tables have dozens of outcomes."""
    looked_at = {OBJECTIVE, *asked.no_harm}

    def fit() -> EffectModel:
        needed = minimum_runs(len(question.runs.domains))
        if len(question.runs) < needed and not ESTIMATORS[estimator].few_runs:
            raise CausalMixError(f"it needs at least {needed} runs")
        plan = plan_fit(question.runs, graph, question.objective)
        groups = []
        for group in plan.groups:
            which = [i for i, outcome in enumerate(group.outcomes) if outcome in looked_at]
            if not which:
                continue
            sample = replace(group.sample, outcomes=group.sample.outcomes[:, which])
            response = fit_response(sample, estimator, seed=0)
            groups.append(
                GroupFit(
                    outcomes=[group.outcomes[i] for i in which],
                    treatments=group.treatments,
                    states=group.states,
                    sample=sample,
                    response=response,
                    calibration=calibrate(sample, ESTIMATORS[estimator], response, seed=0),
                    step=ESTIMATORS[estimator].step,
                )
            )
        return EffectModel(
            estimator=estimator,
            objective=plan.shares,
            identifications=plan.identifications,
            runs=question.runs,
            scale=plan.scale,
            groups=groups,
            notes=plan.notes,
        )

    return fit


def _row(
    question: Question,
    fit: Callable[[], EffectModel],
    mixture: Mapping[str, float],
    asked: Asked,
    tokens: Mapping[str, int] | None,
) -> dict[str, object]:
    nan = float("nan")
    empty = dict.fromkeys(("distance", *NUMBERS), nan) | {"stays": False}
    try:
        model = fit()
        found = _ask(model, question, asked, tokens)
    except (
        CausalMixError
    ) as error:  # too few runs for this estimator, or constraints that this reach cannot keep
        return empty | {"problem": str(error)}
    ours = _goal(model.change(question.state, question.reference, mixture))
    change, lower, upper = _goal(found.change)
    return {
        "distance": total_variation(mixture, found.mixture),
        "change": change,
        "lower": lower,
        "upper": upper,
        "ours": ours[0],
        "ours_lower": ours[1],
        "ours_upper": ours[2],
        "stays": found.stay,
        "problem": "",
    }


def _ask(
    model: EffectModel, question: Question, asked: Asked, tokens: Mapping[str, int] | None
) -> Suggestion:
    return suggest(
        model,
        question.state,
        question.reference,
        policy="trust_region" if asked.policy == "manual" else asked.policy,
        constraints=asked.constraints,
        tokens=tokens,
        confidence=asked.confidence,
        no_harm=asked.no_harm,
        step=asked.step,
        seed=asked.seed,
    )


def _goal(change: pd.DataFrame) -> tuple[float, float, float]:
    row = change[change["outcome"] == OBJECTIVE].iloc[0]
    return float(row["change"]), float(row["lower"]), float(row["upper"])
