"""Where there are runs to go by: for each domain, in each region of the pool state, and around one mixture.

An effect of a domain in a pool state is learned from runs that varied this domain in such a state. These are
counts and spreads of the runs alone; no model is involved, so nothing can talk them away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from causalmix_core.effects.group_fit import StateScale
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture
from causalmix_core.probes.runs import RunTable

POINT = 0.01
FEW_RUNS = 50
ENOUGH_RUNS = 100
"""Runs per domain between which effects that depend on the pool state begin to be seen."""
FEW_WITH = 10
"""Runs that hold more than a point of a domain, below which its effect rests on too little."""
NARROW = 0.5
"""Spread of a weight in a region over its spread in all runs, below which the region says little of it."""
FEW_IN_REGION = 8
Region = Literal["low", "middle", "high"]
REGIONS: tuple[Region, ...] = ("low", "middle", "high")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DomainSupport(_Value):
    """What the runs know of one domain.

    Attributes:
        domain: its name.
        lower: weight below which 1% of the runs lie.
        upper: weight above which 1% lie.
        runs_with: runs that hold more than one point of it.
        effective_runs: (sum w)^2 / sum w^2 (Kish 1965): as many runs with equal weights would hold as much.
    """

    domain: str
    lower: float
    upper: float
    runs_with: int
    effective_runs: float


class StateRegion(_Value):
    """The runs in one third of one pool state.

    Attributes:
        state: column.
        region: which third.
        lower: smallest value in it.
        upper: largest value in it.
        runs: how many lie there.
        runs_with: by domain, how many of them hold more than one point of it.
        spread: by domain, standard deviation of the weight there over that in all runs.
    """

    state: str
    region: Region
    lower: float
    upper: float
    runs: int
    runs_with: dict[str, int]
    spread: dict[str, float]


class Overlap(_Value):
    """What every domain and every region of the pool state rests on.

    Attributes:
        runs: finished probes.
        runs_per_domain: runs over domains.
        domains: by domain.
        regions: by state and third.
        warnings: what there is too little of, in words.
    """

    runs: int
    runs_per_domain: float
    domains: tuple[DomainSupport, ...]
    regions: tuple[StateRegion, ...]
    warnings: tuple[str, ...]

    def domain_table(self) -> pd.DataFrame:
        """Columns domain, lower, upper, runs_with, effective_runs."""
        return pd.DataFrame([d.model_dump() for d in self.domains])

    def region_table(self) -> pd.DataFrame:
        """One row per region and domain: state, region, lower, upper, runs, domain, runs_with, spread."""
        return pd.DataFrame(
            [
                {
                    **r.model_dump(exclude={"runs_with", "spread"}),
                    "domain": d,
                    "runs_with": r.runs_with[d],
                    "spread": r.spread[d],
                }
                for r in self.regions
                for d in r.runs_with
            ]
        )


class PointSupport(_Value):
    """Whether a mixture in a pool state lies among the runs.

    Attributes:
        inside: nothing below says otherwise.
        outside: by domain, the weight asked for and the 1% to 99% range of the runs that it leaves.
        nearest: weight that would have to move to reach the nearest run's mixture, 0 to 1.
        usual: the same between a run and its nearest neighbour, in all but 5% of the runs.
        state_distance: Mahalanobis distance of the state from the centre of the runs'; None without states.
        state_usual: the same of all but 5% of the runs; None likewise.
        words: all of this in sentences.
    """

    inside: bool
    outside: dict[str, tuple[float, float, float]]
    nearest: float
    usual: float
    state_distance: float | None
    state_usual: float | None
    words: str


def overlap_report(runs: RunTable) -> Overlap:
    """Count what each domain and each third of each pool state rests on."""
    weights = runs.weights()
    lower, upper = np.quantile(weights, [0.01, 0.99], axis=0)
    total, squares = weights.sum(axis=0), (weights**2).sum(axis=0)
    domains = tuple(
        DomainSupport(
            domain=d,
            lower=float(lower[k]),
            upper=float(upper[k]),
            runs_with=int((weights[:, k] > POINT).sum()),
            effective_runs=float(total[k] ** 2 / squares[k]) if squares[k] > 0 else 0.0,
        )
        for k, d in enumerate(runs.domains)
    )
    columns = StateScale.of(runs).columns
    regions = tuple(
        region
        for s in columns
        for region in _regions(s, runs.frame[s].to_numpy(float), weights, runs.domains)
    )
    return Overlap(
        runs=len(runs),
        runs_per_domain=len(runs) / len(runs.domains),
        domains=domains,
        regions=regions,
        warnings=tuple(_warnings(runs, bool(columns), domains, regions)),
    )


def point_support(
    runs: RunTable, mixture: Mapping[str, float], state: Mapping[str, float] | None = None
) -> PointSupport:
    """Say whether a mixture, and a pool state where given, lie among the runs.

    Args:
        runs: finished probes.
        mixture: weights by domain.
        state: pool state by column.

    Raises:
        CausalMixError: the mixture does not fit the runs, or the state lacks one of theirs.
    """
    weights = runs.weights()
    w = np.array(list(check_mixture(mixture, runs.domains).values()))
    lower, upper = np.quantile(weights, [0.01, 0.99], axis=0)
    outside = {
        d: (float(w[k]), float(lower[k]), float(upper[k]))
        for k, d in enumerate(runs.domains)
        if not lower[k] - 1e-9 <= w[k] <= upper[k] + 1e-9
    }
    nearest = float(_moved(weights, w[None]).min())
    between = _moved(weights, weights)
    np.fill_diagonal(between, np.inf)
    usual = float(np.quantile(between.min(axis=1), 0.95))
    distance, state_usual = _state_distance(runs, state)
    said = [
        f"{d} at {at:.1%} lies outside what the runs have tried ({low:.1%} to {high:.1%})."
        for d, (at, low, high) in outside.items()
    ]
    if nearest > usual:
        said.append(
            f"The nearest run differs by {nearest:.0%} of the weight; runs lie within {usual:.0%} of each "
            "other."
        )
    if distance is not None and state_usual is not None and distance > state_usual:
        said.append(
            f"The pool state lies {distance:.1f} standard deviations from the runs' centre; 95% of the runs "
            f"lie within {state_usual:.1f}."
        )
    inside = not said
    words = " ".join(said) + " What is said here is extrapolated." if said else "It lies among the runs."
    return PointSupport(
        inside=inside,
        outside=outside,
        nearest=nearest,
        usual=usual,
        state_distance=distance,
        state_usual=state_usual,
        words=words,
    )


def _regions(state: str, values: np.ndarray, weights: np.ndarray, domains: list[str]) -> list[StateRegion]:
    """Thirds of one state; runs with equal values stay together, and an empty third is left out."""
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    third = (values > low).astype(int) + (values > high)
    overall = weights.std(axis=0)
    found = []
    for i, region in enumerate(REGIONS):
        here = third == i
        if not here.any():
            continue
        spread = weights[here].std(axis=0) / np.where(overall > 0, overall, 1)
        found.append(
            StateRegion(
                state=state,
                region=region,
                lower=float(values[here].min()),
                upper=float(values[here].max()),
                runs=int(here.sum()),
                runs_with={d: int((weights[here, k] > POINT).sum()) for k, d in enumerate(domains)},
                spread={d: float(spread[k]) for k, d in enumerate(domains)},
            )
        )
    return found


def _warnings(
    runs: RunTable, has_state: bool, domains: tuple[DomainSupport, ...], regions: tuple[StateRegion, ...]
) -> list[str]:
    n, k = len(runs), len(runs.domains)
    said = []
    if has_state and n < ENOUGH_RUNS * k:
        few = "too few" if n < FEW_RUNS * k else "just enough"
        said.append(
            f"{n} runs for {k} domains ({n / k:.0f} per domain) are {few} to see how effects depend on the "
            f"pool state: that takes {FEW_RUNS} to {ENOUGH_RUNS} per domain, {FEW_RUNS * k} to "
            f"{ENOUGH_RUNS * k} runs."
        )
    thin = [f"{d.domain} ({d.runs_with})" for d in domains if d.runs_with < FEW_WITH]
    if thin:
        said.append(
            f"Few runs hold more than one point of {', '.join(thin)}: their effects rest on these alone."
        )
    for region in regions:
        where = f"Where {region.state} is {region.region} ({region.lower:.3g} to {region.upper:.3g})"
        if region.runs < FEW_IN_REGION:
            said.append(f"{where} there are only {region.runs} runs.")
            continue
        narrow = [
            d for d, ratio in region.spread.items() if ratio < NARROW and region.runs_with[d] < region.runs
        ]
        narrow += [d for d, ratio in region.spread.items() if ratio < NARROW and d not in narrow]
        if narrow:
            said.append(
                f"{where} the runs hardly vary {', '.join(sorted(narrow))} (less than half as much as "
                "elsewhere): effects there lean on runs in other pool states."
            )
    return said


def _moved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Weight that has to move from each row of a to each row of b (total variation), (len(a), len(b))."""
    return np.asarray(0.5 * np.abs(a[:, None] - b[None]).sum(axis=2))


def _state_distance(runs: RunTable, state: Mapping[str, float] | None) -> tuple[float | None, float | None]:
    scale = StateScale.of(runs)
    if state is None or not scale.columns:
        return None, None
    missing = [c for c in scale.columns if c not in state or not np.isfinite(state[c])]
    if missing:
        raise CausalMixError(
            f"The pool state has no finite value of {', '.join(missing)}, which the runs have."
        )
    states = scale.standardise(runs.state(scale.columns))
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(states, rowvar=False)))
    x = scale.standardise(np.array([state[c] for c in scale.columns], dtype=float))
    distances = np.sqrt(((states @ inverse) * states).sum(axis=1))
    return float(np.sqrt(x @ inverse @ x)), float(np.quantile(distances, 0.95))
