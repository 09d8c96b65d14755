"""How the mixtures of the runs came about, how to read an estimate under it, and whether the label is true.

Runs say of themselves that their mixtures were drawn at random. Where that is so, the pool state cannot
predict them; where it does, the label is wrong or the draw was not independent of the pool, and that is
said. The test is a permutation test, so it holds for any number of runs and any shape of the mixtures.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from causalmix_core.effects.group_fit import StateScale
from causalmix_core.effects.state_terms import held_out_r2, state_terms
from causalmix_core.probes.runs import Assignment, RunTable

AssignmentKind = Assignment | Literal["mixed"]

PERMUTATIONS = 999
TOGETHER = 37
"""Permutations that are looked at in one go; divides their number."""
DOUBTED_LEVEL = 0.005
"""Of the permutation test: one honest swarm in 200 is doubted."""
DOUBTED_SHARE = 0.03
"""Share of a weight's variance that must be predicted for it to matter."""
OFFSET = 0.03
"""Weights are looked at as log(weight + 0.03), as in the tests of the graph."""
FEWEST_RUNS = 12


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Predictability(_Value):
    """How well the weight of one domain can be told from elsewhere, on runs left out one at a time.

    Attributes:
        domain: whose weight.
        by_state: share of its variance that the pool state predicts, 0 to 1; None without pool states.
        by_order: share that the order of the runs predicts; None where the order is not recorded.
    """

    domain: str
    by_state: float | None
    by_order: float | None


class AssignmentReport(_Value):
    """How the mixtures came about and what follows from it.

    Attributes:
        kind: what the runs say; `mixed` where they differ, None where nothing is recorded.
        counts: runs by kind; the key `not recorded` where the column is empty.
        weights: by domain.
        state_p_value: of the hypothesis that the pool state says nothing of the mixtures; None: not tested.
        order_p_value: of the hypothesis that the order of the runs says nothing of them; None: not tested.
        doubted: the runs are labelled randomised and the pool state predicts their mixtures.
        sentences: how to read the estimate, in plain words.
    """

    kind: AssignmentKind | None
    counts: dict[str, int]
    weights: tuple[Predictability, ...]
    state_p_value: float | None
    order_p_value: float | None
    doubted: bool
    sentences: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """Columns domain, by_state, by_order: shares of variance predicted."""
        return pd.DataFrame([w.model_dump() for w in self.weights])


def assignment_report(runs: RunTable, seed: int = 0) -> AssignmentReport:
    """Say how the mixtures came about, and look whether the runs agree.

    Args:
        runs: finished probes.
        seed: of the permutations.
    """
    counts = _counts(runs)
    kind = _kind(counts)
    weights = np.log(runs.weights() + OFFSET)
    moving = np.ptp(weights, axis=0) > 1e-9
    scale = StateScale.of(runs)
    by_state, state_p = _predicted(
        state_terms(scale.standardise(runs.state(scale.columns))) if scale.columns else None,
        weights[:, moving],
        seed,
    )
    by_order, order_p = _predicted(_order_terms(runs), weights[:, moving], seed)
    doubted = (
        kind == "randomised"
        and state_p is not None
        and state_p <= DOUBTED_LEVEL
        and by_state is not None
        and by_state.max() >= DOUBTED_SHARE
    )
    found = tuple(
        Predictability(domain=d, by_state=_of(by_state, moving, k), by_order=_of(by_order, moving, k))
        for k, d in enumerate(runs.domains)
    )
    return AssignmentReport(
        kind=kind,
        counts=counts,
        weights=found,
        state_p_value=state_p,
        order_p_value=order_p,
        doubted=doubted,
        sentences=tuple(_sentences(kind, counts, found, state_p, order_p, doubted)),
    )


def _counts(runs: RunTable) -> dict[str, int]:
    known = get_args(Assignment)
    column = runs.frame["assignment"] if "assignment" in runs.frame else pd.Series([None] * len(runs))
    found = {kind: int((column == kind).sum()) for kind in known}
    found["not recorded"] = len(runs) - sum(found.values())
    return {kind: n for kind, n in found.items() if n}


def _kind(counts: dict[str, int]) -> AssignmentKind | None:
    if len(counts) > 1:
        return "mixed"
    only = next(iter(counts), None)
    return next((kind for kind in get_args(Assignment) if kind == only), None)


def _order_terms(runs: RunTable) -> np.ndarray | None:
    """One, the rank of the time at which a run finished, and its square; None where that is not recorded."""
    if "finished_at" not in runs.frame or runs.frame["finished_at"].isna().any():
        return None
    rank = runs.frame["finished_at"].rank().to_numpy(float)
    if len(np.unique(rank)) < 3:
        return None
    rank = (rank - rank.mean()) / rank.std()
    return np.column_stack([np.ones(len(rank)), rank, rank**2])


def _predicted(
    terms: np.ndarray | None, weights: np.ndarray, seed: int
) -> tuple[np.ndarray | None, float | None]:
    """Held-out R2 of each weight, and the p-value of the largest under exchange of the mixtures."""
    if terms is None or not weights.shape[1] or len(weights) < max(FEWEST_RUNS, 2 * terms.shape[1]):
        return None, None
    found = held_out_r2(terms, weights)
    rng = np.random.default_rng(seed)
    chance: list[float] = []
    for _ in range(PERMUTATIONS // TOGETHER):
        exchanged = np.hstack([weights[rng.permutation(len(weights))] for _ in range(TOGETHER)])
        chance += held_out_r2(terms, exchanged).reshape(TOGETHER, -1).max(axis=1).tolist()
    p_value = (1 + int((np.array(chance) >= found.max()).sum())) / (PERMUTATIONS + 1)
    return np.maximum(found, 0), p_value


def _of(values: np.ndarray | None, moving: np.ndarray, k: int) -> float | None:
    """The value of domain k; a weight that is the same in every run is predicted by nothing."""
    if values is None:
        return None
    return float(values[int(moving[:k].sum())]) if moving[k] else 0.0


def _sentences(
    kind: AssignmentKind | None,
    counts: dict[str, int],
    weights: tuple[Predictability, ...],
    state_p: float | None,
    order_p: float | None,
    doubted: bool,
) -> list[str]:
    n = sum(counts.values())
    said = []
    if kind == "randomised":
        said.append(
            f"The mixtures of all {n} runs were drawn at random, so nothing can have caused both a mixture "
            "and its outcomes. Double machine learning mainly reduces noise here; a plain regression would "
            "say much the same."
        )
    elif kind == "adaptive":
        said.append(
            f"The mixtures of all {n} runs were chosen knowing earlier results. What the choice looked at "
            "has to be held fixed. The runs are not independent draws: they crowd where results were good, "
            "and a 95% interval is a guide there, not a promise."
        )
    elif kind == "observational":
        said.append(
            f"The mixtures of all {n} runs came about for reasons of their own. The estimate is as good as "
            "the graph: what caused both mixtures and outcomes must be in it and must have been measured. "
            "Look at the sensitivity to hidden causes."
        )
    elif kind == "mixed":
        parts = " and ".join(f"{count} {name}" for name, count in counts.items())
        said.append(
            f"The runs differ in how their mixtures came about ({parts}). The estimate is as good as the "
            "graph says of the weakest of them: what caused their mixtures must be in it and measured. The "
            "randomised runs alone need no such trust."
            if "randomised" in counts
            else f"The runs differ in how their mixtures came about ({parts}). None were drawn at random, so "
            "the estimate is as good as the graph."
        )
    else:
        said.append(
            f"Nothing is recorded of how the mixtures of these {n} runs came about. They are treated as "
            "observational: the estimate is as good as the graph."
        )
    strongest = max(weights, key=lambda w: w.by_state or 0, default=None)
    if strongest is not None and strongest.by_state is not None and state_p is not None:
        said.append(_about_state(kind, doubted, strongest, state_p))
    drifting = max(weights, key=lambda w: w.by_order or 0, default=None)
    if drifting is not None and drifting.by_order is not None and order_p is not None:
        said += _about_order(kind, drifting, order_p)
    return said


def _about_state(
    kind: AssignmentKind | None, doubted: bool, strongest: Predictability, p_value: float
) -> str:
    share = f"{strongest.by_state:.0%} of the variance of {strongest.domain}"
    if doubted:
        return (
            f"The label is in doubt: the pool state predicts {share} in runs left out (p = {p_value:.3f}), "
            "which it cannot where mixtures are drawn at random. Treat these runs as observational, and "
            "draw the pool state into the graph as a cause of the weights."
        )
    if p_value <= DOUBTED_LEVEL:
        return (
            f"The pool state predicts up to {share} in runs left out (p = {p_value:.3f}): holding it fixed "
            "makes a difference."
        )
    if kind == "randomised":
        return "The runs agree: the pool state does not predict the mixtures."
    return "The pool state does not predict the mixtures: what chose them did not go by what is measured."


def _about_order(kind: AssignmentKind | None, drifting: Predictability, p_value: float) -> list[str]:
    if p_value > DOUBTED_LEVEL:
        return []
    share = f"{drifting.by_order:.0%} of the variance of {drifting.domain}"
    drift = f"Later runs have other mixtures than earlier ones: the order predicts {share}."
    if kind == "randomised":
        return [
            f"{drift} That is so where several designs follow each other; where later mixtures were chosen "
            "knowing earlier results, the runs are adaptive and should say so."
        ]
    return [drift]
