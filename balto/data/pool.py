"""What is known of every program of a set of tasks: features, trace, outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_type, check_vector
from balto.data.features import FeatureTable
from balto.data.outcomes import Outcomes
from balto.data.plausible import implausible_of
from balto.data.task import Task
from balto.errors import InputError
from balto.text import quoted


@dataclass(eq=False)
class Pool:
    """Programs of `N` tasks, ordered by task, then by program.

    Attributes:
        tasks: the `N` tasks.
        offsets: `N + 1` int64; task `k` owns programs ``offsets[k]`` to ``offsets[k + 1]``.
        features: of all programs, by feature set.
        traces: JSON of each program's schedule trace; None where not kept.
        outcomes: what measuring each program gave; None where it was not measured.

    Raises:
        InputError: If the parts are not of the same programs, if two tasks have one name, or if a
            latency cannot be (`balto.data.plausible`).
    """

    tasks: Sequence[Task]
    offsets: NDArray[np.int64]
    features: FeatureTable
    traces: Sequence[str | None]
    outcomes: Outcomes

    def __post_init__(self) -> None:
        check_type("outcomes", self.outcomes, Outcomes, "balto.Outcomes.of(...) makes them")
        check_vector("offsets", self.offsets)
        sizes = np.diff(self.offsets)
        if len(sizes) != len(self.tasks) or self.offsets[0] != 0 or (sizes < 0).any():
            raise InputError(
                f"expected offsets from 0 that ascend, one more than the {len(self.tasks)} tasks, "
                f"got {quoted(self.offsets)}"
            )
        counts = {name: len(getattr(self, name)) for name in ("features", "traces", "outcomes")}
        if set(counts.values()) != {len(self)}:
            raise InputError(f"expected a pool's columns for {len(self)} programs, got {counts}")
        names = Counter(task.name for task in self.tasks)
        if len(names) < len(self.tasks):
            [(name, often)] = names.most_common(1)
            raise InputError(f"expected tasks of different names, got {name} {often} times")
        self._refuse_implausible()

    def _refuse_implausible(self) -> None:
        flop = np.array([task.flop for task in self.tasks], float)
        found = implausible_of(self.outcomes, np.repeat(flop, np.diff(self.offsets)))
        if found is not None:
            raise InputError(f"expected latencies that can be, program {found[0]} has {found[1]}")

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __repr__(self) -> str:
        return f"Pool({len(self.tasks)} tasks; {self.features!r}; {self.outcomes!r})"

    def programs(self, task_id: int) -> range:
        """Pool-wide indices of a task's programs.

        Args:
            task_id: the task's place.

        Returns:
            From the first to the last.
        """
        return range(int(self.offsets[task_id]), int(self.offsets[task_id + 1]))

    def trace(self, task_id: int, program_id: int) -> str | None:
        """JSON of one program's schedule trace; None where not kept.

        Args:
            task_id: the task's place.
            program_id: the program's number within the task.

        Returns:
            The trace.
        """
        return self.traces[int(self.offsets[task_id]) + program_id]

    @property
    def origin(self) -> str:
        """One line about where the pool comes from: devices and targets."""
        devices = sorted({task.device for task in self.tasks})
        targets = sorted({str(task.target) for task in self.tasks})
        return f"{'; '.join(devices)} ({'; '.join(targets)})"

    @property
    def task_of_program(self) -> NDArray[np.int32]:
        """Which task each program belongs to."""
        return np.repeat(np.arange(len(self.tasks), dtype=np.int32), np.diff(self.offsets))

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """Latency of every program, seconds; NaN where unmeasured or failed."""
        return self.outcomes.latency_s

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Seconds that each program's building and measuring cost; 0 where unmeasured."""
        return self.outcomes.seconds
