"""A small Ray cluster on this machine, as long as its standard input is open; a process of its own.

The nodes find a CausalMix that cannot be used, like a node with an old installation: what they train with
must come from the driver. Lines on standard input are commands; each is answered by a line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(folder: Path, workers: int) -> None:
    old = folder / "old" / "causalmix_core"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text("raise ImportError('this is not the driver')\n")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(folder), "PYTHONPATH": str(old.parent)}
    from ray.cluster_utils import Cluster

    store = 80 << 20
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": store, "include_dashboard": False},
    )
    nodes = [cluster.add_node(wait=False, num_cpus=1, object_store_memory=store) for _ in range(workers)]
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for line in sys.stdin:
        assert line == "lose a node\n"
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        print("lost", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
