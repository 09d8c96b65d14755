"""What a graph claims about the runs and the runs can contradict: independences, each tested.

Two variables without an edge between them are independent once the right others are held fixed; that is all
that a causal graph says about a table of numbers. Every such claim is tested here, and turned round: a
missing edge whose independence the runs reject is one that they ask for, and an edge without which nothing
would be rejected is one that they do not support.

The tests are those of discovery: partial correlation with Fisher's z, weights as log(weight + 0.03), nothing
held fixed that comes later than the pair. A weight that is held fixed is also held fixed as it is, or the
bend of its effect would look like effects of others. Pairs of weights are not tested because their sum is 1,
and pairs of outcomes because the losses of one run share its noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import networkx as nx
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.discovery.columns import columns_of, features, standardised
from causalmix_core.graph.discovery.score import DETERMINED
from causalmix_core.graph.model import TIER_RANK, CausalGraph, Mark, tier_of
from causalmix_core.graph.operations import Add, Delete
from causalmix_core.graph.separation import Wiring, separated, smallest_separator
from causalmix_core.probes import RunTable

Finding = Literal["holds", "rejected", "undecidable"]

LEVEL = 0.05
"""Share of false alarms among the rejected claims (Benjamini-Hochberg)."""

MOST_CLAIMS = 3000
"""Claims that are tested, those about outcomes first; a graph of 75 nodes makes about as many."""

LEAST_RUNS = 8

RUNS_PER_BEND = 10
"""Runs per variable that is held fixed, from which on the bend of weights is held fixed too."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Claim(_Value):
    """`a` and `b` are independent once `given` is held fixed. `a` does not come later than `b`."""

    a: str
    b: str
    given: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The claim in words."""
        fixed = f", with {', '.join(self.given)} held fixed" if self.given else ""
        return f"{self.a} and {self.b} have nothing to do with each other{fixed}"


class ClaimResult(_Value):
    """A claim and what the runs say of it.

    Attributes:
        claim: what the graph says.
        correlation: partial correlation, -1 to 1; None where arithmetic alone decides.
        p_value: of Fisher's z test; None likewise.
        adjusted: p-value after Benjamini and Hochberg (1995) over all claims.
        finding: whether the runs reject the claim at `LEVEL`.
    """

    claim: Claim
    correlation: float | None = Field(ge=-1, le=1)
    p_value: float | None = Field(ge=0, le=1)
    adjusted: float | None = Field(ge=0, le=1)
    finding: Finding

    @property
    def words(self) -> str:
        """The finding in a sentence."""
        if self.finding == "undecidable":
            return "cannot be tested: one follows from the others by arithmetic"
        if self.finding == "holds":
            return "the runs do not contradict it"
        return f"the runs contradict it: {_strength(self.correlation or 0.0)}"


class AskedEdge(_Value):
    """A missing edge whose absence the runs reject.

    One missing edge makes several claims fail, so the clearest is taken for each effect, then the clearest
    that is left with it, until nothing is left.

    Attributes:
        source: its cause; among pool state a guess.
        target: its effect.
        correlation: partial correlation, with what causes the target and the edges before this one fixed.
        p_value: of Fisher's z test.
        words: all of this in words.
    """

    source: str
    target: str
    correlation: float
    p_value: float
    words: str

    @property
    def operation(self) -> Add:
        """Draws the edge."""
        return Add(source=self.source, target=self.target)


class EdgeResult(_Value):
    """An edge and whether the runs need it.

    Attributes:
        source: where it starts.
        target: where it ends.
        mark: as it is drawn.
        correlation: partial correlation of the two with everything fixed that would make them independent
            without the edge; None where arithmetic alone decides, or where nothing would.
        p_value: of Fisher's z test; None likewise.
        supported: whether the p-value is below `LEVEL`; None where there is none.
        least: the partial correlation that a test with these runs would find four times out of five.
        words: all of this in words.
    """

    source: str
    target: str
    mark: Mark
    correlation: float | None
    p_value: float | None
    supported: bool | None
    least: float | None
    words: str

    @property
    def text(self) -> str:
        """`a -> b`, `a - b` or `a <-> b`."""
        arrow = {"directed": "->", "undirected": "-", "bidirected": "<->"}[self.mark]
        return f"{self.source} {arrow} {self.target}"

    @property
    def operation(self) -> Delete:
        """Removes the edge."""
        return Delete(source=self.source, target=self.target, mark=self.mark)


class Implications(_Value):
    """Every claim of a graph that the runs can decide, and its edges.

    Attributes:
        runs: rows that were used.
        claims: by adjusted p-value, the most contradicted first.
        edges: by p-value, the least supported first.
        asked: missing edges that the runs ask for, the clearest first.
        notes: what was not tested, in words.
    """

    runs: int
    claims: tuple[ClaimResult, ...]
    edges: tuple[EdgeResult, ...]
    asked: tuple[AskedEdge, ...]
    notes: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """Claims that the runs contradict."""
        return sum(c.finding == "rejected" for c in self.claims)

    @property
    def decided(self) -> int:
        """Claims that could be tested."""
        return sum(c.finding != "undecidable" for c in self.claims)

    @property
    def unsupported(self) -> tuple[EdgeResult, ...]:
        """Edges without which nothing would be rejected."""
        return tuple(e for e in self.edges if e.supported is False)

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        if not self.decided:
            return "The graph claims nothing that these runs could contradict."
        if not self.rejected:
            return (
                f"The runs contradict none of the graph's {self.decided} claims; with {self.runs} runs a "
                "small effect can be missed."
            )
        return (
            f"The runs contradict {self.rejected} of the graph's {self.decided} claims; of these about one "
            "in twenty may be a false alarm."
        )


def claims_of(graph: CausalGraph, most: int = MOST_CLAIMS) -> tuple[list[Claim], int]:
    """The independences that a graph implies, one per pair of variables without an edge.

    Held fixed is what causes the later of the two; where that does not do (a latent variable is near), a
    smallest separating set of what comes no later than the pair's later tier. A pair that nothing measured
    separates claims nothing. Together with the tiers these imply all others (ordered local Markov property).

    Args:
        graph: the causal graph.
        most: claims to give back.

    Returns:
        The claims, sorted, and how many more there are.
    """
    wiring = Wiring.of(graph)
    order = {v: i for i, v in enumerate(nx.lexicographical_topological_sort(wiring.dag))}
    seen = [v for v in wiring.nodes if tier_of(v) in ("state", "weight", "outcome")]
    seen.sort(key=lambda v: (TIER_RANK[tier_of(v)], order[v]))
    pairs = [
        (a, b) for j, b in enumerate(seen) for a in seen[:j] if not wiring.adjacent(a, b) and _testable(a, b)
    ]
    pairs.sort(key=lambda p: (-TIER_RANK[tier_of(p[1])], -TIER_RANK[tier_of(p[0])], p))
    found: list[Claim] = []
    for i, (a, b) in enumerate(pairs):
        if len(found) >= most:
            return found, len(pairs) - i
        given = _separator(wiring, a, b)
        if given is not None:
            found.append(Claim(a=a, b=b, given=given))
    return found, 0


def check_implications(runs: RunTable, graph: CausalGraph) -> Implications:
    """Test every claim and every edge of a graph on the runs.

    Args:
        runs: the run table.
        graph: over its columns; nodes that are not among them are taken as not measured.

    Raises:
        CausalMixError: fewer than `LEAST_RUNS` runs.
    """
    if len(runs) < LEAST_RUNS:
        raise CausalMixError(
            f"A test of the graph needs at least {LEAST_RUNS} runs; there are {len(runs)}. "
            "Launch more probes."
        )
    table = Correlations(runs)
    notes = [f"{c} is the same in every run: nothing about it can be tested." for c in table.constant]
    claims, left = claims_of(graph)
    if left:
        notes.append(f"The graph claims more than can be listed: {left} pairs of variables were not tested.")
    tested = _test_claims(table, claims)
    wiring = Wiring.of(graph)
    edges = [
        _test_edge(table, wiring, e.source, e.target, e.mark)
        for e in graph.edges
        if {tier_of(e.source), tier_of(e.target)} <= {"state", "weight", "outcome"}
        and _testable(e.source, e.target)
    ]
    return Implications(
        runs=len(runs),
        claims=tuple(tested),
        edges=tuple(
            sorted(edges, key=lambda e: (e.p_value is None, -(e.p_value or 0.0), e.source, e.target))
        ),
        asked=tuple(_asked(table, wiring, [c for c in tested if c.finding == "rejected"])),
        notes=tuple(notes),
    )


class Correlations:
    """The correlations of a run table as tests of independence need them.

    A loss need not be straight in log(weight + 0.03), and what is left of its bend reads like an effect of
    the other weights, whose sum with this one is fixed. A weight that is held fixed is therefore held fixed
    as it is too, wherever the runs are enough for that.

    Attributes:
        runs: rows.
        columns: name -> place in the matrix; constant columns have none.
        constant: columns that are the same in every run.
    """

    def __init__(self, runs: RunTable) -> None:
        names = columns_of(runs)
        data = features(runs, names)
        varies = np.ptp(data, axis=0) > 1e-9 * np.maximum(1.0, np.abs(data).max(axis=0))
        kept = [n for n, v in zip(names, varies, strict=True) if v]
        self.runs = len(data)
        self.columns = {n: i for i, n in enumerate(kept)}
        self.constant = [n for n, v in zip(names, varies, strict=True) if not v]
        weights = [n for n in kept if tier_of(n) == "weight"]
        self._as_it_is = {n: len(kept) + i for i, n in enumerate(weights)}
        both = np.column_stack([data[:, varies], runs.frame[weights].to_numpy(float)])
        both = standardised(both)
        self._matrix = both.T @ both / self.runs
        self._left: dict[tuple[str, ...], np.ndarray] = {}

    def partial(self, claim: Claim) -> tuple[float, float] | None:
        """Partial correlation and p-value of Fisher's z test, two-sided.

        None where a variable was not measured or is constant, where one of the pair is determined by what
        is held fixed, and where the runs are too few for so many.
        """
        if any(v not in self.columns for v in (claim.a, claim.b, *claim.given)):
            return None
        if self.spare(claim.given) < 1:
            return None
        left = self._without(claim.given)
        i, j = self.columns[claim.a], self.columns[claim.b]
        if min(left[i, i], left[j, j]) < DETERMINED:
            return None
        r = float(np.clip(left[i, j] / np.sqrt(left[i, i] * left[j, j]), -1, 1))
        from scipy.special import erfc

        z = np.sqrt(self.spare(claim.given)) * abs(np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15)))
        return r, float(erfc(z / np.sqrt(2)))

    def spare(self, given: tuple[str, ...]) -> int:
        """Runs that are left over when `given` is held fixed, as Fisher's z test counts them."""
        return self.runs - len(self._fixed(given)) - 3

    def _fixed(self, given: tuple[str, ...]) -> list[int]:
        straight = [self.columns[v] for v in given]
        bends = [self._as_it_is[v] for v in given if v in self._as_it_is]
        return straight + bends if self.runs >= RUNS_PER_BEND * (len(straight) + len(bends)) else straight

    def _without(self, given: tuple[str, ...]) -> np.ndarray:
        """What is left of all covariances when `given` is held fixed; most claims share their condition."""
        if not given:
            return np.asarray(self._matrix)
        if given not in self._left:
            if len(self._left) > 5000:  # a long test must not keep every condition that it ever met
                self._left.clear()
            z = self._fixed(given)
            across = self._matrix[z]
            # Fixed variables may determine each other; then any solution leaves the same over.
            inverse = np.linalg.pinv(self._matrix[np.ix_(z, z)], rcond=1e-8, hermitian=True)
            self._left[given] = self._matrix - across.T @ inverse @ across
        return np.asarray(self._left[given])


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those up to q lets at most a share q of the rejections be false."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)[::-1]
    ranks = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(p[order] * len(p) / ranks))
    return [float(q) for q in adjusted]


def _testable(a: str, b: str) -> bool:
    return not (tier_of(a) == tier_of(b) and tier_of(a) != "state")


def _separator(wiring: Wiring, a: str, b: str) -> tuple[str, ...] | None:
    """What to hold fixed so that `a` and `b` are independent; `b` does not come before `a`."""
    earlier = {"state", "weight"} if tier_of(b) == "outcome" else {"state"}
    allowed = {v for v in wiring.nodes if tier_of(v) in earlier} - {a, b}
    causes = {s for s, t in wiring.arrows if t == b} & allowed
    if separated(wiring.dag, {a}, b, causes):
        return tuple(sorted(causes))
    found = smallest_separator(wiring.dag, {a}, b, allowed)
    return None if found is None else tuple(sorted(found))


def _test_claims(table: Correlations, claims: Sequence[Claim]) -> list[ClaimResult]:
    results = [table.partial(c) for c in claims]
    adjusted = iter(benjamini_hochberg([r[1] for r in results if r is not None]))
    tested = []
    for claim, result in zip(claims, results, strict=True):
        if result is None:
            tested.append(
                ClaimResult(claim=claim, correlation=None, p_value=None, adjusted=None, finding="undecidable")
            )
            continue
        q = next(adjusted)
        finding: Finding = "rejected" if q <= LEVEL else "holds"
        tested.append(
            ClaimResult(claim=claim, correlation=result[0], p_value=result[1], adjusted=q, finding=finding)
        )
    return sorted(
        tested,
        key=lambda t: (t.adjusted is None, t.adjusted or 0.0, t.p_value or 0.0, t.claim.a, t.claim.b),
    )


def _test_edge(table: Correlations, wiring: Wiring, source: str, target: str, mark: Mark) -> EdgeResult:
    """Whether the pair is independent given what would separate it without the edge."""
    a, b = (source, target) if TIER_RANK[tier_of(source)] <= TIER_RANK[tier_of(target)] else (target, source)
    if mark != "directed" and (b, a) in wiring.arrows:
        a, b = b, a
    given = _separator(wiring.without(a, b, shared=mark == "bidirected"), a, b)
    result = None if given is None else table.partial(Claim(a=a, b=b, given=given))
    if given is None or result is None:
        why = "a latent variable links them anyway" if given is None else "arithmetic alone decides"
        return EdgeResult(
            source=source, target=target, mark=mark, correlation=None, p_value=None, supported=None,
            least=None, words=f"cannot be tested: {why}",
        )  # fmt: skip
    r, p = result
    # 1.96 + 0.84: a test of level 5% with power 80%.
    least = float(np.tanh(2.8 / np.sqrt(table.spare(given))))
    supported = p <= LEVEL
    words = (
        f"the runs need it: {_strength(r)}"
        if supported
        else f"the runs do without it (partial correlation {r:+.2f}; {least:.2f} would rarely be missed)"
    )
    return EdgeResult(
        source=source, target=target, mark=mark, correlation=r, p_value=p, supported=supported, least=least,
        words=words,
    )  # fmt: skip


def _asked(table: Correlations, wiring: Wiring, rejected: Sequence[ClaimResult]) -> list[AskedEdge]:
    """The fewest edges that take the rejected claims back, the clearest first."""
    cut = max((c.p_value or 0.0 for c in rejected), default=0.0)
    causes: dict[str, list[str]] = {}
    for c in rejected:
        causes.setdefault(c.claim.b, []).append(c.claim.a)
    asked = []
    for target, left in causes.items():
        added = wiring
        while left:
            tested = []
            for source in left:
                given = _separator(added, source, target)
                result = None if given is None else table.partial(Claim(a=source, b=target, given=given))
                if result is not None and result[1] <= cut:
                    tested.append((result[1], -abs(result[0]), source, result[0]))
            if not tested:
                break
            p, _, source, r = min(tested)
            asked.append(_ask(source, target, r, p))
            added = replace(added, arrows=added.arrows | {(source, target)})
            left = [t[2] for t in tested if t[2] != source]
    return sorted(asked, key=lambda e: (e.p_value, -abs(e.correlation), e.source, e.target))


def _ask(source: str, target: str, r: float, p: float) -> AskedEdge:
    unknown = "; its direction is not known" if tier_of(source) == tier_of(target) else ""
    return AskedEdge(
        source=source, target=target, correlation=r, p_value=p,
        words=f"{source} -> {target}: {_strength(r)}{unknown}",
    )  # fmt: skip


def _strength(r: float) -> str:
    """A partial correlation in words."""
    size = "weak" if abs(r) < 0.2 else "clear" if abs(r) < 0.5 else "strong"
    way = "rise and fall together" if r > 0 else "move against each other"
    return f"they {way} ({size}, partial correlation {r:+.2f})"
