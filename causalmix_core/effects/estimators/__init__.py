"""The estimators, one small module each, and what they are called.

`ESTIMATORS` is the only list of them: pages, command line, leaderboard and docs read it.
"""

from __future__ import annotations

from typing import Literal, get_args

from causalmix_core.effects.estimators.averaging import LawAverage
from causalmix_core.effects.estimators.boosting import RegMixBoosting, StateBoosting
from causalmix_core.effects.estimators.discrepancy import with_error
from causalmix_core.effects.estimators.dml import DoubleMachineLearning
from causalmix_core.effects.estimators.gaussian_process import GaussianProcess
from causalmix_core.effects.estimators.mixing_law import MixingLaw
from causalmix_core.effects.estimators.protocol import Estimator, EstimatorInfo, PointResponse, Response
from causalmix_core.effects.estimators.regression import LinearRegression

__all__ = [
    "ESTIMATORS",
    "ESTIMATOR_NAMES",
    "Estimator",
    "EstimatorInfo",
    "EstimatorName",
    "PointResponse",
    "Response",
    "with_error",
]

EstimatorName = Literal[
    "gaussian_process",
    "gp_law",
    "mixing_law",
    "causal_forest_dml",
    "causal_forest_dml_curved",
    "linear_dml",
    "linear_dml_curved",
    "s_learner",
    "lightgbm",
    "linear_regression",
]
ESTIMATOR_NAMES: tuple[EstimatorName, ...] = get_args(EstimatorName)

TREE_STEP = 0.10

ESTIMATORS: dict[EstimatorName, EstimatorInfo] = {
    "gaussian_process": EstimatorInfo(
        label="Gaussian process",
        source="Rasmussen and Williams 2006; additive kernel of Duvenaud, Nickisch and Rasmussen 2011",
        summary="A smooth surface over mixture and pool state that says how sure it is everywhere. The "
        "most accurate from a few runs on; slow beyond some thousand runs.",
        make=GaussianProcess,
        probabilistic=True,
        few_runs=True,
    ),
    "gp_law": EstimatorInfo(
        label="Gaussian process and mixing law",
        source="mean of the two; laws: Ye et al. 2024 (Data Mixing Laws, arXiv 2403.16952)",
        summary="The mean of the Gaussian process and the mixing law. Better than either with very few "
        "runs, and where the model to be trained is much larger than the proxies.",
        make=LawAverage,
        probabilistic=True,
        few_runs=True,
    ),
    "mixing_law": EstimatorInfo(
        label="Mixing law",
        source="power law in a weighted sum of the weights, after Ye et al. 2024 (arXiv 2403.16952)",
        summary="Assumes that each outcome is a power of the useful part of the mixture. Needs few runs and "
        "carries over to larger models; wrong where domains work against each other, and blind to the pool "
        "state, so it is biased where the state decided the mixtures.",
        make=MixingLaw,
        uses_state=False,
        few_runs=True,
    ),
    "causal_forest_dml": EstimatorInfo(
        label="Causal forest DML (as in the paper)",
        source="CausalMix, arXiv 2607.01104; Athey, Tibshirani and Wager 2019; Chernozhukov et al. 2018",
        summary="Takes out what the pool state explains by boosted trees, then lets a forest find where "
        "effects of the logarithms of the weights differ. Needs 50 to 100 runs per domain; far below, one "
        "effect holds for all pool states.",
        make=lambda: DoubleMachineLearning("forest", "log", nuisance="boosting"),
        orthogonal=True,
    ),
    "causal_forest_dml_curved": EstimatorInfo(
        label="Causal forest DML, curved",
        source="Athey, Tibshirani and Wager 2019, on weights and their squares or w log w",
        summary="The causal forest on the weights themselves and terms that bend them, with ridge "
        "regressions for what the pool state explains. Needs 50 to 100 runs per domain.",
        make=lambda: DoubleMachineLearning("forest", "curved", nuisance="ridge"),
        orthogonal=True,
    ),
    "linear_dml": EstimatorInfo(
        label="Linear DML",
        source="Chernozhukov et al. 2018, on log weights",
        summary="Double machine learning whose effects depend linearly on the pool state. Steady with few "
        "runs; the logarithm is its only bend.",
        make=lambda: DoubleMachineLearning("linear", "log", nuisance="ridge"),
        orthogonal=True,
    ),
    "linear_dml_curved": EstimatorInfo(
        label="Linear DML, curved",
        source="Chernozhukov et al. 2018, on weights and their squares or w log w",
        summary="Linear DML on the weights themselves and terms that bend them. Good where the pool "
        "state decided the mixtures and the surface is simple; poor with many domains and few runs.",
        make=lambda: DoubleMachineLearning("linear", "curved", nuisance="ridge"),
        orthogonal=True,
    ),
    "s_learner": EstimatorInfo(
        label="S-learner (LightGBM on mixture and state)",
        source="Künzel et al. 2019; LightGBM, Ke et al. 2017",
        summary="One boosted model of mixture and pool state together, with small trees. It ranks mixtures "
        "from a few dozen runs, but its effects need hundreds: its surface is made of steps, and effects "
        "are means over ten points.",
        make=StateBoosting,
        step=TREE_STEP,
    ),
    "lightgbm": EstimatorInfo(
        label="LightGBM (as in RegMix)",
        source="RegMix, Liu et al. 2024 (arXiv 2407.01492)",
        summary="Boosted trees on the weights alone, with RegMix's settings. It learns nothing from fewer "
        "than 40 runs, is good from some hundreds on, and ignores the pool state, so it is biased where the "
        "state decided the mixtures.",
        make=RegMixBoosting,
        step=TREE_STEP,
        uses_state=False,
    ),
    "linear_regression": EstimatorInfo(
        label="Linear regression (as in RegMix)",
        source="RegMix, Liu et al. 2024 (arXiv 2407.01492)",
        summary="A straight line in the weights alone, for comparison: it has no bend, so everything it "
        "suggests is a corner.",
        make=LinearRegression,
        uses_state=False,
    ),
}
