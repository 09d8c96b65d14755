"""What a design can tell before it is trained: how far it spreads, and what it can hold apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import Mixture, check_mixture
from causalmix_core.probes.design import READABLE, Probe

EPSILON = 0.01
"""Log weights are log(w + EPSILON), finite at weight 0: the sharpest bend that the estimators try."""
NEAR = 0.25
"""Total variation distance within which a probe counts as near the reference: a suggestion moves no more
weight than that, unless told to."""
UNIFORM_DRAWS = 8
SINGULAR = 1e-10
"""Eigenvalues of a correlation matrix below this are rounding."""


@dataclass(frozen=True)
class DomainRange:
    """Where the planned weights of a domain lie.

    Attributes:
        minimum: the least weight in any probe.
        median: half the probes are below.
        maximum: the largest weight in any probe.
        epochs: how often the probe with the largest weight reads the domain through.
    """

    minimum: float
    median: float
    maximum: float
    epochs: float


@dataclass(frozen=True)
class DesignSummary:
    """What `describe_design` finds.

    Attributes:
        probes: n, how many there are.
        domains: the range of each domain's weight.
        near_reference: share of probes whose total variation distance to the reference is at most `near`.
        near: that distance.
        mixtures: how many of them differ; a grid or a list may be gone through more than once.
        spacing: mean total variation distance from a mixture to the nearest other one; 0 for a single one.
        uniform_spacing: the same for as many mixtures drawn uniformly from the simplex, the mean of eight
            draws.
        effective_probes: n divided by the mean variance inflation of the log weights; 0 where the effects of
            the domains cannot be told apart at all.
        inflation: variance inflation factor of each domain's log weight; infinite where it follows from
            those of the others.
        condition: condition number of the standardised log weights; 1 is best, above 30 is harmful
            collinearity (Belsley, Kuh and Welsch 1980), infinite where one follows from the others.
        correlation: correlations of the log weights, shape (K, K), in the order of `domains`; 0 for a domain
            whose weight does not vary.
        constant: domains whose weight does not vary.
        tilt_correlation: largest absolute correlation of a tilt with a log weight; 0 where no tilt varies.
        tilt_correlation_limit: what 95 of 100 independent draws of this size stay below, by Fisher's z and
            Sidak's bound over all pairs; 1 for fewer than 4 probes.
    """

    probes: int
    domains: dict[str, DomainRange]
    near_reference: float
    near: float
    mixtures: int
    spacing: float
    uniform_spacing: float
    effective_probes: float
    inflation: dict[str, float]
    condition: float
    correlation: np.ndarray
    constant: list[str]
    tilt_correlation: float
    tilt_correlation_limit: float

    @property
    def coverage(self) -> float:
        """Spacing in units of a uniform draw's: above 1 spreads more evenly, below 1 is more bunched."""
        return self.spacing / self.uniform_spacing

    @property
    def epochs(self) -> float:
        """The most often that any probe reads any domain."""
        return max(d.epochs for d in self.domains.values())


def describe_design(
    probes: Sequence[Probe],
    reference: Mapping[str, float],
    tokens: Mapping[str, float],
    *,
    budget: int,
    near: float = NEAR,
) -> DesignSummary:
    """Describe planned probes.

    Effective probes. Take the model `y = a + sum_k b_k z_k + noise` with log weights z_k. Least squares
    gives `var(b_k) = noise / (n var(z_k)) * VIF_k`, where the variance inflation factor `VIF_k` is the k-th
    entry on the diagonal of the inverse correlation matrix of z, that is `1 / (1 - R_k^2)` with R_k^2 from
    regressing z_k on the others (Marquardt 1970; Belsley, Kuh and Welsch, Regression Diagnostics, 1980,
    chapter 3). `n / mean(VIF)` is then how many probes with uncorrelated log weights of the same spread would
    measure the coefficients as precisely, by their mean relative variance. It is n for an orthogonal design
    and goes to 0 with collinearity. Weights that sum to one can never be quite uncorrelated, so that n itself
    is out of reach, most of all for few domains.

    Args:
        probes: at least two.
        reference: the mixture that they surround.
        tokens: tokens by domain as the proxy counts them, held-out ones included (`proxy_tokens`).
        budget: tokens that each probe reads (`SwarmSpec.budget`).
        near: total variation distance that counts as near the reference.

    Raises:
        CausalMixError: fewer than two probes, or a reference over other domains.
    """
    if len(probes) < 2:
        raise CausalMixError("One probe cannot be compared with others. Plan at least two.")
    domains = sorted(probes[0].mixture)
    weights = np.array([[p.mixture[d] for d in domains] for p in probes])
    distinct = np.unique(weights.round(12), axis=0)
    base: Mixture = check_mixture(reference, domains)
    away = 0.5 * np.abs(weights - np.array(list(base.values()))).sum(axis=1)
    logs = np.log(weights + EPSILON)
    correlation, varies = _correlations(logs)
    inflation, condition = _collinearity(correlation, varies, len(probes))
    tilts = np.array([[p.tilt[f] for f in sorted(p.tilt)] for p in probes])
    worst, limit = _tilt_correlation(logs, tilts)
    mean = float(inflation.mean())
    return DesignSummary(
        probes=len(probes),
        domains={
            d: DomainRange(
                float(w.min()),
                float(np.median(w)),
                float(w.max()),
                float(w.max()) * budget / (READABLE * tokens[d]) if tokens[d] else math.inf,
            )
            for d, w in zip(domains, weights.T, strict=True)
        },
        near_reference=float((away <= near).mean()),
        near=near,
        mixtures=len(distinct),
        spacing=_spacing(distinct) if len(distinct) > 1 else 0.0,
        uniform_spacing=_uniform_spacing(max(2, len(distinct)), len(domains)),
        effective_probes=len(probes) / mean if math.isfinite(mean) else 0.0,
        inflation=dict(zip(domains, inflation.tolist(), strict=True)),
        condition=condition,
        correlation=correlation,
        constant=[d for d, v in zip(domains, varies, strict=True) if not v],
        tilt_correlation=worst,
        tilt_correlation_limit=limit,
    )


def _standardised(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns with mean 0 and length 1, 0 where one does not vary; and which ones vary."""
    centred = columns - columns.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    varies = length > 1e-9 * math.sqrt(len(columns))
    return np.where(varies, centred / np.where(varies, length, 1.0), 0.0), varies


def _correlations(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unit, varies = _standardised(logs)
    correlation: np.ndarray = unit.T @ unit
    np.fill_diagonal(correlation, 1.0)
    return correlation, varies


def _collinearity(correlation: np.ndarray, varies: np.ndarray, probes: int) -> tuple[np.ndarray, float]:
    """Variance inflation of each column, shape (K,), and the condition number of them all."""
    values, vectors = np.linalg.eigh(correlation)
    lost = values < SINGULAR
    # A coefficient that has a part in a direction without variance is not determined.
    undetermined = (np.abs(vectors[:, lost]) > 1e-6).any(axis=1) | ~varies
    if probes <= len(values):
        undetermined[:] = True  # fewer observations than coefficients with the intercept
    inflation = (vectors[:, ~lost] ** 2 / values[~lost]).sum(axis=1)
    bad = lost.any() or undetermined.any()
    condition = math.inf if bad else math.sqrt(values[-1] / values[0])
    return np.where(undetermined, math.inf, inflation), condition


def _tilt_correlation(logs: np.ndarray, tilts: np.ndarray) -> tuple[float, float]:
    from scipy.stats import norm

    count = len(logs)
    unit, varies = _standardised(tilts)
    unit = unit[:, varies]
    if not unit.shape[1]:
        return 0.0, 1.0
    worst = float(np.abs(_standardised(logs)[0].T @ unit).max())
    if count < 4:
        return worst, 1.0
    pairs = logs.shape[1] * unit.shape[1]
    z = norm.ppf(1 - (1 - 0.95 ** (1 / pairs)) / 2)
    return worst, math.tanh(float(z) / math.sqrt(count - 3))


def _spacing(weights: np.ndarray) -> float:
    """Mean total variation distance of each row to the nearest other row."""
    from scipy.spatial import cKDTree

    nearest = cKDTree(weights).query(weights, k=2, p=1)[0][:, 1]
    return float(0.5 * nearest.mean())


def _uniform_spacing(count: int, domains: int) -> float:
    rng = np.random.default_rng(0)
    draws = [_spacing(rng.dirichlet(np.ones(domains), count)) for _ in range(UNIFORM_DRAWS)]
    return float(np.mean(draws))
