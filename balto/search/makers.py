"""What makes the programs of a search while others are measured, and checks the fastest ones."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from balto.data.task import Task, task_seed
from balto.errors import WorkerError
from balto.search.learner import Learner
from balto.search.task import SearchSettings, TaskSearch, warm
from balto.store.known import Known
from balto.workers.worker import Worker

_Made = TypeVar("_Made")


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
        self._expected: Task | None = None
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

    def expect(self, task: Task | None) -> None:
        """Say which task is likely to begin next, if any does."""
        self._expected = task

    def draw_expected(self) -> None:
        """Draw the random programs of the expected task, unless they are drawn already."""
        if self._expected is not None:
            self._draw(self._expected)

    def begin(self, task: Task) -> Future[TaskSearch]:
        """The search of a task, with its first generations."""
        drawn = self._draw(task)

        def begun() -> TaskSearch:
            search = drawn.result()
            self._warm.result()
            if task.name in self.known:
                search.recall(self.known[task.name])
            for _ in range(self._settings.generations):
                search.grow(max(1, self._settings.batch // self._settings.generations))
            return search

        return self._making.submit(begun)

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

    def _draw(self, task: Task) -> Future[TaskSearch]:
        """The search of a task, with random programs alone; drawn once."""
        if task.name not in self._drawn:
            seed = task_seed(self._seed, task.name)
            self._drawn[task.name] = self._making.submit(
                TaskSearch, task, self._learner, self._workers, self._settings, seed
            )
        return self._drawn[task.name]
