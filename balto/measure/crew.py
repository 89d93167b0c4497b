"""Measure with several worker processes at once: what live and RPC measuring share."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

from balto.errors import MeasurerError
from balto.measure.measurer import Candidate, Measurer
from balto.measure.outcome import Outcome, Status
from balto.measure.worker import Worker, WorkerDied, WorkerError, WorkerTimeout

#: What Python, C++, LLVM and CUDA say when there is no memory.
_OUT_OF_MEMORY = ("MemoryError", "std::bad_alloc", "out of memory", "OUT_OF_MEMORY")
_MAX_FAILED_STARTS = 3


class CrewMeasurer(Measurer):
    """Gives each worker one program at a time.

    A call in a worker notes `build_s`, announces its stages (nothing while it builds, ``wait``,
    ``run``) and returns the other fields of its `Outcome`.

    Args:
        workers: started here, in the background.
        recycle_bytes: a worker whose resident memory has grown past this is replaced.
        best_s: the smallest latency known of each task, by its name.
    """

    def __init__(
        self, workers: Sequence[Worker], recycle_bytes: int, best_s: dict[str, float] | None
    ) -> None:
        self._workers = list(workers)
        self._recycle_bytes = recycle_bytes
        self._best = dict(best_s or {})
        for worker in self._workers:
            worker.start()

    @abstractmethod
    def _submit(self, number: int, candidate: Candidate, best_s: float) -> None:
        """Have worker `number` measure a candidate."""

    def _retries(self, error: WorkerError, tries: int) -> bool:  # noqa: ARG002
        """Whether a call that failed for the `tries`-th time is made again."""
        return False

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        """Build and time `candidates`; see `Measurer.measure`."""
        todo = deque(range(len(candidates)))
        tries = [0] * len(candidates)
        busy: dict[int, tuple[int, float]] = {}  # worker -> candidate, when it began
        failed_starts = 0
        try:
            while todo or busy:
                for number, worker in enumerate(self._workers):
                    worker.start()
                    if todo and number not in busy and worker.ready:
                        index = todo.popleft()
                        best_s = self._best.get(candidates[index].task.name, math.inf)
                        self._submit(number, candidates[index], best_s)
                        busy[number] = index, time.monotonic()
                        tries[index] += 1
                for number in self._wait(busy):
                    if number not in busy:
                        failed_starts = self._poll_start(self._workers[number], failed_starts)
                        continue
                    index, began = busy[number]
                    try:
                        outcome = self._poll(self._workers[number], time.monotonic() - began)
                    except WorkerError as error:
                        if self._retries(error, tries[index]):
                            del busy[number]
                            todo.append(index)
                            continue
                        outcome = outcome_of_error(error, time.monotonic() - began)
                    if outcome is None:
                        continue
                    del busy[number]
                    self._finish(number, candidates[index], outcome)
                    yield index, outcome
        finally:
            for number in busy:
                self._workers[number].kill()

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def memory_bytes(self) -> int:
        """Resident memory of all workers, bytes."""
        return sum(worker.memory_bytes() for worker in self._workers)

    def close(self) -> None:
        """Stop every worker."""
        for worker in self._workers:
            worker.kill()

    def _wait(self, busy: dict[int, Any]) -> list[int]:
        """Workers that have something to say, or whose time is up."""
        waiting = [n for n, w in enumerate(self._workers) if n in busy or not w.ready]
        deadlines = {n: self._workers[n].deadline for n in waiting}
        left = max(0.0, min(deadlines.values()) - time.monotonic())
        said = wait([self._workers[n].connection for n in waiting], min(left, 3600.0) + 0.001)
        now = time.monotonic()
        return [n for n in waiting if self._workers[n].connection in said or now > deadlines[n]]

    def _poll_start(self, worker: Worker, failed: int) -> int:
        """Take note of a worker that has started, or not; returns how many in a row did not."""
        try:
            worker.poll()
        except WorkerError as error:
            if failed >= _MAX_FAILED_STARTS * len(self._workers):
                raise MeasurerError(
                    f"expected worker processes that can load TVM, but none starts: {error}"
                ) from error
            return failed + 1
        return 0

    @staticmethod
    def _poll(worker: Worker, seconds: float) -> Outcome | None:
        """The outcome of the worker's program, if it is known."""
        done, fields = worker.poll()
        if not done:
            return None
        build_s = float(worker.notes.get("build_s", seconds))
        return Outcome(Status.OK, build_s=build_s, **fields)

    def _finish(self, number: int, candidate: Candidate, outcome: Outcome) -> None:
        """Learn the best of the task, and have no worker larger than it should be."""
        if outcome.ok:
            best_s = self._best.get(candidate.task.name, math.inf)
            self._best[candidate.task.name] = min(best_s, outcome.latency_s)
        if self._workers[number].memory_bytes() > self._recycle_bytes:
            self._workers[number].kill()
        self._workers[number].start()


def outcome_of_error(error: WorkerError, seconds: float) -> Outcome:
    """What a call that did not return says about its program.

    Args:
        error: as `Worker.poll` raised it.
        seconds: wall clock of the whole call.
    """
    running = bool(error.stage)
    if isinstance(error, WorkerTimeout):
        status = Status.RUN_TIMEOUT if running else Status.BUILD_TIMEOUT
    elif any(sign in f"{error}\n{error.output}" for sign in _OUT_OF_MEMORY):
        status = Status.OUT_OF_MEMORY
    elif isinstance(error, WorkerDied) or getattr(error, "kind", "") == "DeviceLost":
        status = Status.CRASH
    else:
        status = Status.RUN_ERROR if running else Status.BUILD_ERROR
    build_s = float(error.notes.get("build_s", seconds))
    message = next(iter(str(error).splitlines()), "")
    return Outcome(status, build_s=build_s, measure_s=max(0.0, seconds - build_s), message=message)
