"""The design of a swarm: which mixtures and which pool states its probes are trained on.

Mixtures are drawn at random around the reference, spread evenly over the simplex, laid out on a grid, or
given by the user. Pool states are drawn independently of the mixtures, so that neither explains the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from causalmix_core.corpus.held_out import HELD_OUT_SHARE
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import Mixture, check_mixture, proportional
from causalmix_core.probes.mixture_list import MOST_ROWS, fit_mixtures
from causalmix_core.probes.runs import Assignment
from causalmix_core.probes.sampling import Bounds, DirichletSampler, grid_mixtures, grid_size, sobol_mixtures
from causalmix_core.proxy.pool import KEPT
from causalmix_core.proxy.spec import PRESETS, ProxySpec
from causalmix_core.workspace import DEFAULT_STATE_FEATURES

Design = Literal["dirichlet", "sobol", "grid", "list"]
READABLE = (1 - HELD_OUT_SHARE) * KEPT
"""Part of a domain's tokens that one probe can read: its sub-pool of what is not held out."""


class SwarmSpec(BaseModel):
    """A swarm before it runs: everything that decides its probes and their training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probes: int = Field(default=48, ge=1, le=MOST_ROWS)
    """For a list, as many as it has mixtures unless more are asked for."""
    proxy: ProxySpec = PRESETS["nano"]
    seed: int = Field(default=0, ge=0)
    """Of the design, the shared initial weights and the shared order of documents."""
    design: Design = "dirichlet"
    """`dirichlet`: at random around the reference; `sobol`: evenly over all mixtures; `grid`: on a centred
    lattice; `list`: the given `mixtures`. A grid or list that is shorter than `probes` is gone through again,
    each time on other pool states."""
    reference: dict[str, float] = {}
    """The mixture around which the swarm is drawn; empty: proportional to the tokens."""
    temperature: float = Field(default=0.5, gt=0, le=1)
    """Below 1, evens out large and small domains before the Dirichlet draw."""
    strength: tuple[float, float] = (0.5, 4.0)
    """Range of the Dirichlet concentration per domain, evenly on a log scale; low values give lopsided
    mixtures."""
    minimum_weight: float = Field(default=0.01, ge=0, lt=1)
    """Of every domain in every probe; a list is taken as it is."""
    max_epochs: float | None = Field(default=None, gt=0)
    """How often a probe may read a domain through at most; None: as often as its weight makes it."""
    oversampling: int = Field(default=100, ge=1, le=10_000)
    """How often a mixture is drawn at most until it keeps the bounds and repeats no earlier one."""
    near_duplicate: float = Field(default=1e-5, ge=0, le=2)
    """A Dirichlet draw nearer than this to an earlier one, in L1 distance, is drawn again."""
    grid_steps: int = Field(default=4, ge=1, le=MOST_ROWS)
    """Steps along each axis of a grid."""
    mixtures: tuple[dict[str, float], ...] = ()
    """The mixtures of a list."""
    assignment: Assignment | None = None
    """How the mixtures of a list were chosen; None: not known, so `observational`."""
    tilt: float = Field(default=1.0, ge=0, le=3)
    """Spread of the random tilts that vary the pool state; 0 keeps the state fixed."""
    heldout_windows: int = Field(default=64, ge=8, le=4096)
    """Held-out sequences per domain that every probe is measured on."""
    state_features: tuple[str, ...] = DEFAULT_STATE_FEATURES
    """The features that make up the pool state and that tilts act on."""
    tasks: tuple[str, ...] = ()
    """Benchmarks that every trained probe answers: names of tasks or groups of lm-evaluation-harness in
    `tasks_folder`."""
    tasks_folder: str | None = Field(default=None, min_length=1)
    """The folder with the YAML files of the tasks; their data lie beside them."""

    @model_validator(mode="before")
    @classmethod
    def _as_long_as_the_list(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("design") == "list" and "probes" not in data:
            return {**data, "probes": max(1, len(data.get("mixtures", ())))}
        return data

    @model_validator(mode="after")
    def _range(self) -> SwarmSpec:
        if not 0 < self.strength[0] <= self.strength[1] < math.inf:
            raise ValueError("strength is a range of two positive numbers, the lower one first")
        return self

    @model_validator(mode="after")
    def _tasks(self) -> SwarmSpec:
        if self.tasks and self.tasks_folder is None:
            raise ValueError("tasks are given, but no tasks_folder that holds their YAML files")
        if self.tasks_folder is not None and not self.tasks:
            raise ValueError("a tasks_folder is given, but no tasks: name the ones to answer")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("a task is named twice")
        return self

    @model_validator(mode="after")
    def _list(self) -> SwarmSpec:
        if self.design != "list":
            if self.mixtures:
                raise ValueError("mixtures are given, but the design is not 'list'")
            if self.assignment not in (None, "randomised"):
                raise ValueError(
                    f"a {self.design} design is randomised; only a list can be assigned otherwise"
                )
            return self
        if not self.mixtures:
            raise ValueError("a list design needs mixtures")
        if self.probes < len(self.mixtures):
            raise ValueError(
                f"the list has {len(self.mixtures)} mixtures, more than the {self.probes} probes"
            )
        return self

    @property
    def budget(self) -> int:
        """Training tokens that a probe really reads: whole sequences."""
        return self.proxy.sequences * self.proxy.sequence_length


class Probe(BaseModel):
    """One planned training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    mixture: dict[str, float]
    tilt: dict[str, float]


def design_swarm(swarm: SwarmSpec, tokens: Mapping[str, float]) -> list[Probe]:
    """Plan the probes of a swarm.

    A larger swarm with the same seed begins with the same probes.

    Args:
        swarm: what to draw.
        tokens: tokens by domain as the proxy counts them, held-out ones included (`proxy_tokens`).

    Returns:
        `swarm.probes` probes. Every weight is at least `minimum_weight`, but for a list, and no domain is
        read more often than `max_epochs`.

    Raises:
        CausalMixError: fewer than two domains, bounds that leave nothing to draw, a reference or a list
            that does not fit the domains, or a grid with more points than probes.
    """
    domains = sorted(tokens)
    count = len(domains)
    if count < 2:
        raise CausalMixError(
            f"A mixture needs at least two domains; this snapshot has {count}. Add a domain."
        )
    features = swarm.state_features
    probes = []
    for number, (weights, rng) in enumerate(_drawn(swarm, tokens)):
        tilts = swarm.tilt * rng.uniform(-1.5, 1.5, size=len(features))
        probes.append(
            Probe(
                number=number,
                mixture=dict(zip(domains, (weights / weights.sum()).tolist(), strict=True)),
                tilt=dict(zip(features, tilts.tolist(), strict=True)),
            )
        )
    return probes


def assignment_of(swarm: SwarmSpec) -> Assignment:
    """How the swarm's mixtures came about, for its rows of the run table.

    Mixtures that this module draws or lays out do not depend on anything that could move a loss, and the
    pool states are drawn independently of them: `randomised`. Somebody chose the mixtures of a list, and
    why is not known, unless the spec says so.
    """
    if swarm.design == "list":
        return swarm.assignment or "observational"
    return "randomised"


def reference_of(swarm: SwarmSpec, tokens: Mapping[str, float]) -> Mixture:
    """The swarm's reference mixture over the sorted domains of `tokens`."""
    domains = sorted(tokens)
    if swarm.reference:
        return check_mixture(swarm.reference, domains)
    return proportional({d: tokens[d] for d in domains})


def _drawn(swarm: SwarmSpec, tokens: Mapping[str, float]) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    """The weights of each probe, shape (K,), and the generator that draws its tilts next."""
    reference = reference_of(swarm, tokens)
    rngs = (np.random.default_rng([swarm.seed, number]) for number in range(swarm.probes))
    if swarm.design == "dirichlet":
        bounds = _bounds(swarm, tokens)
        centre = np.array(list(reference.values())) ** swarm.temperature
        centre = np.maximum(centre / centre.sum(), 1e-3)
        sampler = DirichletSampler(
            centre / centre.sum(),
            bounds,
            swarm.strength,
            most=swarm.probes,
            draws=swarm.oversampling,
            apart=swarm.near_duplicate,
        )
        for rng in rngs:
            yield sampler.next(swarm.seed, rng), rng
        return
    if swarm.design == "sobol":
        mixtures = sobol_mixtures(swarm.probes, swarm.seed, _bounds(swarm, tokens))
    elif swarm.design == "grid":
        mixtures = _grid(swarm, _bounds(swarm, tokens))
    else:
        mixtures = _listed(swarm, tokens)
    if swarm.tilt == 0 and swarm.probes > len(mixtures):
        raise CausalMixError(
            f"{swarm.probes} probes of {len(mixtures)} mixtures would repeat the same training, as the tilt "
            f"is 0. Ask for {len(mixtures)} probes, or let the tilt vary the pool state."
        )
    for number, rng in enumerate(rngs):
        yield mixtures[number % len(mixtures)], rng


def _caps(swarm: SwarmSpec, tokens: Mapping[str, float]) -> np.ndarray:
    """The largest weight of each sorted domain that keeps to `max_epochs`, shape (K,)."""
    if swarm.max_epochs is None:
        return np.ones(len(tokens))
    readable = READABLE * np.array([tokens[d] for d in sorted(tokens)], dtype=float)
    caps: np.ndarray = np.minimum(1.0, swarm.max_epochs * readable / swarm.budget)
    return caps


def _bounds(swarm: SwarmSpec, tokens: Mapping[str, float]) -> Bounds:
    """The bounds of drawn mixtures; words where nothing lies between them."""
    domains = sorted(tokens)
    count = len(domains)
    least = swarm.minimum_weight
    if least * count >= 1:
        raise CausalMixError(
            f"A minimum weight of {least:g} for {count} domains leaves nothing to vary. "
            f"Choose less than {1 / count:.3f}."
        )
    caps = _caps(swarm, tokens)
    tight = [
        f"{d} (at most {cap:.2%})" for d, cap in zip(domains, caps, strict=True) if cap < max(least, 1e-9)
    ]
    if tight:
        raise CausalMixError(
            f"With epochs limited to {swarm.max_epochs:g}, the minimum weight of {least:.2%} is too much for "
            f"{', '.join(tight)}. Lower the minimum weight, allow more epochs, or train on fewer tokens."
        )
    if caps.sum() <= 1:
        needed = swarm.budget / (READABLE * math.fsum(tokens.values()))
        raise CausalMixError(
            f"With epochs limited to {swarm.max_epochs:g}, the pool has enough text for "
            f"{caps.sum():.1%} of a probe's {swarm.budget:,} tokens. "
            f"Allow more than {needed:.2f} epochs, or train on fewer tokens."
        )
    return Bounds(np.full(count, least), caps)


def _grid(swarm: SwarmSpec, bounds: Bounds) -> np.ndarray:
    domains = len(bounds.lower)
    what = f"A grid of {swarm.grid_steps} steps over {domains} domains"
    size = grid_size(domains, swarm.grid_steps)
    if size > MOST_ROWS:
        raise CausalMixError(
            f"{what} has {size:,} points; a swarm has at most {MOST_ROWS:,} probes. "
            "Choose fewer steps, or a sobol design."
        )
    mixtures = grid_mixtures(swarm.grid_steps, bounds)
    if not len(mixtures):
        raise CausalMixError(f"{what} has no point that keeps to {swarm.max_epochs:g} epochs. Allow more.")
    if len(mixtures) > swarm.probes:
        raise CausalMixError(
            f"{what} has {len(mixtures)} points, more than the {swarm.probes} probes. "
            f"Ask for {len(mixtures)} probes or for fewer steps."
        )
    return mixtures


def _listed(swarm: SwarmSpec, tokens: Mapping[str, float]) -> np.ndarray:
    domains = sorted(tokens)
    mixtures = np.array([list(m.values()) for m in fit_mixtures(swarm.mixtures, domains).mixtures])
    over = mixtures - _caps(swarm, tokens)
    if over.max() > 1e-9:
        row, domain = np.unravel_index(int(over.argmax()), over.shape)
        raise CausalMixError(
            f"The list, row {row + 1}: {domains[domain]} at {mixtures[row, domain]:.1%} would be read more "
            f"than {swarm.max_epochs:g} times. Change the row, allow more epochs, or train on fewer tokens."
        )
    return mixtures
