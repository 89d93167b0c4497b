"""Measure with several worker processes at once: what live and RPC measuring share."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome, Status
from balto.data.plausible import plausible
from balto.data.task import Task
from balto.errors import MeasurerError, WorkerDied, WorkerError, WorkerTimeout
from balto.measure.build import KEPT, Built, Program
from balto.measure.measurer import Measurer
from balto.measure.todo import Homes, Todo
from balto.workers.worker import Worker

#: What Python, C++, LLVM and CUDA say when there is no memory.
_OUT_OF_MEMORY = ("MemoryError", "std::bad_alloc", "out of memory", "OUT_OF_MEMORY")
_MAX_FAILED_STARTS = 3


class CrewMeasurer(Measurer):
    """Gives each worker one program at a time, and replaces a worker that is gone.

    A program is timed as precisely as its rank needs: the best of its task is the smallest of what
    the candidate says and of what this call of `measure` has seen.

    A call in a worker notes `build_s`, announces its stages (``build``, ``wait``, ``run``) and
    returns the other fields of its `Outcome`.

    Args:
        workers: started here, in the background.
        recycle_bytes: a worker whose resident memory has grown past this is replaced.
    """

    def __init__(self, workers: Sequence[Worker], recycle_bytes: int) -> None:
        self._workers = list(workers)
        self._recycle_bytes = recycle_bytes
        self._homes = Homes(KEPT * len(self._workers))
        for worker in self._workers:
            worker.start()

    @abstractmethod
    def _submit(self, number: int, work: Program | Built, best_s: float) -> None:
        """Have worker `number` measure a program."""

    def _todo(self, candidates: Sequence[Candidate]) -> Todo:
        """What becomes of candidates before a worker gets them: nothing, unless overridden."""
        return Todo(candidates)

    def _retries(self, error: WorkerError, tries: int) -> bool:
        """Whether a program whose call failed for the `tries`-th time is measured again.

        Once, if its worker was killed from outside, or if time ran out by the clock alone: that
        says nothing about the program yet.
        """
        killed = isinstance(error, WorkerDied) and error.killed and not _no_memory(error)
        waited = isinstance(error, WorkerTimeout) and (error.by_clock or error.stage == "wait")
        return tries < 2 and (killed or waited)

    def measure(
        self, candidates: Sequence[Candidate]
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Build and time `candidates`; see `Measurer.measure`."""
        todo = self._todo(candidates)
        tries = [0] * len(candidates)
        busy: dict[int, tuple[int, float]] = {}  # worker -> candidate, when it began
        best: dict[int, float] = {}  # task -> smallest latency known
        for each in candidates:
            _learn(best, each, each.best_s)
        failed_starts = 0
        try:
            while todo or busy:
                for unbuilt, reason, seconds in todo.failures():
                    if reason.untaken:
                        raise _none_starts(reason) from reason
                    failed = outcome_of_error(reason, seconds)
                    yield unbuilt, ended_as_too_dear(failed, candidates[unbuilt])
                for number, worker in enumerate(self._workers):
                    worker.start()
                    free = number not in busy and worker.ready
                    if free and (index := todo.pop(self._suits(worker))) is not None:
                        self._homes.settle(candidates[index], worker.pid)
                        best_s = best.get(candidates[index].task_id, math.inf)
                        self._submit(number, todo.work(index), best_s)
                        busy[number] = index, time.monotonic()
                        tries[index] += 1
                for number in self._wait(busy, todo):
                    if number not in busy:
                        failed_starts = self._poll_start(self._workers[number], failed_starts)
                        continue
                    index, began = busy[number]
                    try:
                        outcome = self._poll(self._workers[number], time.monotonic() - began)
                    except WorkerError as error:
                        if error.untaken:  # that was no try of the program
                            tries[index] -= 1
                            failed_starts = self._failed_start(error, failed_starts)
                        if error.untaken or self._retries(error, tries[index]):
                            del busy[number]
                            todo.again(index)
                            continue
                        outcome = outcome_of_error(error, time.monotonic() - began)
                        outcome = ended_as_too_dear(outcome, candidates[index])
                    if outcome is None:
                        continue
                    outcome = self._judged(outcome, candidates[index].task)
                    del busy[number]
                    todo.done(index)
                    failed_starts = 0
                    _learn(best, candidates[index], outcome.latency_s if outcome.ok else None)
                    self._replace_if_large(self._workers[number])
                    yield index, outcome
        finally:
            todo.close()
            for number in busy:
                self._workers[number].kill()

    def pids(self) -> list[int]:
        """Process ids of the workers.

        Returns:
            One of each that runs.
        """
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def memory_bytes(self) -> int:
        """Resident memory of all workers, bytes.

        Returns:
            Their sum.
        """
        return sum(worker.memory_bytes() for worker in self._workers)

    def close(self) -> None:
        """Stop every worker."""
        for worker in self._workers:
            worker.kill()

    def _suits(self, worker: Worker) -> Callable[[Candidate], bool]:
        """Whether a program is for a worker: no other one has it at hand, built before."""
        return lambda candidate: self._homes.suits(candidate, worker.pid, self.pids())

    def _wait(self, busy: dict[int, Any], todo: Todo) -> list[int]:
        """Workers that have something to say, or whose time is up; also returns to look at `todo`.

        None may have, when something was built meanwhile.
        """
        waiting = [n for n, w in enumerate(self._workers) if n in busy or not w.ready]
        deadlines = {n: self._workers[n].deadline for n in waiting}
        left = max(0.0, min(deadlines.values(), default=math.inf) - time.monotonic())
        sources: list[Any] = [self._workers[n].connection for n in waiting]
        sources += [] if todo.wake is None else [todo.wake]
        said = wait(sources, min(left, 3600.0) + 0.001) if sources else []
        now = time.monotonic()
        return [n for n in waiting if self._workers[n].connection in said or now > deadlines[n]]

    def _poll_start(self, worker: Worker, failed: int) -> int:
        """Take note of a worker that has started, or not; returns how many in a row did not."""
        try:
            worker.poll()
        except WorkerError as error:
            return self._failed_start(error, failed)
        return 0 if worker.ready else failed

    def _failed_start(self, error: WorkerError, failed: int) -> int:
        """One more worker that did not come to take a program, after `failed` in a row."""
        if failed >= _MAX_FAILED_STARTS * len(self._workers):
            raise _none_starts(error) from error
        return failed + 1

    @staticmethod
    def _poll(worker: Worker, seconds: float) -> Outcome | None:
        """The outcome of the worker's program, if it is known."""
        done, fields = worker.poll()
        if not done:
            return None
        build_s = float(worker.notes.get("build_s", seconds))
        return Outcome(Status.OK, build_s=build_s, **fields)

    def _judged(self, outcome: Outcome, task: Task) -> Outcome:
        """What becomes of an outcome before anybody sees it: a latency that cannot be is none."""
        return plausible(outcome, task.flop)

    def _replace_if_large(self, worker: Worker) -> None:
        if worker.memory_bytes() > self._recycle_bytes:
            worker.kill()
        worker.start()


def _learn(best: dict[int, float], candidate: Candidate, latency_s: float | None) -> None:
    if latency_s is not None:
        best[candidate.task_id] = min(latency_s, best.get(candidate.task_id, math.inf))


def _none_starts(error: WorkerError) -> MeasurerError:
    return MeasurerError(f"expected worker processes that can load TVM, but none starts: {error}")


def _no_memory(error: WorkerError) -> bool:
    return any(sign in f"{error}\n{error.output}" for sign in _OUT_OF_MEMORY)


def ended_as_too_dear(outcome: Outcome, candidate: Candidate) -> Outcome:
    """The outcome, under its own status if the build ran into the limit of its candidate."""
    limit_s = candidate.build_limit_s
    if outcome.status is not Status.BUILD_TIMEOUT or outcome.build_s < limit_s:
        return outcome
    message = f"its build was ended after {outcome.build_s:.1f} s, far past what was foretold"
    return replace(outcome, status=Status.TOO_DEAR, message=message)


def outcome_of_error(error: WorkerError, seconds: float) -> Outcome:
    """What a call that did not return says about its program.

    Args:
        error: as `Worker.poll` raised it, once the call was taken.
        seconds: wall clock of the whole call, with building, if that was not done elsewhere, and
            with waiting for the right to time.
    """
    running = error.stage not in ("", "build")
    if isinstance(error, WorkerTimeout):
        status = Status.RUN_TIMEOUT if running else Status.BUILD_TIMEOUT
    elif _no_memory(error):
        status = Status.OUT_OF_MEMORY
    elif isinstance(error, WorkerDied) or getattr(error, "kind", "") == "DeviceLost":
        status = Status.CRASH
    else:
        status = Status.RUN_ERROR if running else Status.BUILD_ERROR
    notes = error.notes
    build_s = float(notes.get("build_s", seconds))
    elsewhere = bool(notes.get("built_elsewhere"))
    before_s = (0.0 if elsewhere else build_s) + float(notes.get("waited_s", 0.0))
    measure_s = max(0.0, seconds - before_s)
    return Outcome(
        status,
        build_s=build_s,
        measure_s=measure_s,
        message=str(error),
        device=str(error.notes.get("device", "")),
    )
