"""The design of a swarm: which mixtures and which pool states its probes are trained on.

Mixtures are drawn from Dirichlet distributions around the reference, some close to it and some far out
(after RegMix, arXiv 2407.01492, which varies the strength of the Dirichlet prior on a tempered token
distribution). Pool states are drawn independently of the mixtures, so that neither explains the other:
the runs are `randomised`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import Mixture, check_mixture, proportional
from causalmix_core.proxy.spec import PRESETS, ProxySpec
from causalmix_core.workspace import DEFAULT_STATE_FEATURES


class SwarmSpec(BaseModel):
    """A swarm before it runs: everything that decides its probes and their training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probes: int = Field(default=48, ge=1, le=4096)
    proxy: ProxySpec = PRESETS["nano"]
    seed: int = Field(default=0, ge=0)
    """Of the design, the shared initial weights and the shared order of documents."""
    reference: dict[str, float] = {}
    """The mixture around which the swarm is drawn; empty: proportional to the tokens."""
    temperature: float = Field(default=0.5, gt=0, le=1)
    """Below 1, evens out large and small domains before the Dirichlet draw."""
    strength: tuple[float, float] = (0.5, 4.0)
    """Range of the Dirichlet concentration per domain; low values give lopsided mixtures."""
    minimum_weight: float = Field(default=0.01, ge=0, lt=1)
    tilt: float = Field(default=1.0, ge=0, le=3)
    """Spread of the random tilts that vary the pool state; 0 keeps the state fixed."""
    heldout_windows: int = Field(default=64, ge=8, le=4096)
    """Held-out sequences per domain that every probe is measured on."""
    state_features: tuple[str, ...] = DEFAULT_STATE_FEATURES
    """The features that make up the pool state and that tilts act on."""

    @model_validator(mode="after")
    def _range(self) -> SwarmSpec:
        if not 0 < self.strength[0] <= self.strength[1]:
            raise ValueError("strength is a range of two positive numbers, the lower one first")
        return self


class Probe(BaseModel):
    """One planned training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    mixture: dict[str, float]
    tilt: dict[str, float]


def design_swarm(swarm: SwarmSpec, tokens: Mapping[str, float]) -> list[Probe]:
    """Draw the probes of a swarm.

    The draw of a probe depends on the seed and its number alone, so a larger swarm with the same seed
    begins with the same probes.

    Args:
        swarm: what to draw.
        tokens: tokens by domain (`Snapshot.tokens`).

    Returns:
        `swarm.probes` probes; every weight is at least `minimum_weight`.

    Raises:
        CausalMixError: fewer than two domains, a minimum weight that leaves nothing to draw, or a
            reference that does not fit the domains.
    """
    domains = sorted(tokens)
    count = len(domains)
    if count < 2:
        raise CausalMixError(
            f"A mixture needs at least two domains; this snapshot has {count}. Add a domain."
        )
    if swarm.minimum_weight * count >= 1:
        raise CausalMixError(
            f"A minimum weight of {swarm.minimum_weight:g} for {count} domains leaves nothing to vary. "
            f"Choose less than {1 / count:.3f}."
        )
    base = np.array(list(reference_of(swarm, tokens).values())) ** swarm.temperature
    base = np.maximum(base / base.sum(), 1e-3)
    low, high = swarm.strength
    probes = []
    for number in range(swarm.probes):
        rng = np.random.default_rng([swarm.seed, number])
        strength = np.exp(rng.uniform(np.log(low), np.log(high)))
        drawn = rng.dirichlet(base / base.sum() * strength * count)
        weights = swarm.minimum_weight + (1 - count * swarm.minimum_weight) * drawn
        tilts = swarm.tilt * rng.uniform(-1.5, 1.5, size=len(swarm.state_features))
        probes.append(
            Probe(
                number=number,
                mixture=dict(zip(domains, (weights / weights.sum()).tolist(), strict=True)),
                tilt=dict(zip(swarm.state_features, tilts.tolist(), strict=True)),
            )
        )
    return probes


def reference_of(swarm: SwarmSpec, tokens: Mapping[str, float]) -> Mixture:
    """The swarm's reference mixture over the sorted domains of `tokens`."""
    domains = sorted(tokens)
    if swarm.reference:
        return check_mixture(swarm.reference, domains)
    return proportional({d: tokens[d] for d in domains})
