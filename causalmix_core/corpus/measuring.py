"""Measures batches of texts in worker processes, in order, with bounded memory.

Workers are plain processes that read batches from their standard input and end when it is closed, so none
outlives the process that started it, however that ends. Each worker runs one thread: there are as many
workers as cores, and what they do has to be divided only once. A small pool is measured in the calling
process, since starting workers takes longer.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO, Protocol, TypeVar

from causalmix_core.corpus.measure import Measured, Tokenizer, measure_batch
from causalmix_core.errors import CausalMixError

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
ONE_THREAD = dict.fromkeys(_THREADS, "1")
"""Environment of a worker: libraries below it must not start threads of their own."""


class Batch(Protocol):
    """What can be measured: something that has texts."""

    @property
    def texts(self) -> list[str]:
        """The documents, none empty."""


B = TypeVar("B", bound=Batch)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class MeasuringPool:
    """Worker processes that run `measure_batch`; a context manager.

    Args:
        tokenizer: as in `workspace.yaml`, with an absolute path.
        workers: how many processes; 0 measures in the calling process.
    """

    def __init__(self, tokenizer: str, workers: int) -> None:
        self._tokenizer = Tokenizer(tokenizer)  # refused here, in words, before any process is started
        self._workers = [_Worker(tokenizer) for _ in range(min(1, workers))]
        for first in self._workers:
            # The first measurement after an installation compiles the loops, and leaves them for the others.
            first.measure([""])
        self._workers += [_Worker(tokenizer) for _ in range(workers - 1)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> MeasuringPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()

    def measure(self, batches: Iterator[B]) -> Iterator[tuple[B, Measured]]:
        """Each batch with its measurements, in the order of `batches`.

        A few batches more than there are workers are held at a time.

        Raises:
            CausalMixError: a worker was killed.
        """
        if not self._workers:
            for batch in batches:
                yield batch, measure_batch(batch.texts, self._tokenizer)
            return
        waiting: deque[tuple[B, Future[Measured]]] = deque()
        with ThreadPoolExecutor(len(self._workers)) as threads:
            try:
                for batch in batches:
                    waiting.append((batch, threads.submit(self._run, batch.texts)))
                    if len(waiting) > len(self._workers) + 1:
                        first, future = waiting.popleft()
                        yield first, future.result()
                while waiting:
                    first, future = waiting.popleft()
                    yield first, future.result()
            finally:
                threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, texts: list[str]) -> Measured:
        worker = self._idle.get()
        try:
            return worker.measure(texts)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process; a call to `measure` waits for its answer."""

    def __init__(self, tokenizer: str) -> None:
        self._process = subprocess.Popen(
            # Not `-m`, which would import this module a second time under another name.
            [sys.executable, "-c", f"from {__name__} import main; main()", tokenizer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
        )

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def measure(self, texts: list[str]) -> Measured:
        stdin, stdout = self._pipes
        try:
            pickle.dump(texts, stdin, protocol=5)
            stdin.flush()
            answer = pickle.load(stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            code = self._process.wait()
            killed = f"by signal {-code}" if code < 0 else f"with status {code}"
            raise CausalMixError(
                f"A process that measures documents ended {killed}; the system does that when memory runs "
                "out. Nothing was changed. Close other programs or lower max_document_bytes, then ingest "
                "again."
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        measured: Measured = answer
        return measured

    def close(self) -> None:
        """End the process: it stops when its input does."""
        for pipe in self._pipes:
            try:
                pipe.close()
            except OSError:  # a dead process has nothing left to be told
                continue
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(tokenizer: str, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer batches of texts with their measurements until the input ends."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    loaded = Tokenizer(tokenizer)
    while True:
        try:
            texts = pickle.load(requests)
        except EOFError:
            return
        answer: Measured | BaseException
        try:
            answer = measure_batch(texts, loaded)
        except Exception as error:  # handed over to the process that asked, which raises it
            answer = error
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


def main() -> None:
    """Entry point of a worker process; its one argument is the tokenizer."""
    # What a library prints must not get between the answers.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.argv[1], sys.stdin.buffer, out)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
