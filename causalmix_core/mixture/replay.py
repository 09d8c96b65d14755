"""Asks a saved mixture again: the same runs, graph, estimator and policy must give the same numbers.

A replay that quietly used other runs would prove nothing. So exactly the recorded runs are read, whatever has
been trained, excluded or imported since; each is compared with the digest of what was read of it, and the
graph with its own. What is no longer there or no longer the same is named and the replay refused. What comes
out is compared with what was recorded, number by number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from causalmix_core import __version__
from causalmix_core.corpus import Snapshot, open_snapshot
from causalmix_core.corpus.snapshot import current_id
from causalmix_core.effects import ESTIMATORS, EffectModel, fit_effects
from causalmix_core.errors import CausalMixError
from causalmix_core.graph import CausalGraph, load_graph, saturated_graph
from causalmix_core.mixture.limits import listed
from causalmix_core.mixture.policies import Suggestion, suggest
from causalmix_core.mixture.record import expected_values, graph_digest, predicted_changes, run_digests
from causalmix_core.mixture.simplex import Mixture
from causalmix_core.mixture.store import PredictedChange, PredictedValue, SavedMixture, weights_for
from causalmix_core.probes.exclusions import read_exclusions
from causalmix_core.probes.runs import IMPORT, STATE, WEIGHT, RunTable, pool_words, read_rows
from causalmix_core.question import Question
from causalmix_core.workspace import Workspace

ROUNDING = 1e-9
"""Numbers that differ by no more, relative to their size where that is above 1, are the same."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Grounds:
    """What a saved mixture rests on, as it lies in the workspace now.

    Attributes:
        question: recorded runs, graph, objective, state and reference.
        tokens: tokens of the pool by domain, as recorded.
        notes: what has changed around it without changing its numbers, in plain words.
    """

    question: Question
    tokens: dict[str, int] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """A saved mixture and the same question asked again.

    Attributes:
        saved: what was recorded.
        question: what was asked.
        model: the effects, fitted again.
        suggestion: the policy's answer; None where a curator had set the weights.
        mixture: the weights that come out; those recorded where a curator had set them.
        predicted: outcome -> predicted change from the reference.
        expected: outcome -> what a new run would measure.
        differences: numbers that are not those recorded, in words; empty where all are the same.
        notes: what has changed around it without changing its numbers.
    """

    saved: SavedMixture
    question: Question
    model: EffectModel
    suggestion: Suggestion | None
    mixture: Mixture
    predicted: dict[str, PredictedChange]
    expected: dict[str, PredictedValue]
    differences: tuple[str, ...]
    notes: tuple[str, ...]


def replay(workspace: Workspace, saved: SavedMixture, progress: Progress | None = None) -> Replay:
    """Ask again what a saved mixture answers. Nothing is written.

    Args:
        workspace: where its runs, graph and snapshot lie.
        saved: the mixture.
        progress: called with the fraction done and what is being done.

    Raises:
        CausalMixError: runs, graph or snapshot are gone or are not what they were; each is named.
    """
    grounds = grounds_of(workspace, saved)
    question, asked = grounds.question, saved.asked
    model = refit(grounds, saved, progress)
    suggestion = None
    if asked.policy != "manual":
        suggestion = suggest(
            model,
            question.state,
            question.reference,
            policy=asked.policy,
            constraints=asked.constraints,
            tokens=grounds.tokens,
            confidence=asked.confidence,
            no_harm=asked.no_harm,
            step=asked.step,
            seed=asked.seed,
        )
    mixture = saved.weights if suggestion is None else suggestion.mixture
    predicted = predicted_changes(model, question, mixture)
    expected = expected_values(model, question, mixture)
    return Replay(
        saved=saved,
        question=question,
        model=model,
        suggestion=suggestion,
        mixture=mixture,
        predicted=predicted,
        expected=expected,
        differences=tuple(_differences(saved, mixture, predicted, expected)),
        notes=grounds.notes,
    )


def refit(grounds: Grounds, saved: SavedMixture, progress: Progress | None = None) -> EffectModel:
    """Fit the effects of a saved mixture again.

    Raises:
        CausalMixError: its estimator is none of this version.
    """
    question = grounds.question
    known = {str(name): name for name in ESTIMATORS}
    if saved.estimator not in known:
        raise CausalMixError(f"{_cannot(saved)}: there is no estimator {saved.estimator} in this version.")
    return fit_effects(
        question.runs,
        question.graph,
        estimator=known[saved.estimator],
        objective=question.objective,
        progress=progress,
    )


def grounds_of(workspace: Workspace, saved: SavedMixture) -> Grounds:
    """Find what a saved mixture rests on, and check that it is still the same.

    Raises:
        CausalMixError: as `replay`.
    """
    runs, notes = _recorded_runs(workspace, saved)
    graph = _recorded_graph(workspace, saved, runs)
    snapshot, more = _recorded_snapshot(workspace, saved)
    more += _pool_in_use(workspace, saved)
    if saved.software != (mine := f"causalmix {__version__}"):
        more.append(f"It was computed by {saved.software}; this is {mine}.")
    question = Question(
        pool=saved.snapshot,
        snapshot=snapshot,
        runs=runs,
        graph=graph,
        graph_reference=saved.graph,
        objective=saved.objective,
        state=saved.state,
        reference=saved.reference,
        reference_is=saved.reference_is,
    )
    return Grounds(question, saved.tokens, (*notes, *more))


def _recorded_runs(workspace: Workspace, saved: SavedMixture) -> tuple[RunTable, list[str]]:
    """The runs by name, whatever counts now, with the values that were read of them."""
    rows = read_rows(workspace.runs, list(saved.runs))
    rows = rows[rows["status"] == "finished"]
    if missing := sorted(set(saved.runs) - set(rows["run"])):
        raise CausalMixError(
            f"{_cannot(saved)}: {len(missing)} of its {len(saved.runs)} runs are not in the workspace any "
            "more: "
            f"{listed(missing, ', ')}. Bring them back, or suggest a mixture from the runs that are there."
        )
    outcomes = set(saved.predicted) & set(rows.columns)
    kinds = (WEIGHT, STATE)
    others = [c for c in rows.columns if not c.startswith(kinds)]
    keep = [*(WEIGHT + d for d in saved.domains), *saved.state, *others]
    if lost := sorted({*keep} - {*rows.columns}):
        raise CausalMixError(
            f"{_cannot(saved)}: its runs have no {', '.join(lost)} any more. Bring the run files back, or "
            "suggest anew."
        )
    table = RunTable.from_frame(rows[keep].dropna(axis="columns", how="all"))
    table = replace(
        table, outcomes=[o for o in table.outcomes if o in outcomes], notes=(), pool=saved.runs_of
    )
    changed = sorted(run for run, digest in run_digests(table).items() if saved.runs[run] != digest)
    if changed:
        raise CausalMixError(
            f"{_cannot(saved)}: {len(changed)} of its {len(saved.runs)} runs do not say what they said when "
            "it was "
            f"saved: {listed(changed, ', ')}. Restore the run files, or suggest a mixture from them as they "
            "are."
        )
    notes = []
    if excluded := sorted(set(saved.runs) & set(read_exclusions(workspace.runs))):
        notes.append(
            f"{len(excluded)} of its runs have been excluded since ({listed(excluded, ', ')}); the replay "
            "reads them, "
            "because the mixture rests on them. A new suggestion would not."
        )
    return table, notes


def _recorded_graph(workspace: Workspace, saved: SavedMixture, runs: RunTable) -> CausalGraph:
    reference = saved.graph
    if reference.revision is None:
        graph = saturated_graph(runs, by="causalmix")
    else:
        graph = load_graph(workspace, reference.name, reference.revision).graph
    if graph_digest(graph) != reference.digest:
        named = (
            "a graph that was never saved"
            if reference.revision is None
            else f"revision {reference.revision} of graph {reference.name}, which is not what it was"
        )
        raise CausalMixError(
            f"{_cannot(saved)}: it rests on {named}. Suggest a mixture under the graph of now."
        )
    return graph


def _recorded_snapshot(workspace: Workspace, saved: SavedMixture) -> tuple[Snapshot | None, list[str]]:
    """The snapshot, if it is there and agrees with what was recorded of it."""
    if saved.snapshot.startswith(IMPORT):
        return None, []
    try:
        snapshot = open_snapshot(workspace, saved.snapshot)
    except CausalMixError:
        return None, [
            f"{pool_words(saved.snapshot).capitalize()} is not in the workspace any more; its state, weights "
            "by size "
            "and tokens are taken from the record."
        ]
    weights_for(saved, snapshot.domains, pool_words(snapshot.id))
    state = snapshot.state([s.removeprefix(STATE) for s in saved.state]) if saved.state else {}
    moved = [s for s, value in saved.state.items() if not _same(value, state[s])]
    moved += [] if snapshot.tokens() == saved.tokens else ["tokens"]
    if moved:
        raise CausalMixError(
            f"{_cannot(saved)}: {pool_words(snapshot.id)} has another {', '.join(moved)} than was recorded. "
            "Either the file or the snapshot was edited; suggest a mixture anew."
        )
    return snapshot, []


def _pool_in_use(workspace: Workspace, saved: SavedMixture) -> list[str]:
    """Whether the pool has moved on from the one that the mixture is for."""
    current = current_id(workspace)
    if current is None or saved.snapshot.startswith(IMPORT) or current == saved.snapshot:
        return []
    try:
        weights_for(saved, open_snapshot(workspace, current).domains, f"the {pool_words(current)} in use")
    except CausalMixError as error:
        return [str(error)]
    return [
        f"The snapshot in use is {current}; this mixture is for {saved.snapshot}. "
        "`causalmix shift --to current` suggests one for the pool of now."
    ]


def _cannot(saved: SavedMixture) -> str:
    return f"Mixture {saved.name}, revision {saved.revision}, cannot be asked again"


def _differences(
    saved: SavedMixture,
    mixture: Mapping[str, float],
    predicted: Mapping[str, PredictedChange],
    expected: Mapping[str, PredictedValue],
) -> list[str]:
    pairs = [(f"weight of {d}", saved.weights[d], mixture[d]) for d in saved.domains]
    for recorded, now, what in (
        (saved.predicted, predicted, "predicted {} of {}"),
        (saved.expected, expected, "expected {} of {}"),
    ):
        if set(recorded) != set(now):
            return ["the outcomes are others than those recorded"]
        for outcome, value in recorded.items():
            again = now[outcome].model_dump()
            pairs += [(what.format(k, outcome), v, again[k]) for k, v in value.model_dump().items()]
    return [f"{what} was {old:.9g}, is {new:.9g}" for what, old, new in pairs if not _same(old, new)]


def _same(old: float, new: float) -> bool:
    return math.isclose(old, new, rel_tol=ROUNDING, abs_tol=ROUNDING)
