"""Which way an outcome gets worse."""

from __future__ import annotations

from causalmix_core.probes.outcomes import direction_of


def badness_sign(outcome: str) -> int:
    """1 where a higher value is worse, -1 where it is better. The objective is better when lower."""
    from causalmix_core.effects.identification import OBJECTIVE

    return -1 if outcome != OBJECTIVE and direction_of(outcome) == "higher" else 1
