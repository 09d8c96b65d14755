"""Repeats a search on halves of the runs, in worker processes, the same whatever their number.

Workers are plain processes that read their work from their standard input and end when it is closed, so none
outlives the process that started it, however that ends. Each runs one thread. What a search prints goes to
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
from dataclasses import dataclass
from typing import IO

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.discovery.arrows import Arrow
from causalmix_core.graph.discovery.knowledge import Knowledge
from causalmix_core.graph.discovery.methods import DiscoverySettings
from causalmix_core.graph.discovery.search import search

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
_CLOSE_SECONDS = 1.0
_POLL_SECONDS = 0.25
_BATCH = 4
"""Resamples per request: enough that a fast search is not slowed down by the pipes."""


@dataclass(frozen=True)
class Work:
    """What every resample has in common.

    Attributes:
        data: shape (n, number of columns), weights bent, nothing missing.
        columns: names.
        settings: of the search.
        knowledge: required and forbidden edges.
        randomised: whether every mixture was drawn at random.
        size: runs of a resample, drawn without replacement.
        seed: with the number of a resample, decides which runs it holds.
    """

    data: np.ndarray
    columns: tuple[str, ...]
    settings: DiscoverySettings
    knowledge: Knowledge
    randomised: bool
    size: int
    seed: int

    def search(self, number: int) -> list[Arrow]:
        """What is found in resample `number`."""
        chosen = np.random.default_rng([self.seed, number]).choice(len(self.data), self.size, replace=False)
        found = search(
            self.data[np.sort(chosen)],
            self.columns,
            self.settings,
            self.knowledge,
            randomised=self.randomised,
            tick=_nothing,
        )
        return found.arrows


def _nothing() -> None:
    pass


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resample(
    work: Work, numbers: Sequence[int], workers: int, tick: Callable[[], None]
) -> Iterator[tuple[int, list[Arrow]]]:
    """The arrows of every resample, in the order in which they get done.

    Args:
        work: what to search.
        numbers: of the resamples.
        workers: how many processes; 0 searches in this one.
        tick: called several times a second; what it raises ends the work and its processes at once.

    Raises:
        CausalMixError: a search was refused, or a worker was killed.
    """
    if workers == 0:
        for number in numbers:
            tick()
            yield number, work.search(number)
        return
    size = 1 if work.settings.method == "pc_kci" else _BATCH
    batches = [tuple(numbers[i : i + size]) for i in range(0, len(numbers), size)]
    with _Pool(work, min(workers, len(batches))) as pool:
        waiting = {pool.submit(batch) for batch in batches}
        while waiting:
            done, waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
            tick()
            for future in done:
                yield from future.result()


class _Pool:
    """Worker processes, each with a thread here that waits for its answers; a context manager."""

    def __init__(self, work: Work, workers: int) -> None:
        self._workers: list[_Worker] = []
        for _ in range(workers):
            self._workers.append(_Worker(work))
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
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

    def submit(self, numbers: tuple[int, ...]) -> Future[list[tuple[int, list[Arrow]]]]:
        return self._threads.submit(self._run, numbers)

    def _run(self, numbers: tuple[int, ...]) -> list[tuple[int, list[Arrow]]]:
        worker = self._idle.get()
        try:
            return worker.search(numbers)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process; a call to `search` waits for its answer."""

    def __init__(self, work: Work) -> None:
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
            raise CausalMixError(f"No process can be started to search in: {error.strerror}.") from error

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def search(self, numbers: tuple[int, ...]) -> list[tuple[int, list[Arrow]]]:
        stdin, stdout = self._pipes
        try:
            if not self._told:
                pickle.dump(self._work, stdin, protocol=5)
                self._told = True
            pickle.dump(numbers, stdin, protocol=5)
            stdin.flush()
            answer = pickle.load(stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise CausalMixError(
                "A process that searches resamples has ended; the system does that when memory runs out. "
                "Nothing was saved. Close other programs and try again."
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        found: list[tuple[int, list[Arrow]]] = answer
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
    """Answer numbers of resamples with what is found in them, until the input ends."""
    try:
        work: Work = pickle.load(requests)
        while True:
            numbers: tuple[int, ...] = pickle.load(requests)
            answer: list[tuple[int, list[Arrow]]] | BaseException
            try:
                answer = [(number, work.search(number)) for number in numbers]
            except Exception as error:  # handed over to the process that asked, which raises it
                answer = error
            pickle.dump(answer, answers, protocol=5)
            answers.flush()
    except (EOFError, BrokenPipeError):
        return


def main() -> None:
    """Serve on standard input and output; what a search prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, answers)
