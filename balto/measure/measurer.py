"""The contract of everything that measures programs."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from balto.measure.outcome import Outcome
from balto.tasks.task import Task


@dataclass(frozen=True)
class Candidate:
    """One program to measure.

    Attributes:
        task: what it computes, and for which target.
        task_id: 0-based index of the task in its campaign or pool.
        program_id: 0-based index of the program in its task, in sampling order.
        trace: JSON of the MetaSchedule trace that makes the program; empty when replaying.
    """

    task: Task
    task_id: int
    program_id: int
    trace: str = ""


class Measurer(ABC):
    """Measures programs: live on this machine, over RPC, or replayed from a recorded pool.

    Laws, which every measurer keeps and the tests check:

    1. `measure` yields exactly one ``(index, outcome)`` for each candidate, in any order;
       `index` is the candidate's place in the sequence.
    2. A program that crashes, hangs or fails costs that program alone: it is yielded with the
       status that says so, and the others are not touched.
    3. An outcome is yielded as soon as it is known, so that a caller can journal it.
    4. `close` may be called at any time, twice too, and leaves no process behind.
    """

    @abstractmethod
    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        """Build and time `candidates`.

        Raises:
            MeasurerError: measuring cannot go on at all.
        """

    @property
    def free_cpus(self) -> tuple[int, ...]:
        """CPUs on which other work disturbs no timing; at least one."""
        return tuple(sorted(os.sched_getaffinity(0)))

    def close(self) -> None:
        """Stop every process that belongs to this measurer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
