"""Design of swarms and the run table.

`RunTable` holds finished probes; `read_runs` reads a workspace's `runs/`.
"""

from causalmix_core.probes.runs import LOSS, STATE, WEIGHT, Assignment, RunTable, read_runs

__all__ = ["LOSS", "STATE", "WEIGHT", "Assignment", "RunTable", "read_runs"]
