"""Does many independent pieces of work in processes of their own; their number changes no answer.

Workers are plain processes that read their work from their standard input and end when it is closed, so none
outlives the process that started it, however that ends. Each runs one thread. What the work prints goes to
the workers' standard error, not into the answers.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import IO, Any, Protocol, TypeVar

from causalmix_core.errors import CausalMixError

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
_CLOSE_SECONDS = 1.0
_POLL_SECONDS = 0.25


Item = TypeVar("Item")
Answer = TypeVar("Answer")
_Item = TypeVar("_Item", contravariant=True)
_Answer = TypeVar("_Answer", covariant=True)


class Work(Protocol[_Item, _Answer]):
    """What all pieces have in common; it is pickled, and sent to each process once."""

    def do(self, item: _Item, /) -> _Answer:
        """One piece; the answer follows from the work and the item alone, and can be pickled."""
        ...


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def work_through(
    work: Work[Item, Answer],
    items: Sequence[Item],
    workers: int,
    tick: Callable[[], None],
    *,
    batch: int = 1,
) -> Iterator[tuple[Item, Answer]]:
    """Every item with its answer, in the order in which they get done.

    Args:
        work: what is done with each item.
        items: begun in this order.
        workers: how many processes; 0 works in this one.
        tick: called several times a second (between two items where it works in this process); what it
            raises ends the work and its processes at once.
        batch: items per request: more where one takes less time than a pipe does.

    Raises:
        CausalMixError: the work raised one, or a process was killed.
    """
    if workers == 0:
        for item in items:
            tick()
            yield item, work.do(item)
        return
    batches = [tuple(items[i : i + batch]) for i in range(0, len(items), batch)]
    if not batches:
        return
    with _Pool(work, min(workers, len(batches))) as pool:
        waiting = {pool.submit(batch) for batch in batches}
        while waiting:
            done, waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
            tick()
            for future in done:
                yield from future.result()


class _Pool:
    """Worker processes, each with a thread here that waits for its answers; a context manager."""

    def __init__(self, work: Work[Any, Any], workers: int) -> None:
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        for _ in range(workers):
            self._workers.append(_Worker(work))
            self._idle.put(self._workers[-1])
        self._threads = ThreadPoolExecutor(workers)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def submit(self, items: tuple[Any, ...]) -> Future[list[tuple[Any, Any]]]:
        return self._threads.submit(self._run, items)

    def _run(self, items: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        worker = self._idle.get()
        try:
            return worker.do(items)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process; a call to `do` waits for its answer."""

    def __init__(self, work: Work[Any, Any]) -> None:
        self._work = work
        self._told = False
        try:
            self._process = subprocess.Popen(
                # Not `-m`, which would import this module a second time under another name.
                [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl+C is for the process that asked; it ends its workers
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError as error:
            raise CausalMixError(f"No process can be started to work in: {error.strerror}.") from error

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def do(self, items: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        stdin, stdout = self._pipes
        try:
            if not self._told:
                pickle.dump(self._work, stdin, protocol=5)
                self._told = True
            pickle.dump(items, stdin, protocol=5)
            stdin.flush()
            answer = pickle.load(stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise CausalMixError(
                "A process that does a part of the work has ended; the system does that when memory runs "
                "out. Nothing was saved. Close other programs and try again."
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        found: list[tuple[Any, Any]] = answer
        return found

    def kill(self) -> None:
        """End the process in the middle of its work."""
        self._process.kill()

    def close(self) -> None:
        """End the process: it stops when its input does."""
        for pipe in self._pipes:
            try:
                pipe.close()
            except OSError:  # a dead process has nothing left to be told
                continue
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer batches of items, until the input ends."""
    try:
        work: Work[Any, Any] = pickle.load(requests)
        while True:
            items: tuple[Any, ...] = pickle.load(requests)
            answer: list[tuple[Any, Any]] | BaseException
            try:
                answer = [(item, work.do(item)) for item in items]
            except Exception as error:  # handed over to the process that asked, which raises it
                answer = error
            pickle.dump(answer, answers, protocol=5)
            answers.flush()
    except (EOFError, BrokenPipeError):
        return


def main() -> None:
    """Serve on standard input and output; what the work prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, answers)
