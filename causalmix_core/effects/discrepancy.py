"""How wrong a fit may be because its shape is wrong: the part of an interval that econml leaves out.

econml's intervals take y = g(x) + theta' phi(w) for the truth and count only noise. Proxy losses have
little noise, and their true surface is no sum of logarithms, so most of the error is the shape, and a
nominal 95 % interval covered the true effect in half to three quarters of all cases in simulated worlds;
more runs shrink it without making it truer.

Here the deviation of the truth from the fitted shape is a Gaussian process over mixture and pool state
(universal kriging; Kennedy and O'Hagan 2001, section 4, call it model discrepancy). Its size, its
smoothness and the noise are read off the runs by restricted maximum likelihood (Patterson and Thompson
1971), which allows for the parameters that the fit has used up; rather than one best choice, all values
on a small grid count by their likelihood, because two dozen runs do not single one out. The variance of
the error of a predicted change then follows in closed form.

Limits: one smoothness for all domains; a surface with a kink between the runs is not covered; the
intervals hold on average over surfaces, not for the worst one; they do not cover a cause that is missing
in the graph.
"""

from __future__ import annotations

import numpy as np

MOST_RUNS = 384
"""Eigenvalues of a matrix of runs by runs are needed a dozen times; fewer runs only widen an interval."""

LENGTHS = (0.4, 0.8, 1.6, 3.2)
"""Smoothness over mixtures: standard deviations per feature, times the root of their number. Each value
is twice the one before, which `_KernelPowers` relies on."""
STATE_LENGTHS = (1.2, 2.4, np.inf)
"""Smoothness over pool states; infinite: the deviation does not depend on the state."""
SHARES = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97)
"""Share of the deviation in what the fit leaves over; the rest is noise."""
NEGLIGIBLE = 1e-3
CHUNK = 8192


class Discrepancy:
    """Noise and deviation from the fitted shape, for all outcomes of one fit.

    Attributes:
        degrees_of_freedom: runs less parameters, for the t quantile.
    """

    def __init__(
        self,
        features: np.ndarray,
        state: np.ndarray,
        modifiers: np.ndarray,
        outcomes: np.ndarray,
        seed: int,
    ) -> None:
        """Read noise and deviation off the runs.

        Args:
            features: phi(w), standardised, shape (n, d).
            state: standardised pool states, shape (n, p); p may be 0.
            modifiers: which of the states theta depends on, indices into the columns of `state`.
            outcomes: shape (n, m).
            seed: of the draw of runs where there are more than `MOST_RUNS`.
        """
        n = len(features)
        rows = np.arange(n)
        if n > MOST_RUNS:
            rows = np.sort(np.random.default_rng(seed).choice(n, MOST_RUNS, replace=False))
        self._features, self._state, self._modifiers = features[rows], state[rows], modifiers
        design = np.column_stack(
            [
                np.ones(len(rows)),
                self._state,
                self._slopes(self._features, self._state[:, modifiers]),
            ]
        )
        left, values, _ = np.linalg.svd(design, full_matrices=True)
        rank = int((values > values[0] * 1e-10).sum())
        self.degrees_of_freedom = max(n - rank, 1)
        self._weights = np.linalg.pinv(design, rcond=1e-10)[1 + state.shape[1] :]
        self._fit(left[:, rank:], outcomes[rows])

    @staticmethod
    def _slopes(features: np.ndarray, modifiers: np.ndarray) -> np.ndarray:
        """The columns that theta multiplies: phi, and phi times each modifier."""
        return np.column_stack([features, *(features * modifiers[:, [j]] for j in range(modifiers.shape[1]))])

    def _fit(self, complement: np.ndarray, outcomes: np.ndarray) -> None:
        """Weigh the grid by restricted likelihood and keep variances, shape (m,) each."""
        d, p = self._features.shape[1], self._state.shape[1]
        projected = complement.T @ outcomes
        df = max(len(projected), 1)
        apart = _squared_distances(self._features, self._features) / max(d, 1)
        state_apart = _squared_distances(self._state, self._state) / max(p, 1)
        cells: list[tuple[int, float, float]] = []
        scales, likelihoods = [], []
        kernels: dict[tuple[int, float], np.ndarray] = {}
        for i, length in enumerate(LENGTHS):
            for state_length in STATE_LENGTHS if p else (np.inf,):
                kernel = np.exp(-0.5 * (apart / length**2 + state_apart / state_length**2))
                kernels[i, state_length] = self._weights @ kernel @ self._weights.T
                eigen, vectors = np.linalg.eigh(complement.T @ kernel @ complement)
                squared = (vectors.T @ projected) ** 2
                for share in SHARES:
                    v = share * np.maximum(eigen, 0) + 1 - share
                    scale = np.maximum((squared / v[:, None]).sum(axis=0) / df, np.finfo(float).tiny)
                    cells.append((i, state_length, share))
                    scales.append(scale)
                    likelihoods.append(-0.5 * (np.log(v).sum() + df * np.log(scale)))
        likelihood = np.array(likelihoods)
        weight = np.exp(likelihood - likelihood.max(axis=0))
        weighted = weight / weight.sum(axis=0) * np.array(scales)
        shares = np.array([c[2] for c in cells])[:, None]
        self._noise = (weighted * (1 - shares)).sum(axis=0)
        # By length, then by state length: variance of the deviation (m,) and what the fit makes of it.
        self._deviation: dict[int, dict[float, tuple[np.ndarray, np.ndarray]]] = {}
        for key, kernel in kernels.items():
            here = np.array([c[:2] == key for c in cells])
            variance = (weighted * shares)[here].sum(axis=0)
            if (variance > NEGLIGIBLE * weighted.sum(axis=0)).any():
                self._deviation.setdefault(key[0], {})[key[1]] = (variance, kernel)

    def variance(
        self, state: np.ndarray, start: np.ndarray, end: np.ndarray, which: slice | int
    ) -> np.ndarray:
        """Variance of the error of predicted changes.

        Args:
            state: standardised pool state, shape (p,).
            start: standardised phi of where each change begins, shape (c, d) or (1, d) for all.
            end: where it ends, shape (c, d).
            which: outcomes to answer for.

        Returns:
            Shape (c, outcomes); noise in the fit and deviation from its shape, not the noise of a new run.
        """
        columns = np.arange(len(self._noise))[which].reshape(-1)
        parts = []
        for first in range(0, len(end), CHUNK):
            rows = slice(first, first + CHUNK)
            begin = start if len(start) == 1 else start[rows]
            parts.append(self._variance(state, begin, end[rows], columns))
        return np.vstack(parts) if parts else np.empty((0, len(columns)))

    def _variance(
        self, state: np.ndarray, start: np.ndarray, end: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        d, p = max(end.shape[1], 1), max(len(state), 1)
        step = end - start
        contrast = self._slopes(step, np.tile(state[self._modifiers], (len(step), 1)))
        fitted = ((contrast @ (self._weights @ self._weights.T)) * contrast).sum(axis=1)
        total = fitted[:, None] * self._noise[columns]
        moved = (step**2).sum(axis=1) / d
        state_apart = _squared_distances(state[None], self._state)[0] / p
        to_end = _KernelPowers(_squared_distances(end, self._features) / d)
        to_start = _KernelPowers(_squared_distances(start, self._features) / d)
        # From the longest to the shortest length, as the powers are formed.
        for i in sorted(self._deviation, reverse=True):
            parts = self._deviation[i]
            moved_kernel = to_end.at(i) - to_start.at(i)
            unlike = -2 * np.expm1(-0.5 * moved / LENGTHS[i] ** 2)
            lengths = np.array(list(parts))
            near = np.exp(-0.5 * state_apart / lengths[:, None] ** 2)
            fitted_kernels = np.stack([kernel for _, kernel in parts.values()])
            for j, column in enumerate(columns):
                # A sum over state lengths of quadratic forms is one quadratic form of their sum.
                scale = np.array([variance[column] for variance, _ in parts.values()])
                seen = moved_kernel @ (self._weights * (scale @ near)).T
                kernel = np.tensordot(scale, fitted_kernels, axes=1)
                deviation = (contrast * (contrast @ kernel - 2 * seen)).sum(axis=1)
                total[:, j] += np.maximum(deviation + scale.sum() * unlike, 0)
        return np.asarray(total)


class _KernelPowers:
    """exp(-d / 2 l^2) for each length l: halving l raises to the fourth power, cheaper than exp anew."""

    def __init__(self, squared_distances: np.ndarray) -> None:
        self._index = len(LENGTHS) - 1
        self._kernel = np.exp(-0.5 / LENGTHS[-1] ** 2 * squared_distances)

    def at(self, index: int) -> np.ndarray:
        while self._index > index:
            self._kernel = np.square(np.square(self._kernel))
            self._index -= 1
        return self._kernel


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(squared, 0))
