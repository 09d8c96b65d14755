"""From a question, its fitted effects and chosen weights to a saved mixture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from causalmix_core import __version__
from causalmix_core.mixture.simplex import check_mixture
from causalmix_core.mixture.store import (
    Asked,
    PredictedChange,
    PredictedValue,
    SavedMixture,
)
from causalmix_core.probes.runs import RunTable

if TYPE_CHECKING:
    from causalmix_core.effects import EffectModel
    from causalmix_core.graph import CausalGraph
    from causalmix_core.question import Question

DIGITS = 16
"""Hexadecimal digits of a digest: enough that no two runs are taken for each other by chance."""


def mixture_record(
    question: Question,
    model: EffectModel,
    weights: Mapping[str, float],
    *,
    name: str,
    by: str,
    asked: Asked | None = None,
) -> SavedMixture:
    """Put weights on record with everything they rest on and what they are predicted to do.

    Args:
        question: what the effects were asked for.
        model: the answer: fitted effects.
        weights: the mixture.
        name: to save it under.
        by: who saves it.
        asked: what the policy was asked; None: a curator set the weights.

    Raises:
        CausalMixError: the weights are not a mixture over the question's domains.
    """
    mixture = check_mixture(weights, question.runs.domains)
    frame = question.runs.frame
    return SavedMixture(
        name=name,
        saved_at=datetime.now(UTC),
        by=by,
        software=f"causalmix {__version__}",
        snapshot=question.pool,
        runs_of=question.runs.pool or question.pool,
        weights=mixture,
        reference=question.reference,
        reference_is=question.reference_is,
        state=question.state,
        tokens=question.snapshot.tokens() if question.snapshot else None,
        asked=asked or Asked(),
        objective=question.objective,
        estimator=model.estimator,
        graph=question.graph_reference.model_copy(update={"digest": graph_digest(question.graph)}),
        runs=run_digests(question.runs),
        assignments=sorted(set(frame["assignment"].dropna().astype(str))) if "assignment" in frame else [],
        jobs=sorted(set(frame["job"].dropna().astype(str))) if "job" in frame else [],
        predicted=predicted_changes(model, question, mixture),
        expected=expected_values(model, question, mixture),
    )


def predicted_changes(
    model: EffectModel, question: Question, mixture: Mapping[str, float]
) -> dict[str, PredictedChange]:
    """Outcome -> predicted change from the question's reference."""
    change = model.change(question.state, question.reference, mixture)
    return {
        str(row.outcome): PredictedChange(change=row.change, lower=row.lower, upper=row.upper)
        for row in change.itertuples()
    }


def expected_values(
    model: EffectModel, question: Question, mixture: Mapping[str, float]
) -> dict[str, PredictedValue]:
    """Outcome -> what one new run would measure in the question's pool."""
    weights = np.array([list(check_mixture(mixture, model.domains).values())])
    state = np.array([[question.state[s] for s in model.runs.states]], dtype=float)
    return {
        str(row.outcome): PredictedValue(mean=row.mean, lower=row.lower, upper=row.upper)
        for row in model.predict(weights, state).itertuples()
    }


def run_digests(runs: RunTable) -> dict[str, str]:
    """Name of each run -> digest of its weights, pool state and outcomes, whatever the order of columns."""
    columns = sorted([*runs.weight_columns, *runs.states, *runs.outcomes])
    values = runs.frame[columns].to_numpy("<f8")
    head = json.dumps(columns).encode()
    names = runs.frame["run"].astype(str) if "run" in runs.frame else runs.frame.index.astype(str)
    return {
        str(name): hashlib.sha256(head + row.tobytes()).hexdigest()[:DIGITS]
        for name, row in zip(names, values, strict=True)
    }


def graph_digest(graph: CausalGraph) -> str:
    """Digest of what a graph says; who drew it and why does not matter."""
    said = {
        "nodes": sorted([n.id, n.tier] for n in graph.nodes),
        "edges": sorted(list(e.arrow) for e in graph.edges),
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:DIGITS]
