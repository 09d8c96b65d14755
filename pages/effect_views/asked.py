"""What the effects page was asked and the model that answers; every view gets it.

What takes more than a moment is computed once per question and shared by all visitors. The key of a fit says
everything that it depends on, so a result is never shown for other runs, another graph or another estimator.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE, EffectModel, EstimatorName
from causalmix_core.effects.effect_store import Kept, key_of, load_leaderboard, load_refutation
from causalmix_core.effects.explanation import effect_sentences
from causalmix_core.effects.leaderboard_result import Leaderboard
from causalmix_core.effects.overlap import AssignmentReport, Overlap, assignment_report, overlap_report
from causalmix_core.effects.refutation import Refutation, RefutationSettings
from causalmix_core.effects.sensitivity import Sensitivity, sensitivity
from causalmix_core.probes import LOSS
from causalmix_core.question import Question
from causalmix_core.workspace import Workspace
from pages.widgets.shell import fit_key

Key = tuple[object, ...]


@dataclass(frozen=True)
class Asked:
    """A question, the estimator chosen for it, and the model fitted.

    Attributes:
        workspace: where all of it lies.
        question: runs, graph, objective, pool state and reference.
        estimator: which was chosen.
        model: fitted with it.
    """

    workspace: Workspace
    question: Question
    estimator: EstimatorName
    model: EffectModel

    @property
    def key(self) -> Key:
        """Everything that the answers depend on."""
        question = self.question
        return (
            *fit_key(self.workspace, question, self.estimator),
            tuple(sorted(question.state.items())),
            tuple(sorted(question.reference.items())),
        )

    @property
    def outcomes(self) -> list[str]:
        """What can be looked at, the objective first."""
        return [OBJECTIVE, *self.question.runs.outcomes]


def outcome_name(outcome: str) -> str:
    """An outcome as it is written on the page."""
    return "objective" if outcome == OBJECTIVE else outcome.removeprefix(LOSS)


def effects_of(asked: Asked) -> pd.DataFrame:
    """Every effect with its interval, its sentence and the statement that it rests on."""
    return _effects(asked.key, asked)


@st.cache_data(show_spinner="Putting the effects into words ...", max_entries=16)
def _effects(key: Key, _asked: Asked) -> pd.DataFrame:
    question = _asked.question
    return effect_sentences(_asked.model, question.state, question.reference)


def assignment_of(asked: Asked) -> AssignmentReport:
    """How the mixtures of the runs came about."""
    return _assignment(_runs(asked), asked)


@st.cache_data(show_spinner="Looking at how the mixtures came about ...", max_entries=16)
def _assignment(key: Key, _asked: Asked) -> AssignmentReport:
    return assignment_report(_asked.question.runs)


def overlap_of(asked: Asked) -> Overlap:
    """What each domain and each region of the pool state rests on."""
    return _overlap(_runs(asked), asked)


@st.cache_data(show_spinner=False, max_entries=16)
def _overlap(key: Key, _asked: Asked) -> Overlap:
    return overlap_report(_asked.question.runs)


def _runs(asked: Asked) -> Key:
    """The part of the key that names the runs."""
    return asked.key[:4]


def comparison_of(asked: Asked) -> Kept[Leaderboard]:
    """How the estimators compare on these runs, as it is kept in the workspace."""
    return load_leaderboard(asked.workspace, key_of(asked.question))


def refutation_of(asked: Asked) -> Kept[Refutation]:
    """What the effects of this estimator withstood, as it is kept in the workspace."""
    question = asked.question
    settings = RefutationSettings(
        estimator=asked.estimator,
        objective=question.objective,
        state=question.state,
        mixture=question.reference,
    )
    return load_refutation(asked.workspace, key_of(question), settings)


def sensitivity_of(asked: Asked) -> Sensitivity:
    """How strong hidden causes would have to be to overturn each effect."""
    return _sensitivity(asked.key, asked)


@st.cache_data(show_spinner="Looking at what hidden causes could do ...", max_entries=16)
def _sensitivity(key: Key, _asked: Asked) -> Sensitivity:
    question = _asked.question
    return sensitivity(_asked.model, question.state, question.reference)
