"""What the views of the mixture page are about: a question, the effects that answer it, what was computed.

Effects come from the runs of one pool, the home; the mixture may be for another one, after a pool shift. What
takes more than a moment is computed once per question and shared by all visitors; its key says all that it
depends on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE, EffectModel, EstimatorName
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import (
    POLICIES,
    POLICY_NAMES,
    Constraints,
    Limits,
    Mixture,
    PolicyName,
    Range,
    Suggestion,
    allowed_ranges,
    ask,
    pareto_front,
    pose,
    resolve,
)
from causalmix_core.mixture.shift import moved_question
from causalmix_core.mixture.store import Asked
from causalmix_core.mixture.waterfall import contributions
from causalmix_core.probes import LOSS
from causalmix_core.question import Question
from causalmix_core.workspace import Workspace
from pages.widgets.shell import fit_key

Key = tuple[object, ...]
FOR_POOL = "mixture_for"
"""Where the session keeps the snapshot that the mixture is for, where it is not the pool of the runs."""


@dataclass(frozen=True)
class Desk:
    """A question, the effects that answer it, and the training run that the mixture is for.

    Attributes:
        workspace: where all of it lies.
        home: the question about the pool of the runs.
        question: the question about the pool that the mixture is for; mostly the same.
        estimator: which learned the effects.
        model: the effects.
        budget: tokens of the training run.
    """

    workspace: Workspace
    home: Question
    question: Question
    estimator: EstimatorName
    model: EffectModel
    budget: int

    @property
    def key(self) -> Key:
        """Everything that answers depend on, besides what is asked."""
        question = self.question
        return (
            *fit_key(self.workspace, self.home, self.estimator),
            question.pool,
            tuple(sorted(question.state.items())),
            tuple(sorted(question.reference.items())),
        )

    @property
    def tokens(self) -> dict[str, int] | None:
        """Tokens of the pool by domain; None where only its runs are known."""
        return self.question.snapshot.tokens() if self.question.snapshot else None

    @property
    def moved(self) -> bool:
        """Whether the mixture is for another pool than that of the runs."""
        return self.question.pool != self.home.pool


def outcome_name(outcome: str) -> str:
    """An outcome as it is written on the page."""
    return "objective" if outcome == OBJECTIVE else outcome.removeprefix(LOSS)


def sorted_outcomes(desk: Desk) -> list[str]:
    """What can be looked at, the objective first."""
    return [OBJECTIVE, *desk.question.runs.outcomes]


def unit_of(desk: Desk) -> str:
    """The unit of the objective, with a space before it; empty where outcomes of several kinds count."""
    return " nats" if all(o.startswith(LOSS) for o in desk.question.objective) else ""


def question_for(workspace: Workspace, home: Question) -> Question:
    """The question about the pool that this session wants a mixture for.

    Raises:
        CausalMixError: that pool has gone or does not fit the runs; the home is taken from then on.
    """
    wanted = st.session_state.get(FOR_POOL)
    if wanted is None or wanted == home.pool:
        return home
    try:
        return moved_question(workspace, home, wanted)
    except CausalMixError:
        del st.session_state[FOR_POOL]
        raise


def limits_of(desk: Desk, constraints: Constraints) -> Limits:
    """The constraints over the domains of the question.

    Raises:
        CausalMixError: they clash; the message names the smallest clash.
    """
    return _limits((*desk.key, constraints.model_dump_json()), desk, constraints)


@st.cache_data(show_spinner=False, max_entries=64)
def _limits(key: Key, _desk: Desk, _constraints: Constraints) -> Limits:
    return resolve(_constraints, _desk.model.domains, _desk.tokens, _desk.question.reference)


def ranges_of(desk: Desk, constraints: Constraints) -> dict[str, Range]:
    """How far each weight may go, once per set of constraints.

    Raises:
        CausalMixError: as `limits_of`.
    """
    return _ranges((*desk.key, constraints.model_dump_json()), desk, constraints)


@st.cache_data(show_spinner=False, max_entries=64)
def _ranges(key: Key, _desk: Desk, _constraints: Constraints) -> dict[str, Range]:
    return allowed_ranges(limits_of(_desk, _constraints))


def effects_on(desk: Desk, mixture: Mixture, outcome: str = OBJECTIVE) -> pd.DataFrame:
    """Effects of +1 point at a mixture on one outcome: index domain, columns effect, lower, upper."""
    model, question = desk.model, desk.question
    row = np.array([[question.state[s] for s in model.runs.states]], dtype=float)
    value, half = model.effects_over(row, mixture, outcomes=[outcome], errors=True)
    assert half is not None
    effect, width = value[0, :, 0], half[0, :, 0]
    return pd.DataFrame(
        {"effect": effect, "lower": effect - width, "upper": effect + width},
        index=pd.Index(model.domains, name="domain"),
    )


def change_of(desk: Desk, mixture: Mixture) -> pd.DataFrame:
    """Predicted change of every outcome from the reference."""
    return desk.model.change(desk.question.state, desk.question.reference, mixture)


def answer_of(desk: Desk, asked: Asked) -> Suggestion:
    """What a policy says, asked once per question.

    Raises:
        CausalMixError: the constraints clash, or an outcome that is protected does not exist.
    """
    return _answer((*desk.key, asked.model_dump_json()), desk, asked)


@st.cache_data(show_spinner=False, max_entries=128)
def _answer(key: Key, _desk: Desk, _asked: Asked) -> Suggestion:
    assert _asked.policy != "manual"
    problem = pose(
        _desk.model,
        _desk.question.state,
        _desk.question.reference,
        constraints=_asked.constraints,
        tokens=_desk.tokens,
        confidence=_asked.confidence,
        no_harm=_asked.no_harm,
        seed=_asked.seed,
    )
    return ask(problem, _asked.policy, _asked.step)


def quick_policies() -> list[PolicyName]:
    """Those that answer at once."""
    return [p for p in POLICY_NAMES if not POLICIES[p].slow]


def front_of(desk: Desk, constraints: Constraints, first: str, second: str, mixture: Mixture) -> pd.DataFrame:
    """Mixtures that trade one outcome for another.

    Raises:
        CausalMixError: as `limits_of`, or the outcomes are the same.
    """
    key = (*desk.key, constraints.model_dump_json(), first, second, tuple(sorted(mixture.items())))
    return _front(key, desk, constraints, first, second, mixture)


@st.cache_data(show_spinner="Drawing mixtures ...", max_entries=32)
def _front(
    key: Key, _desk: Desk, _constraints: Constraints, _first: str, _second: str, _mixture: Mixture
) -> pd.DataFrame:
    question = _desk.question
    limits = limits_of(_desk, _constraints)
    return pareto_front(_desk.model, question.state, limits, _first, _second, _mixture)


def parts_of(desk: Desk, mixture: Mixture) -> pd.DataFrame:
    """What the move of each domain contributes to each change."""
    return _parts((*desk.key, tuple(sorted(mixture.items()))), desk, mixture)


@st.cache_data(show_spinner=False, max_entries=64)
def _parts(key: Key, _desk: Desk, _mixture: Mixture) -> pd.DataFrame:
    question = _desk.question
    return contributions(_desk.model, question.state, question.reference, _mixture)
