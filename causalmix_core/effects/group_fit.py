"""One fitted surface for the outcomes that share weights and pool states, and the effects read off it.

Here mixtures and states come in as the curator has them, all domains and all states of the runs, and are cut
down to what the surface knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalmix_core.effects.calibration import Calibration
from causalmix_core.effects.estimators import Response
from causalmix_core.effects.estimators.protocol import AnswersManyStates, ComparesStates
from causalmix_core.effects.sample import Sample
from causalmix_core.probes.runs import RunTable

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


@dataclass(frozen=True)
class GroupFit:
    """Outcomes that share weights and pool states, fitted together.

    Attributes:
        outcomes: their names.
        treatments: the weights that reach them, as indices of domains.
        states: the states that are held fixed, as indices into `StateScale.columns`.
        sample: what the surface was fitted to.
        response: the surface.
        calibration: how many standard errors half a 95% interval is.
        step: weight over which an effect per point is taken (see `EstimatorInfo.step`).
    """

    outcomes: list[str]
    treatments: np.ndarray
    states: np.ndarray
    sample: Sample
    response: Response
    calibration: Calibration
    step: float

    def effects(self, state: np.ndarray, mixture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Effect per +1 percentage point of each domain, taken from the others in proportion.

        Args:
            state: standardised, all varying states, shape (all states,).
            mixture: shape (K,).

        Returns:
            Effect and its standard error, each (K, m).
        """
        start, end = self._steps(mixture)
        change, error = self.response.contrast(start, end, state[self.states])
        return change * (POINT / self.step), error * (POINT / self.step)

    def effects_over(
        self,
        states: np.ndarray,
        mixture: np.ndarray,
        domains: list[int],
        which: list[int],
        *,
        errors: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Effects in many pool states, and their standard errors or None, (s, domains, which) each."""
        surface = self.response.restricted(which)
        start, end = (side[domains] for side in self._steps(mixture))
        unit = POINT / self.step
        if isinstance(surface, AnswersManyStates):
            value, error = surface.contrast_over(start, end, states[:, self.states], errors=errors)
            return value * unit, None if error is None else error * unit
        if errors:
            found = [surface.contrast(start, end, x) for x in states[:, self.states]]
            return np.stack([f[0] for f in found]) * unit, np.stack([f[1] for f in found]) * unit
        rows = np.repeat(states[:, self.states], len(end), axis=0)
        change = surface.mean(np.tile(end, (len(states), 1)), rows)
        change = change - surface.mean(np.tile(start, (len(states), 1)), rows)
        return np.asarray(change.reshape(len(states), len(end), -1) * unit), None

    def effects_apart(
        self,
        states: np.ndarray,
        others: np.ndarray,
        mixture: np.ndarray,
        domains: list[int],
        which: list[int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Effects in `others` less those in `states`, both (s, all states), and standard errors.

        Returns:
            Shape (s, domains, which) each.
        """
        surface = self.response.restricted(which)
        start, end = (side[domains] for side in self._steps(mixture))
        unit, found = POINT / self.step, []
        for x, y in zip(states[:, self.states], others[:, self.states], strict=True):
            if isinstance(surface, ComparesStates):
                found.append(surface.contrast_apart(start, end, x, y))
            else:
                here, error = surface.contrast(start, end, x)
                there, more = surface.contrast(start, end, y)
                found.append((there - here, error + more))
        return np.stack([f[0] for f in found]) * unit, np.stack([f[1] for f in found]) * unit

    def changes(
        self, state: np.ndarray, reference: np.ndarray, candidates: np.ndarray, which: list[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change from `reference` (K,) to each candidate (c, K) and its standard error, each (c, m)."""
        surface = self.response if which is None else self.response.restricted(which)
        return surface.contrast(
            reference[None, self.treatments], candidates[:, self.treatments], state[self.states]
        )

    def predict(self, states: np.ndarray, mixtures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a new run would measure and half its 95% interval, each (c, m)."""
        weights, state = mixtures[:, self.treatments], states[:, self.states]
        error = np.sqrt(self.response.error(weights, state) ** 2 + self.response.noise**2)
        return self.response.mean(weights, state), self.calibration.prediction * error

    def _steps(self, mixture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the step along each domain begins and ends, each (K, d).

        It lies around the mixture, or, where there is too little of a domain to take away, begins at it.
        """
        direction = (np.eye(len(mixture)) - mixture) * self.step
        around = (mixture >= self.step / 2)[:, None]
        start = np.where(around, mixture - direction / 2, mixture)
        return start[:, self.treatments], (start + direction)[:, self.treatments]
