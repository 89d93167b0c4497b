"""Tasks without trials: of each the model's favourite, checked, and not measured.

There is one shot, and the highest of many predictions is mostly one that is too high, the winner's
curse: the deviation of the model's ensemble is taken off, as its members differ where it knows
little. ``experiments/favourite.py`` compares such rules (`docs/search.md`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from balto.data.task import Task
from balto.search.listener import SessionListener
from balto.search.makers import Makers
from balto.search.tuning import TunedTask

Floats = NDArray[np.float64]
#: Generations after those with which every search begins, each as for so many trials.
_GENERATIONS, _TRIALS = 2, 4
#: Deviations of the ensemble that are taken off a prediction.
_DEVIATIONS = 1.0
#: Why a task has no favourite.
UNTRAINED, WRONG, SLOWER = (
    "other tasks promised more",
    "the program that the model likes best computes something else, or does not run",
    "the untuned program is faster than the one that the model likes best",
)


class Favourite:
    """The program of a task that the model likes best; a trial may begin with it.

    Args:
        task: with its module.
        makers: of a session with a trained model.

    Raises:
        InputError: If TVM cannot sample the task.
    """

    def __init__(self, task: Task, makers: Makers) -> None:
        began = time.perf_counter()
        self.task = task
        self.search = makers.begin(task).result()
        for _ in range(_GENERATIONS):
            makers.submit(self.search.grow, _TRIALS).result()
        self.search.first = self._program = int(np.argmax(trusted(*self.search.said())))
        self.seconds = time.perf_counter() - began

    @property
    def trace(self) -> str:
        """JSON of its trace."""
        return self.search.traces[self._program]

    @property
    def expected(self) -> float:
        """Its relative throughput, in (0, 1], as far as the trials of other tasks say."""
        return self.search.expected(self._program)

    def found(self, trace: str) -> TunedTask:
        """The task with a program of which nothing was measured.

        Args:
            trace: JSON of the favourite's; empty for the untuned program.

        Returns:
            The task as a search returns it, without any time.
        """
        return TunedTask(
            task=self.task,
            trace=trace,
            latency_s=math.nan,
            untuned_s=math.nan,
            programs=(),
            best_s=(),
            asking_s=self.seconds,
            seconds=self.seconds,
            wrong=0,
            lost=self.search.lost,
        )


def checked(
    favourites: Sequence[Favourite], makers: Makers, listener: SessionListener, runs_here: bool
) -> tuple[list[TunedTask], list[tuple[str, str]]]:
    """Those that may be deployed.

    Args:
        favourites: of tasks that had no trial.
        makers: compare each with the untuned program.
        listener: is told which computes something else.
        runs_here: whether this machine runs them; otherwise none is compared.

    Returns:
        The tasks with their favourites; name and reason of those that keep the untuned program,
        which is right, or roughly timed the faster one.
    """
    compared = [(0.0, 0.0)] * len(favourites)
    if runs_here:
        compared = makers.compare([(each.task, each.trace) for each in favourites])
    tuned, untried = [], list[tuple[str, str]]()
    for each, (error, ratio) in zip(favourites, compared, strict=True):
        if not error <= 1:
            listener.wrong(each.task.name, error)
            untried.append((each.task.name, WRONG))
        elif ratio > 1:
            untried.append((each.task.name, SLOWER))
        else:
            tuned.append(each.found(each.trace))
    return tuned, untried


def trusted(predicted: Floats, members: Floats) -> Floats:
    """What to expect of `n` programs if one must be taken unmeasured: the one of most, the first.

    Args:
        predicted: `n`, relative throughput.
        members: ``K x n``, predictions of the members of the model's ensemble.
    """
    return np.asarray(predicted - _DEVIATIONS * members.std(axis=0))
