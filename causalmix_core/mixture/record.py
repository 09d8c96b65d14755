"""From a question, its fitted effects and chosen weights to a saved mixture, and from there to a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from causalmix_core.corpus import open_snapshot
from causalmix_core.mixture.export import export_yaml
from causalmix_core.mixture.policies.registry import PolicyName
from causalmix_core.mixture.simplex import check_mixture
from causalmix_core.mixture.store import PredictedChange, SavedMixture, load_mixture
from causalmix_core.probes.runs import IMPORT
from causalmix_core.workspace import Workspace

if TYPE_CHECKING:
    from causalmix_core.effects import EffectModel
    from causalmix_core.question import Question


def mixture_record(
    question: Question,
    model: EffectModel,
    weights: Mapping[str, float],
    *,
    name: str,
    by: str,
    policy: PolicyName | Literal["manual"],
    radius: float | None = None,
) -> SavedMixture:
    """Put weights on record with everything they rest on and what they are predicted to change.

    Raises:
        CausalMixError: the weights are not a mixture over the question's domains.
    """
    mixture = check_mixture(weights, question.runs.domains)
    change = model.change(question.state, question.reference, mixture)
    return SavedMixture(
        name=name,
        saved_at=datetime.now(UTC),
        by=by,
        snapshot=question.pool,
        weights=mixture,
        reference=question.reference,
        policy=policy,
        radius=radius,
        objective=question.objective,
        state=question.state,
        graph=question.graph_reference,
        estimator=model.estimator,
        probes=len(question.runs),
        jobs=sorted(set(question.runs.frame["job"])),
        predicted={
            str(row.outcome): PredictedChange(change=row.change, lower=row.lower, upper=row.upper)
            for row in change.itertuples()
        },
    )


def export_saved(workspace: Workspace, name: str, token_budget: int | None = None) -> str:
    """The YAML of a saved mixture, with token counts of the snapshot that it was made for.

    A mixture made from imported runs has no text in the workspace: the file then says of each domain only
    its weight and its training tokens.

    Raises:
        CausalMixError: no such mixture or snapshot, or a budget that is not positive.
    """
    mixture = load_mixture(workspace, name)
    config = workspace.config()
    imported = mixture.snapshot.startswith(IMPORT)
    pool_tokens = None if imported else open_snapshot(workspace, mixture.snapshot).tokens()
    sources = {d: str(workspace.resolve(s.path)) for d, s in config.domains.items()}
    return export_yaml(
        mixture, pool_tokens, sources, config.token_budget if token_budget is None else token_budget
    )
