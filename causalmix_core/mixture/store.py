"""Saved mixtures: `mixtures/<name>.json`, each with everything that its numbers rest on.

A saved mixture can be asked again (replay.py): it names the runs one by one with a digest of what was read of
each, the graph revision, the estimator, and the policy with all that it was asked to keep to. State,
reference and tokens of the pool are written out, so that the file still speaks when the snapshot is gone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import Constraints
from causalmix_core.mixture.policies.registry import PolicyName
from causalmix_core.mixture.simplex import Mixture
from causalmix_core.workspace import Workspace, check_name, write_atomic

FORMAT: Literal[2] = 2
SUM_ROUNDING = 1e-9
"""A written sum of weights is 1 but for rounding; more is a file that somebody has edited."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PredictedChange(_Value):
    """Predicted change of one outcome from the reference to the mixture, with its calibrated 95% interval."""

    change: float
    lower: float
    upper: float


class PredictedValue(_Value):
    """What one new run on the mixture would measure of one outcome, with its calibrated 95% interval."""

    mean: float
    lower: float
    upper: float


class GraphReference(_Value):
    """The graph revision that a prediction rests on; revision None: a graph nobody saved."""

    name: str
    revision: int | None
    digest: str = ""
    """Of its nodes and edges, so that a file that was edited afterwards is noticed."""


class Asked(_Value):
    """What a policy was asked, whatever it answered.

    Attributes:
        policy: `manual`: a curator set the sliders; the others are policies that suggested the weights.
        constraints: what the mixture had to keep to.
        confidence: whether a gain had to be sure, or only predicted.
        no_harm: outcome -> by how much it may get worse than at the reference.
        step: how far to go from the reference to what the policy proposes.
        seed: of what the policy draws.
    """

    policy: PolicyName | Literal["manual"] = "manual"
    constraints: Constraints = Constraints()
    confidence: bool = True
    no_harm: dict[str, float] = {}
    step: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0


class SavedMixture(_Value):
    """A mixture and its provenance.

    Attributes:
        format: of this file.
        name: of the mixture.
        revision: counts how often the name was saved.
        saved_at: when.
        by: who.
        software: version that computed it.
        snapshot: the pool that it is for: the id of a snapshot, or `import-<name>`.
        runs_of: the pool whose runs the effects were learned from; another one after a pool shift.
        weights: the mixture.
        reference: where changes are counted from.
        reference_is: in words, what the reference is.
        state: pool state by column.
        tokens: tokens of the pool by domain; None where the pool is not at hand.
        asked: what the policy was asked.
        objective: outcome -> share; sums to one.
        estimator: which estimator learned the effects.
        graph: which graph they rest on.
        runs: name of each run -> digest of what was read of it.
        assignments: how the mixtures of the runs were chosen.
        jobs: which jobs the runs come from.
        predicted: outcome -> predicted change from the reference.
        expected: outcome -> what a new run would measure.
    """

    format: Literal[2] = FORMAT
    name: str
    revision: int = 1
    saved_at: AwareDatetime
    by: str
    software: str
    snapshot: str
    runs_of: str
    weights: Mixture
    reference: Mixture
    reference_is: str
    state: dict[str, float]
    tokens: dict[str, int] | None
    asked: Asked
    objective: dict[str, float]
    estimator: str
    graph: GraphReference
    runs: dict[str, str]
    assignments: list[str]
    jobs: list[str]
    predicted: dict[str, PredictedChange]
    expected: dict[str, PredictedValue]

    @model_validator(mode="after")
    def _is_a_mixture(self) -> SavedMixture:
        if set(self.weights) != set(self.reference):
            raise ValueError("the weights and the reference are of other domains")
        for what, mixture in (("weights", self.weights), ("reference", self.reference)):
            if any(not math.isfinite(w) or w < 0 for w in mixture.values()):
                raise ValueError(f"a weight of the {what} is negative or not finite")
            if abs(math.fsum(mixture.values()) - 1) > SUM_ROUNDING:
                raise ValueError(f"the {what} sum to {math.fsum(mixture.values()):.9g}, not to 1")
        return self

    @property
    def domains(self) -> list[str]:
        """The domains that it gives a weight to, sorted."""
        return sorted(self.weights)

    @property
    def policy(self) -> PolicyName | Literal["manual"]:
        """How the weights were found."""
        return self.asked.policy

    @property
    def radius(self) -> float | None:
        """How much weight was allowed to move; None: any."""
        return self.asked.constraints.radius

    @property
    def probes(self) -> int:
        """How many runs the prediction rests on."""
        return len(self.runs)


def mixture_names(workspace: Workspace) -> list[str]:
    """Names of the saved mixtures, sorted."""
    return sorted(p.stem for p in workspace.mixtures.glob("*.json") if not p.name.startswith("."))


def load_mixture(workspace: Workspace, name: str) -> SavedMixture:
    """Read a saved mixture.

    Raises:
        CausalMixError: there is none of this name, or its file is damaged or of an older version.
    """
    try:
        return read_mixture(workspace.mixtures / f"{name}.json")
    except FileNotFoundError as error:
        known = ", ".join(mixture_names(workspace)) or "none yet"
        raise CausalMixError(f"There is no mixture named {name}. Saved mixtures: {known}.") from error


def find_mixture(workspace: Workspace, named: str) -> SavedMixture:
    """Read a saved mixture by its name, or by its file: as given, or within the workspace.

    Raises:
        CausalMixError: there is no such mixture, or its file is damaged or of an older version.
    """
    if not named.endswith(".json"):
        return load_mixture(workspace, named)
    for path in (Path(named).expanduser(), workspace.root / named, workspace.mixtures / named):
        try:
            return read_mixture(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CausalMixError(f"Cannot read {path}: {error.strerror}.") from error
    known = ", ".join(f"mixtures/{n}.json" for n in mixture_names(workspace)) or "none yet"
    raise CausalMixError(f"There is no file {named}, here or in the workspace. Saved mixtures: {known}.")


def read_mixture(path: Path) -> SavedMixture:
    """Read the file of a saved mixture.

    Raises:
        CausalMixError: it is damaged, or an older version wrote it; it is left as it is.
        FileNotFoundError: there is none.
    """
    text = path.read_bytes()
    try:
        return SavedMixture.model_validate_json(text)
    except ValidationError as error:
        if _is_older(text):
            raise CausalMixError(
                f"{path} was saved by an older version, which kept too little to repeat its numbers. Move "
                "the "
                "file away and save the mixture again; it was left as it is."
            ) from error
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise CausalMixError(
            f"{path} is damaged: {where + ': ' if where else ''}{said}. Restore it from a backup, or move it "
            "away "
            "and save the mixture again; it was left as it is."
        ) from error


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


def weights_for(mixture: SavedMixture, domains: Iterable[str], where: str) -> Mixture:
    """The weights of a saved mixture for a pool that must have exactly its domains.

    Args:
        mixture: as saved.
        domains: what the pool has.
        where: the pool in words, such as `snapshot 0123456789ab`.

    Raises:
        CausalMixError: domains were renamed, removed or added since; weights are never shared out anew.
    """
    have = set(domains)
    gone, new = sorted(set(mixture.weights) - have), sorted(have - set(mixture.weights))
    if gone or new:
        said = [f"it has no {', '.join(gone)}"] * bool(gone) + [f"it has {', '.join(new)} besides"] * bool(
            new
        )
        raise CausalMixError(
            f"Mixture {mixture.name} does not fit {where}: {' and '.join(said)}. If a domain was renamed, "
            "give it back "
            "its name; otherwise suggest a mixture for this pool. Nothing was changed."
        )
    return {d: mixture.weights[d] for d in sorted(have)}


def _is_older(text: bytes) -> bool:
    """Whether a file is a saved mixture from before formats were numbered."""
    try:
        content = json.loads(text)
    except ValueError:
        return False
    return isinstance(content, dict) and "format" not in content and {"weights", "snapshot"} <= set(content)
