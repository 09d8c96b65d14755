"""Saved mixtures: `mixtures/<name>.json`, each with where it came from."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.policies.registry import PolicyName
from causalmix_core.workspace import Workspace, check_name, write_atomic


class PredictedChange(BaseModel):
    """Predicted change of one outcome from the reference to the mixture, with its 95% interval."""

    model_config = ConfigDict(frozen=True)

    change: float
    lower: float
    upper: float


class GraphReference(BaseModel):
    """The graph revision that a prediction rests on; revision None: a graph nobody saved."""

    model_config = ConfigDict(frozen=True)

    name: str
    revision: int | None


class SavedMixture(BaseModel):
    """A mixture and its provenance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    revision: int = 1
    saved_at: datetime
    by: str
    snapshot: str
    weights: dict[str, float]
    reference: dict[str, float]
    policy: PolicyName | Literal["manual"]
    """`manual`: a curator set the sliders; the others are policies that suggested the weights."""
    radius: float | None = None
    objective: dict[str, float]
    state: dict[str, float]
    graph: GraphReference
    estimator: str
    probes: int
    jobs: list[str]
    predicted: dict[str, PredictedChange]


def mixture_names(workspace: Workspace) -> list[str]:
    """Names of the saved mixtures, sorted."""
    return sorted(p.stem for p in workspace.mixtures.glob("*.json") if not p.name.startswith("."))


def load_mixture(workspace: Workspace, name: str) -> SavedMixture:
    """Read a saved mixture.

    Raises:
        CausalMixError: there is none of this name, or its file is damaged.
    """
    path = workspace.mixtures / f"{name}.json"
    try:
        return SavedMixture.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        known = ", ".join(mixture_names(workspace)) or "none yet"
        raise CausalMixError(f"There is no mixture named {name}. Saved mixtures: {known}.") from error
    except ValidationError as error:
        raise CausalMixError(f"{path} is damaged: {error}. Save the mixture again.") from error


def save_mixture(workspace: Workspace, mixture: SavedMixture, parent: int | None) -> SavedMixture:
    """Write a mixture as the revision after `parent`.

    Args:
        workspace: where to save.
        mixture: what to save; its revision is set here.
        parent: the revision that the user saw, None when the name is new to them.

    Raises:
        CausalMixError: the name cannot be a file name, or somebody saved another revision meanwhile;
            then nothing is overwritten.
    """
    try:
        check_name(mixture.name)
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error
    path = workspace.mixtures / f"{mixture.name}.json"
    with FileLock(workspace.mixtures / ".lock", timeout=10):
        current = load_mixture(workspace, mixture.name).revision if path.exists() else None
        if current != parent:
            seen = f"revision {parent}" if parent else "no mixture of this name"
            raise CausalMixError(
                f"Mixture {mixture.name} is at revision {current} now, but you worked from {seen}. "
                "Nothing was overwritten: save under another name, or reload to see the new one."
            )
        saved = mixture.model_copy(update={"revision": (current or 0) + 1})
        write_atomic(path, saved.model_dump_json(indent=2))
    return saved
