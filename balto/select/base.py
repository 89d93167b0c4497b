"""The contract of every selector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(eq=False)
class TaskState:
    """What a selector may know about one task of `M` selectable programs.

    Attributes:
        name: the task's name, for error messages.
        size: `M`.
        labelled: indices of the measured programs, in the order they were measured.
        labels: relative throughput of those, in (0, 1]; NaN where the measurement failed.
        seconds: what measuring each of those cost, seconds.
        predictions: `M` predicted relative throughputs in [0, 1]; None while there is no model.
        program_features: makes the `M x d` program-level features; called only if asked for.
        ensemble_predictions: makes `K x M` predictions, one row a member; called only if asked for.
    """

    name: str
    size: int
    labelled: NDArray[np.int64]
    labels: NDArray[np.float64]
    seconds: NDArray[np.float64]
    predictions: NDArray[np.float64] | None = None
    program_features: Callable[[], NDArray[np.float32]] | None = field(default=None, repr=False)
    ensemble_predictions: Callable[[], NDArray[np.float64]] | None = field(default=None, repr=False)

    @cached_property
    def unlabelled(self) -> NDArray[np.int64]:
        """Indices that may be selected, ascending."""
        free = np.ones(self.size, dtype=bool)
        free[self.labelled] = False
        return np.flatnonzero(free)


class Selector(ABC):
    """Chooses which programs of a task to measure next.

    Laws, which every selector keeps and the tests check:

    1. `select` returns distinct unlabelled indices: `budget` of them, or all that are left.
    2. It is a function of its arguments alone: the same state, budget and generator state give
       the same picks, in another process and with any number of workers too.
    3. Ties go to the lowest index.
    4. The first picks of a larger budget are the picks of a smaller one (greedy selectors).

    Attributes:
        name: how the selector is called on the command line.
        needs_ensemble: whether it asks for `TaskState.ensemble_predictions`.
    """

    name: ClassVar[str]
    needs_ensemble: ClassVar[bool] = False

    @abstractmethod
    def select(self, state: TaskState, budget: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose `budget` programs of the task, in the order they were chosen.

        Raises:
            SelectionError: the predictions or features are not finite.
        """

    def rule(self, state: TaskState) -> str:
        """Name of the rule that `select` would use, for the report; the selector's own name."""
        return self.name if state.predictions is not None else "random"
