"""What a swarm depends on outside of itself, said for good before it is launched.

Names that mean one thing on a page may mean another in a worker process or a week later. Engines and callers
settle a swarm once, when it is submitted: what is missing is said then and there, and the job's file names
the very model and folder that its probes use.
"""

from __future__ import annotations

from causalmix_core.probes.design import SwarmSpec
from causalmix_core.proxy.pretrained import settle_proxy
from causalmix_core.workspace import Workspace


def settle_swarm(swarm: SwarmSpec, workspace: Workspace) -> SwarmSpec:
    """Make paths absolute, note the revision of a pretrained model, and check that everything is there.

    A swarm of proxies from scratch without tasks is returned as it is. Settling twice changes nothing.

    Args:
        swarm: what the user asked for.
        workspace: where relative paths start.

    Raises:
        CausalMixError: the pretrained model cannot be used (see `settle_proxy`), the tasks folder or a task
            in it is missing, or a library that they need is not installed.
    """
    proxy = settle_proxy(swarm.proxy, workspace)
    folder = swarm.tasks_folder
    if folder is not None:
        from causalmix_core.proxy.benchmarks import check_tasks

        path = workspace.resolve(folder)
        check_tasks(path, swarm.tasks)
        folder = str(path)
    if proxy == swarm.proxy and folder == swarm.tasks_folder:
        return swarm
    return swarm.model_copy(update={"proxy": proxy, "tasks_folder": folder})
