"""The contract of every selector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balto.errors import SelectionError

#: What predictions are computed with as they are.
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


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
        cost: `M`, seconds that measuring each is expected to take, above 0; None where programs,
            and not seconds, are the budget.
    """

    name: str
    size: int
    labelled: NDArray[np.int64]
    labels: NDArray[np.float64]
    seconds: NDArray[np.float64]
    predictions: NDArray[np.float64] | None = None
    program_features: Callable[[], NDArray[np.float32]] | None = field(default=None, repr=False)
    ensemble_predictions: Callable[[], NDArray[np.float64]] | None = field(default=None, repr=False)
    cost: NDArray[np.float64] | None = field(default=None, repr=False)
    #: The predictions that `scores` checked, and what it returned: it is asked twice a choice.
    _sound: tuple[Any, NDArray[np.floating[Any]]] | None = field(
        default=None, init=False, repr=False
    )

    def __repr__(self) -> str:
        return (
            f"TaskState({self.name}: {self.size} programs, {len(self.labelled)} of them measured)"
        )

    @cached_property
    def unlabelled(self) -> NDArray[np.int64]:
        """Indices that may be selected, ascending."""
        free = np.ones(self.size, dtype=bool)
        free[self.labelled] = False
        return np.flatnonzero(free)

    def scores(self) -> NDArray[np.floating[Any]]:
        """The predictions, checked.

        Returns:
            `M` float; a higher one is a faster program.

        Raises:
            SelectionError: If there are no predictions, not `M` of them, or one is not finite.
        """
        if self._sound is None or self._sound[0] is not self.predictions:
            checked = self._checked(self.predictions, "predictions", (self.size,))
            self._sound = self.predictions, checked
        return self._sound[1]

    def features(self) -> NDArray[np.floating[Any]]:
        """The program-level features, `M x d`, checked.

        Returns:
            ``M x d`` float.

        Raises:
            SelectionError: If there are no features, not `M` rows of them, or one is not finite.
        """
        made = self.program_features() if self.program_features else None
        return self._checked(made, "program features", (self.size, -1))

    def ensemble(self) -> NDArray[np.floating[Any]]:
        """The ensemble's predictions, `K x M`, checked.

        Returns:
            ``K x M`` float.

        Raises:
            SelectionError: If there is no ensemble, it has not `M` columns, or a value is not
                finite.
        """
        made = self.ensemble_predictions() if self.ensemble_predictions else None
        return self._checked(made, "ensemble predictions", (-1, self.size))

    def _checked(
        self, values: NDArray[Any] | None, what: str, shape: tuple[int, ...]
    ) -> NDArray[np.floating[Any]]:
        if values is None:
            raise SelectionError(f"task {self.name}: this selector needs {what}, and got none")
        if values.shape != shape and not _fits(values.shape, shape):
            raise SelectionError(
                f"task {self.name}: expected {what} of shape {shape}, got {values.shape}"
            )
        if not np.isfinite(values).all():
            raise SelectionError(
                f"task {self.name}: expected finite {what}, got "
                f"{np.count_nonzero(~np.isfinite(values))} NaN or infinite values"
            )
        return values if values.dtype in _FLOATS else values.astype(np.float64)


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether an array has the shape that is wanted, in which -1 is any size but 0."""
    return len(shape) == len(wanted) and all(
        there == want or (want == -1 and there > 0)
        for want, there in zip(wanted, shape, strict=True)
    )


class Selector(ABC):
    """Chooses which programs of a task to measure next.

    A subclass has a `name` and `choose`; a dataclass has its hyper-parameters as fields.

    Laws, which every selector keeps and `balto.testing.SelectorContract` checks:

    1. `select` returns distinct unlabelled indices: `budget` of them, or all that are left.
    2. It is a function of its arguments alone: the same state, budget and generator state give
       the same picks, in another process and with any number of workers too.
    3. Ties go to the lowest index.
    4. The first picks of a larger budget are the picks of a smaller one (greedy selectors).
    5. While there is no model the picks are random (a selector that needs no model excepted).
    6. Predictions or features that it needs and that are not finite are an error that names the
       task.

    Attributes:
        name: how the selector is called on the command line.
        needs_model: whether it chooses at random while `TaskState.predictions` is None.
        needs_ensemble: whether it asks for `TaskState.ensemble_predictions`.
    """

    name: ClassVar[str]
    needs_model: ClassVar[bool] = True
    needs_ensemble: ClassVar[bool] = False

    def select(self, state: TaskState, budget: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose `budget` programs of the task, in the order they were chosen.

        Args:
            state: what is known of the task.
            budget: how many programs; at most those that are not labelled.
            rng: the only source of chance.

        Returns:
            Their numbers within the task.

        Raises:
            SelectionError: If predictions or features are missing or not finite, or `choose` did
                not give `budget` distinct unlabelled programs.
        """
        budget = min(budget, state.size - len(state.labelled))
        if budget <= 0:
            return np.empty(0, dtype=np.int64)
        if self.needs_model and state.predictions is None:
            return rng.permutation(state.unlabelled)[:budget]
        if self.needs_model:
            state.scores()  # checked, even for those that ask the ensemble alone
        return self._checked(state, budget, np.asarray(self.choose(state, budget, rng)))

    def _checked(self, state: TaskState, budget: int, picks: NDArray[Any]) -> NDArray[np.int64]:
        """The picks, if they keep law 1; cheap, since it is done for every task of every round."""
        listed = picks.tolist() if picks.ndim == 1 else []
        if len(listed) != budget or picks.dtype.kind not in "iu" or len(set(listed)) != budget:
            raise SelectionError(
                f"task {state.name}: expected the selector {self.name} to choose {budget} distinct "
                f"programs, it chose {len(set(listed))}, as {picks.dtype} of shape {picks.shape}"
            )
        taken = np.zeros(state.size, dtype=bool)
        taken[state.labelled] = True
        if min(listed) < 0 or max(listed) >= state.size or np.count_nonzero(taken[picks]):
            raise SelectionError(
                f"task {state.name}: the selector {self.name} chose a program that is labelled "
                "already, or that there is not"
            )
        return picks.astype(np.int64, copy=False)

    @abstractmethod
    def choose(self, state: TaskState, budget: int, rng: np.random.Generator) -> ArrayLike:
        """Choose `budget` programs, in the order of choice. This is all that a selector writes.

        Args:
            state: of the task; `TaskState.unlabelled` may be chosen.
            budget: how many: at least 1, and no more than are left.
            rng: the only source of chance, the same for the same seed, round and task.

        Returns:
            `budget` distinct members of ``state.unlabelled``.
        """

    def parameters(self) -> dict[str, Any]:
        """The hyper-parameters that are not the defaults, for JSON: a dataclass's fields.

        Returns:
            Values by name.
        """
        if not is_dataclass(self):
            return dict(vars(self))
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}

    def rule(self, state: TaskState) -> str:
        """Name of the rule that `select` would use, for the report; the selector's own name.

        Args:
            state: of the task.

        Returns:
            The name.
        """
        return "random" if self.needs_model and state.predictions is None else self.name
