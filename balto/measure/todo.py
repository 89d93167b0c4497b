"""Programs on their way to the workers that time them, built there or before.

`Todo` hands a worker the program itself. `BuildAhead` has an executor build it first, on this
machine or on a cluster, and hands on the artifact; it never builds further ahead than a little.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from balto.data.candidate import Candidate
from balto.errors import WorkerError, WorkerTimeout
from balto.measure.build import Built, Program
from balto.measure.settings import Limit
from balto.workers.executor import Executor

#: No build begins while so many artifacts a timer are waiting.
AHEAD = 2

_BUILD = "balto.measure.build:build_exported"


def _any(_: Candidate) -> bool:
    return True


class Homes:
    """Which worker built which programs last, and has them at hand.

    Args:
        kept: programs to remember; those that were built longest ago are forgotten.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._homes: dict[tuple[str, str | None], int | None] = {}

    def suits(self, candidate: Candidate, worker: int | None, alive: Collection[int]) -> bool:
        """Whether no other worker has the program at hand.

        Args:
            candidate: the program.
            worker: process id of who asks for one.
            alive: process ids of all workers.
        """
        home = self._homes.get((candidate.task.name, candidate.trace))
        return home in (None, worker) or home not in alive

    def settle(self, candidate: Candidate, worker: int | None) -> None:
        """A worker gets the program, by its process id."""
        program = candidate.task.name, candidate.trace
        self._homes.pop(program, None)
        self._homes[program] = worker
        while len(self._homes) > self._kept:
            del self._homes[next(iter(self._homes))]


class Todo:
    """Candidates that wait for a worker, by their index.

    Args:
        candidates: all of one call of `Measurer.measure`.
    """

    #: File descriptor that is readable when there may be something new; None where there never is.
    wake: int | None = None

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._waiting = deque(range(len(candidates)))

    def __bool__(self) -> bool:
        """Whether anything has not been handed out yet."""
        return bool(self._waiting)

    def pop(self, suits: Callable[[Candidate], bool] = _any) -> int | None:
        """The next candidate that suits a worker; None while there is none."""
        for place, index in enumerate(self._waiting):
            if suits(self._candidates[index]):
                del self._waiting[place]
                return index
        return None

    def work(self, index: int) -> Program | Built:
        """What the worker gets of it."""
        return Program.of(self._candidates[index])

    def again(self, index: int) -> None:
        """Hand it out once more, after the others."""
        self._waiting.append(index)

    def done(self, index: int) -> None:
        """It has an outcome."""

    def failures(self) -> Iterator[tuple[int, WorkerError, float]]:
        """Those that could not be built since the last look: index, why, seconds it took."""
        return iter(())

    def close(self) -> None:
        """Forget what is left."""


class BuildAhead(Todo):
    """The same, built by an executor first.

    Args:
        candidates: all of one call of `Measurer.measure`.
        executor: where to build.
        timers: how many workers take artifacts.
        limit: what building one program may take.
    """

    def __init__(
        self, candidates: Sequence[Candidate], executor: Executor, timers: int, limit: Limit
    ) -> None:
        super().__init__(candidates)
        self._executor, self._timers, self._limit = executor, timers, limit
        self._slow: set[int] = set()  # that ran out of time by the clock once
        self._building: dict[Future[Any], int] = {}
        self._ready: deque[int] = deque()
        self._built: dict[int, Built] = {}
        self._closing, self._closed = threading.Lock(), False
        self.wake: int = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __bool__(self) -> bool:
        """Whether anything has not been handed out yet."""
        return bool(self._waiting or self._building or self._ready)

    def pop(self, suits: Callable[[Candidate], bool] = _any) -> int | None:  # noqa: ARG002
        """The next candidate whose artifact is there; it is handed over, and suits any worker."""
        index = self._ready.popleft() if self._ready else None
        self._build()
        return index

    def work(self, index: int) -> Built:
        """Its artifact."""
        return self._built[index]

    def again(self, index: int) -> None:
        """Hand the same artifact out once more."""
        self._ready.append(index)

    def done(self, index: int) -> None:
        """The artifact is needed no more."""
        del self._built[index]

    def failures(self) -> Iterator[tuple[int, WorkerError, float]]:
        """Take in what was built meanwhile; yields what could not be.

        Raises:
            ClusterLost: If the executor has nothing left to build on.
        """
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.wake)
        for future in [f for f in self._building if f.done()]:
            index = self._building.pop(future)
            try:
                self._built[index] = future.result()
                self._ready.append(index)
            except WorkerError as error:
                if isinstance(error, WorkerTimeout) and error.by_clock and index not in self._slow:
                    self._slow.add(index)
                    self._waiting.append(index)
                    continue
                yield index, error, self._seconds(index, error)
        self._build()

    def _seconds(self, index: int, error: WorkerError) -> float:
        """What building took that failed; NaN if that is not known."""
        if not isinstance(error, WorkerTimeout):
            return math.nan
        limit = self._limit.at_most(self._candidates[index].build_limit_s)
        return limit.clock_s if error.by_clock else limit.cpu_s

    def close(self) -> None:
        """Forget what is left."""
        for future in self._building:
            future.cancel()
        self._building.clear()
        with self._closing:
            os.close(self.wake)
            self._closed = True

    def _build(self) -> None:
        """Begin as many builds as the timers will soon need."""
        while (
            self._waiting
            and len(self._ready) < AHEAD * self._timers
            and len(self._building) < self._executor.slots + self._timers
        ):
            index = self._waiting.popleft()
            program = Program.of(self._candidates[index])
            deadline_s = self._limit.clock_s
            future = self._executor.submit(_BUILD, program, self._limit, deadline_s=deadline_s)
            self._building[future] = index
            future.add_done_callback(self._wake_up)

    def _wake_up(self, future: Future[Any]) -> None:  # noqa: ARG002
        with self._closing:
            if not self._closed:
                os.eventfd_write(self.wake, 1)
