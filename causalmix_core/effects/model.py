"""What can be asked of fitted effects: effects per point, changes between mixtures, and where not to trust.

The graph's exclusions act on what a domain does of its own. What is shown, the effect of +1 percentage point
taken from the others in proportion, is then rarely zero: a domain without a path to a loss still displaces
those that have one. Setting it to zero would break sum_k w_k effect_k = 0.

Intervals are nominal 95%: the standard error of the surface, times what calibration.py asks for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalmix_core.effects.estimators.protocol import Hurries, PointResponse
from causalmix_core.effects.group_fit import GroupFit, StateScale
from causalmix_core.effects.identification import OBJECTIVE, Identification
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import check_mixture
from causalmix_core.probes.runs import WEIGHT, RunTable

if TYPE_CHECKING:
    from causalmix_core.effects.estimators import EstimatorName

OWN_EPSILON = 0.01
"""The eps of log(w + eps) in `own_effects`, as small as the weights that a design draws."""


class EffectModel:
    """What `fit_effects` learned from the runs.

    Attributes:
        domains: domain names, sorted.
        outcomes: the outcomes of the runs and `objective` last.
        estimator: which estimator was fitted.
        objective: share of each outcome in the objective; sums to one.
        identifications: what the graph says, by outcome, the objective included.
        runs: what it was fitted to.
        groups: the fitted surfaces; an outcome that nothing reaches or that does not vary is in none.
        notes: what to know before trusting any of it, in plain words.
        domain_box: index domain, columns lower and upper: the range of each weight in 98% of the runs.
    """

    def __init__(
        self,
        *,
        estimator: EstimatorName,
        objective: dict[str, float],
        identifications: dict[str, Identification],
        runs: RunTable,
        scale: StateScale,
        groups: list[GroupFit],
        notes: list[str],
    ) -> None:
        self.domains = list(runs.domains)
        self.outcomes = [*runs.outcomes, OBJECTIVE]
        self.estimator = estimator
        self.objective = objective
        self.identifications = identifications
        self.runs = runs
        self.groups = groups
        self.notes = notes
        weights = runs.weights()
        self.domain_box = pd.DataFrame(
            {"lower": np.quantile(weights, 0.01, axis=0), "upper": np.quantile(weights, 0.99, axis=0)},
            index=pd.Index(self.domains, name="domain"),
        )
        self._scale = scale
        self._place = {o: (g, i) for g in groups for i, o in enumerate(g.outcomes)}
        self._set_distances(scale.standardise(runs.state(scale.columns)))

    def _set_distances(self, states: np.ndarray) -> None:
        self._inverse = np.linalg.pinv(np.atleast_2d(np.cov(states, rowvar=False))) if states.size else None
        self._furthest = 0.0
        if self._inverse is not None:
            self._furthest = float(np.sqrt(((states @ self._inverse) * states).sum(axis=1)).max())

    def effects(self, state: Mapping[str, float], mixture: Mapping[str, float]) -> pd.DataFrame:
        """Effect of +1 percentage point of each domain, taken from the others in proportion.

        Args:
            state: pool state by column; all states of the runs.
            mixture: where the point is added.

        Returns:
            Columns domain, outcome, effect, lower, upper (95%), distinguishable (the interval does not
            hold 0), basis (the statement of the graph that it rests on). Units of the outcome.

        Raises:
            CausalMixError: the state or the mixture does not fit the runs.
        """
        x, w = self._state(state), self._mixture(mixture)
        effect = np.zeros((len(self.outcomes), len(self.domains)))
        width = np.zeros_like(effect)
        for group in self.groups:
            value, error = group.effects(x, w)
            rows = [self.outcomes.index(o) for o in group.outcomes]
            effect[rows] = value.T
            width[rows] = (error * group.calibration.effect).T
        frame = pd.DataFrame(
            {
                "domain": [d for _ in self.outcomes for d in self.domains],
                "outcome": [o for o in self.outcomes for _ in self.domains],
                "effect": effect.ravel(),
                "lower": (effect - width).ravel(),
                "upper": (effect + width).ravel(),
            }
        )
        frame["distinguishable"] = (frame["lower"] > 0) | (frame["upper"] < 0)
        frame["basis"] = [self._basis(o, d) for o in self.outcomes for d in self.domains]
        return frame

    def effects_over(
        self,
        states: np.ndarray,
        mixture: Mapping[str, float],
        *,
        domains: Sequence[str] | None = None,
        outcomes: Sequence[str] | None = None,
        errors: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Effects per +1 percentage point in many pool states.

        Args:
            states: shape (s, p), in their own units, columns in the order of `runs.states`.
            mixture: where the point is added.
            domains: which; None: all. Few of them are answered faster.
            outcomes: which; None: all. Few of them are answered faster.
            errors: whether to give half the 95% intervals too, which takes longer.

        Returns:
            Effects (s, domains, outcomes) in the order that was asked for, and half their intervals or None.

        Raises:
            CausalMixError: unknown domain or outcome, or the mixture does not fit the runs.
        """
        which, wanted = self._chosen(domains, outcomes)
        x, w = self._states(states), self._mixture(mixture)
        effect = np.zeros((len(states), len(which), len(wanted)))
        half = np.zeros_like(effect) if errors else None
        for group in self.groups:
            own = [i for i, o in enumerate(group.outcomes) if o in wanted]
            if not own:
                continue
            into = [wanted.index(group.outcomes[i]) for i in own]
            value, error = group.effects_over(x, w, which, own, errors=errors)
            effect[:, :, into] = value
            if half is not None and error is not None:
                half[:, :, into] = error * group.calibration.effect[own]
        return effect, half

    def effects_apart(
        self,
        states: np.ndarray,
        others: np.ndarray,
        mixture: Mapping[str, float],
        *,
        domains: Sequence[str] | None = None,
        outcomes: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """How much effects per +1 percentage point differ between pairs of pool states.

        Two effects that are both uncertain may differ surely, because most of what is unknown is the same for
        both; so this is not the difference of two intervals.

        Args:
            states: shape (s, p), in their own units, columns in the order of `runs.states`.
            others: shape (s, p) likewise.
            mixture: where the point is added.
            domains: which; None: all.
            outcomes: which; None: all.

        Returns:
            Effects in `others` less those in `states`, and half the 95% intervals, (s, domains, outcomes).

        Raises:
            CausalMixError: unknown domain or outcome, or the mixture does not fit the runs.
        """
        which, wanted = self._chosen(domains, outcomes)
        x, y, w = self._states(states), self._states(others), self._mixture(mixture)
        value, half = (np.zeros((len(states), len(which), len(wanted))) for _ in range(2))
        for group in self.groups:
            own = [i for i, o in enumerate(group.outcomes) if o in wanted]
            if own:
                into = [wanted.index(group.outcomes[i]) for i in own]
                value[:, :, into], error = group.effects_apart(x, y, w, which, own)
                half[:, :, into] = error * group.calibration.effect[own]
        return value, half

    def change(
        self, state: Mapping[str, float], reference: Mapping[str, float], mixture: Mapping[str, float]
    ) -> pd.DataFrame:
        """Predicted change of every outcome from `reference` to `mixture`.

        Returns:
            Columns outcome, change, lower, upper (95%); the objective is last.

        Raises:
            CausalMixError: the state or a mixture does not fit the runs.
        """
        x, start, end = self._state(state), self._mixture(reference), self._mixture(mixture)
        change = dict.fromkeys(self.outcomes, (0.0, 0.0))
        for group in self.groups:
            value, error = group.changes(x, start, end[None])
            half = error[0] * group.calibration.change
            for i, outcome in enumerate(group.outcomes):
                change[outcome] = (float(value[0, i]), float(half[i]))
        return pd.DataFrame(
            [(o, v, v - half, v + half) for o, (v, half) in change.items()],
            columns=["outcome", "change", "lower", "upper"],
        )

    def changes(
        self,
        state: Mapping[str, float],
        reference: Mapping[str, float],
        candidates: np.ndarray,
        outcome: str = OBJECTIVE,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicted change of one outcome from `reference` to many mixtures at once.

        Args:
            state: pool state by column.
            reference: where every change begins.
            candidates: mixtures, shape (m, K), columns in the order of `domains`.
            outcome: which outcome.

        Returns:
            Changes and their standard errors, shape (m,) each. `interval_quantile` standard errors are
            half a 95% interval.

        Raises:
            CausalMixError: unknown outcome, or the state or the reference does not fit the runs.
        """
        self._known(outcome)
        x, start = self._state(state), self._mixture(reference)
        if outcome not in self._place:
            return np.zeros(len(candidates)), np.zeros(len(candidates))
        group, i = self._place[outcome]
        change, error = group.changes(x, start, candidates, [i])
        return change[:, 0], error[:, 0]

    def surface(
        self,
        state: Mapping[str, float],
        candidates: np.ndarray,
        outcome: str = OBJECTIVE,
        *,
        hurried: bool = False,
    ) -> np.ndarray:
        """Expected value of one outcome at many mixtures, without its error, which takes longer.

        Args:
            state: pool state by column.
            candidates: mixtures, shape (m, K), columns in the order of `domains`.
            outcome: which outcome.
            hurried: whether a rougher answer will do, for a first ranking, where the surface has one.

        Returns:
            Shape (m,).

        Raises:
            CausalMixError: unknown outcome, or the state does not fit the runs.
        """
        self._known(outcome)
        x = self._state(state)
        if outcome not in self._place:
            return self._unexplained(outcome, len(candidates))[0]
        group, i = self._place[outcome]
        response: PointResponse = group.response.restricted([i])
        if isinstance(response, Hurries):
            states = x[None, group.states]
            response = response.most_probable() if hurried else response
        else:
            states = np.broadcast_to(x[group.states], (len(candidates), len(group.states)))
        return np.asarray(response.mean(candidates[:, group.treatments], states)[:, 0])

    def predict(
        self, mixtures: np.ndarray, states: np.ndarray, outcomes: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """What new runs would measure.

        Args:
            mixtures: shape (c, K), columns in the order of `domains`.
            states: shape (c, p) or (1, p) for all, in their own units, in the order of `runs.states`.
            outcomes: which; None: all.

        Returns:
            Columns row, outcome, mean, lower, upper: the 95% interval of one new run. An outcome that nothing
            reaches or that does not vary has the mean of the runs, and their spread as its interval.

        Raises:
            CausalMixError: unknown outcome.
        """
        wanted = list(self.outcomes if outcomes is None else outcomes)
        for outcome in wanted:
            self._known(outcome)
        columns = [self.runs.states.index(c) for c in self._scale.columns]
        x = np.broadcast_to(self._scale.standardise(states[:, columns]), (len(mixtures), len(columns)))
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for group in self.groups:
            if not set(wanted).isdisjoint(group.outcomes):
                mean, half = group.predict(x, mixtures)
                found.update((o, (mean[:, i], half[:, i])) for i, o in enumerate(group.outcomes))
        frames = []
        for outcome in wanted:
            mean, half = found.get(outcome) or self._unexplained(outcome, len(mixtures))
            frames.append(
                pd.DataFrame(
                    {
                        "row": np.arange(len(mixtures)),
                        "outcome": outcome,
                        "mean": mean,
                        "lower": mean - half,
                        "upper": mean + half,
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    def _unexplained(self, outcome: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
        from causalmix_core.effects.fitting import outcome_values

        values = outcome_values(self.runs, self.objective)[outcome].to_numpy()
        return np.full(rows, values.mean()), np.full(rows, 1.96 * values.std())

    def interval_quantile(self, outcome: str = OBJECTIVE) -> float:
        """How many standard errors half a 95% interval of a change of this outcome is."""
        self._known(outcome)
        if outcome not in self._place:
            return 0.0
        group, i = self._place[outcome]
        return float(group.calibration.change[i])

    def own_effects(self, state: Mapping[str, float], outcome: str = OBJECTIVE) -> dict[str, float]:
        """theta_k of each domain: what log(w_k + eps) does of its own; 0 where the graph has no path.

        The surface at this state is summed up by its best fit, over the mixtures of the runs, of the form
        c + sum_k theta_k log(w_k + eps), which is the form of the paper behind this project (CausalMix, arXiv
        2607.01104); estimators that have it get their own coefficients back.

        Raises:
            CausalMixError: unknown outcome, or the state does not fit the runs.
        """
        self._known(outcome)
        x = self._state(state)
        theta = np.zeros(len(self.domains))
        if outcome in self._place:
            group, i = self._place[outcome]
            weights = group.sample.weights
            surface = group.response.restricted([i]).mean(
                weights, np.tile(x[group.states], (len(weights), 1))
            )[:, 0]
            design = np.column_stack([np.ones(len(weights)), np.log(weights + OWN_EPSILON)])
            theta[group.treatments] = np.linalg.lstsq(design, surface, rcond=None)[0][1:]
        return dict(zip(self.domains, theta.tolist(), strict=True))

    def extrapolation(self, state: Mapping[str, float]) -> str | None:
        """A warning when `state` lies outside what the runs have seen; None when it does not.

        The distance is Mahalanobis': in standard deviations of the runs' states, correlation allowed
        for. It warns beyond the furthest run.

        Raises:
            CausalMixError: a state of the runs is missing or not finite.
        """
        x = self._state(state)
        said = [
            f"{c} was {value:.4g} in every run and is {state[c]:.4g} here, so its influence is unknown."
            for c, value in self._scale.constant.items()
            if not math.isclose(state[c], value, rel_tol=1e-6, abs_tol=1e-9)
        ]
        if self._inverse is not None:
            distance = float(np.sqrt(x @ self._inverse @ x))
            if distance > self._furthest:
                said.append(
                    f"This pool state lies {distance:.1f} standard deviations (Mahalanobis distance) from "
                    f"the centre of the runs' states; the furthest run lies at {self._furthest:.1f}. "
                    "Effects here are extrapolated: launch probes at this state before relying on them."
                )
        return " ".join(said) or None

    def _chosen(
        self, domains: Sequence[str] | None, outcomes: Sequence[str] | None
    ) -> tuple[list[int], list[str]]:
        """Indices of the domains and names of the outcomes that are asked for; None: all."""
        wanted = list(self.outcomes if outcomes is None else outcomes)
        for outcome in wanted:
            self._known(outcome)
        if unknown := [d for d in domains or () if d not in self.domains]:
            raise CausalMixError(
                f"There is no domain {', '.join(unknown)} in this model; it has: {', '.join(self.domains)}."
            )
        return [self.domains.index(d) for d in (self.domains if domains is None else domains)], wanted

    def _states(self, states: np.ndarray) -> np.ndarray:
        """Rows of all states of the runs, in their own units, as standardised rows of those that vary."""
        columns = [self.runs.states.index(c) for c in self._scale.columns]
        return self._scale.standardise(states[:, columns])

    def _known(self, outcome: str) -> None:
        if outcome not in self.outcomes:
            raise CausalMixError(
                f"There is no outcome {outcome} in this model; it has: {', '.join(self.outcomes)}."
            )

    def _state(self, state: Mapping[str, float]) -> np.ndarray:
        needed = [*self._scale.columns, *self._scale.constant]
        bad = [c for c in needed if c not in state or not math.isfinite(state[c])]
        if bad:
            raise CausalMixError(
                f"The pool state has no finite value of {', '.join(sorted(bad))}, which the runs have. "
                "Give one for each of: " + ", ".join(sorted(needed)) + "."
            )
        return self._scale.standardise(np.array([state[c] for c in self._scale.columns], dtype=float))

    def _mixture(self, mixture: Mapping[str, float]) -> np.ndarray:
        return np.array(list(check_mixture(mixture, self.domains).values()))

    def _basis(self, outcome: str, domain: str) -> str:
        found = self.identifications[outcome]
        node = WEIGHT + domain
        if not found.treatments:
            return found.reason
        if outcome not in self._place:
            return f"{outcome} has the same value in every run, so no effect can be seen."
        if not found.identified:
            return found.reason
        if node in found.excluded:
            return (
                f"No path from {node} to {outcome} in the graph: no effect of its own; what remains comes "
                "from the domains that it displaces."
            )
        held = f"holding {', '.join(found.held)} fixed" if found.held else "nothing to hold fixed"
        return f"{node} has a path to {outcome} in the graph; {held}."
