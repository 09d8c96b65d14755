"""The columns of a run table as a search can use them: bent, checked, standardised.

Weights sum to one, so any weight is a function of the others and a test given all others says nothing.
We therefore use `log(weight + eps)`: it bends like diminishing returns do, and it is not collinear, so
that every domain keeps its own node.
"""

from __future__ import annotations

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import tier_of
from causalmix_core.probes import RunTable

WEIGHT_OFFSET = 0.03
"""Added to a weight before the logarithm. On simulated logarithmic, exponential and power laws 0.03 to 0.1
recover more edges than 0.003 to 0.01, which let the smallest weights decide, and than the raw weights."""

SPARE_RUNS = 5
"""Runs that must be left over after one per variable, or no test has any power."""

_SAME = 1e-9


def columns_of(runs: RunTable) -> list[str]:
    """The nodes of a graph over these runs: pool state, weights, outcomes."""
    return [*runs.states, *runs.weight_columns, *runs.outcomes]


def features(runs: RunTable, columns: list[str]) -> np.ndarray:
    """What is searched, shape (n, number of columns): weights bent by the logarithm, the rest as it is.

    Raises:
        CausalMixError: a value is missing or not finite.
    """
    data = runs.frame[columns].to_numpy(float)
    bad = [c for c, finite in zip(columns, np.isfinite(data).all(axis=0), strict=True) if not finite]
    if bad:
        raise CausalMixError(
            f"Discovery needs complete runs: {', '.join(bad)} is missing or not finite in some rows. "
            "Leave these rows or columns out."
        )
    return np.column_stack(
        [_bent(x) if tier_of(c) == "weight" else x for c, x in zip(columns, data.T, strict=True)]
    )


def _bent(weight: np.ndarray) -> np.ndarray:
    # An imported table may hold -1e-17 for a weight of zero.
    return np.asarray(np.log(np.maximum(weight, 0.0) + WEIGHT_OFFSET))


def usable(data: np.ndarray, columns: list[str]) -> tuple[list[int], list[str]]:
    """Indices of the columns that a search can use, and a note for each other one.

    Equal outcomes are both kept: outcomes are never conditioned on, so they do not disturb each other.

    Args:
        data: shape (n, number of columns).
        columns: their names.
    """
    used: list[int] = []
    notes: list[str] = []
    centred = data - data.mean(axis=0)
    size = np.linalg.norm(centred, axis=0)
    for i, name in enumerate(columns):
        x = data[:, i]
        if np.ptp(x) <= _SAME * max(1.0, float(np.abs(x).max())):
            notes.append(
                f"{name} is the same in every run, so nothing can be learned about it: left without edges."
            )
            continue
        twin = next(
            (
                columns[j]
                for j in used
                if tier_of(name) != "outcome"
                and abs(centred[:, i] @ centred[:, j]) > (1 - _SAME) * size[i] * size[j]
            ),
            None,
        )
        if twin is not None:
            notes.append(
                f"{name} moves exactly with {twin}, so the runs cannot tell them apart: "
                f"{name} is left without edges and {twin} speaks for both."
            )
            continue
        used.append(i)
    return used, notes


def is_randomised(runs: RunTable) -> bool:
    """Whether the table says that every mixture was drawn at random."""
    return "assignment" in runs.frame and bool((runs.frame["assignment"] == "randomised").all())


def standardised(data: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 per column: the score and the test do not depend on units, rounding does."""
    return np.asarray((data - data.mean(axis=0)) / data.std(axis=0))
