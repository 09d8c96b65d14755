"""What was found out about the estimates of one question, kept so that it is never computed twice.

    effects/<key>/leaderboard.json        how estimators compare
    effects/<key>/refutation-<key>.json   which effects of one estimator, state and mixture withstood what

The key follows from what a result depends on: the values of the runs, the edges of the graph, the objective,
the reference and the version of the method. So a result of other runs or of an older graph is simply not
found, and cannot be shown beside effects that it does not belong to. A damaged file is ignored, in words: it
can be computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from causalmix_core.effects.estimators import ESTIMATORS, EstimatorName
from causalmix_core.effects.leaderboard_result import Leaderboard
from causalmix_core.effects.refutation.result import Refutation, RefutationSettings
from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import CausalGraph
from causalmix_core.probes.runs import RunTable
from causalmix_core.workspace import Workspace, sweep, write_atomic

if TYPE_CHECKING:
    from causalmix_core.question import Question

VERSION = 1
"""Part of the key: raise it when the same runs give another comparison or refutation."""
LEADERBOARD = "leaderboard.json"
DEFAULT: EstimatorName = "gaussian_process"
_Kept = TypeVar("_Kept", bound=BaseModel)


@dataclass(frozen=True)
class Kept(Generic[_Kept]):
    """A result from the workspace.

    Attributes:
        value: None where there is none.
        problem: why a file that is there was ignored, in words; empty otherwise.
    """

    value: _Kept | None = None
    problem: str = ""


def question_key(
    runs: RunTable,
    graph: CausalGraph,
    objective: Mapping[str, float],
    reference: Mapping[str, float],
) -> str:
    """Names a question by its content: 32 hexadecimal digits.

    Args:
        runs: names and values of all columns that estimates read.
        graph: its nodes and edges; who drew them and why does not matter.
        objective: outcome -> share.
        reference: the mixture that effects start from.
    """
    columns = [*runs.weight_columns, *runs.states, *runs.outcomes]
    words = [c for c in ("snapshot", "assignment") if c in runs.frame]
    question = {
        "version": VERSION,
        "columns": columns,
        "nodes": sorted([n.id, n.tier] for n in graph.nodes),
        "edges": sorted(e.text for e in graph.edges),
        "objective": sorted([o, v] for o, v in objective.items() if v),
        "reference": sorted([d, round(v, 12)] for d, v in reference.items()),
        "words": [runs.frame[c].astype(str).tolist() for c in words],
    }
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode())
    digest.update(runs.frame[columns].to_numpy("<f8").tobytes(order="C"))
    return digest.hexdigest()[:32]


def key_of(question: Question) -> str:
    """The key of a question as pages and commands gather it."""
    return question_key(question.runs, question.graph, question.objective, question.reference)


def save_leaderboard(workspace: Workspace, key: str, found: Leaderboard) -> Path:
    """Keep a comparison; the file is written whole or not at all.

    Raises:
        CausalMixError: the workspace cannot be written.
    """
    return _save(_folder(workspace, key) / LEADERBOARD, found)


def load_leaderboard(workspace: Workspace, key: str) -> Kept[Leaderboard]:
    """The comparison of exactly this question, if there is one."""
    return _load(_folder(workspace, key) / LEADERBOARD, Leaderboard)


def save_refutation(workspace: Workspace, key: str, found: Refutation) -> Path:
    """Keep a refutation beside others of the same question.

    Raises:
        CausalMixError: the workspace cannot be written.
    """
    return _save(_folder(workspace, key) / _name(found.settings), found)


def load_refutation(workspace: Workspace, key: str, settings: RefutationSettings) -> Kept[Refutation]:
    """The refutation of this question with exactly these settings, if there is one."""
    return _load(_folder(workspace, key) / _name(settings), Refutation)


def default_estimator(workspace: Workspace, question: Question) -> tuple[EstimatorName, str]:
    """The estimator to use unless the curator says otherwise, and why, in words."""
    kept = load_leaderboard(workspace, key_of(question))
    if kept.value is not None:
        return kept.value.chosen, kept.value.why
    said = f"{ESTIMATORS[DEFAULT].label} is the default; estimators are not yet compared on your runs."
    return DEFAULT, f"{said} {kept.problem}".strip()


def _name(settings: RefutationSettings) -> str:
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
    return f"refutation-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _folder(workspace: Workspace, key: str) -> Path:
    if not key.isalnum():
        raise CausalMixError(f"{key!r} names no question about effects.")
    return workspace.effects / key


def _save(path: Path, value: BaseModel) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CausalMixError(f"Cannot make {path.parent}: {error.strerror}. Nothing was saved.") from error
    sweep(path.parent)
    write_atomic(path, value.model_dump_json())
    return path


def _load(path: Path, kind: type[_Kept]) -> Kept[_Kept]:
    try:
        return Kept(kind.model_validate_json(path.read_bytes()))
    except FileNotFoundError:
        return Kept()
    except OSError as error:
        return Kept(problem=f"{path} cannot be read ({error.strerror}) and is ignored.")
    except ValidationError:
        return Kept(
            problem=f"{path} is damaged or of another version and is ignored; it can be computed again."
        )
