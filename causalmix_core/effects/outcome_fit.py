"""One fit of an estimator to the outcomes that share weights and modifiers, and what can be read off it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from causalmix_core.effects.discrepancy import Discrepancy
from causalmix_core.effects.estimators import EffectEstimator, EstimatorName, make_estimator
from causalmix_core.effects.features import LogMap, choose_log_map
from causalmix_core.probes.runs import RunTable

CONFIDENCE = 0.95
POINT = 0.01
"""One percentage point of weight."""


@dataclass(frozen=True)
class StateScale:
    """The pool states that vary in the runs, and how they are standardised."""

    columns: list[str]
    mean: np.ndarray
    spread: np.ndarray
    constant: dict[str, float]

    @classmethod
    def of(cls, runs: RunTable) -> StateScale:
        """Learn mean and spread from the runs; states that are the same in all of them are set apart."""
        values = runs.state()
        spread = values.std(axis=0)
        varies = spread > 1e-9 * np.maximum(np.abs(values).max(axis=0, initial=0), 1e-300)
        return cls(
            columns=[c for c, v in zip(runs.states, varies, strict=True) if v],
            mean=values.mean(axis=0)[varies],
            spread=spread[varies],
            constant={c: float(values[0, i]) for i, c in enumerate(runs.states) if not varies[i]},
        )

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """States in standard deviations from their mean, last axis in the order of `columns`."""
        return np.asarray((values - self.mean) / self.spread)


@dataclass
class OutcomeFit:
    """Outcomes that share weights and modifiers, fitted together.

    Outcomes are divided by `spread` before they are fitted, so that each counts the same.
    """

    outcomes: list[str]
    treatments: np.ndarray
    modifiers: np.ndarray
    seed: int
    name: EstimatorName
    spread: np.ndarray = field(init=False)
    log_map: LogMap = field(init=False)
    estimator: EffectEstimator = field(init=False)
    discrepancy: Discrepancy = field(init=False)
    _centre: np.ndarray = field(init=False)
    _scale: np.ndarray = field(init=False)
    _level: np.ndarray = field(init=False)
    _theta: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(init=False, default_factory=dict)

    def fit(self, weights: np.ndarray, state: np.ndarray, outcomes: np.ndarray, *, intervals: bool) -> None:
        """Fit to weights (n, K), standardised states (n, p) and outcomes (n, m)."""
        spread = outcomes.std(axis=0)
        self.spread = np.where(spread > 0, spread, 1.0)
        scaled = (outcomes - outcomes.mean(axis=0)) / self.spread
        self.log_map = choose_log_map(weights[:, self.treatments], state, scaled)
        features = self.log_map.features(weights[:, self.treatments])
        self._centre, scale = features.mean(axis=0), features.std(axis=0)
        self._scale = np.where(scale > 0, scale, 1.0)
        self._level = outcomes.mean(axis=0)
        self.estimator = make_estimator(self.name, self.seed, covariance=intervals)
        self.estimator.fit(scaled, self._standardised(weights), *self._split(state))
        if intervals:
            self.discrepancy = Discrepancy(
                self._standardised(weights), state, self.modifiers, scaled, self.seed
            )

    def predict(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Outcomes of other runs, shape (r, m)."""
        predicted = self.estimator.predict(self._standardised(weights), *self._split(state))
        return np.asarray(self._level + predicted * self.spread)

    def quantile(self) -> float:
        """How many standard errors half a 95 % interval is."""
        from scipy.stats import t

        return float(t.ppf((1 + CONFIDENCE) / 2, self.discrepancy.degrees_of_freedom))

    def theta(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """theta of the standardised features at one state, (m, d), and its covariance (m, d, d)."""
        key = state.tobytes()
        if key not in self._theta:
            self._theta[key] = self.estimator.theta(state[self.modifiers])
        return self._theta[key]

    def own_effects(self, state: np.ndarray) -> np.ndarray:
        """theta of log(w + eps), in units of the outcomes, shape (m, d)."""
        return np.asarray(self.theta(state)[0] / self._scale * self.spread[:, None])

    def effects(self, state: np.ndarray, mixture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Effect per +1 percentage point of each domain and its standard error, each (K, m)."""
        domains = len(mixture)
        direction = np.eye(domains) - mixture
        slope = (direction * self.log_map.slope(mixture))[:, self.treatments]
        effect = POINT * slope @ self.own_effects(state).T
        half = direction * POINT / 2
        step = POINT * slope / self._scale
        error = self._error(
            state, step, self._standardised(mixture - half), self._standardised(mixture + half), slice(None)
        )
        return effect, error

    def changes(
        self, state: np.ndarray, reference: np.ndarray, candidates: np.ndarray, which: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change from `reference` (K,) to each candidate (c, K) and its standard error, each (c, m)."""
        start, end = self._standardised(reference[None]), self._standardised(candidates)
        step = end - start
        change = step @ (self.theta(state)[0][which] * self.spread[which, None]).T
        return change, self._error(state, step, start, end, which)

    def _error(
        self, state: np.ndarray, step: np.ndarray, start: np.ndarray, end: np.ndarray, which: slice
    ) -> np.ndarray:
        covariance = self.theta(state)[1][which]
        fitted = np.stack([((step @ c) * step).sum(axis=1) for c in covariance], axis=1)
        variance = np.maximum(fitted, self.discrepancy.variance(state, start, end, which))
        return np.asarray(np.sqrt(variance) * self.spread[which])

    def _standardised(self, weights: np.ndarray) -> np.ndarray:
        return np.asarray((self.log_map.features(weights[:, self.treatments]) - self._centre) / self._scale)

    def _split(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States as modifiers and controls."""
        others = np.setdiff1d(np.arange(state.shape[1]), self.modifiers)
        return state[:, self.modifiers], state[:, others]
