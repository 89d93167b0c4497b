"""What makes the programs of a search while others are measured, and checks the fastest ones."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from balto.data.task import Task, task_seed
from balto.errors import WorkerError
from balto.search.learner import Learner
from balto.search.task import DEADLINE_S, SearchSettings, TaskSearch, warm
from balto.store.known import Known
from balto.workers.worker import Worker

_Made = TypeVar("_Made")

#: How often it is told that something is waited for, seconds.
_TELL_S = 20.0
#: Of a network, the share of a task from which on making its programs may take as long as it may
#: at most; less for others, but no less than the least share of that.
_WHOLE_SHARE, _LEAST = 0.1, 0.2


class Makers:
    """Workers on the cores on which nothing is timed, and one thread that tells them what to make.

    One thing is made after the other, so that what is made does not depend on how long it takes.

    Attributes:
        known: what stores know of tasks, by their names.

    Args:
        learner: what all tasks of the search share.
        settings: of the search.
        seed: fixes every choice.
        cpus: the cores.
    """

    def __init__(
        self, learner: Learner, settings: SearchSettings, seed: int, cpus: tuple[int, ...]
    ) -> None:
        self._learner, self._settings, self._seed = learner, settings, seed
        self._workers = [Worker(cpus=cpus) for _ in range(settings.makers)]
        for worker in self._workers:
            worker.start()
        self._making = ThreadPoolExecutor(1, initializer=os.sched_setaffinity, initargs=(0, cpus))
        self.known: Mapping[str, Known] = {}
        self._drawn: dict[str, Future[TaskSearch]] = {}
        self._begun: dict[str, Future[TaskSearch]] = {}
        self._expected: tuple[Task, float] | None = None
        warming = ThreadPoolExecutor(1)
        self._warm = warming.submit(warm)
        warming.shutdown(wait=False)

    def close(self) -> None:
        """Stop the workers, whatever they do."""
        for worker in self._workers:
            worker.end()
        self._making.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def submit(self, make: Callable[..., _Made], *arguments: Any) -> Future[_Made]:
        """Call a function after everything that was submitted before it."""
        return self._making.submit(make, *arguments)

    def expect(self, task: Task | None, share: float) -> None:
        """Say which task is likely to begin next, if any does, and its share of the network."""
        self._expected = None if task is None else (task, share)

    def draw_expected(self) -> None:
        """Draw the random programs of the expected task, unless they are drawn already."""
        if self._expected is not None:
            self._draw(*self._expected)

    def begin(self, task: Task, share: float = 1.0) -> Future[TaskSearch]:
        """The search of a task, with its first generations; begun once.

        Args:
            task: with its module.
            share: of its network's latency: a small one gets less time to make programs in.
        """
        if task.name in self._begun:
            return self._begun[task.name]
        drawn = self._draw(task, share)

        def begun() -> TaskSearch:
            search = drawn.result()
            self._warm.result()
            if task.name in self.known:
                search.recall(self.known[task.name])
            for _ in range(self._settings.generations):
                search.grow(max(1, self._settings.batch // self._settings.generations))
            return search

        self._begun[task.name] = self._making.submit(begun)
        return self._begun[task.name]

    def compare(self, programs: Sequence[tuple[Task, str]]) -> list[tuple[float, float]]:
        """Of programs that nobody measured, how far each is from the untuned one, and how fast.

        All workers compare at the same time, each its share.

        Args:
            programs: a task and a trace each.

        Returns:
            Of each, `error_of`, and its seconds in those of the untuned one, both roughly timed.
        """
        every = len(self._workers)

        def compared(k: int) -> list[tuple[float, float]]:
            return [self._compared(self._workers[k], *each) for each in programs[k::every]]

        def together() -> list[tuple[float, float]]:
            found = [(math.inf, math.inf)] * len(programs)
            with ThreadPoolExecutor(every) as threads:
                for k, part in enumerate(threads.map(compared, range(every))):
                    found[k::every] = part
            return found

        return self._making.submit(together).result()

    def error_of(self, task: Task, trace: str) -> float:
        """How far a program is from the untuned one, in tolerances; infinity if it does not run."""
        error = self._making.submit(
            self._workers[0].call_with_retries,
            *("balto.deploy.operators:error_of", task.module, trace, task.target),
            deadline_s=self._settings.check_timeout_s,
        )
        try:
            return float(error.result())
        except WorkerError:
            return math.inf

    def _compared(self, worker: Worker, task: Task, trace: str) -> tuple[float, float]:
        try:
            error, ratio = worker.call_with_retries(
                *("balto.deploy.operators:compared", task.module, trace, task.target),
                deadline_s=self._settings.check_timeout_s,
            )
        except WorkerError:
            return math.inf, math.inf
        return error, ratio

    def _draw(self, task: Task, share: float) -> Future[TaskSearch]:
        """The search of a task, with random programs alone; drawn once."""
        if task.name not in self._drawn:
            seed = task_seed(self._seed, task.name)
            deadline_s = DEADLINE_S * min(1.0, max(_LEAST, share / _WHOLE_SHARE))
            how = (self._learner, self._workers, self._settings, seed, deadline_s)
            self._drawn[task.name] = self._making.submit(TaskSearch, task, *how)
        return self._drawn[task.name]


def waited(made: Future[_Made], tell: Callable[[float], None]) -> _Made:
    """The result of what is being made; tells now and then how long it was waited for, seconds."""
    began = time.monotonic()
    while not wait([made], _TELL_S).done:
        tell(time.monotonic() - began)
    return made.result()
