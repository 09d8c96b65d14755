"""Fits of several outcomes side by side, one thread of linear algebra each.

Matrices of some hundred runs are too small for the threads of a linear algebra library: beside other work on
the same cores they wait for each other, and a fit took twenty times as long. One outcome per core has no such
wait; numpy and LAPACK let go of the interpreter while they compute.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from causalmix_core.worker_pool import cores

Made = TypeVar("Made")


def side_by_side(make: Callable[[int], Made], count: int) -> list[Made]:
    """`make(0)` to `make(count - 1)`, in this order.

    Args:
        make: independent of the others and safe to run beside them.
        count: how many. A process that was told to keep to one thread (OMP_NUM_THREADS) makes one at a time.
    """
    from threadpoolctl import threadpool_limits

    told = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(count, cores(), int(told) if told.isdigit() else count)
    with threadpool_limits(limits=1, user_api="blas"):
        if threads <= 1:
            return [make(i) for i in range(count)]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(make, range(count)))
