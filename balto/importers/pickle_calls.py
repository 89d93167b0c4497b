"""What a pickle's calls, new objects and states stand for; nothing that it names is called."""

from __future__ import annotations

from typing import Any

import numpy as np

from balto.importers import pickle_arrays as arrays
from balto.importers.pickle_bounds import Budget, Refused
from balto.importers.pickle_values import (
    Array,
    Given,
    LearningTask,
    Named,
    Object,
    Programs,
    kind,
    shown,
)


class Calls:
    """Makes the values of one file.

    Args:
        budget: what the file may make.

    Attributes:
        ready: features that were just read, until somebody takes them.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._begun = 0  # arrays whose state has not come yet
        self._given = 0
        self.ready: Programs | None = None

    def call(self, called: Any, arguments: Any) -> Any:
        """What a call would have returned.

        Raises:
            Refused: If TenSet's files have no such call.
        """
        if not isinstance(called, Named) or not isinstance(arguments, tuple):
            raise Refused(f"calls {kind(called)}")
        match called.role, arguments:
            case "dictionary", ():
                return {}
            case "array", (Named(role="class"), (0,), b"b"):
                self._begun += 1
                return Array(self._budget.now())
            case "dtype", (str() as code, *_):
                return arrays.dtype(code)
            case "scalar", (np.dtype() as of, bytes() as data):
                return float(arrays.of_bytes(data, of, (1,), False, self._budget)[0])
            case "buffer", (bytes() | bytearray() as data, np.dtype() as of, shape, str() as order):
                values = arrays.of_bytes(data, of, shape, order == "F", self._budget)
                return Array(self._budget.now(), values)
            case "new object", (Named(role="object") as made,):
                return Object(made)
        raise Refused(f"calls {called} with {kind(arguments)}")

    def new(self, made: Any, arguments: Any) -> Any:
        """What a class would have made.

        Raises:
            Refused: If TenSet's files make no such object.
        """
        match made, arguments:
            case Named(role="task"), (str() as workload, str() as target):
                return LearningTask(workload, target)
            case Named(role="dataset"), ():
                return Object(made)
            case Named(role="string"), (str() as text,):
                return text
        raise Refused(f"makes {kind(made)} of {kind(arguments)}")

    def with_state(self, value: Any, state: Any) -> Any:
        """A value that was given a state: itself, or what stands for it from now on.

        Raises:
            Refused: If TenSet's files give it no such state.
        """
        match value, state:
            case np.dtype(), (3, "<" | "|" | "=" | None, *_):
                return value  # the byte order, which `arrays.dtype` has taken to be this
            case Object(state=None), dict() | tuple() if not self._begun:
                value.state = state
                return value
            case str(), (None, dict()):
                return value  # TVM's own handle of a text
            case Array(values=None), (1, tuple() as shape, np.dtype() as of, bool() as order, data):
                self._begun -= 1
                does = self._of_objects if of.kind == "O" else self._of_numbers
                return does(value, shape, of, order, data)
        raise Refused(f"gives {kind(value)} a state that is not TenSet's")

    def _of_numbers(self, made: Array, shape: Any, of: Any, by_column: bool, data: Any) -> Array:
        if not isinstance(data, bytes):
            raise Refused(f"has an array of {kind(data)}")
        made.values = arrays.of_bytes(data, of, shape, by_column, self._budget)
        return made

    def _of_objects(self, made: Array, shape: Any, of: Any, by_column: bool, data: Any) -> Any:  # noqa: ARG002
        budget = self._budget
        if not isinstance(data, list) or by_column or len(shape) not in (1, 2, 3):
            raise Refused(f"has an array of objects of the shape {shown(shape)}")
        if len(shape) == 1:
            return self._give(made, *arrays.joined(data, shape, budget))
        rows = arrays.of_numbers(data, shape, budget)
        if len(shape) == 3:
            return self._give(made, *arrays.split(rows, budget))
        made.values = rows
        return made

    def _give(self, made: Array, rows: Any, counts: Any) -> Given:
        self.ready = Programs(self._given, rows, counts)
        self._given += 1
        self._budget.free_since(made.since)  # what was made for it is gone with it
        self._budget.make()
        return Given(self.ready.number, len(counts))
