"""econml's double machine learning behind one protocol.

All variants fit y = g(x) + theta(x)' phi(w) + noise: cross-fitted nuisance models predict outcome and
treatment features from the pool state, and the residuals are regressed on each other (Chernozhukov et al.
2018). What the state does to the losses *and* to the choice of mixtures is taken out before any effect is
estimated, so mixtures that somebody chose with the pool in view do not bias it. theta is linear in the states
that may modify effects, or a forest over them (Athey, Tibshirani and Wager 2019) as in the paper behind this
project (CausalMix, arXiv 2607.01104).

The nuisance models of outcomes and treatments are one and the same with fixed settings. A penalty chosen by
cross-validation comes out differently for the two; what of the pool state is left in the one and not in the
other then reads as an effect. With 24 runs of 6 domains that doubled the error.

Where there are few runs, effects that differ between pool states are noise. Below `RUNS_PER_PARAMETER` runs
for each of them one effect holds for all states, and the fit says so in its `notes`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from causalmix_core.effects.estimators.protocol import PointResponse
from causalmix_core.effects.features import StandardMap, choose_curved_map, choose_log_map
from causalmix_core.effects.sample import Sample
from causalmix_core.errors import CausalMixError

Final = Literal["linear", "forest"]
Features = Literal["log", "curved"]
Nuisance = Literal["ridge", "boosting"]

FOLDS = 5
TREES = 100
"""Enough on simulated worlds: more trees did not come closer to the true effects."""
LEAF = 20
"""Smallest leaf of a tree, in runs."""
RUNS_PER_PARAMETER = 10
"""Runs for each domain, and again for each pool state that may modify its effect."""
RUNS_PER_CURVE = 8
"""Runs for each product of states in a nuisance model."""


@dataclass(frozen=True)
class DmlResponse:
    """Baseline of the pool state, plus theta(x) times what the weights add to what the state made likely.

    Attributes:
        map: from weights to standardised features.
        modifiers: columns of the state that theta depends on; empty: one theta for all states.
        controls: the other columns of the state.
        level: mean of the outcomes, shape (m,).
        spread: their standard deviation, shape (m,); the model is fitted to standardised outcomes.
        model: the fitted econml estimator.
        outcomes: which of its outcomes to answer for.
        notes: what a curator should know of this fit, in sentences.
    """

    map: StandardMap
    modifiers: np.ndarray
    controls: np.ndarray
    level: np.ndarray
    spread: np.ndarray
    model: Any
    outcomes: np.ndarray
    notes: tuple[str, ...]

    def mean(self, weights: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Expected outcomes, shape (r, m)."""
        # A search asks for a hundred thousand mixtures in one state; it is looked up once.
        at = state[:1] if (state == state[:1]).all() else state
        m, chosen, features = len(self.level), self.outcomes, self.map.features(weights)
        inputs = _nuisance_inputs(at[:, self.modifiers], at[:, self.controls])
        with _quiet():
            baseline = np.mean([f.predict(inputs).reshape(-1, m) for f in self.model.models_y[0]], axis=0)
            expected = np.mean(
                [f.predict(inputs).reshape(-1, self.map.size) for f in self.model.models_t[0]], axis=0
            )
        theta, moved = self.theta(at)[:, chosen], features - expected
        gained = moved @ theta[0].T if len(theta) == 1 else np.einsum("rmf,rf->rm", theta, moved)
        return np.asarray(self.level[chosen] + self.spread[chosen] * (baseline[:, chosen] + gained))

    def restricted(self, outcomes: Sequence[int]) -> DmlResponse:
        """The same fit, answering for some of the outcomes only."""
        return replace(self, outcomes=self.outcomes[outcomes])

    def theta(self, state: np.ndarray) -> np.ndarray:
        """Effect of each standardised feature on each standardised outcome.

        Returns:
            Shape (r, all outcomes, features), or (1, ...) where it is the same in all states.
        """
        x = state[:, self.modifiers] if len(self.modifiers) else None
        with _quiet():
            theta = np.asarray(self.model.const_marginal_effect(x))
        return theta.reshape(-1, len(self.level), self.map.size)


class DoubleMachineLearning:
    """LinearDML or CausalForestDML on bent features of the weights."""

    def __init__(self, final: Final, features: Features, nuisance: Nuisance) -> None:
        """Choose a variant.

        Args:
            final: how theta depends on the pool state.
            features: logarithms of the weights, or the weights and their curvature.
            nuisance: what predicts outcomes and features from the pool state.
        """
        self.final = final
        self.features = features
        self.nuisance = nuisance

    def fit(self, sample: Sample, seed: int) -> DmlResponse:
        """Fit all outcomes together; the seed decides folds and trees.

        Raises:
            CausalMixError: all runs have the same mixture.
        """
        level, spread = sample.outcomes.mean(axis=0), sample.outcomes.std(axis=0)
        scaled = (sample.outcomes - level) / spread
        choose = choose_log_map if self.features == "log" else choose_curved_map
        modifiers, notes = _affordable_modifiers(sample)
        chosen = choose(sample.weights, sample.state, modifiers, scaled)
        if not chosen.size:
            raise CausalMixError(
                "All runs have the same mixture, so nothing tells what moving a weight would do. Launch "
                "probes with different mixtures."
            )
        controls = np.setdiff1d(np.arange(sample.state.shape[1]), modifiers)
        model = self._model(len(sample), sample.state.shape[1], len(modifiers) > 0, seed)
        with _quiet():
            model.fit(
                scaled,
                chosen.features(sample.weights),
                X=sample.state[:, modifiers] if len(modifiers) else None,
                W=sample.state[:, controls] if len(controls) else None,
                inference=None,
            )
        every = np.arange(len(level))
        return DmlResponse(chosen, modifiers, controls, level, spread, model, every, notes)

    def _model(self, runs: int, states: int, modified: bool, seed: int) -> Any:  # noqa: ANN401
        from econml.dml import CausalForestDML, LinearDML

        first = {
            "model_y": nuisance_model(self.nuisance, runs, states),
            "model_t": nuisance_model(self.nuisance, runs, states),
            "cv": FOLDS,
            "random_state": seed,
        }
        # A forest with nothing to split on is a linear regression, slower.
        if self.final == "linear" or not modified:
            return LinearDML(**first)
        return CausalForestDML(**first, n_estimators=TREES, min_samples_leaf=LEAF, n_jobs=1, inference=False)


def _affordable_modifiers(sample: Sample) -> tuple[np.ndarray, tuple[str, ...]]:
    """The modifiers, or none and a note where there are too few runs for them."""
    needed = RUNS_PER_PARAMETER * sample.weights.shape[1] * (1 + len(sample.modifiers))
    if not len(sample.modifiers) or len(sample) >= needed:
        return sample.modifiers, ()
    note = (
        f"One effect for all pool states: effects that depend on the state need about {needed} runs "
        f"({RUNS_PER_PARAMETER} per parameter), and there are {len(sample)}."
    )
    return np.array([], dtype=int), (note,)


def nuisance_model(kind: Nuisance, runs: int, states: int) -> Any:  # noqa: ANN401
    """An unfitted model of several targets on the standardised states."""
    if kind == "boosting":
        from lightgbm import LGBMRegressor
        from sklearn.multioutput import MultiOutputRegressor

        return MultiOutputRegressor(
            LGBMRegressor(
                n_estimators=60,
                learning_rate=0.1,
                num_leaves=4,
                min_child_samples=max(5, runs // 25),
                n_jobs=1,
                deterministic=True,
                force_row_wise=True,
                verbosity=-1,
                random_state=0,
            )
        )
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    quadratic = states * (states + 3) // 2
    if states and runs >= RUNS_PER_CURVE * quadratic:
        return make_pipeline(PolynomialFeatures(2, include_bias=False), StandardScaler(), Ridge(alpha=1.0))
    return make_pipeline(StandardScaler(), Ridge(alpha=1.0))


def _nuisance_inputs(*states: np.ndarray) -> np.ndarray:
    """States beside each other, for econml modifiers first; where there are none a column of ones."""
    inputs = np.hstack(states)
    return inputs if inputs.shape[1] else np.ones((len(inputs), 1))


def residual_score(train: Sample, held: Sample, response: PointResponse) -> np.ndarray:
    """How much of what the pool state leaves unexplained in held-out outcomes the effects explain.

    The R-loss of Nie and Wager (2021, "Quasi-oracle estimation of heterogeneous treatment effects"), which
    econml's RScorer uses: what is left of an outcome once the state's prediction is taken out, against what
    is left of the effect of its mixture once the mean effect in its state is taken out. Only effects count;
    what a surface says of the state itself does not. Unlike econml's, the score is relative to no effect at
    all rather than to one effect for all states, and any surface can be scored.

    Args:
        train: the runs that the response was fitted to; the nuisance models are fitted to them too.
        held: runs that neither has seen.
        response: a surface fitted to `train`.

    Returns:
        Shape (m,): 1 where the effects explain everything, 0 where they do as well as none, negative below.
    """
    centre = train.weights.mean(axis=0)

    def effect(sample: Sample) -> np.ndarray:
        still = np.broadcast_to(centre, sample.weights.shape)
        return np.asarray(response.mean(sample.weights, sample.state) - response.mean(still, sample.state))

    model = nuisance_model("ridge", len(train), train.state.shape[1])
    model.fit(_nuisance_inputs(train.state), np.hstack([train.outcomes, effect(train)]))
    outcome, expected = np.hsplit(model.predict(_nuisance_inputs(held.state)), 2)
    left = held.outcomes - outcome
    unexplained = ((left - (effect(held) - expected)) ** 2).sum(axis=0)
    return np.asarray(1 - unexplained / (left**2).sum(axis=0))


def _quiet() -> warnings.catch_warnings:
    """econml warns of a rank it handles and of column vectors it reshapes; none of it is for a curator."""
    return warnings.catch_warnings(action="ignore")
