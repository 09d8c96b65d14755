"""The runs, changed on purpose: what each refuter hands to the estimator instead of them.

All are pure functions of a sample and random draws that the caller makes once per replicate, so that groups
of outcomes are changed in the same way.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalmix_core.effects.sample import Sample
from causalmix_core.effects.state_terms import fitted_values, state_terms


def placebo(sample: Sample, order: np.ndarray) -> Sample:
    """Mixtures exchanged among the runs: nobody's mixture is its own.

    Args:
        sample: the runs.
        order: a permutation of them, shape (n,).
    """
    return replace(sample, weights=sample.weights[order])


def dummy_outcome(sample: Sample, order: np.ndarray) -> Sample:
    """Outcomes that no mixture has caused: what the pool state predicts of them, and shuffled noise.

    The pool state is related to weights and outcomes as before, so an estimator that does not adjust for it
    finds effects here that are not there.

    Args:
        sample: the runs.
        order: a permutation of them, shape (n,).
    """
    fitted = fitted_values(state_terms(sample.state), sample.outcomes)
    return sample.with_outcomes(fitted + (sample.outcomes - fitted)[order])


def random_common_cause(sample: Sample, noise: np.ndarray) -> Sample:
    """A pool state more, of pure noise, that is held fixed; nothing is said to depend on it.

    Args:
        sample: the runs.
        noise: standard normal, shape (n,).
    """
    return replace(sample, state=np.column_stack([sample.state, noise]))
