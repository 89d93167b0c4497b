"""What is known of every program of a set of tasks: features, trace, outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balto.measure.outcome import Outcome
from balto.programs.features import Features
from balto.tasks.task import Task


@dataclass(eq=False)
class Pool:
    """Programs of `N` tasks, ordered by task, then by program.

    Attributes:
        tasks: the `N` tasks.
        offsets: `N + 1` int64; task `k` owns programs ``offsets[k]`` to ``offsets[k + 1]``.
        features: of all programs.
        traces: JSON of each program's schedule trace; empty strings where not kept.
        outcomes: what measuring each program gave; None where it was not measured.
    """

    tasks: Sequence[Task]
    offsets: NDArray[np.int64]
    features: Features
    traces: Sequence[str]
    outcomes: list[Outcome | None]

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def programs(self, task_id: int) -> range:
        """Pool-wide indices of a task's programs."""
        return range(int(self.offsets[task_id]), int(self.offsets[task_id + 1]))

    def trace(self, task_id: int, program_id: int) -> str:
        """JSON of one program's schedule trace; empty where not kept."""
        return self.traces[int(self.offsets[task_id]) + program_id]

    @property
    def task_of_program(self) -> NDArray[np.int32]:
        """Which task each program belongs to."""
        return np.repeat(np.arange(len(self.tasks), dtype=np.int32), np.diff(self.offsets))

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """Latency of every program, seconds; NaN where unmeasured or failed."""
        return np.array([o.latency_s if o is not None else np.nan for o in self.outcomes], float)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Seconds that each program's building and measuring cost; 0 where unmeasured."""
        return np.array([o.seconds if o is not None else 0.0 for o in self.outcomes], float)
