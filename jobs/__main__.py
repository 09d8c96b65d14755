"""`python -m jobs`: the processes of a background job. Started by an engine, not by hand."""

import sys
from pathlib import Path

from causalmix_core.workspace import Workspace


def main(arguments: list[str]) -> int:
    """Do what a process of a job is told: `supervise WORKSPACE JOB`, `ray WORKSPACE JOB`,
    `task WORKSPACE JOB` or `work WORKSPACE JOB ATTEMPT WORKER SUPERVISOR DEVICE SHARD`.
    """
    match arguments:
        case ["supervise", root, job]:
            from jobs.supervise import supervise

            return supervise(Workspace(Path(root)), job)
        case ["work", root, job, attempt, worker, supervisor, device, shard]:
            from jobs.work import work

            return work(
                Workspace(Path(root)), job, int(attempt), int(worker), int(supervisor), device, int(shard)
            )
        case ["task", root, job]:
            from jobs.tasks import run_task

            return run_task(Workspace(Path(root)), job)
        case ["ray", root, job]:
            from jobs.ray_driver import drive

            return drive(Workspace(Path(root)), job)
    print(main.__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
