"""Overlap: how the mixtures of the runs came about, and where there are runs to go by at all.

`assignment_report` says how to read an estimate on these runs and whether the label they carry is to be
believed; `overlap_report` counts what each domain and each region of the pool state rests on; `point_support`
says whether a mixture in a pool state lies among the runs.
"""

from causalmix_core.effects.overlap.assignment import (
    AssignmentKind,
    AssignmentReport,
    Predictability,
    assignment_report,
)
from causalmix_core.effects.overlap.support import (
    DomainSupport,
    Overlap,
    PointSupport,
    StateRegion,
    overlap_report,
    point_support,
)

__all__ = [
    "AssignmentKind",
    "AssignmentReport",
    "DomainSupport",
    "Overlap",
    "PointSupport",
    "Predictability",
    "StateRegion",
    "assignment_report",
    "overlap_report",
    "point_support",
]
