"""The test of independence that PC and FCI ask, with what is known built in.

A test never lets arithmetic, the future or a curator's certainty be overruled: it answers "not independent"
where one of the pair is determined by the condition, where the condition holds a variable that cannot be a
cause of either (two outcomes of one proxy often stand in for each other so well that conditioning on one
would hide what a weight does to the other), and where the edge is required.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from causalmix_core.graph.discovery.knowledge import Rules
from causalmix_core.graph.discovery.score import DETERMINED, fit

if TYPE_CHECKING:
    from causallearn.utils.cit import CIT_Base

Kernel = Literal["fisher_z", "kci"]

MAX_CONDITION = 3
"""Variables that are held fixed at most, as in the temporal PC of Petersen et al. (2021)."""
TEST_NAME = "causalmix_test"


def make_test(
    values: np.ndarray, rules: Rules, kernel: Kernel, tick: Callable[[], None]
) -> Callable[[int, int, Sequence[int] | None], float]:
    """The test as a function of two columns and those that are held fixed; its value is a p-value."""
    test: Callable[[int, int, Sequence[int] | None], float] = test_class()(
        values, rules=rules, kernel=kernel, tick=tick
    )
    return test


def test_class() -> type[CIT_Base]:
    """The test as a class for causal-learn; made on first use, since that takes seconds to import."""
    from causallearn.utils.cit import KCI, CIT_Base
    from scipy.stats import norm

    class InformedTest(CIT_Base):  # type: ignore[misc]  # causal-learn has no types
        def __init__(self, data: np.ndarray, rules: Rules, kernel: Kernel, tick: Callable[[], None]) -> None:
            super().__init__(data)
            self.method = TEST_NAME
            self.rules = rules
            self.tick = tick
            self.kernel = KCI(data) if kernel == "kci" else None
            self.correlation = np.corrcoef(data.T)

        def __call__(self, x: int, y: int, given: Sequence[int] | None = None) -> float:
            xs, ys, zs, key = self.get_formatted_XYZ_and_cachekey(x, y, given)
            if key not in self.pvalue_cache:
                self.tick()
                self.pvalue_cache[key] = self._p_value(xs[0], ys[0], zs)
            return float(self.pvalue_cache[key])

        def _p_value(self, x: int, y: int, given: list[int]) -> float:
            rules = self.rules
            if rules.must(x, y) or rules.must(y, x) or not rules.linked_in_time(x, y):
                return 0.0
            outcome = "outcome" in (rules.tier(x), rules.tier(y))
            earlier = {"state", "weight"} if outcome else {"state"}
            if any(rules.tier(v) not in earlier for v in given):
                return 0.0
            pair = [x, y]
            left = self.correlation[np.ix_(pair, pair)]
            if given:
                across = self.correlation[np.ix_(given, pair)]
                left = left - across.T @ fit(self.correlation[np.ix_(given, given)], across)
            if min(left[0, 0], left[1, 1]) < DETERMINED:
                return 0.0
            if self.kernel is not None:
                return float(self.kernel(x, y, given))
            r = float(np.clip(left[0, 1] / np.sqrt(left[0, 0] * left[1, 1]), -1 + 1e-15, 1 - 1e-15))
            return float(2 * norm.sf(np.sqrt(self.sample_size - len(given) - 3) * abs(np.arctanh(r))))

    return InformedTest
