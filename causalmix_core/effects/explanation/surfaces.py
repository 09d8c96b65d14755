"""How domains act together: the outcome over the weights of two domains, of three, and the strength of each pair.

What is drawn is the change from the present mixture, because a change is what the estimators know best. It is
masked where no run was near: there a picture would look as sure as elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.explanation.asking import check_asked
from causalmix_core.effects.model import EffectModel
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture

STEPS = 25
"""Weights along each side of a surface."""
TRIANGLE_STEPS = 30
TOGETHER = 0.05
"""Weight that both domains of a pair gain in `interactions`."""
SLACK = 1e-9


@dataclass(frozen=True)
class PairSurface:
    """An outcome over the weights of two domains; the others share the rest in proportion.

    Attributes:
        first: domain along x.
        second: domain along y.
        outcome: what is predicted.
        x: weights of `first`, shape (g,).
        y: weights of `second`, shape (g,).
        change: of the outcome from the present mixture, shape (g, g), rows along y; NaN where the weights do
            not leave room for each other or no run was near.
        half: half the 95% interval of that change, shape (g, g).
        runs: weights of both in each run, shape (n, 2).
        now: the present weights of both.
    """

    first: str
    second: str
    outcome: str
    x: np.ndarray
    y: np.ndarray
    change: np.ndarray
    half: np.ndarray
    runs: np.ndarray
    now: tuple[float, float]


@dataclass(frozen=True)
class TriangleSurface:
    """An outcome over how three domains share the weight that they have together, all others held.

    Attributes:
        domains: the three.
        outcome: what is predicted.
        total: weight of the three together.
        shares: of each in `total`, shape (g, 3), rows sum to one.
        change: of the outcome from the present mixture, shape (g,); NaN where no run was near.
        half: half the 95% interval of that change, shape (g,).
        runs: how the three share their weight in each run, shape (n, 3).
        now: how they share it at present, shape (3,).
    """

    domains: tuple[str, str, str]
    outcome: str
    total: float
    shares: np.ndarray
    change: np.ndarray
    half: np.ndarray
    runs: np.ndarray
    now: np.ndarray


def pair_surface(
    model: EffectModel,
    first: str,
    second: str,
    outcome: str,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
) -> PairSurface:
    """The outcome over the weights of two domains that the runs tried.

    Args:
        model: fitted effects.
        first: a domain.
        second: another.
        outcome: what is predicted.
        state: of the pool; all states of the runs.
        mixture: what changes are taken from, and how the other domains share the rest.

    Raises:
        CausalMixError: unknown or equal domains, unknown outcome, fewer than three domains, or the state or
            the mixture does not fit the runs.
    """
    start = _asked(model, (first, second), outcome, mixture)
    if len(model.domains) < 3:
        raise CausalMixError(
            "Two domains that are all there are leave nothing to vary: what one gains, the other gives up. "
            "Look at the curve of one of them."
        )
    pair = [model.domains.index(d) for d in (first, second)]
    tried = model.runs.weights()
    x, y = (_range(tried[:, k], start[k]) for k in pair)
    points = np.array([(a, b) for b in y for a in x])
    room = points.sum(axis=1) <= 1 + SLACK
    candidates = np.tile(start, (int(room.sum()), 1))
    rest = _rest(start, pair)
    candidates[:] = rest * np.maximum(1 - points[room].sum(axis=1), 0)[:, None]
    candidates[:, pair] = points[room]
    near = _near(points[room], tried[:, pair]) & _within(candidates, tried)
    change, half = _changes(model, state, mixture, candidates, outcome, near)
    shown, band = np.full(len(points), np.nan), np.full(len(points), np.nan)
    shown[room], band[room] = change, half
    shape = (len(y), len(x))
    return PairSurface(
        first, second, outcome, x, y, shown.reshape(shape), band.reshape(shape), tried[:, pair],
        (float(start[pair[0]]), float(start[pair[1]])),
    )  # fmt: skip


def triangle_surface(
    model: EffectModel,
    domains: tuple[str, str, str],
    outcome: str,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
) -> TriangleSurface:
    """The outcome over all ways in which three domains can share the weight that they have together.

    Args:
        model: fitted effects.
        domains: three different ones.
        outcome: what is predicted.
        state: of the pool; all states of the runs.
        mixture: what changes are taken from; the other domains keep their weights.

    Raises:
        CausalMixError: unknown or equal domains, unknown outcome, the three have no weight, or the state or
            the mixture does not fit the runs.
    """
    start = _asked(model, domains, outcome, mixture)
    three = [model.domains.index(d) for d in domains]
    total = float(start[three].sum())
    if total <= 0:
        raise CausalMixError(
            f"{', '.join(domains)} have no weight in this mixture, so there is nothing to share among them. "
            "Choose domains that have some."
        )
    steps = range(TRIANGLE_STEPS + 1)
    shares = np.array([(i, j, TRIANGLE_STEPS - i - j) for i in steps for j in steps if i + j <= TRIANGLE_STEPS])
    shares = shares / TRIANGLE_STEPS
    candidates = np.tile(start, (len(shares), 1))
    candidates[:, three] = total * shares
    tried = model.runs.weights()
    together = tried[:, three].sum(axis=1)
    runs = tried[together > 0][:, three] / together[together > 0, None]
    near = _near(shares[:, :2], runs[:, :2]) & _within(candidates[:, three], tried[:, three])
    change, half = _changes(model, state, mixture, candidates, outcome, near)
    return TriangleSurface(domains, outcome, total, shares, change, half, runs, start[three] / total)


def interactions(
    model: EffectModel, outcome: str, state: Mapping[str, float], mixture: Mapping[str, float]
) -> pd.DataFrame:
    """How much more, or less, two domains do together than the sum of what each does alone.

    The second difference `y(both) - y(first) - y(second) + y(neither)`, where a domain gains five points of
    weight (ten where the surface is made of steps) from all others in proportion. 0 means that they add up.

    Args:
        model: fitted effects.
        outcome: what they act on.
        state: of the pool; all states of the runs.
        mixture: where the weight is added.

    Returns:
        Columns first, second, interaction (units of the outcome), lower, upper (95%), distinguishable, inside
        (whether the runs tried such weights), step (weight that each gains); the largest interaction first.

    Raises:
        CausalMixError: unknown outcome, or the state or the mixture does not fit the runs.
    """
    check_asked(model, None, outcome)
    start = np.array(list(check_mixture(mixture, model.domains).values()))
    step = max(TOGETHER, ESTIMATORS[model.estimator].step)
    moves = step * (np.eye(len(start)) - start)
    pairs = list(combinations(range(len(start)), 2))
    alone, both = start + moves, np.array([start + moves[a] + moves[b] for a, b in pairs])
    value, spread = _second_differences(model, state, mixture, alone, both, pairs, outcome)
    half = spread * model.interval_quantile(outcome)
    box = model.domain_box
    inside = ((both >= box["lower"].to_numpy() - SLACK) & (both <= box["upper"].to_numpy() + SLACK)).all(axis=1)
    table = pd.DataFrame(
        {
            "first": [model.domains[a] for a, _ in pairs],
            "second": [model.domains[b] for _, b in pairs],
            "interaction": value,
            "lower": value - half,
            "upper": value + half,
            "distinguishable": np.abs(value) > half,
            "inside": inside,
            "step": step,
        }
    )
    return table.sort_values("interaction", key=np.abs, ascending=False, ignore_index=True)


def _second_differences(
    model: EffectModel,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
    alone: np.ndarray,
    both: np.ndarray,
    pairs: list[tuple[int, int]],
    outcome: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Second differences and their standard errors, from variances of simple differences.

    For coefficients c that sum to zero, Var(sum_i c_i f_i) = - sum_{i<j} c_i c_j Var(f_i - f_j), and
    `EffectModel.changes` gives each Var(f_i - f_j). So the part of the error that all four mixtures share
    drops out, which adding up four intervals would not allow.
    """
    count = len(alone)
    from_start, error = model.changes(state, mixture, np.concatenate([alone, both]), outcome)
    single, double = from_start[:count], from_start[count:]
    variance = -(error[count:] ** 2)
    for a in range(count):
        mine = [i for i, pair in enumerate(pairs) if a in pair]
        begin = dict(zip(model.domains, alone[a].tolist(), strict=True))
        _, error_to = model.changes(state, begin, np.concatenate([alone, both[mine]]), outcome)
        for at, i in enumerate(mine):
            first, second = pairs[i]
            variance[i] += error[a] ** 2 + error_to[count + at] ** 2
            if a == first:
                variance[i] -= error_to[second] ** 2
    value = np.array([double[i] - single[a] - single[b] for i, (a, b) in enumerate(pairs)])
    return value, np.sqrt(np.maximum(variance, 0))


def _asked(
    model: EffectModel, domains: tuple[str, ...], outcome: str, mixture: Mapping[str, float]
) -> np.ndarray:
    for domain in domains:
        check_asked(model, domain, outcome)
    if len(set(domains)) < len(domains):
        raise CausalMixError(f"Choose {len(domains)} different domains; you chose {', '.join(domains)}.")
    return np.array(list(check_mixture(mixture, model.domains).values()))


def _range(tried: np.ndarray, now: float) -> np.ndarray:
    return np.linspace(min(tried.min(), now), max(tried.max(), now), STEPS)


def _rest(start: np.ndarray, moved: list[int]) -> np.ndarray:
    """How the domains that are not moved share what is left; evenly where they have nothing now."""
    rest = start.copy()
    rest[moved] = 0
    if rest.sum() <= 0:
        rest[:] = 1
        rest[moved] = 0
    return np.asarray(rest / rest.sum())


def _near(points: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Whether points in the plane lie within the convex hull of the runs."""
    from scipy.spatial import Delaunay

    # QJ: runs on one line span no area, and are then taken as a very thin one.
    return np.asarray(Delaunay(runs, qhull_options="QJ").find_simplex(points) >= 0)


def _within(mixtures: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """Whether every weight lies in the range that the runs tried."""
    low, high = tried.min(axis=0) - SLACK, tried.max(axis=0) + SLACK
    return np.asarray(((mixtures >= low) & (mixtures <= high)).all(axis=1))


def _changes(
    model: EffectModel,
    state: Mapping[str, float],
    mixture: Mapping[str, float],
    candidates: np.ndarray,
    outcome: str,
    near: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    change, half = np.full(len(candidates), np.nan), np.full(len(candidates), np.nan)
    if near.any():
        change[near], error = model.changes(state, mixture, candidates[near], outcome)
        half[near] = error * model.interval_quantile(outcome)
    return change, half
