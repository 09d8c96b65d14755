"""Exports a saved mixture as plain YAML: what to train on, how much of it, and where that came from."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from causalmix_core import __version__
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture, in_units
from causalmix_core.mixture.store import SavedMixture

WEIGHT_UNITS = 1_000_000
"""Exported weights are whole millionths, so that their written form sums to exactly 1."""

_HEADER = """\
# A CausalMix data mixture. `weight` is the part of the training tokens that comes from a domain (the
# weights sum to 1), `train_tokens` that part of `token_budget`, `pool_tokens` what the pool holds
# (by the workspace's tokenizer) and `epochs` how often it is then read.
"""


def export_yaml(
    mixture: SavedMixture,
    pool_tokens: Mapping[str, int] | None,
    sources: Mapping[str, str],
    token_budget: int,
) -> str:
    """Write a mixture as YAML text.

    Args:
        mixture: what to export.
        pool_tokens: tokens per domain of the snapshot that the mixture belongs to; None where the runs
            were imported and the workspace does not hold the pool: then neither they nor epochs are said.
        sources: where each domain's documents lie.
        token_budget: tokens of the training run; shared out in whole tokens.

    Raises:
        CausalMixError: the mixture's domains are not those of the snapshot, or the budget is not
            positive.
    """
    if token_budget <= 0:
        raise CausalMixError(f"The token budget is {token_budget}; give a positive number of tokens.")
    domains = sorted(mixture.weights if pool_tokens is None else pool_tokens)
    weights = in_units(check_mixture(mixture.weights, domains), WEIGHT_UNITS)
    train = in_units(weights, token_budget)

    def of_pool(domain: str) -> dict[str, object]:
        if pool_tokens is None:
            return {}
        tokens = pool_tokens[domain]
        return {
            "pool_tokens": tokens,
            "epochs": round(train[domain] / tokens, 4),
            "source": sources.get(domain, ""),
        }

    content = {
        "format": "causalmix/mixture",
        "version": 1,
        "name": mixture.name,
        "token_budget": token_budget,
        "domains": [
            {
                "name": d,
                "weight": weights[d] / WEIGHT_UNITS,
                "train_tokens": train[d],
                **of_pool(d),
            }
            for d in sorted(weights)
        ],
        "provenance": {
            "saved_at": mixture.saved_at.isoformat(timespec="seconds"),
            "saved_by": mixture.by,
            "revision": mixture.revision,
            "snapshot": mixture.snapshot,
            "policy": mixture.policy,
            "trust_radius": mixture.radius,
            "reference": _rounded(mixture.reference),
            "objective": _rounded(mixture.objective),
            "pool_state": _rounded(mixture.state),
            "graph": mixture.graph.model_dump(),
            "estimator": mixture.estimator,
            "probes": mixture.probes,
            "jobs": mixture.jobs,
            "predicted_change": {
                outcome: _rounded(p.model_dump()) for outcome, p in mixture.predicted.items()
            },
            "interval": 0.95,
            "software": f"causalmix {__version__}",
        },
    }
    return _HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {k: round(float(v), 6) for k, v in values.items()}
