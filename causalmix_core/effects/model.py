"""Effects fitted to the runs, and what can be asked of them.

Each outcome gets its own features: the weights that the graph lets reach it. Outcomes with the same
weights and modifiers are fitted together. The objective, a weighted mean of the losses, is fitted as
one more outcome, because the interval of a mean does not follow from the intervals of its parts.

The graph's exclusions act on theta_k, the effect that domain k has of its own. What is shown, the effect
of +1 percentage point taken from the others in proportion, is then rarely zero: a domain without a path
to a loss still displaces those that have one. Setting it to zero would break sum_k w_k effect_k = 0.

Intervals are nominal 95 %: the larger of econml's variance and that of `discrepancy`, with a t quantile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from causalmix_core.effects.discrepancy import Discrepancy
from causalmix_core.effects.estimators import EffectEstimator, EstimatorName, make_estimator
from causalmix_core.effects.features import LogMap, choose_log_map
from causalmix_core.effects.identification import Identification, identify
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import CausalGraph
from causalmix_core.mixture.simplex import check_mixture
from causalmix_core.probes.runs import WEIGHT, RunTable

OBJECTIVE = "objective"
"""The weighted mean of the losses, as an outcome; lower is better."""

CONFIDENCE = 0.95
POINT = 0.01
"""One percentage point of weight."""
HELD_OUT_FOLDS = 5
RUNS_PER_PARAMETER = 10
"""Below this, effects that differ between pool states are noise and one effect for all states is fitted."""
RUNS_PER_DOMAIN = 50
"""Below this per domain, effects that differ between pool states hardly beat staying put."""

Progress = Callable[[float, str], None]


def minimum_runs(domains: int) -> int:
    """The fewest finished probes that effects are fitted to: three per domain and six more.

    One parameter per domain, an intercept and some pool state then leave more than half of the runs to
    judge the fit by. Intervals are wide at this size; 50 to 100 runs per domain are comfortable.
    """
    return 3 * domains + 6


@dataclass(frozen=True)
class _StateScale:
    """The pool states that vary in the runs, and how they are standardised."""

    columns: list[str]
    mean: np.ndarray
    spread: np.ndarray
    constant: dict[str, float]

    @classmethod
    def of(cls, runs: RunTable) -> _StateScale:
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
        return np.asarray((values - self.mean) / self.spread)


@dataclass
class _Fit:
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


class EffectModel:
    """What `fit_effects` learned from the runs.

    Attributes:
        domains: domain names, sorted.
        outcomes: the outcomes of the runs and `objective` last.
        estimator: which estimator was fitted.
        objective: share of each outcome in the objective; sums to one.
        identifications: what the graph says, by outcome, the objective included.
        scores: columns outcome, spearman, r2, baseline, n: how well runs were predicted by fits that
            had not seen them (5 folds). r2 and baseline compare with the mean of the other runs, which
            is the best constant, so baseline is 0.
        notes: what to know before trusting any of it, in plain words.
        domain_box: index domain, columns lower and upper: the range of each weight in 98 % of the runs.
    """

    def __init__(
        self,
        *,
        estimator: EstimatorName,
        objective: dict[str, float],
        identifications: dict[str, Identification],
        runs: RunTable,
        scale: _StateScale,
        fits: list[_Fit],
        scores: pd.DataFrame,
        notes: list[str],
    ) -> None:
        self.domains = list(runs.domains)
        self.outcomes = [*runs.outcomes, OBJECTIVE]
        self.estimator = estimator
        self.objective = objective
        self.identifications = identifications
        self.scores = scores
        self.notes = notes
        weights = runs.weights()
        self.domain_box = pd.DataFrame(
            {"lower": np.quantile(weights, 0.01, axis=0), "upper": np.quantile(weights, 0.99, axis=0)},
            index=pd.Index(self.domains, name="domain"),
        )
        self._scale = scale
        self._fits = fits
        self._place = {o: (f, i) for f in fits for i, o in enumerate(f.outcomes)}
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
            Columns domain, outcome, effect, lower, upper (95 %), distinguishable (the interval does not
            hold 0), basis (the statement of the graph that it rests on). Units of the outcome.

        Raises:
            CausalMixError: the state or the mixture does not fit the runs.
        """
        x, w = self._state(state), self._mixture(mixture)
        effect = np.zeros((len(self.outcomes), len(self.domains)))
        width = np.zeros_like(effect)
        for fit in self._fits:
            value, error = fit.effects(x, w)
            rows = [self.outcomes.index(o) for o in fit.outcomes]
            effect[rows] = value.T
            width[rows] = (error * _quantile(fit)).T
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

    def change(
        self, state: Mapping[str, float], reference: Mapping[str, float], mixture: Mapping[str, float]
    ) -> pd.DataFrame:
        """Predicted change of every outcome from `reference` to `mixture`.

        Returns:
            Columns outcome, change, lower, upper (95 %); the objective is last.

        Raises:
            CausalMixError: the state or a mixture does not fit the runs.
        """
        x, start, end = self._state(state), self._mixture(reference), self._mixture(mixture)
        change = dict.fromkeys(self.outcomes, (0.0, 0.0))
        for fit in self._fits:
            value, error = fit.changes(x, start, end[None], slice(None))
            for i, outcome in enumerate(fit.outcomes):
                change[outcome] = (float(value[0, i]), float(error[0, i] * _quantile(fit)))
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
            half a 95 % interval.

        Raises:
            CausalMixError: unknown outcome, or the state or the reference does not fit the runs.
        """
        self._known(outcome)
        x, start = self._state(state), self._mixture(reference)
        if outcome not in self._place:
            return np.zeros(len(candidates)), np.zeros(len(candidates))
        fit, i = self._place[outcome]
        change, error = fit.changes(x, start, candidates, slice(i, i + 1))
        return change[:, 0], error[:, 0]

    def interval_quantile(self, outcome: str = OBJECTIVE) -> float:
        """How many standard errors half a 95 % interval of this outcome is (a t quantile)."""
        self._known(outcome)
        return _quantile(self._place[outcome][0]) if outcome in self._place else 0.0

    def own_effects(self, state: Mapping[str, float], outcome: str = OBJECTIVE) -> dict[str, float]:
        """theta_k of log(w_k + eps) for each domain; 0 where the graph has no path.

        Raises:
            CausalMixError: unknown outcome, or the state does not fit the runs.
        """
        self._known(outcome)
        x = self._state(state)
        theta = np.zeros(len(self.domains))
        if outcome in self._place:
            fit, i = self._place[outcome]
            theta[fit.treatments] = fit.own_effects(x)[i]
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
        held = f"holding {', '.join(found.adjustment)} fixed" if found.adjustment else "nothing to adjust for"
        return f"{node} has a path to {outcome} in the graph; {held}."


def fit_effects(
    runs: RunTable,
    graph: CausalGraph,
    *,
    estimator: EstimatorName = "linear_dml",
    objective: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> EffectModel:
    """Estimate the effects of the mixture on every outcome and on the objective.

    Args:
        runs: finished probes.
        graph: says which weights reach which outcome and what to adjust for.
        estimator: `linear_dml` or `causal_forest_dml`.
        objective: importance of each outcome; None or empty: all the same.
        seed: of cross-fitting, folds and trees.
        progress: called with the fraction done and what is being done.

    Raises:
        CausalMixError: too few runs, a graph or an objective that does not fit them.
    """
    say = progress or (lambda fraction, text: None)
    _check(runs, graph)
    shares = _shares(objective or {}, runs.outcomes)
    identifications: dict[str, Identification] = {}
    for i, outcome in enumerate(runs.outcomes):
        say(0.2 * i / len(runs.outcomes), f"Identifying effects on {outcome}")
        identifications[outcome] = identify(graph, outcome, runs.states)
    identifications[OBJECTIVE] = _objective_identification(
        [identifications[o] for o, share in shares.items() if share > 0]
    )
    scale = _StateScale.of(runs)
    weights, state = runs.weights(), scale.standardise(runs.state(scale.columns))
    outcomes = runs.frame[runs.outcomes].astype(float)
    outcomes = outcomes.assign(**{OBJECTIVE: outcomes.to_numpy() @ np.array(list(shares.values()))})
    notes: list[str] = []
    fits = _plan(runs, outcomes, identifications, scale, estimator, seed, notes)
    for i, fit in enumerate(fits):
        say(0.2 + 0.3 * i / len(fits), "Fitting " + ", ".join(fit.outcomes))
        fit.fit(weights, state, outcomes[fit.outcomes].to_numpy(), intervals=True)
    scores = _scores(fits, weights, state, outcomes, seed, lambda f, text: say(0.5 + 0.5 * f, text))
    notes = [*_notes(runs, identifications, scale), *notes]
    say(1.0, "Effects are ready")
    return EffectModel(
        estimator=estimator,
        objective=shares,
        identifications=identifications,
        runs=runs,
        scale=scale,
        fits=fits,
        scores=scores,
        notes=notes,
    )


def _quantile(fit: _Fit) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, fit.discrepancy.degrees_of_freedom))


def _check(runs: RunTable, graph: CausalGraph) -> None:
    needed = max(minimum_runs(len(runs.domains)), 2 * (1 + len(runs.domains) + len(runs.states)))
    if len(runs.domains) < 2:
        raise CausalMixError("Effects need at least two domains: with one, no weight can move.")
    if len(runs) < needed:
        raise CausalMixError(
            f"There are {len(runs)} finished probes, but effects of {len(runs.domains)} domains and "
            f"{len(runs.states)} pool states need at least {needed}. Launch {needed - len(runs)} more."
        )
    nodes = {n.id for n in graph.nodes}
    missing = [c for c in [*runs.weight_columns, *runs.outcomes] if c not in nodes]
    strange = sorted(n.id for n in graph.nodes if n.tier == "weight" and n.id not in runs.weight_columns)
    if missing or strange:
        raise CausalMixError(
            "The graph is not one of these runs: "
            + "; ".join(
                [f"it lacks {', '.join(missing)}"] * bool(missing)
                + [f"the runs lack {', '.join(strange)}"] * bool(strange)
            )
            + ". Discover the graph again from these runs."
        )


def _shares(objective: Mapping[str, float], outcomes: list[str]) -> dict[str, float]:
    """Importance of each outcome as shares that sum to one, in the order of `outcomes`."""
    unknown = sorted(set(objective) - set(outcomes))
    bad = sorted(o for o, v in objective.items() if not math.isfinite(v) or v < 0)
    if unknown or bad:
        problem = (
            f"{', '.join(unknown)} is no outcome of the runs"
            if unknown
            else f"the importance of {', '.join(bad)} is negative or not finite"
        )
        raise CausalMixError(f"The objective does not fit: {problem}. Outcomes: {', '.join(outcomes)}.")
    total = math.fsum(objective.values())
    if objective and total <= 0:
        raise CausalMixError("Every outcome of the objective has importance 0. Give one of them more.")
    if not objective:
        return {o: 1 / len(outcomes) for o in outcomes}
    return {o: objective.get(o, 0.0) / total for o in outcomes}


def _objective_identification(parts: list[Identification]) -> Identification:
    """What holds for a mean of outcomes: it can be reached by whatever reaches one of them."""
    treatments = sorted({t for p in parts for t in p.treatments})
    weights = sorted({w for p in parts for w in (*p.treatments, *p.excluded)})
    adjustment = sorted({a for p in parts for a in p.adjustment})
    open_ = [p for p in parts if not p.identified]
    if open_:
        reason = open_[0].reason
    elif not treatments:
        reason = "No weight has a path to any outcome of the objective, so its effect is 0."
    else:
        held = f"{', '.join(adjustment)} held fixed" if adjustment else "nothing to adjust for"
        reason = f"The objective is reached by whatever reaches one of its outcomes; {held}."
    return Identification(
        outcome=OBJECTIVE,
        treatments=tuple(treatments),
        excluded=tuple(w for w in weights if w not in treatments),
        adjustment=tuple(adjustment),
        modifiers=tuple(sorted({m for p in parts for m in p.modifiers})),
        identified=not open_,
        reason=reason,
    )


def _plan(
    runs: RunTable,
    outcomes: pd.DataFrame,
    identifications: dict[str, Identification],
    scale: _StateScale,
    estimator: EstimatorName,
    seed: int,
    notes: list[str],
) -> list[_Fit]:
    """Unfitted fits, one for each set of weights and modifiers; adds to `notes`."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    too_few = 0
    for outcome, found in identifications.items():
        values = outcomes[outcome].to_numpy()
        if found.treatments and np.ptp(values) <= 1e-12 * max(np.abs(values).max(), 1e-300):
            notes.append(f"{outcome} has the same value in every run: its effects are shown as 0.")
            continue
        if not found.treatments:
            continue
        modifiers = tuple(m for m in found.modifiers if m in scale.columns)
        needed = RUNS_PER_PARAMETER * len(found.treatments) * (1 + len(modifiers))
        if modifiers and len(runs) < needed:
            too_few = max(too_few, needed)
            modifiers = ()
        groups.setdefault((found.treatments, modifiers), []).append(outcome)
    if too_few:
        notes.append(
            f"One effect for all pool states: effects that depend on the state need about {too_few} runs "
            f"({RUNS_PER_PARAMETER} per parameter), and there are {len(runs)}. The intervals allow for it."
        )
    return [
        _Fit(
            outcomes=names,
            treatments=np.array([runs.weight_columns.index(t) for t in treatments]),
            modifiers=np.array([scale.columns.index(m) for m in modifiers], dtype=int),
            seed=seed,
            name=estimator,
        )
        for (treatments, modifiers), names in groups.items()
    ]


def _scores(
    fits: list[_Fit],
    weights: np.ndarray,
    state: np.ndarray,
    outcomes: pd.DataFrame,
    seed: int,
    say: Progress,
) -> pd.DataFrame:
    """Predict every run by a fit that has not seen it; choice of eps and nuisances included."""
    from scipy.stats import spearmanr

    n = len(outcomes)
    fold = np.random.default_rng(seed).permutation(n) % HELD_OUT_FOLDS
    rows = []
    for i, fit in enumerate(fits):
        truth = outcomes[fit.outcomes].to_numpy()
        predicted, constant = np.empty_like(truth), np.empty_like(truth)
        for k in range(HELD_OUT_FOLDS):
            say((i + k / HELD_OUT_FOLDS) / len(fits), f"Scoring on held-out runs, fold {k + 1}")
            seen, held = fold != k, fold == k
            part = _Fit(fit.outcomes, fit.treatments, fit.modifiers, seed, fit.name)
            part.fit(weights[seen], state[seen], truth[seen], intervals=False)
            predicted[held] = part.predict(weights[held], state[held])
            constant[held] = truth[seen].mean(axis=0)
        error = ((truth - predicted) ** 2).sum(axis=0) / ((truth - constant) ** 2).sum(axis=0)
        for j, outcome in enumerate(fit.outcomes):
            varies = np.ptp(predicted[:, j]) > 0
            rank = float(spearmanr(predicted[:, j], truth[:, j]).statistic) if varies else math.nan
            rows.append((outcome, rank, float(1 - error[j]), 0.0, n))
    done = {row[0] for row in rows}
    rows += [(o, math.nan, 0.0, 0.0, n) for o in outcomes.columns if o not in done]
    order = {o: i for i, o in enumerate(outcomes.columns)}
    rows.sort(key=lambda row: order[row[0]])
    return pd.DataFrame(rows, columns=["outcome", "spearman", "r2", "baseline", "n"])


def _notes(runs: RunTable, identifications: dict[str, Identification], scale: _StateScale) -> list[str]:
    notes = []
    assignment = set(runs.frame["assignment"].dropna()) if "assignment" in runs.frame else set()
    if assignment == {"randomised"}:
        notes.append(
            "The mixtures of all runs were drawn at random: nothing confounds them, and double machine "
            "learning mainly reduces noise here. A plain regression would say much the same."
        )
    elif assignment:
        notes.append(
            f"Some runs are {' and '.join(sorted(assignment - {'randomised'}))}: their mixtures were "
            "chosen knowing something. The effects are as good as the adjustment that the graph asks for."
        )
    comfortable = RUNS_PER_DOMAIN * len(runs.domains)
    if len(runs) < comfortable:
        notes.append(
            f"{len(runs)} runs for {len(runs.domains)} domains are few: 50 to 100 per domain "
            f"({comfortable} to {2 * comfortable}) are needed to see how effects depend on the pool state. "
            "With fewer, expect wide intervals."
        )
    if scale.constant:
        notes.append(
            f"{', '.join(scale.constant)} is the same in every run: how effects depend on it is unknown."
        )
    if not runs.states:
        notes.append("The runs carry no pool state: effects hold for the pool that they were trained on.")
    notes += [f"{o}: {f.reason}" for o, f in identifications.items() if not f.identified and o != OBJECTIVE]
    return notes
