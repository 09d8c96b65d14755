"""How sure is an edge? The share of resamples in which discovery finds it again, and which way round.

Each resample is a random half of the runs, drawn without replacement (Meinshausen and Buehlmann 2010,
"Stability selection"). In simulated worlds the highest share of an edge that is not there was .02 that way
against .11 with a bootstrap of the whole size. The result is kept in the workspace under a key that follows
from the runs, the settings and what is known, so that the same question is never searched twice.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.discovery.columns import (
    SPARE_RUNS,
    columns_of,
    features,
    is_randomised,
    usable,
)
from causalmix_core.graph.discovery.knowledge import Knowledge, Rules
from causalmix_core.graph.discovery.methods import METHODS, DiscoverySettings
from causalmix_core.graph.discovery.search import refuse_too_large
from causalmix_core.graph.resampling import Work, resample
from causalmix_core.probes import RunTable
from causalmix_core.worker_pool import cores
from causalmix_core.workspace import Workspace, sweep, write_atomic

RESAMPLES = 100
"""Enough to tell a share of .5 from one of .6 in most cases: its standard error is .05."""
MOST_RESAMPLES = 10_000
FOLDER = ".stability"
"""Below `graphs/`; hidden, so that it is no graph's name."""
_VERSION = 1
"""Part of the key: raise it when a search finds something else in the same runs."""
_FEW = 8
"""Resamples that are searched in the calling process: starting workers takes longer."""

_Share = Field(ge=0, le=1)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EdgeShares(_Value):
    """In which share of the resamples two nodes were linked, by the way they were.

    Attributes:
        a: a node; of the two the one with the smaller name.
        b: the other.
        forward: share of `a -> b`.
        backward: share of `b -> a`.
        undirected: share of `a - b`.
        bidirected: share of `a <-> b`.
    """

    a: str
    b: str
    forward: float = _Share
    backward: float = _Share
    undirected: float = _Share
    bidirected: float = _Share

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        if self.a >= self.b:
            raise ValueError(f"{self.a} and {self.b} are not in order")
        if self._sum() > 1 + 1e-9:
            raise ValueError(f"the shares of {self.a} and {self.b} are more than 1 together")
        return self

    @property
    def linked(self) -> float:
        """Share of the resamples in which there was an edge of any kind."""
        return min(1.0, self._sum())

    def _sum(self) -> float:
        return self.forward + self.backward + self.undirected + self.bidirected


class Stability(_Value):
    """What a search finds in many halves of the runs: `graphs/.stability/<key>.json`.

    Attributes:
        key: names the question; equal for equal runs, settings, knowledge, resamples and seed.
        settings: of the search.
        knowledge: required and forbidden edges that it kept to.
        randomised: whether every mixture was drawn at random.
        columns: the nodes.
        runs: how many there are.
        size: how many a resample holds.
        resamples: how many were searched.
        seed: of the resamples.
        shares: the pairs that were linked at least once, sorted by name.
        at: when it was done.
    """

    key: str
    settings: DiscoverySettings
    knowledge: Knowledge
    randomised: bool
    columns: tuple[str, ...]
    runs: int
    size: int
    resamples: int
    seed: int
    shares: tuple[EdgeShares, ...]
    at: AwareDatetime

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        known = set(self.columns)
        pairs = [(s.a, s.b) for s in self.shares]
        if len(set(pairs)) < len(pairs) or not all({a, b} <= known for a, b in pairs):
            raise ValueError("a pair stands in it twice, or is not among the columns")
        return self


def stability_key(
    runs: RunTable, settings: DiscoverySettings, knowledge: Knowledge, resamples: int, seed: int
) -> str:
    """Names a question by its content: 32 hexadecimal digits."""
    columns = columns_of(runs)
    # What a method does not read, and knowledge of other columns, does not change its answer.
    knowledge = knowledge.among(columns)
    read = settings.model_dump(include={str(name) for name in METHODS[settings.method].uses})
    question: dict[str, object] = {
        "version": _VERSION,
        "columns": columns,
        "randomised": is_randomised(runs),
        "settings": {"method": settings.method, **read},
        "knowledge": [sorted(set(knowledge.required)), sorted(set(knowledge.forbidden))],
        "resamples": resamples,
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode())
    digest.update(runs.frame[columns].to_numpy("<f8").tobytes(order="C"))
    return digest.hexdigest()[:32]


def edge_stability(
    runs: RunTable,
    settings: DiscoverySettings,
    knowledge: Knowledge | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Stability:
    """Search many random halves of the runs.

    The result depends on the runs and the arguments, not on the number of workers.

    Args:
        runs: the run table, n rows.
        settings: of the search.
        knowledge: required and forbidden edges; default: none.
        resamples: how many halves.
        seed: of the halves.
        workers: processes; default: one per core, none for a few resamples; 0: search in this process.
        progress: called several times a second with the share done and what is being done; raise in it
            to stop: the processes end at once.

    Raises:
        CausalMixError: fewer runs than twice (variables + 5), or what `discover` refuses.
    """
    settings.check()
    knowledge = knowledge or Knowledge()
    if not 1 <= resamples <= MOST_RESAMPLES:
        raise CausalMixError(f"{resamples} resamples are not possible; choose 1 to {MOST_RESAMPLES:,}.")
    columns = columns_of(runs)
    data = features(runs, columns)
    randomised = is_randomised(runs)
    Rules.over(columns, knowledge, randomised=randomised)
    size = len(runs) // 2
    _refuse_few(len(runs), len(usable(data, columns)[0]))
    refuse_too_large(data[:size], columns, settings)
    work = Work(data, tuple(columns), settings, knowledge.among(columns), randomised, size, seed)
    if workers is None:
        workers = 0 if resamples <= _FEW else cores()
    tell = progress or (lambda fraction, doing: None)
    done = 0

    def tick() -> None:
        tell(done / resamples, f"{done} of {resamples} resamples searched")

    counts: Counter[tuple[str, str, str]] = Counter()
    for _, arrows in resample(work, range(resamples), workers, tick):
        for arrow in arrows:
            source, target = columns[arrow.source], columns[arrow.target]
            a, b = sorted((source, target))
            way = arrow.mark if arrow.mark != "directed" else "forward" if source == a else "backward"
            counts[a, b, way] += 1
        done += 1
    tell(1.0, f"{resamples} resamples searched")
    pairs = sorted({(a, b) for a, b, _ in counts})
    return Stability(
        key=stability_key(runs, settings, knowledge, resamples, seed),
        settings=settings,
        knowledge=work.knowledge,
        randomised=randomised,
        columns=work.columns,
        runs=len(runs),
        size=size,
        resamples=resamples,
        seed=seed,
        shares=tuple(
            EdgeShares(
                a=a,
                b=b,
                **{
                    way: counts[a, b, way] / resamples
                    for way in ("forward", "backward", "undirected", "bidirected")
                },
            )
            for a, b in pairs
        ),
        at=datetime.now(UTC),
    )


def _refuse_few(runs: int, variables: int) -> None:
    needed = 2 * (variables + SPARE_RUNS)
    if runs < needed:
        raise CausalMixError(
            f"A resample holds half of the runs, and discovery over {variables} variables needs "
            f"{variables + SPARE_RUNS}: launch probes until there are {needed}; now there are {runs}."
        )


def save_stability(workspace: Workspace, result: Stability) -> Path:
    """Keep a result in the workspace; the file is written whole or not at all.

    Raises:
        CausalMixError: the workspace cannot be written.
    """
    path = _path(workspace, result.key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CausalMixError(f"Cannot make {path.parent}: {error.strerror}. Nothing was saved.") from error
    sweep(path.parent)
    write_atomic(path, result.model_dump_json())
    return path


def load_stability(workspace: Workspace, key: str) -> Stability | None:
    """The result that is kept under a key; None when there is none.

    Raises:
        CausalMixError: its file is damaged.
    """
    path = _path(workspace, key)
    try:
        result = Stability.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CausalMixError(f"Cannot read {path}: {error.strerror}.") from error
    except ValidationError as error:
        raise CausalMixError(
            f"{path} is damaged: {error.errors()[0]['msg']}. Delete it, and the resamples are searched again."
        ) from error
    if result.key != key:
        raise CausalMixError(f"{path} holds the result of another search. Delete it.")
    return result


def _path(workspace: Workspace, key: str) -> Path:
    if not key.isalnum():
        raise CausalMixError(f"{key!r} names no result of resampling.")
    return workspace.graphs / FOLDER / f"{key}.json"
