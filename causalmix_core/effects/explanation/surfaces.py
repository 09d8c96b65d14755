"""How domains act together: the outcome over the weights of two domains, and over how three share theirs.

What is drawn is the change from the present mixture, because a change is what the estimators know best. It is
masked where no run was near: there a picture would look as sure as elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.explanation.asking import check_asked
from causalmix_core.effects.model import EffectModel
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture

STEPS = 25
"""Weights along each side of a surface."""
TRIANGLE_STEPS = 30
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
    shares = np.array(
        [(i, j, TRIANGLE_STEPS - i - j) for i in steps for j in steps if i + j <= TRIANGLE_STEPS]
    )
    shares = shares / TRIANGLE_STEPS
    candidates = np.tile(start, (len(shares), 1))
    candidates[:, three] = total * shares
    tried = model.runs.weights()
    together = tried[:, three].sum(axis=1)
    runs = tried[together > 0][:, three] / together[together > 0, None]
    near = _near(shares[:, :2], runs[:, :2]) & _within(candidates[:, three], tried[:, three])
    change, half = _changes(model, state, mixture, candidates, outcome, near)
    return TriangleSurface(domains, outcome, total, shares, change, half, runs, start[three] / total)


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
