"""Is a graph more than a guess? Its claims, against the runs and against those of shuffled graphs.

A graph of many claims is contradicted somewhere by chance or by a bent curve, and one of few claims hardly
ever. So the share of contradicted claims is compared with that of graphs of the same shape whose nodes
were exchanged at random (Eulig et al. 2023, "Toward falsifying causal graphs using a permutation-based test",
arXiv 2305.09565). A graph that knows something does better than nearly all of them.

dowhy's `falsify_graph` has the same idea, but does not fit our runs. It exchanges nodes across tiers, so that
knowing the tiers is enough to win: in simulated worlds it let pass two of four graphs whose weights and
states had been exchanged. It tests pairs of weights, whose sum is fixed, and draws from the global random
numbers. Here nodes change places within their tier, and the claims are those of `implications`.

The result is kept with the revision: `graphs/<name>/<revision>.tests.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.implications import (
    LEVEL,
    Claim,
    Correlations,
    Implications,
    check_implications,
    claims_of,
)
from causalmix_core.graph.model import CausalGraph, tier_of
from causalmix_core.graph.separation import Wiring, separated
from causalmix_core.graph.store import load_graph
from causalmix_core.probes import RunTable
from causalmix_core.workspace import Workspace, check_name, sweep, write_atomic

Standing = Literal["better than chance", "no better than chance", "says too little"]
Progress = Callable[[float, str], object]

PERMUTATIONS = 200
"""Shuffled graphs by default: the smallest p-value is then 0.005."""

MOST_PERMUTATIONS = 10_000


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shuffling(_Value):
    """A graph beside the same graph with its nodes exchanged within their tiers.

    Attributes:
        contradicted: share of the graph's claims that a test at level 0.05 rejects, 0 to 1.
        shuffled: the same share for each shuffled graph.
        p_value: share of all graphs, this one included, that are contradicted no more often than it is.
        alike: share of shuffled graphs that claim nothing which this one does not; where it is large, the
            graph says too little to be told from them.
    """

    contradicted: float = Field(ge=0, le=1)
    shuffled: tuple[float, ...]
    p_value: float = Field(gt=0, le=1)
    alike: float = Field(ge=0, le=1)

    @property
    def standing(self) -> Standing:
        """What this says of the graph."""
        if self.alike > LEVEL:
            return "says too little"
        return "better than chance" if self.p_value <= LEVEL else "no better than chance"

    @property
    def words(self) -> str:
        """The comparison in a sentence."""
        shuffled = len(self.shuffled)
        if self.standing == "says too little":
            return (
                f"It cannot be told from a guess: {self.alike:.0%} of {shuffled} graphs with its nodes "
                "shuffled claim the same."
            )
        worse = sum(s > self.contradicted for s in self.shuffled) / shuffled
        said = f"fewer of its claims are contradicted than those of {worse:.0%} of {shuffled} shuffled graphs"
        if self.standing == "better than chance":
            return f"It knows more than a guess: {said} (p = {self.p_value:.3f})."
        return f"It is no better than a guess: {said} (p = {self.p_value:.2f})."


class GraphTests(_Value):
    """How a graph stands up to the runs.

    Attributes:
        tested_at: when.
        runs: rows that it was tested on.
        seed: of the shuffling.
        implications: every claim and every edge.
        shuffling: None where the graph claims nothing that the runs can decide.
    """

    tested_at: AwareDatetime
    runs: int
    seed: int
    implications: Implications
    shuffling: Shuffling | None

    @property
    def verdict(self) -> str:
        """Both in two sentences."""
        return f"{self.implications.verdict} {self.shuffling.words if self.shuffling else ''}".strip()


def test_graph(
    runs: RunTable,
    graph: CausalGraph,
    *,
    permutations: int = PERMUTATIONS,  # noqa: PT028  # not a test
    seed: int = 0,  # noqa: PT028
    progress: Progress | None = None,  # noqa: PT028
) -> GraphTests:
    """Test everything that a graph claims, and compare it with shuffled graphs.

    Args:
        runs: the run table.
        graph: over its columns.
        permutations: shuffled graphs, 20 to 10,000.
        seed: of the shuffling; the result depends on nothing else.
        progress: called with the fraction done and what is being done; what it raises ends the test.

    Raises:
        CausalMixError: too few runs, or a number of permutations out of range.
    """
    if not 20 <= permutations <= MOST_PERMUTATIONS:
        raise CausalMixError(
            f"{permutations} shuffled graphs cannot be drawn; choose 20 to {MOST_PERMUTATIONS:,}."
        )
    tell = progress or (lambda fraction, doing: None)
    tell(0.0, "testing what the graph claims")
    implications = check_implications(runs, graph)
    shuffling = _shuffle(runs, graph, permutations, np.random.default_rng(seed), tell)
    tell(1.0, "the graph is tested")
    return GraphTests(
        tested_at=datetime.now(UTC),
        runs=len(runs),
        seed=seed,
        implications=implications,
        shuffling=shuffling,
    )


# pytest would take the name for a test where it is imported.
test_graph.__test__ = False  # type: ignore[attr-defined]


def save_tests(workspace: Workspace, name: str, revision: int, tests: GraphTests) -> Path:
    """Keep the tests of a revision beside it, in place of earlier ones.

    Raises:
        CausalMixError: there is no such revision, or the file system refuses.
    """
    load_graph(workspace, name, revision)
    path = _path(workspace, name, revision)
    sweep(path.parent)
    write_atomic(path, tests.model_dump_json(indent=1))
    return path


def load_tests(workspace: Workspace, name: str, revision: int) -> GraphTests | None:
    """The tests that are kept with a revision; None if it was not tested.

    Raises:
        CausalMixError: the file is damaged or cannot be read; the message names it.
    """
    path = _path(workspace, name, revision)
    try:
        return GraphTests.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        raise CausalMixError(f"{path} is damaged: {problem}. Test the graph again to replace it.") from error
    except OSError as error:
        raise CausalMixError(f"Cannot read {path}: {error.strerror}.") from error


def _path(workspace: Workspace, name: str, revision: int) -> Path:
    try:
        return workspace.graphs / check_name(name) / f"{revision}.tests.json"
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error


def _shuffle(
    runs: RunTable, graph: CausalGraph, permutations: int, rng: np.random.Generator, tell: Progress
) -> Shuffling | None:
    """Claims of a graph whose nodes are exchanged are its claims with the names exchanged."""
    table, wiring = Correlations(runs), Wiring.of(graph)
    claims, _ = claims_of(graph)
    contradicted = _contradicted(table, claims)
    if contradicted is None:
        return None
    # What cannot be tested keeps its place: every shuffled graph claims as much as this one.
    names = [sorted(v for v in table.columns if v in wiring.nodes and tier_of(v) == tier) for tier in _TIERS]
    shares: list[float] = []
    alike = 0
    for i in range(permutations):
        new_name = {v: v for v in wiring.nodes}
        for tier in names:
            new_name.update(zip(tier, (tier[j] for j in rng.permutation(len(tier))), strict=True))
        renamed = [
            Claim.model_construct(
                a=new_name[c.a], b=new_name[c.b], given=tuple(sorted(new_name[v] for v in c.given))
            )
            for c in claims
        ]
        share = _contradicted(table, renamed)
        shares.append(1.0 if share is None else share)
        alike += all(separated(wiring.dag, {c.a}, c.b, c.given) for c in renamed)
        tell(0.1 + 0.9 * (i + 1) / permutations, f"shuffled graph {i + 1} of {permutations}")
    as_good = sum(s <= contradicted for s in shares)
    return Shuffling(
        contradicted=contradicted,
        shuffled=tuple(shares),
        p_value=(1 + as_good) / (1 + permutations),
        alike=alike / permutations,
    )


_TIERS = ("state", "weight", "outcome")


def _contradicted(table: Correlations, claims: Sequence[Claim]) -> float | None:
    """Share of the claims that a test at `LEVEL` rejects; None where none can be tested."""
    p_values = [found[1] for c in claims if (found := table.partial(c)) is not None]
    return sum(p <= LEVEL for p in p_values) / len(p_values) if p_values else None
