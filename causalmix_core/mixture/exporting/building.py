"""From a saved mixture and its workspace to what is exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from causalmix_core.corpus import Snapshot, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend, DomainPool
from causalmix_core.mixture.exporting.plain import YAML
from causalmix_core.mixture.simplex import check_mixture
from causalmix_core.mixture.store import SavedMixture, load_mixture
from causalmix_core.probes.runs import IMPORT
from causalmix_core.workspace import BYTES, Workspace, WorkspaceConfig

Paths = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Count:
    """Tokens and documents of a domain, as somebody counted them with the trainer's tokenizer."""

    tokens: int
    documents: int


def blend_of(
    workspace: Workspace,
    name: str,
    *,
    token_budget: int | None = None,
    paths: Paths | None = None,
    split_paths: Mapping[str, Paths] | None = None,
    counts: Mapping[str, Count] | None = None,
    seed: int = 0,
) -> Blend:
    """Make a saved mixture ready to be written.

    Args:
        workspace: where the mixture and its snapshot lie.
        name: of the saved mixture.
        token_budget: tokens of the training run; None: the workspace's.
        paths: where the trainer finds a domain; goes before `export_paths` of the workspace.
        split_paths: the same for other splits, such as valid and test.
        counts: tokens and documents of a domain where they are not those of the snapshot.
        seed: for trainers that draw.

    Raises:
        CausalMixError: no such mixture or snapshot, the mixture is of other domains than its snapshot, a
            budget that is not positive, or a path or count for a domain that the mixture does not have.
    """
    config = workspace.config()
    mixture = load_mixture(workspace, name)
    budget = config.token_budget if token_budget is None else token_budget
    if budget <= 0:
        raise CausalMixError(f"The token budget is {budget}; give a positive number of tokens.")
    imported = mixture.snapshot.startswith(IMPORT)
    snapshot = None if imported else open_snapshot(workspace, mixture.snapshot)
    weights = check_mixture(mixture.weights, snapshot.domains if snapshot else sorted(mixture.weights))
    named = [*(paths or {}), *(counts or {}), *(d for s in (split_paths or {}).values() for d in s)]
    if unknown := sorted(set(named) - set(weights)):
        raise CausalMixError(
            f"Mixture {name} has no domain {', '.join(unknown)}. Its domains are "
            f"{', '.join(sorted(weights))}."
        )
    mapped = config_paths(config) | dict(paths or {})
    return Blend(
        name=name,
        weights=weights,
        pool={
            d: _pool(d, workspace, config, snapshot, mapped.get(d, ()), (counts or {}).get(d))
            for d in sorted(weights)
        },
        token_budget=budget,
        seed=seed,
        splits=split_paths or {},
        tokenizer=_tokenizer(snapshot, weights, counts or {}),
        origin=_origin(mixture),
    )


def export_saved(workspace: Workspace, name: str, token_budget: int | None = None) -> str:
    """The plain YAML of a saved mixture.

    Raises:
        CausalMixError: as `blend_of`.
    """
    return YAML.write(blend_of(workspace, name, token_budget=token_budget))[0].text


def config_paths(config: WorkspaceConfig) -> dict[str, tuple[str, ...]]:
    """`export_paths` of a workspace, each as a tuple."""
    return {d: (p,) if isinstance(p, str) else tuple(p) for d, p in config.export_paths.items()}


def _pool(
    domain: str,
    workspace: Workspace,
    config: WorkspaceConfig,
    snapshot: Snapshot | None,
    mapped: tuple[str, ...],
    count: Count | None,
) -> DomainPool:
    source = config.domains.get(domain)
    manifest = snapshot.manifest.domains[domain] if snapshot else None
    return DomainPool(
        tokens=count.tokens if count else manifest.tokens if manifest else None,
        documents=count.documents if count else manifest.documents if manifest else None,
        mapped=mapped,
        text_field=source.text_field if source else "text",
        stored=str(snapshot.documents_file(domain)) if snapshot else None,
        source=str(workspace.resolve(source.path)) if source else "",
    )


def _tokenizer(snapshot: Snapshot | None, domains: Iterable[str], counts: Mapping[str, Count]) -> str:
    """What counted, in words."""
    if set(domains) <= set(counts) or snapshot is None:
        return "you said" if counts else ""
    own = snapshot.manifest.tokenizer
    words = "bytes" if own == BYTES else f"by {own}"
    return f"{words}, of {', '.join(sorted(counts))} as you said" if counts else words


def _origin(mixture: SavedMixture) -> dict[str, object]:
    """The provenance: everything that the weights rest on, rounded for people."""
    return {
        "saved_at": mixture.saved_at.isoformat(timespec="seconds"),
        "saved_by": mixture.by,
        "revision": mixture.revision,
        "software": mixture.software,
        "snapshot": mixture.snapshot,
        "runs_of": mixture.runs_of,
        "policy": mixture.policy,
        "trust_radius": mixture.radius,
        "reference": _rounded(mixture.reference),
        "objective": _rounded(mixture.objective),
        "pool_state": _rounded(mixture.state),
        "graph": mixture.graph.model_dump(),
        "estimator": mixture.estimator,
        "probes": mixture.probes,
        "jobs": list(mixture.jobs),
        "predicted_change": {o: _rounded(p.model_dump()) for o, p in mixture.predicted.items()},
        "interval": 0.95,
    }


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {k: round(float(v), 6) for k, v in values.items()}
