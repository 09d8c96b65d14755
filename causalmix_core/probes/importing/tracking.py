"""What exports of experiment trackers have in common: settings, results, a name and a status per run."""

from __future__ import annotations

from dataclasses import dataclass

from causalmix_core.probes.importing.files import SourceTable
from causalmix_core.probes.importing.guessing import (
    domains_in,
    find_weights,
    label_targets,
    numeric,
    outcome_targets,
    run_column,
    state_targets,
    weight_targets,
)
from causalmix_core.probes.importing.names import UNKNOWN, direction_in


@dataclass(frozen=True)
class Tracker:
    """How one tracker names its columns.

    Attributes:
        settings: beginnings of headers of what a run was told.
        results: beginnings of headers of what it measured.
        names: headers of the run's name, in lower case, the best first.
        status: header of how it ended, in lower case.
        own: headers in lower case that speak of the tracker, not of the run.
    """

    settings: tuple[str, ...]
    results: tuple[str, ...]
    names: tuple[str, ...]
    status: str
    own: frozenset[str]


def guess_tracked(table: SourceTable, tracker: Tracker) -> dict[str, str]:
    """Targets of the columns of an export.

    Where headers have the tracker's prefixes, weights are looked for among the settings and outcomes among
    the results, else among all columns. A result whose header does not tell a direction is left for a person
    to name: exports hold dozens of columns that are no outcome at all.
    """
    free = [c for c in table.columns if c.lower() not in tracker.own]
    settings = [c for c in free if c.startswith(tracker.settings)]
    results = [c for c in free if c.startswith(tracker.results)]
    weights = find_weights(table, numeric(table, settings or free))
    others = [c for c in settings or free if c not in weights]
    targets = weight_targets(weights) | state_targets(others, tracker.settings)
    measured = numeric(table, [c for c in (results or free) if c not in targets])
    # In a table without prefixes a setting may be called `score`; what trains is no evaluation.
    measured = [c for c in measured if direction_in(c) and "train" not in c.lower()]
    found = outcome_targets(measured, domains_in(targets.values()))
    run = run_column(table.columns, tracker.names)
    status = next((c for c in table.columns if c.lower() == tracker.status), None)
    told = {h: t for h, t in found.items() if not t.startswith(UNKNOWN)}
    return label_targets(table, run, status) | targets | told
