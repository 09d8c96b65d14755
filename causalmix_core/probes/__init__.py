"""Design of swarms, one shard of a swarm, and the run table.

`SwarmSpec` and `design_swarm` plan, `run_shard` trains, `RunTable` and `read_runs` hold what came out;
`load_engine` finds what runs a swarm in the background.
"""

from causalmix_core.probes.design import (
    Design,
    Probe,
    SwarmSpec,
    assignment_of,
    design_swarm,
    reference_of,
)
from causalmix_core.probes.design_summary import DesignSummary, describe_design
from causalmix_core.probes.engine import (
    LIVE,
    SwarmEngine,
    SwarmState,
    SwarmStatus,
    load_engine,
    unused_seed,
)
from causalmix_core.probes.mixture_list import FittedMixtures, fit_mixtures, parse_mixtures, read_mixtures
from causalmix_core.probes.runs import LOSS, STATE, WEIGHT, Assignment, RunTable, read_runs

__all__ = [
    "LIVE",
    "LOSS",
    "STATE",
    "WEIGHT",
    "Assignment",
    "Design",
    "DesignSummary",
    "FittedMixtures",
    "Probe",
    "RunTable",
    "SwarmEngine",
    "SwarmSpec",
    "SwarmState",
    "SwarmStatus",
    "assignment_of",
    "describe_design",
    "design_swarm",
    "fit_mixtures",
    "load_engine",
    "parse_mixtures",
    "read_mixtures",
    "read_runs",
    "reference_of",
    "unused_seed",
]
