"""Design of swarms, one shard of a swarm, and the run table.

`SwarmSpec` and `design_swarm` plan, `run_shard` trains, `RunTable` and `read_runs` hold what came out and
compares, `all_runs` everything that was ever trained; `exclude_runs` takes runs out of what counts;
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
from causalmix_core.probes.every_run import all_runs, proxy_names, trajectories
from causalmix_core.probes.exclusions import (
    Exclusion,
    exclude_runs,
    exclusions_stamp,
    include_runs,
    read_exclusions,
)
from causalmix_core.probes.mixture_list import FittedMixtures, fit_mixtures, parse_mixtures, read_mixtures
from causalmix_core.probes.outcomes import LOSS
from causalmix_core.probes.runs import (
    IMPORT,
    STATE,
    WEIGHT,
    Assignment,
    RunTable,
    Use,
    pool_words,
    read_runs,
)

__all__ = [
    "IMPORT",
    "LIVE",
    "LOSS",
    "STATE",
    "WEIGHT",
    "Assignment",
    "Design",
    "DesignSummary",
    "Exclusion",
    "FittedMixtures",
    "Probe",
    "RunTable",
    "SwarmEngine",
    "SwarmSpec",
    "SwarmState",
    "SwarmStatus",
    "Use",
    "all_runs",
    "assignment_of",
    "describe_design",
    "design_swarm",
    "exclude_runs",
    "exclusions_stamp",
    "fit_mixtures",
    "include_runs",
    "load_engine",
    "parse_mixtures",
    "pool_words",
    "proxy_names",
    "read_exclusions",
    "read_mixtures",
    "read_runs",
    "reference_of",
    "trajectories",
    "unused_seed",
]
