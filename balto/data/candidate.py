"""What is given to a measurer: one program of a task."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from balto.data.task import Task
from balto.errors import InputError


@dataclass(frozen=True)
class Candidate:
    """One program to measure.

    Attributes:
        task: what it computes, and for which target.
        task_id: 0-based index of the task in its campaign or pool.
        program_id: 0-based index of the program in its task, in sampling order.
        trace: JSON of the MetaSchedule trace that makes the program; empty for the task's module
            as it is; None where not kept, and then only a record can tell how fast it is.
        best_s: smallest latency known of the task when it was asked for, seconds; None if none is.
        build_limit_s: seconds of the processor after which its build is ended as too dear, far past
            what was foretold; infinity for never.
    """

    task: Task
    task_id: int
    program_id: int
    trace: str | None = field(default=None, repr=False)
    best_s: float | None = None
    build_limit_s: float = math.inf

    def require_trace(self) -> str:
        """The trace, of which the program is made.

        Returns:
            JSON.

        Raises:
            InputError: If the program's trace was not kept.
        """
        if self.trace is None:
            raise InputError(
                f"expected program {self.program_id} of {self.task.name} with its trace, of which "
                "it is made; it has none: this pool can be replayed, but not measured again"
            )
        return self.trace
