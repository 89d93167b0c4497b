"""Feature sets of scheduled programs, each by its own extractor. Runs in a worker with TVM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.features import FEATURE_SETS
from balto.programs.nests import Program, read
from balto.programs.schedule import with_laid_out_weights

#: From programs to one ``rows x width`` float32 array each.
Extractor = Callable[["Drawn"], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Programs of one task, as an extractor gets them.

    Attributes:
        context: MetaSchedule's ``TuneContext`` of the task: module and target.
        schedules: the programs, postprocessed.
        traces: JSON of their traces.
    """

    context: Any
    schedules: Sequence[Any]
    traces: Sequence[str]

    @cached_property
    def nests(self) -> list[Program]:
        """The loop nests of each program as it is measured."""
        return [read(with_laid_out_weights(schedule.mod)) for schedule in self.schedules]


def extract(drawn: Drawn, sets: Sequence[str]) -> dict[str, list[NDArray[np.float32]]]:
    """The feature sets that are named, for all programs."""
    made = {}
    for name in sets:
        module, _, function = FEATURE_SETS[name].extractor.partition(":")
        extractor: Extractor = getattr(import_module(module), function)
        made[name] = [np.ascontiguousarray(rows, np.float32) for rows in extractor(drawn)]
    return made
